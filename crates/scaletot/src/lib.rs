//! ScaleToT predicts the lifetime value of users who have no history, only a sparse static profile. A language model reasons about a small
//! share of them; a student learns from its typed user-state chains; a light encoder learns from the student and serves everybody else
//! with no language-model call.
//!
//! This crate only re-exports the crates of the workspace under one name and forwards their features; each of them can be used alone.
//!
//! ```
//! use scaletot::prelude::*;
//!
//! let schema = ProfileSchema::from_toml(
//!     r#"
//!     name = "shop"
//!     subject = "A customer"
//!     id = "user"
//!
//!     [[field]]
//!     name = "age"
//!     kind = "ordinal"
//!     values = ["18-34", "35-54", "55+"]
//!     phrase = "aged {}"
//!     "#,
//! )?;
//! assert_eq!(schema.fields().len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The whole pipeline, from a table to scores, is in the repository's `examples/`.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(inline)]
pub use scaletot_chain as chain;
#[doc(inline)]
pub use scaletot_core as core;
#[doc(inline)]
pub use scaletot_encoder as encoder;
#[doc(inline)]
pub use scaletot_eval as eval;
#[doc(inline)]
pub use scaletot_ltv as ltv;
#[doc(inline)]
pub use scaletot_osipo as osipo;
#[doc(inline)]
pub use scaletot_pipeline as pipeline;
#[doc(inline)]
pub use scaletot_profile as profile;
#[doc(inline)]
pub use scaletot_search as search;
#[doc(inline)]
pub use scaletot_student as student;
#[doc(inline)]
pub use scaletot_teacher as teacher;

/// The names that most programs import.
pub mod prelude {
    pub use scaletot_chain::{
        Chain, ChainRecord, ChainSchema, Corpus, CorpusWriter, JoinedCorpus, Signals, Verdict, user_states,
    };
    pub use scaletot_core::Progress;
    pub use scaletot_encoder::{EncoderConfig, FrozenEncoder, Scores};
    pub use scaletot_ltv::{ValueModel, ValueModelConfig, ValueTrainer};
    pub use scaletot_profile::{
        Dataset, DatasetSpec, ProfileSchema, ProfileTable, ReadOptions, Segments, UserId, Verbaliser,
    };
    pub use scaletot_search::{Budget, RefineConfig, Search, StopReason, Strategy};
    pub use scaletot_student::{
        Device, Inference, Osipo, OsipoConfig, Sft, SftConfig, Student, StudentConfig,
    };
    pub use scaletot_teacher::{
        Calibration, CoveragePlan, Ledger, Prompter, Reasoner, Recorder, Replay, Rules, Teacher,
    };
}

/// The snippets of the repository's README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
