//! What became of a user, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cost::SearchStop;

/// Why a user has no accepted chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
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
        /// Which bound.
        bound: SearchStop,
    },
    /// The teacher gave no usable answer.
    TeacherFailed {
        /// Why, in the teacher's words.
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

/// What became of a user. Closed on purpose: a caller that matches has handled everything that a record can say; what may grow is the
/// [`Reason`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case", deny_unknown_fields)]
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

/// One word, and the reason behind it: `abstained: too few populated profile fields: 1 of the 3 required`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("accepted"),
            Self::Rejected { reason } => write!(f, "rejected: {reason}"),
            Self::Abstained { reason } => write!(f, "abstained: {reason}"),
            Self::Failed { reason } => write!(f, "failed: {reason}"),
        }
    }
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
