//! Tables as other people's programs write them.
#![cfg(feature = "parquet")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int64Array,
    ListArray, RecordBatch, StructArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{BrotliLevel, Compression};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType};
use parquet::file::metadata::{
    KeyValue, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaDataBuilder,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use scaletot_profile::{
    Error, FieldSpec, ParquetPreview, ParquetProfiles, ProfileSchema, ReadOptions, Result, UserId, UserIds,
    Value, read_parquet,
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

/// A file of one row group whose columns are written as they are, with the logical type UUID for `id`.
fn with_uuids(ids: &[[u8; 16]]) -> Case {
    let schema = "message users {
        optional fixed_len_byte_array(16) id (UUID);
        required double x;
    }";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.parquet");
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let bytes: Vec<FixedLenByteArray> = ids.iter().map(|id| id.to_vec().into()).collect();
    let levels = vec![1; ids.len()];
    column.typed::<FixedLenByteArrayType>().write_batch(&bytes, Some(&levels), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<DoubleType>().write_batch(&vec![1.0; ids.len()], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    Case { _dir: dir, path }
}

#[test]
fn uuids_are_read_as_their_text() {
    let file = with_uuids(&[*b"0123456789abcdef", [0xff; 16]]);
    let opened = ParquetProfiles::open(&file.path, &schema(), &ReadOptions::new()).unwrap();
    assert!(opened.text_ids());
    let table = file.read(&schema()).unwrap();
    assert_eq!(table.id(0), UserId::from("30313233-3435-3637-3839-616263646566"));
    assert_eq!(table.id(1), UserId::from("ffffffff-ffff-ffff-ffff-ffffffffffff"));
    let preview = ParquetPreview::open(&file.path, &ReadOptions::new()).unwrap();
    let batch = preview.batches().next().unwrap().unwrap();
    assert_eq!(batch.column(0).as_string::<i64>().value(1), "ffffffff-ffff-ffff-ffff-ffffffffffff");
}

#[test]
fn decimals_are_numbers_and_without_a_fraction_integers_of_any_width() {
    let wide = |values: Vec<i128>, scale| -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, scale).unwrap())
    };
    let batch = |ids: Vec<i128>| {
        RecordBatch::try_from_iter([("id", wide(ids, 0)), ("x", wide(vec![150, -225], 2))]).unwrap()
    };
    let large = i128::from(i64::MAX);
    let table = Case::new(&batch(vec![7, large]), None).read(&schema()).unwrap();
    assert_eq!(table.ids(), &UserIds::Int(vec![7, i64::MAX]));
    assert_eq!([table.value(0, 0), table.value(1, 0)], [1.5, -2.25].map(|x| Some(Value::Number(x))));
    // A larger one is a cell's error, and no damage.
    let error = Case::new(&batch(vec![7, large + 1]), None).read(&schema()).unwrap_err();
    assert!(matches!(error, Error::Cell { .. }), "{error}");
    assert!(
        error.to_string().contains("row 2") && error.to_string().contains("9223372036854775808"),
        "{error}"
    );
}

