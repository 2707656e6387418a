//! ScaleToT predicts the lifetime value of users who have no history, only a sparse static profile. A language model reasons about a small
//! share of them; a student learns from its typed user-state chains; a light encoder learns from the student and serves everybody else
//! with no language-model call.
//!
//! ```
//! use scaletot::chain::StateDef;
//! use scaletot::prelude::*;
//! use scaletot::profile::{FieldSpec, TableBuilder};
//!
//! // Ninety customers, with what each of them spent.
//! let schema = ProfileSchema::builder("shop")
//!     .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
//!     .with_field(FieldSpec::ordinal("income", ["low", "high"]))
//!     .build()?;
//! let mut rows = TableBuilder::new(schema.clone());
//! for user in 0..90i64 {
//!     rows.push_text(user, &[["18-34", "35-54", "55+"][user as usize % 3], ["low", "high"][user as usize % 2]])?;
//! }
//! let outcomes = (0..90).map(|user| Some(f64::from(user % 2 * 20 + user % 5))).collect();
//! let dataset = Dataset::builder(rows.finish()).with_outcomes(outcomes).build()?;
//!
//! // What is reasoned about them, and by whom: here an expert's rule, elsewhere a language model.
//! let chain = ChainSchema::builder("shopper").with_state(StateDef::ordinal("spend", ["low", "high"])).build()?;
//! let expert = r#"
//!     name = "expert"
//!     [[rule]]
//!     state = "spend"
//!     when = { income = "high" }
//!     add = { high = 1.5 }
//! "#;
//! let teacher = Rules::from_toml(expert, &schema, &chain)?;
//!
//! let mut config = PipelineConfig::default();
//! (config.coverage, config.min_populated) = (0.4, 1);
//! (config.student.d_model, config.student.n_layers, config.student.d_ff) = (16, 1, 32);
//! (config.sft.epochs, config.osipo.epochs, config.distil.epochs) = (5, 1, 5);
//! # config.gate.min_agreement = None; // so few epochs promise nothing
//! let out = tempfile::tempdir()?;
//! let builder = Pipeline::builder(dataset, chain).with_teacher(teacher).with_config(config);
//! let pipeline = builder.with_seed(1).with_out(out.path()).build()?;
//! println!("{}", pipeline.run(&())?.metrics_table());
//!
//! // What serves needs the artifact alone, without a language model.
//! let scorer = Scorer::open(out.path().join("artifact"))?;
//! let scores = scorer.score(&pipeline.dataset().table().to_record_batch()?)?;
//! assert_eq!(scores.num_rows(), 90);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The crates, along the flow
//!
//! This crate only re-exports those of the workspace under one name and forwards their features; each of them can be used alone.
//!
//! | crate | does |
//! | --- | --- |
//! | [`profile`] | profiles with missing values, in and out of Arrow, CSV and Parquet, and rendered as text; datasets |
//! | [`chain`] | user states, chains, corpora, signals |
//! | [`search`] | the tree-of-thought search, without I/O |
//! | [`teacher`] | what answers a search: language models, recordings, rules |
//! | [`student`] | learns to reason from the corpus, by [`osipo`]'s loss from outcomes too |
//! | [`encoder`] | distils the student, serves everybody |
//! | [`ltv`] | value models on profile and signals |
//! | [`eval`] | metrics, intervals, uplift |
//! | [`pipeline`] | all stages in their order, with resume; scores populations |
//! | [`core`] | what the others stand on: hashes, progress, files, seeds |
//!
//! A command line on all of it is [`scaletot-cli`](https://docs.rs/scaletot-cli).
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
    pub use scaletot_encoder::{DistillConfig, Distiller, EncoderConfig, FrozenEncoder, Scores};
    pub use scaletot_ltv::{ValueModel, ValueModelConfig, ValueTrainer};
    pub use scaletot_pipeline::{Pipeline, PipelineConfig, Scorer};
    pub use scaletot_profile::{
        Dataset, DatasetSpec, ProfileSchema, ProfileTable, ReadOptions, Segments, UserId, Verbaliser,
    };
    pub use scaletot_search::{Budget, RefineConfig, Search, StopReason, Strategy};
    pub use scaletot_student::{
        Device, InferConfig, Inference, Osipo, OsipoConfig, Sft, SftConfig, Student, StudentConfig,
    };
    pub use scaletot_teacher::{
        Calibration, CoveragePlan, Ledger, Prompter, Reasoner, Recorder, Replay, Rules, Teacher,
    };
}

/// The snippets of the repository's README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
