//! What a search is about: the [`Problem`] trait, the queries it raises and the answers it takes.
//!
//! The engine never calls anyone. It hands out [`Query`] values and takes [`Answer`] values, so that a language model,
//! a rule table, a file of recorded answers or a test can stand behind it, one at a time or in batches.

use std::fmt::{self, Debug, Display};
use std::hash::Hash;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::EntropyEstimator;

/// A tree of thoughts: a path of thoughts starts empty and grows by one thought a step until it is complete.
///
/// The methods must be pure: the same path gives the same result whenever it is asked. A trace replays only under
/// this condition.
pub trait Problem {
    /// One step of a path, such as a value of a state or a move of a game.
    type Thought: Clone + Eq + Hash + Debug + Send;

    /// The greatest length of a path. A path of this length that is not complete is a dead end.
    ///
    /// Give it as tightly as it is known: `Refine` under a bound begins a branch only if the bound carries it to this
    /// length.
    fn depth(&self) -> usize;

    /// Whether `path` is a finished solution, so that nothing follows it.
    fn is_complete(&self, path: &[Self::Thought]) -> bool;

    /// Whether `thought` may follow `path`. Inadmissible thoughts are removed from an answer, and the rest is
    /// renormalised, before the entropy is taken.
    fn admissible(&self, _path: &[Self::Thought], _thought: &Self::Thought) -> bool {
        true
    }

    /// Whether self-evaluations of paths can be had. Without them scores rest on probabilities alone: `Greedy`, `Beam` and
    /// `SelfConsistency` never ask for one, `Refine` and `BestOfN` would for complete paths, `Bfs` and `Dfs` for every
    /// path that they weigh.
    fn evaluates(&self) -> bool {
        false
    }

    /// Names what `path` has led to, where different paths can lead to the same: paths of the same length and name must
    /// have the same continuations and be answered alike, whatever led there (transpositions, as chess programs call
    /// them).
    ///
    /// A path of the same length and name as an answered one is not asked about again, and `Bfs` and `Beam` follow
    /// only the best of a level's, `Dfs` the first that it comes to. `SelfConsistency` counts complete paths of the same name as the same answer. Give an exact
    /// code of what was reached, or a 128-bit hash of it. With `None` no two paths are the same.
    fn state(&self, _path: &[Self::Thought]) -> Option<u128> {
        None
    }

    /// The number of thoughts that exist after `path`, admissible or not: `|V_k|` of the normalised entropy.
    ///
    /// `None` stands for the number of thoughts that the answer names, as does a number smaller than that. Give it
    /// where answers are partial (the top few of a larger domain).
    fn domain_size(&self, _path: &[Self::Thought]) -> Option<usize> {
        None
    }
}

macro_rules! forward_problem {
    ($($wrapper:ty),*) => {$(
        impl<P: Problem + ?Sized> Problem for $wrapper {
            type Thought = P::Thought;

            fn depth(&self) -> usize {
                (**self).depth()
            }

            fn is_complete(&self, path: &[Self::Thought]) -> bool {
                (**self).is_complete(path)
            }

            fn admissible(&self, path: &[Self::Thought], thought: &Self::Thought) -> bool {
                (**self).admissible(path, thought)
            }

            fn evaluates(&self) -> bool {
                (**self).evaluates()
            }

            fn state(&self, path: &[Self::Thought]) -> Option<u128> {
                (**self).state(path)
            }

            fn domain_size(&self, path: &[Self::Thought]) -> Option<usize> {
                (**self).domain_size(path)
            }
        }
    )*};
}

forward_problem!(&P, Box<P>, Arc<P>);

/// Names one query of one search. Ids count up from 0 in the order in which queries are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueryId(pub(crate) u64);

impl QueryId {
    /// The id as a number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

/// A question that the search needs answered to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query<T> {
    /// Which thoughts may follow `path`, and how probable is each? Answered by [`Answer::Proposals`].
    Propose {
        /// The thoughts so far.
        path: Vec<T>,
    },
    /// How good is `path`, from 0 to 1, or, if it is not complete, how promising? Answered by [`Answer::Value`].
    Evaluate {
        /// A path; complete in all strategies but `Bfs` and `Dfs`.
        path: Vec<T>,
    },
    /// Which of these paths is the most promising, and how much more so than the others? Answered by
    /// [`Answer::Votes`].
    Vote {
        /// Distinct paths, at least two.
        paths: Vec<Vec<T>>,
    },
}

