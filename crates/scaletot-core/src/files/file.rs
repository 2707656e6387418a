//! A file that appears whole or not at all.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::slot::Slot;
use super::{FileError, rename, sync_parent};

/// A file that is written beside its place and takes its name when it is whole; see [the module](super). Writes are buffered.
/// One that is dropped before [`commit`](Self::commit) is removed, and what was at its path is untouched.
///
/// The file gets the permissions that the process gives new files. A symbolic link at the path is replaced, not followed.
#[derive(Debug)]
pub struct AtomicFile {
    // Before the slot, so that what it still holds is not written after the file was removed.
    writer: BufWriter<fs::File>,
    slot: Slot,
}

impl AtomicFile {
    /// Begins a file in a directory that is there.
    ///
    /// # Errors
    /// If no file can be created beside the path.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let slot = Slot::take(path).map_err(FileError::at("create a file beside", path))?;
        let file = slot.file.try_clone().map_err(FileError::at("write", path))?;
        Ok(Self { writer: BufWriter::new(file), slot })
    }

    /// The path that it will have.
    #[must_use]
    #[allow(
        clippy::misnamed_getters,
        reason = "the slot's own path is hidden, and none of a caller's business"
    )]
    pub fn path(&self) -> &Path {
        &self.slot.target
    }

    /// An error of a write to this file, with its path.
    #[must_use]
    pub fn error(&self, source: io::Error) -> FileError {
        FileError::new("write", self.path(), source)
    }

    /// Forces the content to disk, so that a [`commit`](Self::commit) that follows is quick: for several files that are to
    /// take their names close together.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn sync(&mut self) -> Result<(), FileError> {
        self.writer
            .flush()
            .and_then(|()| self.slot.file.sync_all())
            .map_err(FileError::at("write", &self.slot.target))
    }

    /// Forces the content to disk and gives the file its name, replacing what was there.
    ///
    /// # Errors
    /// If the system refuses; what was at the path then still is.
    pub fn commit(self) -> Result<(), FileError> {
        self.place("replace", |from, to| fs::rename(from, to))
    }

    /// As [`commit`](Self::commit), but only where there is nothing yet.
    ///
    /// # Errors
    /// Of kind [`AlreadyExists`](io::ErrorKind::AlreadyExists) if there is something at the path; else as `commit`.
    pub fn commit_new(self) -> Result<(), FileError> {
        self.place("create", rename::to_new)
    }

    /// As [`commit`](Self::commit), but without forcing anything to disk: after a power cut the file may be there with another content. For what
    /// is compared with a hash before it is used, and made again.
    ///
    /// # Errors
    /// As `commit`.
    pub fn commit_unsynced(mut self) -> Result<(), FileError> {
        let path = self.slot.target.clone();
        self.writer.flush().map_err(FileError::at("write", &path))?;
        fs::rename(&self.slot.path, &path).map_err(FileError::at("replace", &path))?;
        self.slot.placed = true;
        Ok(())
    }

    fn place(
        mut self,
        action: &'static str,
        rename: impl FnOnce(&Path, &Path) -> io::Result<()>,
    ) -> Result<(), FileError> {
        self.sync()?;
        let path = self.slot.target.clone();
        rename(&self.slot.path, &path).map_err(FileError::at(action, &path))?;
        self.slot.placed = true;
        sync_parent(&path).map_err(FileError::at("sync", &path))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
