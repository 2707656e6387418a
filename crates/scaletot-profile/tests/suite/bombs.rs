//! Parquet files of a few kilobytes that claim, or honestly unpack to, more than there is memory for.
#![cfg(feature = "parquet")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use proptest::prelude::*;
use scaletot_profile::{
    Error, FieldSpec, ParquetProfiles, ProfileSchema, ReadOptions, Result, UnknownPolicy, UserIds,
    read_parquet,
};

const MIB: u64 = 1 << 20;

struct Case {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Case {
    fn new(properties: WriterPropertiesBuilder, columns: Vec<(&str, ArrayRef)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.parquet");
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build())).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        Self { _dir: dir, path }
    }

    /// The same file with other bytes in the place of those that occur once.
    fn with(self, old: &[u8], new: &[u8]) -> Self {
        let mut bytes = fs::read(&self.path).unwrap();
        let mut places = bytes.windows(old.len()).enumerate().filter(|(_, part)| *part == old);
        let (at, _) = places.next().unwrap();
        assert!(places.next().is_none(), "{old:?} occurs twice");
        bytes.splice(at..at + old.len(), new.iter().copied());
        fs::write(&self.path, bytes).unwrap();
        self
    }

    /// All batches of the only row group.
    fn scan(&self, schema: &ProfileSchema, options: &ReadOptions) -> Result<Vec<scaletot_profile::Loaded>> {
        ParquetProfiles::open(&self.path, schema, options)?.row_group(0)?.collect()
    }
}

fn plain() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_dictionary_enabled(false).set_compression(Compression::UNCOMPRESSED)
}

fn ids(rows: usize) -> (&'static str, ArrayRef) {
    ("id", Arc::new(Int64Array::from_iter_values(0..rows as i64)))
}

fn texts(rows: usize, text: impl Fn(usize) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..rows).map(text)))
}

fn numeric() -> ProfileSchema {
    ProfileSchema::builder("test").with_field(FieldSpec::numeric("x")).build().unwrap()
}

fn with_texts() -> ProfileSchema {
    let town = FieldSpec::categorical("town", ["Ulm"]).with_unknown(UnknownPolicy::Bucket);
    ProfileSchema::builder("test").with_field(town).build().unwrap()
}

fn options(most: u64) -> ReadOptions {
    ReadOptions::new().with_max_decoded_bytes(most)
}

/// 200 in two bytes, and the greatest number of two bytes, as headers of the encoding have them behind the sizes of blocks.
fn claims(block: u8) -> [[u8; 5]; 2] {
    [[0x80, block, 4, 0xc8, 1], [0x80, block, 4, 0xff, 0x7f]]
}

