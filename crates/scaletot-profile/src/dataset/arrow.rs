//! Datasets from and to Arrow batches.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;

use super::{Dataset, DatasetSpec};
use crate::attributes::Attributes;
use crate::error::Result;
use crate::io::{Loaded, to_record_batch};
use crate::schema::ProfileSchema;

impl Dataset {
    /// Reads a dataset from Arrow batches, such as a query gives them: no file is touched. Types are those of
    /// [`Loaded::from_record_batch`]; rows are counted through all batches, and no id may occur twice.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use arrow_array::{Float64Array, Int64Array, RecordBatch, StringArray};
    /// use scaletot_profile::{Dataset, DatasetSpec, FieldSpec, ProfileSchema};
    ///
    /// let batch = RecordBatch::try_from_iter([
    ///     ("id", Arc::new(Int64Array::from(vec![7, 8])) as _),
    ///     ("age", Arc::new(StringArray::from(vec![Some("18-34"), None])) as _),
    ///     ("spend", Arc::new(Float64Array::from(vec![None, Some(12.5)])) as _),
    /// ]);
    /// let age = FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]);
    /// let schema = ProfileSchema::builder("shop").with_field(age).build()?;
    /// let spec = DatasetSpec::new().with_outcome("spend");
    ///
    /// let dataset = Dataset::from_record_batches([batch], &schema, &spec)?;
    /// assert_eq!(dataset.labelled().collect::<Vec<_>>(), [1]);
    /// let back = Dataset::from_record_batches([Ok(dataset.to_record_batch(&spec)?)], &schema, &spec)?;
    /// assert_eq!(back, dataset);
    /// # Ok::<(), scaletot_profile::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Dataset::read`], with [`Loaded::from_record_batches`] in the place of the file's reader.
    pub fn from_record_batches(
        batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>,
        schema: &ProfileSchema,
        spec: &DatasetSpec,
    ) -> Result<Self> {
        let loaded = Loaded::from_record_batches(batches, schema, &spec.read_options(schema)?)?;
        Self::from_loaded(loaded, spec)
    }

    /// The dataset as an Arrow batch: the table as [`ProfileTable::to_record_batch`](crate::ProfileTable::to_record_batch) has it, and behind it
    /// the columns that `spec` names, in the order outcome (`Float64`), segment (`Utf8`, its name; not if the column is a profile field),
    /// group (`Utf8`, its number), arm (`Utf8`, the label of the control or the first one of the treated, which is "treated" if `spec` gives
    /// none). What is not known is null.
    ///
    /// With the same `spec` it reads back as it was, but for two things: groups are numbered anew, and segments are those that have users,
    /// in alphabetical order.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if `spec` contradicts itself or the schema,
    /// [`Error::DuplicateColumn`](crate::Error::DuplicateColumn) if two columns would have one name, and as
    /// [`ProfileTable::to_record_batch`](crate::ProfileTable::to_record_batch).
    pub fn to_record_batch(&self, spec: &DatasetSpec) -> Result<RecordBatch> {
        let schema = self.table().schema();
        spec.read_options(schema)?;
        let rows = 0..self.len();
        let mut beside = Attributes::new();
        if let Some(column) = spec.outcome() {
            beside.insert_number(column, self.outcomes().to_vec())?;
        }
        if let Some(column) = spec.segment().filter(|column| schema.field_index(column).is_none()) {
            let names = rows.clone().map(|row| Some(self.segments().name_of(row).to_owned()));
            beside.insert_text(column, names.collect())?;
        }
        if let Some(column) = spec.group() {
            let group = |row: usize| self.groups().map(|groups| groups[row].to_string());
            beside.insert_text(column, rows.clone().map(group).collect())?;
        }
        if let Some(arm) = spec.arm() {
            let treated = arm.treated().first().map_or("treated", String::as_str);
            let label = |treats: bool| if treats { treated } else { arm.control() }.to_owned();
            let of = |row: usize| self.arm().and_then(|arms| arms[row]).map(label);
            beside.insert_text(arm.column(), rows.map(of).collect())?;
        }
        to_record_batch(self.table(), &beside)
    }
}
