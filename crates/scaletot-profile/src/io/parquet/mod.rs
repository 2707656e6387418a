//! Parquet files: a thin layer on the conversion of Arrow batches.

mod chunks;
mod directory;
mod guard;
mod read;
mod scan;
mod write;

pub use read::read_parquet;
pub use scan::{ParquetProfiles, RowGroup};
pub use write::write_parquet;

/// Rows that are in memory as Arrow arrays at once.
const BATCH_ROWS: usize = 8192;
