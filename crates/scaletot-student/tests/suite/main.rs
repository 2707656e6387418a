//! The crate as its users see it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests are outside of test functions"
)]

mod checkpoint;
mod checkpoint_errors;
mod common;
mod devices;
mod infer;
mod lora;
mod osipo;
mod pretrained;
mod resume;
mod sft;
mod store;
