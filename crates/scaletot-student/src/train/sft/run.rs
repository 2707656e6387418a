//! The objective of SFT on the batches of a run.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use scaletot_profile::ProfileTable;

use super::config::SftConfig;
use super::example::Example;
use super::log::{Means, SftEpoch};
use super::loss::SftBatch;
use crate::decoder::{CausalLm, Dropout};
use crate::error::Result;
use crate::parts;
use crate::student::Student;
use crate::train::objective::Objective;
use crate::train::step::Optimiser;

/// Name of the stage in errors and events.
pub(super) const STAGE: &str = "student SFT";

/// What stays the same over a run.
pub(super) struct Run<'a> {
    pub(super) student: &'a Student,
    pub(super) table: &'a ProfileTable,
    pub(super) config: &'a SftConfig,
    pub(super) train: &'a [Example],
    pub(super) held_out: &'a [Example],
}

impl Objective for Run<'_> {
    type Model = CausalLm;
    type Means = Means;
    type Epoch = SftEpoch;

    fn batch(
        &self,
        model: CausalLm,
        optimiser: &mut Optimiser,
        users: &[usize],
        rng: &mut ChaCha8Rng,
        means: &mut Means,
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

    fn report(&self, model: &CausalLm, epoch: usize, means: &Means) -> Result<(SftEpoch, Option<f64>)> {
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
        let mut means = Means::default();
        parts::each(self.student.device(), &parts, run, |loss| means.add(&loss))?;
        Ok((!users.is_empty()).then(|| means.losses()))
    }

    /// The users of a step with some of their fields dropped, in parts of about equally long profiles, so that little is padded.
    pub(super) fn parts(&self, users: &[&Example], rng: &mut impl Rng) -> Result<Vec<SftBatch>> {
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
