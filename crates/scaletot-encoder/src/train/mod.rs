//! Training in Burn (feature `train`, which every backend feature switches on).
//!
//! [`distill`] trains the encoder: from the student's signals on the users it reasoned about, from outcomes on the users
//! whose outcome is known, or from outcomes alone, which is the *profile-only* network that signals have to beat.

mod batch;
mod data;
mod distill;
mod log;
mod loss;
mod network;
mod objective;
mod outcome;
mod rng;
mod schedule;
mod trained;
mod whitening;

pub use distill::distill;
pub use log::{EpochLog, Losses, Stop, TrainLog};
pub use loss::{Labelled, Reasoned, representation_loss, state_loss, tier_loss, tweedie_loss, ziln_loss};
pub use trained::TrainedEncoder;
