//! What is evaluated, by which protocol.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::error::{Error, Result};
use scaletot_search::{RefineConfig, Strategy};

use crate::options::{DeviceChoice, TeacherChoice};

/// Whom to reason about, and who does.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SourceOptions {
    /// Shipped task by name, or a task file; `planted` is a synthetic world whose truth is known
    pub task: String,
    /// The task's table, or a directory with its publisher's raw files; not needed for embedded tables
    pub data: Option<PathBuf>,
    /// Who answers: replay:FILE, gguf:FILE, rules:FILE or openai:URL#MODEL; by default the task's recorded answers, or else its rules
    pub teacher: Option<TeacherChoice>,
    /// Profiles with fewer populated fields are abstained on and take no part
    pub min_populated: usize,
    /// Noise of the planted world's teacher
    pub noise: f64,
    /// Seed of every draw
    pub seed: u64,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            task: "complete-journey".to_owned(),
            data: None,
            teacher: None,
            min_populated: 3,
            noise: 0.7,
            seed: 1,
        }
    }
}

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
    /// Numbers of labelled training users; all of them is always added
    pub labels: Vec<usize>,
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
    /// Output directory; an interrupted run there is resumed; `target/evaluate/TASK` by default
    pub out: Option<PathBuf>,
    /// Throw away what --out holds and start over
    pub fresh: bool,
    /// Few folds, draws and label sizes, and at most 10,000 users of a table, for a first look
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
            labels: vec![0, 50, 200, 500, 1000, 2000, 5000],
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
    pub fn names(self) -> Vec<String> {
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
    /// [`Error::Config`] for the first option that is out of range.
    pub fn checked(mut self) -> Result<Self> {
        let share = |field: &str, share: f64| {
            check(field, share > 0.0 && share <= 1.0, "a share above 0 and at most 1", share)
        };
        share("coverage", self.coverage)?;
        for &further in &self.coverage_curve {
            share("coverage_curve", further)?;
        }
        self.coverage_curve.retain(|&further| further != self.coverage);
        self.coverage_curve.sort_by(f64::total_cmp);
        self.coverage_curve.dedup();
        check("folds", self.folds >= 2, "at least 2", self.folds)?;
        check("repeats", self.repeats >= 1, "at least 1", self.repeats)?;
        check("draws", self.draws >= 1, "at least 1", self.draws)?;
        check("replicates", self.replicates >= 20, "at least 20", self.replicates)?;
        if self.quick {
            self.folds = self.folds.min(3);
            self.repeats = 1;
            self.draws = self.draws.min(2);
            self.labels.retain(|&n| n == 0 || n == 200 || n == 1000);
            self.replicates = self.replicates.min(200);
        }
        self.labels.sort_unstable();
        self.labels.dedup();
        self.labels.iter().try_for_each(|&n| check("labels", n == 0 || n >= 20, "0 or at least 20", n))?;
        Ok(self)
    }

    /// How the teacher's chains are searched for.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        match self.ablations.greedy {
            true => Strategy::Greedy,
            false => Strategy::Refine(RefineConfig::default()),
        }
    }

    /// The output directory.
    #[must_use]
    pub fn out(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| {
            let name = PathBuf::from(&self.source.task)
                .file_stem()
                .map(|stem| stem.to_os_string())
                .unwrap_or_default();
            PathBuf::from("target/evaluate").join(name)
        })
    }
}

fn check(field: &str, fine: bool, expected: &str, found: impl ToString) -> Result<()> {
    match fine {
        true => Ok(()),
        false => Err(Error::Config {
            field: field.to_owned(),
            expected: expected.to_owned(),
            found: found.to_string(),
        }),
    }
}
