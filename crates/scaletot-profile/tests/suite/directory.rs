//! Parquet files whose directory or page headers say what is not so.
#![cfg(feature = "parquet")]

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter};
use parquet::file::properties::WriterProperties;
use scaletot_profile::{Error, FieldSpec, ParquetProfiles, ProfileSchema, ReadOptions, Result, read_parquet};

fn schema() -> ProfileSchema {
    ProfileSchema::builder("test").with_field(FieldSpec::numeric("x")).build().unwrap()
}

fn open(path: &Path) -> Result<ParquetProfiles> {
    ParquetProfiles::open(path, &schema(), &ReadOptions::new())
}

/// Writes thirty rows in three groups of ten, of which the directory says that they have other numbers of rows.
fn write(path: &Path, says: [i64; 3]) {
    let columns: [(&str, ArrayRef); 2] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..30))),
        ("x", Arc::new(Float64Array::from_iter_values((0..30).map(f64::from)))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(10)).build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let metadata = ParquetMetaDataReader::new().parse_and_finish(&File::open(path).unwrap()).unwrap();
    let groups = metadata.row_groups().iter().zip(says);
    let groups = groups.map(|(group, rows)| group.clone().into_builder().set_num_rows(rows).build().unwrap());
    let metadata = ParquetMetaData::new(metadata.file_metadata().clone(), groups.collect());
    let mut bytes = fs::read(path).unwrap();
    bytes.truncate(directory(&bytes));
    ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().unwrap();
    fs::write(path, bytes).unwrap();
}

/// Where the directory begins.
fn directory(file: &[u8]) -> usize {
    let tail = file.len() - 8;
    tail - u32::from_le_bytes(file[tail..tail + 4].try_into().unwrap()) as usize
}

#[test]
fn rows_that_cannot_be_counted_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.parquet");
    write(&path, [10; 3]);
    assert_eq!(open(&path).unwrap().rows(), 30);
    write(&path, [10, -1, 10]);
    for error in [open(&path).unwrap_err(), read_parquet(&path, &schema(), &ReadOptions::new()).unwrap_err()]
    {
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("row group 1 has -1 rows"), "{error}");
    }
}

#[test]
fn groups_with_fewer_or_more_rows_than_the_directory_says_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.parquet");
    write(&path, [9, 10, 11]);
    let file = open(&path).unwrap();
    let read = |group| file.row_group(group).unwrap().collect::<Result<Vec<_>>>();
    assert_eq!(read(1).unwrap()[0].profiles.len(), 10);
    let error = read(0).unwrap_err().to_string();
    assert!(error.contains("expected 9 rows up to here, found more"), "{error}");
    let error = read(2).unwrap_err().to_string();
    assert!(error.contains("expected 30 rows up to here, found 29"), "{error}");
}

#[test]
fn more_row_groups_than_memory_holds_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.parquet");
    write(&path, [10; 3]);
    let mut bytes = fs::read(&path).unwrap();
    let start = directory(&bytes);
    // The list of three row groups follows the number of all rows, which is 30.
    let at = start + bytes[start..].windows(4).position(|part| part == [0x16, 60, 0x19, 0x3c]).unwrap();
    bytes.splice(at + 3..at + 4, [0xfc, 0xff, 0xff, 0xff, 0xff, 7]);
    let length = (bytes.len() - 8 - start) as u32;
    let tail = bytes.len() - 8;
    bytes[tail..tail + 4].copy_from_slice(&length.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("a list of 2147483647 elements"), "{error}");
}

/// Such a list took the decoder half an hour.
#[test]
fn page_headers_with_lists_that_go_on_behind_the_end_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.parquet");
    write(&path, [10; 3]);
    let mut bytes = fs::read(&path).unwrap();
    // The first page's header follows the magic number: a field that nobody knows, which is a list of 2³¹ - 1 floats.
    bytes[4..11].copy_from_slice(&[0xf9, 0xf7, 0xff, 0xff, 0xff, 0xff, 7]);
    fs::write(&path, bytes).unwrap();
    let file = open(&path).unwrap();
    let error = file.row_group(0).unwrap().collect::<Result<Vec<_>>>().unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(file.row_group(1).unwrap().all(|batch| batch.is_ok()));
}
