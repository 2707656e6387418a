//! Early stopping on users that are held out.

use crate::decoder::CausalLm;

/// Keeps the weights with the lowest loss and says when waiting for lower ones has lasted long enough.
#[derive(Debug)]
pub(super) struct EarlyStopping {
    patience: usize,
    best: Option<(f64, usize, CausalLm)>,
    last: usize,
}

impl EarlyStopping {
    pub(super) fn new(patience: usize) -> Self {
        Self { patience, best: None, last: 0 }
    }

    /// Notes the loss after `epoch`. The weights must be out of any autodiff graph.
    pub(super) fn note(&mut self, epoch: usize, loss: f64, model: CausalLm) {
        self.last = epoch;
        if self.best.as_ref().is_none_or(|(best, ..)| loss < *best) {
            self.best = Some((loss, epoch, model));
        }
    }

    /// Whether `patience` epochs have gone by without a lower loss.
    pub(super) fn is_over(&self) -> bool {
        self.best.as_ref().is_some_and(|(_, epoch, _)| self.last - epoch >= self.patience)
    }

    /// Epoch and weights of the lowest loss.
    pub(super) fn into_best(self) -> Option<(usize, CausalLm)> {
        self.best.map(|(_, epoch, model)| (epoch, model))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::config::StudentConfig;
    use crate::decoder::DecoderConfig;

    #[test]
    fn the_best_is_kept_and_patience_counts_from_it() {
        let config = StudentConfig {
            d_model: 4,
            n_layers: 1,
            n_heads: 1,
            n_kv_heads: 1,
            d_ff: 4,
            ..Default::default()
        };
        let model =
            |seed| CausalLm::new(&DecoderConfig::of_student(&config, 5), seed, &Device::default()).unwrap();
        let mut stopping = EarlyStopping::new(2);
        for (epoch, loss, over) in [(1, 3.0, false), (2, 2.0, false), (3, 2.0, false), (4, 2.5, true)] {
            stopping.note(epoch, loss, model(epoch as u64));
            assert_eq!(stopping.is_over(), over, "epoch {epoch}");
        }
        assert_eq!(stopping.into_best().unwrap().0, 2);
    }
}
