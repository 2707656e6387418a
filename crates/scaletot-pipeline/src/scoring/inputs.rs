//! Which files are scored, and where their scores go.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Component, Path, PathBuf, absolute};

use scaletot_core::{ContentHash, Pool, Progress};
use scaletot_profile::{ParquetProfiles, ProfileSchema, ReadOptions};

use super::files::Quarantined;
use super::sums::hash_of;
use crate::error::{Context, Error, Result, bail};

/// An input file. What it holds is read again when it is scored, since the directories of many files would not fit into memory.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) path: PathBuf,
    /// The file that was given: what is read, or the CSV file that it was made of.
    pub(super) source: PathBuf,
    /// Its scores' place below the output directory: its own place below the directory that all inputs are in.
    pub(super) relative: PathBuf,
    /// The hash of the source's bytes: no length or directory, which stay the same when a value is corrected in place.
    pub(super) hash: ContentHash,
    /// Users in each row group.
    pub(super) groups: Vec<usize>,
    pub(super) text_ids: bool,
    /// Rows of a CSV file that do not fit, and are in no row group.
    pub(super) left_out: Option<Quarantined>,
}

impl Input {
    /// Looks at a file's directory; `hash` is that of its bytes.
    pub(super) fn open(
        path: &Path,
        relative: &Path,
        hash: ContentHash,
        schema: &ProfileSchema,
        options: &ReadOptions,
    ) -> Result<Self> {
        let file = ParquetProfiles::open(path, schema, options)?;
        Ok(Self {
            path: path.to_owned(),
            source: path.to_owned(),
            relative: relative.to_owned(),
            hash,
            groups: (0..file.row_groups()).filter_map(|group| file.rows_of(group)).collect(),
            text_ids: file.text_ids(),
            left_out: None,
        })
    }

    /// Whether the file still is what it was when it was opened.
    ///
    /// # Errors
    /// If it is not, or cannot be read any more; [`Error::Stopped`](crate::Error::Stopped).
    pub(super) fn check_unchanged(&self, stopped: &dyn Fn() -> bool) -> Result<()> {
        if hash_of(&self.source, stopped)? != self.hash {
            let path = self.source.display();
            bail!("{path} changed while it was scored; the same call scores it as it is now");
        }
        Ok(())
    }
}

/// The hashes of files' bytes, several at a time, or why a file has none: `look` is what a file is asked before the work of reading all of it.
///
/// # Errors
/// [`Error::Stopped`].
pub(super) fn hashes(
    files: &[(PathBuf, PathBuf)],
    threads: NonZeroUsize,
    look: impl Fn(&Path) -> Result<()> + Sync,
    progress: &dyn Progress,
) -> Result<Vec<Result<ContentHash>>> {
    let stopped = || progress.stopped();
    let mut found = Vec::with_capacity(files.len());
    Pool::new(threads).with_stop(&stopped).map(
        files.iter(),
        |_, (path, _)| look(path).and_then(|()| hash_of(path, &stopped)),
        |_, hash| {
            found.push(hash);
            Ok::<(), Error>(())
        },
    )?;
    if found.len() < files.len() { Err(Error::Stopped) } else { Ok(found) }
}

/// The files that patterns name.
#[derive(Debug)]
pub(super) struct Found {
    /// The directory that all patterns are about, whatever files there are.
    pub(super) root: PathBuf,
    /// Sorted, each once, with their places below the root.
    pub(super) files: Vec<(PathBuf, PathBuf)>,
    /// Files that the patterns name and that are hidden, sorted.
    pub(super) hidden: Vec<PathBuf>,
}

