//! The stages of the method, in order, each a call of its own.
//!
//! [`Pipeline::run`] is all of them. Each takes the values of the stages before it, writes its own below the output directory, and gives
//! it as [`Done`]; a stage whose inputs are those it was done with is loaded, not run again (the module [`record`] says when that is).

mod builder;
mod config;
mod evaluate;
mod learn;
mod owned;
pub(crate) mod reason;
pub(crate) mod record;
mod recording;
mod serve;
mod split;
pub(crate) mod stages;
pub(crate) mod summary;
mod value;
pub(crate) mod warnings;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use scaletot_chain::ChainSchema;
use scaletot_core::Progress;
use scaletot_core::files::{DirLock, read_to_string, write_json};
use scaletot_encoder::Readiness;
use scaletot_profile::Dataset;
use scaletot_teacher::Teacher;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::builder::PipelineBuilder;
pub use self::config::PipelineConfig;
pub use self::record::StageReport;
use self::record::{Inputs, STAGES, is_there};
pub use self::recording::AnswerRecording;
pub use self::split::Split;
pub use self::stages::Done;
use self::stages::{StageFiles, Stages};
pub use self::summary::{StageSummary, Summary, UserCounts};
pub use self::value::Artifact;
pub(crate) use self::value::{SCALETOT, SERVED};
use crate::error::{Context, Result, bail};

/// The stages, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The teacher's mean prediction over unlabelled users.
    Calibrate,
    /// The search about the covered users.
    Reason,
    /// The student's supervised fine-tuning on their chains.
    Sft,
    /// The student's policy optimisation by their outcomes.
    Osipo,
    /// The encoder's distillation from the student.
    Distil,
    /// The value model, fitted and folded into the artifact.
    Value,
    /// Every user of the table scored by the artifact.
    Score,
    /// Comparison of models on the held-out users.
    Evaluate,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 8] = [
        Self::Calibrate,
        Self::Reason,
        Self::Sft,
        Self::Osipo,
        Self::Distil,
        Self::Value,
        Self::Score,
        Self::Evaluate,
    ];

    /// Its name, as in the record of stages and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Calibrate => "calibrate",
            Self::Reason => "reason",
            Self::Sft => "student: SFT",
            Self::Osipo => "student: OSIPO",
            Self::Distil => "encoder: distil",
            Self::Value => "value model",
            Self::Score => "score everybody",
            Self::Evaluate => "evaluate",
        }
    }

    /// The files and directories that it writes, by which it counts as done; names in the output directory.
    #[must_use]
    pub fn outputs(self) -> &'static [&'static str] {
        match self {
            Self::Calibrate => &["calibration.json"],
            Self::Reason => &["corpus.jsonl"],
            Self::Sft => &["student-sft", "student-sft.log.json"],
            Self::Osipo => &["student", "student-osipo.log.json"],
            Self::Distil => &["encoder", "transfer.json", "encoder.log.json"],
            Self::Value => &["value-model", "artifact", "value-model.held-out.json"],
            Self::Score => &["scores.parquet"],
            Self::Evaluate => &["evaluation.json"],
        }
    }

    /// As the record of stages knows it.
    fn files(self) -> StageFiles<'static> {
        let checkpoint = match self {
            Self::Reason => Some("corpus.jsonl"),
            Self::Sft => Some("student-sft.checkpoint"),
            Self::Osipo => Some("student-osipo.checkpoint"),
            _ => None,
        };
        let paid = self == Self::Reason;
        StageFiles { name: self.name(), outputs: self.outputs(), checkpoint, paid }
    }
}

/// Bytes of a stage's JSON at most.
const MAX_JSON: u64 = 1 << 32;

/// The summary's file.
const SUMMARY: &str = "summary.json";

/// The file of the teacher's answers, each kept as it comes, so that none is paid for twice: not by a run that was stopped or killed, and not
/// by a stage that runs again. Beside the stages, as it holds whatever any of them has asked; a fresh start removes it with all else.
pub(crate) const ANSWERS: &str = "answers.jsonl";

/// A run of the whole method on one dataset.
///
/// Stages may be called one by one; [`run`](Self::run) calls them all. Each takes the values of the stages before it, writes its own below the
/// output directory, and gives it as [`Done`]. `stages.json` there holds the inputs of every stage that was started (data and earlier stages'
/// files by content hash, settings by value) and the hash of what it wrote: a stage is loaded, and not run again, only if both still hold.
pub struct Pipeline {
    dataset: Dataset,
    /// The users who are trained on.
    training: Dataset,
    /// The users whom nothing but the evaluation sees.
    held_out: Dataset,
    chain: ChainSchema,
    teacher: Box<dyn Teacher>,
    config: PipelineConfig,
    seed: u64,
    device: Device,
    workers: NonZeroUsize,
    out: PathBuf,
    split: Split,
    /// Inputs of every stage.
    identity: Inputs,
    stages: Stages,
    _lock: DirLock,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline")
            .field("users", &self.dataset.len())
            .field("chain", &self.chain.name())
            .field("teacher", &self.teacher.model())
            .field("out", &self.out)
            .finish_non_exhaustive()
    }
}

