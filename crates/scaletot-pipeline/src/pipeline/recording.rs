//! Recording a teacher, so that a run needs no model the next time.

use std::num::NonZeroUsize;

use scaletot_chain::ChainSchema;
use scaletot_core::Progress;
use scaletot_profile::Dataset;
use scaletot_teacher::{RecordSummary, Recorder, Teacher};

use super::PipelineConfig;
use super::reason::reasoner;
use crate::error::{Error, Result};
use crate::options::check_workers;

/// The answer to every question that any search about a dataset's users may ask.
///
/// What a recording holds already is not asked again, so one that was stopped is resumed by the same call.
#[derive(Debug)]
pub struct AnswerRecording<'a> {
    dataset: &'a Dataset,
    chain: &'a ChainSchema,
    config: PipelineConfig,
    workers: NonZeroUsize,
}

impl<'a> AnswerRecording<'a> {
    /// A recording with default settings and one worker.
    #[must_use]
    pub fn new(dataset: &'a Dataset, chain: &'a ChainSchema) -> Self {
        Self { dataset, chain, config: PipelineConfig::default(), workers: NonZeroUsize::MIN }
    }

    /// Other settings; [`levels`](PipelineConfig::levels) and [`min_populated`](PipelineConfig::min_populated) decide what is asked,
    /// [`max_failed_share`](PipelineConfig::max_failed_share) about how many users the teacher may fail.
    #[must_use]
    pub fn with_config(mut self, config: PipelineConfig) -> Self {
        self.config = config;
        self
    }

    /// Threads that ask, [`MAX_WORKERS`](scaletot_core::pool::MAX_WORKERS) at most.
    #[must_use]
    pub fn with_workers(mut self, workers: NonZeroUsize) -> Self {
        self.workers = workers;
        self
    }

    /// Asks what is not recorded yet.
    ///
    /// # Errors
    /// [`Error::Config`] for a setting out of range; if the teacher answers nobody, fails about more users than may, or gives answers
    /// that depend on more than the prompt; if the file cannot be written; [`Error::Stopped`], with what was answered kept.
    pub fn run<T: Teacher>(&self, recorder: &Recorder<T>, progress: &dyn Progress) -> Result<RecordSummary> {
        self.config.validate()?;
        check_workers("workers", self.workers)?;
        let table = self.dataset.table();
        let least = self.config.min_populated;
        let rows: Vec<usize> = (0..table.len()).filter(|&row| table.populated(row) >= least).collect();
        let reasoner = reasoner(recorder, table, self.chain, &self.config)?;
        progress.note(&format!("  {}", reasoner.count_prompts(table, &rows)?));
        let summary = reasoner.record_all(table, &rows, recorder, self.workers.get(), progress)?;
        if summary.stopped {
            return Err(Error::Stopped);
        }
        Ok(summary)
    }
}
