//! Supervised fine-tuning on curated chains.

mod config;
mod example;
mod log;
mod loss;
mod run;
mod weight;

use std::collections::BTreeMap;

use scaletot_chain::JoinedCorpus;
use scaletot_core::Progress;

pub use self::config::{SftConfig, SoftLabel};
use self::example::examples;
pub use self::log::{SftEpoch, SftLog};
use self::run::{Run, STAGE};
use super::checkpoint::inputs;
use super::schedule::Schedule;
use super::split::hold_out;
use super::step::Optimiser;
use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::student::Student;

/// The trainer of supervised fine-tuning (SFT) on the accepted chains of a corpus.
///
/// The loss is the cross-entropy of the chain tokens (state names, values, `<eos>`); the profile is read and
/// not predicted. The target of a value is the search's soft label mixed with the best chain's value
/// ([`SftConfig::label_mix`]). Users count by their curation score: with the median `m` and the median
/// absolute deviation `d` of the accepted scores, `z = (score − m) / (1.4826 d)` and
/// `w = 1 + s · tanh(z / 2)`, `s` being
/// [`SftConfig::score_weight`]. Targets and weights are this project's own.
///
/// ```
/// # use scaletot_chain::{Chain, ChainRecord, ChainSchema, Corpus, CorpusHeader, StateDef, Verdict};
/// # use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};
/// use scaletot_student::{Sft, SftConfig, Student, StudentConfig};
/// # let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
/// # let chain = ChainSchema::builder("shopper").with_state(StateDef::ordinal("spend", ["low", "high"])).build()?;
/// # let header = CorpusHeader::new(schema.hash(), &chain, "expert", 1);
/// # let mut builder = TableBuilder::new(schema);
/// # let mut records = Vec::new();
/// # for user in 0..20 {
/// #     builder.push_text(user, &[["18-34", "35+"][user as usize % 2]])?;
/// #     let best = Chain::certain(&chain, &[user as u16 % 2])?;
/// #     records.push(ChainRecord::new(user.into(), Verdict::Accepted).with_best(Some(best)));
/// # }
/// # let dataset = Dataset::from(builder.finish());
/// # let corpus = Corpus::new(header, records, &chain)?;
/// # let student = Student::new(&StudentConfig::default(), dataset.table(), &chain, 7, &Default::default())?;
///
/// let mut config = SftConfig::default();
/// config.epochs = 2;
/// let (student, log) = Sft::new(config)?.fit(&student, &corpus.join(&dataset)?, 7, &())?;
/// assert_eq!(log.users + log.validation_users, 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sft {
    config: SftConfig,
}

impl Sft {
    /// A trainer with these options.
    ///
    /// # Errors
    /// [`Error::Config`] names the first option that is out of its range.
    pub fn new(config: SftConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config })
    }

    /// The options.
    #[must_use]
    pub fn config(&self) -> &SftConfig {
        &self.config
    }

    /// Trains a copy of `student` on the accepted records of a corpus, and returns it with the weights of the epoch that had the
    /// lowest held-out loss.
    ///
    /// Records that are not accepted are skipped, and counted in the log. Outcomes and segments of the dataset are not looked at.
    /// The same seed gives the same student and log on the same device.
    ///
    /// # Errors
    /// [`Error::SchemaMismatch`] for profiles or chains of other schemas than the student's, [`Error::TooLong`],
    /// [`Error::NoUsers`], [`Error::Config`] for a precision that the device does not have, [`Error::Diverged`] if a loss or
    /// gradient stops being a number or the loss explodes, [`Error::Stopped`] if `progress` asks for it, and those of reading
    /// and writing a checkpoint: [`Error::OtherRun`], [`Error::Format`], [`Error::Corrupt`], [`Error::File`].
    pub fn fit(
        &self,
        student: &Student,
        corpus: &JoinedCorpus<'_>,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<(Student, SftLog)> {
        let (config, table) = (&self.config, corpus.dataset().table());
        config.precision.check(student.device())?;
        student.check_corpus(corpus)?;
        let all = examples(corpus, student.chain_schema(), config);
        if all.is_empty() {
            let why = "none of the records is accepted";
            return Err(Error::NoUsers { stage: STAGE, why, records: corpus.len(), accepted: 0 });
        }
        let (train, held_out) = hold_out(&all, config.validation_share, seed);
        let run = Run { student, table, config, train: &train, held_out: &held_out };
        let inputs = match &config.checkpoints {
            Some(_) => inputs(student, corpus, &(&train, &held_out), config, seed)?,
            None => BTreeMap::new(),
        };
        let trainer = Trainer {
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
        let schedule = Schedule::new(config.learning_rate, config.warmup, trainer.steps());
        let optimiser =
            Optimiser::new(STAGE, schedule, config.weight_decay, config.clip_norm, config.explosion);
        let trained = trainer.run(&run, student.model().clone(), optimiser, None)?;
        let log = SftLog {
            users: train.len(),
            validation_users: held_out.len(),
            skipped: corpus.len() - all.len(),
            epochs: trained.epochs,
            best_epoch: trained.best_epoch,
            stop: trained.stop,
        };
        Ok((student.with_model(&trained.model), log))
    }
}

#[cfg(test)]
mod tests;
