//! Tables and attributes as Arrow arrays.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Schema};

use super::super::output::Output;
use super::source::text_list;
use crate::attributes::{Attributes, Values};
use crate::cell::Value;
use crate::field::FieldKind;
use crate::id::UserIds;
use crate::table::ProfileTable;

/// The types of the columns that [`arrays`] makes.
pub(crate) fn arrow_schema(output: &Output<'_>, ids: &UserIds) -> Schema {
    let id_type = match ids {
        UserIds::Int(_) => DataType::Int64,
        UserIds::Text(_) => DataType::Utf8,
    };
    let mut columns = vec![ArrowField::new(output.id_column, id_type, false)];
    columns.extend(output.fields().iter().map(|field| {
        let data_type = match field.kind() {
            FieldKind::Categorical(_) | FieldKind::Ordinal(_) => DataType::Utf8,
            FieldKind::Numeric(_) => DataType::Float64,
            FieldKind::Boolean => DataType::Boolean,
            FieldKind::Multi(_) => text_list(),
        };
        ArrowField::new(field.name(), data_type, true)
    }));
    columns.extend(attribute_fields(output.attributes));
    Schema::new(columns)
}

/// The types of the attributes' columns.
pub(super) fn attribute_fields(attributes: &Attributes) -> impl Iterator<Item = ArrowField> + '_ {
    attributes.columns().map(|(name, values)| {
        let data_type = match values {
            Values::Number(_) => DataType::Float64,
            Values::Text(_) => DataType::Utf8,
            Values::Flag(_) => DataType::Boolean,
        };
        ArrowField::new(name, data_type, true)
    })
}

/// Ids, profile fields and attributes of some rows.
pub(crate) fn arrays(
    output: &Output<'_>,
    ids: &UserIds,
    rows: Range<usize>,
) -> Result<Vec<ArrayRef>, ArrowError> {
    let mut arrays: Vec<ArrayRef> = vec![match ids {
        UserIds::Int(ids) => Arc::new(Int64Array::from_iter_values(ids[rows.clone()].iter().copied())),
        UserIds::Text(ids) => texts(ids[rows.clone()].iter().map(|id| Some(id.as_str())))?,
    }];
    if let Some(table) = output.profiles {
        for field in 0..output.fields().len() {
            arrays.push(field_array(table, field, rows.clone())?);
        }
    }
    for (_, values) in output.attributes.columns() {
        arrays.push(attribute_array(values, rows.clone())?);
    }
    Ok(arrays)
}

/// Some rows of an attribute.
pub(super) fn attribute_array(values: &Values, rows: Range<usize>) -> Result<ArrayRef, ArrowError> {
    Ok(match values {
        Values::Number(values) => Arc::new(Float64Array::from_iter(values[rows].iter().copied())),
        Values::Text(values) => texts(values[rows].iter().map(Option::as_deref))?,
        Values::Flag(values) => Arc::new(BooleanArray::from_iter(values[rows].iter().copied())),
    })
}

fn field_array(table: &ProfileTable, field: usize, rows: Range<usize>) -> Result<ArrayRef, ArrowError> {
    let kind = table.schema().fields()[field].kind();
    let label = |code: u32| kind.domain().and_then(|domain| domain.label(code));
    let values = rows.map(|row| table.value(row, field));
    Ok(match kind {
        FieldKind::Categorical(_) | FieldKind::Ordinal(_) => {
            texts(values.map(|value| if let Some(Value::Code(code)) = value { label(code) } else { None }))?
        }
        FieldKind::Numeric(_) => Arc::new(Float64Array::from_iter(
            values.map(|value| if let Some(Value::Number(number)) = value { Some(number) } else { None }),
        )),
        FieldKind::Boolean => Arc::new(BooleanArray::from_iter(
            values.map(|value| if let Some(Value::Flag(flag)) = value { Some(flag) } else { None }),
        )),
        FieldKind::Multi(_) => {
            let codes = values
                .clone()
                .flat_map(|value| if let Some(Value::Codes(codes)) = value { codes } else { &[] });
            check_size(codes.map(|&code| label(code)))?;
            let mut lists = ListBuilder::new(StringBuilder::new());
            values.for_each(|value| match value {
                Some(Value::Codes(codes)) => lists.append_value(codes.iter().map(|&code| label(code))),
                _ => lists.append_null(),
            });
            Arc::new(lists.finish())
        }
    })
}

fn texts<'a>(texts: impl Iterator<Item = Option<&'a str>> + Clone) -> Result<ArrayRef, ArrowError> {
    check_size(texts.clone())?;
    Ok(Arc::new(StringArray::from_iter(texts)))
}

/// Arrow's texts and lists have 32-bit offsets, and its builders panic where these do not suffice.
fn check_size<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> Result<(), ArrowError> {
    let (mut items, mut bytes) = (0usize, 0usize);
    texts.for_each(|text| {
        items += 1;
        bytes += text.map_or(0, str::len);
    });
    let size = items.max(bytes);
    if i32::try_from(size).is_ok() { Ok(()) } else { Err(ArrowError::OffsetOverflowError(size)) }
}
