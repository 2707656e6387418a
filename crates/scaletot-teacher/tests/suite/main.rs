//! The crate as its users see it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are outside of test functions")]

mod calibration;
mod combining;
mod common;
mod coverage;
mod disk;
mod faults;
mod marginals;
mod outages;
mod prompts;
mod reasoning;
mod recording;
mod replay;
mod retrying;
mod rules;
mod running;
mod stopping;
