//! The conversions that users call.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, Schema};

use super::super::output::Output;
use super::super::{Loaded, ReadOptions};
use super::columns::{Columns, attributes};
use super::encode::{arrays, arrow_schema, attribute_array, attribute_fields};
use super::gather::Gather;
use crate::attributes::Attributes;
use crate::error::{Error, Result};
use crate::schema::ProfileSchema;
use crate::table::ProfileTable;

impl Loaded {
    /// Reads the profiles of an Arrow batch, and the further columns that `options` asks for.
    ///
    /// Columns are found by name; those that neither the schema nor `options` names are skipped. Their types may be dictionaries, views,
    /// run-end encoded or large variants, and nulls are missing:
    ///
    /// | wanted as | columns that will do |
    /// | --- | --- |
    /// | user id | integers, also decimals without a fraction (they stay integers), or texts and UUIDs (they are texts) |
    /// | categorical, ordinal | texts; integers, floats and booleans by their text form: `2` and `2.0` are `"2"` |
    /// | numeric, number | integers, floats, decimals; texts that hold numbers |
    /// | boolean, flag | booleans; 0 and 1; texts as in CSV |
    /// | multi | lists of texts or integers; texts with separators |
    /// | text | texts; integers, floats and booleans by their text form |
    ///
    /// UUIDs are sixteen bytes that are marked as such, by Arrow's extension type or Parquet's logical type. Dates, times, other bytes and
    /// structures are refused, with what to write instead.
    ///
    /// NaN is missing in columns of any type, since pandas writes it for whatever is not known; infinite numbers are errors. Missing tokens are
    /// compared with the text form of cells of any type.
    ///
    /// # Errors
    /// [`Error::MissingColumn`], [`Error::DuplicateColumn`], [`Error::ColumnType`]; [`Error::Cell`], [`Error::EmptyId`] and
    /// [`Error::DuplicateId`] with the row; [`Error::Arrow`] for arrays that cannot be read.
    pub fn from_record_batch(
        batch: &RecordBatch,
        schema: &ProfileSchema,
        options: &ReadOptions,
    ) -> Result<Self> {
        Self::from_record_batches([Ok(batch.clone())], schema, options)
    }

    /// As [`Self::from_record_batch`], of batches one after the other. Rows are counted through all of them, and no id may occur twice.
    /// The batches need not have one Arrow schema, as long as each has the columns.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use arrow_array::{Int64Array, RecordBatch, StringArray};
    /// use scaletot_profile::{FieldSpec, Loaded, ProfileSchema, ReadOptions};
    ///
    /// let batch = |first: i64| RecordBatch::try_from_iter([
    ///     ("customer", Arc::new(Int64Array::from(vec![first, first + 1])) as _),
    ///     ("age", Arc::new(StringArray::from(vec![Some("18-34"), None])) as _),
    /// ]);
    /// let age = FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]);
    /// let schema = ProfileSchema::builder("shop").with_id_column("customer").with_field(age).build()?;
    ///
    /// let loaded = Loaded::from_record_batches([batch(10), batch(20)], &schema, &ReadOptions::new())?;
    /// assert_eq!(loaded.profiles.len(), 4);
    /// assert_eq!(loaded.profiles.value(1, 0), None);
    /// # Ok::<(), scaletot_profile::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::from_record_batch`]; [`Error::Arrow`] also if the source of the batches fails.
    pub fn from_record_batches(
        batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>,
        schema: &ProfileSchema,
        options: &ReadOptions,
    ) -> Result<Self> {
        let schema = Arc::new(schema.clone());
        let mut all = Gather::new(None, Arc::clone(&schema), options)?;
        for batch in batches {
            let batch = batch.map_err(|source| Error::Arrow { place: None, source })?;
            let columns = Columns::find(None, batch.schema_ref(), &schema, options)?;
            all.push(columns.load(&batch, all.rows())?)?;
        }
        Ok(all.finish())
    }

