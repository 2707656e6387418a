//! The crate as its users see it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod arrow;
mod bad_input;
mod bombs;
mod common;
mod csv;
mod dataset;
mod directory;
mod foreign;
mod levels;
mod numbered;
mod parquet;
mod round_trip;
mod scan;
mod schema;
mod table;
