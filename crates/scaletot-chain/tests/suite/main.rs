//! The crate as its users see it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod chain;
mod common;
mod corpus;
mod corpus_damage;
mod corpus_refused;
mod join;
mod legal;
mod schema;
mod user_states;
