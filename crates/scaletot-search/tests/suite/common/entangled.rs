//! Chains of states that depend on some of the states before them, and constraints between them.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::*;
use scaletot_search::{Answer, Problem, Query};

/// `depth` states of `width` values; what a state is answered depends on its parents, what is ruled out on one earlier state.
#[derive(Debug, Clone)]
pub(crate) struct Entangled {
    pub(crate) seed: u64,
    pub(crate) width: u8,
    /// For each state those of the earlier ones that its answer depends on.
    pub(crate) parents: Vec<Vec<usize>>,
    /// Given that an earlier state has a value, a later one does not have one: (earlier, value, later, value).
    pub(crate) rules: Vec<(usize, u8, usize, u8)>,
    /// Exponent of the masses: 0 makes all equal, large ones make clear answers.
    pub(crate) sharpness: i32,
}

impl Entangled {
    /// Each state depends on the `order` states before it.
    pub(crate) fn markov(seed: u64, depth: usize, width: u8, order: usize) -> Self {
        let parents = (0..depth).map(|k| (k.saturating_sub(order)..k).collect()).collect();
        Entangled { seed, width, parents, rules: Vec::new(), sharpness: 2 }
    }

    pub(crate) fn answer(&self, query: &Query<u8>) -> Answer<u8> {
        let path = query.path();
        let given: Vec<u8> = self.parents[path.len()].iter().map(|at| path[*at]).collect();
        let mass = |value: u8| {
            let mut hasher = DefaultHasher::new();
            (self.seed, path.len(), &given, value).hash(&mut hasher);
            (0.02 + (hasher.finish() % 1000) as f64 / 1000.0).powi(self.sharpness)
        };
        Answer::exact((0..self.width).map(|value| (value, mass(value))).collect())
    }

    /// The values of some states, as a name.
    fn name(&self, path: &[u8], looked_at: impl IntoIterator<Item = usize>) -> Option<u128> {
        let looked_at: BTreeSet<usize> = looked_at.into_iter().filter(|at| *at < path.len()).collect();
        Some(looked_at.iter().fold(1, |name, at| name * u128::from(self.width) + u128::from(path[*at])))
    }
}

impl Problem for Entangled {
    type Thought = u8;

    fn depth(&self) -> usize {
        self.parents.len()
    }

    fn is_complete(&self, path: &[u8]) -> bool {
        path.len() == self.parents.len()
    }

    fn admissible(&self, path: &[u8], thought: &u8) -> bool {
        let broken = |(earlier, value, later, ruled_out): &(usize, u8, usize, u8)| {
            *later == path.len() && path[*earlier] == *value && thought == ruled_out
        };
        !self.rules.iter().any(broken)
    }

    fn state(&self, path: &[u8]) -> Option<u128> {
        let depended = self.parents.iter().skip(path.len()).flatten().copied();
        let ruled = self.rules.iter().filter(|rule| rule.2 >= path.len()).map(|rule| rule.0);
        self.name(path, depended.chain(ruled))
    }

    fn context(&self, path: &[u8]) -> Option<u128> {
        self.name(path, self.parents.get(path.len())?.iter().copied())
    }

    fn may_dead_end(&self) -> bool {
        // Rules of one state might leave no value.
        let left = |k: usize| {
            let ruled: BTreeSet<u8> = self.rules.iter().filter(|r| r.2 == k).map(|r| r.3).collect();
            ruled.len() < usize::from(self.width)
        };
        !(0..self.parents.len()).all(left)
    }
}

pub(crate) fn entangled() -> impl Strategy<Value = Entangled> {
    let rule = (0usize..4, 0u8..3, 1usize..5, 0u8..3);
    let of_states = prop::collection::vec(any::<u8>(), 1..5);
    (any::<u64>(), 2u8..4, of_states, prop::collection::vec(rule, 0..6), 0i32..5).prop_map(
        |(seed, width, masks, rules, sharpness)| {
            let depth = masks.len();
            let parents = (0..depth).map(|k| (0..k).filter(|j| masks[k] >> j & 1 == 1).collect()).collect();
            let fits = |rule: &(usize, u8, usize, u8)| rule.0 < rule.2 && rule.2 < depth && rule.1 < width;
            let rules = rules.into_iter().filter(|rule| fits(rule) && rule.3 < width).collect();
            Entangled { seed, width, parents, rules, sharpness }
        },
    )
}