#[test]
fn numbers_that_claim_to_be_more_than_the_page_has_values_are_refused() {
    let file = Case::new(
        plain().set_column_encoding("id".into(), Encoding::DELTA_BINARY_PACKED),
        vec![ids(200), ("x", Arc::new(Float64Array::from(vec![1.0; 200])))],
    );
    assert_eq!(read_parquet(&file.path, &numeric(), &ReadOptions::new()).unwrap().profiles.len(), 200);
    let [old, new] = claims(2);
    let file = file.with(&old, &new);
    let error = read_parquet(&file.path, &numeric(), &ReadOptions::new())
        .map(|loaded| loaded.profiles.len())
        .unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(r#"column "id": a page of 200 values claims 16383 numbers"#), "{message}");
    assert!(message.contains("users.parquet"), "{message}");
}

#[test]
fn texts_that_claim_to_be_more_than_the_page_has_values_are_refused() {
    let town = texts(200, |row| format!("town {row}"));
    let file = Case::new(
        plain().set_column_encoding("town".into(), Encoding::DELTA_LENGTH_BYTE_ARRAY),
        vec![ids(200), ("town", town)],
    );
    assert_eq!(read_parquet(&file.path, &with_texts(), &ReadOptions::new()).unwrap().profiles.len(), 200);
    let [old, new] = claims(1);
    let file = file.with(&old, &new);
    let message = read_parquet(&file.path, &with_texts(), &ReadOptions::new())
        .map(|loaded| loaded.profiles.len())
        .unwrap_err()
        .to_string();
    assert!(message.contains(r#"column "town": a page of 200 values claims 16383 numbers"#), "{message}");
}

/// Each text is the beginning of the one before and a byte more: 4,000 texts of 2 KB on average in a page of 4 KB.
#[test]
fn texts_that_share_their_beginnings_are_counted_whole() {
    let long = "x".repeat(4000);
    let town = texts(4000, |row| long[..row].to_owned());
    let file = Case::new(
        plain().set_column_encoding("town".into(), Encoding::DELTA_BYTE_ARRAY),
        vec![ids(4000), ("town", town)],
    );
    let options = |most| options(most).with_text("town").with_numbered_ids();
    let schema = ProfileSchema::builder("test").with_field(FieldSpec::numeric("id")).with_id_column("no");
    let schema = schema.build().unwrap();
    let read = file.scan(&schema, &options(16 * MIB)).unwrap();
    assert_eq!(read.iter().map(|batch| batch.profiles.len()).sum::<usize>(), 4000);
    assert!(read.len() > 4, "in smaller batches than all rows: {}", read.len());
    // A page that writes out to more than is allowed at once is refused, though a batch of it would be less.
    let error = file.scan(&schema, &options(4 * MIB)).map(|batches| batches.len()).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[test]
fn rows_of_long_cells_come_in_smaller_batches_and_all_of_them_come() {
    let rows = 300;
    for (dictionary, encoding) in [(true, None), (false, None), (false, Some(Encoding::DELTA_BYTE_ARRAY))] {
        let properties = plain().set_dictionary_enabled(dictionary).set_data_page_row_count_limit(7);
        let properties = match encoding {
            Some(encoding) => properties.set_column_encoding("note".into(), encoding),
            None => properties,
        };
        let note = texts(rows, |row| format!("{}{}", "x".repeat(20_000), row % 3));
        let x = Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64)));
        let file =
            Case::new(properties.set_write_batch_size(7), vec![ids(rows), ("x", x), ("note", note.clone())]);
        let read = file.scan(&numeric(), &options(MIB).with_text("note")).unwrap();
        assert!(read.len() > 10);
        let (mut found, mut notes) = (vec![], vec![]);
        for batch in read {
            let UserIds::Int(ids) = batch.profiles.ids() else { panic!("ids are integers") };
            found.extend_from_slice(ids);
            notes.extend(batch.attributes.text("note").unwrap().iter().flatten().cloned());
        }
        assert_eq!(found, (0..rows as i64).collect::<Vec<_>>());
        assert!(notes.iter().enumerate().all(|(row, note)| note.ends_with(&(row % 3).to_string())));
    }
}

#[test]
fn a_cell_beyond_the_limit_is_refused_before_it_is_decoded() {
    let town = texts(2, |_| "x".repeat(1 << 20));
    for properties in [
        plain().set_compression(Compression::ZSTD(ZstdLevel::default())),
        plain().set_compression(Compression::SNAPPY),
        plain().set_compression(Compression::LZ4_RAW),
        plain().set_compression(Compression::GZIP(GzipLevel::default())).set_dictionary_enabled(true),
        plain().set_writer_version(WriterVersion::PARQUET_2_0),
    ] {
        let file = Case::new(properties, vec![ids(2), ("town", Arc::clone(&town))]);
        let error = file.scan(&with_texts(), &options(MIB)).map(|batches| batches.len()).unwrap_err();
        let Error::TooLarge { column, needed, limit, .. } = &error else { panic!("{error}") };
        assert_eq!((column.as_str(), *limit), ("town", MIB));
        assert!(*needed > MIB);
        let message = error.to_string();
        assert!(message.contains("users.parquet, row 1") && message.contains("at most 1 MiB"), "{message}");
        assert_eq!(file.scan(&with_texts(), &ReadOptions::new()).unwrap()[0].profiles.len(), 2);
    }
}

/// The codec of gzip unpacks to the end, whatever size the page states.
#[test]
fn a_page_that_unpacks_to_more_than_it_states_is_refused() {
    let town = texts(1, |_| "x".repeat(3 << 20));
    let file = Case::new(
        plain().set_compression(Compression::GZIP(GzipLevel::default())),
        vec![ids(1), ("town", town)],
    );
    // Four bytes of length before the text; the size is written with its sign in the last bit, seven bits a byte.
    let size = 2 * ((3 << 20) + 4u32);
    let stated: Vec<u8> =
        (0..4).map(|at| (size >> (7 * at)) as u8 & 0x7f | if at < 3 { 0x80 } else { 0 }).collect();
    let old = [&[0x15, 0, 0x15], stated.as_slice()].concat();
    let file = file.with(&old, &[0x15, 0, 0x15, 0xc8, 0x81, 0x80, 0]);
    let error = file.scan(&with_texts(), &options(2 * MIB)).map(|batches| batches.len()).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    // Where it would fit, it is merely not what it says.
    let error = file.scan(&with_texts(), &ReadOptions::new()).map(|batches| batches.len()).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}

#[test]
fn lists_that_repeat_a_long_text_are_refused() {
    let mut likes = ListBuilder::new(StringBuilder::new());
    likes.append_value(std::iter::repeat_n(Some("x".repeat(10_000)), 1000));
    let file =
        Case::new(plain().set_dictionary_enabled(true), vec![ids(1), ("likes", Arc::new(likes.finish()))]);
    let likes = FieldSpec::multi("likes", ["food"]).with_unknown(UnknownPolicy::Bucket);
    let schema = ProfileSchema::builder("test").with_field(likes).build().unwrap();
    assert!(fs::metadata(&file.path).unwrap().len() < 20_000);
    let error = file.scan(&schema, &options(MIB)).map(|batches| batches.len()).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert_eq!(file.scan(&schema, &ReadOptions::new()).unwrap()[0].profiles.len(), 1);
}

#[test]
fn a_table_out_of_proportion_to_its_file_is_refused_before_it_is_read() {
    let rows = 200_000;
    let options = |most| ReadOptions::new().with_numbered_ids().with_max_decoded_bytes(most);
    let schema = ProfileSchema::builder("test").with_id_column("no").with_field(FieldSpec::numeric("x"));
    let schema = schema.build().unwrap();
    let small = Case::new(
        plain().set_dictionary_enabled(true),
        vec![("x", Arc::new(Float64Array::from(vec![1.0; rows])) as ArrayRef)],
    );
    let error =
        read_parquet(&small.path, &schema, &options(MIB)).map(|loaded| loaded.profiles.len()).unwrap_err();
    assert!(matches!(error, Error::OutOfProportion { rows: 200_000, .. }), "{error}");
    assert!(error.to_string().contains("with_max_decoded_bytes"), "{error}");
    // Streaming takes no more memory for more rows.
    let scanned = small.scan(&schema, &options(MIB)).unwrap();
    assert_eq!(scanned.iter().map(|batch| batch.profiles.len()).sum::<usize>(), rows);
    assert_eq!(read_parquet(&small.path, &schema, &options(64 * MIB)).unwrap().profiles.len(), rows);
}

/// Small files of each encoding and compression.
fn seeds() -> Vec<Vec<u8>> {
    let rows = 40;
    let mut likes = ListBuilder::new(StringBuilder::new());
    (0..rows).for_each(|row| likes.append_value((0..row % 3).map(|_| Some("food"))));
    let likes: ArrayRef = Arc::new(likes.finish());
    [
        plain(),
        plain().set_dictionary_enabled(true).set_writer_version(WriterVersion::PARQUET_2_0),
        plain().set_column_encoding("id".into(), Encoding::DELTA_BINARY_PACKED),
        plain().set_column_encoding("town".into(), Encoding::DELTA_LENGTH_BYTE_ARRAY),
        plain().set_column_encoding("town".into(), Encoding::DELTA_BYTE_ARRAY),
        plain().set_compression(Compression::GZIP(GzipLevel::default())),
        plain().set_compression(Compression::LZ4).set_dictionary_enabled(true),
        plain().set_compression(Compression::SNAPPY).set_data_page_row_count_limit(9).set_write_batch_size(9),
    ]
    .into_iter()
    .map(|properties| {
        let columns = vec![
            ids(rows),
            ("town", texts(rows, |row| format!("town {}", row % 7))),
            ("likes", Arc::clone(&likes)),
        ];
        fs::read(&Case::new(properties, columns).path).unwrap()
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Damage is an error or another readable value: no panic goes through, and no more is decoded than is allowed.
    #[test]
    fn damaged_files_are_errors_and_stay_within_the_limit(
        seed in 0usize..8,
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(0xff), Just(0), any::<u8>()], 1usize..6), 1..4),
    ) {
        static SEEDS: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new(seeds);
        let mut bytes = SEEDS[seed].clone();
        for (at, byte, count) in damage {
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + count);
            bytes[at..end].fill(byte);
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.parquet");
        fs::write(&path, bytes).unwrap();
        let likes = FieldSpec::multi("likes", ["food"]).with_unknown(UnknownPolicy::Bucket);
        let town = FieldSpec::categorical("town", ["Ulm"]).with_unknown(UnknownPolicy::Bucket);
        let schema = ProfileSchema::builder("test").with_field(likes).with_field(town).build().unwrap();
        if let Ok(table) = read_parquet(&path, &schema, &options(MIB)) {
            prop_assert!(table.profiles.len() < 1_000_000);
        }
    }
}
