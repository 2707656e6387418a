//! Scores for everybody: record batches in memory, and Parquet files of any size.
//!
//! [`Scorer`] opens an artifact once and scores [`RecordBatch`]es; [`Scorer::score_files`] is the same from Parquet to Parquet. There row
//! groups are scored by several threads, each into a part of its own under `.parts` in the output directory; when all of a file are
//! there they are put together in their order. Memory does not grow with the number of users. Whatever stands under its final name is
//! whole, so a run that was killed resumes with the row groups that are missing.

mod columns;
mod files;
mod inputs;
mod job;
mod place;
mod run;
mod summary;
mod sums;
mod tables;
mod work;

use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use scaletot_core::ContentHash;
use scaletot_encoder::{FrozenEncoder, Precision};
use scaletot_profile::{ProfileSchema, ProfileTable, ReadOptions, SchemaBuilder};

pub use self::columns::Output;
use self::columns::{Columns, selection};
pub use self::files::Quarantined;
pub use self::job::{FileJob, OnError};
pub use self::summary::ScoreSummary;
use crate::error::{Context, Result, ensure};
use crate::tasks::ROW_NUMBER;

/// The file by which an artifact is known.
const SUMS: &str = "SHA256SUMS";

/// An artifact with the outputs that are wanted of it.
///
/// ```no_run
/// use scaletot_pipeline::{Output, Scorer};
/// # fn batches() -> Vec<arrow_array::RecordBatch> { vec![] }
///
/// let scorer = Scorer::open("artifact")?.with_outputs(&[Output::Value, Output::Abstained])?;
/// for scores in scorer.score_batches(batches()) {
///     println!("{} users scored", scores?.num_rows());
/// }
/// # Ok::<(), scaletot_pipeline::Error>(())
/// ```
#[derive(Debug)]
pub struct Scorer {
    encoder: FrozenEncoder,
    /// The encoder's, with the id column of the users to be scored.
    schema: Arc<ProfileSchema>,
    precision: Precision,
    outputs: Vec<Output>,
    columns: Columns,
    /// What the artifact holds.
    identity: ContentHash,
}

impl Scorer {
    /// Loads and verifies an artifact; the value alone, in 32-bit floats, unless the setters say otherwise.
    ///
    /// # Errors
    /// If the artifact is damaged, or not ready to serve.
    pub fn open(artifact: impl AsRef<Path>) -> Result<Self> {
        Self::load(artifact.as_ref(), |artifact| FrozenEncoder::load_with_own_schema(artifact))
    }

    /// As [`open`](Self::open), for an artifact that must be signed by a key.
    ///
    /// # Errors
    /// As there, and if it is not signed, or by another key.
    #[cfg(feature = "signature")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signature")))]
    pub fn open_signed(
        artifact: impl AsRef<Path>,
        key: &scaletot_encoder::signature::PublicKey,
    ) -> Result<Self> {
        Self::load(artifact.as_ref(), |artifact| FrozenEncoder::load_signed(artifact, key))
    }

    fn load(
        artifact: &Path,
        load: impl FnOnce(&Path) -> scaletot_encoder::Result<FrozenEncoder>,
    ) -> Result<Self> {
        let failed = || format!("artifact {}", artifact.display());
        let inner = artifact.join("artifact");
        ensure!(
            artifact.join(SUMS).exists() || !inner.join(SUMS).exists(),
            "artifact {0}: expected an artifact, found the directory of a run; its artifact is {1}",
            artifact.display(),
            inner.display()
        );
        let hash = || ContentHash::of_file(artifact.join(SUMS)).with_context(failed);
        let before = artifact.join(SUMS).exists().then(hash).transpose()?;
        let encoder = load(artifact).with_context(failed)?;
        let identity = hash()?;
        ensure!(
            before == Some(identity),
            "artifact {}: it was replaced while it was opened; open it again",
            artifact.display()
        );
        let outputs = vec![Output::Value];
        let schema = Arc::new(encoder.profile_schema().clone());
        Ok(Self {
            columns: Columns::new(&encoder, schema.id_column(), &outputs)?,
            schema,
            encoder: encoder.with_selection(selection(&outputs))?,
            precision: Precision::Full,
            outputs,
            identity,
        })
    }

    /// Which columns are written beside the id, in this order.
    ///
    /// # Errors
    /// If the encoder does not have one of them, or one is named twice.
    pub fn with_outputs(mut self, outputs: &[Output]) -> Result<Self> {
        self.columns = Columns::new(&self.encoder, self.schema.id_column(), outputs)?;
        self.encoder = self.encoder.with_selection(selection(outputs))?;
        self.outputs = outputs.to_vec();
        Ok(self)
    }

    /// The column of the user ids, which may have another name than in training; with [`ROW_NUMBER`] the rows of a file or batch are
    /// numbered, from 1. As in training unless set.
    ///
    /// # Errors
    /// If a field of the profile or an output has that name.
    pub fn with_id_column(mut self, column: &str) -> Result<Self> {
        let schema = SchemaBuilder::from(&*self.schema).with_id_column(column).build()?;
        self.columns = Columns::new(&self.encoder, column, &self.outputs)?;
        self.schema = Arc::new(schema);
        Ok(self)
    }

    /// The numbers that the encoder computes with.
    ///
    /// # Errors
    /// If the network cannot be compiled in them.
    pub fn with_precision(mut self, precision: Precision) -> Result<Self> {
        self.encoder = self.encoder.with_precision(precision)?;
        self.precision = precision;
        Ok(self)
    }

    /// The encoder that scores.
    #[must_use]
    pub fn encoder(&self) -> &FrozenEncoder {
        &self.encoder
    }

    /// The scores of a batch of profiles: its id column, then the outputs, row by row.
    ///
    /// # Errors
    /// If a column of the profile schema is missing or does not fit it.
    pub fn score(&self, profiles: &RecordBatch) -> Result<RecordBatch> {
        let table = ProfileTable::from_record_batch(profiles, &self.schema, &self.read_options())?;
        Ok(self.columns.batch(table.ids(), &self.encoder.score(&table)?)?)
    }

    /// How users are read beside the schema.
    fn read_options(&self) -> ReadOptions {
        match self.schema.id_column() == ROW_NUMBER {
            true => ReadOptions::new().with_numbered_ids(),
            false => ReadOptions::new(),
        }
    }

    /// How files of users are read.
    fn file_options(&self, on_error: OnError) -> ReadOptions {
        match on_error {
            OnError::Stop => self.read_options(),
            OnError::Quarantine => self.read_options().with_bad_rows_left_out(),
        }
    }

    /// The scores of a stream of batches, one for each.
    pub fn score_batches<I>(&self, batches: I) -> impl Iterator<Item = Result<RecordBatch>>
    where
        I: IntoIterator<Item = RecordBatch>,
    {
        batches.into_iter().map(|batch| self.score(&batch))
    }
}
