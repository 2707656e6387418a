//! The answers that a search takes.

use serde::{Deserialize, Serialize};

use crate::entropy::EntropyEstimator;

/// The answer to a [`Query`](crate::Query), made by one of the functions below.
///
/// ```
/// use scaletot_search::{Answer, EntropyEstimator, EntropyInput, Proposals};
///
/// let whole = Answer::exact(vec![("low", 0.7), ("high", 0.3)]);
/// // Two labels seen among twenty samples, which took 160 tokens.
/// let (samples, estimator) = (20, EntropyEstimator::MillerMadow);
/// let sampled = Proposals::new(vec![("low", 13.0), ("high", 7.0)])
///     .with_entropy(EntropyInput::Sampled { samples, estimator })
///     .with_tokens(160);
/// assert_eq!((whole.tokens(), Answer::from(sampled).tokens()), (0, 160));
/// assert_eq!(Answer::<&str>::value(0.5).with_tokens(12).tokens(), 12);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Answer<T> {
    /// Answers [`Query::Propose`](crate::Query::Propose).
    Proposals(Proposals<T>),
    /// Answers [`Query::Evaluate`](crate::Query::Evaluate).
    #[non_exhaustive]
    Value {
        /// Self-evaluation of the path, in `[0, 1]`. `Bfs` and `Dfs` take exactly 0 as "nothing can come of it".
        value: f64,
        /// The tokens that the answer cost.
        tokens: u64,
    },
    /// Answers [`Query::Vote`](crate::Query::Vote).
    #[non_exhaustive]
    Votes {
        /// One number per path of the query, in its order: finite, at least 0, in any scale, not all 0.
        shares: Vec<f64>,
        /// The tokens that the answer cost.
        tokens: u64,
    },
    /// The query could not be answered. The search ends with the best chain so far; a caller that wants to try again
    /// does so before this.
    #[non_exhaustive]
    Failed {
        /// Why, in words.
        reason: String,
    },
}

/// Which thoughts may follow a path, with their masses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposals<T> {
    items: Vec<(T, f64)>,
    covered: f64,
    entropy: EntropyInput,
    tokens: u64,
}

impl<T> Proposals<T> {
    /// Distinct thoughts with their masses: finite, at least 0, in any scale and any order. An empty list means that
    /// nothing can follow, which is a dead end; a list without any mass is an error.
    ///
    /// They are taken for the whole domain with exact masses, at no token cost, unless set otherwise.
    #[must_use]
    pub fn new(items: Vec<(T, f64)>) -> Self {
        Self { items, covered: 1.0, entropy: EntropyInput::Exact, tokens: 0 }
    }

    /// Sets the probability mass that the items had where they were measured, in `[0, 1]`; 1 when nothing else was
    /// possible. Reported with every step; the items are renormalised either way.
    #[must_use]
    pub fn with_covered(mut self, covered: f64) -> Self {
        self.covered = covered;
        self
    }

    /// Sets how the entropy of the items is known.
    #[must_use]
    pub fn with_entropy(mut self, entropy: EntropyInput) -> Self {
        self.entropy = entropy;
        self
    }

    /// Sets the tokens that the answer cost.
    #[must_use]
    pub fn with_tokens(mut self, tokens: u64) -> Self {
        self.tokens = tokens;
        self
    }

    /// The thoughts with their masses.
    #[must_use]
    pub fn items(&self) -> &[(T, f64)] {
        &self.items
    }

    /// The probability mass that the items had where they were measured.
    #[must_use]
    pub fn covered(&self) -> f64 {
        self.covered
    }

    /// How the entropy of the items is known.
    #[must_use]
    pub fn entropy(&self) -> EntropyInput {
        self.entropy
    }

    /// The tokens that the answer cost.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The thoughts with their masses, by value.
    #[must_use]
    pub fn into_items(self) -> Vec<(T, f64)> {
        self.items
    }
}

impl<T> From<Proposals<T>> for Answer<T> {
    fn from(proposals: Proposals<T>) -> Self {
        Answer::Proposals(proposals)
    }
}

impl<T> Answer<T> {
    /// Proposals that are the whole domain, with exact masses, at no token cost; [`Proposals`] has the other cases.
    #[must_use]
    pub fn exact(items: Vec<(T, f64)>) -> Self {
        Answer::Proposals(Proposals::new(items))
    }

    /// A self-evaluation of a path, in `[0, 1]`, at no token cost. `Bfs` and `Dfs` take exactly 0 as "nothing can come of
    /// it".
    #[must_use]
    pub fn value(value: f64) -> Self {
        Answer::Value { value, tokens: 0 }
    }

    /// Votes, one number per path of the query, in its order: finite, at least 0, in any scale, not all 0; at no token
    /// cost.
    #[must_use]
    pub fn votes(shares: Vec<f64>) -> Self {
        Answer::Votes { shares, tokens: 0 }
    }

    /// No answer, and why, in words.
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        Answer::Failed { reason: reason.into() }
    }

    /// Sets the tokens that the answer cost; a failure counts none.
    #[must_use]
    pub fn with_tokens(self, tokens: u64) -> Self {
        match self {
            Answer::Proposals(proposals) => Answer::Proposals(proposals.with_tokens(tokens)),
            Answer::Value { value, .. } => Answer::Value { value, tokens },
            Answer::Votes { shares, .. } => Answer::Votes { shares, tokens },
            failed @ Answer::Failed { .. } => failed,
        }
    }

    /// The tokens that the answer cost; a failure counts none.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        match self {
            Answer::Proposals(proposals) => proposals.tokens,
            Answer::Value { tokens, .. } | Answer::Votes { tokens, .. } => *tokens,
            Answer::Failed { .. } => 0,
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Answer::Proposals(_) => "proposals",
            Answer::Value { .. } => "a value",
            Answer::Votes { .. } => "votes",
            Answer::Failed { .. } => "a failure",
        }
    }
}

/// How the entropy of a list of proposals is known.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
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
