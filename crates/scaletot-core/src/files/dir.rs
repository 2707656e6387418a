//! A directory that appears whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::slot::{Slot, clear_beside};
use super::{FileError, rename, sync_dir, sync_parent};

/// A directory that is filled beside its place and takes its name when it is whole; see [the module](super). One that is
/// dropped before [`commit`](Self::commit) is removed, and what was at its path is untouched.
///
/// A directory that is there already is replaced with everything in it. On Linux and Apple systems the two are exchanged in
/// one step, if the file system can (ext4, XFS, Btrfs, tmpfs, APFS and others): whoever opens the path finds a whole
/// directory at every moment. Elsewhere the old one is moved aside before the new one takes its name: for that moment there
/// is none, and a writer that is killed then leaves none, until the next [`create`](Self::create) for the same path puts the
/// old one back.
///
/// A reader that opens several files by their paths may get some from the old directory and some from the new; hashes in a
/// manifest tell, and [`read`](Self::read) reads again.
#[derive(Debug)]
pub struct AtomicDir {
    next: PathBuf,
    slot: Slot,
}

impl AtomicDir {
    /// Begins an empty directory in one that is there.
    ///
    /// # Errors
    /// If no directory can be created beside the path.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let begin = || -> io::Result<Self> {
            let slot = Slot::take(path)?;
            clear_beside(&slot.path, path)?;
            let next = slot.next();
            fs::create_dir(&next)?;
            Ok(Self { next, slot })
        };
        begin().map_err(FileError::at("create a directory beside", path))
    }

    /// Where it is filled: any files and directories, written in any way. They are forced to disk by [`commit`](Self::commit).
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.next
    }

    /// The path that it will have.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.slot.target
    }

    /// Forces the content to disk and gives the directory its name, replacing a directory that was there.
    ///
    /// # Errors
    /// If the system refuses, or there is a file of that name; what was at the path then still is.
    pub fn commit(self) -> Result<(), FileError> {
        let target = self.target();
        sync_tree(&self.next).map_err(FileError::at("write", target))?;
        self.place().map_err(FileError::at("replace", target))?;
        sync_parent(target).map_err(FileError::at("sync", target))
        // What was replaced goes when this is dropped: it lies where the new one was, or aside.
    }

    fn place(&self) -> io::Result<()> {
        let target = self.target();
        loop {
            match rename::to_new(&self.next, target) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other,
            }
            // A link to a directory counts as one, and is replaced itself.
            if !target.is_dir() {
                return Err(io::Error::new(
                    io::ErrorKind::NotADirectory,
                    "expected a directory or nothing, found a file",
                ));
            }
            let replaced = match rename::exchange(&self.next, target) {
                Ok(true) => Ok(()),
                Ok(false) => replace_in_two_steps(&self.next, target, &self.slot.old()),
                Err(e) => Err(e),
            };
            match replaced {
                // Removed since we looked.
                Err(e) if e.kind() == io::ErrorKind::NotFound && self.next.is_dir() => {}
                other => return other,
            }
        }
    }
}

/// How often a directory that is replaced again and again is read at most.
const MAX_READS: usize = 20;

impl AtomicDir {
    /// What `read` makes of the directory at a path, read again where it failed and another directory has taken its place meanwhile: files
    /// of two directories do not fit each other, which `read` has to notice. Where the system does not tell directories apart
    /// (outside of Unix), it is read once.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn read<T, E>(path: &Path, mut read: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        for _ in 1..MAX_READS {
            // Held open, it keeps its number: no later directory can be taken for it.
            let held = File::open(path);
            match read() {
                Err(_) if held.is_ok_and(|held| !is_at(&held, path)) => {}
                done => return done,
            }
        }
        read()
    }
}

/// Whether a path leads to an open directory.
#[cfg(unix)]
fn is_at(held: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let number = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    held.metadata().ok().map(number) == fs::metadata(path).ok().map(number)
}

#[cfg(not(unix))]
fn is_at(_held: &File, _path: &Path) -> bool {
    true
}

impl Drop for AtomicDir {
    fn drop(&mut self) {
        // What cannot be removed is left to the next writer. The slot goes last, with its own drop.
        let _ = clear_beside(&self.slot.path, &self.slot.target);
    }
}

/// Moves the old directory aside, then the new one to its place. If that fails, the old one is put back.
pub(super) fn replace_in_two_steps(next: &Path, target: &Path, aside: &Path) -> io::Result<()> {
    fs::rename(target, aside)?;
    fs::rename(next, target).inspect_err(|_| {
        // If this fails too, it is tried again when the slot is left, and by the next writer.
        let _ = fs::rename(aside, target);
    })
}

/// Forces a directory and everything in it to disk.
fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            // Windows flushes only what was opened for writing.
            let file = match cfg!(windows) {
                true => File::options().write(true).open(entry.path()),
                false => File::open(entry.path()),
            };
            file?.sync_all()?;
        }
    }
    sync_dir(dir)
}
