#![doc = include_str!("../README.md")]

mod builder;
mod chain;
mod check;
mod constraint;
mod corpus;
mod cost;
mod error;
mod identity;
mod legal;
mod record;
mod schema;
mod signals;
mod spec;
mod state;
mod user_states;
mod verdict;

pub use builder::ChainSchemaBuilder;
pub use chain::{Chain, EntropySource, Step};
pub use check::TOLERANCE;
pub use constraint::Constraint;
pub use corpus::{CORPUS_FORMAT, Corpus, CorpusHeader, CorpusWriter, JoinedCorpus, Repaired};
pub use cost::{SearchCost, SearchStop};
pub use error::{Error, Result};
pub use legal::LegalChains;
pub use record::ChainRecord;
pub use schema::ChainSchema;
pub use signals::Signals;
pub use state::{StateDef, StateKind, StateType};
pub use verdict::{Reason, Verdict};

/// What the expansion of [`user_states!`] needs; not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::spec::{ChainSpec, ConstraintSpec, StateSpec, typed, unknown_value};
}
