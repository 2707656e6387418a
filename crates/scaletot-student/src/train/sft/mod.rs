//! Supervised fine-tuning on curated chains.

mod config;
mod example;
mod log;
mod loss;
mod weight;

use burn::module::Module;
use burn::optim::GradientsAccumulator;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use scaletot_chain::ChainRecord;
use scaletot_profile::{ProfileTable, Progress};

pub use self::config::{SftConfig, SoftLabel};
pub(crate) use self::example::records_of;
use self::example::{Example, examples};
pub use self::log::{SftEpoch, TrainLog};
use self::loss::SftBatch;
use super::early::EarlyStopping;
use super::schedule::Schedule;
use super::split::hold_out;
use super::step::Optimiser;
use super::{Stop, Watch};
use crate::decoder::{CausalLm, Dropout};
use crate::error::{Error, Result};
use crate::seeds::{Purpose, stream};
use crate::student::Student;
use crate::tokenizer::check_distinct;

const STAGE: &str = "student SFT";

/// Trains a student on the accepted records among `records` of the users in `rows`, and returns it with the
/// weights of the epoch that had the lowest held-out loss.
///
/// The loss is the cross-entropy of the chain tokens (state names, values, `<eos>`); the profile is read and
/// not predicted. The target of a value is the search's soft label mixed with the best chain's value
/// ([`SftConfig::label_mix`]). Users count by their curation score: with the median `m` and the median
/// absolute deviation `d` of the accepted scores, `z = (score − m) / (1.4826 d)` and
/// `w = 1 + s · tanh(z / 2)`, `s` being
/// [`SftConfig::score_weight`]. Targets and weights are this project's own.
///
/// Records are matched to rows by user id; records of other users are ignored, and a row without an accepted
/// record is passed over and counted in the log. The same seed gives the same student and log on the same
/// device.
///
/// # Errors
/// [`Error::Config`], [`Error::SchemaMismatch`], [`Error::Row`], [`Error::DuplicateRecord`], [`Error::Chain`]
/// for a record that does not fit the schema, [`Error::TooLong`], [`Error::NoUsers`], [`Error::NonFinite`] if a loss or gradient
/// stops being a number, and [`Error::Stopped`] if `progress` says so.
pub fn sft(
    student: &Student,
    table: &ProfileTable,
    rows: &[usize],
    records: &[ChainRecord],
    config: &SftConfig,
    seed: u64,
    progress: &dyn Progress,
) -> Result<(Student, TrainLog)> {
    config.validate()?;
    student.tokenizer().check_table(table)?;
    student.tokenizer().check_rows(table, rows)?;
    check_distinct(rows)?;
    let all = examples(table, rows, records, student.chain_schema(), config)?;
    if all.is_empty() {
        let why = "none of the rows has an accepted record";
        return Err(Error::NoUsers { stage: STAGE, why, rows: rows.len(), accepted: 0 });
    }
    let (train, held_out) = hold_out(&all, config.validation_share, seed);
    let run = Run { student, table, config, train: &train, held_out: &held_out };
    let mut log = TrainLog {
        users: train.len(),
        validation_users: held_out.len(),
        passed_over: rows.len() - all.len(),
        epochs: vec![],
        best_epoch: 0,
        stop: Stop::Epochs,
    };
    let model = run.train(seed, progress, &mut log)?;
    Ok((student.with_model(&model), log))
}

/// What stays the same over a run.
struct Run<'a> {
    student: &'a Student,
    table: &'a ProfileTable,
    config: &'a SftConfig,
    train: &'a [Example],
    held_out: &'a [Example],
}

