//! The distinct situations in which a search may ask about a state.

use std::collections::{BTreeMap, BTreeSet};

use scaletot_chain::ChainSchema;
use scaletot_core::config::ConfigError;

use crate::error::Result;

/// Beyond this many distinct situations before one state, recording everything is not what is wanted.
const MAX_SITUATIONS: usize = 100_000;

/// One state with values of the states before it: the first legal path with those values of its dependencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) state: usize,
    pub(crate) path: Vec<u16>,
}

/// What [`legal_asks`] finds.
#[derive(Debug)]
pub(crate) struct Asks {
    pub(crate) asks: Vec<Ask>,
    /// How many situations there are in all, that differ in what may follow.
    pub(crate) situations: usize,
}

/// Every state with every combination of values of its dependencies that some legal prefix has, each with one such
/// prefix.
///
/// Prefixes that agree on every state that a later dependency or constraint looks at lead to the same questions, so
/// one of each kind is followed and not all chains.
pub(crate) fn legal_asks(schema: &ChainSchema) -> Result<Asks> {
    let (mut asks, mut situations) = (Vec::new(), 0);
    let mut prefixes: Vec<Vec<u16>> = vec![Vec::new()];
    for state in 0..schema.len() {
        situations += prefixes.len();
        let mut seen = BTreeSet::new();
        for prefix in &prefixes {
            if seen.insert(schema.parent_values(state, prefix)) {
                asks.push(Ask { state, path: prefix.clone() });
            }
        }
        let looked_at = looked_at_from(schema, state + 1);
        let mut next: BTreeMap<Vec<u16>, Vec<u16>> = BTreeMap::new();
        for prefix in &prefixes {
            for (value, _) in (0..).zip(schema.allowed(state, prefix)).filter(|(_, allowed)| *allowed) {
                let mut longer = prefix.clone();
                longer.push(value);
                let situation = looked_at.iter().map(|&earlier| longer[earlier]).collect();
                next.entry(situation).or_insert(longer);
            }
        }
        if next.len() > MAX_SITUATIONS {
            let expected = format!("at most {MAX_SITUATIONS} situations to ask about");
            return Err(ConfigError::new("chain", expected, next.len()).into());
        }
        prefixes = next.into_values().collect();
    }
    Ok(Asks { asks, situations })
}

/// The states before `from` that a state or constraint from there on looks at.
pub(crate) fn looked_at_from(schema: &ChainSchema, from: usize) -> Vec<usize> {
    let dependencies = schema.states().iter().skip(from).flat_map(|state| state.depends_on().iter().copied());
    let conditions = schema
        .constraints()
        .iter()
        .filter(|constraint| schema.state_index(constraint.state()).is_some_and(|state| state >= from))
        .flat_map(|constraint| constraint.when().keys().filter_map(|name| schema.state_index(name)));
    let looked_at: BTreeSet<usize> = dependencies.chain(conditions).filter(|&state| state < from).collect();
    looked_at.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use scaletot_chain::{Constraint, StateDef};

    use super::*;

    #[test]
    fn asks_are_those_of_all_legal_chains() {
        let schema = ChainSchema::builder("test")
            .with_state(StateDef::categorical("a", ["x", "y", "z"]))
            .with_state(StateDef::ordinal("b", ["low", "high"]).with_depends_on(["a"]))
            .with_state(StateDef::categorical("c", ["p", "q", "r"]))
            .with_state(StateDef::ordinal("d", ["low", "mid", "high"]).with_depends_on(["a", "c"]))
            .with_state(StateDef::ordinal("e", ["low", "high"]).with_depends_on(["b", "d"]))
            .with_constraint(Constraint::new([("a", "x")], "b", ["high"]))
            .with_constraint(Constraint::new([("b", "high")], "c", ["p", "q"]))
            .with_constraint(Constraint::new([("a", "y"), ("b", "low")], "d", ["mid", "high"]))
            .build()
            .unwrap();
        let mut brute = BTreeSet::new();
        for chain in schema.legal_chains() {
            for state in 0..schema.len() {
                brute.insert((state, schema.parent_values(state, &chain)));
            }
        }
        let asks = legal_asks(&schema).unwrap().asks;
        let found: BTreeSet<_> =
            asks.iter().map(|ask| (ask.state, schema.parent_values(ask.state, &ask.path))).collect();
        assert_eq!(found, brute);
        assert_eq!(asks.len(), brute.len(), "no question twice");
        for ask in &asks {
            assert!(schema.is_legal_prefix(&ask.path) && ask.path.len() == ask.state);
        }
    }

    #[test]
    fn long_chains_of_close_dependencies_stay_small() {
        let mut builder = ChainSchema::builder("long");
        for k in 0..40 {
            let state = StateDef::ordinal(format!("s{k}"), ["a", "b", "c", "d"]);
            let parent = (k > 0).then(|| format!("s{}", k - 1));
            builder = builder.with_state(state.with_depends_on(parent));
        }
        // 4^40 chains, but only 1 + 39 × 4 prompts.
        assert_eq!(legal_asks(&builder.build().unwrap()).unwrap().asks.len(), 157);
    }
}