impl<T> Query<T> {
    /// The path that the query is about; of a vote, the first of its paths.
    #[must_use]
    pub fn path(&self) -> &[T] {
        match self {
            Query::Propose { path } | Query::Evaluate { path } => path,
            Query::Vote { paths } => paths.first().map_or(&[], Vec::as_slice),
        }
    }

    pub(crate) fn expects(&self) -> &'static str {
        match self {
            Query::Propose { .. } => "proposals",
            Query::Evaluate { .. } => "a value",
            Query::Vote { .. } => "votes",
        }
    }
}

/// The answer to a [`Query`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// Answers [`Query::Propose`].
    Proposals {
        /// Distinct thoughts with their masses: finite, at least 0, in any scale and any order. An empty list says that
        /// nothing can follow, which is a dead end; a list without any mass is an error.
        items: Vec<(T, f64)>,
        /// The probability mass that the items had where they were measured, in `[0, 1]`; 1 when nothing else could have
        /// been said. Reported with every step; the items are renormalised either way.
        covered: f64,
        /// How the entropy of the items is known.
        entropy: EntropyInput,
        /// The tokens that the answer cost.
        tokens: u64,
    },
    /// Answers [`Query::Evaluate`].
    Value {
        /// Self-evaluation of the path, in `[0, 1]`. `Bfs` and `Dfs` take exactly 0 as "nothing can come of it".
        value: f64,
        /// The tokens that the answer cost.
        tokens: u64,
    },
    /// Answers [`Query::Vote`].
    Votes {
        /// One number per path of the query, in its order: finite, at least 0, in any scale, not all 0.
        shares: Vec<f64>,
        /// The tokens that the answer cost.
        tokens: u64,
    },
    /// The query could not be answered. The search ends with the best chain so far; whoever answers retries before
    /// that.
    Failed {
        /// Why, in words.
        reason: String,
    },
}

impl<T> Answer<T> {
    /// Proposals that are the whole domain, with exact masses, at no token cost.
    #[must_use]
    pub fn exact(items: Vec<(T, f64)>) -> Self {
        Answer::Proposals { items, covered: 1.0, entropy: EntropyInput::Exact, tokens: 0 }
    }

    /// The tokens that the answer cost; a failure counts none.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        match self {
            Answer::Proposals { tokens, .. }
            | Answer::Value { tokens, .. }
            | Answer::Votes { tokens, .. } => *tokens,
            Answer::Failed { .. } => 0,
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Answer::Proposals { .. } => "proposals",
            Answer::Value { .. } => "a value",
            Answer::Votes { .. } => "votes",
            Answer::Failed { .. } => "a failure",
        }
    }
}

/// How the entropy of a list of proposals is known.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntropyInput {
    /// The masses are the distribution itself: the engine computes the entropy from them, after constraints.
    #[default]
    Exact,
    /// The masses are an estimate, and this is a better estimate of their normalised entropy than the masses give, in
    /// `[0, 1]`. When a constraint removes a thought it no longer describes what is left, and the engine falls back to
    /// the entropy of the remaining masses.
    Given(f64),
    /// The masses are counts of sampled answers, or shares of them; the engine estimates the entropy after constraints.
    Sampled {
        /// Number of samples; above 0 where there are proposals.
        samples: u32,
        /// How to estimate.
        estimator: EntropyEstimator,
    },
    /// Thoughts were left out of the answer, such as those below a server's top few. What is known of the entropy is an
    /// interval ([`entropy_interval`](crate::entropy_interval)), and the search goes by its upper end: what it cannot
    /// see counts as doubt.
    Partial {
        /// The most admissible thoughts that may have been left out.
        missing: usize,
        /// The most mass that they may have together, on the scale of the items.
        mass: f64,
    },
}
