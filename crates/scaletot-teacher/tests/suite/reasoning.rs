use proptest::prelude::{ProptestConfig, prop, prop_assert, proptest};
use scaletot_chain::{EntropySource, Reason, SearchStop, Verdict};
use scaletot_core::numeric::normalised_entropy;
use scaletot_search::{Budget, RefineConfig, Strategy};
use scaletot_teacher::{Error, LabelAnswer, Question, Reasoner, Result, Rules, Teacher};

use crate::common::{Arbitrary, chain_schema, profile_schema, prompter, table};

#[test]
fn a_record_holds_what_was_asked_and_answered() {
    let table = table(40);
    let chain = chain_schema();
    let reasoner = Reasoner::builder(Arbitrary::default(), prompter(&table)).build().unwrap();
    for row in 0..40 {
        let record = reasoner.reason(&table, row, 1).unwrap();
        record.check(&chain).unwrap();
        assert_eq!(record.user, table.id(row));
        if table.populated(row) == 0 {
            assert_eq!(
                record.verdict,
                Verdict::Abstained { reason: Reason::TooFewFields { populated: 0, required: 1 } }
            );
            assert!(record.best.is_none() && record.cost.queries == 0);
            continue;
        }
        assert!(record.verdict.is_accepted());
        let best = record.best.as_ref().unwrap();
        assert_eq!(record.entropy_before.len(), 4);
        assert_eq!(record.posterior.len(), 4);
        assert!(
            record.cost.queries >= 4 && record.cost.tokens > 0 && record.cost.stop != SearchStop::Unrecorded
        );
        for (k, step) in best.steps().iter().enumerate() {
            // The teacher's own words, recomputed: no calibration here, so only the constraint changes them.
            let path = &best.values()[..k];
            let question = reasoner.prompter().question(&table, row, k, path);
            let mut expected = Arbitrary::default().answer(&question).unwrap().distribution().unwrap();
            expected.iter_mut().zip(chain.allowed(k, path)).for_each(|(p, ok)| *p *= f64::from(u8::from(ok)));
            let sum: f64 = expected.iter().sum();
            for (p, q) in expected.iter().zip(&step.distribution) {
                assert!((p / sum - q).abs() < 1e-12);
            }
            assert!((step.covered_mass - 0.8).abs() < 1e-9);
            assert!((step.entropy - normalised_entropy(&step.distribution, 0)).abs() < 1e-12);
            assert_eq!(step.entropy_source, EntropySource::Exact);
            let populated: Vec<String> = ["age", "income", "owner", "pets"]
                .into_iter()
                .enumerate()
                .filter(|(field, _)| table.value(row, *field).is_some())
                .map(|(_, name)| name.to_owned())
                .collect();
            assert!(!step.evidence.is_empty() && step.evidence.iter().all(|name| populated.contains(name)));
            let chosen = chain.states()[k].value(step.value).unwrap();
            assert!(step.rationale.contains(chosen) && step.rationale.ends_with('.'), "{}", step.rationale);
        }
    }
}

#[test]
fn rationales_read_as_sentences() {
    let table = table(10);
    let text = "name = \"x\"\n[[rule]]\nstate = \"need\"\nwhen = { age = \"35-54\" }\nadd = { high = 2 }\n\
                [[rule]]\nstate = \"capacity\"\nwhen = { age = \"35-54\" }\nafter = { need = \"high\" }\nadd = { low = 4 }";
    let rules = Rules::from_toml(text, &profile_schema(), &chain_schema()).unwrap();
    let reasoner =
        Reasoner::builder(rules, prompter(&table)).with_strategy(Strategy::Greedy).build().unwrap();
    let best = reasoner.reason(&table, 1, 1).unwrap().best.unwrap();
    let rationales: Vec<&str> = best.steps().iter().map(|step| step.rationale.as_str()).collect();
    assert_eq!(
        rationales,
        [
            "Given age, need is high at 79 %, before low at 11 %.",
            "Given age and need = high, capacity is low at 96 %, before moderate at 2 %.",
            "With nothing in the profile to go by, channel is shop at 50 %, before web at 50 %.",
            "Given need = high and capacity = low, spend is low at 50 %, before moderate at 50 %; \
             high ruled out by a constraint.",
        ]
    );
}

