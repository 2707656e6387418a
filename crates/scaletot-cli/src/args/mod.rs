//! What several commands take.

pub(crate) mod source;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use scaletot_core::pool::MAX_WORKERS;
use scaletot_pipeline::options::{Device, DeviceChoice};
use scaletot_teacher::ReasonerBuilder;

/// A number of threads.
pub(crate) fn workers(text: &str) -> Result<NonZeroUsize, String> {
    let parsed: Option<NonZeroUsize> = text.parse().ok();
    parsed
        .filter(|workers| *workers <= MAX_WORKERS)
        .ok_or_else(|| format!("expected a whole number from 1 to {MAX_WORKERS}"))
}

/// The backend that trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceArg {
    /// CPU in pure Rust
    Flex,
    /// CPU through ndarray; needs a build with `--features ndarray`
    Ndarray,
    /// GPU through wgpu; needs a build with `--features wgpu`
    Wgpu,
    /// GPU through Vulkan alone; needs a build with `--features vulkan`
    Vulkan,
    /// NVIDIA GPU; needs a build with `--features cuda`
    Cuda,
}

impl From<DeviceArg> for DeviceChoice {
    fn from(device: DeviceArg) -> Self {
        match device {
            DeviceArg::Flex => Self::Flex,
            DeviceArg::Ndarray => Self::Ndarray,
            DeviceArg::Wgpu => Self::Wgpu,
            DeviceArg::Vulkan => Self::Vulkan,
            DeviceArg::Cuda => Self::Cuda,
        }
    }
}

/// The share of users about whom the teacher may fail, unless another one is given.
pub(crate) const MAX_FAILED: f64 = ReasonerBuilder::MAX_FAILED_SHARE;

/// The seed of every draw of a run, unless another one is given.
pub(crate) const DEFAULT_SEED: u64 = 1;

/// How a run is split, searched and trained.
#[derive(Debug, Clone, Args)]
pub(crate) struct MethodArgs {
    /// Share of all users whom the teacher reasons about (the paper: 0.0732 of a huge population)
    #[arg(long, value_name = "F", default_value_t = 0.2)]
    pub(crate) coverage: f64,
    /// Share of the users with a profile and a known outcome who are held out for evaluation
    #[arg(long, value_name = "F", default_value_t = 0.3)]
    pub(crate) held_out: f64,
    /// Profiles with fewer populated fields are abstained on  [default: 3, or all where there are fewer]
    #[arg(long, value_name = "N")]
    min_populated: Option<usize>,
    /// Least share of held-out users' states on which encoder and student must agree for the encoder to be served
    #[arg(long, value_name = "F", default_value_t = 0.5)]
    pub(crate) min_agreement: f64,
    /// Least share of the student's gain on held-out users that the encoder must keep to be served; not asked unless given
    #[arg(long, value_name = "F")]
    pub(crate) min_retention: Option<f64>,
    /// Seed of every draw
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SEED)]
    pub(crate) seed: u64,
    /// Backend that trains
    #[arg(long, value_enum, default_value_t = DeviceArg::Flex)]
    device: DeviceArg,
    /// Threads that search in parallel
    #[arg(long, value_name = "N", default_value = "2", value_parser = workers)]
    pub(crate) workers: NonZeroUsize,
    /// Share of the covered users about whom the teacher may fail before the run ends; they are asked about again when it is run again
    #[arg(long, value_name = "F", default_value_t = MAX_FAILED)]
    pub(crate) max_failed: f64,
}

impl MethodArgs {
    /// The fewest populated fields of a served user.
    pub(crate) fn min_populated(&self, fields: usize) -> usize {
        source::min_populated(self.min_populated, fields)
    }

    /// The backend that trains.
    pub(crate) fn device(&self) -> Result<Device> {
        Ok(DeviceChoice::from(self.device).device()?)
    }
}

/// Where a run writes.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutArgs {
    /// Output directory; an interrupted run there is resumed  [default: scaletot-out/TASK]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Throw away what --out holds, the answers that the teacher was paid for (answers.jsonl) among it, and start over
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl OutArgs {
    /// The output directory of a run on a task.
    pub(crate) fn out(&self, task: &str) -> PathBuf {
        // A name is one directory, whatever is in it.
        self.out.clone().unwrap_or_else(|| Path::new("scaletot-out").join(task.replace(['/', '\\'], "-")))
    }
}
