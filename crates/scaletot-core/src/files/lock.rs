//! One writer per output directory, or per file.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::slot::is_at;
use super::{FileError, create_dir_all, own, parent};
use crate::text::printable;

/// The name of the lock file.
const LOCK: &str = ".lock";

/// How the text of a lock file begins.
const PROCESS: &str = "process ";

/// Bytes of a lock file that are read at most; what we write is shorter.
const MAX_HOLDER: u64 = 300;

/// A directory or file could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process, or another part of this one, holds it.
    #[error("{} is in use by another run ({holder}); wait for it, or choose another place", place.display())]
    Held {
        /// The directory or file.
        place: PathBuf,
        /// Process, host and start of the one that holds it, as far as its lock file says.
        holder: String,
    },
    /// The system refused something, or the lock file is not one of ours.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Holds a directory against a second writer until it is dropped, or its process ends, however it ends.
///
/// The lock is one of the system's on the file `.lock` in the directory. The file's text names the holder, for people; whether there is a
/// holder is known by the lock alone, so that what a killed process left there does no harm. Processes that the holder starts
/// do not have the lock. Where the file system has no locks, nothing is held and nobody refused.
///
/// ```
/// use scaletot_core::files::{DirLock, LockError};
///
/// # let place = tempfile::tempdir()?;
/// let out = place.path().join("out");
/// let lock = DirLock::acquire(&out)?;
/// assert!(matches!(DirLock::acquire(&out), Err(LockError::Held { .. })));
/// drop(lock);
/// DirLock::acquire(&out)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DirLock {
    file: File,
    path: PathBuf,
    /// Whether the lock file goes with the lock.
    is_removed: bool,
}

impl DirLock {
    /// Creates the directory if need be, and takes its lock.
    ///
    /// # Errors
    /// [`LockError::Held`]; [`LockError::File`] if the directory cannot be created or locked, or if there is something else of the lock file's
    /// name: a link, no regular file, or one with another text, which is left as it is.
    pub fn acquire(directory: impl AsRef<Path>) -> Result<Self, LockError> {
        let directory = directory.as_ref();
        create_dir_all(directory)?;
        let path = directory.join(LOCK);
        Ok(Self { file: acquire(directory, &path)?, path, is_removed: false })
    }
}

/// Takes the lock file at `path`, which stands for `place`.
fn acquire(place: &Path, path: &Path) -> Result<File, LockError> {
    let mut looks = 0;
    loop {
        let (file, _) = own::open_or_create(path).map_err(FileError::at("lock", path))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if looks == 0 => {
                // A holder that has only just begun has not written its name yet.
                looks += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                // What the holder says of itself is a help, and may be missing.
                let holder = text_of(&file).ok().filter(|text| text.starts_with(PROCESS));
                return Err(LockError::Held {
                    place: place.to_owned(),
                    holder: holder.unwrap_or_else(|| "which has not named itself".to_owned()),
                });
            }
            Err(TryLockError::Error(e)) if e.kind() != io::ErrorKind::Unsupported => {
                return Err(FileError::new("lock", path, e).into());
            }
            // Else the file was removed between opening and locking, and the next may lock another of its name.
            _ if is_at(&file, path) => {
                name_holder(&file).map_err(FileError::at("lock", path))?;
                return Ok(file);
            }
            _ => {}
        }
    }
}

