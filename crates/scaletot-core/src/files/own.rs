//! Files that are kept open to write to: locks, and files that grow. Never through a symbolic link, and regular files only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use super::read::expect_regular;
use super::slot::is_at;
use super::{FileError, sync_parent};

/// Opens a file that is there to read it and to append to it.
///
/// A symbolic link is not followed: what grows would grow wherever somebody else has pointed to.
///
/// # Errors
/// If there is no regular file at the path, or the system refuses.
pub fn append(path: impl AsRef<Path>) -> Result<File, FileError> {
    let path = path.as_ref();
    open_existing(path, OpenOptions::new().read(true).append(true)).map_err(FileError::at("open", path))
}

/// As [`append`]; a file that is not there is created empty, in a directory that is there. A new file's name is on disk when this returns.
///
/// # Errors
/// As [`append`], but for a missing file.
pub fn append_or_create(path: impl AsRef<Path>) -> Result<File, FileError> {
    let path = path.as_ref();
    let open = || {
        let (file, created) = open_with(path, OpenOptions::new().read(true).append(true))?;
        if created {
            sync_parent(path)?;
        }
        Ok(file)
    };
    open().map_err(FileError::at("open", path))
}

/// A file with the system's lock on it, until it is dropped.
#[derive(Debug)]
pub struct LockedFile(File);

impl Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl DerefMut for LockedFile {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.0
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing alone would leave the lock to a process that is being started this moment and has not closed its copy yet.
        let _ = self.0.unlock();
    }
}

/// As [`append`], with the system's lock on the file, which ends when it is dropped or the process ends; `None` if another holds it. Where the file system has
/// no locks, nobody is refused.
///
/// # Errors
/// As [`append`], and if the system refuses the lock.
pub fn append_locked(path: impl AsRef<Path>) -> Result<Option<LockedFile>, FileError> {
    let path = path.as_ref();
    loop {
        // What was refused is unlocked in vain, and what was replaced meanwhile not for long.
        let file = LockedFile(append(path)?);
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) if e.kind() != io::ErrorKind::Unsupported => {
                return Err(FileError::new("lock", path, e));
            }
            // Else it was replaced between opening and locking, and what is appended to the old one is lost.
            _ if is_at(&file, path) => return Ok(Some(file)),
            _ => {}
        }
    }
}

/// Opens a file to read and write, or creates it; true if it was created.
pub(super) fn open_or_create(path: &Path) -> io::Result<(File, bool)> {
    open_with(path, OpenOptions::new().read(true).write(true))
}

/// Opens a file with some options, or creates it; true if it was created.
pub(super) fn open_with(path: &Path, options: &OpenOptions) -> io::Result<(File, bool)> {
    loop {
        match open_existing(path, options) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => return other.map(|file| (file, false)),
        }
        // A link that leads nowhere counts as a file here.
        match options.clone().create_new(true).open(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.symlink_metadata().is_ok() => {
                // Created by another since we looked, or a link.
            }
            other => return other.map(|file| (file, true)),
        }
    }
}

/// Opens a regular file that is there, not through a link.
pub(super) fn open_existing(path: &Path, options: &OpenOptions) -> io::Result<File> {
    // Where no flag refuses a link, it is looked for; and everywhere, for an error that says what there is.
    if path.symlink_metadata()?.is_symlink() {
        let message = "expected a file, found a symbolic link, which is not followed; remove it";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let file = no_follow(options.clone()).open(path)?;
    expect_regular(&file)?;
    Ok(file)
}

/// Without following a link, and without waiting for the other end of a pipe.
#[cfg(unix)]
fn no_follow(mut options: OpenOptions) -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

#[cfg(not(unix))]
fn no_follow(options: OpenOptions) -> OpenOptions {
    options
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_file_grows_and_is_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        assert_eq!(append(&path).unwrap_err().source.kind(), io::ErrorKind::NotFound);
        assert!(!path.exists());
        append_or_create(&path).unwrap().write_all(b"one ").unwrap();
        append_or_create(&path).unwrap().write_all(b"two").unwrap();
        let mut text = String::new();
        append(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "one two");
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_that_is_dropped_is_free_while_other_processes_are_started() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        fs::write(&path, "").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        assert!(std::process::Command::new("true").status().unwrap().success());
                    }
                });
            }
            for _ in 0..20_000 {
                assert!(append_locked(&path).unwrap().is_some());
            }
        });
    }

    #[cfg(unix)]
    #[test]
    fn nothing_grows_behind_a_link_and_no_pipe_is_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::write(path("file"), "mine").unwrap();
        for (name, to) in [("link", "file"), ("dangling", "nowhere")] {
            std::os::unix::fs::symlink(path(to), path(name)).unwrap();
        }
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        for name in ["link", "dangling", "pipe", "."] {
            for error in [append(path(name)).unwrap_err(), append_or_create(path(name)).unwrap_err()] {
                assert!(error.to_string().starts_with("cannot open "), "{name}: {error}");
            }
        }
        assert_eq!(fs::read(path("file")).unwrap(), b"mine");
        assert!(!path("nowhere").exists());
    }
}
