//! Why a run ends.

use serde::{Deserialize, Serialize};

/// Why a training run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stop {
    /// All epochs were run.
    Epochs,
    /// The held-out loss did not fall for `patience` epochs.
    Patience,
}
