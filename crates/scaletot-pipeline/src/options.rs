//! Teachers and backends by name, as on a command line.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Result, bail};
pub use burn::tensor::Device;

/// Which teacher answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Flex, Self::Ndarray, Self::Wgpu, Self::Cuda];
        let named = all.into_iter().find(|device| device.name() == text);
        named.ok_or_else(|| format!("expected flex, ndarray, wgpu or cuda, got `{text}`"))
    }
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
