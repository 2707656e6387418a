//! Signals as Arrow columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use scaletot_profile::{ProfileTable, UserId, UserIds};

use super::Signals;
use crate::ChainSchema;
use crate::error::{Error, Result};

/// Name of the column of representations.
const REPRESENTATION: &str = "representation";
/// Key of the metadata of that column that holds its shape, "2,16".
const SHAPE: &str = "scaletot.shape";

impl Signals {
    /// The signals as a record batch: the users' ids (`Int64` or `Utf8`) under the name that the table's schema has for them, then for
    /// every state a fixed-size list of `Float32`, `state.NAME`, and `representation`, a fixed-size list of `Float32` whose shape is in
    /// the metadata of its field. Absent marginals or representations have no columns. Nothing is null.
    ///
    /// ```
    /// use scaletot_chain::{ChainSchema, Signals, StateDef};
    /// use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
    ///
    /// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
    /// let mut rows = TableBuilder::new(schema);
    /// rows.push_text(1001, &["18-34"])?;
    /// rows.push_text(1002, &["35+"])?;
    /// let table = rows.finish();
    /// let chain = ChainSchema::builder("shopper").with_state(StateDef::ordinal("spend", ["low", "high"])).build()?;
    ///
    /// let signals = Signals::new(vec![1], vec![2], vec![0.25, 0.75], [1, 3], vec![0.5, -1.0, 2.0])?;
    /// let batch = signals.to_record_batch(&table, &chain)?;
    /// let names: Vec<&str> = batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    /// assert_eq!(names, ["id", "state.spend", "representation"]);
    /// assert_eq!(Signals::from_record_batch(&batch, &table, &chain)?, signals);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::WrongLength`] for a schema with other states, [`Error::RowNotInTable`] for a row that the table does not have,
    /// [`Error::Arrow`] if the id's name is one of the other columns'.
    pub fn to_record_batch(&self, table: &ProfileTable, schema: &ChainSchema) -> Result<RecordBatch> {
        if !self.domain_sizes().is_empty() {
            self.check(schema)?;
        }
        if let Some(&row) = self.rows().iter().find(|&&row| row >= table.len()) {
            return Err(Error::RowNotInTable { row, rows: table.len() });
        }
        let rows = self.rows().iter();
        let ids: ArrayRef = match table.ids() {
            UserIds::Int(ids) => Arc::new(Int64Array::from_iter_values(rows.map(|&row| ids[row]))),
            UserIds::Text(ids) => Arc::new(StringArray::from_iter_values(rows.map(|&row| &ids[row]))),
        };
        let id_column = table.schema().id_column();
        let mut fields = vec![Field::new(id_column, ids.data_type().clone(), false)];
        let mut columns = vec![ids];
        let states = schema.states().iter().take(self.domain_sizes().len());
        for (k, state) in states.enumerate() {
            let column = lists(self.domain_sizes()[k], (0..self.len()).map(|i| self.marginal(i, k)));
            fields.push(Field::new(column_of(state.name()), column.data_type().clone(), false));
            columns.push(column);
        }
        if self.representation_width() > 0 {
            let column = lists(self.representation_width(), (0..self.len()).map(|i| self.representation(i)));
            let [vectors, dim] = self.representation_shape();
            let field = Field::new(REPRESENTATION, column.data_type().clone(), false);
            fields.push(field.with_metadata(HashMap::from([(SHAPE.to_owned(), format!("{vectors},{dim}"))])));
            columns.push(column);
        }
        let name = |field: &Field| field.name().clone();
        if fields[1..].iter().map(name).any(|column| column == id_column) {
            let expected = "a name that no column of signals has".to_owned();
            return Err(Error::Column { column: id_column.to_owned(), expected, found: "one".to_owned() });
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|source| Error::Arrow { source })
    }

