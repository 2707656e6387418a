//! The models that a value model can be made of.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A model of `ln(1 + outcome)` that takes part in a value model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Component {
    /// Ridge regression on profile and signals.
    Informed,
    /// Ridge regression on the signals alone.
    Signals,
    /// Ridge regression on the profile alone.
    Ridge,
    /// Every [`BaseLearner`](crate::BaseLearner) that the trainer was given, each a committee of models on the profile alone. Without
    /// one it is nothing.
    Learners,
    /// The expected level of the chain's last state, which ranks users without any outcome.
    Level,
}

impl Component {
    /// Whether it reads signals.
    #[must_use]
    pub fn reads_signals(self) -> bool {
        matches!(self, Self::Informed | Self::Signals | Self::Level)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Informed => "informed",
            Self::Signals => "signals",
            Self::Ridge => "ridge",
            Self::Learners => "learners",
            Self::Level => "level",
        }
    }
}

/// The name, as in a config file.
impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
