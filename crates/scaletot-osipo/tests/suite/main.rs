//! The crate as its users see it.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod common;
mod edges;
mod em;
mod evidence;
mod evidence_loss;
mod host;
mod invariances;
mod outcome_model;
mod reductions;
mod reward;
