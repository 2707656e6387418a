//! The pipeline that the examples share: a table of profiles in, lifetime-value scores out.
//!
//! Nothing here is needed to use the library; it shows how its crates fit together. [`pipeline::run`] is the whole of it, stage by stage.

pub mod compare;
pub mod draft;
mod error;
pub mod evaluation;
mod fold;
mod lock;
pub mod networks;
pub mod options;
pub mod pipeline;
pub mod plan;
pub mod scoring;
mod signals;
pub mod staged;
pub mod stages;
pub mod tasks;
pub mod teachers;
pub use error::{Error, Result, causes};
pub use pipeline::summary::{StageSummary, Summary};
pub use pipeline::{
    AnswerRecording, Artifact, Done, Pipeline, PipelineBuilder, PipelineConfig, Split, Stage,
};
pub use scoring::{FileJob, OnError, Output, Quarantined, ScoreSummary, Scorer};
