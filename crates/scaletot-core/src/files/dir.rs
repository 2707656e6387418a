//! A directory that appears whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::slot::{Slot, clear_beside};
use super::{FileError, is_clutter, rename, sync_dir, sync_parent};
use crate::text::printable;

/// A directory that is filled beside its place and takes its name when it is whole; see [the module](super). One that is
/// dropped before [`commit`](Self::commit) is removed, and what was at its path is untouched.
///
/// A directory that is there already is replaced with everything in it. On Linux and Apple systems the two are exchanged in
/// one step, if the file system can (ext4, XFS, Btrfs, tmpfs, APFS and others): whoever opens the path finds a whole
/// directory at every moment. Elsewhere the old one is moved aside before the new one takes its name: for that moment there
/// is none, and a writer that is killed then leaves none, until the next [`create`](Self::create) for the same path puts the
/// old one back.
///
/// Nobody's directory is replaced by mistake: [`create`](Self::create) is told what a directory of the caller's holds, and one that holds
/// anything else is refused, but for [what file managers leave](super::is_clutter), which goes with it.
///
/// A reader that opens several files by their paths may get some from the old directory and some from the new; hashes in a
/// manifest tell, and [`read`](Self::read) reads again.
#[derive(Debug)]
pub struct AtomicDir {
    next: PathBuf,
    names: &'static [&'static str],
    slot: Slot,
}

impl AtomicDir {
    /// Begins an empty directory in one that is there. `names` are those that a directory of the caller's may hold, first of all the one that
    /// it always holds: what is at the path is replaced only if it is empty, or holds the first of them and no other name.
    ///
    /// # Errors
    /// If no directory can be created beside the path, or what is at the path is a file or somebody else's directory.
    pub fn create(path: impl AsRef<Path>, names: &'static [&'static str]) -> Result<Self, FileError> {
        let path = path.as_ref();
        let begin = || -> io::Result<Self> {
            let slot = Slot::take(path)?;
            clear_beside(&slot.path, path)?;
            let next = slot.next();
            fs::create_dir(&next)?;
            Ok(Self { next, names, slot })
        };
        let begun = begin().map_err(FileError::at("create a directory beside", path))?;
        // Before work is done for it, and again when it is committed.
        expect_ours(path, names).map_err(FileError::at("replace", path))?;
        Ok(begun)
    }

    /// Writes a file into it, in place of one that was written before.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<(), FileError> {
        fs::write(self.next.join(name), bytes).map_err(FileError::at("write", &self.target().join(name)))
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
    /// If the system refuses, or what is at the path by now is a file or somebody else's directory; what was there then still is.
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
            expect_ours(target, self.names)?;
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

/// An error for a file, and for a directory that is not empty and does not hold the first of the names, or holds others.
fn expect_ours(path: &Path, names: &[&str]) -> io::Result<()> {
    let refused = |found: String| {
        let message = format!(
            "expected nothing, an empty directory, or one with {} and nothing else, found {found}; choose another path, or move it away",
            names.join(", ")
        );
        Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
    };
    match path.metadata() {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return refused("a file".to_owned()),
        Err(e) if e.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => return Ok(()),
        Err(e) => return Err(e),
    }
    let mut found: Vec<OsString> = vec![];
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !is_clutter(entry.file_name()) || entry.file_type()?.is_dir() {
            found.push(entry.file_name());
        }
    }
    found.sort();
    if let Some(other) = found.iter().find(|found| !names.iter().any(|name| *found == name)) {
        return refused(format!("{:?} in it", printable(&other.to_string_lossy(), 100)));
    }
    match names.first() {
        Some(first) if !found.is_empty() && !found.iter().any(|found| found == first) => {
            refused(format!("a directory without {first}"))
        }
        _ => Ok(()),
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
            let held = open_directory(path);
            match read() {
                Err(_) if held.is_ok_and(|held| !is_at(&held, path)) => {}
                done => return done,
            }
        }
        read()
    }
}

/// Opens a directory, and nothing else: a pipe would wait for its other end.
fn open_directory(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::DIRECTORY.bits().cast_signed());
    }
    options.open(path)
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
        let _ = fs::rename(aside, target).and_then(|()| sync_parent(target));
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
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["manifest", "weights"];

    fn files_of(path: &Path) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
        let read = |entry: fs::DirEntry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())
        };
        let mut files: Vec<_> = entries.map(read).collect();
        files.sort();
        files
    }

    #[test]
    fn somebody_elses_directory_is_refused_and_left_as_it_was() {
        for (files, found) in [
            (&["notes.txt"][..], "notes.txt"),
            (&["manifest", "notes.txt"], "notes.txt"),
            (&["manifest", ".git"], ".git"),
            (&["weights"], "a directory without manifest"),
        ] {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("model");
            fs::create_dir(&path).unwrap();
            files.iter().for_each(|name| fs::write(path.join(name), *name).unwrap());
            let before = files_of(&path);
            let error = AtomicDir::create(&path, NAMES).unwrap_err();
            assert!(error.source.to_string().contains(found), "{}", error.source);
            assert_eq!(files_of(&path), before);
            assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left beside it");
        }
    }

    #[test]
    fn a_directory_that_somebody_fills_meanwhile_is_not_replaced() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("model");
        let dir = AtomicDir::create(&path, NAMES).unwrap();
        dir.write("manifest", "1").unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("notes.txt"), "mine").unwrap();
        assert!(dir.commit().unwrap_err().source.to_string().contains("notes.txt"));
        assert_eq!(files_of(&path), [("notes.txt".to_owned(), b"mine".to_vec())]);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_a_directorys_place_is_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("model");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(AtomicDir::read(&path, || Err::<(), _>("no directory")), Err("no directory"));
        assert!(AtomicDir::create(&path, NAMES).is_err());
    }

    #[test]
    fn what_file_managers_leave_is_in_nobodys_way() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("model");
        fs::create_dir(&path).unwrap();
        for version in ["1", "2"] {
            for clutter in [".DS_Store", "._manifest", "Thumbs.db"] {
                fs::write(path.join(clutter), "seen").unwrap();
            }
            let dir = AtomicDir::create(&path, NAMES).unwrap();
            dir.write("manifest", version).unwrap();
            dir.commit().unwrap();
            assert_eq!(files_of(&path), [("manifest".to_owned(), version.as_bytes().to_vec())]);
        }
    }

    #[test]
    fn an_empty_directory_and_one_of_ours_are_replaced() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("model");
        fs::create_dir(&path).unwrap();
        for version in ["1", "2"] {
            let dir = AtomicDir::create(&path, NAMES).unwrap();
            dir.write("manifest", version).unwrap();
            dir.commit().unwrap();
            assert_eq!(files_of(&path), [("manifest".to_owned(), version.as_bytes().to_vec())]);
        }
    }
}
