//! The crate as its users see it.
#![allow(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod bootstrap;
mod coverage;
mod extremes;
mod fixtures;
mod invariances;
mod planted;
mod uplift;
