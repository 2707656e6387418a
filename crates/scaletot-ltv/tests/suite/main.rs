//! Tests of the crate as its users see it.
#![allow(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod explained;
mod invariants;
mod learner;
mod reference;
mod refused;
mod saved;
mod world;
