//! Constraints: what is allowed, what is legal, and what is refused.

use std::panic::catch_unwind;

use crate::common;
use proptest::prelude::*;
use scaletot_chain::__private::{ChainSpec, ConstraintSpec, StateSpec};
use scaletot_chain::{ChainSchema, Constraint, Error, SchemaError, StateDef};

/// All tuples of values, legal or not.
fn all_tuples(sizes: &[usize]) -> Vec<Vec<u16>> {
    sizes.iter().fold(vec![Vec::new()], |starts, &size| {
        let longer =
            |s: &Vec<u16>| (0..size as u16).map(|v| [s.as_slice(), &[v]].concat()).collect::<Vec<_>>();
        starts.iter().flat_map(longer).collect()
    })
}

/// What a constraint means, from its words alone.
fn breaks(schema: &ChainSchema, c: &Constraint, values: &[u16]) -> bool {
    let says = |name: &str| {
        let k = schema.state_index(name).unwrap();
        schema.states()[k].value(values[k]).unwrap()
    };
    c.when().iter().all(|(s, v)| says(s) == v) && c.forbid().iter().any(|v| says(c.state()) == v)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn legal_means_no_constraint_is_broken(schema in common::schema()) {
        for values in all_tuples(&schema.domain_sizes()) {
            let broken = schema.constraints().iter().any(|c| breaks(&schema, c, &values));
            prop_assert_eq!(schema.is_legal(&values), !broken);
            prop_assert_eq!(schema.check_values(&values).is_ok(), !broken);
        }
    }

    #[test]
    fn allowed_agrees_with_legal(schema in common::schema()) {
        for values in all_tuples(&schema.domain_sizes()) {
            let step = |k: usize| schema.allowed(k, &values)[usize::from(values[k])];
            prop_assert_eq!(schema.is_legal(&values), (0..schema.len()).all(step));
            for k in 0..schema.len() {
                // Only what comes before a state matters for it.
                prop_assert_eq!(schema.allowed(k, &values), schema.allowed(k, &values[..k]));
                prop_assert_eq!(schema.is_legal_prefix(&values[..k]), (0..k).all(step));
            }
        }
    }

    #[test]
    fn every_legal_start_can_go_on(schema in common::schema()) {
        for values in all_tuples(&schema.domain_sizes()) {
            for k in (0..schema.len()).filter(|&k| schema.is_legal_prefix(&values[..k])) {
                prop_assert!(schema.allowed(k, &values[..k]).contains(&true));
            }
        }
    }

    #[test]
    fn listing_and_counting_agree(schema in common::schema()) {
        let expected: Vec<_> =
            all_tuples(&schema.domain_sizes()).into_iter().filter(|v| schema.is_legal(v)).collect();
        let listed: Vec<_> = schema.legal_chains().collect();
        prop_assert_eq!(&listed, &expected);
        prop_assert_eq!(schema.legal_count(), expected.len() as u128);
    }

    #[test]
    fn dead_ends_are_refused_and_nothing_else_is(plan in common::plan()) {
        // By brute force: a start that no constraint is broken in, after which every value breaks one.
        let forbids = |prefix: &[u16], k: usize, v: usize| {
            plan.constraints.iter().any(|(when, state, forbid)| {
                *state == k && forbid.contains(&v) && when.iter().all(|&(s, w)| usize::from(prefix[s]) == w)
            })
        };
        let mut dead = false;
        let mut starts = vec![Vec::new()];
        for k in 0..plan.shapes.len() {
            let mut longer = Vec::new();
            for start in &starts {
                let left: Vec<_> = (0..plan.size(k)).filter(|&v| !forbids(start, k, v)).collect();
                dead |= left.is_empty();
                longer.extend(left.iter().map(|&v| [start.as_slice(), &[v as u16]].concat()));
            }
            starts = longer;
        }
        match plan.build() {
            Ok(schema) => {
                prop_assert!(!dead);
                prop_assert_eq!(schema.legal_count(), starts.len() as u128);
            }
            Err(Error::Schema(SchemaError::DeadEnd { .. })) => prop_assert!(dead),
            Err(other) => prop_assert!(false, "{other}"),
        }
        // The compiler's check of `user_states!` finds the same, and makes the same schema.
        let spec = spec_of(&plan);
        let checked = catch_unwind(|| spec.check());
        prop_assert_eq!(checked.is_err(), dead);
        if let Ok(schema) = plan.build() {
            prop_assert_eq!(spec.schema().hash(), schema.hash());
            prop_assert_eq!(spec.schema(), schema);
        }
    }
}

