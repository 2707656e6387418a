//! What the studies share: progress bars and the end of a program.

pub mod progress;
pub mod terminal;
