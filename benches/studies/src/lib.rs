//! What the programs of the studies share.

pub mod terminal;
