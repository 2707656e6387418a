//! The training loop.

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use rand::distr::weighted::WeightedIndex;
use scaletot_chain::ChainSchema;
use scaletot_core::Progress;
use scaletot_profile::ProfileTable;

use super::batch::{Batch, Sampler};
use super::data::TrainingData;
use super::log::{EpochLog, Losses, MeanLosses, Stop, TrainLog};
use super::network::{BaseRates, EncoderNetwork};
use super::objective::{LossWeights, Objective, hardness};
use super::outcome::OutcomeTask;
use super::schedule::{Schedule, clip_global_norm};
use super::trained::TrainedEncoder;
use crate::choices::RepresentationLoss;
use crate::config::{DistillConfig, EncoderConfig};
use crate::error::{Error, Result};
use crate::features::Features;
use crate::featuriser::Featuriser;
use crate::histogram::FieldHistogram;
use crate::manifest::Description;
use crate::plan::affordable;
use crate::shape::{Heads, NetworkShape};
use crate::targets::Targets;
use crate::weights::Weights;

/// Trains an encoder on the student's signals and on outcomes.
///
/// `targets` has one row per entry of `reasoned_rows`; without targets the same network is trained on outcomes alone (the
/// *profile-only* baseline). `outcomes` has one entry per row of the table and is read only at `train_rows`; rows
/// without an outcome and without signals take no part in any loss. The loss is
/// `λ_rep (1 − cos) + λ_state Σ_k KL(student_k ‖ encoder_k) + λ_out ZILN(o)`, each a mean over the rows it is for (this
/// project's own formulation; the representations are compared relative to their mean over `reasoned_rows`). What the
/// three are in detail is chosen in [`DistillConfig`] and by [`EncoderConfig::outcome_head`].
///
/// `AdamW` with PyTorch's β and ε, linear warm-up and cosine decay, clipping by global norm. A share of the rows is held
/// out; the weights of the epoch with the least held-out loss are kept, with the λ of the last step so that epochs can be
/// compared: a loss whose weight ends at 0 has no say in it. Equal arguments give equal weights on one
/// backend.
///
/// # Errors
/// [`Error::Config`], [`Error::Shape`] and [`Error::Value`] for bad arguments, [`Error::NothingToLearn`] when no row has a
/// target, [`Error::NonFinite`] when the loss diverges, [`Error::Stopped`] when `progress` asks to stop, and
/// [`Error::Device`] when the device fails.
pub fn distill(
    config: &EncoderConfig,
    course: &DistillConfig,
    table: &ProfileTable,
    chain: &ChainSchema,
    reasoned_rows: &[usize],
    targets: Option<&Targets>,
    outcomes: &[Option<f64>],
    train_rows: &[usize],
    device: &Device,
    progress: &dyn Progress,
) -> Result<(TrainedEncoder, TrainLog)> {
    config.validate()?;
    course.validate()?;
    let data = TrainingData::new(course, table, chain, reasoned_rows, targets, outcomes, train_rows)?;
    let heads = Heads {
        outcome: data.labelled() > 0,
        states: if data.reasoned() > 0 { chain.domain_sizes() } else { vec![] },
        student_dim: data.centre.len() / chain.len().max(1),
    };
    let featuriser = Featuriser::fit_rows(table, &data.rows, config.bins)?;
    let features = featuriser.transform(table, &data.rows)?;
    let (fit, held_out) = data.split(course.validation_share, course.seed);
    let known: Vec<f64> = fit.iter().filter_map(|&place| data.outcomes[place]).collect();
    let task = OutcomeTask::new(config, course, &known);
    let mut config = config.clone();
    if heads.outcome {
        config.outcome_head = task.head();
    }
    let base =
        BaseRates::new(task.base(), &data.mean_posterior(&fit), data.centre.clone(), data.whitening.clone());
    let shape = NetworkShape::new(&featuriser, &config, heads.clone());
    // Said before the training and not after it.
    affordable(&shape, &featuriser.numeric())?;
    let weights = Weights::init(&shape, course.seed);
    let network = EncoderNetwork::new(shape, &weights, base, &device.clone().autodiff())?;
    let trainer = Trainer {
        course,
        config: &config,
        task: &task,
        data: &data,
        features: &features,
        states: &heads.states,
        progress,
    };
    progress.start("training the encoder", course.epochs as u64);
    let trained = trainer.run(network, &fit, &held_out);
    progress.finish();
    let (network, log) = trained?;
    let largest = data.outcomes.iter().flatten().copied().fold(0.0, f64::max);
    let cap = (config.cap_factor * largest).min(f64::MAX);
    let description = Description {
        profile_schema: table.schema().as_ref().clone(),
        chain_schema: chain.clone(),
        config,
        outcome: heads.outcome.then(|| task.link(cap)).transpose()?,
        value_head: None,
        heads,
        histograms: FieldHistogram::of(&featuriser, table, &data.rows)?,
        featuriser,
        training: settings(course, &log),
    };
    Ok((TrainedEncoder::new(network, description)?, log))
}

