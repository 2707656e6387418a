#![doc = include_str!("../README.md")]

mod builder;
mod chain;
mod check;
mod constraint;
mod corpus;
mod error;
mod file;
mod identity;
mod legal;
mod record;
mod schema;
mod signals;
mod spec;
mod state;
mod user_states;

pub use builder::ChainSchemaBuilder;
pub use chain::{Chain, EntropySource, Step};
pub use check::TOLERANCE;
pub use constraint::Constraint;
pub use corpus::{CORPUS_FORMAT, Corpus, CorpusHeader, CorpusWriter, JoinedCorpus, Repaired};
pub use error::{Error, Result};
pub use legal::LegalChains;
pub use record::{ChainRecord, Reason, SearchCost, Verdict};
pub use schema::ChainSchema;
pub use signals::Signals;
pub use state::{StateDef, StateKind, StateType};

/// What the expansion of [`user_states!`] needs; not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::spec::{ChainSpec, ConstraintSpec, StateSpec, typed, unknown_value};
}