    /// Reads what [`to_record_batch`](Self::to_record_batch) gave. Users are found in `table` by their ids; other columns play no part.
    ///
    /// # Errors
    /// [`Error::Column`] for a column that is missing or of another type, [`Error::UserNotInDataset`], and those of [`Signals::new`].
    pub fn from_record_batch(
        batch: &RecordBatch,
        table: &ProfileTable,
        schema: &ChainSchema,
    ) -> Result<Self> {
        let rows = rows_of(batch, table)?;
        let has_states = batch.column_by_name(&column_of(schema.states()[0].name())).is_some();
        let sizes = if has_states { schema.domain_sizes() } else { Vec::new() };
        let mut states = Vec::with_capacity(sizes.len());
        for (state, &size) in schema.states().iter().zip(&sizes) {
            states.push(values(batch, &column_of(state.name()), Some(size))?.0);
        }
        let width: usize = sizes.iter().sum();
        let mut marginals = Vec::with_capacity(rows.len() * width);
        for i in 0..rows.len() {
            for (values, &size) in states.iter().zip(&sizes) {
                marginals.extend_from_slice(&values[i * size..(i + 1) * size]);
            }
        }
        let (representations, shape) = match batch.schema_ref().field_with_name(REPRESENTATION) {
            Err(_) => (Vec::new(), [0, 0]),
            Ok(field) => {
                let (values, width) = values(batch, REPRESENTATION, None)?;
                (values, shape_of(field, width)?)
            }
        };
        Self::new(rows, sizes, marginals, shape, representations)
    }
}

/// Name of a state's column.
fn column_of(state: &str) -> String {
    format!("state.{state}")
}

/// A column of lists of that size.
fn lists<'a>(size: usize, rows: impl Iterator<Item = &'a [f32]>) -> ArrayRef {
    // A list of more than i32::MAX numbers a user fits into no column, and into no memory.
    let item = Arc::new(Field::new_list_field(DataType::Float32, false));
    let size = i32::try_from(size).unwrap_or(i32::MAX);
    let mut lists = FixedSizeListBuilder::new(Float32Builder::new(), size).with_field(item);
    for row in rows {
        lists.values().append_slice(row);
        lists.append(true);
    }
    Arc::new(lists.finish())
}

fn wrong(column: &str, expected: impl Into<String>, found: impl Into<String>) -> Error {
    Error::Column { column: column.to_owned(), expected: expected.into(), found: found.into() }
}

/// Rows of the batch's users in the table.
fn rows_of(batch: &RecordBatch, table: &ProfileTable) -> Result<Vec<usize>> {
    let name = table.schema().id_column();
    let column = batch.column_by_name(name).ok_or_else(|| wrong(name, "ids", "no such column"))?;
    if column.null_count() > 0 {
        return Err(wrong(name, "an id in every row", "null"));
    }
    let ids: Vec<UserId> = match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().values().iter().map(|&id| id.into()).collect(),
        DataType::Utf8 => column.as_string::<i32>().iter().flatten().map(UserId::from).collect(),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().flatten().map(UserId::from).collect(),
        DataType::Utf8View => column.as_string_view().iter().flatten().map(UserId::from).collect(),
        other => return Err(wrong(name, "Int64 or texts", other.to_string())),
    };
    let known: HashMap<UserId, usize> = table.ids().iter().zip(0..).collect();
    let find = |id: &UserId| {
        let user = || Error::UserNotInDataset { user: id.to_string(), users: table.len() };
        known.get(id).copied().ok_or_else(user)
    };
    ids.iter().map(find).collect()
}

/// The numbers of a column of lists of fixed size, which may be given, and that size.
fn values(batch: &RecordBatch, name: &str, size: Option<usize>) -> Result<(Vec<f32>, usize)> {
    let expected = || match size {
        Some(size) => format!("lists of {size} Float32"),
        None => "lists of Float32 of one size".to_owned(),
    };
    let column = batch.column_by_name(name).ok_or_else(|| wrong(name, expected(), "no such column"))?;
    let fits = match column.data_type() {
        DataType::FixedSizeList(item, found) => {
            item.data_type() == &DataType::Float32
                && size.is_none_or(|size| i32::try_from(size) == Ok(*found))
        }
        _ => false,
    };
    if !fits {
        return Err(wrong(name, expected(), column.data_type().to_string()));
    }
    let lists = column.as_fixed_size_list();
    let width = usize::try_from(lists.value_length()).unwrap_or(0);
    let mut all = Vec::with_capacity(batch.num_rows() * width);
    for i in 0..batch.num_rows() {
        let list = lists.value(i);
        if lists.is_null(i) || list.null_count() > 0 {
            return Err(wrong(name, "a number in every place", format!("null in row {}", i + 1)));
        }
        all.extend_from_slice(list.as_primitive::<Float32Type>().values());
    }
    Ok((all, width))
}