/// The files that patterns, files and directories (those in it that end in .parquet) name. What is below `output` is no input: a pattern may
/// name scores of an earlier run, too. Nor is what programs hide beside their tables (`._x.parquet`, `_delta_log/`), unless it is named so.
pub(super) fn find(patterns: &[String], output: &Path) -> Result<Found> {
    let output = output.canonicalize().with_context(|| format!("cannot find {}", output.display()))?;
    let mut files = BTreeMap::new();
    let mut hidden = BTreeSet::new();
    let mut bases = vec![];
    for pattern in patterns {
        let named = Path::new(pattern);
        let (base, pattern) = match (named.is_dir(), named.is_file()) {
            (true, _) => (named.to_owned(), format!("{}/*.parquet", glob::Pattern::escape(pattern))),
            (_, true) => (parent(named), glob::Pattern::escape(pattern)),
            _ => (fixed(named), pattern.clone()),
        };
        let names_hidden = Path::new(&pattern).strip_prefix(&base).is_ok_and(is_hidden);
        let failed = || format!("input {pattern}");
        let (mut any, mut wanted, mut skipped) = (false, false, vec![]);
        for path in glob::glob(&pattern).with_context(|| format!("input {pattern} is not a pattern"))? {
            let path = path.with_context(failed)?;
            // By the name that was given: a link stands for what it leads to.
            let below = absolute(&path)?.strip_prefix(absolute(&base)?).with_context(failed)?.to_owned();
            if !path.is_file() {
                continue;
            }
            let real = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
            if is_hidden(&below) && !names_hidden {
                skipped.extend((!real.starts_with(&output)).then_some(path));
                continue;
            }
            any = true;
            if real.starts_with(&output) {
                continue;
            }
            wanted = true;
            if below.components().any(|part| part == Component::ParentDir) {
                bail!("input {pattern}: `..` cannot follow `*`, `?` or `[`");
            }
            files.entry(real).or_insert(base.canonicalize().with_context(failed)?.join(below));
        }
        if !any {
            match skipped.first() {
                Some(first) => bail!("input {pattern} names hidden files alone, such as {}", first.display()),
                None if named.is_dir() => bail!(
                    "input {pattern} names no file; {}/**/*.parquet names those in directories below",
                    named.display()
                ),
                None => bail!("input {pattern} names no file"),
            }
        }
        hidden.extend(skipped);
        if wanted {
            bases.push(base.canonicalize().with_context(failed)?);
        }
    }
    if files.is_empty() {
        bail!("no input names a file outside of the output directory {}", output.display());
    }
    let root = common(&bases);
    let relative = |place: PathBuf| place.strip_prefix(&root).map(Path::to_path_buf);
    let files = files.into_iter().map(|(real, place)| Ok((real, relative(place)?))).collect::<Result<_>>()?;
    Ok(Found { root, files, hidden: hidden.into_iter().collect() })
}

/// Whether a file or directory on the path is hidden, or marked as no part of a table as Hadoop's programs do it; `_day=1` is one.
fn is_hidden(path: &Path) -> bool {
    path.components().any(|part| match part {
        Component::Normal(name) => match name.as_encoded_bytes() {
            [b'.', ..] => true,
            [b'_', rest @ ..] => !rest.contains(&b'='),
            _ => false,
        },
        _ => false,
    })
}

/// A path's directory.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The directory before whatever stands for more than itself in a pattern.
fn fixed(pattern: &Path) -> PathBuf {
    let plain = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let before: PathBuf = pattern.components().take_while(plain).collect();
    // A pattern without such a part that is no file names none.
    if before == pattern { parent(pattern) } else { before.join(".").components().collect() }
}

