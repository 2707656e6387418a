//! What a comparison shows, in words that claim no more than there is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which way a shown difference goes. Closed on purpose: a difference other than 0 goes one of two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The first is better than the second.
    Better,
    /// The first is worse than the second.
    Worse,
}

/// What a comparison shows. There is no "equal": an interval that contains 0 shows no difference, which is not the same
/// as showing that there is none. Closed on purpose: a caller that matches has handled all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The interval of the difference does not contain 0.
    Shown(Direction),
    /// The interval contains 0: the difference is within noise.
    NoDifferenceShown,
    /// Too few users tell something, or the metric is undefined on too many resamples, for a difference to be shown at all; see
    /// [`Interval::shortage`](crate::Interval::shortage).
    TooLittleData,
}

impl Verdict {
    /// Whether a difference is shown, in either direction.
    #[must_use]
    pub fn is_shown(self) -> bool {
        matches!(self, Self::Shown(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Shown(Direction::Better) => "shown to be better",
            Self::Shown(Direction::Worse) => "shown to be worse",
            Self::NoDifferenceShown => "no difference shown (within noise)",
            Self::TooLittleData => "no difference can be shown (too little data)",
        })
    }
}
