//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};

/// A file under another name, which takes its own when it is whole. One that is dropped before is removed.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    beside: PathBuf,
}

impl Staged {
    /// Creates the file, and its directory if need be. Only one writer at a time may write to a path.
    ///
    /// # Errors
    /// If either cannot be created.
    pub fn create(path: &Path) -> Result<(Self, File)> {
        let parent = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".part");
        let staged = Self { path: path.to_owned(), beside: beside.into() };
        let file = File::create(&staged.beside).with_context(|| staged.failed())?;
        Ok((staged, file))
    }

    /// What to say of a write that failed.
    #[must_use]
    pub fn failed(&self) -> String {
        format!("cannot write {}", self.path.display())
    }

    /// Waits until the file is on disk, and gives it its name.
    ///
    /// # Errors
    /// If the system cannot do that.
    pub fn place(self, file: &File) -> Result<()> {
        file.sync_all().and_then(|()| fs::rename(&self.beside, &self.path)).with_context(|| self.failed())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Renamed, if all went well; else there is nothing to be done if this fails, too.
        let _ = fs::remove_file(&self.beside);
    }
}
