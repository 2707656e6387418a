//! Outcome-driven rewards: how well a chain explains what the user turned out to be worth. Host side, in f64.
//!
//! Outcomes are heavy-tailed and mostly 0, so that rewards look at [`Tiers`] of them rather than at amounts.
//!
//! - [`OutcomeModel`] asks how much more probable the user's outcome is given **all** states of the chain than given the user's segment alone:
//!   additive effects, fitted under the posteriors of users' chains. It is what the evidence objective needs, and values chains for
//!   ranking.
//! - [`OutcomeReward`] asks the same of the outcome-linked state alone, by histograms with a cell for each segment and value; what each user
//!   brought into them is left out exactly. For preferences and policy gradients, whose chains mostly differ there.
//! - [`TierAgreement`] simply compares the tier with the outcome-linked state.
//!
//! All are this project's own.

mod agreement;
mod model;
mod outcome;
mod tiers;

pub use agreement::TierAgreement;
pub use model::{OutcomeFit, OutcomeKind, OutcomeModel, OutcomeModelConfig};
pub(crate) use model::{Statistics, Without};
pub use outcome::{OutcomeReward, OutcomeRewardConfig, UserOutcome};
pub use tiers::Tiers;
pub(crate) use tiers::check_outcomes;
