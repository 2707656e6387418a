//! The wanted columns of batches of one Arrow schema.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, Schema};
#[cfg(feature = "parquet")]
use arrow_schema::{DataType, Field, FieldRef, TimeUnit};

use super::super::Loaded;
use super::super::collect::{Layout, empty, push_value, user_id};
use super::super::options::{ReadOptions, Wanted};
use super::decode;
use super::source::{Shape, Source, Use};
use crate::attributes::{Attributes, Values};
use crate::cell::Mismatch;
use crate::error::{Error, Result};
use crate::id::UserIds;
use crate::place::Place;
use crate::schema::ProfileSchema;
use crate::table::ProfileTable;

/// Where ids, fields and attributes stand in a batch, and what their types are.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    file: Option<Arc<Path>>,
    schema: Arc<ProfileSchema>,
    options: ReadOptions,
    /// `None` if the rows are numbered.
    id: Option<Column>,
    /// In the schema's order.
    fields: Vec<Column>,
    /// In the options' order.
    attributes: Vec<Column>,
}

/// A wanted column.
#[derive(Debug, Clone)]
struct Column {
    /// In the batch.
    position: usize,
    shape: Shape,
}

impl Columns {
    /// Finds the wanted columns among those that are there. `file` is where errors say that they come from.
    pub(crate) fn find(
        file: Option<Arc<Path>>,
        there: &Schema,
        schema: &Arc<ProfileSchema>,
        options: &ReadOptions,
    ) -> Result<Self> {
        let names: Vec<&str> = there.fields().iter().map(|field| field.name().as_str()).collect();
        let layout = Layout::find(file.as_deref(), &names, schema, options)?;
        let column = |position: usize, use_as: Use<'_>| Column::new(file.as_deref(), there, position, use_as);
        let id = layout.id.map(|position| column(position, Use::Id)).transpose()?;
        let fields = layout.fields.iter().zip(schema.fields());
        let fields = fields.map(|(&position, field)| column(position, Use::Field(field.kind())));
        let fields = fields.collect::<Result<_>>()?;
        let attributes = layout.attributes.iter().zip(&options.wanted);
        let attributes = attributes.map(|(&position, (_, wanted))| column(position, Use::Attribute(*wanted)));
        let attributes = attributes.collect::<Result<_>>()?;
        Ok(Self { file, schema: Arc::clone(schema), options: options.clone(), id, fields, attributes })
    }

    /// Whether there is an id column and its type is a text.
    #[cfg(feature = "parquet")]
    pub(crate) fn text_ids(&self) -> bool {
        self.id.as_ref().is_some_and(|column| column.shape == Shape::Text)
    }

    /// The field of a column whose type Arrow does not have.
    #[cfg(feature = "parquet")]
    pub(crate) fn unreadable(name: &str) -> FieldRef {
        // A type that no column is read from.
        Arc::new(Field::new(name, DataType::Duration(TimeUnit::Second), true))
    }

    /// A row, by its index.
    pub(crate) fn place(&self, row: usize) -> Place {
        Place { file: self.file.clone(), row: row + 1, line: None }
    }

    /// A batch whose first row has the index `first`. Of several cells that do not fit, that of the earliest row is reported. Ids are
    /// not checked to be unique.
    pub(crate) fn load(&self, batch: &RecordBatch, first: usize) -> Result<Loaded> {
        let arrow = |source: ArrowError| Error::Arrow { place: Some(self.place(first)), source };
        let mut earliest = Earliest::default();
        let ids = match &self.id {
            None => Some((first as i64 + 1..).take(batch.num_rows()).collect::<Vec<_>>().into()),
            Some(column) => {
                let ids = self.ids(column.array(batch), &column.shape, first).map_err(arrow)?;
                earliest.ok(ids)
            }
        };
        let cell = |column: &str, (row, Mismatch { expected, found }): decode::Misfit| {
            let place = self.place(first + row);
            (row, Error::Cell { place, column: column.to_owned(), expected, found })
        };
        let mut attributes = Attributes::new();
        for (column, (name, wanted)) in self.attributes.iter().zip(&self.options.wanted) {
            let values = column.values(batch, *wanted, &self.options.missing).map_err(arrow)?;
            if let Some(values) = earliest.ok(values.map_err(|misfit| cell(name, misfit))) {
                attributes.insert(name.clone(), values)?;
            }
        }
        let mut columns = Vec::with_capacity(self.fields.len());
        for (column, field) in self.fields.iter().zip(self.schema.fields()) {
            let values = decode::field(field, column.array(batch), &column.shape).map_err(arrow)?;
            columns.extend(earliest.ok(values.map_err(|misfit| cell(field.name(), misfit))));
        }
        let ids = earliest.into_result(ids.unwrap_or_default())?;
        let profiles = ProfileTable { schema: Arc::clone(&self.schema), ids, columns };
        Ok(Loaded { profiles, attributes })
    }

