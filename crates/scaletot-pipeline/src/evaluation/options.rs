//! What is evaluated, by which protocol.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use scaletot_core::config::{check, share};
use scaletot_eval::planted::{Blur, FieldErrors};
use scaletot_search::{RefineConfig, Strategy};
use scaletot_teacher::ReasonerBuilder;

use crate::error::Result;
use crate::options::{DeviceChoice, TeacherChoice, check_workers, default_min_populated};

/// Whom to reason about, and who does.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SourceOptions {
    /// Shipped task by name, or a task file; `planted` is a synthetic world whose truth is known
    pub task: String,
    /// The task's table, or a directory with its publisher's raw files; not needed for embedded tables
    pub data: Option<PathBuf>,
    /// Teacher: replay:FILE, gguf:FILE, rules:FILE or openai:URL#MODEL; by default the task's recorded answers, or else its rules
    pub teacher: Option<TeacherChoice>,
    /// Profiles with fewer populated fields are abstained on and take no part; 3 by default, or all where there are fewer
    pub min_populated: Option<usize>,
    /// Noise of the planted world's teacher
    pub noise: f64,
    /// What the planted world's teacher gets wrong about profile fields, alike for all users
    pub field_errors: FieldErrors,
    /// Seed of every draw
    pub seed: u64,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            task: "complete-journey".to_owned(),
            data: None,
            teacher: None,
            min_populated: None,
            noise: 0.7,
            field_errors: FieldErrors::None,
            seed: 1,
        }
    }
}

impl SourceOptions {
    /// The fewest populated fields of a user who takes part, of a profile with that many fields: what was asked for, or
    /// [`default_min_populated`].
    #[must_use]
    pub fn min_populated(&self, fields: usize) -> usize {
        self.min_populated.unwrap_or_else(|| default_min_populated(fields)).max(1)
    }

    /// What is wrong with the planted world's teacher.
    #[must_use]
    pub fn blur(&self) -> Blur {
        Blur::new(self.noise).with_fields(self.field_errors)
    }
}

/// Numbers of labelled training users unless others are asked for.
const LABELS: [usize; 7] = [0, 50, 200, 500, 1000, 2000, 5000];
/// The same of a quick run.
const QUICK_LABELS: [usize; 3] = [0, 200, 1000];

/// A task, a teacher, a protocol and ablations.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EvaluateOptions {
    /// Whom to reason about, and who does
    pub source: SourceOptions,
    /// Share of all users whom the teacher reasons about, chosen from the training folds
    pub coverage: f64,
    /// Further shares, for the coverage curve: the arm `scaletot` alone, on the folds of the first repeat
    pub coverage_curve: Vec<f64>,
    /// Share of a fold's covered users, from 0 to 1, about whom the teacher may fail: beyond it the run ends, and asks about them again when it
    /// is run again
    pub max_failed_share: f64,
    /// Numbers of labelled training users, 0 or at least 20; all of them is always added. 0, 50, 200, 500, 1,000, 2,000 and 5,000 by default;
    /// of a quick run 0, 200 and 1,000
    pub labels: Option<Vec<usize>>,
    /// Folds of the cross-validation over users
    pub folds: usize,
    /// Repeats of the cross-validation with other folds
    pub repeats: usize,
    /// Draws of labelled users for up to 1,000 of them; larger numbers are drawn once per fold
    pub draws: usize,
    /// Bootstrap replicates of every interval
    pub replicates: usize,
    /// Backend that trains
    pub device: DeviceChoice,
    /// Threads
    pub workers: NonZeroUsize,
    /// Output directory; an interrupted run there is resumed; `scaletot-evaluate/TASK` by default
    pub out: Option<PathBuf>,
    /// Throw away what --out holds and start over
    pub fresh: bool,
    /// At most 3 folds, 2 draws, 200 replicates and 10,000 users of a table, one repeat, and few label sizes unless [`labels`](Self::labels) are
    /// given, for a first look
    pub quick: bool,
    /// Ablations
    pub ablations: Ablations,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        Self {
            source: SourceOptions::default(),
            coverage: 0.0732,
            coverage_curve: vec![],
            max_failed_share: ReasonerBuilder::MAX_FAILED_SHARE,
            labels: None,
            folds: 5,
            repeats: 1,
            draws: 10,
            replicates: 400,
            device: DeviceChoice::Flex,
            workers: NonZeroUsize::MIN,
            out: None,
            fresh: false,
            quick: false,
            ablations: Ablations::default(),
        }
    }
}

