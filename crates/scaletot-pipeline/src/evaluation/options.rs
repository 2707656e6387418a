//! The options of `evaluate`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::error::{Result, ensure};
use clap::Args;
use scaletot_search::{RefineConfig, Strategy};

use crate::options::{DeviceChoice, TeacherChoice};

/// Whom to reason about, and who does.
#[derive(Debug, Clone, Args)]
pub struct SourceOptions {
    /// Shipped task by name, or a task file; `planted` is a synthetic world whose truth is known
    #[arg(long, value_name = "TASK", default_value = "complete-journey")]
    pub task: String,
    /// The task's table, or a directory with its publisher's raw files; not needed for embedded tables
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Who answers: replay:FILE, gguf:FILE, rules:FILE or openai:URL#MODEL; by default the task's recorded answers, or else its rules
    #[arg(long, value_name = "TEACHER")]
    pub teacher: Option<TeacherChoice>,
    /// Profiles with fewer populated fields are abstained on and take no part
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub min_populated: usize,
    /// Noise of the planted world's teacher
    #[arg(long, value_name = "S", default_value_t = 0.7)]
    pub noise: f64,
    /// Seed of every draw
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// A task, a teacher, a protocol and ablations.
#[derive(Debug, Clone, Args)]
pub struct EvaluateOptions {
    /// Whom to reason about, and who does
    #[command(flatten)]
    pub source: SourceOptions,
    /// Record the teacher's answers to every question that any search of this task may ask, for --teacher replay:FILE
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Share of all users whom the teacher reasons about, chosen from the training folds
    #[arg(long, value_name = "F", default_value_t = 0.0732)]
    pub coverage: f64,
    /// Further shares, for the coverage curve: the arm `scaletot` alone, on the folds of the first repeat
    #[arg(long, value_name = "F,F,...", value_delimiter = ',')]
    pub coverage_curve: Vec<f64>,
    /// Numbers of labelled training users; all of them is always added
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', default_values_t = [0, 50, 200, 500, 1000, 2000, 5000])]
    pub labels: Vec<usize>,
    /// Folds of the cross-validation over users
    #[arg(long, value_name = "K", default_value_t = 5)]
    pub folds: usize,
    /// Repeats of the cross-validation with other folds
    #[arg(long, value_name = "R", default_value_t = 1)]
    pub repeats: usize,
    /// Draws of labelled users for up to 1,000 of them; larger numbers are drawn once per fold
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub draws: usize,
    /// Bootstrap replicates of every interval
    #[arg(long, value_name = "N", default_value_t = 400)]
    pub replicates: usize,
    /// Backend that trains
    #[arg(long, value_enum, default_value_t = DeviceChoice::Flex)]
    pub device: DeviceChoice,
    /// Threads
    #[arg(long, value_name = "N", default_value = "2")]
    pub workers: NonZeroUsize,
    /// Output directory; an interrupted run there is taken up  [default: target/evaluate/TASK]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Throw away what --out holds and start over
    #[arg(long)]
    pub fresh: bool,
    /// Few folds, draws and label sizes, and at most 10,000 users of a table, for a first look
    #[arg(long)]
    pub quick: bool,
    /// Ablations
    #[command(flatten)]
    pub ablations: Ablations,
}

/// What can be taken out of the method, one flag each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct Ablations {
    /// Greedy chains instead of refined ones
    #[arg(long)]
    pub greedy: bool,
    /// No OSIPO after SFT
    #[arg(long)]
    pub sft_only: bool,
    /// No state KL in the distillation
    #[arg(long)]
    pub no_state_kl: bool,
    /// No representation loss in the distillation
    #[arg(long)]
    pub no_representation: bool,
    /// All users one segment in OSIPO, and all chain segments of equal weight
    #[arg(long)]
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
    /// The options with `--quick` put into effect.
    ///
    /// # Errors
    /// If an option is out of range.
    pub fn checked(mut self) -> Result<Self> {
        let share = |option: &str, share: f64| {
            ensure!(share > 0.0 && share <= 1.0, "{option} must be above 0 and at most 1, got {share}");
            Ok(())
        };
        share("--coverage", self.coverage)?;
        for &further in &self.coverage_curve {
            share("--coverage-curve", further)?;
        }
        self.coverage_curve.retain(|&further| further != self.coverage);
        self.coverage_curve.sort_by(f64::total_cmp);
        self.coverage_curve.dedup();
        ensure!(self.folds >= 2, "--folds must be at least 2, got {}", self.folds);
        ensure!(self.repeats >= 1, "--repeats must be at least 1, got 0");
        ensure!(self.draws >= 1, "--draws must be at least 1, got 0");
        ensure!(self.replicates >= 20, "--replicates must be at least 20, got {}", self.replicates);
        if self.quick {
            self.folds = self.folds.min(3);
            self.repeats = 1;
            self.draws = self.draws.min(2);
            self.labels.retain(|&n| n == 0 || n == 200 || n == 1000);
            self.replicates = self.replicates.min(200);
        }
        self.labels.sort_unstable();
        self.labels.dedup();
        for &n in self.labels.iter().filter(|&&n| n > 0) {
            ensure!(n >= 20, "--labels must be 0 or at least 20, got {n}");
        }
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
