//! OSIPO on the candidates of the corpus, or on chains sampled on the way.

mod candidates;
mod config;
mod log;
mod log_probs;
mod reward_model;
mod run;
mod sampler;

use std::collections::BTreeMap;

use rand::Rng;
use scaletot_chain::JoinedCorpus;
use scaletot_core::Progress;
use scaletot_osipo::Objective;

use self::candidates::{CandidateSet, add_samples, score_reference};
pub use self::config::{ChainReward, OsipoConfig};
pub use self::log::{OsipoEpoch, OsipoLog};
use self::reward_model::RewardModel;
use self::run::{Aligned, Run, STAGE, held_out_value};
use super::checkpoint::inputs;
use super::schedule::Schedule;
use super::split::hold_out;
use super::step::Optimiser;
use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::seeds::{Purpose, stream};
use crate::student::Student;

/// The trainer that aligns a student with what users turned out to be worth (OSIPO).
///
/// For each user with an accepted record and a known outcome, the candidates are the different
/// chains of the record (best and runners-up); if they all have the same outcome-linked value, between which
/// no reward could tell, chains sampled from the student join them. Rewards, advantages within the user segments of the dataset
/// and the loss are those of [`scaletot_osipo`].
///
/// With the objective [`Policy`](scaletot_osipo::Objective::Policy) the chains are sampled from the student as it is trained
/// instead, [`samples`](OsipoConfig::samples) for each user of a batch and [`updates`](OsipoConfig::updates) steps on them, and
/// the epoch is kept after which chains sampled for held-out users have the largest mean advantage.
///
/// Log-probabilities are taken over the *legal values* of each state, that is of the policy that decodes:
/// over the whole vocabulary the loss could also be lowered by moving mass to or from tokens that can never
/// follow, which changes no chain. State names and `<eos>` are forced, so each chain segment has one token
/// that counts.
///
/// ```
/// # use scaletot_chain::{ChainSchema, JoinedCorpus};
/// use scaletot_student::{Osipo, OsipoConfig, Result, Student};
///
/// /// `corpus` is joined to a dataset with outcomes and user segments; `reference` was trained by SFT on it.
/// fn align(reference: &Student, corpus: &JoinedCorpus<'_>) -> Result<Student> {
///     let (student, log) = Osipo::new(OsipoConfig::default())?.fit(reference, corpus, 7, &())?;
///     if log.best_epoch == 0 {
///         println!("the preferences did not carry over to held-out users; the student is the reference");
///     }
///     Ok(student)
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Osipo {
    config: OsipoConfig,
}

impl Osipo {
    /// A trainer with these options.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Osipo`] names the first option that is out of its range.
    pub fn new(config: OsipoConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config })
    }

    /// The options.
    #[must_use]
    pub fn config(&self) -> &OsipoConfig {
        &self.config
    }

    /// Trains a copy of `reference`, mostly a student after SFT, and returns it with the
    /// weights of the epoch that had the lowest held-out objective (the loss without its SFT term): where the
    /// preferences do not carry over to held-out users, that is the reference itself.
    ///
    /// Records that are not accepted, and users without an outcome, are skipped, and counted in the log.
    ///
    /// # Errors
    /// [`Error::Osipo`] (also if no outcome is positive), [`Error::SchemaMismatch`] for profiles or chains of other schemas than
    /// the student's, [`Error::TooLong`], [`Error::NoUsers`], [`Error::Config`] for a precision that the device does not have,
    /// [`Error::Diverged`], [`Error::Stopped`] if `progress` asks for it, and those of reading and writing a checkpoint, as of
    /// [`Sft::fit`](crate::Sft::fit).
    pub fn fit(
        &self,
        reference: &Student,
        corpus: &JoinedCorpus<'_>,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<(Student, OsipoLog)> {
        let (config, student, dataset) = (&self.config, reference, corpus.dataset());
        let (table, segments) = (dataset.table(), dataset.segments());
        let loss = config.loss.init()?;
        config.precision.check(student.device())?;
        student.check_corpus(corpus)?;
        let schema = student.chain_schema();
        let last = schema.outcome_state();
        let (mut sets, mut accepted) = (vec![], 0);
        for (row, record) in corpus.accepted() {
            accepted += 1;
            let outcome = dataset.outcome(row);
            sets.extend(outcome.and_then(|o| CandidateSet::new(row, record, o, segments, last)));
        }
        let no_users = |why| Error::NoUsers { stage: STAGE, why, records: corpus.len(), accepted };
        if sets.is_empty() {
            return Err(no_users("no user has both an accepted record and an outcome"));
        }
        let labelled = sets.len();
        // Of what was given alone: what the device adds to it need not be the same to the last bit.
        let inputs = match &config.checkpoints {
            Some(_) => inputs(student, corpus, &sets, config, seed)?,
            None => BTreeMap::new(),
        };
        let sample_seed = stream(seed, Purpose::Candidates).next_u64();
        let sampled = add_samples(student, table, &mut sets, config, sample_seed)?;
        let (mut train, mut held_out) = hold_out(&sets, config.validation_share, seed);
        let rewards = RewardModel::fit(&mut train, &mut held_out, schema.domain_size(last), last, config)?;
        if matches!(config.loss.objective, Objective::Preference { .. }) {
            train.retain(CandidateSet::is_decided);
            held_out.retain(CandidateSet::is_decided);
        }
        if train.is_empty() {
            return Err(no_users("no user has two chains with different advantages"));
        }
        score_reference(student, table, &mut train)?;
        score_reference(student, table, &mut held_out)?;

        let on_policy = matches!(config.loss.objective, Objective::Policy(_));
        let run = Run {
            student,
            table,
            config,
            loss: &loss,
            segments,
            rewards: &rewards,
            train: &train,
            held_out: &held_out,
            held_out_seed: on_policy.then(|| stream(seed, Purpose::HeldOutSamples).next_u64()),
        };
        let trainer = Trainer {
            stage: STAGE,
            users: train.len(),
            epochs: config.epochs,
            batch: config.batch_users,
            updates: if on_policy { config.updates } else { 1 },
            patience: config.patience,
            seed,
            checkpoints: config.checkpoints.as_ref(),
            inputs,
            progress,
        };
        let schedule = Schedule::new(config.learning_rate, config.warmup, trainer.steps());
        let optimiser =
            Optimiser::new(STAGE, schedule, config.weight_decay, config.clip_norm, config.explosion);
        let start = Aligned::new(student, &config.loss.weights);
        let before = run.report_of(&start, &train)?;
        let validation_before = run.report_held_out(&start)?;
        let held_out_advantage = run.held_out_advantage(&start.model)?;
        let value = held_out_value(held_out_advantage, validation_before.as_ref());
        let trained = trainer.run(&run, start, optimiser, value)?;
        let log = OsipoLog {
            users: train.len(),
            validation_users: held_out.len(),
            skipped: corpus.len() - accepted,
            unlabelled: accepted - labelled,
            tied: labelled - train.len() - held_out.len(),
            sampled,
            candidates: train.iter().map(|set| set.chains.len()).sum(),
            before,
            after: run.report_of(&trained.model, &train)?,
            validation_before,
            held_out_advantage,
            segment_weights: trained.model.segment_weights()?,
            epochs: trained.epochs,
            best_epoch: trained.best_epoch,
            stop: trained.stop,
        };
        Ok((student.with_model(&trained.model.model), log))
    }
}

#[cfg(test)]
mod tests;
