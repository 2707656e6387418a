//! The training loop.

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use scaletot_chain::ChainSchema;
use scaletot_profile::{ProfileTable, Progress};

use super::batch::{Batch, Sampler};
use super::data::TrainingData;
use super::log::{EpochLog, Losses, MeanLosses, Stop, TrainLog};
use super::loss::{read_scalar, representation_loss, state_loss, ziln_loss};
use super::network::{BaseRates, EncoderNetwork, Heads as HeadOutputs};
use super::schedule::{Schedule, clip_global_norm};
use super::trained::TrainedEncoder;
use crate::config::{DistillConfig, EncoderConfig};
use crate::error::{Error, Result};
use crate::features::Features;
use crate::featuriser::Featuriser;
use crate::histogram::FieldHistogram;
use crate::manifest::Description;
use crate::outcome::{OutcomeScale, Ziln};
use crate::shape::{Heads, NetworkShape};
use crate::targets::Targets;
use crate::weights::Weights;

/// Trains an encoder on the student's signals and on outcomes.
///
/// `targets` has one row per entry of `reasoned_rows`; without targets the same network is trained on outcomes alone (the
/// *profile-only* baseline). `outcomes` has one entry per row of the table and is read only at `train_rows`; rows
/// without an outcome and without signals take no part in any loss. The loss is
/// `λ_rep (1 − cos) + λ_state Σ_k KL(student_k ‖ encoder_k) + λ_out ZILN(o)`, each a mean over the rows it is for (this
/// project's own formulation; the representations are compared relative to their mean over `reasoned_rows`).
///
/// `AdamW` with PyTorch's β and ε, linear warm-up and cosine decay, clipping by global norm. A share of the rows is held
/// out; the weights of the epoch with the least held-out loss are kept. Equal arguments give equal weights on one
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
    let base = BaseRates::new(
        &Ziln::constant(&known, config.sigma_floor),
        &data.mean_posterior(&fit),
        data.centre.clone(),
    );
    let shape = NetworkShape::new(&featuriser, config, heads.clone());
    let weights = Weights::init(&shape, course.seed);
    let network = EncoderNetwork::new(shape, &weights, base, &device.clone().autodiff())?;
    let trainer =
        Trainer { course, config, data: &data, features: &features, states: &heads.states, progress };
    progress.start("training the encoder", course.epochs as u64);
    let trained = trainer.run(network, &fit, &held_out);
    progress.finish();
    let (network, log) = trained?;
    let largest = data.outcomes.iter().flatten().copied().fold(0.0, f64::max);
    let cap = (config.cap_factor * largest).min(f64::MAX);
    let description = Description {
        profile_schema: table.schema().as_ref().clone(),
        chain_schema: chain.clone(),
        config: config.clone(),
        outcome: heads.outcome.then(|| OutcomeScale::new(config.sigma_floor, cap)).transpose()?,
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
        let validation = self.batch(held_out, &[])?;
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
        for epoch in 0..course.epochs {
            let train;
            (network, train) = self.epoch(epoch, network, fit, &mut sampler, &mut optimizer, &schedule)?;
            let snapshot = network.valid();
            let validation = match held_out {
                [] => None,
                _ => Some(self.losses(&snapshot.forward(&validation.features, &[]), &validation)?.0),
            };
            // Without held-out rows the last weights are the ones to keep.
            let loss = validation.map_or(f64::NEG_INFINITY, |losses| losses.total);
            if loss.is_nan() || loss == f64::INFINITY {
                return Err(Error::NonFinite { what: "held-out loss", epoch, step: steps, value: loss });
            }
            self.progress.message(&message(&train.train, validation.as_ref()));
            self.progress.advance(1);
            log.epochs.push(EpochLog { validation, ..train });
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
        fit: &[usize],
        sampler: &mut Sampler,
        optimizer: &mut ModuleOptimizer,
        schedule: &Schedule,
    ) -> Result<(EncoderNetwork, EpochLog)> {
        let items = sampler.epoch(fit);
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
            let (losses, total) = self.losses(&network.forward(&batch.features, &masks), &batch)?;
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

    fn batch(&self, places: &[usize], dropped: &[bool]) -> Result<Batch> {
        Batch::new(self.data, self.features, self.states, places, dropped)
    }

    /// The losses as numbers, and their weighted sum as a tensor to go backward from.
    fn losses(&self, heads: &HeadOutputs, batch: &Batch) -> Result<(Losses, Option<Tensor<1>>)> {
        let course = self.course;
        let mut losses = Losses::default();
        let mut sum: Option<Tensor<1>> = None;
        let mut add = |lambda: f64, loss: Option<Tensor<1>>| -> Result<Option<f64>> {
            let Some(loss) = loss else { return Ok(None) };
            let value = read_scalar(loss.clone())?;
            losses.total += lambda * value;
            let weighted = loss.mul_scalar(lambda);
            if lambda > 0.0 {
                sum = Some(match sum.take() {
                    Some(sum) => sum + weighted,
                    None => weighted,
                });
            }
            Ok(Some(value))
        };
        let representation = match &heads.projected {
            Some(projected) => {
                add(course.lambda_rep, representation_loss(projected.clone(), &batch.reasoned)?)?
            }
            None => None,
        };
        let states = match &heads.states {
            Some(logits) => add(course.lambda_state, state_loss(logits.clone(), &batch.reasoned)?)?,
            None => None,
        };
        let outcome = match &heads.outcome {
            Some(outcome) => {
                let loss = ziln_loss(outcome.clone(), &batch.labelled, self.config.sigma_floor)?;
                add(course.lambda_out, loss)?
            }
            None => None,
        };
        Ok((Losses { representation, states, outcome, ..losses }, sum))
    }
}

fn message(train: &Losses, validation: Option<&Losses>) -> String {
    match validation {
        Some(held_out) => format!("loss {:.4}, held out {:.4}", train.total, held_out.total),
        None => format!("loss {:.4}", train.total),
    }
}
