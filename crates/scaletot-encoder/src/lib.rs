//! A light profile encoder: the student's reasoning about a user, from the user's static profile alone, at the price of
//! a few table lookups and small matrix products.
//!
//! A language model has reasoned about a small share of the users and a student has learned from it. For all the others
//! there is only the profile. This crate trains a network that maps a profile to the student's *signals* (posteriors of
//! the user states and a representation) and to a distribution of the outcome, writes it as a verified artifact, and
//! scores profiles with it. Training and serving are apart: training is in Burn behind the feature `train`; without it
//! no training framework is in the dependency tree, and everything below but `Distiller` and its kind is still there.
//!
//! ```
//! # #[cfg(feature = "train")] {
//! use scaletot_chain::{ChainSchema, Signals, StateDef};
//! use scaletot_encoder::{ArtifactInfo, DistillConfig, DistillData, Distiller, EncoderConfig, FrozenEncoder};
//! use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};
//!
//! // Sixty users whom the student has read; the outcome is known for every other one.
//! let schema = ProfileSchema::builder("shop")
//!     .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
//!     .with_field(FieldSpec::numeric("income"))
//!     .build()?;
//! let mut table = TableBuilder::new(schema.clone());
//! for id in 0..60i64 {
//!     let age = ["18-34", "35-54", "55+"][id as usize % 3];
//!     table.push_text(id, &[age, &format!("{}", 10 * (id % 7))])?;
//! }
//! let rich = |row: usize| row % 7 > 3;
//! let outcomes = (0..60).map(|row| (row % 2 == 0).then_some(if rich(row) { 80.0 } else { 0.0 })).collect();
//! let dataset = Dataset::builder(table.finish()).with_outcomes(outcomes).build()?;
//! let chain = ChainSchema::builder("shopper").with_state(StateDef::ordinal("spend", ["low", "high"])).build()?;
//! let marginals = (0..60).flat_map(|row| if rich(row) { [0.1, 0.9] } else { [0.8, 0.2] }).collect();
//! let representations = (0..60).flat_map(|row| if rich(row) { [1.0, -1.0] } else { [0.0, 0.5] }).collect();
//! let signals = Signals::new((0..60).collect(), chain.domain_sizes(), marginals, [1, 2], representations)?;
//!
//! let mut config = DistillConfig::default();
//! config.epochs = 10;
//! let data = DistillData::new(&dataset, &chain).with_signals(&signals)?;
//! let device = scaletot_encoder::Device::default();
//! let (encoder, log) = Distiller::new(EncoderConfig::default(), config)?.fit(&data, 7, &device, &())?;
//! assert_eq!((log.reasoned_rows, log.labelled_rows), (60, 30));
//!
//! // What serves needs the directory and the profiles' schema, and checks that they belong together.
//! let place = tempfile::tempdir()?;
//! let directory = place.path().join("encoder");
//! encoder.save(&directory, ArtifactInfo::new().with_note("a first try"))?;
//! let encoder = FrozenEncoder::load(&directory, &schema)?;
//! let mut new = TableBuilder::new(schema);
//! new.push_text("known", &["55+", "60"])?;
//! new.push_text("blank", &["", ""])?;
//! let scores = encoder.score(&new.finish())?;
//! assert_eq!(scores.abstained, [false, true]);
//! assert!(scores.value_of(0).is_some_and(|value| value >= 0.0) && scores.value_of(1).is_none());
//! assert_eq!(scores.posteriors[0].dim(), (2, 2));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is learned about the outcome is chosen by [`EncoderConfig::outcome_head`]: a zero-inflated log-normal distribution,
//! a Tweedie mean or tiers of amounts. How the student's signals are compared, how the losses' weights change from step to step and whether
//! users with large losses come up more often is chosen in [`DistillConfig`]. A value model that was fitted on the encoder's signals goes into
//! the artifact as a [`ValueHead`], so that what was measured is what is served.
//!
//! Signals come from [`scaletot-student`](https://docs.rs/scaletot-student), which infers them for any user of a table, profiles and outcomes from [`scaletot_profile`], states from
//! [`scaletot_chain`]. Value models are fitted in [`scaletot-ltv`](https://docs.rs/scaletot-ltv); [`scaletot-pipeline`](https://docs.rs/scaletot-pipeline)
//! runs all of it and scores populations from file to file.
//!
//! What is from the paper and what is this project's own: the paper says *that* the student's representations are
//! transferred to a light profile encoder; network, losses, artifact and report here are this project's formulation.
//! Sources of single parts are named where they are computed.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod artifact;
mod canary;
mod choices;
mod config;
mod distinct;
mod drift;
mod encoding;
mod error;
mod explain;
mod features;
mod featuriser;
mod field_terms;
mod frozen;
mod gate;
mod gradient;
mod head;
mod hidden;
mod histogram;
mod integral;
mod manifest;
mod network;
mod normal;
mod novelty;
mod outcome;
mod plan;
#[cfg(feature = "arrow")]
mod record_batch;
mod scores;
mod shape;
#[cfg(feature = "signature")]
#[cfg_attr(docsrs, doc(cfg(feature = "signature")))]
pub mod signature;
mod threads;
#[cfg(feature = "train")]
#[cfg_attr(docsrs, doc(cfg(feature = "train")))]
pub mod train;
mod transfer;
mod value_head;
mod weights;

/// Where the encoder is trained: a backend that a feature compiled in, by default the CPU. Burn's own type.
#[cfg(feature = "train")]
#[cfg_attr(docsrs, doc(cfg(feature = "train")))]
pub use burn::tensor::Device;
pub use choices::{RepresentationLoss, WeightSchedule, ZilnReduction};
pub use config::{DistillConfig, EncoderConfig};
pub use distinct::Deduplication;
pub use drift::{Drift, FieldDrift};
pub use encoding::FieldEncoding;
pub use error::{Error, Result};
pub use explain::{Contribution, Explanation, StatePosterior};
pub use features::{Column, Features, piecewise_weights};
pub use featuriser::{Featuriser, FieldEncoder};
pub use field_terms::FieldTerms;
pub use frozen::{Activations, Footprint, FrozenEncoder, Precision};
pub use gate::{Readiness, TransferGate};
pub use head::{OutcomeHead, OutcomeLink};
pub use hidden::HiddenUnit;
pub use histogram::FieldHistogram;
pub use manifest::ArtifactInfo;
pub use network::Outputs;
pub use novelty::DistanceLimit;
pub use outcome::{OutcomeScale, Ziln};
pub use scores::{Abstention, Scores, Selection};
pub use shape::Heads;
#[cfg(feature = "train")]
#[cfg_attr(docsrs, doc(cfg(feature = "train")))]
pub use train::{
    DistillData, DistillLog, Distiller, EpochLog, Losses, Stop, TrainedEncoder, UnitData, UnitTrainer,
};
pub use transfer::{TransferGroup, TransferReport, linear_cka};
pub use value_head::{ValueHead, ValueHeadBuilder};

/// The README's snippets compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
