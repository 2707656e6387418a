//! Arrow columns of many types as the few kinds of cells that profiles are read from.

use std::fmt::Write as _;
#[cfg(feature = "parquet")]
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int64Array,
    LargeListArray, LargeStringArray, UInt64Array,
};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DECIMAL128_MAX_PRECISION, DataType, Field as ArrowField};
#[cfg(feature = "parquet")]
use arrow_schema::{FieldRef, extension::EXTENSION_TYPE_NAME_KEY};

use super::super::options::Wanted;
use crate::cell::Raw;
use crate::field::FieldKind;

/// The name by which Arrow knows sixteen bytes that are a UUID.
const UUID: &str = "arrow.uuid";

/// What a type's values are, however they are stored: dictionaries, views, large offsets and narrow integers play no part.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Null,
    Text,
    Int,
    UInt,
    /// Whole numbers that may need more than 64 bits.
    Wide,
    Float,
    Flag,
    /// Sixteen bytes, read as their text.
    Uuid,
    List(Box<Shape>),
}

impl Shape {
    /// `None` for types that no profile column is read from, such as dates and structs.
    pub(super) fn of(field: &ArrowField) -> Option<Self> {
        match field.data_type() {
            DataType::FixedSizeBinary(16) if field.extension_type_name() == Some(UUID) => Some(Self::Uuid),
            data_type => Self::of_type(data_type),
        }
    }

    fn of_type(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Null => Some(Self::Null),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Self::Text),
            DataType::UInt64 => Some(Self::UInt),
            data_type if data_type.is_integer() => Some(Self::Int),
            // As databases have identifiers; with a fraction they are numbers like others.
            DataType::Decimal32(_, 0) | DataType::Decimal64(_, 0) | DataType::Decimal128(_, 0) => {
                Some(Self::Wide)
            }
            data_type if data_type.is_floating() || data_type.is_decimal() => Some(Self::Float),
            DataType::Boolean => Some(Self::Flag),
            DataType::Dictionary(_, values) => Self::of_type(values),
            DataType::RunEndEncoded(_, values) => Self::of(values),
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _) => Self::of(item).map(|item| Self::List(Box::new(item))),
            _ => None,
        }
    }

    /// The one type in which this shape is read.
    fn data_type(&self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Text => DataType::LargeUtf8,
            Self::Int => DataType::Int64,
            Self::Wide => DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0),
            Self::Uuid => DataType::FixedSizeBinary(16),
            Self::UInt => DataType::UInt64,
            Self::Float => DataType::Float64,
            Self::Flag => DataType::Boolean,
            Self::List(item) => DataType::new_large_list(item.data_type(), true),
        }
    }
}

/// What a column is read as.
#[derive(Debug, Clone, Copy)]
pub(super) enum Use<'a> {
    Id,
    Field(&'a FieldKind),
    Attribute(Wanted),
}

impl Use<'_> {
    /// Whether it is read from such a column.
    pub(super) fn accepts(self, shape: &Shape) -> bool {
        let is_number = matches!(shape, Shape::Int | Shape::UInt | Shape::Wide | Shape::Float);
        let is_one = is_number || matches!(shape, Shape::Text | Shape::Flag | Shape::Uuid);
        // A column of nothing but nulls often has no other type.
        *shape == Shape::Null
            || match self {
                Self::Id => {
                    matches!(shape, Shape::Text | Shape::Int | Shape::UInt | Shape::Wide | Shape::Uuid)
                }
                Self::Field(FieldKind::Numeric(_)) | Self::Attribute(Wanted::Number) => {
                    is_number || *shape == Shape::Text
                }
                Self::Field(FieldKind::Multi(_)) => {
                    is_one || matches!(shape, Shape::List(item) if !matches!(**item, Shape::List(_)))
                }
                Self::Field(_) | Self::Attribute(_) => is_one,
            }
    }

    /// The types it is read from.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Id => "integers, texts or UUIDs",
            Self::Field(FieldKind::Numeric(_)) | Self::Attribute(Wanted::Number) => {
                "numbers, or texts that hold numbers"
            }
            Self::Field(FieldKind::Multi(_)) => "lists of texts, or texts with separators",
            Self::Field(FieldKind::Boolean) | Self::Attribute(Wanted::Flag) => {
                "booleans, or texts or numbers that mean them"
            }
            Self::Field(_) | Self::Attribute(Wanted::Text) => "texts, integers or booleans",
        }
    }
}

/// A column of one batch.
#[derive(Debug)]
pub(super) enum Source {
    Null,
    Text(LargeStringArray),
    Int(Int64Array),
    UInt(UInt64Array),
    Wide(Decimal128Array),
    Float(Float64Array),
    Flag(BooleanArray),
    List(LargeListArray, Box<Source>),
}

