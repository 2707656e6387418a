//! Chains and records: what is checked, and how they come back from JSON.

use crate::common;
use proptest::prelude::*;
use scaletot_chain::{
    Chain, ChainRecord, ChainSchema, Constraint, EntropySource, Reason, StateDef, Step, Verdict,
};
use scaletot_core::causes;
use scaletot_core::numeric::normalised_entropy;
use scaletot_profile::UserId;

fn schema() -> ChainSchema {
    ChainSchema::builder("shopper")
        .with_state(StateDef::ordinal("need", ["low", "high"]))
        .with_state(StateDef::ordinal("spend", ["low", "moderate", "high"]))
        .with_constraint(Constraint::new([("need", "low")], "spend", ["high"]))
        .build()
        .unwrap()
}

fn steps() -> Vec<Step> {
    vec![Step::exact(0, vec![0.75, 0.25]), Step::exact(1, vec![0.5, 0.5, 0.0])]
}

/// The message for a chain whose steps were changed.
fn refusal(change: impl FnOnce(&mut Vec<Step>)) -> String {
    let mut steps = steps();
    change(&mut steps);
    Chain::new(&schema(), steps, 0.0).unwrap_err().to_string()
}

#[test]
fn a_chain_says_what_it_holds() {
    let chain = Chain::new(&schema(), steps(), -1.5).unwrap();
    assert_eq!(chain.values(), [0, 1]);
    assert_eq!(chain.score(), -1.5);
    assert_eq!(chain.steps()[0].probability(), 0.75);
    assert_eq!(chain.mean_log_probability(), (0.75f64.ln() + 0.5f64.ln()) / 2.0);
    assert_eq!(chain.mean_entropy(), (normalised_entropy(&[3.0, 1.0], 2) + 2f64.ln() / 3f64.ln()) / 2.0);
}

#[test]
fn bad_chains_are_refused_with_their_state() {
    assert_eq!(refusal(|s| s.truncate(1)), "expected a chain of 2 states, found 1");
    assert_eq!(refusal(|s| s[1].value = 3), "state `spend`: value code 3 is outside its domain of 3 values");
    assert_eq!(
        refusal(|s| s[1].value = 2),
        "state `spend`: `high` is forbidden by constraint 1 (spend is not high when need = low)"
    );
    assert_eq!(
        refusal(|s| s[1] = Step::exact(1, vec![0.5, 0.25, 0.25])),
        "state `spend`: probability of `high`: expected 0, as a constraint forbids it here, found 0.25"
    );
    assert_eq!(
        refusal(|s| s[1] = Step::exact(1, vec![0.5, 0.5])),
        "state `spend`: distribution: expected 3 numbers, found 2"
    );
    assert_eq!(
        refusal(|s| s[0].distribution = vec![0.75, 0.5]),
        "state `need`: distribution: sum of the probabilities: expected 1 within 0.000001, found 1.25"
    );
    assert_eq!(
        refusal(|s| s[0].distribution = vec![-0.5, 1.5]),
        "state `need`: distribution: probability of value code 0: expected a number from 0 to 1, found -0.5"
    );
    assert_eq!(
        refusal(|s| s[0].distribution = vec![f64::NAN, 1.0]),
        "state `need`: distribution: probability of value code 0: expected a number from 0 to 1, found NaN"
    );
    assert_eq!(
        refusal(|s| s[0].covered_mass = 1.5),
        "state `need`: covered mass: expected a number from 0 to 1, found 1.5"
    );
    assert_eq!(
        refusal(|s| s[0].entropy = f64::NAN),
        "state `need`: entropy: expected a number from 0 to 1, found NaN"
    );
    let error = Chain::new(&schema(), steps(), f64::NEG_INFINITY).unwrap_err();
    assert_eq!(error.to_string(), "score of the chain: expected a finite number, found -inf");
}

#[test]
fn an_entropy_is_what_its_source_says() {
    let message = refusal(|s| s[0].entropy = 0.25);
    assert!(message.starts_with("state `need`: entropy: expected 0.811"), "{message}");
    let estimated = |source| {
        let mut steps = steps();
        steps[0].entropy = 0.25;
        steps[0].entropy_source = source;
        Chain::new(&schema(), steps, 0.0).map(drop).map_err(|e| e.to_string())
    };
    assert_eq!(estimated(EntropySource::MillerMadow { samples: 5 }), Ok(()));
    assert_eq!(estimated(EntropySource::Interval { low: 0.25, high: 0.75 }), Ok(()));
    assert_eq!(
        estimated(EntropySource::Interval { low: 0.5, high: 0.75 }),
        Err("state `need`: entropy: expected a number from 0.5 to 0.75, its bounds, found 0.25".to_owned())
    );
    assert!(estimated(EntropySource::Interval { low: 0.0, high: 2.0 }).is_err());
}

#[test]
fn json_is_checked_as_far_as_it_can_be() {
    let chain = Chain::new(&schema(), steps(), -1.0).unwrap();
    let json = serde_json::to_string(&chain).unwrap();
    let bad = json.replace("[0.75,0.25]", "[0.75,0.75]");
    let error = serde_json::from_str::<Chain>(&bad).unwrap_err().to_string();
    assert!(error.contains("state `#1`: distribution: sum of the probabilities"), "{error}");
    let bad = json.replace("\"value\":1", "\"value\":3");
    let error = serde_json::from_str::<Chain>(&bad).unwrap_err().to_string();
    assert!(error.contains("state `#2`: value code 3"), "{error}");
}