/// The plan as `user_states!` would lay it out; leaks, as constants live for ever.
fn spec_of(plan: &common::Plan) -> ChainSpec {
    fn leak<T>(items: impl IntoIterator<Item = T>) -> &'static [T] {
        Vec::leak(items.into_iter().collect())
    }
    let states = plan.shapes.iter().enumerate().map(|(k, (ordinal, size, parents))| StateSpec {
        name: String::leak(format!("state_{k}")),
        ordinal: *ordinal,
        description: String::leak(format!("état \"{k}\"")),
        cue: String::leak(format!("this user's state {k} is")),
        values: leak((0..*size).map(|v| &*String::leak(format!("value {v}")))),
        depends_on: leak((0..k).filter(|&p| parents[p])),
    });
    let constraints = plan.constraints.iter().map(|(when, state, forbid)| ConstraintSpec {
        when: leak(when.iter().map(|&(s, v)| (s, v as u16))),
        state: *state,
        forbid: leak(forbid.iter().map(|&v| v as u16)),
    });
    ChainSpec { name: "random schema", states: leak(states), constraints: leak(constraints) }
}

#[test]
fn a_dead_end_is_explained() {
    let level = |name: &str| StateDef::ordinal(name, ["low", "high"]);
    let error = ChainSchema::builder("s")
        .with_state(level("a"))
        .with_state(level("b"))
        .with_state(level("c"))
        .with_constraint(Constraint::new([("a", "high")], "c", ["low"]))
        .with_constraint(Constraint::new([("b", "high")], "c", ["high"]))
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the constraints leave state `c` without a value after a = high, b = high; forbid one of those values instead"
    );
}

#[test]
fn illegal_chains_are_explained() {
    let schema = ChainSchema::builder("s")
        .with_state(StateDef::ordinal("need", ["low", "high"]))
        .with_state(StateDef::ordinal("spend", ["low", "high"]))
        .with_constraint(Constraint::new([("need", "low")], "spend", ["high"]))
        .build()
        .unwrap();
    let says = |values: &[u16]| schema.check_values(values).unwrap_err().to_string();
    assert_eq!(
        says(&[0, 1]),
        "state `spend`: `high` is forbidden by constraint 1 (spend is not high when need = low)"
    );
    assert_eq!(says(&[0]), "expected a chain of 2 states, found 1");
    assert_eq!(says(&[7, 1]), "state `need`: value code 7 is outside its domain of 2 values");
    assert!(
        !schema.is_legal(&[0, 1])
            && !schema.is_legal(&[0])
            && !schema.is_legal(&[7, 1])
            && !schema.is_legal(&[])
    );
    assert!(schema.is_legal_prefix(&[]) && !schema.is_legal_prefix(&[0, 0, 0]));
}

#[test]
fn questions_beyond_the_schema_have_empty_answers() {
    let schema =
        ChainSchema::builder("s").with_state(StateDef::ordinal("a", ["low", "high"])).build().unwrap();
    assert_eq!(schema.allowed(1, &[0]), Vec::<bool>::new());
    assert_eq!(schema.domain_size(9), 0);
    assert_eq!(schema.parent_values(9, &[0]), Vec::<u16>::new());
    assert_eq!(schema.state_index("b"), None);
}

#[test]
fn parents_are_read_from_the_prefix() {
    let level = |name: &str| StateDef::ordinal(name, ["low", "moderate", "high"]);
    let schema = ChainSchema::builder("s")
        .with_state(level("a"))
        .with_state(level("b"))
        .with_state(level("c"))
        .with_state(level("d").with_depends_on(["c", "a"]))
        .build()
        .unwrap();
    assert_eq!(schema.states()[3].depends_on(), [0, 2]);
    assert_eq!(schema.parent_values(3, &[1, 0, 2]), [1, 2]);
    assert_eq!(schema.parent_values(3, &[1, 0]), [1]);
    assert_eq!(schema.parent_values(0, &[1, 0, 2]), Vec::<u16>::new());
}

#[test]
fn the_largest_domain_works() {
    let values = (0..65_535).map(|v| format!("v{v}"));
    let schema =
        ChainSchema::builder("s").with_state(StateDef::ordinal("a", values.clone())).build().unwrap();
    assert_eq!(schema.legal_count(), 65_535);
    assert_eq!(schema.legal_chains().last(), Some(vec![65_534]));
    assert!(schema.is_legal(&[65_534]) && !schema.is_legal(&[65_535]));
    let error =
        ChainSchema::builder("s").with_state(StateDef::ordinal("a", values.chain(["more".into()]))).build();
    assert_eq!(error.unwrap_err().to_string(), "state `a`: expected at most 65535 values, found 65536");
}
