//! One world: its users, the teacher's chains of some, the student that SFT makes of them, and the arms that go on from it.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rand::seq::SliceRandom;
use scaletot_core::seed::stream;
use scaletot_pipeline::evaluation::fold::Reasoned;
use scaletot_pipeline::evaluation::planted::Planted;
use scaletot_pipeline::evaluation::study::Study;
use scaletot_profile::{Dataset, Segments, Value};
use scaletot_student::{Osipo, OsipoConfig, OsipoLog, Sft, SftConfig, Student};

use crate::provenance::commit;

use super::arms::{Arm, Training, longer, osipo_config};
use super::fold::{WorldFold, most_probable};
use super::measure::{Evaluator, Recovered};
use super::options::OsipoStudyOptions;
use super::results::{ArmResult, Budget, Recovery, SeedResult};

/// The student's directory.
const STUDENT: &str = "student-sft";
/// Who was right about the states, and about whose.
pub(super) const TEACHER: &str = "teacher";
pub(super) const STUDENT_AFTER_SFT: &str = "student after SFT";
pub(super) const REASONED: &str = "reasoned users";
pub(super) const TEST: &str = "test users";

/// The field whose codes are the user segments.
const SEGMENT_FIELD: usize = 0;

/// A world whose chains are known.
pub(super) struct World<'a> {
    fold: &'a WorldFold<'a>,
    planted: &'a Planted,
    options: &'a OsipoStudyOptions,
    reasoned: Reasoned,
    /// All users, with the outcomes that OSIPO knows: in the segments of a field, and all in one.
    segmented: Dataset,
    whole: Dataset,
}

impl<'a> World<'a> {
    /// Reasons about the world's users, or reads what was found out about them.
    pub(super) fn new(fold: &'a WorldFold<'a>, options: &'a OsipoStudyOptions, dir: &Path) -> Result<Self> {
        let study = fold.study;
        let planted = study.planted.as_deref().context("not a planted world")?;
        let reasoned = fold.reason(dir)?;
        let mut rows: Vec<usize> = reasoned.joined()?.accepted().map(|(row, _)| row).collect();
        if let Some(labels) = options.labels {
            ensure!(
                labels <= rows.len(),
                "--labels {labels}: only {} users have an accepted chain",
                rows.len()
            );
            rows.shuffle(&mut stream(fold.seed(7), &[]));
            rows.truncate(labels);
        }
        let whole = study.dataset.with_outcomes_of(&rows)?;
        let segmented = whole.clone().into_builder().with_segments(by_field(study)).build()?;
        Ok(Self { fold, planted, options, reasoned, segmented, whole })
    }

    /// The student after SFT, from `dir` if it was `trained` before.
    pub(super) fn student(&self, dir: &Path, trained: bool) -> Result<Student> {
        let dir = dir.join(STUDENT);
        if trained {
            return Ok(Student::load(&dir, self.fold.device)?);
        }
        let student = self.fold.sft(&self.reasoned)?;
        student.save(&dir)?;
        Ok(student)
    }

    /// What the arms of this world are measured by.
    pub(super) fn evaluator(&self) -> Result<Evaluator<'_>> {
        Evaluator::new(self.fold, self.planted, &self.segmented, &self.reasoned.joined()?)
    }

    /// The world without any arm: its users, and who recovers their states.
    pub(super) fn described(&self, student: &Student, seconds: f64) -> Result<SeedResult> {
        let planted = self.planted;
        let test = self.fold.test();
        let chains = self.fold.teacher()?;
        let joined = self.reasoned.joined()?;
        let best: Vec<(usize, Vec<u16>)> = joined
            .accepted()
            .filter_map(|(row, record)| Some((row, record.best.as_ref()?.values())))
            .collect();
        let reasoned: Vec<usize> = best.iter().map(|(row, _)| *row).collect();
        let asked: Vec<usize> = test.iter().chain(&reasoned).copied().collect();
        let signals = self.fold.signals(student, &asked)?;
        let thought = |rows: &[usize]| {
            Recovered::of(planted, rows.iter().map(|&row| (row, most_probable(&signals, row))))
        };
        let entry =
            |who: &str, users: &str, right| Recovery { who: who.to_owned(), users: users.to_owned(), right };
        Ok(SeedResult {
            seed: self.fold.options.source.seed,
            test: test.len(),
            reasoned: self.reasoned.rows().len(),
            accepted: reasoned.len(),
            labelled: self.whole.labelled().count(),
            bayes: planted.world().bayes_accuracy(),
            recovery: vec![
                entry(STUDENT_AFTER_SFT, REASONED, thought(&reasoned)),
                entry(STUDENT_AFTER_SFT, TEST, thought(test)),
                entry(TEACHER, REASONED, Recovered::of(planted, best)),
                entry(TEACHER, TEST, Recovered::of(planted, test.iter().copied().zip(chains))),
            ],
            seconds,
            arms: Vec::new(),
        })
    }

    /// Trains an arm and measures it. What it takes from other arms is in `done`.
    pub(super) fn run(
        &self,
        arm: &Arm,
        student: &Student,
        evaluator: &Evaluator<'_>,
        done: &SeedResult,
    ) -> Result<ArmResult> {
        let began = Instant::now();
        let (trained, budget) = match arm.training {
            Training::None => (student.clone(), Budget::default()),
            Training::Sft => self.sft(student, longer(done)?)?,
            Training::Osipo { segments, change } => {
                let users = if segments { &self.segmented } else { &self.whole };
                self.osipo(student, users, osipo_config(change, self.options.epochs))?
            }
        };
        Ok(ArmResult {
            arm: arm.name.to_owned(),
            settings: arm.settings(self.options.epochs, done)?,
            budget,
            measures: evaluator.measure(&trained)?,
            seconds: began.elapsed().as_secs_f64(),
            commit: commit(),
        })
    }

    fn sft(&self, student: &Student, config: SftConfig) -> Result<(Student, Budget)> {
        let sft = Sft::new(config)?;
        let (trained, log) =
            sft.fit(student, &self.reasoned.joined()?, self.fold.seed(4), self.fold.progress)?;
        let epochs = log.epochs.len();
        let steps = epochs * log.users.div_ceil(sft.config().batch_size);
        Ok((trained, Budget { steps, epochs, kept: log.best_epoch, users: log.users, chains: log.users }))
    }

    fn osipo(&self, student: &Student, users: &Dataset, config: OsipoConfig) -> Result<(Student, Budget)> {
        let joined = self.reasoned.corpus().join(users)?;
        let osipo = Osipo::new(config)?;
        let (trained, log) = osipo.fit(student, &joined, self.fold.seed(4), self.fold.progress)?;
        Ok((trained, spent(&log, osipo.config())))
    }
}

/// What a run of OSIPO took.
fn spent(log: &OsipoLog, config: &OsipoConfig) -> Budget {
    use scaletot_osipo::Objective;
    let (updates, chains) = match config.loss.objective {
        Objective::Policy(_) => (config.updates, log.users * config.samples),
        _ => (1, log.candidates),
    };
    let epochs = log.epochs.len();
    let steps = epochs * log.users.div_ceil(config.batch_users) * updates;
    Budget { steps, epochs, kept: log.best_epoch, users: log.users, chains }
}

/// The users by the code of a field; those without one are a segment too.
fn by_field(study: &Study) -> Segments {
    let table = study.dataset.table();
    let labels: Vec<Option<String>> = (0..table.len())
        .map(|row| match table.value(row, SEGMENT_FIELD) {
            Some(Value::Code(code)) => Some(format!("c{code}")),
            _ => None,
        })
        .collect();
    Segments::from_labels(&labels)
}
