//! Which files are scored, and what becomes of damage in them.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use scaletot_core::text::printable;
use scaletot_profile::{Error as ProfileError, LeftOut};

use super::files::Quarantined;
use crate::error::Error;

/// Which files are scored, and where their scores go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileJob {
    /// Parquet files of users: files, directories or patterns such as `users/*.parquet`. A CSV file (`.csv`, `.csv.gz`) is read into memory
    /// as a whole, and its scores are a Parquet file too.
    pub input: Vec<String>,
    /// Where the scores go: a file for every input file, under the same name.
    pub output: PathBuf,
    /// Threads, [`MAX_WORKERS`](scaletot_core::pool::MAX_WORKERS) at most; as many as there are processors by default.
    pub threads: NonZeroUsize,
    /// What becomes of a row that does not fit, and of a row group or file that cannot be read; [`OnError::Stop`] by default.
    pub on_error: OnError,
    /// Whether scores that are there are removed first; they are kept by default, and those that are missing are added.
    pub fresh: bool,
}

/// What becomes of a row that does not fit the schema, and of a row group or file that cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnError {
    /// Stop; what is scored is kept, and the next run resumes from there.
    #[default]
    Stop,
    /// Leave it out, and nothing beside it, and list it in `quarantine.json`.
    Quarantine,
}

impl FileJob {
    /// A job on the files that the patterns name.
    #[must_use]
    pub fn new<S: Into<String>>(input: impl IntoIterator<Item = S>, output: impl AsRef<Path>) -> Self {
        Self {
            input: input.into_iter().map(Into::into).collect(),
            output: output.as_ref().to_owned(),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            on_error: OnError::default(),
            fresh: false,
        }
    }

    /// How many threads score.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = threads;
        self
    }

    /// What becomes of a row that does not fit, and of a row group or file that cannot be read.
    #[must_use]
    pub fn with_on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Whether scores that are there are removed first.
    #[must_use]
    pub fn with_fresh(mut self, fresh: bool) -> Self {
        self.fresh = fresh;
        self
    }
}

/// Whether it is what a file holds that is wrong, or is not read here, and not the disk or the network, or what is written.
pub(super) fn is_damage(error: &Error) -> bool {
    match error {
        Error::Profile(error) => is_of_content(error),
        Error::Context { source, .. } => {
            source.downcast_ref().is_some_and(is_damage) || source.downcast_ref().is_some_and(is_of_content)
        }
        _ => false,
    }
}

fn is_of_content(error: &ProfileError) -> bool {
    !matches!(error, ProfileError::Io { .. })
}

/// Rows whose reasons are told.
pub(super) const TOLD: usize = 3;

/// Characters of a reason.
const MAX_REASON: usize = 400;

/// So many rows that do not fit, and why the first of them do not.
pub(super) fn rows_left_out(
    file: &Path,
    row_group: Option<usize>,
    count: usize,
    first: &[LeftOut],
) -> Option<Quarantined> {
    let reasons: Vec<String> =
        first.iter().take(TOLD).map(|row| printable(&row.to_string(), MAX_REASON)).collect();
    let more = if count > TOLD { "; …" } else { "" };
    (count > 0).then(|| Quarantined {
        file: file.to_owned(),
        row_group,
        rows: count,
        error: format!("{count} rows that do not fit: {}{more}", reasons.join("; ")),
    })
}
