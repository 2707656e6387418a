//! Random problems and answers for the property tests, made from one seed by hashing paths, so that they are pure
//! functions of the path as the engine requires.
#![allow(dead_code, reason = "each test file uses its own share of this module")]

use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::*;
use scaletot_search::{
    Answer, Budget, EntropyInput, Problem, Query, RefineConfig, Search, Strategy as Search_,
};

/// A random tree: each path has its own number of thoughts, masses, dead ends and constraints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wild {
    pub(crate) seed: u64,
    pub(crate) depth: usize,
    pub(crate) width: u64,
    /// Percent of paths, shorter than `depth`, that are complete.
    pub(crate) short: u64,
    /// Percent of thoughts that are inadmissible.
    pub(crate) forbidden: u64,
    /// Percent of answers that are empty.
    pub(crate) empty: u64,
    /// Percent of queries that fail.
    pub(crate) failing: u64,
    pub(crate) evaluates: bool,
    /// Most tokens of an answer.
    pub(crate) tokens: u64,
}

impl Wild {
    fn draw(&self, what: &str, path: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, what, path).hash(&mut hasher);
        hasher.finish()
    }

    fn percent(&self, what: &str, path: &[u8], share: u64) -> bool {
        self.draw(what, path) % 100 < share
    }

    fn unit(&self, what: &str, path: &[u8]) -> f64 {
        (self.draw(what, path) % 1_000_001) as f64 / 1e6
    }

    pub(crate) fn answer(&self, query: &Query<u8>) -> Answer<u8> {
        let path = query.path();
        let kind = if matches!(query, Query::Propose { .. }) { "propose" } else { "evaluate" };
        if self.percent("fails", path, self.failing) {
            return Answer::Failed { reason: format!("{kind} {path:?}") };
        }
        let tokens = self.draw(kind, path) % (self.tokens + 1);
        match query {
            Query::Evaluate { .. } => Answer::Value { value: self.unit("value", path), tokens },
            Query::Propose { .. } => {
                let count = if self.percent("empty", path, self.empty) {
                    0
                } else {
                    1 + self.draw("count", path) % self.width
                };
                let mut items: Vec<(u8, f64)> = Vec::new();
                for thought in 0..count as u8 {
                    let child: Vec<u8> = path.iter().copied().chain([thought]).collect();
                    // Cubed, so that some answers are clear and some are not; some masses are 0.
                    let mass = if self.percent("zero", &child, 10) {
                        0.0
                    } else {
                        self.unit("mass", &child).powi(3)
                    };
                    items.push((thought, mass));
                }
                if items.iter().all(|(_, m)| *m == 0.0) {
                    items.iter_mut().take(1).for_each(|(_, m)| *m = 0.5);
                }
                let entropy = if self.percent("given", path, 20) {
                    EntropyInput::Given(self.unit("entropy", path))
                } else {
                    EntropyInput::Exact
                };
                Answer::Proposals { items, covered: self.unit("covered", path), entropy, tokens }
            }
        }
    }
}

impl Problem for Wild {
    type Thought = u8;

    fn depth(&self) -> usize {
        self.depth
    }

    fn is_complete(&self, path: &[u8]) -> bool {
        // Some paths end early, and some of the longest are not complete.
        let share = if path.len() >= self.depth { 90 } else { self.short };
        self.percent("complete", path, share)
    }

    fn admissible(&self, path: &[u8], thought: &u8) -> bool {
        let child: Vec<u8> = path.iter().copied().chain([*thought]).collect();
        !self.percent("forbidden", &child, self.forbidden)
    }

    fn evaluates(&self) -> bool {
        self.evaluates
    }

    fn domain_size(&self, path: &[u8]) -> Option<usize> {
        self.percent("domain", path, 50).then_some(self.width as usize)
    }
}

pub(crate) fn wild() -> impl Strategy<Value = Wild> {
    (any::<u64>(), 0usize..6, 1u64..6, 0u64..30, 0u64..50, 0u64..25, any::<bool>(), 0u64..50).prop_map(
        |(seed, depth, width, short, forbidden, empty, evaluates, tokens)| Wild {
            seed,
            depth,
            width,
            // Half of the problems have paths of one length.
            short: if seed % 2 == 0 { 0 } else { short },
            forbidden,
            empty: if seed % 3 == 0 { empty } else { 0 },
            failing: 0,
            evaluates,
            tokens,
        },
    )
}

pub(crate) fn refine() -> impl Strategy<Value = RefineConfig> {
    let numbers = (0u32..10, 1usize..5, 1usize..5);
    let weights = (0.0..=1.0, 0.01..=1.0, 0.0..0.3, 0.0..=1.0, 0.0..2.0, 0.01..2.0);
    (numbers, weights).prop_map(
        |((rounds, branches, keep), (tau, rho, delta, alpha, lambda, temperature))| {
            RefineConfig::default()
                .with_rounds(rounds)
                .with_branches(branches)
                .with_keep(keep)
                .with_tau(tau)
                .with_rho(rho)
                .with_delta(if delta < 0.1 { 0.0 } else { delta })
                .with_alpha(alpha)
                .with_lambda(lambda)
                .with_temperature(temperature)
        },
    )
}

pub(crate) fn strategy() -> impl Strategy<Value = Search_> {
    prop_oneof![1 => Just(Search_::Greedy), 4 => refine().prop_map(Search_::Refine)]
}

/// Budgets without a bound on time; ticks are the driver's affair and have tests of their own.
pub(crate) fn budget() -> impl Strategy<Value = Budget> {
    let of = proptest::option::of::<std::ops::Range<u64>>;
    (of(0..8), of(0..7), of(0..40), of(0..40), of(0..400)).prop_map(
        |(rounds, depth, nodes, queries, tokens)| {
            let mut budget = Budget::default();
            budget.rounds = rounds.map(|r| r as u32);
            budget.depth = depth.map(|d| d as usize);
            budget.nodes = nodes;
            budget.queries = queries;
            match tokens {
                Some(tokens) => budget.with_tokens(tokens, 50),
                None => budget,
            }
        },
    )
}

/// Runs to the end and answers each wave in the order that `shuffle` (one draw per wave) gives.
pub(crate) fn run(search: &mut Search<Wild>, mut shuffle: impl FnMut(usize) -> usize) {
    let problem = *search.problem();
    while !search.is_done() {
        let mut wave = search.open();
        assert!(!wave.is_empty(), "neither done nor asking");
        while !wave.is_empty() {
            let (id, query) = wave.remove(shuffle(wave.len()) % wave.len());
            search.answer(id, problem.answer(&query)).expect("a well-formed answer");
        }
    }
}
