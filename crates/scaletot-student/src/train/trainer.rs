//! The loop that all trainers share: epochs, steps, early stopping, checkpoints.

use std::collections::BTreeMap;

use burn::module::Module;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaletot_core::{ContentHash, Progress};

use super::checkpoint::{Checkpoints, Kept, Position};
use super::early::EarlyStopping;
use super::guard::ProgressGuard;
use super::objective::Objective;
use super::step::Optimiser;
use super::stop::Stop;
use crate::error::{Error, Result};
use crate::seeds::{Purpose, of_epoch};

/// Settings of a run.
pub(super) struct Trainer<'a> {
    pub(super) stage: &'static str,
    /// Users to train on.
    pub(super) users: usize,
    pub(super) epochs: usize,
    /// Users of a batch.
    pub(super) batch: usize,
    /// Steps on each batch.
    pub(super) updates: usize,
    pub(super) patience: usize,
    pub(super) seed: u64,
    pub(super) checkpoints: Option<&'a Checkpoints>,
    /// What the run's result depends on, by name.
    pub(super) inputs: BTreeMap<String, ContentHash>,
    pub(super) progress: &'a dyn Progress,
}

/// What a run gives.
pub(super) struct Trained<O: Objective> {
    /// With the weights that were kept, out of any graph.
    pub(super) model: O::Model,
    pub(super) epochs: Vec<O::Epoch>,
    /// 0 for the weights that the run began with.
    pub(super) best_epoch: usize,
    pub(super) stop: Stop,
}

impl Trainer<'_> {
    /// Number of optimiser steps of all epochs.
    pub(super) fn steps(&self) -> usize {
        self.epochs * self.batches() * self.updates
    }

    fn batches(&self) -> usize {
        self.users.div_ceil(self.batch)
    }

    /// Trains `model`, whose held-out value is `before` if it is known. An error says which checkpoint is left, if one is.
    pub(super) fn run<O: Objective>(
        &self,
        objective: &O,
        model: O::Model,
        optimiser: Optimiser,
        before: Option<f64>,
    ) -> Result<Trained<O>> {
        let outcome = self.train(objective, model, optimiser, before);
        let left = self.checkpoints.filter(|checkpoints| checkpoints.exists());
        outcome.map_err(|error| match (error, left) {
            (Error::Diverged { stage, epoch, step, what, value, bound, .. }, Some(left)) => {
                let checkpoint = Some(left.path().to_path_buf());
                Error::Diverged { stage, epoch, step, what, value, bound, checkpoint }
            }
            (Error::Stopped { stage, epoch, .. }, Some(left)) => {
                Error::Stopped { stage, epoch, checkpoint: Some(left.path().to_path_buf()) }
            }
            (error, _) => error,
        })
    }

    fn train<O: Objective>(
        &self,
        objective: &O,
        model: O::Model,
        mut optimiser: Optimiser,
        before: Option<f64>,
    ) -> Result<Trained<O>> {
        let mut stopping = EarlyStopping::new(self.patience);
        let mut position = Position::<O>::default();
        let mut model = model.valid();
        match self.checkpoints.map(|c| c.load::<O>(&self.inputs, &model)).transpose()?.flatten() {
            Some(kept) => {
                (position, model) = (kept.position, kept.model);
                optimiser.load(kept.optimiser, position.steps, position.first_loss);
                stopping.resume(position.epochs.len(), position.best.zip(kept.best));
            }
            None => {
                if let Some(value) = before {
                    stopping.note(0, value, model.clone());
                }
            }
        }
        let guard = ProgressGuard::start(self.progress, self.stage, self.steps(), position.steps);
        model = model.train();
        while position.stop.is_none() {
            let epoch = position.epochs.len() + 1;
            optimiser.epoch = epoch;
            let mut order: Vec<usize> = (0..self.users).collect();
            order.shuffle(&mut of_epoch(self.seed, Purpose::Shuffle, epoch));
            let mut seeds = of_epoch(self.seed, Purpose::Steps, epoch);
            for (batch, users) in order.chunks(self.batch).enumerate() {
                let mut rng = ChaCha8Rng::seed_from_u64(seeds.next_u64());
                if batch < position.batches {
                    continue;
                }
                model = objective.batch(model, &mut optimiser, users, &mut rng, &mut position.means)?;
                position.batches += 1;
                let go_on = (0..self.updates).try_for_each(|_| guard.step(epoch));
                // The end of an epoch comes with a checkpoint of its own.
                let due = self.checkpoints.is_some_and(|c| c.is_due(position.batches));
                if go_on.is_err() || due && position.batches < self.batches() {
                    self.keep(&mut position, &model, &optimiser, &stopping)?;
                }
                go_on?;
            }
            let plain = model.valid();
            let (entry, held_out) = objective.report(&plain, epoch, &position.means)?;
            if let Some(value) = held_out {
                optimiser.check("held-out value", value, f64::INFINITY)?;
                stopping.note(epoch, value, plain);
            }
            guard.message(&entry.to_string());
            position.epochs.push(entry);
            (position.batches, position.means) = (0, O::Means::default());
            if stopping.is_over() {
                position.stop = Some(Stop::Patience);
            } else if epoch == self.epochs {
                position.stop = Some(Stop::Epochs);
            }
            self.keep(&mut position, &model, &optimiser, &stopping)?;
        }
        let stop = position.stop.unwrap_or(Stop::Epochs);
        let (best_epoch, model) =
            stopping.into_best().unwrap_or_else(|| (position.epochs.len(), model.valid()));
        Ok(Trained { model, epochs: position.epochs, best_epoch, stop })
    }

    fn keep<O: Objective>(
        &self,
        position: &mut Position<O>,
        model: &O::Model,
        optimiser: &Optimiser,
        stopping: &EarlyStopping<O::Model>,
    ) -> Result<()> {
        let Some(checkpoints) = self.checkpoints else { return Ok(()) };
        (position.steps, position.first_loss) = optimiser.position();
        position.best = stopping.best().map(|(loss, epoch, _)| (*loss, *epoch));
        let best = stopping.best().map(|(.., model)| model);
        checkpoints.save(&self.inputs, Kept { position, model, best, optimiser })
    }
}
