//! One writer per output directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use crate::error::{Context, Error, Result};

/// The name of the lock file.
const LOCK: &str = ".lock";

/// Holds a directory against a second writer until it is dropped, or its process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file: File,
}

impl DirectoryLock {
    /// Creates the directory if need be, and takes its lock.
    pub(crate) fn acquire(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let path = directory.join(LOCK);
        let failed = || format!("cannot lock {}", path.display());
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // What the holder says of itself is a help, and may be missing.
                let _ = file.read_to_string(&mut holder);
                return Err(Error::InUse {
                    directory: directory.display().to_string(),
                    holder: if holder.is_empty() { "unknown".to_owned() } else { holder },
                });
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
        let since = chrono::Utc::now().format("%Y-%m-%d %H:%M:%S UTC");
        file.set_len(0).with_context(failed)?;
        file.write_all(format!("process {}, since {since}", std::process::id()).as_bytes())
            .with_context(failed)?;
        Ok(Self { file })
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Who held it is of no interest any more, and two whole runs leave the same files.
        let _ = self.file.set_len(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::acquire(&dir.path().join("out")).unwrap();
        let message = DirectoryLock::acquire(&dir.path().join("out")).unwrap_err().to_string();
        assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
        drop(lock);
        DirectoryLock::acquire(&dir.path().join("out")).unwrap();
    }
}