impl DirLock {
    /// The same lock, whose file is removed when it is dropped: for a directory that is not the holder's own, such as one that somebody works in.
    #[must_use]
    pub fn without_trace(mut self) -> Self {
        self.is_removed = true;
        self
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Who waits for it finds that it was removed, and makes another.
        if self.is_removed && is_at(&self.file, &self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
        // Who held it is of no interest any more, and two whole runs leave the same files.
        let _ = self.file.set_len(0);
        // Closing alone would leave it to a process that is being started this moment and has not closed its copy yet.
        let _ = self.file.unlock();
    }
}

/// Holds a file that is replaced as a whole against a second writer, as [`DirLock`] does a directory, by a lock file `.NAME.lock` beside it that is there
/// while it is held. The file itself need not be there.
///
/// ```
/// use scaletot_core::files::{FileLock, LockError};
///
/// # let place = tempfile::tempdir()?;
/// let file = place.path().join("answers.jsonl");
/// let lock = FileLock::acquire(&file)?;
/// assert!(matches!(FileLock::acquire(&file), Err(LockError::Held { .. })));
/// drop(lock);
/// assert_eq!(std::fs::read_dir(place.path())?.count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    /// Creates the file's directory if need be, and takes its lock.
    ///
    /// # Errors
    /// As [`DirLock::acquire`], and [`LockError::File`] if the path does not end in a name.
    pub fn acquire(file: impl AsRef<Path>) -> Result<Self, LockError> {
        let place = file.as_ref();
        let name = place.file_name().ok_or_else(|| {
            let message = "expected a path that ends in a name";
            FileError::new("lock", place, io::Error::new(io::ErrorKind::InvalidInput, message))
        })?;
        create_dir_all(parent(place))?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(LOCK);
        let path = place.with_file_name(hidden);
        Ok(Self { file: acquire(place, &path)?, path })
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // While it is held: who has opened it already finds that it is gone, and takes the next.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

/// Writes who holds the lock, over what an earlier holder may have left.
fn name_holder(mut file: &File) -> io::Result<()> {
    let before = text_of(file)?;
    if !(before.is_empty() || before.starts_with(PROCESS)) {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "expected a lock of a run or nothing, found a file with another content; move it away",
        ));
    }
    file.set_len(0)?;
    file.rewind()?;
    let (process, host) = (std::process::id(), host());
    file.write_all(format!("{PROCESS}{process}, host {host}, since {}", utc(SystemTime::now())).as_bytes())
}

/// The beginning of a lock file, fit to be shown.
fn text_of(mut file: &File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(MAX_HOLDER).read_to_end(&mut bytes)?;
    Ok(printable(&String::from_utf8_lossy(&bytes), bytes.len()))
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    "unknown".to_owned()
}

