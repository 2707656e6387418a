//! Hidden names beside a target, under which its next content is made.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::{own, rename, sync_parent};

/// A locked file `.NAME.part` (`.NAME.1.part`, … while others write to the same name), removed again unless it was moved to
/// its place. Who holds it may use the names beside it that [`next`](Self::next) and [`old`](Self::old) give.
///
/// The lock tells work under way from what a killed writer left, since it ends with the process.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) target: PathBuf,
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) placed: bool,
}

impl Slot {
    /// Takes the first free slot of a target, and removes what killed writers left in it and those after it.
    pub(super) fn take(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "expected a path that ends in a name")
        })?;
        let mut number = 0;
        let slot = loop {
            let path = target.with_file_name(slot_name(name, number));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let locked = !matches!(file.try_lock(), Err(TryLockError::WouldBlock));
                    // Else another writer looked at it before it was locked, and removes or has removed it.
                    if locked && is_at(&file, &path) {
                        break Self { target: target.to_owned(), path, file, placed: false };
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    if !clear_abandoned(&path, target) {
                        number += 1;
                    }
                }
                Err(e) => return Err(e),
            }
        };
        loop {
            number += 1;
            let path = target.with_file_name(slot_name(name, number));
            if !clear_abandoned(&path, target) && !path.exists() {
                return Ok(slot);
            }
        }
    }

    /// The directory that is being filled.
    pub(super) fn next(&self) -> PathBuf {
        next(&self.path)
    }

    /// Where the directory goes that is replaced.
    pub(super) fn old(&self) -> PathBuf {
        old(&self.path)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing can be done if this fails, and the error that led here is the one to report.
            let _ = fs::remove_file(&self.path);
        }
        // What was placed is a file like any other, and free at once: closing alone would leave the lock to a process that is being
        // started this moment and has not closed its copy yet.
        let _ = self.file.unlock();
    }
}

fn slot_name(name: &std::ffi::OsStr, number: usize) -> OsString {
    let mut slot = OsString::from(".");
    slot.push(name);
    if number > 0 {
        slot.push(format!(".{number}"));
    }
    slot.push(".part");
    slot
}

fn next(slot: &Path) -> PathBuf {
    slot.with_extension("part.next")
}

fn old(slot: &Path) -> PathBuf {
    slot.with_extension("part.old")
}

/// Removes a slot whose writer was killed, with what is beside it; the slot itself last, so that no other is ever left.
/// False if there is none, or one in use.
fn clear_abandoned(slot: &Path, target: &Path) -> bool {
    // A link of that name is none of ours.
    let Ok(file) = own::open_existing(slot, OpenOptions::new().read(true)) else { return false };
    // Where there are no locks, who writes cannot be told from who was killed.
    if file.try_lock().is_err() || !is_at(&file, slot) {
        return false;
    }
    clear_beside(slot, target).is_ok() && fs::remove_file(slot).is_ok()
}

/// Removes the directories beside a slot that is locked. A writer that was killed between the two steps of a replacement has
/// left the target's content in the old one: it is put back.
pub(super) fn clear_beside(slot: &Path, target: &Path) -> io::Result<()> {
    let (next, old) = (next(slot), old(slot));
    // No link: what it leads to was not the target's.
    if old.symlink_metadata().is_ok_and(|found| found.is_dir()) && rename::to_new(&old, target).is_ok() {
        sync_parent(target)?;
    }
    remove_dir(&old)?;
    remove_dir(&next)
}

/// Removes a directory that may not be there; of a link, the link.
fn remove_dir(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => fs::remove_file(path),
        _ => fs::remove_dir_all(path),
    };
    match removed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes what killed writers left behind below a directory; see [`remove_leftovers`](super::remove_leftovers).
pub(super) fn remove_abandoned(directory: &Path, is_ours: &dyn Fn(&Path) -> bool) -> io::Result<u64> {
    let mut removed = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            removed += remove_abandoned(&path, is_ours)?;
        } else if kind.is_file() {
            let ours = targets(&path).into_iter().find(|target| is_ours(target));
            removed += u64::from(ours.is_some_and(|target| clear_abandoned(&path, &target)));
        }
    }
    Ok(removed)
}

