//! Hidden names beside a target, under which its next content is made.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::rename;

/// A locked file `.NAME.part` (`.NAME.1.part`, … while others write to the same name), removed again unless it was moved to
/// its place. Who holds it may use the names beside it that [`next`](Self::next) and [`old`](Self::old) give.
///
/// The lock tells work under way from what a killed writer left, since it ends with the process.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) target: PathBuf,
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) placed: bool,
}

impl Slot {
    /// Takes the first free slot of a target, and removes what killed writers left in it and those after it.
    pub(super) fn take(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "expected a path that ends in a name")
        })?;
        let mut number = 0;
        let slot = loop {
            let path = target.with_file_name(slot_name(name, number));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let locked = !matches!(file.try_lock(), Err(TryLockError::WouldBlock));
                    // Else another writer looked at it before it was locked, and removes or has removed it.
                    if locked && is_at(&file, &path) {
                        break Self { target: target.to_owned(), path, file, placed: false };
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    if !clear_abandoned(&path, target) {
                        number += 1;
                    }
                }
                Err(e) => return Err(e),
            }
        };
        loop {
            number += 1;
            let path = target.with_file_name(slot_name(name, number));
            if !clear_abandoned(&path, target) && !path.exists() {
                return Ok(slot);
            }
        }
    }

    /// The directory that is being filled.
    pub(super) fn next(&self) -> PathBuf {
        next(&self.path)
    }

    /// Where the directory goes that is replaced.
    pub(super) fn old(&self) -> PathBuf {
        old(&self.path)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing can be done if this fails, and the error that led here is the one to report.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn slot_name(name: &std::ffi::OsStr, number: usize) -> OsString {
    let mut slot = OsString::from(".");
    slot.push(name);
    if number > 0 {
        slot.push(format!(".{number}"));
    }
    slot.push(".part");
    slot
}

fn next(slot: &Path) -> PathBuf {
    slot.with_extension("part.next")
}

fn old(slot: &Path) -> PathBuf {
    slot.with_extension("part.old")
}

/// Removes a slot whose writer was killed, with what is beside it; the slot itself last, so that no other is ever left.
/// False if there is none, or one in use.
fn clear_abandoned(slot: &Path, target: &Path) -> bool {
    let Ok(file) = File::open(slot) else { return false };
    // Where there are no locks, who writes cannot be told from who was killed.
    if file.try_lock().is_err() || !is_at(&file, slot) {
        return false;
    }
    clear_beside(slot, target).is_ok() && fs::remove_file(slot).is_ok()
}

/// Removes the directories beside a slot that is locked. A writer that was killed between the two steps of a replacement has
/// left the target's content in the old one: it is put back.
pub(super) fn clear_beside(slot: &Path, target: &Path) -> io::Result<()> {
    let (next, old) = (next(slot), old(slot));
    if old.exists() && rename::to_new(&old, target).is_err() {
        remove_dir(&old)?;
    }
    remove_dir(&next)
}

/// Removes a directory that may not be there.
fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Whether an open file is the one at a path. Between opening and locking, it may have been moved or removed.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        file.metadata().is_ok_and(|open| fs::symlink_metadata(path).is_ok_and(|there| same(open, there)))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}
