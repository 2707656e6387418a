//! Files of tables: where they are, and what they hold.

use std::io::Write;
use std::path::Path;

use crate::error::{Context, Result, bail, ensure};
use scaletot_profile::{Loaded, ProfileSchema, ReadOptions, read, read_csv_from};

use super::file::open;
use super::{Form, Task, TaskFile, raw};

impl Task {
    /// Reads the table: the one that comes with the task, a prepared file, or a directory with the published files.
    pub(super) fn read_table(
        &self,
        data: Option<&Path>,
        schema: &ProfileSchema,
        options: &ReadOptions,
    ) -> Result<Loaded> {
        let prepared = data.is_none_or(|path| !path.is_dir());
        let files = self.tables(data)?;
        match (self.source.form, files.as_slice()) {
            (Form::KuairandPure, [users, logs @ ..]) if !prepared => {
                let logs: Vec<&Path> = logs.iter().map(TaskFile::path).collect();
                let table = raw::kuairand(users.path(), &logs)?;
                Ok(read_csv_from(table.as_slice(), users.path(), schema, options)?)
            }
            (_, [table, ..]) => read_file(table, schema, options),
            (_, []) => bail!("task `{}` names no published file", self.name),
        }
    }

    /// The files that the table is read from: the one that comes with the task, a prepared file, or the published ones in a directory.
    ///
    /// # Errors
    /// If one is missing; the message says which, and where its publisher offers it.
    pub fn tables(&self, data: Option<&Path>) -> Result<Vec<TaskFile>> {
        if let Some(directory) = data.filter(|path| path.is_dir()) {
            return self.published(directory);
        }
        let Some(file) = data.map(TaskFile::at).or_else(|| self.source.table.clone()) else {
            bail!("task `{}` needs a table, passed with `--data`: {}", self.name, self.needed());
        };
        ensure!(file.exists(), "{file}: there is no such file; task `{}` needs {}", self.name, self.needed());
        Ok(vec![file])
    }

    /// The published files in a directory, or in its directory `data` as some archives have it.
    fn published(&self, directory: &Path) -> Result<Vec<TaskFile>> {
        let find = |name: &String| {
            let places = [directory.to_owned(), directory.join("data")];
            let names = [name.clone(), format!("{name}.gz")];
            let candidates = places.iter().flat_map(|place| names.iter().map(move |name| place.join(name)));
            candidates.into_iter().find(|path| path.is_file()).map(TaskFile::at).with_context(|| {
                format!(
                    "{}: no `{name}` (or `{name}.gz`) there; task `{}` needs {}",
                    directory.display(),
                    self.name,
                    self.needed()
                )
            })
        };
        self.source.files.iter().map(find).collect()
    }

    /// What to pass, and where to get it.
    fn needed(&self) -> String {
        let source = &self.source;
        let published = match source.files.as_slice() {
            [] => "a table of users (.parquet, .csv, .csv.gz)".to_owned(),
            [file] => format!("`{file}`, plain or gzipped"),
            files => format!(
                "a directory with the published {} (plain or gzipped), or a table made from them (.parquet, .csv, .csv.gz)",
                files.iter().map(|file| format!("`{file}`")).collect::<Vec<_>>().join(", ")
            ),
        };
        match &source.publisher {
            Some(_) => format!("{published}; published by {source}"),
            None => published,
        }
    }
}

/// Reads a prepared table, by its extension.
fn read_file(file: &TaskFile, schema: &ProfileSchema, options: &ReadOptions) -> Result<Loaded> {
    let path = file.path();
    if let Some(bytes) = file.embedded_bytes() {
        let mut copy = tempfile::Builder::new()
            .suffix(".parquet")
            .tempfile()
            .context("a file for the embedded table")?;
        copy.write_all(bytes).with_context(|| copy.path().display().to_string())?;
        return Ok(read(copy.path(), schema, options)?);
    }
    read_prepared(path, schema, options)
}

/// Reads a `.parquet`, `.csv` or `.csv.gz` file, by its extension.
pub(crate) fn read_prepared(path: &Path, schema: &ProfileSchema, options: &ReadOptions) -> Result<Loaded> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if name.ends_with(".csv.gz") {
        return Ok(read_csv_from(open(path)?, path, schema, options)?);
    }
    ensure!(
        name.ends_with(".csv") || name.ends_with(".parquet"),
        "{}: expected a table in a .parquet, .csv or .csv.gz file, or a directory with the published files",
        path.display()
    );
    Ok(read(path, schema, options)?)
}