impl Run<'_> {
    fn train(&self, seed: u64, progress: &dyn Progress, log: &mut TrainLog) -> Result<CausalLm> {
        let config = self.config;
        let steps = config.epochs * self.train.len().div_ceil(config.batch_size);
        let schedule = Schedule::new(config.learning_rate, config.warmup, steps);
        let mut optimiser = Optimiser::new(STAGE, schedule, config.weight_decay, config.clip_norm);
        let mut shuffle = stream(seed, Purpose::Shuffle);
        let mut fields = stream(seed, Purpose::Fields);
        let mut dropout = Dropout::new(config.dropout, stream(seed, Purpose::Dropout).next_u64());
        let mut stopping = EarlyStopping::new(config.patience);
        let mut order: Vec<&Example> = self.train.iter().collect();
        let mut model = self.student.model().clone().train();
        let watch = Watch::start(progress, STAGE, steps);
        for epoch in 1..=config.epochs {
            order.shuffle(&mut shuffle);
            let mut means = log::Means::default();
            for chunk in order.chunks(config.batch_size) {
                let weight: f64 = chunk.iter().map(|example| example.weight).sum();
                let mut gradients = GradientsAccumulator::new();
                for part in chunk.chunks(config.micro_batch.unwrap_or(config.batch_size)) {
                    let batch = self.batch(part, config.field_dropout, &mut fields)?;
                    let loss = batch.loss(&model, dropout.as_mut())?;
                    // The step's loss is the mean of its parts' by the weights of their users.
                    let share = loss.loss.clone().mul_scalar(loss.weight / weight);
                    gradients.accumulate(&model, optimiser.gradient(&model, &share, loss.all, epoch)?);
                    means.add(&loss);
                }
                let (stepped, stats) = optimiser.update(model, gradients.grads(), epoch)?;
                model = stepped;
                means.stepped(&stats);
                watch.step(epoch)?;
            }
            let plain = model.valid();
            let held_out = self.evaluate(&plain)?;
            if let Some((loss, _)) = held_out.filter(|(loss, _)| !loss.is_finite()) {
                let (stage, step) = (STAGE, epoch * order.len().div_ceil(config.batch_size));
                return Err(Error::NonFinite { stage, epoch, step, what: "held-out loss", value: loss });
            }
            let entry = means.epoch(epoch, held_out);
            watch.message(&entry.to_string());
            tracing::debug!(epoch, loss = entry.loss, validation = entry.validation_value_loss, "{STAGE}");
            log.epochs.push(entry);
            let Some((_, values)) = held_out else { continue };
            stopping.note(epoch, values, plain);
            if stopping.is_over() {
                log.stop = Stop::Patience;
                break;
            }
        }
        let (epoch, model) = stopping.into_best().unwrap_or_else(|| (log.epochs.len(), model.valid()));
        log.best_epoch = epoch;
        Ok(model)
    }

    /// Loss and value loss of the held-out users, without any dropout.
    fn evaluate(&self, model: &CausalLm) -> Result<Option<(f64, f64)>> {
        let (mut all, mut values, mut weight) = (0.0, 0.0, 0.0);
        let users: Vec<&Example> = self.held_out.iter().collect();
        // Nothing is kept for gradients, so that batches may be larger than in training.
        for chunk in users.chunks(4 * self.config.batch_size) {
            let prompts = chunk.iter().map(|e| self.student.tokenizer().prompt(self.table, e.row, |_| true));
            let batch = SftBatch::new(self.student.tokenizer(), chunk, prompts.collect::<Result<_>>()?);
            let loss = batch.loss(model, None)?;
            all += loss.all * loss.weight;
            values += loss.values * loss.weight;
            weight += loss.weight;
        }
        Ok((!users.is_empty()).then(|| (all / weight, values / weight)))
    }

    fn batch(&self, examples: &[&Example], field_dropout: f64, rng: &mut impl Rng) -> Result<SftBatch> {
        let tokenizer = self.student.tokenizer();
        let mut keep = |_: usize| field_dropout == 0.0 || rng.random::<f64>() >= field_dropout;
        let prompts = examples.iter().map(|example| tokenizer.prompt(self.table, example.row, &mut keep));
        Ok(SftBatch::new(tokenizer, examples, prompts.collect::<Result<_>>()?))
    }
}

#[cfg(test)]
mod tests;
