//! Files that are replaced as a whole or not at all.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Writes `path` through a temporary file beside it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    Pending::write(path, bytes)?.commit()
}

/// A file that is written but not yet in its place; dropping it removes it.
pub(crate) struct Pending {
    path: PathBuf,
    temporary: PathBuf,
    committed: bool,
}

impl Pending {
    /// Writes and syncs the content under a name nobody else uses.
    pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.{}-{count}.tmp", std::process::id()));
        let pending = Self { path: path.to_path_buf(), temporary, committed: false };
        let mut file = fs::File::create(&pending.temporary).map_err(|e| Error::io(&pending.temporary, e))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| Error::io(&pending.temporary, e))?;
        Ok(pending)
    }

    /// Puts the file in its place.
    pub(crate) fn commit(mut self) -> Result<()> {
        fs::rename(&self.temporary, &self.path).map_err(|e| Error::io(&self.path, e))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing more can be done about a temporary file that cannot be removed.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::io(path, e))
}
