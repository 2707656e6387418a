//! The training loop.

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use rand::distr::weighted::WeightedIndex;
use scaletot_core::Progress;

use super::batch::{Batch, Sampler};
use super::data::TrainingData;
use super::log::{DistillLog, EpochLog, Losses, MeanLosses, Stop};
use super::network::EncoderNetwork;
use super::objective::{LossWeights, Objective, hardness};
use super::outcome::OutcomeTask;
use super::schedule::{Schedule, clip_global_norm};
use crate::choices::RepresentationLoss;
use crate::config::{DistillConfig, EncoderConfig};
use crate::error::{Error, Result};
use crate::features::Features;

/// The loop over epochs, with all that it reads.
pub(super) struct Trainer<'a> {
    pub(super) config: &'a DistillConfig,
    pub(super) encoder: &'a EncoderConfig,
    pub(super) task: &'a OutcomeTask,
    pub(super) data: &'a TrainingData,
    pub(super) features: &'a Features,
    /// Sizes of the states.
    pub(super) states: &'a [usize],
    /// Epochs at most.
    pub(super) epochs: usize,
    pub(super) seed: u64,
    pub(super) progress: &'a dyn Progress,
}

/// What takes the steps, at the schedule's rates.
struct Optimisation {
    optimizer: ModuleOptimizer,
    schedule: Schedule,
}

/// The best weights so far.
struct Best {
    network: EncoderNetwork,
    /// From 1.
    epoch: usize,
    loss: f64,
}

