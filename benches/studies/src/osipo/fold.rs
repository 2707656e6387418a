//! A world's fold, worked on as `evaluate --task planted` does: the same users, chains and student.

use std::path::Path;

use anyhow::Result;
use scaletot_chain::Signals;
use scaletot_core::Progress;
use scaletot_pipeline::evaluation::fold::{FoldWork, Reasoned};
use scaletot_pipeline::evaluation::folds::Fold;
use scaletot_pipeline::evaluation::options::EvaluateOptions;
use scaletot_pipeline::evaluation::study::Study;
use scaletot_pipeline::options::Device;
use scaletot_student::{InferConfig, Student};

/// Folds of a planted world: one is run, on a third of the users.
pub(super) const FOLDS: usize = 3;
/// Users whom a student reads at a time.
const BATCH: usize = 256;

/// A world, split into users who are trained on and users who are tested, and what the work on it needs.
pub(super) struct WorldFold<'a> {
    pub(super) study: &'a Study,
    pub(super) options: &'a EvaluateOptions,
    pub(super) device: &'a Device,
    pub(super) progress: &'a dyn Progress,
    fold: Fold,
}

impl<'a> WorldFold<'a> {
    /// The first fold of a world.
    pub(super) fn new(
        study: &'a Study,
        options: &'a EvaluateOptions,
        device: &'a Device,
        progress: &'a dyn Progress,
    ) -> Self {
        let fold = study.folds(FOLDS, 1, options.source.seed).remove(0);
        Self { study, options, device, progress, fold }
    }

    fn work(&self) -> FoldWork<'_> {
        FoldWork::new(self.study, self.options, self.device, self.progress, &self.fold)
    }

    /// Rows that may be trained on, ascending.
    pub(super) fn train(&self) -> &[usize] {
        &self.fold.train
    }

    /// Rows that are tested, ascending.
    pub(super) fn test(&self) -> &[usize] {
        &self.fold.test
    }

    /// A seed for one purpose.
    pub(super) fn seed(&self, purpose: u64) -> u64 {
        self.work().seed(purpose)
    }

    /// Reasons about the covered users, all of them training users; resumes an interrupted corpus in `dir`.
    pub(super) fn reason(&self, dir: &Path) -> Result<Reasoned> {
        let work = self.work();
        Ok(work.reason(&work.reasoner()?, self.options.coverage, dir)?)
    }

    /// SFT on the accepted chains.
    pub(super) fn sft(&self, reasoned: &Reasoned) -> Result<Student> {
        Ok(self.work().sft(reasoned)?)
    }

    /// The chains that the teacher itself gives the test users, empty where there is none.
    pub(super) fn teacher(&self) -> Result<Vec<Vec<u16>>> {
        let work = self.work();
        Ok(work.teacher(&work.reasoner()?, self.test())?.1)
    }

    /// What a student infers about `rows`.
    pub(super) fn signals(&self, student: &Student, rows: &[usize]) -> Result<Signals> {
        Ok(student
            .infer(self.study.dataset.table(), rows, &InferConfig::default().with_max_batch(BATCH))?
            .into_signals())
    }
}

/// The expected level of the last state of those of `rows` that have signals, from 0 to 1.
pub(super) fn levels(signals: &Signals, rows: &[usize]) -> Vec<f64> {
    let Some(last) = signals.domain_sizes().len().checked_sub(1) else { return vec![0.0; rows.len()] };
    rows.iter().filter_map(|&row| Some(signals.expected_level(signals.index_of(row)?, last))).collect()
}

/// The most probable value of each state; empty without signals.
pub(super) fn most_probable(signals: &Signals, row: usize) -> Vec<u16> {
    let entry = signals.index_of(row);
    entry.map_or_else(Vec::new, |i| (0..signals.domain_sizes().len()).map(|k| signals.argmax(i, k)).collect())
}
