//! The wanted columns of batches of one Arrow schema.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, Schema};
#[cfg(feature = "parquet")]
use arrow_schema::{DataType, Field, FieldRef, TimeUnit};
use scaletot_core::text::printable;

use super::super::collect::{Layout, empty, push_value, user_id};
use super::super::options::{ReadOptions, Wanted};
use super::super::{LeftOut, Loaded};
use super::decode;
use super::source::{Shape, Source, Use, remedy};
use crate::attributes::{Attributes, Values};
use crate::cell::Mismatch;
use crate::error::{Error, Result};
use crate::id::{UserId, UserIds};
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
        self.id.as_ref().is_some_and(|column| matches!(column.shape, Shape::Text | Shape::Uuid))
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

    /// A batch whose first row has the index `first`. Of several cells that do not fit, that of the earliest row is reported, or all such
    /// rows are left out, as the options say. Ids are not checked to be unique.
    pub(crate) fn load(&self, batch: &RecordBatch, first: usize) -> Result<Loaded> {
        let arrow = |source: ArrowError| Error::Arrow { place: Some(self.place(first)), source };
        let mut bad = BadRows { all: self.options.leave_out, rows: BTreeMap::new() };
        let ids = match &self.id {
            None => (first as i64 + 1..).take(batch.num_rows()).collect::<Vec<_>>().into(),
            Some(column) => self.ids(column, batch, first, &mut bad).map_err(arrow)?,
        };
        let mut take = |column: &str, misfits: decode::Misfits| {
            for (row, Mismatch { expected, found }) in misfits.found {
                let place = self.place(first + row);
                bad.push(row, Error::Cell { place, column: column.to_owned(), expected, found });
            }
        };
        let mut attributes = Attributes::new();
        for (column, (name, wanted)) in self.attributes.iter().zip(&self.options.wanted) {
            let mut misfits = decode::Misfits::new(self.options.leave_out);
            let values = column.values(batch, *wanted, &self.options.missing, &mut misfits).map_err(arrow)?;
            take(name, misfits);
            // The values end at the first cell that does not fit, if that is an error.
            if values.len() == batch.num_rows() {
                attributes.insert(name.clone(), values)?;
            }
        }
        let mut columns = Vec::with_capacity(self.fields.len());
        for (column, field) in self.fields.iter().zip(self.schema.fields()) {
            let mut misfits = decode::Misfits::new(self.options.leave_out);
            let values = decode::field(field, column.array(batch), &column.shape, &mut misfits);
            columns.push(values.map_err(arrow)?);
            take(field.name(), misfits);
        }
        let schema = Arc::clone(&self.schema);
        if bad.rows.is_empty() {
            let profiles = ProfileTable { schema, ids, columns };
            return Ok(Loaded { profiles, attributes, left_out: Vec::new() });
        }
        let good: Vec<usize> = (0..batch.num_rows()).filter(|row| !bad.rows.contains_key(row)).collect();
        // The first of them is the error, unless they are to be left out.
        let left_out = bad.rows.into_values().map(|error| match self.options.leave_out {
            true => LeftOut::of(error),
            false => Err(error),
        });
        let left_out = left_out.collect::<Result<_>>()?;
        let columns = columns.iter().map(|column| column.select(&good)).collect();
        let profiles = ProfileTable { schema, ids: ids.select(&good), columns };
        Ok(Loaded { profiles, attributes: attributes.select(&good), left_out })
    }

    /// The ids; some other one in the place of what is none.
    fn ids(
        &self,
        column: &Column,
        batch: &RecordBatch,
        first: usize,
        bad: &mut BadRows,
    ) -> Result<UserIds, ArrowError> {
        let array = column.array(batch);
        if let Some(ints) = array.as_primitive_opt::<Int64Type>().filter(|ints| ints.null_count() == 0) {
            return Ok(ints.values().to_vec().into());
        }
        let source = Source::new(array, &column.shape)?;
        let is_text = matches!(column.shape, Shape::Text | Shape::Uuid);
        let none = || if is_text { UserId::Text(String::new()) } else { UserId::Int(0) };
        let mut ids = Vec::with_capacity(array.len());
        for row in 0..array.len() {
            let id = user_id(source.raw(row), false, self.schema.id_column(), || self.place(first + row));
            match id {
                Ok(id) => ids.push(id),
                Err(error) => {
                    if !bad.push(row, error) {
                        break;
                    }
                    ids.push(none());
                }
            }
        }
        Ok(ids.into_iter().collect())
    }
}

/// Rows of a batch that do not fit, each with the first of its errors.
#[derive(Debug)]
struct BadRows {
    all: bool,
    rows: BTreeMap<usize, Error>,
}

impl BadRows {
    /// Notes a row; whether there is more to look for.
    fn push(&mut self, row: usize, error: Error) -> bool {
        self.rows.entry(row).or_insert(error);
        self.all
    }
}

impl Column {
    fn new(file: Option<&Path>, there: &Schema, position: usize, use_as: Use<'_>) -> Result<Self> {
        let field = there.field(position);
        let shape = Shape::of(field).filter(|shape| use_as.accepts(shape));
        let shape = shape.ok_or_else(|| Error::ColumnType {
            path: file.map(Path::to_owned),
            column: field.name().clone(),
            expected: use_as.expected(),
            found: printable(&field.data_type().to_string(), 200),
            remedy: remedy(field.data_type()),
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
        misfits: &mut decode::Misfits,
    ) -> Result<Values, ArrowError> {
        let source = Source::new(self.array(batch), &self.shape)?;
        let mut values = empty(wanted);
        for row in 0..batch.num_rows() {
            if let Err(mismatch) = push_value(&mut values, source.raw(row), missing) {
                if !misfits.push(row, mismatch) {
                    break;
                }
                values.push_missing();
            }
        }
        Ok(values)
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
        let mut misfits = decode::Misfits::new(false);
        let values = column.values(batch, *wanted, &options.missing, &mut misfits);
        let values = values.map_err(|source| Error::Arrow { place: None, source })?;
        if let Some((row, Mismatch { expected, found })) = misfits.found.pop() {
            return Err(Error::Cell { place: Place::row(row + 1), column: name.clone(), expected, found });
        }
        attributes.insert(name.clone(), values)?;
    }
    Ok(attributes)
}
