//! Training: what SFT and OSIPO share, and the two trainers.

mod checkpoint;
mod clip;
mod early;
pub(crate) mod osipo;
mod run;
mod schedule;
pub(crate) mod sft;
mod split;
mod step;

use burn::tensor::{DType, Device};
pub use checkpoint::Checkpoints;
use scaletot_core::Progress;
use serde::{Deserialize, Serialize};

use crate::config::check;
use crate::error::{Error, Result};

/// What a trainer computes in. Weights, gradients, the optimiser, softmaxes, mean squares of norms and losses are 32-bit floats in any
/// case. OSIPO takes the reference's log-probabilities, and those of sampled chains, in 32 bits, so that with a reduced precision log-ratios
/// carry its rounding from the first step on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Full,
    /// 16-bit floats with the exponents of 32-bit ones, where the device has them.
    Bf16,
}

impl Precision {
    /// The type of the weights that are computed with, if it is not that of the weights that are kept.
    pub(crate) fn dtype(self) -> Option<DType> {
        match self {
            Self::Full => None,
            Self::Bf16 => Some(DType::BF16),
        }
    }

    /// An error if the device does not have it.
    pub(crate) fn check(self, device: &Device) -> Result<()> {
        let has = self.dtype().is_none_or(|dtype| device.supports_dtype(dtype));
        check(has, "precision", "one that the device computes in", format!("{self:?} on {device:?}"))
    }
}

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

/// A table as comma-separated values; all of it is numbers, so that nothing needs quoting.
fn csv(names: &[&str], rows: impl Iterator<Item = Vec<Option<f64>>>) -> String {
    let mut text = names.join(",") + "\n";
    for row in rows {
        let cells: Vec<String> = row.iter().map(|x| x.map_or_else(String::new, |x| x.to_string())).collect();
        text += &(cells.join(",") + "\n");
    }
    text
}

/// Tells a listener about one training run, and that it is over however it ends.
struct Watch<'a> {
    progress: &'a dyn Progress,
    stage: &'static str,
}

impl<'a> Watch<'a> {
    /// Of `steps`, some of which may be done.
    fn start(progress: &'a dyn Progress, stage: &'static str, steps: usize, done: usize) -> Self {
        progress.start(stage, steps as u64);
        progress.advance(done as u64);
        Self { progress, stage }
    }

    /// One step of `epoch` is done; an error if the listener wants to stop.
    fn step(&self, epoch: usize) -> Result<()> {
        self.progress.advance(1);
        if self.progress.stopped() {
            Err(Error::Stopped { stage: self.stage, epoch, checkpoint: None })
        } else {
            Ok(())
        }
    }

    fn message(&self, text: &str) {
        self.progress.message(text);
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.progress.finish();
    }
}
