//! A bounded, entropy-guided Tree-of-Thought engine without I/O: hard budgets, typed stop reasons and full traces.
//!
//! A tree-of-thought search that calls a language model itself is hard to bound, to test and to resume, and it cannot
//! share a batch with its neighbours. This engine therefore makes no calls. A [`Search`] is a state machine over any
//! [`Problem`]: it hands out the queries it needs answered, takes the answers in any order, and ends with an
//! [`Outcome`] that holds what it found, what stopped it and what it used. It knows no language model and no user
//! profile. Budgets are never exceeded, the same answers give the same outcome, and the [`Trace`] replays it.
//!
//! # Example
//! A rucksack holds 9 kg; which of four things go in, decided one after the other? The greedy path follows a hunch
//! ("rather take it") and fills up too early; refinement tries the alternatives where the hunch was unsure.
//!
//! ```
//! use scaletot_search::{Answer, Budget, Problem, Query, RefineConfig, ScoreConfig, Search, StopReason, Strategy, drive};
//!
//! const WEIGHT: [u32; 4] = [6, 4, 3, 2];
//! const VALUE: [u32; 4] = [9, 7, 5, 3];
//!
//! struct Rucksack;
//!
//! impl Problem for Rucksack {
//!     type Thought = bool; // is the next thing packed?
//!     fn depth(&self) -> usize { 4 }
//!     fn is_complete(&self, path: &[bool]) -> bool { path.len() == 4 }
//!     fn admissible(&self, path: &[bool], pack: &bool) -> bool {
//!         let load: u32 = path.iter().zip(WEIGHT).filter(|(p, _)| **p).map(|(_, w)| w).sum();
//!         !*pack || load + WEIGHT[path.len()] <= 9
//!     }
//!     fn evaluates(&self) -> bool { true }
//! }
//!
//! let hunch = |query: &Query<bool>| match query {
//!     Query::Propose { path, .. } => {
//!         // Where a thing does not fit, the constraint removes it, and what is left is certain.
//!         let pack = [0.6, 0.7, 0.6, 0.6][path.len()];
//!         Answer::exact(vec![(true, pack), (false, 1.0 - pack)])
//!     }
//!     Query::Evaluate { path, .. } => {
//!         let value: u32 = path.iter().zip(VALUE).filter(|(p, _)| **p).map(|(_, v)| v).sum();
//!         Answer::value(f64::from(value) / 24.0)
//!     }
//!     _ => Answer::failed("neither strategy holds votes"),
//! };
//!
//! let mut greedy = Search::new(Rucksack, Strategy::Greedy, Budget::default(), 0)?;
//! let draft = drive(&mut greedy, hunch)?.best.clone();
//! assert_eq!(draft.map(|b| b.path), Some(vec![true, false, true, false])); // value 14
//!
//! let config = RefineConfig::default().with_rho(1.0).with_rounds(8).with_score(ScoreConfig::default().with_alpha(0.2));
//! let budget = Budget::default().with_queries(60);
//! let mut refine = Search::new(Rucksack, Strategy::Refine(config), budget, 0)?;
//! let outcome = drive(&mut refine, hunch)?;
//! let best = outcome.best.as_ref().map(|b| b.path.clone());
//! assert_eq!(best, Some(vec![false, true, true, true])); // value 15, the optimum
//! assert_eq!(outcome.stop, StopReason::Settled);
//! assert!(outcome.usage.queries <= 60);
//! # Ok::<(), scaletot_search::Error>(())
//! ```
//!
//! # How it works
//! - A [`Strategy`] decides what is asked, from [`Strategy::Greedy`] to [`Strategy::Refine`].
//! - [`Problem::admissible`] prunes thoughts before the entropy of what is left is taken: exactly, from samples
//!   ([`EntropyEstimator`]), or between bounds where answers are partial ([`entropy_interval`]).
//! - Paths that [`Problem::state`] calls the same are asked about once.
//! - Complete paths are scored ([`Score`]), and the outcome holds the best, the runners-up and the posterior per step: of the scored paths, or,
//!   by [`Strategy::Marginal`], of all paths, as intervals that narrow with every answer ([`StepMarginal`]).
//! - A [`Budget`] bounds rounds, depth, nodes, queries, tokens and ticks; [`Strategy::estimate`] gives, before the run,
//!   what it can cost at most. When a bound is hit, the outcome is the best so far, with the bound as [`StopReason`].
//! - [`drive`] runs one search; [`drive_all`], [`Batch`] and `stream` (feature `async`) run many, on threads, in batches or as
//!   futures.
//! - [`Search::replay`] re-runs a [`Trace`], or resumes a search from any prefix of it. A trace serialises, and is
//!   drawn by [`Trace::to_dot`] and [`Trace::to_mermaid`].
//!
//! # Up and down the flow
//! [`scaletot-teacher`](https://docs.rs/scaletot-teacher) answers the queries of searches over user-state chains from language
//! models, recordings and rules, and writes what they find to corpora of
//! [`scaletot-chain`](https://docs.rs/scaletot-chain). Below it there is only
//! [`scaletot-core`](https://docs.rs/scaletot-core).

mod answer;
mod budget;
mod check;
mod config;
mod drive;
mod engine;
mod entropy;
mod error;
mod export;
mod machine;
mod outcome;
mod problem;
mod query;
mod score;
mod search;
mod stop;
mod strategy;
mod trace;
mod tree;

pub use answer::{Answer, EntropyInput, Proposals};
pub use budget::{Budget, Usage};
pub use drive::{Batch, Clock, drive, drive_all};
#[cfg(feature = "async")]
pub use drive::{Concurrency, stream};
pub use entropy::{EntropyEstimator, entropy_interval};
pub use error::{Error, Result};
pub use outcome::{Outcome, PathStep, ScoredPath, StepMarginal};
pub use problem::{Problem, ProblemSize};
pub use query::{Query, QueryId};
#[doc(no_inline)]
pub use scaletot_core::{Order, Pool};
pub use score::{MIN_EVALUATION, MIN_PROBABILITY, Score, ScoreConfig};
pub use search::Search;
pub use stop::{DeadReason, StopReason};
pub use strategy::{
    BeamConfig, BestOfNConfig, BfsConfig, DfsConfig, Estimate, Evaluation, Generation, MarginalConfig,
    RefineConfig, SelfConsistencyConfig, Strategy,
};
pub use trace::{Event, TRACE_FORMAT, Trace};

/// The examples of the README compile and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
