//! The work on one fold: reason, learn, distil, and fit every arm at every number of labels.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::error::{Context, Error, Result, ensure};
use burn::tensor::Device;
use rand::seq::SliceRandom;
use scaletot_chain::{Corpus, CorpusWriter, JoinedCorpus, Signals};
use scaletot_core::Progress;
use scaletot_core::seed::stream;
use scaletot_encoder::{DistillConfig, DistillData, Distiller, EncoderConfig, FrozenEncoder};
use scaletot_profile::{Dataset, Segments};
use scaletot_student::{Osipo, OsipoConfig, Sft, SftConfig, Student, StudentConfig};
use scaletot_teacher::{Coverage, CoveragePlan, LedgerSnapshot, Reasoner};

use super::folds::{Draw, Fold};
use super::options::EvaluateOptions;
use super::results::{Transfer, TransferGroup};
use super::signals::{encoder_signals, teacher_signals};
use super::study::{Study, budget};
use crate::networks::NetworkLearner;
use crate::pipeline::ANSWERS;
use crate::pipeline::reason::failed;
use crate::pipeline::record::{FAILED, StageReport, is_there};
use crate::signals::of_student;

/// The name of a corpus in its directory.
pub(super) const CORPUS: &str = "corpus.jsonl";
/// The figure of a report of reasoning: seconds spent waiting for the teacher, summed over threads.
pub(super) const TEACHER_SECONDS: &str = "seconds of the teacher";
/// Unlabelled users that the teacher's prior is averaged over.
const CALIBRATION_USERS: usize = 200;
/// Users whom the encoder learns from at most; the reasoned ones are always among them.
const DISTIL_USERS: usize = 20_000;
/// OSIPO needs this many labelled users among the reasoned ones.
const OSIPO_USERS: usize = 100;

/// A fold and all that its work needs: whom to reason about, and training on it, with the seeds of the evaluation.
#[derive(Clone, Copy)]
pub struct FoldWork<'a> {
    pub(super) study: &'a Study,
    pub(super) options: &'a EvaluateOptions,
    pub(super) device: &'a Device,
    pub(super) progress: &'a dyn Progress,
    pub(super) fold: &'a Fold,
}

impl std::fmt::Debug for FoldWork<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoldWork").field("fold", self.fold).finish_non_exhaustive()
    }
}

/// What the teacher found out about the covered users.
#[derive(Debug)]
pub struct Reasoned {
    pub(super) corpus: Corpus,
    /// Everybody, without any outcome.
    unlabelled: Dataset,
    /// The covered users, ascending.
    pub(super) rows: Vec<usize>,
    /// What the teacher did for them in this run; nothing where the chains were read.
    ledger: LedgerSnapshot,
    /// Users of the calibration about whom it failed.
    uncalibrated: usize,
}

impl Reasoned {
    /// The chains.
    #[must_use]
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Rows of the covered users, ascending.
    #[must_use]
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// The records with their rows.
    ///
    /// # Errors
    /// None for the corpus of a fold.
    pub fn joined(&self) -> Result<JoinedCorpus<'_>> {
        Ok(self.corpus.join(&self.unlabelled)?)
    }

    /// What the record of stages keeps.
    pub(super) fn report(&self) -> StageReport {
        let mut report = StageReport::of_users(self.rows.len());
        report.calls = self.ledger.calls;
        report.cache_hits = self.ledger.cache_hits;
        report.tokens =
            self.corpus.records().iter().map(|record| record.cost.tokens).fold(0, u64::saturating_add);
        report.figures.insert(TEACHER_SECONDS.to_owned(), self.ledger.seconds);
        report.figures.insert(FAILED.to_owned(), (failed(&self.corpus) + self.uncalibrated) as f64);
        report
    }
}

/// Student and encoder, and what they say about every user.
pub(super) struct Learnt {
    pub(super) student: Signals,
    pub(super) encoder: Signals,
    /// The encoder itself.
    pub(super) frozen: FrozenEncoder,
    pub(super) transfer: Transfer,
    /// Seconds in which the encoder scored the whole table.
    pub(super) encoder_seconds: f64,
}

impl<'a> FoldWork<'a> {
    /// Work on one fold of a study.
    #[must_use]
    pub fn new(
        study: &'a Study,
        options: &'a EvaluateOptions,
        device: &'a Device,
        progress: &'a dyn Progress,
        fold: &'a Fold,
    ) -> Self {
        Self { study, options, device, progress, fold }
    }

    /// A seed for one purpose on this fold.
    #[must_use]
    pub fn seed(&self, purpose: u64) -> u64 {
        use rand::Rng;
        stream(self.options.source.seed, &[10, self.fold.repeat as u64, self.fold.fold as u64, purpose])
            .next_u64()
    }

