//! The files that are written: parts, one for each row group, and what is put together from them.
//!
//! Each says in its metadata what it was made of, so that a later run knows whether it still holds.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Context, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use scaletot_core::ContentHash;
use scaletot_core::files::{self, AtomicFile, create_dir_all};
use serde::{Deserialize, Serialize};

use super::sums::Hashing;

/// Rows of an output row group, which are in memory until they are written.
const GROUP_ROWS: usize = 1 << 20;

/// Bytes of an output row group, for wide representations.
const GROUP_BYTES: usize = 64 << 20;

/// The key of [`Origin`] in a file's metadata.
const KEY: &str = "scaletot.scores";

/// What a file of scores was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    /// Fingerprint of the settings.
    pub(super) settings: String,
    /// Hash of the input file's bytes.
    pub(super) input: String,
    /// Row groups of the input that are not in it.
    pub(super) quarantined: Vec<Quarantined>,
}

/// An origin as it stands in a file: with a hash, so that a damaged one is not taken for that of other scores.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    origin: Origin,
    sha256: ContentHash,
}

impl Origin {
    fn hash(&self) -> Result<ContentHash> {
        Ok(ContentHash::of(serde_json::to_string(self)?))
    }
}

/// A file, a row group, or rows of one, that could not be scored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Quarantined {
    /// The input file.
    pub file: PathBuf,
    /// Its row group, from 0; none if the file as a whole could not be read, and of a CSV file.
    pub row_group: Option<usize>,
    /// Users who are left out: all of the row group, or those whose rows do not fit; 0 if that is not known.
    pub rows: usize,
    /// Why; of rows, that of the first few.
    pub error: String,
}

/// Writes the scores of one row group.
pub(super) struct PartWriter {
    path: PathBuf,
    writer: ArrowWriter<Hashing<AtomicFile>>,
}

impl PartWriter {
    /// A writer of batches with the schema of `first`.
    pub(super) fn create(path: &Path, first: &arrow_array::RecordBatch) -> Result<Self> {
        let file = begin(path)?;
        let id = ColumnPath::from(first.schema_ref().field(0).name().as_str());
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .set_compression(Compression::SNAPPY)
            // Ids and scores hardly repeat; looking whether they do takes longer than to write them.
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::Chunk);
        let properties = match first.column(0).data_type().is_integer() {
            true => properties.set_column_encoding(id, Encoding::DELTA_BINARY_PACKED),
            false => properties,
        };
        let writer = ArrowWriter::try_new(file, first.schema(), Some(properties.build()))
            .with_context(|| failed(path))?;
        Ok(Self { path: path.to_owned(), writer })
    }

    pub(super) fn write(&mut self, batch: &arrow_array::RecordBatch) -> Result<()> {
        self.writer.write(batch).with_context(|| failed(&self.path))
    }

    /// The hash of the file, which has its name then. By the hash the file is known to be whole, so nothing waits for the disk.
    pub(super) fn finish(mut self, origin: &Origin) -> Result<ContentHash> {
        self.writer.append_key_value_metadata(entry(origin)?);
        let (file, hash) = self.writer.into_inner().with_context(|| failed(&self.path))?.finish();
        file.commit_unsynced()?;
        Ok(hash)
    }
}

/// A file to be, in a directory that is made if there is none.
fn begin(path: &Path) -> Result<Hashing<AtomicFile>> {
    create_dir_all(path.parent().unwrap_or(Path::new("")))?;
    Ok(Hashing::new(AtomicFile::create(path)?))
}

