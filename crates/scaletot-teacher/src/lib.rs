//! Teachers that reason about profiles, and the reasoner that makes typed user-state chains of their answers.
//!
//! A static profile is often all that is known of a user, and a language model can infer from it what states the user is
//! probably in; but it is slow, biased towards some labels, and sometimes wrong. This crate keeps the model behind one
//! small trait, so that a recording or a table of expert rules can stand in for it; takes its label bias out; lets a
//! bounded search decide what to ask; and writes down, for every user, what was concluded, from what, how surely and
//! at what cost.
//!
//! # Example
//!
//! Expert rules reason about two users.
//!
//! ```
//! use scaletot_chain::{ChainSchema, CorpusWriter, StateDef};
//! use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder, Verbaliser};
//! use scaletot_teacher::{Prompter, Reasoner, Rules};
//!
//! let schema = ProfileSchema::builder("shop")
//!     .with_subject("A customer")
//!     .with_field(FieldSpec::ordinal("income", ["under 35K", "35-75K", "over 75K"]).with_phrase("with an income {}"))
//!     .with_field(FieldSpec::ordinal("household", ["1", "2", "3+"]).with_phrase("in a household of {}"))
//!     .build()?;
//! let mut users = TableBuilder::new(schema);
//! users.push_text(1, &["over 75K", "3+"])?;
//! users.push_text(2, &["", "1"])?;
//! let table = users.finish();
//!
//! let chain = ChainSchema::builder("shopper")
//!     .with_state(StateDef::ordinal("need", ["low", "high"]).with_cue("this customer's need for groceries is"))
//!     .with_state(StateDef::ordinal("spend", ["low", "high"]).with_cue("this customer's spending is").with_depends_on(["need"]))
//!     .build()?;
//! let rules = Rules::from_toml(
//!     r#"
//!     name = "shop-expert"
//!     [[rule]]
//!     state = "need"
//!     when = { household = "3+" }
//!     add = { high = 2.0 }
//!     [[rule]]
//!     state = "need"
//!     when = { household = "1" }
//!     add = { low = 1.0 }
//!     [[rule]]
//!     state = "spend"
//!     when = { income = "over 75K" }
//!     after = { need = "high" }
//!     add = { high = 1.5 }
//!     "#,
//!     table.schema(),
//!     &chain,
//! )?;
//!
//! let prompter = Prompter::new(table.schema(), chain, Verbaliser::fit(&table, 5)?)?;
//! let reasoner = Reasoner::builder(rules, prompter).build()?;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("corpus.jsonl");
//! let mut corpus = CorpusWriter::create(&path, &reasoner.header(&table, 1)?)?;
//! let summary = reasoner.run(&table, &[0, 1], &mut corpus, 2, &())?;
//! assert_eq!((summary.accepted, summary.failed), (2, 0));
//!
//! let record = reasoner.reason(&table, 0, 1)?;
//! let chain = record.best.ok_or("no chain")?;
//! assert_eq!(chain.values(), [1, 1]);
//! assert_eq!(chain.steps()[1].rationale, "Given income and need = high, spend is high at 82 %, before low at 18 %.");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is here
//!
//! - [`Teacher`] answers a [`Question`] with a [`LabelAnswer`]: `ln p(label | prompt)` for every value of one state.
//!   Implementations: [`Rules`], [`Replay`], `gguf::Gguf` (feature `gguf`), `openai::OpenAi` (feature `openai`), and the wrappers
//!   [`Recorder`], [`Cached`], [`DiskCached`], [`Retry`], [`Fallback`] and [`Ensemble`].
//! - [`Prompter`] puts a profile and the states so far into words.
//! - [`Calibration`] divides answers by the teacher's mean prediction over a batch of unlabelled users.
//! - [`CoveragePlan`] picks the users that are reasoned about at all.
//! - [`Reasoner`] drives one search per user ([`ChainProblem`] binds chain and search), judges what comes out, and runs
//!   over many users with a worker pool, resumably and with the same bytes for any number of workers.
//! - [`Ledger`] counts what it all costs, and [`Prices`] put it into money.
//! - Before anything is asked, [`Reasoner::preview`] shows a user's profile and prompts, and [`Reasoner::count_prompts`] how many
//!   of them there are.
//!
//! # Up and down the flow
//!
//! | before | after |
//! | --- | --- |
//! | [`scaletot_profile`]: profiles and their words ([`Verbaliser`](scaletot_profile::Verbaliser)) | [`scaletot-student`](https://docs.rs/scaletot-student): learns to reason from the corpus |
//! | [`scaletot_chain`]: states, schemas and corpora ([`Corpus`](scaletot_chain::Corpus)) | [`scaletot-encoder`](https://docs.rs/scaletot-encoder): serves the states of a whole population |
//! | [`scaletot_search`]: the search that decides what is asked | [`scaletot-pipeline`](https://docs.rs/scaletot-pipeline): all stages, with resume |
//!
//! # Features
//!
//! - `gguf` (off by default): language models in-process, in pure Rust, through candle.
//! - `openai` (off by default): language models behind OpenAI-compatible servers, over HTTP.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod busy;
mod cached;
mod calibration;
mod combine;
mod cost;
mod coverage;
mod credentials;
mod disk;
mod error;
mod fault;
#[cfg(feature = "gguf")]
#[cfg_attr(docsrs, doc(cfg(feature = "gguf")))]
pub mod gguf;
mod key;
mod ledger;
mod once;
#[cfg(feature = "openai")]
#[cfg_attr(docsrs, doc(cfg(feature = "openai")))]
pub mod openai;
mod problem;
mod prompter;
mod question;
mod reasoner;
pub mod replay;
mod retry;
pub mod rules;
mod teacher;

pub use answer::LabelAnswer;
pub use cached::Cached;
pub use calibration::Calibration;
pub use combine::{Ensemble, Fallback};
pub use cost::{Price, Prices, RunCost};
pub use coverage::{Coverage, CoveragePlan, CoveredUsers, ProfileCoverage, SegmentCoverage};
pub use credentials::without_credentials;
pub use disk::DiskCached;
pub use error::{Cause, Error, Result};
pub use fault::Fault;
pub use key::{PromptKey, prompt_key};
pub use ledger::{Ledger, LedgerSnapshot};
pub use problem::ChainProblem;
pub use prompter::{PROMPT_FORMAT, Prompter};
pub use question::Question;
pub use reasoner::{
    FailureCount, Preview, PromptCount, PromptPreview, Reasoner, ReasonerBuilder, RunSummary,
};
#[doc(no_inline)]
pub use replay::{RecordSummary, Recorder, Replay};
pub use retry::{Retry, RetryPolicy};
#[doc(no_inline)]
pub use rules::Rules;
pub use teacher::Teacher;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
