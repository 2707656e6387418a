//! Files appear whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// A file under a temporary name beside its target, removed again unless it was put in place.
///
/// Written here rather than taken from a crate: this crate is in the serving tree, and the new file should have the
/// permissions that the process gives its files, not those of a private temporary one.
struct Staged {
    path: PathBuf,
    placed: bool,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing to be done if this fails, and the error that led here is the one to report.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Lets `write` fill a new file, forces it to disk and gives it the name `path`, replacing what was there. If anything
/// fails, what was at `path` is untouched.
pub(crate) fn write_atomically<F>(path: &Path, write: F) -> Result<()>
where
    F: FnOnce(&mut BufWriter<File>) -> io::Result<()>,
{
    try_write_atomically(path, |file| write(file).map_err(|source| failed(path, "write", source)))
}

/// As [`write_atomically`], for a `write` with errors of its own.
pub(crate) fn try_write_atomically<F>(path: &Path, write: F) -> Result<()>
where
    F: FnOnce(&mut BufWriter<File>) -> Result<()>,
{
    let (mut staged, file) = stage(path).map_err(|source| failed(path, "create a file beside it", source))?;
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    writer
        .flush()
        .and_then(|()| writer.get_ref().sync_all())
        .map_err(|source| failed(path, "write", source))?;
    drop(writer);
    std::fs::rename(&staged.path, path).map_err(|source| failed(path, "replace", source))?;
    staged.placed = true;
    Ok(())
}

fn failed(path: &Path, action: &'static str, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), action, source }
}

fn stage(path: &Path) -> io::Result<(Staged, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut staged = std::ffi::OsString::from(".");
        staged.push(name);
        staged.push(format!(".{}-{count}.tmp", std::process::id()));
        let staged = path.with_file_name(staged);
        match OpenOptions::new().write(true).create_new(true).open(&staged) {
            Ok(file) => return Ok((Staged { path: staged, placed: false }, file)),
            // Left by a process of the same id that was killed: take the next name.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(b"half of the ne")?;
            Err(io::Error::other("disk full"))
        });
        let cause = std::error::Error::source(&error.unwrap_err()).unwrap().to_string();
        assert_eq!(cause, "disk full");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        write_atomically(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = write_atomically(Path::new("/no/such/dir/a.txt"), |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("/no/such/dir/a.txt"), "{error}");
    }
}
