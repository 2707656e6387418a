//! Profiles and attributes as Arrow batches. Parquet files are read and written through the same code.

mod columns;
mod convert;
mod decode;
mod encode;
mod gather;
mod source;

#[cfg(feature = "parquet")]
pub(super) use columns::Columns;
pub(crate) use convert::to_record_batch;
#[cfg(feature = "parquet")]
pub(super) use encode::{arrays, arrow_schema};
#[cfg(feature = "parquet")]
pub(super) use gather::Gather;
#[cfg(feature = "parquet")]
pub(super) use source::{as_uuid, is_readable, uuid_texts};
