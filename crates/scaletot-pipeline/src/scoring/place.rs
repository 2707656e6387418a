//! The output directory: which of the files in it are scores that runs have written there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};

use scaletot_core::files::{self, remove_leftovers};

use super::files::{Quarantined, is_damaged, origin_of};
use super::inputs::Input;
use super::sums::{SUMS, Sums};
use crate::error::{Context, Result, bail, ensure};

/// Settings of the scores in a directory, so that scores of different settings do not mix.
pub(super) const SETTINGS: &str = "score.json";

/// What could not be scored.
pub(super) const QUARANTINE: &str = "quarantine.json";

/// Where parts are until they are put together.
pub(super) const PARTS: &str = ".parts";

/// Where the Parquet files that are made of CSV files are while their users are scored.
pub(super) const TABLES: &str = ".tables";

/// A list or settings of more bytes are none of ours.
const MAX_JSON: u64 = 1 << 30;

/// The settings that the scores in a directory have, if it holds any.
pub(super) type Settings = BTreeMap<String, String>;

/// Refuses a directory in which something else has the name of what a run writes beside the scores.
pub(super) fn check_names(output: &Path) -> Result<()> {
    check_directories(output)?;
    read_settings(output)?;
    read_json::<Vec<Quarantined>>(&output.join(QUARANTINE))?;
    Ok(())
}

/// Refuses anything but what a run wrote as JSON, or what became of it when it was damaged: it has the key then, or nothing.
fn check_json<T: serde::de::DeserializeOwned>(output: &Path, name: &str, key: &str) -> Result<()> {
    let path = output.join(name);
    let found = read_json::<T>(&path);
    let Err(error) = found else { return Ok(()) };
    let left = files::read(&path, MAX_JSON).unwrap_or_else(|_| b"unknown".to_vec());
    let ours = left.iter().all(|byte| *byte == 0) || String::from_utf8_lossy(&left).contains(key);
    if ours { Ok(()) } else { Err(error) }
}

/// Refuses files and links in the place of directories.
fn check_directories(output: &Path) -> Result<()> {
    for name in [PARTS, TABLES] {
        let path = output.join(name);
        let foreign = kind(&path).is_some_and(|kind| !kind.is_dir());
        ensure!(
            !foreign,
            "{}: expected a directory of an earlier run or nothing, found a file or a link; move it away, or name another directory by --output",
            path.display()
        );
    }
    Ok(())
}

/// The settings of the scores in a directory; none where nobody was scored yet.
pub(super) fn read_settings(output: &Path) -> Result<Option<Settings>> {
    read_json(&output.join(SETTINGS))
}

/// What a run wrote as JSON under a name; something else there is not written over.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if kind(path).is_none() {
        return Ok(None);
    }
    let failed = || {
        format!(
            "{}: expected what an earlier run of `score` wrote, found something else, which is not written over: --output names another directory, --fresh throws \
             away damaged ones",
            path.display()
        )
    };
    ensure!(kind(path).is_some_and(|kind| kind.is_file()), "{}", failed());
    let text = files::read_to_string(path, MAX_JSON)?;
    serde_json::from_str(&text).map(Some).with_context(failed)
}

/// Refuses to write over what no run with these settings has written.
pub(super) fn check_own(output: &Path, inputs: &[Input], settings: &str, sums: &Sums) -> Result<()> {
    for input in inputs {
        check_way(output, &input.relative)?;
        let path = output.join(&input.relative);
        let Some(kind) = kind(&path) else { continue };
        let own = kind.is_file()
            && match origin_of(&path) {
                Some((origin, _)) => origin.settings == settings,
                None => is_remains(sums, &input.relative, &path),
            };
        ensure!(
            own,
            "{} holds no scores of a run with these settings, so it is not written over: --output names another directory",
            path.display()
        );
    }
    Ok(())
}

/// Whether a file without an origin is what became of scores that a run wrote here.
fn is_remains(sums: &Sums, relative: &Path, path: &Path) -> bool {
    sums.knows(relative) && is_damaged(path)
}