    /// The fewest populated fields of a user who takes part.
    pub(super) fn min_populated(&self) -> usize {
        self.options.source.min_populated(self.study.dataset.table().schema().fields().len())
    }

    /// A reasoner calibrated on unlabelled training users.
    ///
    /// # Errors
    /// If the schemas do not fit each other, or the teacher fails.
    pub fn reasoner(&self) -> Result<Reasoner<'a>> {
        let (strategy, most) = (self.options.strategy(), self.options.max_failed_share);
        let mut reasoner = self.study.reasoner(strategy, budget(), self.min_populated(), most)?;
        let mut rows = self.fold.train.clone();
        rows.shuffle(&mut stream(self.seed(1), &[]));
        rows.truncate(CALIBRATION_USERS);
        rows.sort_unstable();
        let calibration = reasoner.fit_calibration(
            self.study.dataset.table(),
            &rows,
            self.options.workers.get(),
            self.progress,
        )?;
        reasoner.set_calibration(calibration)?;
        Ok(reasoner)
    }

    /// Reasons about the covered users, all of them training users; an interrupted corpus in `dir` is resumed.
    ///
    /// # Errors
    /// If the corpus is of something else or cannot be written, the teacher failed about too many users, or no chain is accepted;
    /// [`Error::Stopped`].
    pub fn reason(&self, reasoner: &Reasoner<'_>, coverage: f64, dir: &Path) -> Result<Reasoned> {
        let study = self.study;
        let candidates = study.dataset.table().select(&self.fold.train)?;
        let segments = study.dataset.segments();
        let labels: Vec<Option<String>> =
            self.fold.train.iter().map(|&row| segments.names().get(segments.of(row)).cloned()).collect();
        let wanted = (coverage * study.users as f64).round().max(1.0) as usize;
        let covered = CoveragePlan::new(Coverage::Count(wanted.min(self.fold.train.len())))?
            .with_min_populated(self.min_populated())
            .stratified(&candidates, &Segments::from_labels(&labels), self.seed(2))?;
        let rows: Vec<usize> = covered.rows().iter().map(|&i| self.fold.train[i]).collect();

        let path = dir.join(CORPUS);
        let header = reasoner.header(study.dataset.table(), self.seed(0))?;
        let resumed = match path.exists() {
            true => match CorpusWriter::resume_without_failed(&path, &header) {
                // Calibrated anew, as the teacher had failed about some users: to reason again costs what it asks beyond the answers that are kept.
                Err(scaletot_chain::Error::HeaderDiffers { differences, .. })
                    if is_there(&self.options.out().join(ANSWERS))
                        && differences.iter().any(|line| line.starts_with("settings.calibration")) =>
                {
                    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
                    None
                }
                resumed => Some(resumed?.0),
            },
            false => None,
        };
        let mut writer = match resumed {
            Some(writer) => writer,
            None => CorpusWriter::create(&path, &header)?,
        };
        let workers = self.options.workers.get();
        let summary = reasoner.run(study.dataset.table(), &rows, &mut writer, workers, self.progress)?;
        writer.sync()?;
        if summary.stopped {
            return Err(Error::Stopped);
        }
        let mut reasoned = self.reasoned(dir)?;
        reasoned.ledger = summary.ledger;
        reasoned.uncalibrated = reasoner.calibration().failed();
        let covered: std::collections::HashSet<usize> = rows.into_iter().collect();
        ensure!(
            reasoned.rows.iter().all(|row| covered.contains(row)),
            "{} holds a user who is not covered",
            path.display()
        );
        ensure!(
            reasoned.corpus.records().iter().any(|record| record.verdict.is_accepted()),
            "no chain was accepted; {} holds each user's reason",
            path.display()
        );
        Ok(reasoned)
    }

    /// The chains that [`reason`](Self::reason) has written.
    pub(super) fn reasoned(&self, dir: &Path) -> Result<Reasoned> {
        let corpus = Corpus::read(dir.join(CORPUS), &self.study.chain)?;
        let unlabelled = Dataset::from(self.study.dataset.shared_table());
        let rows = corpus.join(&unlabelled)?.rows().to_vec();
        Ok(Reasoned { corpus, unlabelled, rows, ledger: LedgerSnapshot::default(), uncalibrated: 0 })
    }

    /// SFT on the accepted chains.
    ///
    /// # Errors
    /// If training fails or is stopped.
    pub fn sft(&self, reasoned: &Reasoned) -> Result<Student> {
        let study = self.study;
        let fit_on = study.dataset.table().select(&self.fold.train)?;
        let seed = self.seed(3);
        let fresh = Student::new(&StudentConfig::default(), &fit_on, &study.chain, seed, self.device)?;
        let sft = Sft::new(SftConfig::default())?;
        let (student, _) = sft.fit(&fresh, &reasoned.joined()?, seed, self.progress)?;
        Ok(student)
    }

    /// OSIPO on the labels of one draw, then distillation. `None` where the SFT student stays as it is: with too few labelled users
    /// among the reasoned ones, or when the preferences did not carry over to held-out training users.
    pub(super) fn align(&self, sft: &Student, reasoned: &Reasoned, draw: &Draw) -> Result<Option<Learnt>> {
        let study = self.study;
        let known: std::collections::HashSet<usize> = draw.rows.iter().copied().collect();
        let both = reasoned.joined()?.accepted().filter(|(row, _)| known.contains(row)).count();
        if self.options.ablations.sft_only || both < OSIPO_USERS {
            return Ok(None);
        }
        let mut dataset = study.dataset.with_outcomes_of(&draw.rows)?;
        if self.options.ablations.uniform {
            let segments = Segments::all(dataset.len());
            dataset = dataset.into_builder().with_segments(segments).build()?;
        }
        let osipo = Osipo::new(OsipoConfig::default())?;
        let (student, log) = osipo.fit(sft, &reasoned.corpus.join(&dataset)?, self.seed(4), self.progress)?;
        if log.best_epoch == 0 {
            return Ok(None);
        }
        Ok(Some(self.distil(&student, reasoned)?))
    }

    /// The student's signals of every user, and the encoder that learned them.
    pub(super) fn distil(&self, student: &Student, reasoned: &Reasoned) -> Result<Learnt> {
        let study = self.study;
        let signals = of_student(student, study.dataset.table(), &study.eligible, self.progress)?;
        let mut rows = self.fold.train.clone();
        if rows.len() > DISTIL_USERS {
            let covered: std::collections::HashSet<usize> = reasoned.rows.iter().copied().collect();
            rows.shuffle(&mut stream(self.seed(5), &[]));
            rows.sort_by_key(|row| !covered.contains(row));
            rows.truncate(DISTIL_USERS.max(covered.len()));
            rows.sort_unstable();
        }
        let mut config = DistillConfig::default();
        if self.options.ablations.no_state_kl {
            config.lambda_state = 0.0.into();
        }
        if self.options.ablations.no_representation {
            config.lambda_rep = 0.0.into();
        }
        // No outcome is given: the encoder's signals are the same whatever is labelled.
        let unlabelled = study.dataset.with_outcomes_of(&[])?;
        let known = signals.select(&rows)?;
        let data = DistillData::new(&unlabelled, &study.chain).with_signals(&known)?;
        let distiller = Distiller::new(self.encoder_config(), config)?;
        let (trained, _) = distiller.fit(&data, self.seed(6), self.device, self.progress)?;
        let frozen = trained.into_frozen();
        let report = frozen.transfer_report(&unlabelled, &signals.select(&self.fold.test)?)?;
        let groups = |groups: &[scaletot_encoder::TransferGroup]| {
            let group = |group: &scaletot_encoder::TransferGroup| TransferGroup {
                name: group.name.clone(),
                users: group.users,
                agreement: group.agreement,
                cosine: group.cosine,
            };
            groups.iter().map(group).collect()
        };
        let transfer = Transfer {
            repeat: self.fold.repeat,
            fold: self.fold.fold,
            agreement: report.agreement.clone(),
            cosine: report.cosine,
            cka: report.cka,
            by_populated: groups(&report.by_populated),
            by_segment: groups(&report.by_segment),
        };
        let began = Instant::now();
        let encoder = encoder_signals(&frozen, study)?;
        let encoder_seconds = began.elapsed().as_secs_f64();
        Ok(Learnt { student: signals, encoder, frozen, transfer, encoder_seconds })
    }

    /// The teacher's own posteriors and chains of users, by row; a chain is empty where there is none.
    ///
    /// # Errors
    /// If the teacher fails; [`Error::Stopped`].
    pub fn teacher(&self, reasoner: &Reasoner<'_>, rows: &[usize]) -> Result<(Signals, Vec<Vec<u16>>)> {
        let reason = |row| Ok(reasoner.reason(self.study.dataset.table(), row, self.seed(0))?);
        teacher_signals(self.study, rows, self.options.workers.get(), self.progress, reason)
    }

    /// Networks that are trained on outcomes alone as the encoder is.
    pub(super) fn network_learner(&self) -> Result<NetworkLearner<'_>> {
        let distiller = Distiller::new(self.encoder_config(), DistillConfig::default())?;
        Ok(NetworkLearner::new(distiller, &self.study.chain, self.device, self.progress))
    }

    fn encoder_config(&self) -> EncoderConfig {
        let mut config = EncoderConfig::default();
        config.min_populated = self.min_populated();
        config
    }
}
