//! The crate as its users see it.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod common;
mod edges;
mod host;
mod invariances;
mod reductions;
mod reward;
