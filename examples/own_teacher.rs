//! A teacher of one's own: anything that can tell how probable each value of a state is, given a profile and the states before it.
//!
//! Here it is a table of survey counts. Whatever implements [`Teacher`] can be wrapped (`Retry`, `DiskCached`, `Ensemble`), searched with
//! a [`Reasoner`], or given to `Pipeline::builder(...).with_teacher(...)`.
//!
//! `cargo run --example own_teacher` prints the chain of every user with its rationales, and how often the teacher was asked.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::error::Error;

use scaletot::chain::{ChainSchema, StateDef};
use scaletot::prelude::*;
use scaletot::profile::{FieldSpec, TableBuilder, Value};
use scaletot::teacher::{LabelAnswer, PromptKey, Question};

/// How many of a hundred households in a survey chose each value: `need` by household size, `spend` by income.
struct Survey;

const NEED: [[f64; 2]; 3] = [[80.0, 20.0], [45.0, 55.0], [10.0, 90.0]];
const SPEND: [[f64; 2]; 2] = [[70.0, 30.0], [35.0, 65.0]];

impl Teacher for Survey {
    /// Goes into the corpus, so that answers of different teachers are never mixed.
    fn model(&self) -> &str {
        "household-survey-2024"
    }

    fn answer(&self, question: &Question<'_>) -> scaletot::teacher::Result<LabelAnswer> {
        // A language model would read `question.prompt`; this teacher reads the typed profile, and the states so far in `question.path`.
        let field = usize::from(question.state_name() == "need");
        let name = question.table.schema().fields()[field].name().to_owned();
        let counts = match (question.state_name(), question.table.value(question.row, field)) {
            ("need", Some(Value::Code(size))) => NEED[size as usize],
            // Whoever needs much spends more, whatever the income.
            ("spend", Some(Value::Code(income))) if question.path == [1] => {
                SPEND[income as usize].map(|n| n + 10.0)
            }
            ("spend", Some(Value::Code(income))) => SPEND[income as usize],
            _ => return Ok(LabelAnswer::new(vec![0.5_f64.ln(); 2], 0).with_evidence(vec![])),
        };
        let total: f64 = counts.iter().sum();
        Ok(LabelAnswer::new(counts.map(|n| (n / total).ln()).to_vec(), 0).with_evidence(vec![name]))
    }

    /// Prompts do not hold all that it reads, so equal prompts may have different answers.
    fn cache_key(&self, _: &Question<'_>) -> Option<PromptKey> {
        None
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let profiles = ProfileSchema::builder("shop")
        .with_subject("A customer")
        .with_field(FieldSpec::ordinal("income", ["low", "high"]).with_phrase("with a {} income"))
        .with_field(FieldSpec::ordinal("household", ["1", "2", "3+"]).with_phrase("in a household of {}"))
        .build()?;
    let mut rows = TableBuilder::new(profiles);
    for (id, cells) in [(1, ["high", "3+"]), (2, ["low", "1"]), (3, ["low", ""])] {
        rows.push_text(id, &cells)?;
    }
    let table = rows.finish();
    let chain = ChainSchema::builder("shopper")
        .with_state(StateDef::ordinal("need", ["low", "high"]))
        .with_state(StateDef::ordinal("spend", ["low", "high"]).with_depends_on(["need"]))
        .build()?;

    let prompter = Prompter::new(table.schema(), chain, Verbaliser::fit(&table, 3)?)?;
    let reasoner = Reasoner::builder(Survey, prompter).build()?;
    for row in 0..table.len() {
        let record = reasoner.reason(&table, row, 1)?;
        println!("{}: {}", reasoner.prompter().profile(&table, row), record.verdict);
        for step in record.best.iter().flat_map(|chain| chain.steps()) {
            println!("  {} (entropy {:.2})", step.rationale, step.entropy);
        }
    }
    println!("{} questions asked", reasoner.ledger().snapshot().calls);
    Ok(())
}
