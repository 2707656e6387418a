//! Parquet files: a thin layer on the conversion of Arrow batches.
//!
//! A file of a few kilobytes may honestly, or by damage or malice, unpack to more than there is memory for. So [`pages`] counts what each
//! page takes against a [`budget`] before the decoder sees it.

mod budget;
mod chunks;
mod cost;
mod delta;
mod directory;
mod file;
mod guard;
mod pages;
mod preview;
mod read;
mod scan;
mod thrift;
mod write;

pub use preview::{ParquetPreview, PreviewColumn};
pub use read::read_parquet;
pub use scan::{ParquetProfiles, RowGroup};
pub use write::write_parquet;

/// Rows that are in memory as Arrow arrays at once.
const BATCH_ROWS: usize = 8192;
