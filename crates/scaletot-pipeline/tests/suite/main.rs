//! Whole evaluations, runs on a table of one's own and scoring jobs, through the crate's interface.
#![allow(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod damage;
mod evaluate;
mod kill;
mod own_table;
#[cfg(unix)]
mod paid;
mod population;
mod score;
mod score_place;
mod shop;
mod teacher_fails;
