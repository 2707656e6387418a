//! Tables and attributes from and to Arrow batches.
#![cfg(feature = "arrow")]

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::{Int8Type, Int32Type, UInt16Type};
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float16Array, Float64Array, Int8Array, Int64Array,
    LargeStringArray, NullArray, RecordBatch, RunArray, StringArray, StringViewArray, UInt64Array,
};
use arrow_schema::{ArrowError, DataType};
use proptest::prelude::*;
use scaletot_profile::{
    Attributes, Error, FieldSpec, Loaded, ProfileSchema, ProfileTable, ReadOptions, Result, UserIds, Value,
};

use crate::common;

fn options() -> ReadOptions {
    ReadOptions::new().with_number("spend").with_text("tier").with_flag("active")
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.name().clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tables_read_back((table, attributes) in common::tables(20)) {
        let batch = table.to_record_batch().unwrap();
        let back = ProfileTable::from_record_batch(&batch, table.schema(), &options()).unwrap();
        prop_assert_eq!(&back, &table);
        for row in 0..table.len() {
            prop_assert_eq!(back.profile_key(row), table.profile_key(row));
        }

        let batch = attributes.to_record_batch().unwrap();
        prop_assert_eq!(batch.num_rows(), table.len());
        prop_assert_eq!(&Attributes::from_record_batch(&batch, &options()).unwrap(), &attributes);
    }

    /// However a table is cut into batches, it is read as a whole; a part of a batch is that part of the table.
    #[test]
    fn batches_are_parts_of_a_table((table, attributes) in common::tables(20), cut in 0..20usize) {
        let mut loaded = Loaded::from_record_batch(&table.to_record_batch().unwrap(), table.schema(), &ReadOptions::new()).unwrap();
        loaded.attributes = attributes;
        let whole = loaded.to_record_batch().unwrap();
        let cut = cut.min(table.len());
        let parts = [whole.slice(0, cut), whole.slice(cut, table.len() - cut)];
        let back = Loaded::from_record_batches(parts.iter().cloned().map(Ok), table.schema(), &options()).unwrap();
        prop_assert_eq!(&back, &loaded);

        let rows: Vec<usize> = (cut..table.len()).collect();
        let part = Loaded::from_record_batch(&parts[1], table.schema(), &options()).unwrap();
        // Text ids that are all integers stay texts in Arrow, and no rows have no type.
        prop_assert_eq!(part.profiles.len(), rows.len());
        if !rows.is_empty() {
            prop_assert_eq!(part.profiles, table.select(&rows).unwrap());
        }
    }
}

fn column<A: arrow_array::Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn read(spec: FieldSpec, array: ArrayRef) -> Result<ProfileTable> {
    let schema = ProfileSchema::builder("test").with_field(spec).build().unwrap();
    let ids = column(Int64Array::from_iter_values(0..array.len() as i64));
    let batch = batch(vec![("id", ids), (schema.fields()[0].name(), array)]);
    ProfileTable::from_record_batch(&batch, &schema, &ReadOptions::new())
}

fn values(table: &ProfileTable) -> Vec<Option<Value<'_>>> {
    (0..table.len()).map(|row| table.value(row, 0)).collect()
}

#[test]
fn categories_come_in_every_type_of_text_and_number() {
    let texts = vec![Some("2"), None, Some("NA"), Some(" 1")];
    let runs: RunArray<Int32Type> = texts.iter().copied().collect();
    // A dictionary whose values have a null and one that no row has and no field takes.
    let keys = Int8Array::from(vec![Some(1), Some(0), None, Some(3)]);
    let keyed = StringArray::from(vec![None, Some("2"), Some("none has it"), Some("1")]);
    let dictionary = DictionaryArray::<Int8Type>::try_new(keys, Arc::new(keyed)).unwrap();
    for array in [
        column(StringArray::from(texts.clone())),
        column(LargeStringArray::from(texts.clone())),
        column(StringViewArray::from(texts.clone())),
        column(texts.iter().copied().collect::<DictionaryArray<UInt16Type>>()),
        column(dictionary),
        column(runs),
        column(Int64Array::from(vec![Some(2), None, None, Some(1)])),
        column(UInt64Array::from(vec![Some(2), None, None, Some(1)])),
        column(Float64Array::from(vec![Some(2.0), None, None, Some(1.0)])),
    ] {
        let table = read(FieldSpec::ordinal("size", ["1", "2"]).with_missing(["NA"]), array).unwrap();
        assert_eq!(values(&table), [Some(Value::Code(1)), None, None, Some(Value::Code(0))]);
    }
    let table = read(FieldSpec::ordinal("size", ["1"]), column(NullArray::new(2))).unwrap();
    assert_eq!(values(&table), [None, None]);
}

#[test]
fn numbers_flags_and_lists_come_in_several_types() {
    let half = Float16Array::from(vec![Some(half(1.5)), None]);
    for array in [column(half), column(StringViewArray::from(vec![Some("1.5"), None]))] {
        let table = read(FieldSpec::numeric("x"), array).unwrap();
        assert_eq!(values(&table), [Some(Value::Number(1.5)), None]);
    }
    let flags = read(FieldSpec::boolean("x"), column(BooleanArray::from(vec![Some(false), None]))).unwrap();
    assert_eq!(values(&flags), [Some(Value::Flag(false)), None]);

    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("b"), None, Some("a"), Some("b")]);
    lists.append_null();
    lists.append_value([None::<&str>; 0]);
    let lists = column(lists.finish());
    let large = arrow_cast::cast(&lists, &DataType::new_large_list(DataType::Utf8View, true)).unwrap();
    let views = DataType::ListView(Arc::new(arrow_schema::Field::new_list_field(DataType::Utf8, true)));
    for array in [arrow_cast::cast(&lists, &views).unwrap(), lists, large] {
        let table = read(FieldSpec::multi("tags", ["a", "b"]), array).unwrap();
        assert_eq!(values(&table), [Some(Value::Codes(&[0, 1])), None, Some(Value::Codes(&[]))]);
    }
}

