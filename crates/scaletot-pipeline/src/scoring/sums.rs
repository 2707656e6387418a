//! Hashes of what was written, so that scores which are not what they were are noticed and made again.
//!
//! `.scores.sha256` in the output directory has a line for every file of scores, as `sha256sum` writes and checks them. A line is added when a
//! file takes its name; a file without its line, or with other bytes, is no scores of ours.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use scaletot_core::files::{self, write_bytes};
use scaletot_core::{ContentHash, ContentHasher};

use crate::error::{Context, Error, Result, bail, ensure};

/// The name of the list.
pub(super) const SUMS: &str = ".scores.sha256";

/// Bytes that are read between two looks whether to stop.
const BLOCK: usize = 1 << 20;

/// A list of more bytes is none of ours.
const MAX_LIST: u64 = 1 << 30;

/// The hashes of the files of scores in a directory.
#[derive(Debug)]
pub(super) struct Sums {
    directory: PathBuf,
    list: Mutex<List>,
}

#[derive(Debug)]
struct List {
    of: BTreeMap<String, ContentHash>,
    file: Option<File>,
}

impl Sums {
    /// Reads the list of a directory, or begins one; nothing is written yet.
    ///
    /// # Errors
    /// If there is a file of the list's name that cannot be read, or a link.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(SUMS);
        let of = match fs::symlink_metadata(&path) {
            Err(_) => BTreeMap::new(),
            Ok(found) if found.is_file() => {
                // The last line may be cut where the power went; what it would tell is made again.
                let bytes = files::read(&path, MAX_LIST)?;
                let of: BTreeMap<_, _> = String::from_utf8_lossy(&bytes).lines().filter_map(parse).collect();
                // Zeros are what a crash leaves of it.
                let nothing = bytes.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace());
                ensure!(
                    nothing || !of.is_empty(),
                    "{}: expected hashes of scores, found something else, which is not written over; move it away",
                    path.display()
                );
                of
            }
            Ok(_) => bail!("{}: expected a regular file; it was not written here", path.display()),
        };
        Ok(Self { directory: directory.to_owned(), list: Mutex::new(List { of, file: None }) })
    }

    /// Whether a file, by its path in the directory, was written by a run here, whatever became of it.
    pub(super) fn knows(&self, relative: &Path) -> bool {
        self.list().of.contains_key(&name(relative))
    }

    /// Whether a file, by its path in the directory, has the bytes that were written.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub(super) fn holds(&self, relative: &Path, stopped: &dyn Fn() -> bool) -> Result<bool> {
        let Some(expected) = self.list().of.get(&name(relative)).copied() else { return Ok(false) };
        match hash_of(&self.directory.join(relative), stopped) {
            Err(Error::Stopped) => Err(Error::Stopped),
            found => Ok(found.is_ok_and(|found| found == expected)),
        }
    }

    /// Notes the bytes of a file that has just taken its name.
    ///
    /// # Errors
    /// If the list cannot be written.
    pub(super) fn add(&self, relative: &Path, hash: ContentHash) -> Result<()> {
        let (mut list, path) = (self.list(), self.directory.join(SUMS));
        let failed = || format!("cannot write {}", path.display());
        let name = name(relative);
        let file = match &mut list.file {
            Some(file) => file,
            // A line that was cut is ended.
            empty => {
                let mut file = files::append_or_create(&path)?;
                file.write_all(b"\n").with_context(failed)?;
                empty.insert(file)
            }
        };
        file.write_all(line(&name, hash).as_bytes()).with_context(failed)?;
        list.of.insert(name, hash);
        Ok(())
    }

    /// Writes the list anew, in order and with the files alone that are there.
    ///
    /// # Errors
    /// If the list cannot be written.
    pub(super) fn finish(&self) -> Result<()> {
        let mut list = self.list();
        list.file = None;
        list.of.retain(|name, _| self.directory.join(name).is_file());
        let text: String = list.of.iter().map(|(name, hash)| line(name, *hash)).collect();
        Ok(write_bytes(self.directory.join(SUMS), text)?)
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A path in a line of its own. Two that read alike are scored again and again, and never mixed up.
fn name(relative: &Path) -> String {
    relative.to_string_lossy().replace(['\n', '\r'], "\u{fffd}")
}

fn line(name: &str, hash: ContentHash) -> String {
    format!("{hash}  {name}\n")
}

fn parse(line: &str) -> Option<(String, ContentHash)> {
    let (hash, name) = line.split_once("  ")?;
    Some((name.to_owned(), hash.parse().ok()?))
}

/// The hash of a file's bytes.
///
/// # Errors
/// If it cannot be read; [`Error::Stopped`].
pub(super) fn hash_of(path: &Path, stopped: &dyn Fn() -> bool) -> Result<ContentHash> {
    let mut file = files::open(path)?;
    let (mut hasher, mut block) = (ContentHasher::new(), vec![0; BLOCK]);
    loop {
        if stopped() {
            return Err(Error::Stopped);
        }
        match file.read(&mut block) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => hasher.update(&block[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

/// Takes the hash of what is written through it.
#[derive(Debug)]
pub(super) struct Hashing<W> {
    inner: W,
    hasher: ContentHasher,
}

impl<W> Hashing<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hasher: ContentHasher::new() }
    }

    /// What was written to, and the hash of it.
    pub(super) fn finish(self) -> (W, ContentHash) {
        (self.inner, self.hasher.finish())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_it_was_or_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let go_on = || false;
        let file = Path::new("day=1/a b.parquet");
        fs::create_dir(dir.path().join("day=1")).unwrap();
        let sums = Sums::open(dir.path()).unwrap();
        assert!(!sums.knows(file) && !sums.holds(file, &go_on).unwrap());
        fs::write(dir.path().join(file), "scores").unwrap();
        sums.add(file, ContentHash::of("scores")).unwrap();
        sums.add(Path::new("gone.parquet"), ContentHash::of("gone")).unwrap();
        assert!(sums.holds(file, &go_on).unwrap());
        assert!(matches!(sums.holds(file, &|| true), Err(Error::Stopped)));

        // A line that was cut tells nothing, and those after it are read.
        fs::write(dir.path().join(SUMS), fs::read_to_string(dir.path().join(SUMS)).unwrap() + "\n0123  cu")
            .unwrap();
        let again = Sums::open(dir.path()).unwrap();
        again.add(Path::new("late.parquet"), ContentHash::of("late")).unwrap();
        let again = Sums::open(dir.path()).unwrap();
        assert!(again.knows(Path::new("late.parquet")) && again.knows(Path::new("gone.parquet")));
        again.finish().unwrap();
        let listed = fs::read_to_string(dir.path().join(SUMS)).unwrap();
        assert_eq!(listed, format!("{}  day=1/a b.parquet\n", ContentHash::of("scores")));
        fs::write(dir.path().join(file), "scoreS").unwrap();
        assert!(again.knows(file) && !again.holds(file, &go_on).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_of_the_lists_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), "mine").unwrap();
        std::os::unix::fs::symlink(dir.path().join("mine"), dir.path().join(SUMS)).unwrap();
        let message = Sums::open(dir.path()).unwrap_err().to_string();
        assert!(message.contains("expected a regular file"), "{message}");
    }
}
