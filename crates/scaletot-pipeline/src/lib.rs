//! The whole ScaleToT method as a library: a dataset of static profiles in, lifetime-value scores for everybody out.
//!
//! The other crates do one job each and know little of each other. This one decides the order: a teacher reasons about a small share of the
//! users, a student learns from its chains, an encoder from the student, a value model is fitted on profile and signals and folded into the
//! encoder's artifact, which scores everybody. Each step is a [`Stage`] with inputs and outputs; a stage that was done with the same inputs
//! is loaded and not run again, so that a run can be stopped at any time and a changed setting costs what depends on it.
//!
//! ```
//! use scaletot_chain::{ChainSchema, StateDef};
//! use scaletot_pipeline::{Pipeline, PipelineConfig, Scorer, Stage};
//! use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};
//! use scaletot_teacher::Rules;
//!
//! // A hundred customers, with what each of them spent.
//! let schema = ProfileSchema::builder("shop")
//!     .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
//!     .with_field(FieldSpec::ordinal("income", ["low", "high"]))
//!     .build()?;
//! let mut rows = TableBuilder::new(schema.clone());
//! for user in 0..100i64 {
//!     rows.push_text(user, &[["18-34", "35-54", "55+"][user as usize % 3], ["low", "high"][user as usize % 2]])?;
//! }
//! let outcomes = (0..100).map(|user| Some(f64::from(user % 2 * 20 + user % 5))).collect();
//! let dataset = Dataset::builder(rows.finish()).with_outcomes(outcomes).build()?;
//!
//! // What is reasoned about them, and by whom.
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
//! let place = tempfile::tempdir()?;
//! let pipeline = Pipeline::builder(dataset, chain)
//!     .with_teacher(teacher)
//!     .with_config(config)
//!     .with_seed(1)
//!     .with_out(place.path())
//!     .build()?;
//! let summary = pipeline.run(&())?;
//! println!("{}", summary.metrics_table());
//!
//! // A second run finds every stage done.
//! assert_eq!(pipeline.run(&())?.stages.len(), Stage::ALL.len());
//!
//! // What serves needs the artifact alone.
//! let scores = Scorer::open(place.path().join("artifact"))?.score(&pipeline.dataset().table().to_record_batch()?)?;
//! assert_eq!(scores.num_rows(), 100);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is here
//!
//! - [`Pipeline`]: the stages, all by [`Pipeline::run`] or one by one; [`PipelineConfig`] is everything that decides their results.
//! - [`Scorer`]: scores record batches with an artifact, and Parquet files of any size to Parquet files, resumable.
//! - [`AnswerRecording`]: asks a teacher every question that searches may ask, so that runs need no model.
//! - [`tasks`]: task files, and the tasks that come with the crate; [`draft`]: schemas drafted from a table; [`plan`]: calls, tokens and cost
//!   before anything is asked.
//! - [`evaluation`]: every arm on the same folds, label draws and test users, with intervals and a report.
//!
//! Up the flow: `scaletot-profile` and `scaletot-teacher` give dataset and teacher. Down the flow: `scaletot-encoder` and `scaletot-ltv` are what
//! an artifact holds. `scaletot-cli` is a command line on this crate.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod compare;
pub mod draft;
mod error;
pub mod evaluation;
mod fold;
pub mod networks;
pub mod options;
mod pipeline;
pub mod plan;
mod preflight;
mod scoring;
mod signals;
pub mod tasks;
pub mod teachers;
pub use error::{Error, Result, causes, is_stop};
pub use pipeline::{
    AnswerRecording, Artifact, Done, Pipeline, PipelineBuilder, PipelineConfig, Split, Stage, StageReport,
    StageSummary, Summary, UserCounts,
};
pub use preflight::preflight;
pub use scoring::{FileJob, OnError, Output, Quarantined, ScoreSummary, Scorer};

/// The crate's README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