/// The shape in a field's metadata; without one, a single vector.
fn shape_of(field: &Field, width: usize) -> Result<[usize; 2]> {
    let Some(text) = field.metadata().get(SHAPE) else { return Ok([1, width]) };
    let numbers = text.split_once(',').and_then(|(a, b)| Some([a.parse().ok()?, b.parse().ok()?]));
    let fits = |shape: &[usize; 2]| shape[0].checked_mul(shape[1]) == Some(width);
    numbers
        .filter(fits)
        .ok_or_else(|| wrong(REPRESENTATION, format!("a {SHAPE} of {width} numbers in all"), text.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};

    use super::*;
    use crate::StateDef;

    fn table(ids: &[&str]) -> ProfileTable {
        let schema = ProfileSchema::builder("s").with_field(FieldSpec::numeric("n")).build().unwrap();
        let mut table = TableBuilder::new(schema);
        ids.iter().for_each(|id| table.push_text(*id, &["1"]).unwrap());
        table.finish()
    }

    fn schema() -> ChainSchema {
        let state = |name: &str, values: &[&str]| StateDef::ordinal(name, values.iter().copied());
        let builder = ChainSchema::builder("s").with_state(state("a", &["x", "y"]));
        builder.with_state(state("b", &["x", "y", "z"])).build().unwrap()
    }

    fn signals(rows: Vec<usize>, shape: [usize; 2]) -> Signals {
        let of = |row: usize| {
            let p = row as f32 / 8.0;
            [p, 1.0 - p, 0.5, 0.25, 0.25]
        };
        let marginals = rows.iter().flat_map(|&row| of(row)).collect();
        let representations = (0..rows.len() * shape[0] * shape[1]).map(|x| x as f32 / 8.0).collect();
        Signals::new(rows, vec![2, 3], marginals, shape, representations).unwrap()
    }

    proptest! {
        #[test]
        fn batches_read_back_as_they_were(
            rows in prop::collection::hash_set(0..5usize, 0..5).prop_map(Vec::from_iter),
            shape in prop::sample::select(vec![[2, 3], [1, 6], [0, 0], [1, 1]]),
        ) {
            let (table, schema) = (table(&["a", "7", "007", "b", "c"]), schema());
            let signals = signals(rows, shape);
            let batch = signals.to_record_batch(&table, &schema).unwrap();
            prop_assert_eq!(Signals::from_record_batch(&batch, &table, &schema).unwrap(), signals);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (table, schema) = (table(&["a", "b", "c"]), schema());
        let error = signals(vec![3], [1, 2]).to_record_batch(&table, &schema).unwrap_err();
        assert_eq!(error.to_string(), "row 3 of a table of 3 rows");
        let batch = signals(vec![2, 0], [1, 2]).to_record_batch(&table, &schema).unwrap();
        let without = |column: usize| {
            let mut batch = batch.clone();
            batch.remove_column(column);
            Signals::from_record_batch(&batch, &table, &schema)
        };
        let message = |column: usize| without(column).unwrap_err().to_string();
        assert_eq!(message(0), "column `id`: expected ids, found no such column");
        assert_eq!(message(2), "column `state.b`: expected lists of 3 Float32, found no such column");
        assert_eq!(without(3).unwrap().representation_shape(), [0, 0]);
        let other =
            ChainSchema::builder("o").with_state(StateDef::ordinal("a", ["x", "y", "z"])).build().unwrap();
        let error = Signals::from_record_batch(&batch, &table, &other).unwrap_err().to_string();
        assert!(
            error.starts_with("column `state.a`: expected lists of 3 Float32, found FixedSizeList("),
            "{error}"
        );
        let fewer = table.select(&[0, 1]).unwrap();
        let error = Signals::from_record_batch(&batch, &fewer, &schema).unwrap_err();
        assert!(matches!(error, Error::UserNotInDataset { users: 2, .. }), "{error}");
    }
}
