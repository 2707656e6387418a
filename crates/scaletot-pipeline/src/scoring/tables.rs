//! CSV files, which are scored as the Parquet files that are made of them.

use std::path::{Path, PathBuf};

use scaletot_core::ContentHash;
use scaletot_core::files::{self, create_dir_all};
use scaletot_profile::{Attributes, CsvPreview, Error as ProfileError, ParquetProfiles, write_parquet};

use super::Scorer;
use super::inputs::Input;
use super::job::{OnError, rows_left_out};
use super::place::{TABLES, clear};
use crate::error::{Context, Error, Result};
use crate::tasks::read_prepared;

/// Opens the files of users, and holds what is made of CSV files until it is dropped.
pub(super) struct Tables<'a> {
    scorer: &'a Scorer,
    directory: PathBuf,
}

impl<'a> Tables<'a> {
    /// What a killed run has left in the output directory is removed.
    pub(super) fn new(scorer: &'a Scorer, output: &Path) -> Self {
        let tables = Self { scorer, directory: output.join(TABLES) };
        tables.remove();
        tables
    }

    /// Looks at what a file begins or ends with, so that gigabytes of something else are refused before they are read.
    pub(super) fn look(&self, path: &Path, on_error: OnError) -> Result<()> {
        let name = path.to_string_lossy().to_ascii_lowercase();
        if name.ends_with(".csv") {
            CsvPreview::new(files::open(path)?, path)?;
        } else if !name.ends_with(".csv.gz") {
            let options = self.scorer.file_options(on_error);
            self.advised(ParquetProfiles::open(path, &self.scorer.schema, &options))?;
        }
        Ok(())
    }

    /// Opens a file of users, whose scores' place is that of the file or, of a CSV file, that of a Parquet file of its name.
    pub(super) fn open(
        &self,
        path: &Path,
        relative: &Path,
        hash: ContentHash,
        on_error: OnError,
    ) -> Result<Input> {
        let (schema, options) = (&self.scorer.schema, self.scorer.file_options(on_error));
        let opened = || match csv_stem(relative) {
            None => Input::open(path, relative, hash, schema, &options),
            Some(stem) => {
                let relative = relative.with_file_name(format!("{stem}.parquet"));
                let loaded = read_prepared(path, schema, &options)?;
                let users = loaded.profiles;
                let table = self.directory.join(&relative);
                let directory = table.parent().unwrap_or(&self.directory);
                create_dir_all(directory)?;
                write_parquet(&table, schema.id_column(), users.ids(), Some(&users), &Attributes::new())?;
                let input = Input::open(&table, &relative, hash, schema, &options)?;
                let left_out = rows_left_out(path, None, loaded.left_out.len(), &loaded.left_out);
                Ok(Input { source: path.to_owned(), left_out, ..input })
            }
        };
        self.advised(opened())
    }

    fn advised<T>(&self, opened: Result<T, impl Into<Error>>) -> Result<T> {
        match opened.map_err(Into::into) {
            Err(Error::Profile(error)) if is_without_ids(&error, self.scorer.schema.id_column()) => {
                Err(error)
                    .context("no user ids: --id names their column, and --id 'row number' numbers the rows")
            }
            opened => opened,
        }
    }

    fn remove(&self) {
        // What stays is removed by the next run.
        let _ = clear(&self.directory);
    }
}

impl Drop for Tables<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A CSV file's name without its ending.
fn csv_stem(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    let lower = name.to_ascii_lowercase();
    let ending = [".csv.gz", ".csv"].into_iter().find(|ending| lower.ends_with(ending))?;
    Some(name[..name.len() - ending.len()].to_owned())
}

fn is_without_ids(error: &ProfileError, id: &str) -> bool {
    matches!(error, ProfileError::MissingColumn { column, .. } if column == id)
}