#[test]
fn refinement_scores_at_least_the_draft() {
    let table = table(60);
    let config = RefineConfig::default().with_rounds(6).with_branches(3).with_tau(0.3);
    let refine = Reasoner::builder(Arbitrary::default(), prompter(&table))
        .with_strategy(Strategy::Refine(config))
        .build()
        .unwrap();
    // The draft under the same scoring: refinement without a round.
    let draft = Reasoner::builder(Arbitrary::default(), prompter(&table))
        .with_strategy(Strategy::Refine(config.with_rounds(0)))
        .build()
        .unwrap();
    let mut better = 0;
    for row in (0..60).filter(|&row| table.populated(row) > 0) {
        let (a, b) = (refine.reason(&table, row, 1).unwrap(), draft.reason(&table, row, 1).unwrap());
        let (refined, drafted) = (a.best.unwrap().score(), b.best.unwrap().score());
        assert!(refined >= drafted - 1e-12);
        better += usize::from(refined > drafted + 1e-9);
        assert_eq!(a.entropy_before, b.entropy_before);
    }
    assert!(better > 0, "with arbitrary answers the greedy chain is not always the best");
}

#[test]
fn verdicts_have_their_reasons() {
    let table = table(10);
    let with = |budget, bar: Option<f64>, fields| {
        let builder = Reasoner::builder(Arbitrary::default(), prompter(&table))
            .with_budget(budget)
            .with_min_populated(fields);
        let builder = if let Some(bar) = bar { builder.with_score_bar(bar) } else { builder };
        builder.build().unwrap().reason(&table, 1, 1).unwrap()
    };
    let none = Budget::default();
    assert!(with(none, None, 4).verdict.is_accepted());
    assert_eq!(
        with(none, None, 5).verdict,
        Verdict::Abstained { reason: Reason::TooFewFields { populated: 4, required: 5 } }
    );
    let low = with(none, Some(-1e-6), 1);
    assert!(
        matches!(low.verdict, Verdict::Rejected { reason: Reason::LowScore { bar, .. } } if bar == -1e-6)
    );
    assert!(low.best.is_some(), "a rejected chain is kept for inspection");
    let cut = with(none.with_queries(3), None, 1);
    assert_eq!(cut.verdict, Verdict::Rejected { reason: Reason::OutOfBudget { bound: SearchStop::Queries } });
    assert_eq!((cut.cost.queries, cut.best), (3, None));
    // A prompt costs more tokens than the budget lets an answer have: that user fails, and says so.
    let costly = with(none.with_tokens(1000, 2), None, 1);
    let Verdict::Failed { reason: Reason::TeacherFailed { message } } = costly.verdict else {
        panic!("{costly:?}")
    };
    assert!(message.contains("token"), "{message}");
    let timed = with(none.with_ticks(0), None, 1);
    assert_eq!(timed.verdict, Verdict::Rejected { reason: Reason::OutOfBudget { bound: SearchStop::Time } });
}

/// Gives only the two most probable labels.
struct TopTwo;

impl Teacher for TopTwo {
    fn model(&self) -> &str {
        "top-two"
    }
    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let answer = Arbitrary::default().answer(question)?;
        let mut order: Vec<usize> = (0..answer.log_probs.len()).collect();
        order.sort_by(|&a, &b| answer.log_probs[b].total_cmp(&answer.log_probs[a]));
        let mut log_probs = vec![f64::NEG_INFINITY; order.len()];
        order.iter().take(2).for_each(|&i| log_probs[i] = answer.log_probs[i]);
        Ok(LabelAnswer::new(log_probs, answer.tokens))
    }
}

