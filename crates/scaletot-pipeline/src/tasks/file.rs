//! The files that a task names.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use scaletot_chain::ChainSchema;
use scaletot_core::{ContentHash, files};
use scaletot_profile::ProfileSchema;
use scaletot_teacher::{Replay, Rules};
use serde::{Deserialize, Deserializer};

use super::embedded;
use crate::error::{Context, Result};

/// A file that a task names: on disk, or among those that are compiled into this crate.
#[derive(Clone, PartialEq, Eq)]
pub struct TaskFile {
    path: PathBuf,
    bytes: Option<&'static [u8]>,
}

impl TaskFile {
    /// The file of that path on disk.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), bytes: None }
    }

    /// The file of that path among the embedded ones, if it is one: a path below this crate, such as `tasks/hillstrom/chain.toml`.
    #[must_use]
    pub fn embedded(path: impl AsRef<Path>) -> Option<Self> {
        let path = normal(path.as_ref());
        let bytes = embedded::FILES.iter().find(|(name, _)| Path::new(name) == path)?.1;
        Some(Self { path, bytes: Some(bytes) })
    }

    /// Its path; of an embedded one, below this crate.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds, if it is embedded.
    #[must_use]
    pub fn embedded_bytes(&self) -> Option<&'static [u8]> {
        self.bytes
    }

    /// Whether it is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.bytes.is_some() || self.path.is_file()
    }

    /// What it holds, at most 1 GiB.
    ///
    /// # Errors
    /// If it cannot be read, is longer, or is no regular file.
    pub fn read(&self) -> Result<Cow<'static, [u8]>> {
        match self.bytes {
            Some(bytes) => Ok(Cow::Borrowed(bytes)),
            None => Ok(Cow::Owned(files::read(&self.path, MAX_FILE)?)),
        }
    }

    /// The hash of what it holds.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn content_hash(&self) -> Result<ContentHash> {
        Ok(match self.bytes {
            Some(bytes) => ContentHash::of(bytes),
            None => ContentHash::of_file(&self.path)?,
        })
    }

    /// The profile schema in it.
    ///
    /// # Errors
    /// If it cannot be read or holds none.
    pub fn profile_schema(&self) -> Result<ProfileSchema> {
        match self.bytes {
            Some(bytes) => ProfileSchema::from_toml(&text(bytes)).with_context(|| self.to_string()),
            None => Ok(ProfileSchema::load(&self.path)?),
        }
    }

    /// The chain schema in it.
    ///
    /// # Errors
    /// If it cannot be read or holds none.
    pub fn chain_schema(&self) -> Result<ChainSchema> {
        match self.bytes {
            Some(bytes) => ChainSchema::from_toml(&text(bytes)).with_context(|| self.to_string()),
            None => Ok(ChainSchema::load(&self.path)?),
        }
    }

    /// The expert rules in it.
    ///
    /// # Errors
    /// If it cannot be read, or its rules do not fit the schemas.
    pub fn rules(&self, schema: &ProfileSchema, chain: &ChainSchema) -> Result<Rules> {
        match self.bytes {
            Some(bytes) => Rules::from_toml(&text(bytes), schema, chain).with_context(|| self.to_string()),
            None => Ok(Rules::load(&self.path, schema, chain)?),
        }
    }

    /// The recorded answers in it.
    ///
    /// # Errors
    /// If it cannot be read or holds none.
    pub fn answers(&self) -> Result<Replay> {
        match self.bytes {
            Some(bytes) => Ok(Replay::from_reader(bytes, &self.path)?),
            None => Ok(Replay::open(&self.path)?),
        }
    }

    /// The file of this path below `base`; on disk, or among the embedded files if the base is.
    pub(super) fn below(&self, base: Base<'_>) -> Result<Self> {
        match base {
            Base::Directory(directory) => Ok(Self::at(directory.join(&self.path))),
            Base::Embedded(directory) => {
                let path = Path::new(directory).join(&self.path);
                Self::embedded(&path).with_context(|| format!("{} is not embedded", path.display()))
            }
        }
    }
}

/// What the paths in a task file are relative to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Base<'a> {
    /// A directory on disk.
    Directory(&'a Path),
    /// A directory of the embedded files.
    Embedded(&'static str),
}

/// From a path, which is one on disk until it is looked up.
impl<'de> Deserialize<'de> for TaskFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PathBuf::deserialize(deserializer).map(Self::at)
    }
}

impl fmt::Display for TaskFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.bytes.is_some() { f.write_str(" (embedded)") } else { Ok(()) }
    }
}

/// Without the bytes.
impl fmt::Debug for TaskFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// Embedded texts are of this repository and UTF-8.
fn text(bytes: &'static [u8]) -> Cow<'static, str> {
    String::from_utf8_lossy(bytes)
}

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
        normal
    })
}

/// Bytes of a file that is read as a whole at most.
const MAX_FILE: u64 = 1 << 30;

/// Bytes that a gzipped table unpacks to at most: so many, and so many more for each of its own.
const MAX_UNPACKED: u64 = 512 << 20;
const MAX_RATIO: u64 = 100;

/// The bytes of a file, unpacked if its name ends in `.gz`: at most 512 MiB, and a hundred more for each byte of the file.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = files::open(path)?;
    let is_packed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    if !is_packed {
        return Ok(Box::new(file));
    }
    let length = file.metadata().with_context(|| format!("{}: cannot read", path.display()))?.len();
    let most = MAX_UNPACKED.saturating_add(length.saturating_mul(MAX_RATIO));
    Ok(Box::new(Bounded { inner: MultiGzDecoder::new(BufReader::new(file)), most, left: most }))
}

/// A reader that fails where more than so many bytes come.
struct Bounded<R> {
    inner: R,
    most: u64,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            let message =
                format!("expected at most {} bytes unpacked, found more: unpack the file first", self.most);
            io::Error::new(io::ErrorKind::FileTooLarge, message)
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_unpacks_to_more_than_the_bound_is_an_error() {
        let bounded = |most| Bounded { inner: &b"abcdef"[..], most, left: most };
        let mut text = String::new();
        bounded(6).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcdef");
        let error = bounded(5).read_to_string(&mut text).unwrap_err();
        assert!(error.to_string().contains("at most 5 bytes unpacked"), "{error}");
    }
}
