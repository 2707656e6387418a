//! How much of the teacher's probability falls on the labels, over many answers.

use scaletot_core::Progress;

use crate::answer::LabelAnswer;

/// Below this mean, somebody is told of it.
const LOW: f64 = 0.01;

/// A mean of what is added, in the order in which it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    pub(super) fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// `None` if nothing was added.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// Tells of a mean so low that the labels are hardly what the teacher would say.
pub(super) fn warn_of_low_mass(mean: Option<f64>, progress: &dyn Progress) {
    let Some(mean) = mean.filter(|mean| *mean < LOW) else { return };
    tracing::warn!(covered_mass = mean, "the labels have little of the teacher's probability");
    progress.note(&format!(
        "  warning: on average the labels have {mean:.1e} of the teacher's probability, and the rest is on what it would rather say; {}",
        LabelAnswer::LOW_MASS_HINT
    ));
}
