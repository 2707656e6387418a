//! Checksums of a directory's files, beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{FileError, is_clutter, open, read_to_string};
use crate::text::printable;
use crate::{ContentHash, ContentHasher};

/// A longer file of checksums is not read.
const MAX_BYTES: u64 = 16 << 20;

/// The SHA-256 of every file of a directory, as a file [`SHA256SUMS`](Self::NAME) in it holds them, which `sha256sum -c` reads too.
///
/// They show damage and mix-ups: a changed byte, a file that is missing, cut, superfluous or from another directory. They are no protection
/// against whoever can write the directory, who can write other checksums as well.
///
/// ```
/// use scaletot_core::files::Checksums;
///
/// # let place = tempfile::tempdir()?;
/// # let place = place.path();
/// std::fs::write(place.join("weights"), "1 2 3")?;
/// std::fs::write(place.join(Checksums::NAME), Checksums::of(place)?.to_text())?;
/// Checksums::read(place)?.check(place)?;
/// std::fs::write(place.join("weights"), "1 2 4")?;
/// assert!(Checksums::read(place)?.check(place).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checksums(BTreeMap<String, ContentHash>);

/// What does not fit the checksums of a directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChecksumError {
    /// A file cannot be read, or is no regular file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line is not what is written there.
    #[error(
        "{}, line {line}: expected 64 lower-case hexadecimal digits, two spaces and a file name of its own, found `{found}`",
        path.display()
    )]
    Line {
        /// The file of checksums.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What stands there, cut to a readable length.
        found: String,
    },
    /// The directory does not hold the files of which there are checksums.
    #[error(
        "{}: expected the files that its {} names; missing: {}; superfluous: {}; copy the directory again, and keep other files elsewhere",
        directory.display(), Checksums::NAME, listed(missing), listed(superfluous)
    )]
    Files {
        /// The directory.
        directory: PathBuf,
        /// Files with a checksum that are not there.
        missing: Vec<String>,
        /// Files that are there without a checksum, or have one and do not belong there.
        superfluous: Vec<String>,
    },
    /// A file is not the one of which the checksum was taken.
    #[error("{}: expected sha256 {expected}, found {found}; the file was changed or cut", path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// The checksum on record.
        expected: ContentHash,
        /// That of the file.
        found: ContentHash,
    },
}

fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{}`", printable(name, 100))).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        few if few.len() <= 5 => few.join(", "),
        many => format!("{} and {} more", many[..5].join(", "), many.len() - 5),
    }
}

impl Checksums {
    /// The name of the file that holds them.
    pub const NAME: &'static str = "SHA256SUMS";

    /// Those of all files in a directory and its sub-directories.
    ///
    /// # Errors
    /// If a file cannot be read, or has a name that no line can hold.
    pub fn of(directory: &Path) -> Result<Self, FileError> {
        names(directory)?
            .into_iter()
            .map(|name| Ok((name.clone(), hash_of(&directory.join(name))?)))
            .collect()
    }

    /// The checksums as they are written: one line per file, in the order of their names.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.0.iter().map(|(name, hash)| format!("{hash}  {name}\n")).collect()
    }

    /// Reads those of a directory.
    ///
    /// # Errors
    /// [`ChecksumError::File`] if there are none, [`ChecksumError::Line`].
    pub fn read(directory: &Path) -> Result<Self, ChecksumError> {
        let path = directory.join(Self::NAME);
        Self::parse(&read_to_string(&path, MAX_BYTES)?, &path)
    }

    /// Reads the text of a file of checksums, which is named in errors.
    ///
    /// # Errors
    /// [`ChecksumError::Line`] for a line of another form, of a file that has one already, or without an end.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ChecksumError> {
        let mut sums = BTreeMap::new();
        for (at, line) in text.split_inclusive('\n').enumerate() {
            let parsed =
                line.strip_suffix('\n').and_then(|line| line.split_once("  ")).and_then(|(hash, name)| {
                    let parsed: ContentHash = hash.parse().ok()?;
                    let fine = parsed.to_string() == hash && is_name(name);
                    (fine && sums.insert(name.to_owned(), parsed).is_none()).then_some(())
                });
            if parsed.is_none() {
                return Err(ChecksumError::Line {
                    path: path.into(),
                    line: at + 1,
                    found: printable(line, 120),
                });
            }
        }
        Ok(Self(sums))
    }

    /// The checksum of a file, by its path in the directory.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<ContentHash> {
        self.0.get(name).copied()
    }

    /// Compares the names of files that belong into the directory with those that have a checksum, and with those that are there. What is
    /// there under a name that begins with a dot, is [clutter](super::is_clutter) or one of `ignored` may be.
    ///
    /// # Errors
    /// [`ChecksumError::Files`] with what is missing and what is superfluous, [`ChecksumError::File`] for a directory that cannot be read.
    pub fn check_names<'a>(
        &self,
        directory: &Path,
        expected: impl IntoIterator<Item = &'a str>,
        ignored: &[&str],
    ) -> Result<(), ChecksumError> {
        let there: BTreeSet<String> = names(directory)?.into_iter().collect();
        let expected: BTreeSet<&str> = expected.into_iter().collect();
        let found = |name: &&str| self.0.contains_key(*name) && there.contains(*name);
        let missing: Vec<String> =
            expected.iter().filter(|name| !found(name)).map(|&name| name.to_owned()).collect();
        let hidden = |name: &str| {
            name.split('/').any(|part| part.starts_with('.') || is_clutter(part)) || ignored.contains(&name)
        };
        let others = there.iter().filter(|name| !hidden(name)).chain(self.0.keys());
        let superfluous: BTreeSet<&String> =
            others.filter(|name| !expected.contains(name.as_str())).collect();
        let superfluous: Vec<String> = superfluous.into_iter().cloned().collect();
        if missing.is_empty() && superfluous.is_empty() {
            return Ok(());
        }
        Err(ChecksumError::Files { directory: directory.into(), missing, superfluous })
    }

    /// Compares a file's content with its checksum.
    ///
    /// # Errors
    /// [`ChecksumError::Differs`], also for a file without a checksum.
    pub fn check_bytes(&self, directory: &Path, name: &str, bytes: &[u8]) -> Result<(), ChecksumError> {
        self.compare(directory, name, ContentHash::of(bytes))
    }

    /// Compares the whole directory with its checksums: every line, and every file.
    ///
    /// # Errors
    /// [`ChecksumError`], for the first file that differs.
    pub fn check(&self, directory: &Path) -> Result<(), ChecksumError> {
        self.check_names(directory, self.0.keys().map(String::as_str), &[])?;
        self.0.keys().try_for_each(|name| self.compare(directory, name, hash_of(&directory.join(name))?))
    }

    fn compare(&self, directory: &Path, name: &str, found: ContentHash) -> Result<(), ChecksumError> {
        match self.get(name) {
            Some(expected) if expected == found => Ok(()),
            expected => {
                let expected = expected.unwrap_or(ContentHash::from_bytes([0; 32]));
                Err(ChecksumError::Differs { path: directory.join(name), expected, found })
            }
        }
    }
}

impl FromIterator<(String, ContentHash)> for Checksums {
    fn from_iter<I: IntoIterator<Item = (String, ContentHash)>>(sums: I) -> Self {
        Self(sums.into_iter().collect())
    }
}

/// Whether a line can hold a name, and it leads to nowhere outside of the directory.
fn is_name(name: &str) -> bool {
    !name.contains(|c: char| c.is_control() || c == '\\')
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

fn hash_of(path: &Path) -> Result<ContentHash, FileError> {
    let mut hasher = ContentHasher::new();
    hasher.update_reader(&mut open(path)?).map_err(FileError::at("read", path))?;
    Ok(hasher.finish())
}

/// The paths of all files below a directory but that of its checksums.
fn names(directory: &Path) -> Result<Vec<String>, FileError> {
    let mut found = vec![];
    collect(directory, "", &mut found)?;
    found.retain(|name| name != Checksums::NAME);
    Ok(found)
}

fn collect(directory: &Path, prefix: &str, found: &mut Vec<String>) -> Result<(), FileError> {
    let refused = |source| FileError::new("list", directory, source);
    for entry in fs::read_dir(directory).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let name = match entry.file_name().into_string() {
            Ok(name) if is_name(&name) => format!("{prefix}{name}"),
            other => {
                let name = other.unwrap_or_else(|name| name.to_string_lossy().into_owned());
                let message = format!(
                    "expected file names without control characters, found `{}`",
                    printable(&name, 100)
                );
                return Err(refused(io::Error::new(io::ErrorKind::InvalidInput, message)));
            }
        };
        // A link to a directory is not followed: it might lead back.
        if entry.file_type().map_err(refused)?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), found)?;
        } else {
            found.push(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn directory() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("deep/er")).unwrap();
        for (name, text) in [("a", "1"), ("deep/er/b", "22"), ("deep/c", "")] {
            fs::write(place.path().join(name), text).unwrap();
        }
        let sums = Checksums::of(place.path()).unwrap().to_text();
        fs::write(place.path().join(Checksums::NAME), sums).unwrap();
        place
    }

    fn check(directory: &Path) -> Result<(), ChecksumError> {
        Checksums::read(directory)?.check(directory)
    }

    #[test]
    fn missing_and_superfluous_files_are_named() {
        let place = directory();
        check(place.path()).unwrap();
        fs::write(place.path().join(".hidden"), "x").unwrap();
        check(place.path()).unwrap();
        fs::write(place.path().join("deep/more"), "x").unwrap();
        fs::remove_file(place.path().join("a")).unwrap();
        let error = check(place.path()).unwrap_err().to_string();
        assert!(error.contains("missing: `a`; superfluous: `deep/more`"), "{error}");
        fs::remove_file(place.path().join(Checksums::NAME)).unwrap();
        assert!(matches!(check(place.path()), Err(ChecksumError::File(_))));
    }

    #[test]
    fn lines_that_lead_elsewhere_or_stand_twice_are_refused() {
        let hash = ContentHash::of("x").to_string();
        let bad = ["/etc/passwd", "../a", "a/../b", "a//b", "", "a\\b", "a\u{1b}b"];
        for name in bad {
            let error = Checksums::parse(&format!("{hash}  {name}\n"), Path::new("S")).unwrap_err();
            assert!(error.to_string().contains("line 1"), "{name}: {error}");
        }
        for text in [
            format!("{hash}  a\n{hash}  a\n"),
            format!("{hash}  a"),
            format!("{hash} *a\n"),
            format!("{}  a\n", hash.to_uppercase()),
        ] {
            assert!(Checksums::parse(&text, Path::new("S")).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_changed_byte_of_every_file_is_noticed(file in 0_usize..3, at in 0.0_f64..1.0, flip in 1_u8..=255) {
            let place = directory();
            let path = place.path().join(["a", "deep/er/b", Checksums::NAME][file]);
            let mut bytes = fs::read(&path).unwrap();
            let at = (at * bytes.len() as f64) as usize;
            bytes[at] ^= flip;
            fs::write(&path, bytes).unwrap();
            prop_assert!(check(place.path()).is_err());
        }
    }
}
