//! Supervised fine-tuning on curated chains.

mod config;
mod example;
mod log;
mod loss;
mod weight;

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use scaletot_chain::ChainRecord;
use scaletot_core::Progress;
use scaletot_profile::ProfileTable;

pub use self::config::{SftConfig, SoftLabel};
pub(crate) use self::example::records_of;
use self::example::{Example, examples};
pub use self::log::{SftEpoch, TrainLog};
use self::loss::SftBatch;
use super::checkpoint::inputs;
use super::run::{Course, Loop};
use super::schedule::Schedule;
use super::split::hold_out;
use super::step::Optimiser;
use crate::decoder::{CausalLm, Dropout};
use crate::error::{Error, Result};
use crate::parts;
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
/// for a record that does not fit the schema, [`Error::TooLong`], [`Error::NoUsers`], [`Error::Diverged`] if a loss or gradient
/// stops being a number or the loss explodes, [`Error::Stopped`] if `progress` says so, and those of reading and writing a
/// checkpoint: [`Error::OtherRun`], [`Error::Format`], [`Error::Corrupt`], [`Error::Io`].
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
    config.precision.check(student.device())?;
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
    let inputs = match &config.checkpoints {
        Some(_) => inputs(student, table, rows, &(&train, &held_out), config, seed)?,
        None => BTreeMap::new(),
    };
    let settings = Loop {
        stage: STAGE,
        users: train.len(),
        epochs: config.epochs,
        batch: config.batch_size,
        updates: 1,
        patience: config.patience,
        seed,
        checkpoints: config.checkpoints.as_ref(),
        inputs,
        progress,
    };
    let schedule = Schedule::new(config.learning_rate, config.warmup, settings.steps());
    let optimiser = Optimiser::new(STAGE, schedule, config.weight_decay, config.clip_norm, config.explosion);
    let trained = settings.run(&run, student.model().clone(), optimiser, None)?;
    let log = TrainLog {
        users: train.len(),
        validation_users: held_out.len(),
        passed_over: rows.len() - all.len(),
        epochs: trained.epochs,
        best_epoch: trained.best_epoch,
        stop: trained.stop,
    };
    Ok((student.with_model(&trained.model), log))
}

/// What stays the same over a run.
struct Run<'a> {
    student: &'a Student,
    table: &'a ProfileTable,
    config: &'a SftConfig,
    train: &'a [Example],
    held_out: &'a [Example],
}

impl Course for Run<'_> {
    type Model = CausalLm;
    type Means = log::Means;
    type Epoch = SftEpoch;

    fn batch(
        &self,
        model: CausalLm,
        optimiser: &mut Optimiser,
        users: &[usize],
        rng: &mut ChaCha8Rng,
        means: &mut log::Means,
    ) -> Result<CausalLm> {
        let users: Vec<&Example> = users.iter().map(|&at| &self.train[at]).collect();
        let parts: Vec<(SftBatch, u64)> =
            self.parts(&users, rng)?.into_iter().map(|part| (part, rng.next_u64())).collect();
        let weight: f64 = users.iter().map(|user| user.weight).sum();
        let (gradients, losses) =
            parts::gradient(&model, self.student.device(), self.config.precision, &parts, |model, part| {
                let (batch, seed) = part;
                let loss = batch.loss(model, Dropout::new(self.config.dropout, *seed).as_mut())?;
                // The step's loss is the mean of its parts' by the weights of their users.
                let share = loss.weight / weight;
                Ok((loss.loss.clone().mul_scalar(share), (loss.sums(), loss.all * share)))
            })?;
        losses.iter().for_each(|(sums, _)| means.add(sums));
        let (model, stats) = optimiser.step(model, gradients, losses.iter().map(|(_, loss)| loss).sum())?;
        means.stepped(&stats);
        Ok(model)
    }

    fn report(&self, model: &CausalLm, epoch: usize, means: &log::Means) -> Result<(SftEpoch, Option<f64>)> {
        let held_out = self.evaluate(model)?;
        let entry = means.epoch(epoch, held_out);
        tracing::debug!(epoch, loss = entry.loss, validation = entry.validation_value_loss, "{STAGE}");
        Ok((entry, held_out.map(|(_, values)| values)))
    }
}

impl Run<'_> {
    /// Loss and value loss of the held-out users, without any dropout.
    fn evaluate(&self, model: &CausalLm) -> Result<Option<(f64, f64)>> {
        let users: Vec<&Example> = self.held_out.iter().collect();
        // Nothing is kept for gradients, so that batches may be larger than in training.
        let size = 4 * parts::size(self.config.micro_batch, self.config.batch_size, self.student.device());
        let parts: Vec<&[&Example]> = users.chunks(size).collect();
        let run = |part: &&[&Example]| {
            let prompts = part.iter().map(|e| self.student.tokenizer().prompt(self.table, e.row, |_| true));
            let batch = SftBatch::new(self.student.tokenizer(), part, prompts.collect::<Result<_>>()?);
            Ok(batch.loss(model, None)?.sums())
        };
        let mut means = log::Means::default();
        parts::each(self.student.device(), &parts, run, |loss| means.add(&loss))?;
        Ok((!users.is_empty()).then(|| means.losses()))
    }

    /// The users of a step with some of their fields dropped, in parts of about equally long profiles, so that little is padded.
    fn parts(&self, users: &[&Example], rng: &mut impl Rng) -> Result<Vec<SftBatch>> {
        let (tokenizer, rate) = (self.student.tokenizer(), self.config.field_dropout);
        let mut keep = |_: usize| rate == 0.0 || rng.random::<f64>() >= rate;
        let mut users = users
            .iter()
            .map(|user| Ok((*user, tokenizer.prompt(self.table, user.row, &mut keep)?)))
            .collect::<Result<Vec<(&Example, Vec<u32>)>>>()?;
        users.sort_by_key(|(_, prompt)| prompt.len());
        let size = parts::size(self.config.micro_batch, users.len(), self.student.device());
        let part = |part: &[(&Example, Vec<u32>)]| {
            let (users, prompts): (Vec<&Example>, Vec<Vec<u32>>) = part.iter().cloned().unzip();
            SftBatch::new(tokenizer, &users, prompts)
        };
        Ok(users.chunks(size).map(part).collect())
    }
}

#[cfg(test)]
mod tests;
