//! The examples as their users run them.
#![allow(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod evaluate;
mod own_table;
mod score;
