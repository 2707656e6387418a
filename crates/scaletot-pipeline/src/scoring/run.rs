//! Scores from Parquet to Parquet.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use scaletot_core::ContentHash;
use scaletot_core::Progress;
use scaletot_core::files::{DirLock, write_json};

use super::Scorer;
use super::files::{Quarantined, is_parquet, origin_of};
use super::inputs::{self, Input};
use super::job::{FileJob, OnError, is_damage};
use super::summary::ScoreSummary;
use super::tables::Tables;
use super::work::Work;
use crate::error::{Context, Result, bail, causes};
use crate::pipeline::record::differences;

/// Settings of the scores in a directory, so that scores of different settings do not mix.
const SETTINGS: &str = "score.json";

/// What could not be scored.
const QUARANTINE: &str = "quarantine.json";

impl Scorer {
    /// Scores files: for each a file of the same name, at the same place below the directory that the pattern begins with, with ids in the same
    /// order. What an earlier run has scored with the same settings is kept.
    ///
    /// # Errors
    /// If an input cannot be read (with [`OnError::Stop`]), the output directory holds scores of other settings or is in use
    /// ([`Error::InUse`](crate::Error::InUse)), or a file cannot be written. What was scored stays. [`Error::Stopped`](crate::Error::Stopped) if `progress` says so.
    pub fn score_files(&self, job: &FileJob, progress: &dyn Progress) -> Result<ScoreSummary> {
        let _lock = DirLock::acquire(&job.output)?;
        if job.fresh {
            start_over(&job.output)?;
        }
        let found = inputs::find(&job.input, &job.output)?;
        let begun = job.output.join(SETTINGS).exists();
        let mut quarantined = vec![];
        let mut inputs = vec![];
        let mut names = BTreeMap::new();
        let tables = Tables::new(self, &job.output);
        for (path, relative) in found.files {
            match tables.open(&path, &relative) {
                Ok(input) => {
                    if let Some(other) = names.insert(input.relative.clone(), path.clone()) {
                        let (one, two, name) = (other.display(), path.display(), input.relative.display());
                        bail!(
                            "the scores of {one} and of {two} would both be {name}: score them into two directories"
                        );
                    }
                    inputs.push(input);
                }
                Err(error) if job.on_error == OnError::Quarantine && is_damage(&error) => {
                    let error = causes(&error);
                    quarantined.push(Quarantined { file: path, row_group: None, rows: 0, error });
                }
                Err(error) => return Err(error),
            }
        }
        if inputs.is_empty() {
            let first = quarantined.first().map_or("", |bad| bad.error.as_str());
            bail!("none of the {} input files can be read; of the first: {first}", quarantined.len());
        }
        for input in &inputs {
            let output = job.output.join(&input.relative);
            // Where scoring has begun, what cannot be read may be scores that were damaged.
            let foreign = || if begun { is_parquet(&output) } else { output.exists() };
            if origin_of(&output).is_none() && foreign() {
                let output = output.display();
                bail!(
                    "{output} holds no scores, so it is not written over: --output names another directory"
                );
            }
        }
        let settings = self.same_settings(job, &found.root)?;
        let mut summary = Work::new(self, &inputs, job, settings).run(progress)?;
        drop(tables);
        summary.quarantined.append(&mut quarantined);
        summary.quarantined.sort_by(|a, b| (&a.file, a.row_group).cmp(&(&b.file, b.row_group)));
        let list = job.output.join(QUARANTINE);
        match summary.quarantined.as_slice() {
            [] if !list.exists() => {}
            [] => fs::remove_file(&list).with_context(|| format!("cannot remove {}", list.display()))?,
            quarantined => write_json(&list, &quarantined)?,
        }
        summary.left_over = left_over(&job.output, &inputs)?;
        Ok(summary)
    }

    /// Checks that what is in the output directory, if anything, has the same settings; returns their fingerprint.
    fn same_settings(&self, job: &FileJob, root: &Path) -> Result<String> {
        let columns: Vec<String> = self.outputs.iter().map(ToString::to_string).collect();
        let decisive = BTreeMap::from([
            ("artifact".to_owned(), self.identity.short()),
            ("columns".to_owned(), columns.join(",")),
            ("id".to_owned(), self.schema.id_column().to_owned()),
            ("precision".to_owned(), format!("{:?}", self.precision).to_lowercase()),
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        // Users of two directories would overwrite one another. It does not change their scores.
        let mut settings = decisive.clone();
        settings.insert("users below".to_owned(), root.display().to_string());
        let path = job.output.join(SETTINGS);
        // What failed before anybody was scored stands in nobody's way.
        if path.exists() && scores(&job.output)?.iter().any(|path| origin_of(path).is_some()) {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let old: BTreeMap<String, String> = serde_json::from_str(&text)
                .with_context(|| format!("{} does not hold the settings of scores", path.display()))?;
            let differing = differences(&old, &settings);
            if !differing.is_empty() {
                let output = job.output.display();
                bail!(
                    "{output} holds scores of other settings ({}); --output names another directory, --fresh throws these scores away",
                    differing.join(", ")
                );
            }
        } else {
            write_json(&path, &settings)?;
        }
        Ok(ContentHash::of(serde_json::to_string(&decisive)?).short())
    }
}

/// The Parquet files below an output directory, parts among them.
fn scores(output: &Path) -> Result<Vec<PathBuf>> {
    let pattern = format!("{}/**/*.parquet", glob::Pattern::escape(&output.to_string_lossy()));
    let failed = || format!("cannot look into {}", output.display());
    glob::glob(&pattern)?.map(|path| path.with_context(failed)).collect()
}

/// Removes the scores that are in a directory, and nothing else that may lie there.
fn start_over(output: &Path) -> Result<()> {
    let old = scores(output)?.into_iter().filter(|path| origin_of(path).is_some());
    let notes = [QUARANTINE, SETTINGS].map(|name| output.join(name));
    for path in old.chain(notes).filter(|path| path.exists()) {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Files of scores whose input this run did not see, or could not read: nobody would notice that they are old.
fn left_over(output: &Path, inputs: &[Input]) -> Result<Vec<PathBuf>> {
    let output = output.canonicalize().with_context(|| format!("cannot find {}", output.display()))?;
    let current: BTreeSet<&Path> = inputs.iter().map(|input| input.relative.as_path()).collect();
    let mut old = vec![];
    for path in scores(&output)? {
        let relative = path.strip_prefix(&output).unwrap_or(&path);
        if !current.contains(relative) {
            old.push(relative.to_owned());
        }
    }
    Ok(old)
}
