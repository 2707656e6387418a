//! OpenAI-compatible servers, over real sockets: every way of scoring, every fault, and runs over many users.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail by panicking"
)]

#[path = "../suite/common.rs"]
#[allow(dead_code, reason = "shared with the other suite")]
mod common;

mod abilities;
mod bounds;
mod capacity;
mod faults;
mod real;
mod refusals;
mod runs;
mod scoring;
mod secrets;
mod server;
mod shapes;
