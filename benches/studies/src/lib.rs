//! Studies of the method, one program each in `src/bin`, and what they share.

pub mod osipo;
mod provenance;
pub mod terminal;
