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

pub use checkpoint::Checkpoints;
use scaletot_profile::Progress;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

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
