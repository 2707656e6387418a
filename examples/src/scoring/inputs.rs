//! Which files are scored, and where their scores go.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use scaletot::profile::{ParquetProfiles, ProfileSchema, ReadOptions};

use crate::stages::bytes_hash;

/// An input file. What it holds is read again when it is scored, since the directories of many files would not fit into memory.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) path: PathBuf,
    /// Its scores' place below the output directory: its own place below the directory that all inputs are in.
    pub(super) relative: PathBuf,
    /// Changes with the file.
    pub(super) fingerprint: String,
    /// Users in each row group.
    pub(super) groups: Vec<usize>,
}

impl Input {
    /// Looks at a file's directory.
    pub(super) fn open(path: &Path, relative: &Path, schema: &ProfileSchema) -> Result<Self> {
        let file = ParquetProfiles::open(path, schema, &ReadOptions::new())?;
        Ok(Self {
            path: path.to_owned(),
            relative: relative.to_owned(),
            fingerprint: fingerprint(path).with_context(|| format!("cannot read {}", path.display()))?,
            groups: (0..file.row_groups()).filter_map(|group| file.rows_of(group)).collect(),
        })
    }

    /// Whether the file still is what it was when it was opened.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let path = self.path.display();
        let now = fingerprint(&self.path).with_context(|| format!("cannot read {path}"))?;
        if now != self.fingerprint {
            bail!("{path} changed while it was scored; run the same command again to score it as it is now");
        }
        Ok(())
    }
}

/// A hash of a Parquet file's length and directory, which says where every page is and what it holds at least and at most.
fn fingerprint(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut tail = [0; 8];
    file.seek(SeekFrom::Start(length.saturating_sub(8)))?;
    file.read_exact(&mut tail)?;
    let directory = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    file.seek(SeekFrom::Start(length.saturating_sub(8 + directory)))?;
    let mut bytes = length.to_le_bytes().to_vec();
    file.take(8 + directory).read_to_end(&mut bytes)?;
    Ok(bytes_hash(&bytes))
}

/// The files that patterns, files and directories (those in it that end in .parquet) name, sorted, each once, with their places below the
/// directory that all of them are in. What is below `output` is no input: a pattern may name scores of an earlier run, too.
pub(super) fn find(patterns: &[String], output: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let output = output.canonicalize().with_context(|| format!("cannot find {}", output.display()))?;
    let mut files = vec![];
    for pattern in patterns {
        let named = Path::new(pattern);
        let pattern = match named.is_dir() {
            true => format!("{}/*.parquet", glob::Pattern::escape(pattern)),
            false if named.is_file() => glob::Pattern::escape(pattern),
            false => pattern.clone(),
        };
        let before = files.len();
        for path in glob::glob(&pattern).with_context(|| format!("--input {pattern} is not a pattern"))? {
            let path = path.with_context(|| format!("--input {pattern}"))?;
            if path.is_file() {
                let path = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
                files.push(path);
            }
        }
        if files.len() == before {
            bail!("--input {pattern} names no file");
        }
    }
    files.sort();
    files.dedup();
    files.retain(|file| !file.starts_with(&output));
    if files.is_empty() {
        bail!("--input names no file outside of --output {}", output.display());
    }
    let root = common(&files);
    let relative = |path: &PathBuf| path.strip_prefix(&root).unwrap_or(path).to_path_buf();
    Ok(files.iter().map(|path| (path.clone(), relative(path))).collect())
}

/// The directory that all files are in.
fn common(files: &[PathBuf]) -> PathBuf {
    let directories = || files.iter().filter_map(|file| file.parent());
    let first: Vec<Component<'_>> =
        directories().next().map(|d| d.components().collect()).unwrap_or_default();
    let shared = directories().fold(first.len(), |shared, directory| {
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
                .into_iter()
                .map(|(_, relative)| relative.display().to_string())
                .collect()
        };
        assert_eq!(relative(&[format!("{root}/*/*.parquet")]), ["day=1/a.parquet", "day=2/a.parquet"]);
        assert_eq!(relative(&[format!("{root}/day=2")]), ["a.parquet"]);
        assert_eq!(relative(&[format!("{root}/day=2"), format!("{root}/day=2/a.parquet")]), ["a.parquet"]);
        // Scores below the users are no users, and do not move the place of those that are.
        std::fs::write(elsewhere.join("a.parquet"), "").unwrap();
        assert_eq!(relative(&[format!("{root}/day=2/*.parquet"), format!("{root}/scores")]), ["a.parquet"]);
        let message = find(&[format!("{root}/*.csv")], &elsewhere).unwrap_err().to_string();
        assert!(message.contains("names no file"), "{message}");
    }

    #[test]
    fn a_file_that_changes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.parquet");
        // Pages, a directory of four bytes, its length, the magic number.
        std::fs::write(&path, b"PAR1pages4444\x04\0\0\0PAR1").unwrap();
        let fingerprint = fingerprint(&path).unwrap();
        let input =
            Input { path: path.clone(), relative: "users.parquet".into(), fingerprint, groups: vec![1] };
        input.check_unchanged().unwrap();
        std::fs::write(&path, b"PAR1pages5555\x04\0\0\0PAR1").unwrap();
        let message = input.check_unchanged().unwrap_err().to_string();
        assert!(message.contains("changed while it was scored"), "{message}");
        std::fs::remove_file(&path).unwrap();
        let message = input.check_unchanged().unwrap_err().to_string();
        assert!(message.contains("cannot read"), "{message}");
    }
}
