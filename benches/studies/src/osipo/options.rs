//! The options of `osipo_study`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use scaletot_eval::planted::FieldErrors;
use scaletot_pipeline::evaluation::PLANTED;
use scaletot_pipeline::evaluation::options::EvaluateOptions;
use scaletot_pipeline::options::DeviceChoice;

use super::arms::{ARMS, Arm, OSIPO, SFT, SFT_LONGER};
use super::fold::FOLDS;
use super::paired::MAX_WORLDS;

/// Reasoned users with a known outcome without whom OSIPO is not worth a figure.
const MIN_LABELS: usize = 50;

/// Worlds, arms, and where the figures go.
#[derive(Debug, Clone, Args)]
pub struct OsipoStudyOptions {
    /// Worlds: those of the seeds 1 to N
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub seeds: u64,
    /// Users of each world
    #[arg(long, value_name = "N", default_value_t = 60_000)]
    pub users: usize,
    /// Noise of the teacher
    #[arg(long, value_name = "S", default_value_t = 0.7)]
    pub noise: f64,
    /// What the teacher gets wrong about profile fields, alike for all users: none, mixed or hard
    #[arg(long, value_name = "ERRORS", default_value_t = FieldErrors::None)]
    pub field_errors: FieldErrors,
    /// Reasoned users whose outcome is known, drawn at random; by default all of them
    #[arg(long, value_name = "N")]
    pub labels: Option<usize>,
    /// Epochs of OSIPO at most; by default as many as its trainer has
    #[arg(long, value_name = "N")]
    pub epochs: Option<NonZeroUsize>,
    /// Arm to run beside `sft`, `sft-longer` and `osipo`; may be given several times. By default all
    #[arg(long = "arm", value_name = "NAME")]
    pub arms: Vec<String>,
    /// Backend that trains
    #[arg(long, default_value_t = DeviceChoice::Flex)]
    pub device: DeviceChoice,
    /// Threads that search
    #[arg(long, value_name = "N", default_value = "2")]
    pub workers: NonZeroUsize,
    /// Output directory; an interrupted run there is resumed, and arms that it holds are not run again
    #[arg(long, value_name = "DIR", default_value = "target/osipo_study")]
    pub out: PathBuf,
    /// Throw away what --out holds and start over
    #[arg(long)]
    pub fresh: bool,
    /// Page to write the results into, between its lines `<!-- results -->` and `<!-- /results -->`
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// Two small worlds and two epochs, for a first look
    #[arg(long)]
    pub quick: bool,
}

impl OsipoStudyOptions {
    /// The options with `--quick` put into effect.
    ///
    /// # Errors
    /// If an option is out of range.
    pub fn checked(mut self) -> Result<Self> {
        if self.quick {
            self.seeds = self.seeds.min(2);
            self.users = self.users.min(6_000);
            self.epochs = self.epochs.or(NonZeroUsize::new(2));
        }
        let seeds = 1..=MAX_WORLDS as u64;
        ensure!(seeds.contains(&self.seeds), "--seeds must be 1 to {MAX_WORLDS}, found {}", self.seeds);
        ensure!(self.users >= 1_000, "--users must be at least 1000, found {}", self.users);
        if let Some(labels) = self.labels {
            ensure!(labels >= MIN_LABELS, "--labels must be at least {MIN_LABELS}, found {labels}");
        }
        for name in &self.arms {
            let known = ARMS.map(|arm| format!("`{}`", arm.name)).join(", ");
            ensure!(ARMS.iter().any(|arm| arm.name == name), "no arm `{name}`; there are {known}");
        }
        Ok(self)
    }

    /// The arms to run, in the order of the page.
    pub(super) fn chosen(&self) -> impl Iterator<Item = &'static Arm> {
        ARMS.iter().filter(|arm| {
            let always = [SFT, SFT_LONGER, OSIPO].contains(&arm.name);
            always || self.arms.is_empty() || self.arms.iter().any(|name| name == arm.name)
        })
    }

    /// The options of `evaluate --task planted` on the world of a seed: its defaults, so that users, chains and student are those of the
    /// evaluation.
    pub(super) fn evaluation(&self, seed: u64) -> EvaluateOptions {
        let mut options = EvaluateOptions::default();
        options.source.task = PLANTED.to_owned();
        (options.source.seed, options.source.noise) = (seed, self.noise);
        options.source.field_errors = self.field_errors;
        (options.folds, options.device, options.workers) = (FOLDS, self.device, self.workers);
        options
    }
}
