//! A small shop: its profile schema, its chain schema, its users, and teachers to ask.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use scaletot_chain::{ChainSchema, Constraint, StateDef};
use scaletot_core::Progress;
use scaletot_profile::{FieldSpec, ProfileSchema, ProfileTable, TableBuilder, Verbaliser};
use scaletot_teacher::{Error, LabelAnswer, Prompter, Question, Result, Teacher};

pub(crate) fn profile_schema() -> ProfileSchema {
    ProfileSchema::builder("shop")
        .with_subject("A customer")
        .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]).with_phrase("aged {}"))
        .with_field(FieldSpec::numeric("income").with_phrase("with a {} household income"))
        .with_field(FieldSpec::boolean("owner").with_phrase("who owns the home"))
        .with_field(FieldSpec::multi("pets", ["cat", "dog"]).with_phrase("with a {}"))
        .build()
        .unwrap()
}

/// need → capacity → channel → spend, where a low capacity rules out a high spend.
pub(crate) fn chain_schema() -> ChainSchema {
    ChainSchema::builder("shopper")
        .with_state(
            StateDef::ordinal("need", ["low", "moderate", "high"])
                .with_cue("this customer's need for groceries is"),
        )
        .with_state(
            StateDef::ordinal("capacity", ["low", "moderate", "high"])
                .with_cue("this customer's spending capacity is")
                .with_depends_on(["need"]),
        )
        .with_state(
            StateDef::categorical("channel", ["shop", "web"])
                .with_cue("this customer's favourite channel is the"),
        )
        .with_state(
            StateDef::ordinal("spend", ["low", "moderate", "high"])
                .with_cue("this customer's spending next month is")
                .with_depends_on(["need", "capacity"]),
        )
        .with_constraint(Constraint::new([("capacity", "low")], "spend", ["high"]))
        .build()
        .unwrap()
}

/// Users with all combinations of some values; every seventh has no profile at all.
pub(crate) fn table(users: usize) -> ProfileTable {
    let mut builder = TableBuilder::new(profile_schema());
    for user in 0..users {
        let income = (1000 + 137 * (user % 29)).to_string();
        let cells = if user % 7 == 6 {
            ["", "", "", ""]
        } else {
            [
                ["18-34", "35-54", "55+", ""][user % 4],
                if user % 5 == 0 { "" } else { &income },
                ["yes", "no", ""][user % 3],
                ["cat", "cat|dog", "", "dog"][user % 4],
            ]
        };
        builder.push_text(user as i64, &cells).unwrap();
    }
    builder.finish()
}

pub(crate) fn prompter(table: &ProfileTable) -> Prompter {
    Prompter::new(table.schema(), chain_schema(), Verbaliser::fit(table, 5).unwrap()).unwrap()
}

/// Answers by a hash of the prompt and the label: arbitrary, and always the same.
#[derive(Debug, Default)]
pub(crate) struct Arbitrary {
    pub calls: AtomicUsize,
}

impl Teacher for Arbitrary {
    fn model(&self) -> &str {
        "arbitrary"
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let key = question.key("arbitrary");
        let weights: Vec<f64> =
            (0..question.labels.len()).map(|i| 1.0 + f64::from(key.bytes()[i]).powi(2) / 300.0).collect();
        // The labels get 80 % of the vocabulary's probability.
        let sum: f64 = weights.iter().sum::<f64>() / 0.8;
        let log_probs = weights.iter().map(|weight| (weight / sum).ln()).collect();
        Ok(LabelAnswer::new(log_probs, question.prompt.len() as u64 / 4))
    }
}

/// Says to stop after so many units.
#[derive(Debug)]
pub(crate) struct StopAfter {
    pub left: u64,
    pub done: AtomicU64,
}

impl StopAfter {
    pub(crate) fn new(left: u64) -> Self {
        Self { left, done: AtomicU64::new(0) }
    }
}

impl Progress for StopAfter {
    fn advance(&self, n: u64) {
        self.done.fetch_add(n, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.done.load(Ordering::Relaxed) >= self.left
    }
}

/// A server that never answers: it waits until the question is stopped.
#[derive(Debug, Default)]
pub(crate) struct Silent {
    pub asked: AtomicUsize,
}

impl Teacher for Silent {
    fn model(&self) -> &str {
        "silent"
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        while !question.stopped() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(Error::Stopped)
    }
}

/// Says to stop once so much time is over.
#[derive(Debug)]
pub(crate) struct StopAt(pub Instant);

impl StopAt {
    pub(crate) fn in_ms(ms: u64) -> Self {
        Self(Instant::now() + Duration::from_millis(ms))
    }

    /// How long ago that was.
    pub(crate) fn heard_within(&self, limit: Duration) {
        let late = self.0.elapsed();
        assert!(late < limit, "a stop was heard after {late:?}");
    }
}

impl Progress for StopAt {
    fn stopped(&self) -> bool {
        Instant::now() >= self.0
    }
}