/// Date and time of day in UTC, to the second.
fn utc(time: SystemTime) -> String {
    const DAY: u64 = 86_400;
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (mut days, of_day) = (seconds / DAY, seconds % DAY);
    let mut year = 1970;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hours, minutes) = (of_day / 3600, of_day / 60 % 60);
    format!("{year}-{month:02}-{:02} {hours:02}:{minutes:02}:{:02} UTC", days + 1, of_day % 60)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn held(directory: &Path) -> String {
        match DirLock::acquire(directory).unwrap_err() {
            LockError::Held { holder, .. } => holder,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_second_writer_is_told_who_holds_the_directory() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("a/out");
        let lock = DirLock::acquire(&out).unwrap();
        let holder = held(&out);
        assert!(holder.starts_with(&format!("process {}, host ", std::process::id())), "{holder}");
        assert!(holder.ends_with(" UTC"), "{holder}");
        drop(lock);
        assert_eq!(fs::read(out.join(LOCK)).unwrap(), b"");
        DirLock::acquire(&out).unwrap();
    }

    #[test]
    fn a_lock_without_trace_leaves_none_and_holds_as_any_other() {
        let place = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(place.path()).unwrap().without_trace();
        held(place.path());
        drop(lock);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        // Taken again and again by several, one has it at a time.
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..30 {
                        if let Ok(lock) = DirLock::acquire(place.path()) {
                            assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                            std::thread::yield_now();
                            inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                            drop(lock.without_trace());
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn what_a_killed_holder_left_does_no_harm() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(LOCK), format!("{PROCESS}1, host here{}", "x".repeat(10_000))).unwrap();
        let lock = DirLock::acquire(place.path()).unwrap();
        let text = fs::read_to_string(place.path().join(LOCK)).unwrap();
        assert!(text.starts_with(&format!("{PROCESS}{},", std::process::id())) && text.len() < 300, "{text}");
        drop(lock);
    }

    #[test]
    fn a_holder_cannot_write_to_a_terminal() {
        let place = tempfile::tempdir().unwrap();
        let _lock = DirLock::acquire(place.path()).unwrap();
        fs::write(place.path().join(LOCK), format!("{PROCESS}\u{1b}[2J\n{}", "x".repeat(10_000))).unwrap();
        let holder = held(place.path());
        assert!(holder.len() <= 300 && !holder.contains(char::is_control), "{holder:?}");
        fs::write(place.path().join(LOCK), [0xff; 50]).unwrap();
        assert_eq!(held(place.path()), "which has not named itself");
    }

    #[test]
    fn one_of_many_that_begin_at_once_gets_the_lock() {
        let place = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(8);
        let locks: Vec<_> = std::thread::scope(|scope| {
            let begin = || {
                start.wait();
                DirLock::acquire(place.path())
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(locks.iter().filter(|lock| lock.is_ok()).count(), 1);
    }

    /// What the other process of the next test does; nothing if it is run as a test.
    #[test]
    fn hold_and_be_killed() {
        let Some(place) = std::env::var_os("SCALETOT_LOCK_HOLDER") else { return };
        let _lock = DirLock::acquire(place).unwrap();
        println!("locked");
        std::thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn a_lock_ends_with_its_process_and_is_not_had_by_those_it_started() {
        let place = tempfile::tempdir().unwrap();
        let mut holder = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "files::lock::tests::hold_and_be_killed", "--nocapture"])
            .env("SCALETOT_LOCK_HOLDER", place.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = io::BufRead::lines(io::BufReader::new(holder.stdout.take().unwrap()));
        assert!(lines.map_while(io::Result::ok).any(|line| line.contains("locked")));
        assert!(held(place.path()).starts_with(&format!("{PROCESS}{},", holder.id())));
        holder.kill().unwrap();
        holder.wait().unwrap();
        let lock = DirLock::acquire(place.path()).unwrap();
        // A process that lives on is started while the lock is held.
        let mut started = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "files::lock::tests::hold_and_be_killed", "--nocapture"])
            .env("SCALETOT_LOCK_HOLDER", place.path().join("elsewhere"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(lock);
        let again = DirLock::acquire(place.path());
        started.kill().unwrap();
        started.wait().unwrap();
        again.unwrap();
    }

    #[test]
    fn one_of_many_at_a_time_has_a_file_and_nothing_is_left_of_its_lock() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("new/answers.jsonl");
        let (holders, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let Ok(lock) = FileLock::acquire(&path) else { continue };
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        taken.fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                        holders.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.into_inner() >= 8);
        assert_eq!(fs::read_dir(place.path().join("new")).unwrap().count(), 0);
        let _lock = FileLock::acquire(&path).unwrap();
        let held = FileLock::acquire(&path).unwrap_err().to_string();
        assert!(
            held.contains("answers.jsonl is in use")
                && held.contains(&format!("process {}", std::process::id())),
            "{held}"
        );
    }

    #[test]
    fn a_foreign_lock_file_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(LOCK);
        fs::write(&path, "notes of mine").unwrap();
        let error = DirLock::acquire(place.path()).unwrap_err();
        assert!(crate::causes(&error).contains("found a file with another content"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"notes of mine");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(DirLock::acquire(place.path()), Err(LockError::File(_))));
    }

    #[cfg(unix)]
    #[test]
    fn no_lock_is_created_or_emptied_through_a_link() {
        let place = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (place.path().join(LOCK), place.path().join("elsewhere"));
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(matches!(DirLock::acquire(place.path()), Err(LockError::File(_))));
        assert!(!elsewhere.exists());
        fs::write(&elsewhere, format!("{PROCESS}of another")).unwrap();
        let error = DirLock::acquire(place.path()).unwrap_err();
        assert!(crate::causes(&error).contains("symbolic link"), "{}", crate::causes(&error));
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), format!("{PROCESS}of another"));
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (1_740_873_661, "2025-03-02 00:01:01 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
