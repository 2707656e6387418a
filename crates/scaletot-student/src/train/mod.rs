//! Training: what SFT and OSIPO share, and the two trainers.

mod checkpoint;
mod clip;
mod csv;
mod early;
mod guard;
mod objective;
pub(crate) mod osipo;
mod schedule;
pub(crate) mod sft;
mod split;
mod step;
mod stop;
mod trainer;

pub use checkpoint::Checkpoints;
pub use stop::Stop;
