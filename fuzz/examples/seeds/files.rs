//! Seeds of the readers of artifacts and of Parquet files.

use std::fs::File;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::Int8Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, NullArray,
    RecordBatch, StringArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, GzipLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use scaletot_fuzz::artifact;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Each file of an artifact behind the byte that says which it is.
pub fn artifacts(folder: &str) -> Result<()> {
    for (which, bytes) in (0u8..).zip(artifact::files()) {
        let name = artifact::NAMES[usize::from(which)];
        // Without line breaks there is more in as many bytes.
        let bytes = match serde_json::from_slice::<serde_json::Value>(&bytes) {
            Ok(json) => serde_json::to_vec(&json)?,
            Err(_) => bytes,
        };
        std::fs::write(format!("{folder}/{name}"), [&[which], bytes.as_slice()].concat())?;
    }
    Ok(())
}

/// Files as other systems write them.
pub fn parquets(folder: &str) -> Result<()> {
    let bare = || WriterProperties::builder().set_compression(Compression::UNCOMPRESSED);
    let plain = bare().set_dictionary_enabled(false);
    let packed = |compression| plain.clone().set_compression(compression);
    let delta = |encoding| plain.clone().set_column_encoding("home".into(), encoding);
    let kinds: [(&str, WriterPropertiesBuilder, usize); 10] = [
        ("plain", plain.clone(), 7),
        ("dictionary", bare(), 40),
        ("groups", plain.clone().set_max_row_group_row_count(Some(4)), 11),
        ("pages", bare().set_data_page_row_count_limit(8).set_write_batch_size(8), 40),
        ("gzip", packed(Compression::GZIP(GzipLevel::default())), 9),
        ("lz4", packed(Compression::LZ4), 9),
        ("snappy", packed(Compression::SNAPPY), 9),
        (
            "delta-length",
            delta(Encoding::DELTA_LENGTH_BYTE_ARRAY)
                .set_column_encoding("id".into(), Encoding::DELTA_BINARY_PACKED),
            20,
        ),
        ("delta-text", delta(Encoding::DELTA_BYTE_ARRAY), 20),
        ("version-2", bare().set_writer_version(WriterVersion::PARQUET_2_0).set_dictionary_enabled(false), 9),
    ];
    for (name, properties, rows) in kinds {
        write(&format!("{folder}/{name}.parquet"), properties, &columns(rows))?;
    }
    write(&format!("{folder}/nulls.parquet"), plain.clone(), &other_types(6, true))?;
    write(&format!("{folder}/types.parquet"), plain, &other_types(6, false))
}

fn write(path: &str, properties: WriterPropertiesBuilder, columns: &[(&str, ArrayRef)]) -> Result<()> {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned())?;
    let mut writer = ArrowWriter::try_new(File::create(path)?, batch.schema(), Some(properties.build()))?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}

/// The columns that are wanted, some cells null.
fn columns(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let mut likes = ListBuilder::new(StringBuilder::new());
    for row in 0..rows {
        match row % 4 {
            0 => likes.append_value([Some("food"), Some("toys")]),
            1 => likes.append_value([Some("toys"), None]),
            2 => likes.append(true),
            _ => likes.append_null(),
        }
    }
    let text = |values: [Option<&'static str>; 3]| -> ArrayRef {
        Arc::new(StringArray::from_iter((0..rows).map(|row| values[row % 3])))
    };
    vec![
        ("id", Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row as i64 * 3)))),
        ("age", text([Some("1"), Some("3"), None])),
        (
            "income",
            Arc::new(Float64Array::from_iter((0..rows).map(|row| (row % 5 != 0).then_some(row as f64)))),
        ),
        (
            "member",
            Arc::new(BooleanArray::from_iter((0..rows).map(|row| (row % 3 != 0).then_some(row % 2 == 0)))),
        ),
        ("likes", Arc::new(likes.finish())),
        ("home", text([Some("own"), Some("rent"), Some("NA")])),
        ("spend", Arc::new(Int32Array::from_iter((0..rows as i32).map(|row| (row % 4 != 1).then_some(row))))),
        ("tier", text([Some("gold"), None, Some("tin")])),
        ("active", text([Some("yes"), Some("no"), None])),
    ]
}

/// The same names with other types, or nothing but nulls.
fn other_types(rows: usize, nulls: bool) -> Vec<(&'static str, ArrayRef)> {
    let names: StringArray = (0..rows).map(|row| Some(format!("u{row}"))).collect();
    let own: DictionaryArray<Int8Type> = ["own", "rent"].into_iter().cycle().take(rows).collect();
    let mut columns = columns(rows);
    for (name, column) in &mut columns {
        *column = match *name {
            "id" => Arc::new(names.clone()),
            _ if nulls => Arc::new(NullArray::new(rows)),
            "age" => Arc::new(Int64Array::from_iter((0..rows as i64).map(|row| Some(row % 3 + 1)))),
            "likes" => Arc::new(StringArray::from_iter((0..rows).map(|_| Some("food|toys")))),
            "home" => Arc::new(own.clone()),
            _ => column.slice(0, rows),
        };
    }
    columns
}
