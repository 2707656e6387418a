//! The program, run as a user runs it.

mod common;
mod init;
mod messages;
mod plan;