/// The targets that a path may be a slot of: `.a.1.part` is the first of `a.1`, or the second of `a`.
fn targets(slot: &Path) -> Vec<PathBuf> {
    let name = slot.file_name().and_then(|name| name.to_str());
    let Some(name) = name.and_then(|name| name.strip_prefix('.')?.strip_suffix(".part")) else {
        return vec![];
    };
    let shorter = name.rsplit_once('.').filter(|(_, number)| number.parse::<usize>().is_ok());
    let names = [shorter.map(|(name, _)| name), Some(name)];
    names
        .into_iter()
        .flatten()
        .filter(|name| !name.is_empty())
        .map(|name| slot.with_file_name(name))
        .collect()
}

/// Whether an open file is the one at a path. Between opening and locking, it may have been moved or removed.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        file.metadata().is_ok_and(|open| fs::symlink_metadata(path).is_ok_and(|there| same(open, there)))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AtomicDir, AtomicFile, remove_leftovers, write_bytes};
    use super::*;

    #[test]
    fn leftovers_of_ours_are_removed_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let below = place.path().join("below");
        fs::create_dir_all(below.join(".model.part.next/inner")).unwrap();
        for name in [".a.csv.part", ".a.csv.2.part", ".model.part", ".other.part", "a.csv", "b.part", ".csv"]
        {
            fs::write(below.join(name), name).unwrap();
        }
        let mut under_way = AtomicFile::create(below.join("b.csv")).unwrap();
        let removed =
            remove_leftovers(place.path(), |path| !path.ends_with("other") && path.parent() == Some(&below));
        assert_eq!(removed.unwrap(), 3);
        let mut left: Vec<_> = fs::read_dir(&below)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [".b.csv.part", ".csv", ".other.part", "a.csv", "b.part"]);
        io::Write::write_all(&mut under_way, b"whole").unwrap();
        under_way.commit().unwrap();
        assert_eq!(fs::read(below.join("b.csv")).unwrap(), b"whole");
    }

    #[test]
    fn a_target_whose_replacement_was_cut_is_put_back_before_leftovers_go() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join(".model.part.old")).unwrap();
        fs::write(place.path().join(".model.part.old/weights"), "old").unwrap();
        fs::create_dir(place.path().join(".model.part.next")).unwrap();
        fs::write(place.path().join(".model.part"), "").unwrap();
        assert_eq!(remove_leftovers(place.path(), |path| path.ends_with("model")).unwrap(), 1);
        assert_eq!(fs::read(place.path().join("model/weights")).unwrap(), b"old");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn what_lies_at_a_hidden_name_is_neither_followed_nor_waited_for() {
        use std::os::unix::fs::symlink;

        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for name in ["file", "dir"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("mine"), "mine").unwrap();
        }
        symlink(path("file/mine"), path(".a.part")).unwrap();
        symlink(path("nowhere"), path(".a.1.part")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path(".a.2.part")).status().unwrap().success());
        fs::create_dir(path(".a.3.part")).unwrap();
        write_bytes(path("a"), "new").unwrap();
        assert_eq!(fs::read(path("a")).unwrap(), b"new");
        // Directories beside a slot: those of a killed writer, but for what links lead to.
        fs::write(path(".m.part"), "").unwrap();
        symlink(path("dir"), path(".m.part.next")).unwrap();
        symlink(path("dir"), path(".m.part.old")).unwrap();
        let dir = AtomicDir::create(path("m"), &["a"]).unwrap();
        dir.write("a", "new").unwrap();
        dir.commit().unwrap();
        assert_eq!(fs::read(path("m/a")).unwrap(), b"new");
        assert_eq!(remove_leftovers(place.path(), |_| true).unwrap(), 0);
        for name in ["file", "dir"] {
            assert_eq!(fs::read(path(name).join("mine")).unwrap(), b"mine");
        }
        assert!(!path("nowhere").exists());
    }
}
