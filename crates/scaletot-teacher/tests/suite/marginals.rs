//! Records of `Strategy::Marginal`: the teacher's marginals over all legal chains, and how well they are known.

use std::sync::atomic::Ordering;

use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};
use scaletot_chain::{ChainRecord, ChainSchema, Constraint, SearchStop, StateDef};
use scaletot_profile::{ProfileTable, Verbaliser};
use scaletot_search::{Budget, MarginalConfig, Problem, RefineConfig, Search, Strategy};
use scaletot_teacher::{Calibration, ChainProblem, Prompter, Reasoner, Rules, Teacher};

use crate::common::{Arbitrary, chain_schema, profile_schema, prompter, table};

fn marginal() -> Strategy {
    Strategy::Marginal(MarginalConfig::default())
}

/// The marginals by the sum over all legal chains, from the teacher's answers.
fn summed(prompter: &Prompter, calibration: &Calibration, table: &ProfileTable, row: usize) -> Vec<Vec<f64>> {
    let chain = prompter.chain();
    let mut marginals: Vec<Vec<f64>> = (0..chain.len()).map(|k| vec![0.0; chain.domain_size(k)]).collect();
    for values in chain.legal_chains() {
        let mut probability = 1.0;
        for (k, &value) in values.iter().enumerate() {
            let path = &values[..k];
            let question = prompter.question(table, row, k, path);
            let mut masses = Arbitrary::default().answer(&question).unwrap().distribution().unwrap();
            calibration.apply(k, path, &mut masses).unwrap();
            masses.iter_mut().zip(chain.allowed(k, path)).for_each(|(p, ok)| *p *= f64::from(u8::from(ok)));
            probability *= masses[usize::from(value)] / masses.iter().sum::<f64>();
        }
        values.iter().zip(&mut marginals).for_each(|(v, p)| p[usize::from(*v)] += probability);
    }
    marginals
}

fn furthest(found: &ChainRecord, expected: &[Vec<f64>]) -> f64 {
    let pairs = found.posterior.iter().flatten().zip(expected.iter().flatten());
    pairs.map(|(p, q)| (p - q).abs()).fold(0.0, f64::max)
}

#[test]
fn a_record_has_the_sums_over_all_legal_chains_for_a_question_per_prompt() {
    let table = table(24);
    let teacher = Arbitrary::default();
    let mut reasoner =
        Reasoner::builder(&teacher, prompter(&table)).with_strategy(marginal()).build().unwrap();
    let calibration = reasoner
        .fit_calibration(&table, &(0..24).collect::<Vec<_>>(), 1, &())
        .unwrap()
        .with_strength(0.5)
        .unwrap();
    reasoner.set_calibration(calibration.clone()).unwrap();
    for row in (0..24).filter(|&row| table.populated(row) > 0) {
        let record = reasoner.reason(&table, row, 1).unwrap();
        record.check(&chain_schema()).unwrap();
        assert!(record.verdict.is_accepted());
        assert!(furthest(&record, &summed(reasoner.prompter(), &calibration, &table, row)) < 1e-12);
        assert!(record.posterior_width.iter().all(|width| *width < 1e-12));
        // 1 + 3 + 1 + 9 prompts; the search asks for no more, and every one of them once.
        assert_eq!((record.cost.queries, &record.cost.stop), (14, &SearchStop::Complete));
        // The widths are kept in a line of a corpus.
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<ChainRecord>(&line).unwrap(), record);
    }
    assert!(teacher.calls.load(Ordering::Relaxed) <= 14 * 24);
}

#[test]
fn a_bound_leaves_widths_and_the_best_chain_so_far() {
    let table = table(24);
    let calibration = Calibration::identity("arbitrary", &chain_schema());
    for queries in [4, 6, 9, 13] {
        let reasoner = Reasoner::builder(Arbitrary::default(), prompter(&table))
            .with_strategy(marginal())
            .with_budget(Budget::default().with_queries(queries))
            .build()
            .unwrap();
        for row in (0..24).filter(|&row| table.populated(row) > 0) {
            let record = reasoner.reason(&table, row, 1).unwrap();
            record.check(&chain_schema()).unwrap();
            assert!(record.verdict.is_accepted());
            assert_eq!((record.cost.queries, &record.cost.stop), (queries, &SearchStop::Queries));
            let exact = summed(reasoner.prompter(), &calibration, &table, row);
            for ((found, exact), width) in record.posterior.iter().zip(&exact).zip(&record.posterior_width) {
                assert!(found.iter().zip(exact).all(|(p, q)| (p - q).abs() <= width + 1e-12));
            }
            assert!(record.posterior_width[0] < 1e-12 && record.posterior_width[3] > 0.0);
        }
    }
    // Other strategies have chains and no widths.
    let refine = Strategy::Refine(RefineConfig::default());
    let refined =
        Reasoner::builder(Arbitrary::default(), prompter(&table)).with_strategy(refine).build().unwrap();
    assert!(refined.reason(&table, 0, 1).unwrap().posterior_width.is_empty());
}

