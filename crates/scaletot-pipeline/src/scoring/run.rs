//! Scores from Parquet to Parquet.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use scaletot_core::ContentHash;
use scaletot_core::Progress;
use scaletot_core::files::{DirLock, write_json};

use super::Scorer;
use super::files::Quarantined;
use super::inputs::{self, Input};
use super::job::{FileJob, OnError, is_damage};
use super::place::{self, QUARANTINE, SETTINGS, Settings};
use super::summary::ScoreSummary;
use super::sums::Sums;
use super::tables::Tables;
use super::work::Work;
use crate::error::{Context, Result, bail, causes};
use crate::options::check_workers;
use crate::pipeline::record::differences;

impl Scorer {
    /// Scores files: for each a file of the same name, at the same place below the directory that the pattern begins with, with ids in the same
    /// order. What an earlier run has scored with the same settings is kept.
    ///
    /// # Errors
    /// If an input cannot be read (with [`OnError::Stop`]), the output directory holds scores of other settings or is in use
    /// ([`Error::InUse`](crate::Error::InUse)), or a file cannot be written. What was scored stays. [`Error::Stopped`](crate::Error::Stopped) if `progress` says so.
    pub fn score_files(&self, job: &FileJob, progress: &dyn Progress) -> Result<ScoreSummary> {
        check_workers("threads", job.threads)?;
        let _lock = DirLock::acquire(&job.output)?;
        if job.fresh {
            place::start_over(&job.output)?;
        }
        place::check_names(&job.output)?;
        let found = inputs::find(&job.input, &job.output)?;
        if let [first, ..] = found.hidden.as_slice() {
            let count = found.hidden.len();
            progress.note(&format!(
                "{count} hidden files are no input, such as {}; a pattern that names one takes it",
                first.display()
            ));
        }
        let (settings, fingerprint) = self.settings(&found.root)?;
        same_settings(&job.output, &settings)?;
        let mut quarantined = vec![];
        let mut inputs: Vec<Input> = vec![];
        let mut names = BTreeMap::new();
        let tables = Tables::new(self, &job.output);
        let look = |path: &Path| tables.look(path, job.on_error);
        let hashes = inputs::hashes(&found.files, job.threads, look, progress)?;
        for ((path, relative), hash) in found.files.into_iter().zip(hashes) {
            match hash.and_then(|hash| tables.open(&path, &relative, hash, job.on_error)) {
                Ok(input) => {
                    if let Some(other) = names.insert(input.relative.clone(), path.clone()) {
                        let (one, two, name) = (other.display(), path.display(), input.relative.display());
                        bail!(
                            "the scores of {one} and of {two} would both be {name}: score them into two directories"
                        );
                    }
                    quarantined.extend(input.left_out.clone());
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
        let sums = Sums::open(&job.output)?;
        place::check_own(&job.output, &inputs, &fingerprint, &sums)?;
        write_json(job.output.join(SETTINGS), &settings)?;
        let mut summary = Work::new(self, &inputs, job, fingerprint, &sums).run(progress)?;
        drop(tables);
        summary.quarantined.append(&mut quarantined);
        summary.quarantined.sort_by(|a, b| (&a.file, a.row_group).cmp(&(&b.file, b.row_group)));
        let list = job.output.join(QUARANTINE);
        match summary.quarantined.as_slice() {
            [] if !list.exists() => {}
            [] => fs::remove_file(&list).with_context(|| format!("cannot remove {}", list.display()))?,
            quarantined => write_json(&list, &quarantined)?,
        }
        sums.finish()?;
        if let ([first, ..], 0) = (summary.quarantined.as_slice(), summary.users) {
            bail!(
                "nobody could be scored: everything is left out, and {} lists it; the first: {}",
                list.display(),
                first.error
            );
        }
        summary.left_over = place::left_over(&job.output, &inputs, &sums)?;
        Ok(summary)
    }

    /// The settings of the scores, and the fingerprint of those that decide them.
    fn settings(&self, root: &Path) -> Result<(Settings, String)> {
        let columns: Vec<String> = self.outputs.iter().map(ToString::to_string).collect();
        let decisive = Settings::from([
            ("artifact".to_owned(), self.identity.short()),
            ("columns".to_owned(), columns.join(",")),
            ("id".to_owned(), self.schema.id_column().to_owned()),
            ("precision".to_owned(), format!("{:?}", self.precision).to_lowercase()),
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        let fingerprint = ContentHash::of(serde_json::to_string(&decisive)?).short();
        // Users of two directories would overwrite one another. It does not change their scores.
        let mut settings = decisive;
        settings.insert("users below".to_owned(), root.display().to_string());
        Ok((settings, fingerprint))
    }
}

/// Refuses a directory that holds scores of other settings. What failed before anybody was scored stands in nobody's way.
fn same_settings(output: &Path, settings: &Settings) -> Result<()> {
    let Some(old) = place::read_settings(output)?.filter(|old| old != settings) else { return Ok(()) };
    if place::has_scores(output)? {
        let differing = differences(&old, settings).join(", ");
        bail!(
            "{} holds scores of other settings ({differing}); --output names another directory, --fresh throws these scores away",
            output.display()
        );
    }
    Ok(())
}
