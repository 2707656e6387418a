//! Typed user-state chains: what is inferred of a user, as data that can be checked.
//!
//! ```
//! use scaletot_chain::{Chain, ChainRecord, ChainSchema, Constraint, Corpus, CorpusHeader, CorpusWriter};
//! use scaletot_chain::{StateDef, Step, Verdict};
//! use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};
//!
//! // What a chain may contain. The same schema can stand in a TOML or JSON file (`ChainSchema::load`).
//! let schema = ChainSchema::builder("shopper")
//!     .with_state(StateDef::ordinal("capacity", ["low", "moderate", "high"]).with_cue("this customer's spending capacity is"))
//!     .with_state(StateDef::ordinal("spend", ["low", "moderate", "high"]).with_depends_on(["capacity"]))
//!     .with_constraint(Constraint::new([("capacity", "low")], "spend", ["high"]))
//!     .build()?;
//! assert_eq!(schema.legal_count(), 8);
//!
//! // Two customers; what a teacher inferred of the second is appended to a file that survives a kill.
//! let profiles = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
//! let header = CorpusHeader::new(profiles.hash(), &schema, "my-model", 42);
//! let mut rows = TableBuilder::new(profiles);
//! rows.push_text(1001, &["18-34"])?;
//! rows.push_text(1002, &["35+"])?;
//!
//! let steps = vec![
//!     Step::exact(2, vec![0.1, 0.2, 0.7]).with_evidence(vec!["age".into()]).with_rationale("an established household"),
//!     Step::exact(1, vec![0.1, 0.6, 0.3]),
//! ];
//! let chain = Chain::new(&schema, steps, -0.5)?;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("corpus.jsonl");
//! let mut writer = CorpusWriter::create(&path, &header)?;
//! writer.append(&ChainRecord::new(1002.into(), Verdict::Accepted).with_best(Some(chain)))?;
//!
//! // Read again, and joined to the profiles and outcomes of its users: what a student is trained on.
//! let corpus = Corpus::read(&path, &schema)?;
//! let dataset = Dataset::builder(rows.finish()).with_outcomes(vec![None, Some(12.5)]).build()?;
//! let joined = corpus.join(&dataset)?;
//! assert_eq!(joined.rows(), [1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A language model asked about a user answers in prose, which nothing downstream can verify, compare or learn from. Here
//! the answer is a *chain*: an ordered list of states, each with a finite domain, each depending on earlier ones, the last
//! linked to the outcome that is to be predicted. The crate knows no language model, no search, no tensor and no network.
//!
//! | type | is |
//! | --- | --- |
//! | [`ChainSchema`] | what a chain may contain: state types, dependencies, constraints; checked when it is made |
//! | [`user_states!`] | the same schema as Rust enums and a struct, checked by the compiler |
//! | [`Chain`], [`Step`] | what was inferred of one user: a distribution, an entropy, evidence and a rationale for every state |
//! | [`ChainRecord`] | all that a search left behind: verdict, chains, posterior, cost |
//! | [`CorpusWriter`] | the file of records while it is being written: JSON lines, appended, resumed, never mixed with those of another run |
//! | [`Corpus`], [`JoinedCorpus`] | a whole corpus in memory, and with the rows of its users in a dataset |
//! | [`Signals`] | marginals and representations of users, from a student or an encoder |
//!
//! # Up and down the flow
//! | before it | after it |
//! | --- | --- |
//! | [`scaletot_profile`]: profiles, outcomes, segments | [`scaletot-teacher`](https://docs.rs/scaletot-teacher): searches ([`scaletot-search`](https://docs.rs/scaletot-search)) that make chains and write the corpus |
//! | | [`scaletot-student`](https://docs.rs/scaletot-student): learns from a [`JoinedCorpus`], gives [`Signals`] |
//! | | [`scaletot-encoder`](https://docs.rs/scaletot-encoder), [`scaletot-ltv`](https://docs.rs/scaletot-ltv): learn from [`Signals`] |
//!
//! # Features
//! `arrow`: [`Signals`] to and from record batches.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod chain;
mod check;
mod constraint;
mod corpus;
mod cost;
mod def;
mod error;
mod identity;
mod legal;
mod record;
mod resolve;
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
pub use corpus::{
    CORPUS_FORMAT, Corpus, CorpusHeader, CorpusWriter, DamagedLine, JoinedCorpus, Repaired, Undamaged,
};
pub use cost::{SearchCost, SearchStop};
pub use error::{Error, Result, SchemaError};
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

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
