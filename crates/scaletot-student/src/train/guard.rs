//! Progress of one run.

use scaletot_core::Progress;

use crate::error::{Error, Result};

/// Tells a listener about one training run, and that it is over however it ends.
pub(super) struct ProgressGuard<'a> {
    progress: &'a dyn Progress,
    stage: &'static str,
}

impl<'a> ProgressGuard<'a> {
    /// Of `steps`, some of which may be done.
    pub(super) fn start(progress: &'a dyn Progress, stage: &'static str, steps: usize, done: usize) -> Self {
        progress.start(stage, steps as u64);
        progress.advance(done as u64);
        Self { progress, stage }
    }

    /// One step of `epoch` is done; an error if the listener wants to stop.
    pub(super) fn step(&self, epoch: usize) -> Result<()> {
        self.progress.advance(1);
        if self.progress.stopped() {
            Err(Error::Stopped { stage: self.stage, epoch, checkpoint: None })
        } else {
            Ok(())
        }
    }

    pub(super) fn message(&self, text: &str) {
        self.progress.message(text);
    }
}

impl Drop for ProgressGuard<'_> {
    fn drop(&mut self) {
        self.progress.finish();
    }
}
