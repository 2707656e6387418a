//! Tables as other people's programs write them.
#![cfg(feature = "parquet")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{BrotliLevel, Compression};
use parquet::file::metadata::{
    KeyValue, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaDataBuilder,
};
use parquet::file::properties::WriterProperties;
use scaletot_profile::{
    Error, FieldSpec, ParquetProfiles, ProfileSchema, ReadOptions, Result, Value, read_parquet,
};

struct Case {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Case {
    fn new(batch: &RecordBatch, hint: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.parquet");
        let hint = hint.map(|hint| vec![KeyValue::new("ARROW:schema".to_owned(), hint.to_owned())]);
        let properties = WriterProperties::builder().set_key_value_metadata(hint).build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let file = File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new_with_options(file, batch.schema(), options).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        Self { _dir: dir, path }
    }

    /// The same pages under a directory that is made of theirs.
    fn with_groups(self, change: impl Fn(RowGroupMetaDataBuilder) -> RowGroupMetaDataBuilder) -> Self {
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&File::open(&self.path).unwrap());
        let metadata = metadata.unwrap();
        let groups = metadata.row_groups().iter().cloned();
        let groups = groups.map(|group| change(group.into_builder()).build().unwrap()).collect();
        let mut bytes = fs::read(&self.path).unwrap();
        let tail = bytes.len() - 8;
        let directory = u32::from_le_bytes(bytes[tail..tail + 4].try_into().unwrap()) as usize;
        bytes.truncate(tail - directory);
        let metadata = ParquetMetaData::new(metadata.file_metadata().clone(), groups);
        ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().unwrap();
        fs::write(&self.path, bytes).unwrap();
        self
    }

    fn read(&self, schema: &ProfileSchema) -> Result<scaletot_profile::ProfileTable> {
        read_parquet(&self.path, schema, &ReadOptions::new()).map(|loaded| loaded.profiles)
    }
}

fn schema() -> ProfileSchema {
    ProfileSchema::builder("test").with_field(FieldSpec::numeric("x")).build().unwrap()
}

fn ids(rows: i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(0..rows))
}

fn numbers(rows: i64) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64)))
}

/// A writer may put an Arrow schema beside that of Parquet, with types that nobody else has, such as integers of 128 bits.
#[test]
fn an_arrow_schema_beside_the_files_own_is_a_hint_and_may_be_unreadable() {
    let batch = RecordBatch::try_from_iter([("id", ids(3)), ("x", numbers(3))]).unwrap();
    for hint in ["", "no Arrow schema", "/////wAAAAA="] {
        assert_eq!(Case::new(&batch, Some(hint)).read(&schema()).unwrap().len(), 3);
    }
}

#[test]
fn a_column_that_nobody_asked_for_may_have_any_type_and_occur_twice() {
    let wide: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter((0..3).map(|_| [7u8; 16])).unwrap());
    let field = |name: &str, array: &ArrayRef| Field::new(name, array.data_type().clone(), true);
    let columns = vec![ids(3), Arc::clone(&wide), numbers(3), numbers(3), wide];
    let names = ["id", "more", "x", "twice", "twice"];
    let fields: Vec<Field> = names.iter().zip(&columns).map(|(name, array)| field(name, array)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let file = Case::new(&batch, None);
    let table = file.read(&schema()).unwrap();
    assert_eq!(table.value(2, 0), Some(Value::Number(2.0)));

    let twice = ProfileSchema::builder("test").with_field(FieldSpec::numeric("twice")).build().unwrap();
    let error = file.read(&twice).unwrap_err();
    assert!(matches!(&error, Error::DuplicateColumn { first: 4, second: 5, .. }), "{error}");
    let more = ProfileSchema::builder("test").with_field(FieldSpec::numeric("more")).build().unwrap();
    let error = file.read(&more).unwrap_err();
    let Error::ColumnType { column, found, .. } = &error else { panic!("{error}") };
    assert_eq!((column.as_str(), found), ("more", &DataType::FixedSizeBinary(16).to_string()));
}

#[test]
fn a_compression_that_is_not_read_is_named_when_the_file_is_opened_and_is_no_damage() {
    let brotli = Compression::BROTLI(BrotliLevel::default());
    for (compression, name) in [(brotli, "brotli"), (Compression::LZO, "lzo")] {
        let columns = [("id", ids(3)), ("x", numbers(3)), ("y", numbers(3))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let compressed = |column: usize| {
            Case::new(&batch, None).with_groups(|mut group| {
                let mut columns = group.take_columns();
                let chunk = columns[column].clone().into_builder().set_compression(compression);
                columns[column] = chunk.build().unwrap();
                group.set_column_metadata(columns)
            })
        };
        let error = ParquetProfiles::open(&compressed(1).path, &schema(), &ReadOptions::new()).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(&format!(r#"found column "x" compressed with {name}"#)), "{message}");
        assert!(message.contains("users.parquet") && message.contains("write the file anew"), "{message}");
        // In a column that nobody asked for it plays no part.
        assert_eq!(compressed(2).read(&schema()).unwrap().len(), 3);
    }
}
