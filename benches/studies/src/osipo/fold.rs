//! A world's fold and the evaluation's steps on it, with the seeds of `evaluate --task planted`: the same users, chains and student.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use rand::Rng;
use rand::seq::SliceRandom;
use scaletot_chain::{Corpus, CorpusWriter, JoinedCorpus, Signals};
use scaletot_core::seed::stream;
use scaletot_core::{Pool, Progress};
use scaletot_pipeline::evaluation::folds::{Fold, folds};
use scaletot_pipeline::evaluation::options::EvaluateOptions;
use scaletot_pipeline::evaluation::study::Study;
use scaletot_pipeline::options::Device;
use scaletot_profile::{Dataset, Segments};
use scaletot_search::Budget;
use scaletot_student::{Sft, SftConfig, Student, StudentConfig};
use scaletot_teacher::{Coverage, CoveragePlan, Reasoner};

/// Folds of a planted world: one is run, on a third of the users.
pub(super) const FOLDS: usize = 3;
/// Hard bound on the teacher's questions about one user.
const MAX_QUERIES: u64 = 64;
/// Unlabelled users that the teacher's prior is averaged over.
const CALIBRATION_USERS: usize = 200;
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

/// What the teacher found out about the covered users.
pub(super) struct Reasoned {
    pub(super) corpus: Corpus,
    /// Everybody, without any outcome.
    unlabelled: Dataset,
    /// Number of covered users with a record.
    pub(super) users: usize,
}

impl Reasoned {
    /// The records with their rows.
    pub(super) fn joined(&self) -> Result<JoinedCorpus<'_>> {
        Ok(self.corpus.join(&self.unlabelled)?)
    }
}

impl<'a> WorldFold<'a> {
    /// The first fold of a world.
    pub(super) fn new(
        study: &'a Study,
        options: &'a EvaluateOptions,
        device: &'a Device,
        progress: &'a dyn Progress,
    ) -> Self {
        let fold = folds(&study.labelled(), None, FOLDS, 1, options.source.seed).remove(0);
        Self { study, options, device, progress, fold }
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
        let Fold { repeat, fold, .. } = self.fold;
        stream(self.options.source.seed, &[10, repeat as u64, fold as u64, purpose]).next_u64()
    }

    /// The fewest populated fields of a user who takes part.
    fn min_populated(&self) -> usize {
        self.options.source.min_populated(self.study.schema.fields().len())
    }

    /// A reasoner calibrated on unlabelled training users.
    fn reasoner(&self) -> Result<Reasoner<'_>> {
        let budget = Budget::default().with_queries(MAX_QUERIES);
        let mut reasoner = self.study.reasoner(self.options.strategy(), budget, self.min_populated())?;
        let mut rows = self.train().to_vec();
        rows.shuffle(&mut stream(self.seed(1), &[]));
        rows.truncate(CALIBRATION_USERS);
        rows.sort_unstable();
        let calibration = reasoner.fit_calibration(&self.study.profiles, &rows, self.progress)?;
        reasoner.set_calibration(calibration)?;
        Ok(reasoner)
    }

    /// Reasons about the covered users, all of them training users; resumes an interrupted corpus in `dir`.
    pub(super) fn reason(&self, dir: &Path) -> Result<Reasoned> {
        let (profiles, train) = (&self.study.profiles, self.train());
        let wanted = (self.options.coverage * self.study.users as f64).round().max(1.0) as usize;
        let covered = CoveragePlan::new(Coverage::Count(wanted.min(train.len())))?
            .with_min_populated(self.min_populated())
            .stratified(&profiles.select(train)?, &Segments::all(train.len()), self.seed(2))?;
        let rows: Vec<usize> = covered.rows().iter().map(|&i| train[i]).collect();

        let path = dir.join("corpus.jsonl");
        let reasoner = self.reasoner()?;
        let header = reasoner.header(profiles, self.seed(0))?;
        let mut writer = match path.exists() {
            true => CorpusWriter::resume_without_failed(&path, &header)?.0,
            false => CorpusWriter::create(&path, &header)?,
        };
        let workers = self.options.workers.get();
        let summary = reasoner.run(profiles, &rows, &mut writer, workers, self.progress)?;
        writer.sync()?;
        ensure!(!summary.stopped, "stopped on request; run the same command again to go on from here");
        let corpus = Corpus::read(&path, &self.study.chain)?;
        let covered: HashSet<usize> = rows.into_iter().collect();
        let unlabelled = Dataset::from(Arc::clone(profiles));
        let joined = corpus.join(&unlabelled)?;
        let users = joined.rows().len();
        ensure!(
            joined.rows().iter().all(|row| covered.contains(row)),
            "{} holds a user who is not covered",
            path.display()
        );
        ensure!(
            corpus.records().iter().any(|record| record.verdict.is_accepted()),
            "no chain was accepted; {} holds each user's reason",
            path.display()
        );
        Ok(Reasoned { corpus, unlabelled, users })
    }

    /// SFT on the accepted chains.
    pub(super) fn sft(&self, reasoned: &Reasoned) -> Result<Student> {
        let fit_on = self.study.profiles.select(self.train())?;
        let (seed, chain) = (self.seed(3), &self.study.chain);
        let fresh = Student::new(&StudentConfig::default(), &fit_on, chain, seed, self.device)?;
        let sft = Sft::new(SftConfig::default())?;
        Ok(sft.fit(&fresh, &reasoned.joined()?, seed, self.progress)?.0)
    }

    /// The chains that the teacher itself gives the test users, empty where there is none.
    pub(super) fn teacher(&self) -> Result<Vec<Vec<u16>>> {
        let (reasoner, seed, test) = (self.reasoner()?, self.seed(0), self.test());
        let stopped = || self.progress.stopped();
        let mut chains = Vec::with_capacity(test.len());
        self.progress.start("the teacher's own chains", test.len() as u64);
        // All chains are kept, so that none need wait for a slow one before it.
        let pool = Pool::new(self.options.workers).with_lookahead(test.len()).with_stop(&stopped);
        let reasoning = pool.map(
            test.iter(),
            |_, &row| {
                let record = reasoner.reason(&self.study.profiles, row, seed)?;
                self.progress.advance(1);
                Ok(record.best.as_ref().map(|best| best.values()).unwrap_or_default())
            },
            |_, chain: Result<Vec<u16>>| {
                chains.push(chain?);
                Ok(())
            },
        );
        self.progress.finish();
        reasoning.and_then(|taken| match taken < test.len() as u64 {
            true => bail!("stopped on request"),
            false => Ok(chains),
        })
    }

    /// What a student infers about `rows`.
    pub(super) fn signals(&self, student: &Student, rows: &[usize]) -> Result<Signals> {
        Ok(student.infer(&self.study.profiles, rows, BATCH)?.into_signals())
    }
}

/// The expected level of the last state of those of `rows` that have signals, from 0 to 1.
pub(super) fn levels(signals: &Signals, rows: &[usize]) -> Vec<f64> {
    let Some(last) = signals.domain_sizes().len().checked_sub(1) else { return vec![0.0; rows.len()] };
    rows.iter().filter_map(|&row| Some(signals.expected_level(signals.index_of(row)?, last))).collect()
}

/// The most probable value of each state, the highest of equally probable ones; empty without signals.
pub(super) fn most_probable(signals: &Signals, row: usize) -> Vec<u16> {
    let Some(entry) = signals.index_of(row) else { return Vec::new() };
    let best = |k: usize| {
        let marginal = signals.marginal(entry, k).iter();
        (0..).zip(marginal).max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(value, _)| value)
    };
    (0..signals.domain_sizes().len()).map(best).collect()
}