impl Pipeline {
    /// Begins to build a run on a dataset and a chain schema.
    pub fn builder(dataset: Dataset, chain: ChainSchema) -> PipelineBuilder {
        PipelineBuilder::new(dataset, chain)
    }

    /// Runs every stage that is not done yet, and writes `summary.json`.
    ///
    /// # Errors
    /// The first error of any stage, as an [`Error::Context`](crate::Error::Context) that names it. What finished before it stays, and the next run resumes from there.
    pub fn run(&self, progress: &dyn Progress) -> Result<Summary> {
        let mut summary = Summary::new(self);
        let calibration = self.calibrate(progress)?;
        summary.add(Stage::Calibrate, &calibration);
        let corpus = self.reason(&calibration, progress)?;
        summary.add(Stage::Reason, &corpus);
        summary.warnings.extend(warnings::of_answers(corpus.value.records(), &self.chain));
        let sft = self.sft(&corpus, progress)?;
        summary.add(Stage::Sft, &sft);
        let student = self.osipo(&corpus, &sft, progress)?;
        summary.add(Stage::Osipo, &student);
        summary.warnings.extend(warnings::of_osipo(&student.report));
        let encoder = self.distil(&student, progress)?;
        summary.add(Stage::Distil, &encoder);
        if let Readiness::NotReady { reasons } = encoder.value.info().readiness() {
            summary.not_ready.clone_from(reasons);
        }
        let artifact = self.value(&encoder, progress)?;
        summary.add(Stage::Value, &artifact);
        let scores = self.score(&artifact, progress)?;
        summary.add(Stage::Score, &scores);
        let evaluation = self.evaluate(&artifact, progress)?;
        summary.add(Stage::Evaluate, &evaluation);
        summary.evaluation = evaluation.value;
        write_json(self.path(SUMMARY), &summary)?;
        Ok(summary)
    }

    /// The users, with all outcomes.
    #[must_use]
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Who is trained on and who is held out.
    #[must_use]
    pub fn split(&self) -> &Split {
        &self.split
    }

    /// The directory that the stages write to.
    #[must_use]
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// Removes what runs have written to the output directory, the answers that the teacher was paid for among it, and nothing else that may
    /// lie there. A record of stages that cannot be read is taken for one of all stages.
    ///
    /// # Errors
    /// If the directory holds no run, but files by the names of one, which are left as they are, or something cannot be removed.
    pub fn start_over(&self) -> Result<()> {
        let all = self.stages.is_unreadable();
        if !all && self.stages.is_new() {
            return self.check_foreign();
        }
        // Of a stage that was never started here the files are somebody else's. What is not made of another goes last.
        let started = |stage: &Stage| all || self.stages.is_started(stage.name());
        for stage in Stage::ALL.into_iter().rev().filter(started) {
            self.stages.forget(&stage.files())?;
        }
        [SUMMARY, ANSWERS].iter().try_for_each(|name| self.stages.remove(name))?;
        // The record goes last: killed on the way, the next run knows what is left for its own.
        self.stages.clear()
    }

    /// Refuses to write over anything that no run has written here.
    fn check_foreign(&self) -> Result<()> {
        self.stages.check_readable()?;
        // Where answers are still to be paid for, all that comes after them will run.
        let all = !self.stages.is_done(Stage::Reason.name());
        for stage in Stage::ALL.into_iter().filter(|stage| all || !self.stages.is_started(stage.name())) {
            self.stages.check_foreign(&stage.files())?;
        }
        let beside = [SUMMARY, ANSWERS].map(|name| self.path(name)).into_iter().find(|path| is_there(path));
        match beside.filter(|_| self.stages.is_new()) {
            None => Ok(()),
            Some(path) => bail!(
                "{} is there, but no run (there is no {STAGES}), so it is not written over: --out names another directory",
                path.display()
            ),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// The inputs of a stage: the run's identity, and what is its own.
    fn inputs<const N: usize>(&self, own: [(&str, String); N]) -> Inputs {
        let mut inputs = self.identity.clone();
        inputs.extend(own.map(|(name, value)| (name.to_owned(), value)));
        inputs
    }

    /// Runs a stage unless it is done with these inputs.
    fn stage<T>(
        &self,
        stage: Stage,
        inputs: Inputs,
        progress: &dyn Progress,
        load: impl FnOnce() -> Result<T>,
        work: impl FnOnce() -> Result<(T, StageReport)>,
    ) -> Result<Done<T>> {
        self.stages.run(&stage.files(), inputs, progress, load, work)
    }
}

/// A config as one of a stage's inputs.
pub(crate) fn settings(config: &impl Serialize) -> Result<String> {
    serde_json::to_string(config).context("settings as JSON")
}

/// Reads what a stage has written as JSON.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = read_to_string(path, MAX_JSON)?;
    let failed = || {
        format!(
            "{}: expected what this version writes, found something else; without the file, its stage runs again",
            path.display()
        )
    };
    serde_json::from_str(&text).with_context(failed)
}
