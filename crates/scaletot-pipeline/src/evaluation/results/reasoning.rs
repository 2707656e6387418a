//! What the teacher did: its entropies, its cost, and searches to browse.

use serde::{Deserialize, Serialize};

/// Normalised entropies in [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Entropy {
    /// State names.
    pub states: Vec<String>,
    /// Mean per state of the greedy draft.
    pub before: Vec<f64>,
    /// Mean per state of the chosen chain.
    pub after: Vec<f64>,
    /// Share of users whose chain was changed by refinement.
    pub changed: f64,
}

/// What the teacher did over the whole run, and what it would do for everybody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Ledger {
    /// Users reasoned about, counted once per fold in which they are covered.
    pub reasoned: u64,
    /// Of them: users about whom the teacher failed, who are in no chain; the next run asks about them again.
    pub failed: u64,
    /// Questions the searches asked.
    pub questions: u64,
    /// Of them: answered without a model call, because an equal prompt had been asked before or was recorded.
    pub saved: u64,
    /// Tokens that all questions hold.
    pub tokens: u64,
    /// Users of the table who would be reasoned about if everybody were.
    pub everybody: u64,
    /// Mean seconds that the model is busy for one call (time that calls share counts once): when the answers were recorded, or in this
    /// run for a teacher that answers itself.
    pub seconds_per_call: Option<f64>,
    /// Seconds in which the encoder scores a million users on this machine, one thread.
    pub encoder_seconds_per_million: f64,
}

/// A search, to be browsed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SearchTree {
    /// User id, as it came.
    pub user: String,
    /// The profile in words.
    pub profile: String,
    /// States in their order, each with its values.
    pub states: Vec<(String, Vec<String>)>,
    /// Every question that was asked, in order.
    pub questions: Vec<TreeQuestion>,
    /// Every chain that was completed and scored, in order; the first is the greedy draft.
    pub chains: Vec<TreeChain>,
    /// The rounds of refinement.
    pub rounds: Vec<TreeRound>,
    /// Index into `chains` of the chosen one.
    pub chosen: Option<usize>,
    /// Why the search stopped.
    pub stop: String,
    /// Verdict on the user.
    pub verdict: String,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TreeQuestion {
    /// Index of the state.
    pub state: usize,
    /// Values of the earlier states, as indices.
    pub path: Vec<usize>,
    /// The prompt as the teacher saw it.
    pub prompt: String,
    /// The calibrated distribution after constraints, per value of the state.
    pub distribution: Vec<f64>,
    /// Its normalised entropy.
    pub entropy: f64,
    /// Values that constraints removed.
    pub pruned: Vec<usize>,
}

/// One completed chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TreeChain {
    /// Value index per state.
    pub values: Vec<usize>,
    /// Its score `J`.
    pub score: f64,
    /// Round in which it was completed; 0 for the draft.
    pub round: usize,
}

/// One round of refinement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TreeRound {
    /// State that was branched.
    pub state: usize,
    /// Its entropy.
    pub entropy: f64,
    /// Values tried.
    pub tried: Vec<usize>,
    /// Whether a branch became the incumbent, with its gain in score.
    pub gain: Option<f64>,
    /// Whether the incumbent was replaced.
    pub replaced: bool,
}