#[test]
fn missing_labels_give_bounds_that_hold_the_whole_answers_entropy() {
    let table = table(40);
    let partial =
        Reasoner::builder(TopTwo, prompter(&table)).with_strategy(Strategy::Greedy).build().unwrap();
    let mut bounded = 0;
    for row in (0..40).filter(|&row| table.populated(row) > 0) {
        let best = partial.reason(&table, row, 1).unwrap().best.unwrap();
        let first = &best.steps()[0];
        let EntropySource::Interval { low, high } = first.entropy_source else { panic!("{first:?}") };
        assert!(low <= first.entropy && first.entropy <= high);
        // `need` depends on nothing, so the whole answer is to the same prompt.
        let question = partial.all_questions(&table, row).unwrap().swap_remove(0);
        let whole =
            Arbitrary::default().answer(&question.clone().with_labels(chain_schema().states()[0].values()));
        let entropy = normalised_entropy(&whole.unwrap().distribution().unwrap(), 0);
        assert!(low - 1e-9 <= entropy && entropy <= high + 1e-9, "{low} {entropy} {high}");
        // The channel has two values only: nothing is missing.
        assert_eq!(best.steps()[2].entropy_source, EntropySource::Exact);
        bounded += 1;
    }
    assert!(bounded > 20);
}

#[test]
fn settings_are_checked_before_any_work() {
    let table = table(5);
    let build = || Reasoner::builder(Arbitrary::default(), prompter(&table));
    assert!(build().with_score_bar(f64::NAN).build().is_err());
    let tokens_only = serde_json::from_str::<Budget>(r#"{"tokens":5}"#).unwrap();
    assert!(matches!(build().with_budget(tokens_only).build(), Err(Error::Search(_))));
    let bad = Strategy::Refine(RefineConfig::default().with_tau(f64::NAN));
    assert!(matches!(build().with_strategy(bad).build(), Err(Error::Search(_))));
    let reasoner = build().build().unwrap();
    assert!(matches!(reasoner.reason(&table, 5, 1), Err(Error::Config(_))), "no such row");
    let header = reasoner.header(&table, 1).unwrap();
    assert_eq!((header.teacher.as_str(), header.chain_schema), ("arbitrary", chain_schema().hash()));
    assert!(header.settings["calibration"]["priors"].is_array());
}

#[test]
fn types_cross_threads() {
    fn is<T: Send + Sync>() {}
    is::<Reasoner<'_>>();
    is::<scaletot_teacher::Prompter>();
    is::<scaletot_teacher::Replay>();
    is::<scaletot_teacher::Recorder<Arbitrary>>();
    is::<scaletot_teacher::Cached<Arbitrary>>();
    is::<scaletot_teacher::Calibration>();
    is::<scaletot_teacher::CoveragePlan>();
    is::<scaletot_teacher::Ledger>();
    is::<Rules>();
    is::<Error>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No bound is ever exceeded, and the record names the one that was hit.
    #[test]
    fn budgets_hold(
        row in 0..6_usize,
        queries in prop::option::of(0..30_u64),
        nodes in prop::option::of(0..30_u64),
        rounds in prop::option::of(0..5_u32),
        tokens in prop::option::of(0..1500_u64),
    ) {
        let table = table(6);
        let mut budget = Budget::default();
        budget.queries = queries;
        budget.nodes = nodes;
        budget.rounds = rounds;
        budget.tokens = tokens;
        budget.max_tokens_per_query = tokens.map(|_| 100);
        let config = RefineConfig::default().with_rounds(5).with_tau(0.1);
        let reasoner = Reasoner::builder(Arbitrary::default(), prompter(&table))
            .with_strategy(Strategy::Refine(config))
            .with_budget(budget)
            .build()
            .unwrap();
        let record = reasoner.reason(&table, row, 1).unwrap();
        record.check(&chain_schema()).unwrap();
        prop_assert!(queries.is_none_or(|most| record.cost.queries <= most));
        prop_assert!(nodes.is_none_or(|most| record.cost.nodes <= most));
        prop_assert!(rounds.is_none_or(|most| record.cost.rounds <= most));
        prop_assert!(tokens.is_none_or(|most| record.cost.tokens <= most));
        match &record.verdict {
            Verdict::Accepted => prop_assert!(record.best.is_some()),
            Verdict::Rejected { reason: Reason::OutOfBudget { bound } } => prop_assert!(*bound == record.cost.stop),
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