#[test]
fn the_shape_of_a_record_in_json_is_pinned() {
    let chain = Chain::new(
        &schema(),
        vec![Step::exact(1, vec![0.0, 1.0]), Step::exact(2, vec![0.0, 0.0, 1.0])],
        -1.0,
    );
    let record =
        ChainRecord::new(UserId::Text("a7".into()), Verdict::Accepted).with_best(Some(chain.unwrap()));
    assert_eq!(
        serde_json::to_string(&record).unwrap(),
        concat!(
            r#"{"user":"a7","verdict":"accepted","best":{"steps":["#,
            r#"{"value":1,"distribution":[0.0,1.0],"entropy":0.0,"entropy_source":{"kind":"exact"},"covered_mass":1.0},"#,
            r#"{"value":2,"distribution":[0.0,0.0,1.0],"entropy":0.0,"entropy_source":{"kind":"exact"},"covered_mass":1.0}"#,
            r#"],"score":-1.0},"runners_up":[],"posterior":[],"entropy_before":[],"#,
            r#""cost":{"queries":0,"nodes":0,"rounds":0,"tokens":0,"stop":""}}"#
        )
    );
    let reason = Reason::TooFewFields { populated: 0, required: 2 };
    let record = ChainRecord::new(UserId::Int(-3), Verdict::Abstained { reason: reason.clone() });
    let json = serde_json::to_string(&record).unwrap();
    let begin =
        r#"{"user":-3,"verdict":"abstained","reason":{"kind":"too_few_fields","populated":0,"required":2},"#;
    assert!(json.starts_with(begin), "{json}");
    assert_eq!(reason.to_string(), "too few populated profile fields: 0 of the 2 required");
}

#[test]
fn bad_records_are_refused_with_their_user() {
    let chain = Chain::new(&schema(), steps(), -1.0).unwrap();
    let good = ChainRecord::new(UserId::Int(7), Verdict::Accepted).with_best(Some(chain));
    good.check(&schema()).unwrap();
    let refused = |record: ChainRecord| {
        let message = causes(&record.check(&schema()).unwrap_err());
        message.strip_prefix("the record of user 7 is not valid: ").unwrap().to_owned()
    };
    let mut bad = good.clone();
    bad.best = None;
    assert_eq!(refused(bad), "the verdict is accepted, but there is no best chain");
    assert_eq!(
        refused(good.clone().with_posterior(vec![vec![0.5, 0.5]])),
        "posterior: expected 2 numbers, found 1"
    );
    let known = good.clone().with_posterior(vec![vec![0.5, 0.5], vec![0.5, 0.5, 0.0]]);
    assert_eq!(
        refused(known.clone().with_posterior_width(vec![0.5])),
        "width of the posterior: expected 2 numbers, found 1"
    );
    assert_eq!(
        refused(known.with_posterior_width(vec![0.5, 1.5])),
        "width of the posterior of state #2: expected a number from 0 to 1, found 1.5"
    );
    assert_eq!(
        refused(good.clone().with_posterior(vec![vec![0.5, 0.5], vec![1.0]])),
        "posterior of state `spend`: expected 3 numbers, found 1"
    );
    assert_eq!(
        refused(good.clone().with_entropy_before(vec![0.5])),
        "entropy before refinement: expected 2 numbers, found 1"
    );
    assert_eq!(
        refused(good.clone().with_entropy_before(vec![0.5, 1.5])),
        "entropy before refinement of state #2: expected a number from 0 to 1, found 1.5"
    );
    let mut low = good;
    low.verdict = Verdict::Rejected { reason: Reason::LowScore { score: f64::NAN, bar: 0.0 } };
    assert_eq!(refused(low), "score of the verdict: expected a finite number, found NaN");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chains_come_back_from_json(
        (schema, numbers) in (common::schema(), common::numbers()),
    ) {
        let chain = common::chain_from(&schema, &numbers);
        let read: Chain = serde_json::from_str(&serde_json::to_string(&chain).unwrap()).unwrap();
        prop_assert_eq!(&read, &chain);
        prop_assert_eq!(read.score().to_bits(), chain.score().to_bits());
        read.check(&schema).unwrap();
    }

    #[test]
    fn records_come_back_from_json(
        (schema, numbers, id) in (common::schema(), common::numbers(), any::<i64>()),
    ) {
        for user in [UserId::Int(id), UserId::Text(id.to_string())] {
            let record = common::record_from(&schema, user, &numbers);
            record.check(&schema).unwrap();
            let read: ChainRecord = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
            prop_assert_eq!(read, record);
        }
    }

    #[test]
    fn entropies_lie_in_the_unit_interval((schema, numbers) in (common::schema(), common::numbers())) {
        let chain = common::chain_from(&schema, &numbers);
        for step in chain.steps() {
            prop_assert!((0.0..=1.0).contains(&step.entropy));
        }
        prop_assert!((0.0..=1.0).contains(&chain.mean_entropy()));
    }

    #[test]
    fn every_legal_chain_can_be_certain(schema in common::schema()) {
        for values in schema.legal_chains().take(50) {
            let chain = Chain::certain(&schema, &values).unwrap();
            prop_assert_eq!(chain.values(), values);
            prop_assert_eq!(chain.mean_entropy(), 0.0);
        }
    }
}