impl Trainer<'_> {
    pub(super) fn run(
        &self,
        mut network: EncoderNetwork,
        fit: &[usize],
        held_out: &[usize],
    ) -> Result<(EncoderNetwork, DistillLog)> {
        let config = self.config;
        let mut sampler = Sampler::new(config, self.encoder.min_populated, self.seed);
        let steps = sampler.items(fit.len()).div_ceil(config.batch_size);
        let mut optimisation = Optimisation {
            // PyTorch's ε; Burn's default is a thousand times larger.
            optimizer: AdamWConfig::new()
                .with_epsilon(1e-8)
                .with_weight_decay(config.weight_decay as f32)
                .init(),
            schedule: Schedule::new(config.learning_rate, config.warmup, steps * self.epochs),
        };
        let validation = self.validation(held_out)?;
        let mut log = DistillLog {
            epochs: Vec::new(),
            best_epoch: 0,
            stop: Stop::Epochs,
            train_rows: fit.len(),
            validation_rows: held_out.len(),
            labelled_rows: self.data.labelled(),
            reasoned_rows: self.data.reasoned(),
        };
        let mut best: Option<Best> = None;
        let mut hard = None;
        for epoch in 1..=self.epochs {
            let train;
            let items = sampler.epoch(fit, hard.as_ref());
            (network, train) = self.epoch(epoch, network, &items, &mut sampler, &mut optimisation)?;
            let snapshot = network.valid();
            let validation = self.validate(&snapshot, &validation)?;
            // Without held-out rows the last weights are the ones to keep.
            let loss = validation.map_or(f64::NEG_INFINITY, |losses| losses.total);
            if loss.is_nan() || loss == f64::INFINITY {
                return Err(Error::NonFinite { what: "held-out loss", epoch, step: steps, value: loss });
            }
            self.progress.message(&message(&train.train, validation.as_ref()));
            self.progress.advance(1);
            log.epochs.push(EpochLog { validation, ..train });
            if config.hard_users > 0.0 && epoch < self.epochs {
                hard = self.hard_users(&snapshot, fit, epoch)?;
            }
            if best.as_ref().is_none_or(|best| loss < best.loss || held_out.is_empty()) {
                best = Some(Best { network: snapshot, epoch, loss });
            }
            if best.as_ref().is_some_and(|best| epoch - best.epoch >= config.patience) {
                log.stop = Stop::Patience;
                break;
            }
        }
        let Some(best) = best else {
            return Err(Error::NothingToLearn { reason: "no epoch was run".into() });
        };
        log.best_epoch = best.epoch;
        tracing::debug!(epoch = best.epoch, stop = ?log.stop, "encoder trained");
        Ok((best.network, log))
    }

    fn epoch(
        &self,
        epoch: usize,
        mut network: EncoderNetwork,
        items: &[(usize, bool)],
        sampler: &mut Sampler,
        optimisation: &mut Optimisation,
    ) -> Result<(EncoderNetwork, EpochLog)> {
        let steps = items.len().div_ceil(self.config.batch_size);
        let (mut means, mut norms, mut rate) = (MeanLosses::default(), 0.0, 0.0);
        for (step, items) in items.chunks(self.config.batch_size).enumerate() {
            if self.progress.stopped() {
                return Err(Error::Stopped { epochs: epoch - 1 });
            }
            let dropped = sampler.dropped(self.features, items);
            let indices: Vec<usize> = items.iter().map(|&(index, _)| index).collect();
            let batch = self.batch(&indices, &dropped)?;
            let masks = sampler.masks(items.len(), &self.encoder.hidden);
            let done = (epoch - 1) * steps + step;
            let share = done as f64 / (steps * self.epochs) as f64;
            let weights = LossWeights::at(self.config, share);
            let heads = network.forward(&batch.features, &masks);
            let (losses, total) = self.objective().losses(&heads, &batch, weights)?;
            let non_finite = |what, value| Error::NonFinite { what, epoch, step: step + 1, value };
            let Some(total) = total else { continue };
            if !losses.total.is_finite() {
                return Err(non_finite("training loss", losses.total));
            }
            let mut gradients = GradientsParams::from_grads(total.backward(), &network);
            let norm = clip_global_norm(&network, &mut gradients, self.config.clip_norm)?;
            if !norm.is_finite() {
                return Err(non_finite("gradient norm", norm));
            }
            rate = optimisation.schedule.rate(done);
            network = optimisation.optimizer.step(rate, network, gradients);
            let [rows, labelled, reasoned] =
                [items.len(), batch.labelled.len(), batch.reasoned.len()].map(|count| count as f64);
            means.add(&losses, rows, labelled, reasoned);
            norms += norm;
        }
        let gradient_norm = norms / steps.max(1) as f64;
        let train = means.mean();
        Ok((network, EpochLog { epoch, train, validation: None, learning_rate: rate, gradient_norm }))
    }

    fn objective(&self) -> Objective<'_> {
        Objective { config: self.config, task: self.task }
    }

    fn batch(&self, indices: &[usize], dropped: &[bool]) -> Result<Batch> {
        Batch::new(self.data, self.features, self.states, indices, dropped)
    }

    /// The held-out rows in one batch; where a loss depends on who else is in the batch, in batches as in training.
    fn validation(&self, held_out: &[usize]) -> Result<Vec<Batch>> {
        let size = match self.config.representation {
            RepresentationLoss::Contrastive { .. } => self.config.batch_size,
            RepresentationLoss::Cosine | RepresentationLoss::WhitenedMse => held_out.len().max(1),
        };
        held_out.chunks(size).map(|indices| self.batch(indices, &[])).collect()
    }

    /// The held-out losses, without dropout; `None` when nothing is held out.
    fn validate(&self, network: &EncoderNetwork, batches: &[Batch]) -> Result<Option<Losses>> {
        let weights = LossWeights::at(self.config, 1.0);
        let mut means = MeanLosses::default();
        for batch in batches {
            let heads = network.forward(&batch.features, &[]);
            let (losses, _) = self.objective().losses(&heads, batch, weights)?;
            let [labelled, reasoned] = [batch.labelled.len(), batch.reasoned.len()].map(|count| count as f64);
            means.add(&losses, 1.0, labelled, reasoned);
        }
        let mut losses = means.mean();
        losses.total = weights.total(&losses);
        Ok((!batches.is_empty()).then_some(losses))
    }

    /// The fit rows by their own losses; `None` when every loss is 0.
    fn hard_users(
        &self,
        network: &EncoderNetwork,
        fit: &[usize],
        epoch: usize,
    ) -> Result<Option<WeightedIndex<f64>>> {
        let weights = LossWeights::at(self.config, epoch as f64 / self.epochs as f64);
        let mut rows = Vec::with_capacity(fit.len());
        for indices in fit.chunks(self.config.batch_size) {
            let batch = self.batch(indices, &[])?;
            let heads = network.forward(&batch.features, &[]);
            rows.extend(self.objective().rows(&heads, &batch, weights)?);
        }
        let hardness = hardness(&rows);
        if let Some(&value) = hardness.iter().find(|hardness| !hardness.is_finite()) {
            let step = fit.len().div_ceil(self.config.batch_size);
            return Err(Error::NonFinite { what: "a training user's loss", epoch, step, value });
        }
        Ok(WeightedIndex::new(hardness).ok())
    }
}

fn message(train: &Losses, validation: Option<&Losses>) -> String {
    match validation {
        Some(held_out) => format!("loss {:.4}, held out {:.4}", train.total, held_out.total),
        None => format!("loss {:.4}", train.total),
    }
}