#[test]
fn evidence_and_rationale_come_with_answers_that_were_asked_for_at_other_paths() {
    let table = table(10);
    // `channel` depends on nothing, and is asked about once for all values of the states before it.
    let text = "name = \"x\"\n[[rule]]\nstate = \"channel\"\nwhen = { age = \"35-54\" }\nadd = { web = 2 }";
    let rules = Rules::from_toml(text, &profile_schema(), &chain_schema()).unwrap();
    let reasoner = Reasoner::builder(rules, prompter(&table))
        .with_strategy(Strategy::Marginal(MarginalConfig::default().with_keep(20)))
        .build()
        .unwrap();
    let record = reasoner.reason(&table, 1, 1).unwrap();
    let chains: Vec<_> = record.chains().collect();
    assert_eq!(chains.len(), 20);
    for chain in chains {
        assert_eq!(chain.steps()[2].evidence, ["age"]);
        assert!(chain.steps()[2].rationale.starts_with("Given age, channel is"));
        assert!(chain.steps()[0].evidence.is_empty());
    }
}

#[test]
fn a_trace_of_marginals_replays() {
    let table = table(4);
    let budget = Budget::default().with_queries(8);
    let reasoner = Reasoner::builder(Arbitrary::default(), prompter(&table))
        .with_strategy(marginal())
        .with_budget(budget)
        .build()
        .unwrap();
    let (record, trace) = reasoner.reason_traced(&table, 0, 5).unwrap();
    let problem = ChainProblem::new(chain_schema().into()).joined();
    let again = Search::replay(problem, marginal(), budget, 5, &trace.unwrap()).unwrap();
    let best = again.outcome().unwrap().best.as_ref().unwrap();
    assert_eq!(best.path, record.best.unwrap().values());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever depends on what: the marginals are right, paths joined or not, and the estimate is not exceeded.
    #[test]
    fn paths_are_joined_only_where_nothing_tells_them_apart(
        masks in proptest::collection::vec(0u8..16, 2..6),
        rules in proptest::collection::vec((0usize..4, 0usize..2, 1usize..5, 0usize..3), 0..4),
    ) {
        let table = table(2);
        let mut builder = ChainSchema::builder("random");
        for (k, mask) in masks.iter().enumerate() {
            let parents = (0..k).filter(|j| mask >> j & 1 == 1).map(|j| format!("s{j}"));
            let values = ["low", "mid", "high"];
            builder = builder.with_state(
                StateDef::ordinal(format!("s{k}"), values).with_cue(format!("state {k} is")).with_depends_on(parents),
            );
        }
        let values = ["low", "mid", "high"];
        for (earlier, given, later, ruled_out) in rules {
            if earlier < later && later < masks.len() {
                let when = [(format!("s{earlier}"), values[given])];
                builder = builder.with_constraint(Constraint::new(when, format!("s{later}"), [values[ruled_out]]));
            }
        }
        // Constraints that leave a state without values are no schema.
        let Ok(chain) = builder.build() else { return Ok(()) };
        let prompter = || Prompter::new(table.schema(), chain.clone(), Verbaliser::fit(&table, 5).unwrap()).unwrap();
        let reasoner =
            Reasoner::builder(Arbitrary::default(), prompter()).with_strategy(marginal()).build().unwrap();
        let record = reasoner.reason(&table, 0, 1).unwrap();
        let calibration = Calibration::identity("arbitrary", reasoner.chain());
        prop_assert!(furthest(&record, &summed(reasoner.prompter(), &calibration, &table, 0)) < 1e-9);
        prop_assert_eq!(record.cost.queries, reasoner.all_questions(&table, 0).unwrap().len() as u64);
        for problem in [
            ChainProblem::new(reasoner.chain().clone()),
            ChainProblem::new(reasoner.chain().clone()).joined(),
        ] {
            let most = marginal().estimate(&problem, &Budget::default()).unwrap();
            prop_assert_eq!(most.queries, record.cost.queries);
            prop_assert!(most.nodes >= record.cost.nodes);
            prop_assert!(!problem.may_dead_end());
        }
        let joined = ChainProblem::new(reasoner.chain().clone()).joined();
        prop_assert_eq!(marginal().estimate(&joined, &Budget::default()).unwrap().nodes, record.cost.nodes);
    }
}
