//! Parquet files as other systems write them.
#![cfg(feature = "parquet")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Int32Builder, LargeListBuilder, StringBuilder};
use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, LargeStringArray, NullArray, RecordBatch, StringArray, StringViewArray, UInt8Array,
    UInt64Array,
};
use parquet::arrow::ArrowWriter;
use scaletot_profile::{
    Error, FieldSpec, ProfileSchema, ReadOptions, Result, SchemaBuilder, UserIds, Value, read_parquet,
};

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn column<A: arrow_array::Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}

struct Case {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn file(columns: Vec<(&str, ArrayRef)>) -> Case {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("people.parquet");
    write(&path, columns);
    Case { _dir: dir, path }
}

fn builder() -> SchemaBuilder {
    ProfileSchema::builder("test")
}

/// The codes of the only field.
fn codes(array: ArrayRef) -> Vec<Option<u32>> {
    let n = array.len() as i64;
    let case = file(vec![("id", column(Int64Array::from_iter_values(0..n))), ("size", array)]);
    let schema =
        builder().with_field(FieldSpec::ordinal("size", ["1", "2"]).with_missing(["NA"])).build().unwrap();
    let table = read_parquet(&case.path, &schema, &ReadOptions::new()).unwrap().profiles;
    let code =
        |row| table.value(row, 0).map(|value| if let Value::Code(code) = value { code } else { u32::MAX });
    (0..table.len()).map(code).collect()
}

#[test]
fn categories_of_every_type() {
    let texts = vec![Some("2"), None, Some("NA"), Some("1")];
    let expected = [Some(1), None, None, Some(0)];
    assert_eq!(codes(column(StringArray::from(texts.clone()))), expected);
    assert_eq!(codes(column(LargeStringArray::from(texts.clone()))), expected);
    assert_eq!(codes(column(StringViewArray::from(texts.clone()))), expected);
    assert_eq!(codes(column(texts.into_iter().collect::<DictionaryArray<Int8Type>>())), expected);
    assert_eq!(codes(column(Int32Array::from(vec![Some(2), None]))), [Some(1), None]);
    assert_eq!(codes(column(UInt8Array::from(vec![1]))), [Some(0)]);
    assert_eq!(codes(column(UInt64Array::from(vec![1]))), [Some(0)]);
    // What a data frame makes of integers when some are missing.
    assert_eq!(codes(column(Float64Array::from(vec![Some(2.0), None]))), [Some(1), None]);
    assert_eq!(codes(column(NullArray::new(2))), [None, None]);
}

fn one_field(spec: FieldSpec, array: ArrayRef) -> Result<scaletot_profile::ProfileTable> {
    let n = array.len() as i64;
    let name = ProfileSchema::builder("x").with_field(spec.clone()).build()?.fields()[0].name().to_owned();
    let case = file(vec![("id", column(Int64Array::from_iter_values(0..n))), (name.as_str(), array)]);
    read_parquet(&case.path, &builder().with_field(spec).build()?, &ReadOptions::new())
        .map(|loaded| loaded.profiles)
}

#[test]
fn numbers_and_flags_of_every_type() {
    for array in [
        column(Int16Array::from(vec![5])),
        column(UInt64Array::from(vec![5])),
        column(Float32Array::from(vec![5.0])),
        column(StringArray::from(vec![" 5 "])),
        column(arrow_array::Decimal128Array::from(vec![500]).with_precision_and_scale(10, 2).unwrap()),
    ] {
        let table = one_field(FieldSpec::numeric("x"), array).unwrap();
        assert_eq!(table.value(0, 0), Some(Value::Number(5.0)));
    }
    for array in [
        column(BooleanArray::from(vec![true])),
        column(Int16Array::from(vec![1])),
        column(Float64Array::from(vec![1.0])),
        column(StringArray::from(vec!["Yes"])),
    ] {
        let table = one_field(FieldSpec::boolean("x"), array).unwrap();
        assert_eq!(table.value(0, 0), Some(Value::Flag(true)));
    }
}

#[test]
fn lists_of_every_type() {
    let mut large = LargeListBuilder::new(StringBuilder::new());
    large.append_value([Some("3"), Some("1"), None]);
    large.append_null();
    large.append_value([None::<&str>; 0]);
    let mut fixed = FixedSizeListBuilder::new(Int32Builder::new(), 2);
    fixed.values().append_slice(&[3, 1]);
    fixed.append(true);
    let spec = || FieldSpec::multi("tags", ["1", "2", "3"]);
    let table = one_field(spec(), column(large.finish())).unwrap();
    let values: Vec<_> = (0..3).map(|row| table.value(row, 0)).collect();
    assert_eq!(values, [Some(Value::Codes(&[0, 2])), None, Some(Value::Codes(&[]))]);
    assert_eq!(one_field(spec(), column(fixed.finish())).unwrap().value(0, 0), Some(Value::Codes(&[0, 2])));
    let text = one_field(spec(), column(StringArray::from(vec!["3|2"]))).unwrap();
    assert_eq!(text.value(0, 0), Some(Value::Codes(&[1, 2])));
}

#[test]
fn ids_keep_their_type() {
    let schema = builder().with_field(FieldSpec::numeric("x")).build().unwrap();
    let ids = |array: ArrayRef| {
        let x = column(NullArray::new(array.len()));
        let case = file(vec![("x", x), ("id", array)]);
        read_parquet(&case.path, &schema, &ReadOptions::new()).map(|loaded| loaded.profiles.ids().clone())
    };
    assert_eq!(ids(column(Int32Array::from(vec![7, -8]))).unwrap(), UserIds::Int(vec![7, -8]));
    assert_eq!(
        ids(column(StringArray::from(vec!["7", "8"]))).unwrap(),
        UserIds::Text(vec!["7".into(), "8".into()])
    );
    assert_eq!(ids(column(StringViewArray::from(vec!["007"]))).unwrap(), UserIds::Text(vec!["007".into()]));
    let message = |array| ids(array).unwrap_err().to_string();
    assert!(
        message(column(UInt64Array::from(vec![1, u64::MAX])))
            .contains(r#"row 2, column "id": expected a user id"#)
    );
    assert!(
        message(column(Int64Array::from(vec![Some(1), None])))
            .contains(r#"row 2, column "id": expected a user id, found an empty cell"#)
    );
    assert!(
        message(column(Int64Array::from(vec![1, 2, 2])))
            .contains(r#"row 3, column "id": the id "2" is already in row 2"#)
    );
    assert!(
        message(column(Float64Array::from(vec![1.0])))
            .contains(r#"column "id" has type Float64, expected integers, texts or UUIDs"#)
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let message = |spec, array| one_field(spec, array).unwrap_err().to_string();
    assert!(message(FieldSpec::numeric("x"), column(Date32Array::from(vec![1]))).contains(
        r#"people.parquet: column "x" has type Date32, expected numbers, or texts that hold numbers: write"#
    ));
    assert!(
        message(FieldSpec::numeric("x"), column(BooleanArray::from(vec![true]))).contains("has type Boolean")
    );
    assert!(
        message(FieldSpec::numeric("x").with_max(3.0), column(Int32Array::from(vec![3, 4]))).ends_with(
            r#"people.parquet, row 2, column "x": expected a finite number of at most 3, found 4"#
        )
    );
    assert!(
        message(FieldSpec::numeric("x"), column(Float64Array::from(vec![f64::INFINITY])))
            .ends_with("expected a finite number, found inf")
    );
    assert!(
        message(FieldSpec::categorical("x", ["a"]), column(StringArray::from(vec!["a", "b"])))
            .ends_with(r#"people.parquet, row 2, column "x": expected one of "a", found "b"; unknown = "bucket" in the profile schema takes it"#)
    );
    let missing = file(vec![("id", column(Int32Array::from(vec![1])))]);
    let schema = builder().with_field(FieldSpec::numeric("x")).build().unwrap();
    let error = read_parquet(&missing.path, &schema, &ReadOptions::new()).unwrap_err().to_string();
    assert!(
        error.ends_with(r#"no column "x", which is wanted as a profile field; the columns are "id""#),
        "{error}"
    );
}

#[test]
fn attributes_of_several_types() {
    let case = file(vec![
        ("id", column(Int32Array::from(vec![1, 2]))),
        ("x", column(NullArray::new(2))),
        ("spend", column(Int32Array::from(vec![Some(3), None]))),
        ("tier", column(vec!["gold", "NULL"].into_iter().collect::<DictionaryArray<Int8Type>>())),
        ("active", column(BooleanArray::from(vec![None, Some(false)]))),
    ]);
    let schema = builder().with_field(FieldSpec::numeric("x")).build().unwrap();
    let options =
        ReadOptions::new().with_flag("active").with_number("spend").with_text("tier").with_missing(["NULL"]);
    let attributes = read_parquet(&case.path, &schema, &options).unwrap().attributes;
    assert_eq!(attributes.names().collect::<Vec<_>>(), ["active", "spend", "tier"]);
    assert_eq!(attributes.number("spend").unwrap(), [Some(3.0), None]);
    assert_eq!(attributes.text("tier").unwrap(), [Some("gold".to_owned()), None]);
    assert_eq!(attributes.flag("active").unwrap(), [None, Some(false)]);
}

/// The footer comes last, so that no cut goes unseen; damage within is found on reading.
#[test]
fn cut_and_damaged_files_are_refused() {
    let ids: Vec<i64> = (0..5000).map(|i| i * 7919 % 100_003).collect();
    let case = file(vec![
        ("id", column(Int64Array::from(ids))),
        ("x", column(Float64Array::from_iter_values((0..5000).map(f64::from)))),
    ]);
    let schema = builder().with_field(FieldSpec::numeric("x")).build().unwrap();
    let whole = std::fs::read(&case.path).unwrap();
    for keep in [0, 3, 4, 100, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        std::fs::write(&case.path, &whole[..keep]).unwrap();
        let error = read_parquet(&case.path, &schema, &ReadOptions::new()).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "kept {keep}: {error}");
        assert!(error.to_string().contains("people.parquet"), "{error}");
    }
    let mut hole = whole.clone();
    hole[4..2000].fill(0xff);
    std::fs::write(&case.path, &hole).unwrap();
    let error = read_parquet(&case.path, &schema, &ReadOptions::new()).unwrap_err().to_string();
    assert!(error.contains("people.parquet, row 1: the file is cut off or damaged"), "{error}");
}
