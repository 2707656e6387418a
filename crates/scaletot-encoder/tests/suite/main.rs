//! The crate as its users see it.
#![allow(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod artifact;
mod common;
mod distill;
mod losses;
