//! The in-process teacher: whole passes through small random models, damaged files, and, where
//! `SCALETOT_GGUF` names the file, SmolLM2-135M-Instruct against llama.cpp.
#![cfg(feature = "gguf")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod exact;
mod files;
mod hostile;
mod reference;
mod smollm2;
mod speed;
mod tiny;
mod world;
