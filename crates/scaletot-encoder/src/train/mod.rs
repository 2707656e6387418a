//! Training in Burn (feature `train`, which every backend feature switches on).
//!
//! [`Distiller`] trains encoders on a [`DistillData`].

mod batch;
mod data;
mod distill_data;
mod distiller;
mod log;
mod loss;
mod network;
mod objective;
mod outcome;
mod rng;
mod schedule;
mod trained;
mod trainer;
mod unit_network;
mod units;
mod whitening;

pub use distill_data::DistillData;
pub use distiller::Distiller;
pub use log::{DistillLog, EpochLog, Losses, Stop};
pub use loss::{Labelled, Reasoned, representation_loss, state_loss, tier_loss, tweedie_loss, ziln_loss};
pub use trained::TrainedEncoder;
pub use units::{UnitData, UnitTrainer};
