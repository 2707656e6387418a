//! Early stopping on users that are held out.

/// Keeps the weights with the lowest loss and says when waiting for lower ones has lasted long enough.
#[derive(Debug)]
pub(super) struct EarlyStopping<M> {
    patience: usize,
    best: Option<(f64, usize, M)>,
    last: usize,
}

impl<M> EarlyStopping<M> {
    pub(super) fn new(patience: usize) -> Self {
        Self { patience, best: None, last: 0 }
    }

    /// Notes the loss after `epoch`. The weights must be out of any autodiff graph.
    pub(super) fn note(&mut self, epoch: usize, loss: f64, model: M) {
        self.last = epoch;
        if self.best.as_ref().is_none_or(|(best, ..)| loss < *best) {
            self.best = Some((loss, epoch, model));
        }
    }

    /// Whether `patience` epochs have gone by without a lower loss.
    pub(super) fn is_over(&self) -> bool {
        self.best.as_ref().is_some_and(|(_, epoch, _)| self.last - epoch >= self.patience)
    }

    /// Resumes with what was noted until `epoch`.
    pub(super) fn resume(&mut self, epoch: usize, best: Option<((f64, usize), M)>) {
        self.last = epoch;
        self.best = best.map(|((loss, epoch), model)| (loss, epoch, model));
    }

    /// The lowest loss with its epoch and weights.
    pub(super) fn best(&self) -> Option<&(f64, usize, M)> {
        self.best.as_ref()
    }

    /// Epoch and weights of the lowest loss.
    pub(super) fn into_best(self) -> Option<(usize, M)> {
        self.best.map(|(_, epoch, model)| (epoch, model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_kept_and_patience_counts_from_it() {
        let mut stopping = EarlyStopping::new(2);
        for (epoch, loss, over) in [(1, 3.0, false), (2, 2.0, false), (3, 2.0, false), (4, 2.5, true)] {
            let mut resumed = EarlyStopping::new(2);
            resumed.resume(epoch - 1, stopping.best().map(|(loss, epoch, model)| ((*loss, *epoch), *model)));
            stopping = resumed;
            stopping.note(epoch, loss, epoch);
            assert_eq!(stopping.is_over(), over, "epoch {epoch}");
        }
        assert_eq!(stopping.into_best(), Some((2, 2)));
    }
}