#[test]
fn types_that_are_not_read_are_refused_by_name_and_with_the_remedy() {
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![1, 2, 3]));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]));
    let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"a", b"b", b"c"]));
    for (array, name, remedy) in [
        (dates, "Date32", "the time since it as a number"),
        (times, "Timestamp", "the time since it as a number"),
        (bytes, "Binary", "write bytes as text"),
    ] {
        let batch = RecordBatch::try_from_iter([("id", ids(3)), ("x", array)]).unwrap();
        let error = Case::new(&batch, None).read(&schema()).unwrap_err();
        assert!(matches!(error, Error::ColumnType { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(name) && message.contains(remedy), "{message}");
        assert!(message.contains(r#"column "x""#), "{message}");
    }
}

#[test]
fn a_column_that_a_partitioned_table_has_in_its_directories_is_told() {
    let batch = RecordBatch::try_from_iter([("id", ids(3))]).unwrap();
    let file = Case::new(&batch, None);
    let directory = file.path.with_file_name("x=7");
    fs::create_dir(&directory).unwrap();
    let path = directory.join("part-0.parquet");
    fs::rename(&file.path, &path).unwrap();
    let error = read_parquet(&path, &schema(), &ReadOptions::new()).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::MissingColumn { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(r#"in the directory's name, "7": write it into the file"#), "{message}");
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("users.parquet");
    fs::create_dir(&folder).unwrap();
    let link = dir.path().join("zero.parquet");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    for path in [folder, link] {
        let error = read_parquet(&path, &schema(), &ReadOptions::new()).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Io { action: "open", .. }), "{error}");
    }
}

#[test]
fn a_preview_has_all_columns_that_could_be_read_and_names_the_others() {
    let wide: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter((0..3).map(|_| [7u8; 16])).unwrap());
    let batch = RecordBatch::try_from_iter([("id", ids(3)), ("raw", wide), ("x", numbers(3))]).unwrap();
    let file = Case::new(&batch, Some("no Arrow schema"));
    let preview = ParquetPreview::open(&file.path, &ReadOptions::new()).unwrap();
    let columns: Vec<_> = preview.columns().map(|column| (column.name(), column.is_read())).collect();
    assert_eq!(columns, [("id", true), ("raw", false), ("x", true)]);
    let batches: Vec<RecordBatch> = preview.batches().collect::<Result<_>>().unwrap();
    assert_eq!((batches.len(), batches[0].num_rows(), batches[0].num_columns()), (1, 3, 2));
    let one = preview.with_columns(|name| name == "x").unwrap();
    assert_eq!((one.row_groups(), one.rows(), one.columns().len()), (1, 3, 3));
    assert_eq!(one.batches().next().unwrap().unwrap().num_columns(), 1);
    let none = one.with_columns(|_| false).unwrap();
    assert_eq!(none.batches().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 3);
    let tight = ParquetPreview::open(&file.path, &ReadOptions::new().with_max_decoded_bytes(10)).unwrap();
    let found: Vec<_> = tight.batches().collect();
    assert!(matches!(found.as_slice(), [Err(Error::TooLarge { .. })]));
}

/// pandas writes NaN for whatever is missing, and columns of whole numbers with a missing one as floats.
#[test]
fn a_float_that_is_no_number_is_missing() {
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::NAN, 2.0]));
    let columns = ["x", "city", "owner"].map(|name| (name, Arc::clone(&floats)));
    let batch = RecordBatch::try_from_iter([("id", ids(3))].into_iter().chain(columns)).unwrap();
    let schema = ProfileSchema::builder("test")
        .with_field(FieldSpec::numeric("x").with_min(0.0))
        .with_field(FieldSpec::categorical("city", ["1", "2"]))
        .build()
        .unwrap();
    let options = ReadOptions::new().with_text("city");
    let loaded = read_parquet(&Case::new(&batch, None).path, &schema, &options).unwrap();
    let of = |field: usize| [0, 1, 2].map(|row| loaded.profiles.value(row, field));
    assert_eq!(of(0), [Some(Value::Number(1.0)), None, Some(Value::Number(2.0))]);
    assert_eq!(of(1), [Some(Value::Code(0)), None, Some(Value::Code(1))]);
    let texts = loaded.attributes.text("city").unwrap();
    assert_eq!(texts, [Some("1".to_owned()), None, Some("2".to_owned())]);
}