    /// The profiles as [`ProfileTable::to_record_batch`] has them, and the attributes behind them as [`Attributes::to_record_batch`].
    ///
    /// # Errors
    /// [`Error::Length`] if profiles and attributes differ in their number of rows, [`Error::DuplicateColumn`] if two columns would
    /// have one name.
    pub fn to_record_batch(&self) -> Result<RecordBatch> {
        to_record_batch(&self.profiles, &self.attributes)
    }
}

impl ProfileTable {
    /// Reads the profiles of an Arrow batch; see [`Loaded::from_record_batch`] for the types that columns may have, and for reading
    /// further columns too: those that `options` asks for are not read here.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use arrow_array::{Float32Array, RecordBatch, StringViewArray};
    /// use scaletot_profile::{FieldSpec, ProfileSchema, ProfileTable, ReadOptions, UserId, Value};
    ///
    /// let batch = RecordBatch::try_from_iter([
    ///     ("id", Arc::new(StringViewArray::from(vec!["007", "008"])) as _),
    ///     ("income", Arc::new(Float32Array::from(vec![Some(9500.5), None])) as _),
    /// ])?;
    /// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::numeric("income")).build()?;
    /// let table = ProfileTable::from_record_batch(&batch, &schema, &ReadOptions::new())?;
    /// assert_eq!(table.id(0), UserId::from("007"));
    /// assert_eq!(table.value(0, 0), Some(Value::Number(9500.5)));
    ///
    /// let back = ProfileTable::from_record_batch(&table.to_record_batch()?, &schema, &ReadOptions::new())?;
    /// assert_eq!(back, table);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Loaded::from_record_batch`].
    pub fn from_record_batch(
        batch: &RecordBatch,
        schema: &ProfileSchema,
        options: &ReadOptions,
    ) -> Result<Self> {
        let profiles = ReadOptions { wanted: Vec::new(), ..options.clone() };
        Loaded::from_record_batch(batch, schema, &profiles).map(|loaded| loaded.profiles)
    }

    /// The table as an Arrow batch: the id (`Int64` or `Utf8`, as the ids are) under the schema's name for it, then the fields
    /// (categorical and ordinal `Utf8`, numeric `Float64`, boolean `Boolean`, multi-valued `List<Utf8>`). What is missing is null; the
    /// bucket of unknown categories is [`UNKNOWN`](crate::UNKNOWN). It reads back as it was.
    ///
    /// # Errors
    /// [`Error::Arrow`] if the texts of a column take more than 2 GiB.
    pub fn to_record_batch(&self) -> Result<RecordBatch> {
        to_record_batch(self, &Attributes::new())
    }
}

impl Attributes {
    /// Reads the columns of an Arrow batch that `options` asks for, and nothing else; types are those of [`Loaded::from_record_batch`].
    ///
    /// # Errors
    /// As there.
    pub fn from_record_batch(batch: &RecordBatch, options: &ReadOptions) -> Result<Self> {
        attributes(batch, options)
    }

    /// The columns as an Arrow batch: numbers `Float64`, texts `Utf8`, flags `Boolean`; what is missing is null. They read back as they
    /// were, except that texts that are empty or equal to one of the reader's missing tokens read back as missing.
    ///
    /// # Errors
    /// [`Error::Arrow`] if the texts of a column take more than 2 GiB.
    pub fn to_record_batch(&self) -> Result<RecordBatch> {
        let rows = self.rows().unwrap_or(0);
        let arrow = |source: ArrowError| Error::Arrow { place: None, source };
        let columns = self.columns().map(|(_, values)| attribute_array(values, 0..rows));
        let columns = columns.collect::<Result<_, _>>().map_err(arrow)?;
        let schema = Arc::new(Schema::new(attribute_fields(self).collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(schema, columns, &options).map_err(arrow)
    }
}

/// A table, and the attributes behind it.
pub(crate) fn to_record_batch(profiles: &ProfileTable, attributes: &Attributes) -> Result<RecordBatch> {
    let ids = profiles.ids();
    let output = Output::check(None, profiles.schema().id_column(), ids, Some(profiles), attributes)?;
    let schema = Arc::new(arrow_schema(&output, ids));
    arrays(&output, ids, 0..ids.len())
        .and_then(|columns| RecordBatch::try_new(schema, columns))
        .map_err(|source| Error::Arrow { place: None, source })
}