impl Source {
    pub(super) fn new(array: &ArrayRef, shape: &Shape) -> Result<Self, ArrowError> {
        let exact = CastOptions { safe: false, ..CastOptions::default() };
        let array = cast_with_options(array, &shape.data_type(), &exact)?;
        let source = match shape {
            Shape::Null => Some(Self::Null),
            Shape::Text => array.as_string_opt::<i64>().cloned().map(Self::Text),
            Shape::Int => array.as_primitive_opt::<Int64Type>().cloned().map(Self::Int),
            Shape::UInt => array.as_primitive_opt::<UInt64Type>().cloned().map(Self::UInt),
            Shape::Wide => array.as_primitive_opt::<Decimal128Type>().cloned().map(Self::Wide),
            Shape::Uuid => array.as_fixed_size_binary_opt().map(|ids| Self::Text(uuids(ids))),
            Shape::Float => array.as_primitive_opt::<Float64Type>().cloned().map(Self::Float),
            Shape::Flag => array.as_boolean_opt().cloned().map(Self::Flag),
            Shape::List(item) => match array.as_list_opt::<i64>().cloned() {
                Some(lists) => {
                    let items = Self::new(lists.values(), item)?;
                    Some(Self::List(lists, Box::new(items)))
                }
                None => None,
            },
        };
        source
            .ok_or_else(|| ArrowError::CastError(format!("not readable as {shape:?}: {}", array.data_type())))
    }

    pub(super) fn raw(&self, row: usize) -> Raw<'_> {
        match self {
            Self::Text(array) if array.is_valid(row) => Raw::Text(array.value(row)),
            Self::Int(array) if array.is_valid(row) => Raw::Int(array.value(row).into()),
            Self::UInt(array) if array.is_valid(row) => Raw::Int(array.value(row).into()),
            Self::Wide(array) if array.is_valid(row) => Raw::Int(array.value(row)),
            Self::Float(array) if array.is_valid(row) => Raw::Float(array.value(row)),
            Self::Flag(array) if array.is_valid(row) => Raw::Flag(array.value(row)),
            Self::List(array, items) if array.is_valid(row) => {
                let offsets = array.value_offsets();
                let texts = (offsets[row] as usize..offsets[row + 1] as usize).filter_map(|item| match items
                    .raw(item)
                {
                    item if item.is_missing(&[]) => None,
                    item => item.as_text(),
                });
                Raw::List(texts.collect())
            }
            _ => Raw::Null,
        }
    }
}

/// How a table can be written so that a column of a type that is not read would be.
pub(super) fn remedy(found: &DataType) -> &'static str {
    match found {
        DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(..)
        | DataType::Time32(_)
        | DataType::Time64(_) => {
            "write a date as text, or better the time since it as a number, such as an age in years"
        }
        // Only ids are read from no such column.
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            "write ids as integers or texts; pandas makes floats of integers of which one is missing"
        }
        DataType::Duration(_) | DataType::Interval(_) => "write a span of time as a number",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "write bytes as text, and identifiers of sixteen bytes as text or with the type UUID"
        }
        DataType::Struct(_) | DataType::Map(..) | DataType::Union(..) => {
            "write its parts as columns of their own"
        }
        _ => "write the column with one of these types",
    }
}

/// Whether columns of that type are read as anything.
#[cfg(feature = "parquet")]
pub(crate) fn is_readable(field: &ArrowField) -> bool {
    Shape::of(field).is_some()
}

/// The field as one of UUIDs, whose type alone does not say so.
#[cfg(feature = "parquet")]
pub(crate) fn as_uuid(field: &ArrowField) -> FieldRef {
    let mark = [(EXTENSION_TYPE_NAME_KEY.to_owned(), UUID.to_owned())];
    Arc::new(field.clone().with_metadata(mark.into()))
}

/// An array of UUIDs as their texts; any other as it is.
#[cfg(feature = "parquet")]
pub(crate) fn uuid_texts(array: &ArrayRef) -> ArrayRef {
    match array.as_fixed_size_binary_opt() {
        Some(ids) => Arc::new(uuids(ids)),
        None => Arc::clone(array),
    }
}

fn uuids(ids: &FixedSizeBinaryArray) -> LargeStringArray {
    ids.iter().map(|id| id.map(uuid)).collect()
}

/// The text of a UUID.
fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The Arrow type in which a list of texts is written.
pub(super) fn text_list() -> DataType {
    DataType::List(ArrowField::new("item", DataType::Utf8, true).into())
}