#[test]
fn a_file_that_is_something_else_by_its_content_is_called_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.parquet");
    let read = || read_parquet(&path, &schema(), &ReadOptions::new()).map(|_| ()).unwrap_err();
    for (bytes, kind) in [
        (&b"id,x\n1,2\n"[..], "text, such as CSV"),
        (b"id\tx\n1\t2\n", "text, such as CSV"),
        (b"{\"id\": 1}\n", "text, such as CSV or JSON"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "a gzipped file"),
        (b"PK\x03\x04\x14\x00\x06\x00", "a workbook"),
        (b"ORC\x08\x03\x10\x01", "an ORC file"),
        (b"ARROW1\x00\x00\xff\xff", "an Arrow or Feather file"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = read();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(&format!("users.parquet: found {kind}")), "{error}");
        assert!(error.to_string().contains(".csv for a table in text"), "{error}");
    }
    // What begins or ends as a Parquet file is one that is damaged.
    for bytes in [&b"PAR1 and no more"[..], b"and no more PAR1", b"", b"PAR"] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(read(), Error::Damaged { .. }), "{bytes:?}: {}", read());
    }
}

#[test]
fn columns_beside_the_profile_may_be_nested_or_times_and_floats_are_no_ids() {
    let numbers_of = numbers(3);
    let lists = [Some(vec![Some(1.0)]), None, Some(vec![Some(2.0), None])];
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(lists));
    let parts =
        |array: &ArrayRef| (Arc::new(Field::new("part", array.data_type().clone(), true)), Arc::clone(array));
    let nested: ArrayRef = Arc::new(StructArray::from(vec![parts(&list), parts(&numbers_of)]));
    let zoned: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]).with_timezone("Europe/Berlin"));
    let columns = [("nested", nested), ("x", numbers(3)), ("seen", zoned), ("id", ids(3)), ("f", numbers_of)];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = Case::new(&batch, None);
    let table = file.read(&schema()).unwrap();
    assert_eq!((table.ids(), table.value(2, 0)), (&UserIds::Int(vec![0, 1, 2]), Some(Value::Number(2.0))));
    let wanted = |column: &str| {
        let schema = ProfileSchema::builder("test").with_field(FieldSpec::numeric(column)).build().unwrap();
        file.read(&schema).unwrap_err().to_string()
    };
    assert!(wanted("nested").contains("write its parts as columns of their own"), "{}", wanted("nested"));
    assert!(wanted("seen").contains("the time since it as a number"), "{}", wanted("seen"));
    let floats = ProfileSchema::builder("test").with_id_column("f").with_field(FieldSpec::numeric("x"));
    let message = file.read(&floats.build().unwrap()).unwrap_err().to_string();
    assert!(message.contains("write ids as integers or texts; pandas makes floats"), "{message}");
}

#[test]
fn a_file_of_no_row_or_no_row_group_is_a_table_of_nobody() {
    let batch = RecordBatch::try_from_iter([("id", ids(0)), ("x", numbers(0))]).unwrap();
    assert!(Case::new(&batch, None).read(&schema()).unwrap().is_empty());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.parquet");
    ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap().close().unwrap();
    let file = ParquetProfiles::open(&path, &schema(), &ReadOptions::new()).unwrap();
    assert_eq!((file.row_groups(), file.rows()), (0, 0));
    assert!(read_parquet(&path, &schema(), &ReadOptions::new()).unwrap().profiles.is_empty());
}

/// As old programs of Hadoop's family leave it where a table was loaded from a file in Latin-1.
#[test]
fn texts_that_are_not_in_utf_8_are_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.parquet");
    let columns = Arc::new(parse_message_type("message users { required binary town (UTF8); }").unwrap());
    let mut writer =
        SerializedFileWriter::new(File::create(&path).unwrap(), columns, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let names = [b"Ulm".to_vec(), b"M\xfcnchen".to_vec()].map(ByteArray::from);
    column.typed::<ByteArrayType>().write_batch(&names, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    let schema = ProfileSchema::builder("test").with_field(FieldSpec::categorical("town", ["Ulm"])).build();
    let options = ReadOptions::new().with_numbered_ids();
    let message = read_parquet(&path, &schema.unwrap(), &options).unwrap_err().to_string();
    assert!(message.contains("users.parquet") && message.contains("write them in UTF-8"), "{message}");
}