fn half(x: f32) -> <arrow_array::types::Float16Type as arrow_array::types::ArrowPrimitiveType>::Native {
    let float = arrow_array::Float32Array::from(vec![x]);
    let half = arrow_cast::cast(&float, &DataType::Float16).unwrap();
    arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Float16Type>(&half).value(0)
}

fn two(ids: [i64; 2]) -> RecordBatch {
    batch(vec![
        ("junk", column(Date32Array::from(vec![1, 2]))),
        ("x", column(Float64Array::from(vec![1.0, 2.0]))),
        ("id", column(Int64Array::from(ids.to_vec()))),
    ])
}

fn schema() -> ProfileSchema {
    ProfileSchema::builder("test").with_field(FieldSpec::numeric("x").with_max(5.0)).build().unwrap()
}

#[test]
fn rows_are_counted_through_all_batches() {
    let all = |batches: Vec<RecordBatch>, options: &ReadOptions| {
        Loaded::from_record_batches(batches.into_iter().map(Ok), &schema(), options)
            .map(|loaded| loaded.profiles)
    };
    let message = |batches| all(batches, &ReadOptions::new()).unwrap_err().to_string();
    assert_eq!(
        message(vec![two([1, 2]), two([3, 1])]),
        r#"row 4, column "id": the id "1" is already in row 1; ids must be unique"#
    );
    let bad = batch(vec![
        ("id", column(StringArray::from(vec!["7"]))),
        ("x", column(StringArray::from(vec!["6"]))),
    ]);
    assert_eq!(
        message(vec![two([1, 2]), bad.clone()]),
        r#"row 3, column "x": expected a finite number of at most 5, found 6"#
    );
    let numbered = all(vec![two([1, 1]), two([1, 1])], &ReadOptions::new().with_numbered_ids()).unwrap();
    assert_eq!(numbered.ids(), &UserIds::Int(vec![1, 2, 3, 4]));
    assert!(all(vec![], &ReadOptions::new()).unwrap().is_empty());
}

#[test]
fn what_does_not_fit_is_refused_without_a_file() {
    let message = |batch, options: &ReadOptions| {
        Loaded::from_record_batch(&batch, &schema(), options).unwrap_err().to_string()
    };
    let one = |name, array| batch(vec![("id", column(Int64Array::from(vec![1]))), (name, array)]);
    assert_eq!(
        message(one("y", column(NullArray::new(1))), &ReadOptions::new()),
        r#"no column "x", which is wanted as a profile field; the columns are "id", "y""#
    );
    assert_eq!(
        message(one("x", column(Date32Array::from(vec![1]))), &ReadOptions::new()),
        r#"column "x" has type Date32, expected numbers, or texts that hold numbers: write a date as text, or better the time since it as a number, such as an age in years"#
    );
    let twice = batch(vec![
        ("id", column(NullArray::new(1))),
        ("x", column(NullArray::new(1))),
        ("x", column(NullArray::new(1))),
    ]);
    assert_eq!(message(twice, &ReadOptions::new()), r#"column "x" occurs twice, as columns 2 and 3"#);
    assert_eq!(
        message(one("x", column(NullArray::new(1))), &ReadOptions::new().with_flag("active")),
        r#"no column "active", which is wanted as a flag; the columns are "id", "x""#
    );

    let failing = [Ok(two([1, 2])), Err(ArrowError::ComputeError("the query was cancelled".to_owned()))];
    let error = Loaded::from_record_batches(failing, &schema(), &ReadOptions::new()).unwrap_err();
    assert!(matches!(error, Error::Arrow { place: None, .. }));
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("cancelled") && !error.to_string().contains("cancelled"), "{error}");
}

#[test]
fn attributes_are_read_alone_and_written_behind_the_profile() {
    let options = ReadOptions::new().with_flag("active").with_text("tier").with_missing(["NULL"]);
    let tiers: DictionaryArray<Int8Type> = vec!["gold", "NULL"].into_iter().collect();
    let table = batch(vec![
        ("tier", column(tiers)),
        ("active", column(Int64Array::from(vec![Some(1), None]))),
        ("x", column(Float64Array::from(vec![1.0, 2.0]))),
        ("id", column(Int64Array::from(vec![7, 8]))),
    ]);
    let attributes = Attributes::from_record_batch(&table, &options).unwrap();
    assert_eq!(attributes.flag("active").unwrap(), [Some(true), None]);
    assert_eq!(attributes.text("tier").unwrap(), [Some("gold".to_owned()), None]);

    let loaded = Loaded::from_record_batch(&table, &schema(), &options).unwrap();
    assert_eq!(loaded.attributes, attributes);
    assert_eq!(names(&loaded.to_record_batch().unwrap()), ["id", "x", "active", "tier"]);
    assert_eq!(names(&attributes.to_record_batch().unwrap()), ["active", "tier"]);
    assert_eq!(Attributes::new().to_record_batch().unwrap().num_columns(), 0);

    let error = Attributes::from_record_batch(&table, &ReadOptions::new().with_number("tier")).unwrap_err();
    assert_eq!(error.to_string(), r#"row 1, column "tier": expected a finite number, found "gold""#);
    let mut clash = loaded.clone();
    clash.attributes.insert_number("x", vec![None, None]).unwrap();
    assert_eq!(
        clash.to_record_batch().unwrap_err().to_string(),
        r#"column "x" occurs twice, as columns 2 and 5"#
    );
}