/// What the manifest tells people about the training.
fn settings(course: &DistillConfig, log: &TrainLog) -> serde_json::Value {
    serde_json::json!({
        "settings": course,
        "best_epoch": log.best_epoch,
        "best": log.best(),
        "epochs": log.epochs.len(),
        "train_rows": log.train_rows,
        "validation_rows": log.validation_rows,
        "labelled_rows": log.labelled_rows,
        "reasoned_rows": log.reasoned_rows,
    })
}

struct Trainer<'a> {
    course: &'a DistillConfig,
    config: &'a EncoderConfig,
    task: &'a OutcomeTask,
    data: &'a TrainingData,
    features: &'a Features,
    states: &'a [usize],
    progress: &'a dyn Progress,
}

/// The best weights so far.
struct Best {
    network: EncoderNetwork,
    epoch: usize,
    loss: f64,
}

impl Trainer<'_> {
    fn run(
        &self,
        mut network: EncoderNetwork,
        fit: &[usize],
        held_out: &[usize],
    ) -> Result<(EncoderNetwork, TrainLog)> {
        let course = self.course;
        let mut sampler = Sampler::new(course, self.config.min_populated);
        let steps = sampler.items(fit.len()).div_ceil(course.batch_size);
        let schedule = Schedule::new(course.learning_rate, course.warmup, steps * course.epochs);
        // PyTorch's ε; Burn's default is a thousand times larger.
        let mut optimizer =
            AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(course.weight_decay as f32).init();
        let validation = self.validation(held_out)?;
        let mut log = TrainLog {
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
        for epoch in 0..course.epochs {
            let train;
            let items = sampler.epoch(fit, hard.as_ref());
            (network, train) = self.epoch(epoch, network, &items, &mut sampler, &mut optimizer, &schedule)?;
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
            if course.hard_users > 0.0 && epoch + 1 < course.epochs {
                hard = self.hard_users(&snapshot, fit, epoch)?;
            }
            if best.as_ref().is_none_or(|best| loss < best.loss || held_out.is_empty()) {
                best = Some(Best { network: snapshot, epoch, loss });
            }
            if best.as_ref().is_some_and(|best| epoch - best.epoch >= course.patience) {
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
        optimizer: &mut ModuleOptimizer,
        schedule: &Schedule,
    ) -> Result<(EncoderNetwork, EpochLog)> {
        let steps = items.len().div_ceil(self.course.batch_size);
        let (mut means, mut norms, mut rate) = (MeanLosses::default(), 0.0, 0.0);
        for (step, items) in items.chunks(self.course.batch_size).enumerate() {
            if self.progress.stopped() {
                return Err(Error::Stopped { epochs: epoch });
            }
            let dropped = sampler.dropped(self.features, items);
            let places: Vec<usize> = items.iter().map(|&(place, _)| place).collect();
            let batch = self.batch(&places, &dropped)?;
            let masks = sampler.masks(items.len(), &self.config.hidden);
            let share = (epoch * steps + step) as f64 / (steps * self.course.epochs) as f64;
            let weights = LossWeights::at(self.course, share);
            let heads = network.forward(&batch.features, &masks);
            let (losses, total) = self.objective().losses(&heads, &batch, weights)?;
            let non_finite = |what, value| Error::NonFinite { what, epoch, step, value };
            let Some(total) = total else { continue };
            if !losses.total.is_finite() {
                return Err(non_finite("training loss", losses.total));
            }
            let mut gradients = GradientsParams::from_grads(total.backward(), &network);
            let norm = clip_global_norm(&network, &mut gradients, self.course.clip_norm)?;
            if !norm.is_finite() {
                return Err(non_finite("gradient norm", norm));
            }
            rate = schedule.rate(epoch * steps + step);
            network = optimizer.step(rate, network, gradients);
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
        Objective { course: self.course, task: self.task }
    }

    fn batch(&self, places: &[usize], dropped: &[bool]) -> Result<Batch> {
        Batch::new(self.data, self.features, self.states, places, dropped)
    }

    /// The held-out rows in one batch; where a loss depends on who else is in the batch, in batches as in training.
    fn validation(&self, held_out: &[usize]) -> Result<Vec<Batch>> {
        let size = match self.course.representation {
            RepresentationLoss::Contrastive { .. } => self.course.batch_size,
            RepresentationLoss::Cosine | RepresentationLoss::WhitenedMse => held_out.len().max(1),
        };
        held_out.chunks(size).map(|places| self.batch(places, &[])).collect()
    }

    /// The held-out losses, without dropout; `None` when nothing is held out.
    fn validate(&self, network: &EncoderNetwork, batches: &[Batch]) -> Result<Option<Losses>> {
        let weights = LossWeights::at(self.course, 1.0);
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
        let weights = LossWeights::at(self.course, (epoch + 1) as f64 / self.course.epochs as f64);
        let mut rows = Vec::with_capacity(fit.len());
        for places in fit.chunks(self.course.batch_size) {
            let batch = self.batch(places, &[])?;
            let heads = network.forward(&batch.features, &[]);
            rows.extend(self.objective().rows(&heads, &batch, weights)?);
        }
        let hardness = hardness(&rows);
        if let Some((step, &value)) = hardness.iter().enumerate().find(|(_, hardness)| !hardness.is_finite())
        {
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
