//! What a pipeline is built from.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use scaletot_chain::ChainSchema;
use scaletot_core::ContentHash;
use scaletot_core::config::ConfigError;
use scaletot_core::files::DirLock;
use scaletot_profile::Dataset;
use scaletot_teacher::Teacher;

use super::Pipeline;
use super::config::PipelineConfig;
use super::record::{Inputs, Whole};
use super::stages::Stages;
use crate::error::Result;
use crate::options::check_workers;
use crate::preflight::preflight;

/// Collects what a [`Pipeline`] runs on; from [`Pipeline::builder`].
#[must_use]
pub struct PipelineBuilder {
    dataset: Dataset,
    chain: ChainSchema,
    teacher: Option<Box<dyn Teacher>>,
    out: Option<PathBuf>,
    config: PipelineConfig,
    seed: u64,
    device: Device,
    workers: NonZeroUsize,
    versions: Inputs,
}

impl std::fmt::Debug for PipelineBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipelineBuilder")
            .field("users", &self.dataset.len())
            .field("chain", &self.chain.name())
            .field("teacher", &self.teacher.as_ref().map(|teacher| teacher.model().to_owned()))
            .field("out", &self.out)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl PipelineBuilder {
    pub(super) fn new(dataset: Dataset, chain: ChainSchema) -> Self {
        Self {
            dataset,
            chain,
            teacher: None,
            out: None,
            config: PipelineConfig::default(),
            seed: 0,
            device: Device::default(),
            workers: NonZeroUsize::MIN,
            versions: Inputs::new(),
        }
    }

    /// Teacher: answers the search's questions. Required.
    pub fn with_teacher(mut self, teacher: impl Teacher + 'static) -> Self {
        self.teacher = Some(Box::new(teacher));
        self
    }

    /// The hash of what the teacher answers from, such as a file of recorded answers or of rules: with another hash the stages that ask
    /// it run again. Without one the teacher is known by its [`model`](Teacher::model) name alone.
    pub fn with_teacher_version(mut self, version: ContentHash) -> Self {
        self.versions.insert("teacher version".to_owned(), version.short());
        self
    }

    /// The directory that the stages write to, and resume from. Required.
    pub fn with_out(mut self, directory: impl AsRef<Path>) -> Self {
        self.out = Some(directory.as_ref().to_owned());
        self
    }

    /// All settings; [`PipelineConfig::default`] without it.
    pub fn with_config(mut self, config: PipelineConfig) -> Self {
        self.config = config;
        self
    }

    /// The seed of every draw, 0 without it.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The backend that trains; Burn's default device without it.
    pub fn with_device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Threads that search in parallel, 1 without it and [`MAX_WORKERS`](scaletot_core::pool::MAX_WORKERS) at most. They do not change results.
    pub fn with_workers(mut self, workers: NonZeroUsize) -> Self {
        self.workers = workers;
        self
    }

    /// Checks everything, splits the users, and takes the output directory's lock.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of range, or no teacher or directory; what [`preflight`](crate::preflight) refuses; [`Error::InUse`](crate::Error::InUse) if another run is writing to the directory.
    pub fn build(mut self) -> Result<Pipeline> {
        let missing = |field: &'static str, expected: &'static str| ConfigError::new(field, expected, "none");
        let teacher = self.teacher.ok_or_else(|| missing("teacher", "a teacher, by `with_teacher`"))?;
        let out = self.out.ok_or_else(|| missing("out", "a directory, by `with_out`"))?;
        self.config.validate()?;
        check_workers("workers", self.workers)?;
        self.config.encoder.min_populated = self.config.min_populated;
        let split = preflight(&self.dataset, &self.chain, &self.config, self.seed)?;
        let lock = DirLock::acquire(&out)?;
        let stages = Stages::open(&out, Whole::Run)?;
        let mut identity = self.versions;
        identity.extend([
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("dataset".to_owned(), self.dataset.content_hash().short()),
            ("chain schema".to_owned(), self.chain.hash().short()),
            ("seed".to_owned(), self.seed.to_string()),
        ]);
        Ok(Pipeline {
            training: self.dataset.select(&split.train)?,
            held_out: self.dataset.select(&split.held_out)?,
            dataset: self.dataset,
            chain: self.chain,
            teacher,
            config: self.config,
            seed: self.seed,
            device: self.device,
            workers: self.workers,
            out,
            split,
            identity,
            stages,
            _lock: lock,
        })
    }
}
