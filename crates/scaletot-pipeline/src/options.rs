//! The options that the examples share.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Result, bail};
use burn::tensor::Device;
use clap::{Args, ValueEnum};

/// Which teacher answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TeacherChoice {
    /// Recorded answers, a `.jsonl` or `.jsonl.gz` file.
    Replay(PathBuf),
    /// A GGUF model in this process; needs the feature `gguf`.
    Gguf(PathBuf),
    /// Expert rules in TOML.
    Rules(PathBuf),
    /// A model behind an OpenAI-compatible server; needs the feature `openai`.
    OpenAi {
        /// The server's address.
        url: String,
        /// The model's name there.
        model: String,
    },
}

impl FromStr for TeacherChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, path) = text.split_once(':').ok_or_else(|| {
            format!("expected replay:FILE, gguf:FILE, rules:FILE or openai:URL#MODEL, got `{text}`")
        })?;
        if path.is_empty() {
            return Err(format!("`{text}` names no file"));
        }
        match kind {
            "replay" => Ok(Self::Replay(path.into())),
            "gguf" => Ok(Self::Gguf(path.into())),
            "rules" => Ok(Self::Rules(path.into())),
            "openai" => match path.rsplit_once('#') {
                Some((url, model)) if !url.is_empty() && !model.is_empty() => {
                    Ok(Self::OpenAi { url: url.to_owned(), model: model.to_owned() })
                }
                _ => Err(format!("expected openai:URL#MODEL, got `{text}`")),
            },
            other => Err(format!("expected replay, gguf, rules or openai before the colon, got `{other}`")),
        }
    }
}

impl TeacherChoice {
    /// The file that it answers from, if it does.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Replay(path) | Self::Gguf(path) | Self::Rules(path) => Some(path),
            Self::OpenAi { .. } => None,
        }
    }

    /// Its kind and the name of its file, without the directories, or its server.
    #[must_use]
    pub fn name(&self) -> String {
        match self.path() {
            Some(path) => {
                let file =
                    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                format!("{}:{file}", self.kind())
            }
            None => self.to_string(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Replay(_) => "replay",
            Self::Gguf(_) => "gguf",
            Self::Rules(_) => "rules",
            Self::OpenAi { .. } => "openai",
        }
    }
}

impl std::fmt::Display for TeacherChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Replay(path) | Self::Gguf(path) | Self::Rules(path) => {
                write!(f, "{}:{}", self.kind(), path.display())
            }
            Self::OpenAi { url, model } => write!(f, "openai:{url}#{model}"),
        }
    }
}

/// The backend that trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceChoice {
    /// CPU in pure Rust.
    Flex,
    /// CPU through ndarray; needs the feature `ndarray`.
    Ndarray,
    /// GPU through wgpu; needs the feature `wgpu`.
    Wgpu,
    /// NVIDIA GPU; needs the feature `cuda`.
    Cuda,
}

impl DeviceChoice {
    /// The device, if its backend was compiled in.
    ///
    /// # Errors
    /// If it was not; the message says how to build with it.
    pub fn device(self) -> Result<Device> {
        match self {
            #[cfg(feature = "flex")]
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "ndarray")]
            #[allow(deprecated, reason = "Burn recommends flex; this one is offered for comparison")]
            Self::Ndarray => Ok(Device::ndarray()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Device::cuda(burn::tensor::DeviceIndex::Default)),
            #[allow(unreachable_patterns, reason = "which arms are left depends on the features")]
            missing => {
                let name = missing.name();
                bail!(
                    "this build has no backend `{name}`: run again with `--features {name}` before the `--`"
                )
            }
        }
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        }
    }
}

/// A table, its schemas, a teacher and an output directory.
#[derive(Debug, Clone, Args)]
pub struct PipelineOptions {
    /// Table of users: .parquet or .csv
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/complete_journey.parquet"))]
    pub data: PathBuf,
    /// Profile schema: .toml or .json
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/complete_journey.profile.toml"))]
    pub profile_schema: PathBuf,
    /// Chain schema: .toml or .json
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/complete_journey.chain.toml"))]
    pub chain_schema: PathBuf,
    /// Column with the realised value, >= 0; empty where it is not known
    #[arg(long, value_name = "COL", default_value = "spend_30d")]
    pub outcome: String,
    /// Column with the user segment; a number is cut into three by quantile
    #[arg(long, value_name = "COL", default_value = "spend_prior_90d")]
    pub segment: String,
    /// Who answers: replay:FILE, gguf:FILE, rules:FILE or openai:URL#MODEL
    #[arg(long, value_name = "TEACHER", default_value = concat!("replay:", env!("CARGO_MANIFEST_DIR"), "/data/complete_journey.smollm2.jsonl.gz"))]
    pub teacher: TeacherChoice,
    /// Ask the teacher every question that a search over this table may ask, and write the answers here for replay
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Share of all users whom the teacher reasons about (the paper: 0.0732 of a huge population; this table is small)
    #[arg(long, value_name = "F", default_value_t = 0.2)]
    pub coverage: f64,
    /// Share of the users with a profile and a known outcome who are held out for evaluation
    #[arg(long, value_name = "F", default_value_t = 0.3)]
    pub held_out: f64,
    /// Profiles with fewer populated fields are abstained on
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub min_populated: usize,
    /// Least share of held-out users' states on which encoder and student must agree for the encoder to be served
    #[arg(long, value_name = "F", default_value_t = 0.5)]
    pub min_agreement: f64,
    /// Least share of the student's gain on held-out users that the encoder must keep to be served; not asked unless given
    #[arg(long, value_name = "F")]
    pub min_retention: Option<f64>,
    /// Seed of every draw
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Backend that trains
    #[arg(long, value_enum, default_value_t = DeviceChoice::Flex)]
    pub device: DeviceChoice,
    /// Threads that search in parallel
    #[arg(long, value_name = "N", default_value = "2")]
    pub workers: NonZeroUsize,
    /// Output directory; an interrupted run there is taken up
    #[arg(long, value_name = "DIR", default_value = "target/quickstart")]
    pub out: PathBuf,
    /// Throw away what --out holds and start over
    #[arg(long)]
    pub fresh: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teachers_parse_and_print() {
        for text in
            ["replay:a.jsonl.gz", "gguf:/m/x.gguf", "rules:r.toml", "openai:http://localhost:8080/v1#m"]
        {
            assert_eq!(text.parse::<TeacherChoice>().unwrap().to_string(), text);
        }
        assert!("smollm".parse::<TeacherChoice>().is_err());
        assert!("openai:http://localhost".parse::<TeacherChoice>().unwrap_err().contains("URL#MODEL"));
        assert!("gguf:".parse::<TeacherChoice>().is_err());
        assert!("gpt:x".parse::<TeacherChoice>().unwrap_err().contains("gpt"));
    }
}
