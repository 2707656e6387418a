//! Which files at a stage's names are the stage's, and which somebody else has put beside them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use scaletot_core::files::is_clutter;
use scaletot_encoder::FrozenEncoder;
use scaletot_ltv::ValueModel;
use scaletot_student::Student;

use crate::error::{Context, Result};

/// What there is at the name of an output, a file or a directory.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The stage's files, sorted, each with whether it is a regular one.
    pub(crate) own: Vec<(PathBuf, bool)>,
    /// What file managers leave, and signatures: they come and go without a stage.
    pub(crate) beside: Vec<PathBuf>,
    /// Files of somebody else.
    pub(crate) foreign: Vec<PathBuf>,
    /// The directory and those in it, the deeper ones last.
    pub(crate) directories: Vec<PathBuf>,
}

impl Found {
    /// Looks at an output, by its name in the directory; links are not followed.
    pub(crate) fn at(directory: &Path, output: &str) -> Result<Self> {
        let (path, mut found) = (directory.join(output), Self::default());
        found.look(&path, &path, names_in(output))?;
        found.own.sort();
        found.foreign.sort();
        Ok(found)
    }

    fn look(&mut self, root: &Path, path: &Path, names: &[&str]) -> Result<()> {
        let failed = || format!("cannot read {}", path.display());
        let kind = fs::symlink_metadata(path).with_context(failed)?.file_type();
        if kind.is_dir() {
            self.directories.push(path.to_owned());
            for entry in fs::read_dir(path).with_context(failed)? {
                self.look(root, &entry.with_context(failed)?.path(), names)?;
            }
            return Ok(());
        }
        let (path, within) = (path.to_owned(), path.strip_prefix(root)?);
        let name = within.file_name().unwrap_or_default();
        let own = match within == Path::new("") {
            // A link is removed itself, whatever it leads to; a file is no directory of ours.
            true => names.is_empty() || !kind.is_file(),
            false => is_own(within, names),
        };
        if is_clutter(name) || own && name == FrozenEncoder::SIGNATURE {
            self.beside.push(path);
        } else if own {
            self.own.push((path, kind.is_file()));
        } else {
            self.foreign.push(path);
        }
        Ok(())
    }
}

/// What the directory of an output may hold; an output that is a file holds nothing.
fn names_in(output: &str) -> &'static [&'static str] {
    match output {
        "student" | "student-sft" => Student::FILES,
        "encoder" | "artifact" => FrozenEncoder::FILES,
        "value-model" => ValueModel::FILES,
        _ => &[],
    }
}

/// Whether a file, by its path in the directory of an output, is the stage's.
fn is_own(within: &Path, names: &[&str]) -> bool {
    let has = |names: &[&str], name: Option<&OsStr>| names.iter().any(|own| name == Some(OsStr::new(own)));
    if within.iter().count() == 1 {
        return has(names, within.file_name());
    }
    // Directories are in value models alone: those of the networks, which are artifacts.
    names == ValueModel::FILES
        && has(names, within.iter().next())
        && has(FrozenEncoder::FILES, within.file_name())
}
