//! Teachers and backends by name, as on a command line.

mod server;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use scaletot_core::config::check;
use scaletot_core::pool::MAX_WORKERS;

use crate::error::{Error, Result};
pub use burn::tensor::Device;
pub use server::ServerChoice;

/// Checks a number of threads.
pub(crate) fn check_workers(field: &'static str, workers: NonZeroUsize) -> Result<()> {
    Ok(check(workers <= MAX_WORKERS, field, "1 to 1024", workers)?)
}

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
    OpenAi(ServerChoice),
}

impl FromStr for TeacherChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, path) = text.split_once(':').ok_or_else(|| {
            format!("expected replay:FILE, gguf:FILE, rules:FILE or openai:URL#MODEL, found `{text}`")
        })?;
        if path.is_empty() {
            return Err(format!("`{text}` names no file"));
        }
        match kind {
            "replay" => Ok(Self::Replay(path.into())),
            "gguf" => Ok(Self::Gguf(path.into())),
            "rules" => Ok(Self::Rules(path.into())),
            "openai" => path.parse().map(Self::OpenAi),
            other => Err(format!("expected replay, gguf, rules or openai before the colon, found `{other}`")),
        }
    }
}

impl TeacherChoice {
    /// The file that it answers from, if it does.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Replay(path) | Self::Gguf(path) | Self::Rules(path) => Some(path),
            Self::OpenAi(_) => None,
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
            Self::OpenAi(_) => "openai",
        }
    }
}

impl std::fmt::Display for TeacherChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Replay(path) | Self::Gguf(path) | Self::Rules(path) => {
                write!(f, "{}:{}", self.kind(), path.display())
            }
            Self::OpenAi(server) => write!(f, "openai:{server}"),
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
    /// GPU through Vulkan, and no other graphics API; needs the feature `vulkan`.
    Vulkan,
    /// NVIDIA GPU; needs the feature `cuda`.
    Cuda,
}

impl DeviceChoice {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Flex, Self::Ndarray, Self::Wgpu, Self::Vulkan, Self::Cuda];

    /// The device, if its backend was compiled in.
    ///
    /// # Errors
    /// [`Error::MissingFeature`] if it was not.
    pub fn device(self) -> Result<Device> {
        match self {
            #[cfg(feature = "flex")]
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "ndarray")]
            #[allow(deprecated, reason = "Burn recommends flex; this one is offered for comparison")]
            Self::Ndarray => Ok(Device::ndarray()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => Ok(Device::vulkan(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(feature = "cuda")]
            Self::Cuda => Ok(Device::cuda(burn::tensor::DeviceIndex::Default)),
            #[allow(unreachable_patterns, reason = "which arms are left depends on the features")]
            missing => {
                let feature = missing.name();
                Err(Error::MissingFeature { what: format!("the backend `{feature}`"), feature })
            }
        }
    }

    /// Its name, which is also that of its feature.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
            Self::Wgpu => "wgpu",
            Self::Vulkan => "vulkan",
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
        let named = Self::ALL.into_iter().find(|device| device.name() == text);
        named.ok_or_else(|| format!("expected flex, ndarray, wgpu, vulkan or cuda, found `{text}`"))
    }
}

/// A name of a device that stays the same from version to version of Burn: that of the [`DeviceChoice`] which stands for it. Of another one,
/// such as a second GPU, Burn's own text.
#[must_use]
pub fn device_name(device: &Device) -> String {
    let chosen = DeviceChoice::ALL
        .into_iter()
        .find(|choice| choice.device().is_ok_and(|of_choice| of_choice == *device));
    chosen.map_or_else(|| format!("{device:?}"), |choice| choice.name().to_owned())
}

/// The fewest populated fields of a user who is not abstained on, where nothing else is asked for: 3, or all fields of a profile that has
/// fewer.
#[must_use]
pub fn default_min_populated(fields: usize) -> usize {
    fields.clamp(1, 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_the_name_of_its_choice() {
        for choice in DeviceChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
            match choice.device() {
                Ok(device) => assert_eq!(device_name(&device), choice.name()),
                Err(error) => assert_eq!(
                    error.to_string(),
                    format!("the backend `{choice}` is not compiled in: it needs the feature `{choice}`")
                ),
            }
        }
        assert!("quantum".parse::<DeviceChoice>().is_err());
    }

    #[test]
    fn teachers_parse_and_print() {
        for text in
            ["replay:a.jsonl.gz", "gguf:/m/x.gguf", "rules:r.toml", "openai:http://localhost:8080/v1#m,chat"]
        {
            assert_eq!(text.parse::<TeacherChoice>().unwrap().to_string(), text);
        }
        assert!("smollm".parse::<TeacherChoice>().is_err());
        assert!("openai:http://localhost".parse::<TeacherChoice>().unwrap_err().contains("URL#MODEL"));
        assert!("gguf:".parse::<TeacherChoice>().is_err());
        assert!("gpt:x".parse::<TeacherChoice>().unwrap_err().contains("gpt"));
    }
}