fn failed(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

fn entry(origin: &Origin) -> Result<KeyValue> {
    let sealed = Sealed { origin: origin.clone(), sha256: origin.hash()? };
    Ok(KeyValue::new(KEY.to_owned(), serde_json::to_string(&sealed)?))
}

/// What the metadata of a file of scores says, and its rows; nothing if it is not such a file, or not a whole one.
pub(super) fn origin_of(path: &Path) -> Option<(Origin, usize)> {
    let metadata = read_metadata(path).ok()?;
    let stated = metadata.file_metadata().key_value_metadata()?.iter().find(|entry| entry.key == KEY)?;
    let Sealed { origin, sha256 } = serde_json::from_str(stated.value.as_deref()?).ok()?;
    if origin.hash().ok()? != sha256 {
        return None;
    }
    Some((origin, usize::try_from(metadata.file_metadata().num_rows()).ok()?))
}

/// Bytes at either end of a file that tell what it was; the metadata of scores are among the last.
const TELLING: u64 = 1 << 20;

/// Whether there is what scores become when they are emptied, cut, zeroed or changed, and nothing that somebody else may have put there. For
/// files of which no [origin](origin_of) is known.
pub(super) fn is_damaged(path: &Path) -> bool {
    let ends = || -> std::io::Result<[Vec<u8>; 2]> {
        let mut file = files::open(path).map_err(|error| error.source)?;
        let length = file.metadata()?.len();
        let mut ends = [vec![], vec![]];
        file.by_ref().take(TELLING).read_to_end(&mut ends[0])?;
        file.seek(SeekFrom::Start(length.saturating_sub(TELLING)))?;
        file.take(TELLING).read_to_end(&mut ends[1])?;
        Ok(ends)
    };
    let Ok([begin, end]) = ends() else { return false };
    // What is left of it where one of the marks was hit.
    let marked = [KEY, "\"quarantined\":"]
        .iter()
        .any(|mark| end.windows(mark.len()).any(|window| window == mark.as_bytes()));
    let zeros = begin.iter().chain(&end).all(|byte| *byte == 0);
    let unreadable = b"PAR1".starts_with(&begin[..begin.len().min(4)]) && read_metadata(path).is_err();
    marked || zeros || unreadable
}

fn read_metadata(path: &Path) -> Result<ParquetMetaData> {
    let file = files::open(path)?;
    ParquetMetaDataReader::new()
        .parse_and_finish(&file)
        .with_context(|| format!("cannot read {}", path.display()))
}

/// Puts parts together, in their order and without reading what is in their pages. Returns how many rows there are, and the file's hash.
pub(super) fn assemble(parts: &[PathBuf], path: &Path, origin: &Origin) -> Result<(usize, ContentHash)> {
    let file = begin(path)?;
    let Some(first) = parts.first() else {
        crate::error::bail!("{}: nothing to put together", path.display())
    };
    let first = read_metadata(first)?;
    // With the Arrow types that the parts name, but an origin of its own.
    let named =
        first.file_metadata().key_value_metadata().into_iter().flatten().filter(|entry| entry.key != KEY);
    let mut entries: Vec<KeyValue> = named.cloned().collect();
    entries.push(entry(origin)?);
    let properties: WriterPropertiesPtr =
        Arc::new(WriterProperties::builder().set_key_value_metadata(Some(entries)).build());
    let schema = first.file_metadata().schema_descr().root_schema_ptr();
    let write = || -> Result<(Hashing<AtomicFile>, usize)> {
        let mut writer = SerializedFileWriter::new(file, schema, properties)?;
        let mut rows = 0;
        // One after the other: a file may have more row groups than a process may have files.
        for part in parts {
            let source = files::open(part)?;
            for group in read_metadata(part)?.row_groups() {
                let mut to = writer.next_row_group()?;
                for column in group.columns() {
                    let close = ColumnCloseResult {
                        bytes_written: u64::try_from(column.compressed_size())?,
                        rows_written: u64::try_from(group.num_rows())?,
                        metadata: column.clone(),
                        bloom_filter: None,
                        column_index: None,
                        offset_index: None,
                    };
                    to.append_column(&source, close)?;
                }
                to.close()?;
                rows += usize::try_from(group.num_rows())?;
            }
        }
        Ok((writer.into_inner()?, rows))
    };
    let (file, rows) = write().with_context(|| failed(path))?;
    let (file, hash) = file.finish();
    file.commit()?;
    Ok((rows, hash))
}
