//! The crate as its users see it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests are outside of test functions"
)]

mod answers;
mod common;
mod drivers;
mod marginal;
mod properties;
mod refine;
mod strategies;
