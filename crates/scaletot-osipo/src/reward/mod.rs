//! Outcome-driven rewards: how well a chain explains what the user turned out to be worth. Host side, in f64.
//!
//! Outcomes are heavy-tailed and mostly 0, so both rewards look at [`Tiers`] of them instead of amounts.
//! [`OutcomeReward`] asks how much more likely the user's tier is given the chain than given the user's segment
//! alone; [`TierAgreement`] simply compares the tier with the chain's outcome-linked state. Both are this
//! project's own.

mod agreement;
mod outcome;
mod tiers;

pub use agreement::TierAgreement;
pub use outcome::{OutcomeReward, OutcomeRewardConfig, UserOutcome};
pub use tiers::Tiers;