/// The directory that all of these are below.
fn common(directories: &[PathBuf]) -> PathBuf {
    let first: Vec<Component<'_>> = directories.first().map(|d| d.components().collect()).unwrap_or_default();
    let shared = directories.iter().fold(first.len(), |shared, directory| {
        first.iter().take(shared).zip(directory.components()).take_while(|(a, b)| **a == *b).count()
    });
    first[..shared].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_places_below_the_directory_of_all() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["day=1/a.parquet", "day=2/a.parquet", "day=2/notes.txt"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let root = dir.path().to_str().unwrap();
        let elsewhere = dir.path().join("scores");
        std::fs::create_dir(&elsewhere).unwrap();
        let relative = |patterns: &[String]| -> Vec<String> {
            find(patterns, &elsewhere)
                .unwrap()
                .files
                .into_iter()
                .map(|(_, relative)| relative.display().to_string())
                .collect()
        };
        assert_eq!(relative(&[format!("{root}/*/*.parquet")]), ["day=1/a.parquet", "day=2/a.parquet"]);
        // Also when there is one so far.
        assert_eq!(relative(&[format!("{root}/*1/*.parquet")]), ["day=1/a.parquet"]);
        assert_eq!(
            relative(&[format!("{root}/day=1"), format!("{root}/day=2/../day=2/a.parquet")]),
            ["day=1/a.parquet", "day=2/a.parquet"]
        );
        assert_eq!(relative(&[format!("{root}/day=2")]), ["a.parquet"]);
        assert_eq!(relative(&[format!("{root}/day=2"), format!("{root}/day=2/a.parquet")]), ["a.parquet"]);
        // Scores below the users are no users, and do not move the place of those that are.
        std::fs::write(elsewhere.join("a.parquet"), "").unwrap();
        assert_eq!(relative(&[format!("{root}/day=2/*.parquet"), format!("{root}/scores")]), ["a.parquet"]);
        let message = find(&[format!("{root}/*.csv")], &elsewhere).unwrap_err().to_string();
        assert!(message.contains("names no file"), "{message}");
        let message = find(&[format!("{root}/*/../day=2/a.parquet")], &elsewhere).unwrap_err().to_string();
        assert!(message.contains("cannot follow"), "{message}");
    }

    #[test]
    fn what_programs_hide_beside_their_tables_is_no_input() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            "a.parquet",
            "._a.parquet",
            "_b.parquet",
            "_delta_log/c.parquet",
            "day=1/a.parquet",
            "day=1/.a.parquet",
            "day=1/_SUCCESS",
            "_day=2/a.parquet",
        ];
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let root = dir.path().to_str().unwrap();
        let elsewhere = dir.path().join("scores");
        std::fs::create_dir(&elsewhere).unwrap();
        let found = |pattern: String| -> Vec<String> {
            let found = find(&[pattern], &elsewhere).unwrap();
            found.files.iter().map(|(_, relative)| relative.display().to_string()).collect()
        };
        assert_eq!(found(root.to_owned()), ["a.parquet"]);
        assert_eq!(found(format!("{root}/*.parquet")), ["a.parquet"]);
        assert_eq!(
            found(format!("{root}/**/*.parquet")),
            ["_day=2/a.parquet", "a.parquet", "day=1/a.parquet"]
        );
        assert_eq!(found(format!("{root}/_*/*.parquet")), ["_day=2/a.parquet", "_delta_log/c.parquet"]);
        assert_eq!(found(format!("{root}/_*.parquet")), ["_b.parquet"]);
        assert_eq!(found(format!("{root}/_b.parquet")), ["_b.parquet"]);
    }

    #[test]
    fn a_file_that_changes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.parquet");
        let (before, after) = ("PAR1 pages 1111 directory PAR1", "PAR1 pages 1112 directory PAR1");
        std::fs::write(&path, before).unwrap();
        let input = Input {
            path: path.clone(),
            source: path.clone(),
            relative: "users.parquet".into(),
            hash: ContentHash::of(before),
            groups: vec![1],
            text_ids: false,
            left_out: None,
        };
        let go_on = || false;
        input.check_unchanged(&go_on).unwrap();
        std::fs::write(&path, after).unwrap();
        let message = input.check_unchanged(&go_on).unwrap_err().to_string();
        assert!(message.contains("changed while it was scored"), "{message}");
        std::fs::remove_file(&path).unwrap();
        let message = input.check_unchanged(&go_on).unwrap_err().to_string();
        assert!(message.contains("cannot open"), "{message}");
    }
}
