//! What the teacher's work on one user leaves behind: verdict, chains, posterior, cost.

use std::fmt;

use scaletot_profile::UserId;
use serde::{Deserialize, Serialize};

use crate::check;
use crate::error::{Error, Result};
use crate::{Chain, ChainSchema};

/// Why a user has no accepted chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The profile has too few populated fields to reason from.
    TooFewFields {
        /// Fields with a value.
        populated: usize,
        /// Fields that were required.
        required: usize,
    },
    /// Nothing in the profile bears on the states.
    NoEvidence,
    /// The best chain scores under the bar.
    LowScore {
        /// Its score.
        score: f64,
        /// The bar.
        bar: f64,
    },
    /// Every branch ended at a state with no value left.
    DeadEnd,
    /// The search hit a bound before it had one whole chain.
    OutOfBudget {
        /// Which bound, in words.
        bound: String,
    },
    /// The teacher gave no usable answer.
    TeacherFailed {
        /// What it said.
        message: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewFields { populated, required } => {
                write!(f, "too few populated profile fields: {populated} of the {required} required")
            }
            Self::NoEvidence => f.write_str("nothing in the profile bears on the states"),
            Self::LowScore { score, bar } => write!(f, "best score {score} is under the bar {bar}"),
            Self::DeadEnd => f.write_str("every branch ended at a state with no value left"),
            Self::OutOfBudget { bound } => write!(f, "hit a bound before the first whole chain: {bound}"),
            Self::TeacherFailed { message } => write!(f, "the teacher failed: {message}"),
        }
    }
}

/// What became of a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The best chain is good enough to teach a student.
    Accepted,
    /// There is a chain, and it is not good enough.
    Rejected {
        /// Why.
        reason: Reason,
    },
    /// The user was not reasoned about, on purpose.
    Abstained {
        /// Why.
        reason: Reason,
    },
    /// Reasoning was tried and broke.
    Failed {
        /// Why.
        reason: Reason,
    },
}

impl Verdict {
    /// Whether the best chain was accepted.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted)
    }

    /// Why not, unless it was.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Accepted => None,
            Self::Rejected { reason } | Self::Abstained { reason } | Self::Failed { reason } => Some(reason),
        }
    }
}

/// What one user's search used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchCost {
    /// Queries answered by the teacher.
    pub queries: u64,
    /// Nodes of the search tree.
    pub nodes: u64,
    /// Rounds of refinement.
    pub rounds: u32,
    /// Tokens the teacher's answers took.
    pub tokens: u64,
    /// What ended the search.
    pub stop: String,
}

/// Everything the search found out about one user: a line of the corpus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChainRecord {
    /// The user, under the id it came with.
    pub user: UserId,
    /// What became of the user.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The best chain, if there is one; always there when accepted.
    #[serde(default)]
    pub best: Option<Chain>,
    /// Further chains that were kept, best first.
    #[serde(default)]
    pub runners_up: Vec<Chain>,
    /// For each state the probability of each of its values over all scored chains; empty if none was scored.
    #[serde(default)]
    pub posterior: Vec<Vec<f64>>,
    /// For each state the normalised entropy in the first draft, before refinement; empty if there was no draft.
    #[serde(default)]
    pub entropy_before: Vec<f64>,
    /// What the search used.
    #[serde(default)]
    pub cost: SearchCost,
}

impl ChainRecord {
    /// A record with a verdict and nothing else; set the fields for the rest.
    ///
    /// ```
    /// use scaletot_chain::{ChainRecord, Reason, Verdict};
    /// use scaletot_profile::UserId;
    ///
    /// let reason = Reason::TooFewFields { populated: 0, required: 2 };
    /// let record = ChainRecord::new(UserId::Int(7), Verdict::Abstained { reason });
    /// assert!(!record.verdict.is_accepted() && record.best.is_none());
    /// ```
    pub fn new(user: UserId, verdict: Verdict) -> Self {
        Self {
            user,
            verdict,
            best: None,
            runners_up: Vec::new(),
            posterior: Vec::new(),
            entropy_before: Vec::new(),
            cost: SearchCost::default(),
        }
    }

    /// Sets [`best`](Self::best).
    #[must_use]
    pub fn with_best(mut self, best: Option<Chain>) -> Self {
        self.best = best;
        self
    }

    /// Sets [`runners_up`](Self::runners_up).
    #[must_use]
    pub fn with_runners_up(mut self, runners_up: Vec<Chain>) -> Self {
        self.runners_up = runners_up;
        self
    }

    /// Sets [`posterior`](Self::posterior).
    #[must_use]
    pub fn with_posterior(mut self, posterior: Vec<Vec<f64>>) -> Self {
        self.posterior = posterior;
        self
    }

    /// Sets [`entropy_before`](Self::entropy_before).
    #[must_use]
    pub fn with_entropy_before(mut self, entropy_before: Vec<f64>) -> Self {
        self.entropy_before = entropy_before;
        self
    }

    /// Sets [`cost`](Self::cost).
    #[must_use]
    pub fn with_cost(mut self, cost: SearchCost) -> Self {
        self.cost = cost;
        self
    }

    /// All chains of the record: the best first, then the runners-up.
    pub fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.best.iter().chain(&self.runners_up)
    }

    /// Checks the record against `schema`: every chain as [`Chain::check`] does, the posterior over every domain, and
    /// what [`check_numbers`](Self::check_numbers) checks.
    ///
    /// # Errors
    /// The first thing that does not hold, inside [`Error::InRecord`].
    pub fn check(&self, schema: &ChainSchema) -> Result<()> {
        let fits = || {
            self.chains().try_for_each(|c| c.check(schema))?;
            if !self.posterior.is_empty() {
                expect_length("posterior", schema.len(), self.posterior.len())?;
                for (state, p) in schema.states().iter().zip(&self.posterior) {
                    expect_length(
                        &format!("posterior of state `{}`", state.name()),
                        state.values().len(),
                        p.len(),
                    )?;
                }
            }
            if !self.entropy_before.is_empty() {
                expect_length("entropy before refinement", schema.len(), self.entropy_before.len())?;
            }
            Ok(())
        };
        fits().map_err(|e| self.locate(e))?;
        self.check_numbers()
    }

    /// Checks what needs no schema: an accepted record has a best chain, posteriors are distributions, entropies lie in
    /// `[0, 1]`, scores are finite. What a corpus cannot hold, JSON having no NaN, it finds too.
    ///
    /// # Errors
    /// The first thing that does not hold, inside [`Error::InRecord`].
    pub fn check_numbers(&self) -> Result<()> {
        let check = || {
            if self.verdict.is_accepted() && self.best.is_none() {
                return Err(Error::AcceptedWithoutChain);
            }
            if let Some(Reason::LowScore { score, bar }) = self.verdict.reason() {
                check::finite(|| "score of the verdict".to_owned(), *score)?;
                check::finite(|| "bar of the verdict".to_owned(), *bar)?;
            }
            for (k, p) in self.posterior.iter().enumerate() {
                check::distribution(|| format!("posterior of state #{}", k + 1), p)?;
            }
            for (k, &h) in self.entropy_before.iter().enumerate() {
                check::unit(|| format!("entropy before refinement of state #{}", k + 1), h)?;
            }
            Ok(())
        };
        check().map_err(|e| self.locate(e))
    }

    fn locate(&self, error: Error) -> Error {
        Error::InRecord { user: self.user.to_string(), error: Box::new(error) }
    }
}

fn expect_length(what: &str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::WrongLength { what: what.to_owned(), expected, found })
}