    fn ids(
        &self,
        array: &ArrayRef,
        shape: &Shape,
        first: usize,
    ) -> Result<Result<UserIds, (usize, Error)>, ArrowError> {
        if let Some(ints) = array.as_primitive_opt::<Int64Type>().filter(|ints| ints.null_count() == 0) {
            return Ok(Ok(ints.values().to_vec().into()));
        }
        let source = Source::new(array, shape)?;
        let id = |row: usize| -> Result<_, (usize, Error)> {
            user_id(source.raw(row), false, self.schema.id_column(), || self.place(first + row))
                .map_err(|error| (row, error))
        };
        Ok((0..array.len()).map(id).collect())
    }
}

impl Column {
    fn new(file: Option<&Path>, there: &Schema, position: usize, use_as: Use<'_>) -> Result<Self> {
        let field = there.field(position);
        let shape = Shape::of(field.data_type()).filter(|shape| use_as.accepts(shape));
        let shape = shape.ok_or_else(|| Error::ColumnType {
            path: file.map(Path::to_owned),
            column: field.name().clone(),
            expected: use_as.expected(),
            found: field.data_type().to_string(),
        })?;
        Ok(Self { position, shape })
    }

    fn array<'a>(&self, batch: &'a RecordBatch) -> &'a ArrayRef {
        batch.column(self.position)
    }

    /// The column as values beside the profile.
    fn values(
        &self,
        batch: &RecordBatch,
        wanted: Wanted,
        missing: &[String],
    ) -> Result<Result<Values, decode::Misfit>, ArrowError> {
        let source = Source::new(self.array(batch), &self.shape)?;
        let mut values = empty(wanted);
        let push =
            |row: usize| push_value(&mut values, source.raw(row), missing).map_err(|misfit| (row, misfit));
        let pushed: Result<(), decode::Misfit> = (0..batch.num_rows()).try_for_each(push);
        Ok(pushed.map(|()| values))
    }
}

/// The attributes alone, from the columns that `options` names.
pub(super) fn attributes(batch: &RecordBatch, options: &ReadOptions) -> Result<Attributes> {
    let there = batch.schema();
    let names: Vec<&str> = there.fields().iter().map(|field| field.name().as_str()).collect();
    let mut attributes = Attributes::new();
    for (&position, (name, wanted)) in Layout::attributes(None, &names, options)?.iter().zip(&options.wanted)
    {
        let column = Column::new(None, &there, position, Use::Attribute(*wanted))?;
        let values = column.values(batch, *wanted, &options.missing);
        let values = values.map_err(|source| Error::Arrow { place: None, source })?;
        let values = values.map_err(|(row, Mismatch { expected, found })| Error::Cell {
            place: Place::row(row + 1),
            column: name.clone(),
            expected,
            found,
        })?;
        attributes.insert(name.clone(), values)?;
    }
    Ok(attributes)
}

/// The error of the earliest row.
#[derive(Debug, Default)]
struct Earliest(Option<(usize, Error)>);

impl Earliest {
    /// The value, or nothing and the error is kept if it is of an earlier row than that so far.
    fn ok<T>(&mut self, result: Result<T, (usize, Error)>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err((row, error)) => {
                if self.0.as_ref().is_none_or(|(other, _)| row < *other) {
                    self.0 = Some((row, error));
                }
                None
            }
        }
    }

    fn into_result<T>(self, value: T) -> Result<T> {
        self.0.map_or(Ok(value), |(_, error)| Err(error))
    }
}
