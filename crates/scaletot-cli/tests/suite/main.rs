//! The program, run as a user runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are outside of test functions"
)]

mod common;
mod init;
mod inspect;
mod messages;
mod plan;
mod run;
