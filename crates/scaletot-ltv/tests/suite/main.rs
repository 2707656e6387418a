//! Tests of the crate as its users see it.

mod explained;
mod learner;
mod reference;
mod refused;
mod saved;
mod world;
