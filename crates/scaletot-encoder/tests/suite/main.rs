//! The crate as its users see it.
#![allow(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]
#![cfg_attr(not(feature = "train"), allow(dead_code, reason = "helpers of the tests that train"))]

mod artifact;
mod common;
mod course;
mod distill;
mod explain;
mod format;
mod gate;
mod hostile;
mod losses;
mod novelty;
mod serve;
mod signals;
#[cfg(feature = "signature")]
mod signed;
mod transfer;
mod trust;
mod value_head;
