//! Random problems and answers for the property tests, made from one seed by hashing paths, so that they are pure
//! functions of the path as the engine requires.

pub(crate) mod entangled;
pub(crate) mod table;

use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::*;
use scaletot_search::{
    Answer, BeamConfig, BestOfNConfig, BfsConfig, Budget, DfsConfig, EntropyEstimator, EntropyInput,
    Evaluation, Generation, MarginalConfig, Problem, Proposals, Query, RefineConfig, ScoreConfig, Search,
    SelfConsistencyConfig, Strategy as Search_,
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
    /// Whether paths of the same length that end in the same thought are the same state.
    pub(crate) merges: bool,
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

    /// What is known of a path: all of it, or its state.
    fn seen<'a>(&self, path: &'a [u8], short: &'a mut [u8; 2]) -> &'a [u8] {
        *short = [path.len() as u8, path.last().copied().unwrap_or(0)];
        if self.merges { short } else { path }
    }

    fn unit(&self, what: &str, path: &[u8]) -> f64 {
        (self.draw(what, path) % 1_000_001) as f64 / 1e6
    }

    pub(crate) fn answer(&self, query: &Query<u8>) -> Answer<u8> {
        // What is answered depends on the state alone, as the engine requires.
        let mut short = [0; 2];
        let path = self.seen(query.path(), &mut short);
        let kind = match query {
            Query::Propose { .. } => "propose",
            Query::Evaluate { .. } => "evaluate",
            Query::Vote { .. } => "vote",
            other => panic!("an unknown query: {other:?}"),
        };
        if self.percent("fails", path, self.failing) {
            return Answer::failed(format!("{kind} {path:?}"));
        }
        let tokens = self.draw(kind, path) % (self.tokens + 1);
        match query {
            Query::Evaluate { .. } => {
                let value = if self.percent("worthless", path, 10) { 0.0 } else { self.unit("value", path) };
                Answer::value(value).with_tokens(tokens)
            }
            Query::Vote { paths, .. } => {
                let shares = paths.iter().map(|p| 0.01 + self.unit("share", p)).collect();
                Answer::votes(shares).with_tokens(tokens)
            }
            _ => {
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
                let entropy = match self.draw("kind of entropy", path) % 10 {
                    0 | 1 => EntropyInput::Given(self.unit("entropy", path)),
                    2 => EntropyInput::Sampled { samples: 8, estimator: EntropyEstimator::MillerMadow },
                    3 => EntropyInput::Partial { missing: 2, mass: self.unit("missing", path) },
                    _ => EntropyInput::Exact,
                };
                let covered = self.unit("covered", path);
                Proposals::new(items).with_covered(covered).with_entropy(entropy).with_tokens(tokens).into()
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
        self.percent("complete", self.seen(path, &mut [0; 2]), share)
    }

    fn admissible(&self, path: &[u8], thought: &u8) -> bool {
        let seen: Vec<u8> = self.seen(path, &mut [0; 2]).iter().copied().chain([*thought]).collect();
        !self.percent("forbidden", &seen, self.forbidden)
    }

    fn evaluates(&self) -> bool {
        self.evaluates
    }

    fn state(&self, path: &[u8]) -> Option<u128> {
        let last = u128::from(path.last().copied().unwrap_or(0));
        self.merges.then_some((path.len() as u128) << 8 | last)
    }

    fn domain_size(&self, path: &[u8]) -> Option<usize> {
        self.percent("domain", self.seen(path, &mut [0; 2]), 50).then_some(self.width as usize)
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
            merges: seed % 5 == 0,
            tokens,
        },
    )
}

pub(crate) fn refine() -> impl Strategy<Value = RefineConfig> {
    let numbers = (0u32..10, 1usize..5, 1usize..5, 1u32..4);
    let weights = (0.0..=1.0, 0.01..=1.0, 0.0..0.3, 0.0..=1.0, 0.0..2.0, 0.01..2.0);
    (numbers, weights).prop_map(
        |((rounds, branches, keep, incumbents), (tau, rho, delta, alpha, lambda, temperature))| {
            RefineConfig::default()
                .with_rounds(rounds)
                .with_branches(branches)
                .with_incumbents(incumbents)
                .with_tau(tau)
                .with_rho(rho)
                .with_delta(if delta < 0.1 { 0.0 } else { delta })
                .with_score(score(alpha, lambda, temperature, keep))
        },
    )
}

pub(crate) fn score(alpha: f64, lambda: f64, temperature: f64, keep: usize) -> ScoreConfig {
    ScoreConfig::default().with_alpha(alpha).with_lambda(lambda).with_temperature(temperature).with_keep(keep)
}

fn scores() -> impl Strategy<Value = ScoreConfig> {
    (0.0..=1.0, 0.0..2.0, 0.01..2.0, 1usize..5).prop_map(|(a, l, t, k)| score(a, l, t, k))
}

fn generation() -> impl Strategy<Value = Generation> {
    prop_oneof![
        proptest::option::of(1usize..4).prop_map(|max| Generation::Propose { max }),
        (1usize..5, 0.1..5.0).prop_map(|(draws, temperature)| Generation::Sample { draws, temperature }),
    ]
}

fn evaluation() -> impl Strategy<Value = Evaluation> {
    prop_oneof![Just(Evaluation::Value), Just(Evaluation::Vote)]
}

pub(crate) fn bfs() -> impl Strategy<Value = BfsConfig> {
    let accept = proptest::option::of(0.0..=1.0);
    (1usize..5, generation(), evaluation(), accept, scores()).prop_map(
        |(breadth, generation, evaluation, accept, score)| {
            BfsConfig::default()
                .with_breadth(breadth)
                .with_generation(generation)
                .with_evaluation(evaluation)
                .with_accept(accept)
                .with_score(score)
        },
    )
}

pub(crate) fn dfs() -> impl Strategy<Value = DfsConfig> {
    let accept = proptest::option::of(0.0..=1.0);
    (generation(), evaluation(), 0.0..0.8, accept, scores()).prop_map(
        |(generation, evaluation, threshold, accept, score)| {
            DfsConfig::default()
                .with_generation(generation)
                .with_evaluation(evaluation)
                .with_threshold(threshold)
                .with_accept(accept)
                .with_score(score)
        },
    )
}

pub(crate) fn marginal() -> impl Strategy<Value = MarginalConfig> {
    (1usize..5, 1usize..5)
        .prop_map(|(parallel, keep)| MarginalConfig::default().with_parallel(parallel).with_keep(keep))
}

pub(crate) fn strategy() -> impl Strategy<Value = Search_> {
    let consistency = (1u64..8, 0.1..5.0).prop_map(|(samples, temperature)| {
        SelfConsistencyConfig::default().with_samples(samples).with_temperature(temperature)
    });
    let best_of = (1u64..8, 0.1..5.0, scores()).prop_map(|(samples, temperature, score)| {
        BestOfNConfig::default().with_samples(samples).with_temperature(temperature).with_score(score)
    });
    let beam = (1usize..5, scores())
        .prop_map(|(width, score)| BeamConfig::default().with_width(width).with_score(score));
    prop_oneof![
        1 => Just(Search_::Greedy),
        2 => consistency.prop_map(Search_::SelfConsistency),
        2 => best_of.prop_map(Search_::BestOfN),
        2 => bfs().prop_map(Search_::Bfs),
        2 => dfs().prop_map(Search_::Dfs),
        1 => beam.prop_map(Search_::Beam),
        4 => refine().prop_map(Search_::Refine),
        2 => marginal().prop_map(Search_::Marginal),
    ]
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
