//! Files and directories that appear whole or not at all, and stay when the power goes.
//!
//! A writer that is killed half way must leave what was there before, and a reader must never meet half a file. So everything
//! is written beside its place, forced to disk, moved there in one step, and the directory that holds the name is forced to
//! disk too: before that, a renamed file is not persistent.
//!
//! - [`AtomicFile`] is a writer of one file; [`write_bytes`] and [`write_json`] are short for it.
//! - [`AtomicDir`] is a directory that is filled beside its place. One that is there already is exchanged for it, so that a
//!   reader finds the old one or the new one at every moment.
//! - [`append`], [`append_or_create`] and [`append_locked`] open files that grow, never through a symbolic link.
//! - [`open`], [`read`] and [`read_to_string`] take regular files alone, and no more bytes than the caller wants.
//! - [`DirLock`] holds a directory for one writer, and names it to the others.
//!
//! What is written to `NAME` lies beside it under the hidden name `.NAME.part` until then, locked by its writer. Several
//! writers, in one process or in many, do not disturb each other: the last to commit wins. What a killed writer left behind
//! is recognised by its lock, which ends with the process, and is removed by the next writer to the same `NAME`, or by
//! [`remove_leftovers`]. Where the
//! file system has no locks, nothing tells the left-overs from work under way, and they stay.
//!
//! What is promised here is promised on Unix systems. Elsewhere the code compiles and was never run: Windows locks a file against its readers too,
//! and has neither the exchange of directories nor a way to force a name to disk.
//!
//! ```
//! use std::io::Write;
//! use scaletot_core::files::{AtomicDir, AtomicFile, write_json};
//!
//! # let place = tempfile::tempdir()?;
//! # let place = place.path();
//! let mut file = AtomicFile::create(place.join("scores.csv"))?;
//! writeln!(file, "user,value")?;
//! assert!(!place.join("scores.csv").exists());
//! file.commit()?;
//! assert!(place.join("scores.csv").exists());
//!
//! for version in 1..=2 {
//!     let model = AtomicDir::create(place.join("model"), &["manifest.json", "weights"])?;
//!     write_json(model.path().join("manifest.json"), &version)?;
//!     model.write("weights", [0; 100])?;
//!     model.commit()?;
//! }
//! assert_eq!(std::fs::read_to_string(place.join("model/manifest.json"))?, "2\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dir;
mod file;
mod lock;
mod own;
mod read;
mod rename;
mod slot;
mod sums;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use dir::AtomicDir;
pub use file::AtomicFile;
pub use lock::{DirLock, FileLock, LockError};
pub use own::{LockedFile, append, append_locked, append_or_create};
pub use read::{open, read, read_to_string};
use serde::Serialize;
pub use sums::{ChecksumError, Checksums};

/// The system refused something about a file or directory.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
#[non_exhaustive]
pub struct FileError {
    /// What was tried: a verb such as "read", "write" or "replace".
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

impl FileError {
    /// The system refused to `action` what is at `path`.
    pub fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { action, path: path.into(), source }
    }

    /// The same for `map_err`.
    fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }
}

/// Writes a file as a whole, replacing what was there.
///
/// # Errors
/// If it cannot be written; what was there then still is.
pub fn write_bytes(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<(), FileError> {
    let path = path.as_ref();
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes.as_ref()).map_err(FileError::at("write", path))?;
    file.commit()
}

/// Writes a value as indented JSON with a line feed at the end, replacing what was there.
///
/// # Errors
/// If the file cannot be written, or the value is not one that JSON can hold; what was there then still is.
pub fn write_json(path: impl AsRef<Path>, value: &(impl Serialize + ?Sized)) -> Result<(), FileError> {
    let path = path.as_ref();
    let mut json =
        serde_json::to_vec_pretty(value).map_err(io::Error::from).map_err(FileError::at("write", path))?;
    json.push(b'\n');
    write_bytes(path, json)
}

/// Creates a directory and those above it, as far as they are missing.
///
/// # Errors
/// If the system refuses; the error names the directory that was asked for.
pub fn create_dir_all(path: impl AsRef<Path>) -> Result<(), FileError> {
    let path = path.as_ref();
    if path.is_dir() {
        return Ok(());
    }
    // The names of all that are new, not of the last alone.
    let missing: Vec<&Path> =
        path.ancestors().take_while(|above| !above.is_dir() && !above.as_os_str().is_empty()).collect();
    let create = || {
        fs::create_dir_all(path)?;
        missing.iter().rev().try_for_each(|above| sync_parent(above))
    };
    create().map_err(FileError::at("create", path))
}

/// Removes what killed writers of this module left behind in a directory and those below it: the files and directories beside the targets for
/// which `is_ours` is true, which gets their paths. For who starts over; without it, the next writer to the same
/// target does it. Returns how many were removed.
///
/// Work that is under way is left alone, known by its lock. A target whose replacement was cut short between two steps is put back
/// first. Links are not followed.
///
/// ```
/// use scaletot_core::files::remove_leftovers;
///
/// # let place = tempfile::tempdir()?;
/// # let place = place.path();
/// std::fs::write(place.join(".scores.csv.part"), "half of the")?; // by a process that was killed
/// assert_eq!(remove_leftovers(place, |target| target.extension().is_some_and(|name| name == "csv"))?, 1);
/// assert_eq!(std::fs::read_dir(place)?.count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If a directory cannot be read.
pub fn remove_leftovers(
    directory: impl AsRef<Path>,
    is_ours: impl Fn(&Path) -> bool,
) -> Result<u64, FileError> {
    let directory = directory.as_ref();
    slot::remove_abandoned(directory, &is_ours).map_err(FileError::at("read", directory))
}

/// Whether a name is one of those that file managers leave in every directory that somebody looks into: `.DS_Store`, `._NAME`, `.directory`,
/// `Thumbs.db` and `desktop.ini`. They are nobody's work, and made again when they are missing.
#[must_use]
pub fn is_clutter(name: impl AsRef<OsStr>) -> bool {
    let name = name.as_ref();
    name.as_encoded_bytes().starts_with(b"._")
        || [".DS_Store", ".directory", "Thumbs.db", "desktop.ini"].iter().any(|clutter| name == *clutter)
}

/// The directory that holds a name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Forces the directory that holds a name to disk, and with it the name.
fn sync_parent(path: &Path) -> io::Result<()> {
    sync_dir(parent(path))
}

/// Forces a directory to disk where systems have that.
fn sync_dir(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(path).and_then(|dir| dir.sync_all()) {
        // A directory that may be written to and not read, or on a file system that keeps no directories.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