/// What can be taken out of the method, one flag each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ablations {
    /// Greedy chains instead of refined ones
    pub greedy: bool,
    /// No OSIPO after SFT
    pub sft_only: bool,
    /// No state KL in the distillation
    pub no_state_kl: bool,
    /// No representation loss in the distillation
    pub no_representation: bool,
    /// All users one segment in OSIPO, and all chain segments of equal weight
    pub uniform: bool,
}

impl Ablations {
    /// The flags that are set, without their dashes.
    #[must_use]
    pub(super) fn names(self) -> Vec<String> {
        let Self { greedy, sft_only, no_state_kl, no_representation, uniform } = self;
        [
            ("greedy", greedy),
            ("sft-only", sft_only),
            ("no-state-kl", no_state_kl),
            ("no-representation", no_representation),
            ("uniform", uniform),
        ]
        .into_iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| name.to_owned())
        .collect()
    }
}

impl EvaluateOptions {
    /// The options with [`quick`](Self::quick) put into effect.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first option that is out of range.
    pub(super) fn checked(mut self) -> Result<Self> {
        share("coverage", self.coverage)?;
        for &further in &self.coverage_curve {
            share("coverage_curve", further)?;
        }
        self.coverage_curve.retain(|&further| further != self.coverage);
        self.coverage_curve.sort_by(f64::total_cmp);
        self.coverage_curve.dedup();
        let failed = self.max_failed_share;
        check((0.0..=1.0).contains(&failed), "max_failed_share", "a share from 0 to 1", failed)?;
        check_workers("workers", self.workers)?;
        for (field, expected, range, found) in [
            ("folds", "2 to 1000", 2..=1000, self.folds),
            ("repeats", "1 to 1000", 1..=1000, self.repeats),
            ("draws", "1 to 10000", 1..=10_000, self.draws),
            ("replicates", "20 to 1000000", 20..=1_000_000, self.replicates),
        ] {
            check(range.contains(&found), field, expected, found)?;
        }
        let noise = self.source.noise;
        check(noise.is_finite() && noise >= 0.0, "noise", "a number of at least 0", noise)?;
        if self.quick {
            self.folds = self.folds.min(3);
            self.repeats = 1;
            self.draws = self.draws.min(2);
            self.replicates = self.replicates.min(200);
        }
        if let Some(labels) = &mut self.labels {
            labels.sort_unstable();
            labels.dedup();
        }
        self.label_sizes()
            .iter()
            .try_for_each(|&n| check(n == 0 || n >= 20, "labels", "0 or at least 20", n))?;
        Ok(self)
    }

    /// Numbers of labelled training users: those that were asked for, or the default's.
    #[must_use]
    pub(super) fn label_sizes(&self) -> &[usize] {
        match &self.labels {
            Some(labels) => labels,
            None if self.quick => &QUICK_LABELS,
            None => &LABELS,
        }
    }

    /// How the teacher's chains are searched for.
    #[must_use]
    pub(super) fn strategy(&self) -> Strategy {
        match self.ablations.greedy {
            true => Strategy::Greedy,
            false => Strategy::Refine(RefineConfig::default()),
        }
    }

    /// The output directory.
    #[must_use]
    pub fn out(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| {
            let stem = Path::new(&self.source.task).file_stem().unwrap_or_default().to_string_lossy();
            PathBuf::from("scaletot-evaluate").join(stem.trim_end_matches(".task"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_keeps_the_labels_that_were_asked_for() {
        let quick = EvaluateOptions { quick: true, ..EvaluateOptions::default() };
        assert_eq!(quick.clone().checked().unwrap().label_sizes(), QUICK_LABELS);
        let asked = EvaluateOptions { labels: Some(vec![500, 50, 500]), ..quick };
        assert_eq!(asked.checked().unwrap().label_sizes(), [50, 500]);
        assert_eq!(EvaluateOptions::default().checked().unwrap().label_sizes(), LABELS);
        let few = EvaluateOptions { labels: Some(vec![5]), ..EvaluateOptions::default() };
        assert_eq!(few.checked().unwrap_err().to_string(), "`labels`: expected 0 or at least 20, found 5");
    }

    #[test]
    fn a_profile_of_few_fields_asks_for_all_of_them() {
        let source = SourceOptions::default();
        assert_eq!([1, 2, 9].map(|fields| source.min_populated(fields)), [1, 2, 3]);
        assert_eq!(SourceOptions { min_populated: Some(5), ..source }.min_populated(2), 5);
    }
}
