//! Parquet files.

mod guard;
mod read;
mod source;
mod write;

pub use read::read_parquet;
pub use write::write_parquet;

/// Rows that are in memory as Arrow arrays at once.
const BATCH_ROWS: usize = 8192;