/// Removes the scores that are in a directory, and what killed runs have left half done; nothing else that may lie there, and nothing
/// through a link.
///
/// # Errors
/// If something else has the name of what a run writes beside the scores, before anything is removed.
pub(super) fn start_over(output: &Path) -> Result<()> {
    check_directories(output)?;
    check_json::<Settings>(output, SETTINGS, "\"precision\"")?;
    check_json::<Vec<Quarantined>>(output, QUARANTINE, "\"row_group\"")?;
    let sums = Sums::open(output)?;
    let notes = [QUARANTINE, SETTINGS, SUMS].map(|name| output.join(name));
    remove_leftovers(output, |target| is_parquet(target) || notes.iter().any(|note| note == target))?;
    for relative in parquet_files(output)? {
        let path = output.join(&relative);
        if origin_of(&path).is_some() || is_remains(&sums, &relative, &path) {
            remove(&path)?;
        }
    }
    for name in [PARTS, TABLES] {
        clear(&output.join(name))?;
    }
    notes.iter().try_for_each(|note| remove(note))
}

/// Files of scores whose input this run did not see, or could not read: nobody would notice that they are old.
pub(super) fn left_over(output: &Path, inputs: &[Input], sums: &Sums) -> Result<Vec<PathBuf>> {
    let current: BTreeSet<&Path> = inputs.iter().map(|input| input.relative.as_path()).collect();
    let mut old = parquet_files(output)?;
    old.retain(|relative| {
        let path = output.join(relative);
        let own = || origin_of(&path).is_some() || is_remains(sums, relative, &path);
        !current.contains(relative.as_path()) && own()
    });
    Ok(old)
}

/// Whether there are scores of anybody.
pub(super) fn has_scores(output: &Path) -> Result<bool> {
    let parts = output.join(PARTS);
    let parts = if kind(&parts).is_some() { walk(&parts)? } else { vec![] };
    let files = parquet_files(output)?.into_iter().map(|relative| output.join(relative));
    Ok(files.chain(parts).any(|path| origin_of(&path).is_some()))
}

/// The regular Parquet files below a directory, by their paths in it; parts are not among them.
fn parquet_files(output: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for path in walk(output)? {
        let relative = path.strip_prefix(output)?;
        let hidden = [PARTS, TABLES].iter().any(|name| relative.starts_with(name));
        if !hidden && is_parquet(relative) {
            found.push(relative.to_owned());
        }
    }
    Ok(found)
}

/// Regular files below a directory, sorted; links are not followed.
fn walk(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("cannot look into {}", directory.display());
    let (mut found, mut open) = (vec![], vec![directory.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let kind = entry.file_type().with_context(failed)?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Removes parts and tables below a directory, if there is one, and directories that are empty then.
pub(super) fn clear(directory: &Path) -> Result<()> {
    if !kind(directory).is_some_and(|kind| kind.is_dir()) {
        return Ok(());
    }
    let failed = || format!("cannot look into {}", directory.display());
    for entry in fs::read_dir(directory).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let (path, kind) = (entry.path(), entry.file_type().with_context(failed)?);
        if kind.is_dir() {
            clear(&path)?;
        } else if kind.is_file() && is_parquet(&path) {
            remove(&path)?;
        }
    }
    // One that holds what is not ours stays.
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => removed.with_context(|| format!("cannot remove {}", directory.display())),
    }
}

/// Removes a file that may not be there; of a link the link.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove {}", path.display())),
    }
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "parquet")
}

/// What there is at a path, itself and not what it leads to.
fn kind(path: &Path) -> Option<FileType> {
    fs::symlink_metadata(path).ok().map(|found| found.file_type())
}

/// Refuses directories on the way to a file of scores that are none, or lead elsewhere.
fn check_way(output: &Path, relative: &Path) -> Result<()> {
    let mut way = output.to_owned();
    for part in relative.parent().into_iter().flat_map(Path::components) {
        way.push(part);
        match kind(&way) {
            None => break,
            Some(kind) if kind.is_dir() => {}
            Some(_) => bail!(
                "{}: expected a directory or nothing, found a file or a link; --output names another directory",
                way.display()
            ),
        }
    }
    Ok(())
}
