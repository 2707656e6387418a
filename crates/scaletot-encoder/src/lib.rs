//! A light profile encoder: the student's reasoning about a user, from the user's static profile alone, at the price of
//! a few table lookups and small matrix products.
//!
//! A language model has reasoned about a small share of the users and a student has learned from it. For all the others
//! there is only the profile. This crate trains a network that maps a profile to the student's *signals* (posteriors of
//! the user states and a representation) and to a distribution of the outcome, writes it as a verified artifact, and
//! scores profiles with it. Training and serving are apart: training is in Burn behind the feature `train`; without it
//! no training framework is in the dependency tree, and everything below but `distill` is still there.
//!
//! ```
//! # #[cfg(feature = "train")] {
//! use ndarray::{Array2, Array3};
//! use scaletot_chain::{ChainSchema, StateDef};
//! use scaletot_encoder::{ArtifactInfo, DistillConfig, EncoderConfig, FrozenEncoder, Targets, distill};
//! use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
//!
//! // Profiles: the student has reasoned about all of them, the outcome is known for every other one.
//! let schema = ProfileSchema::builder("shop")
//!     .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
//!     .with_field(FieldSpec::numeric("income"))
//!     .build()?;
//! let mut table = TableBuilder::new(schema.clone());
//! for id in 0..60i64 {
//!     let age = ["18-34", "35-54", "55+"][id as usize % 3];
//!     table.push_text(id, &[age, &format!("{}", 10 * (id % 7))])?;
//! }
//! let table = table.finish();
//! let chain = ChainSchema::builder("shopper").with_state(StateDef::ordinal("spend", ["low", "high"])).build()?;
//! let rich = |row: usize| if row % 7 > 3 { 0.9 } else { 0.2 };
//! let targets = Targets {
//!     posteriors: vec![Array2::from_shape_fn((60, 2), |(row, v)| if v == 1 { rich(row) } else { 1.0 - rich(row) })],
//!     representations: Array3::from_shape_fn((60, 1, 4), |(row, _, i)| rich(row) * (i as f32 - 1.5)),
//! };
//! let outcomes: Vec<Option<f64>> =
//!     (0..60).map(|row| (row % 2 == 0).then(|| if rich(row) > 0.5 { 80.0 } else { 0.0 })).collect();
//! let rows: Vec<usize> = (0..60).collect();
//!
//! let mut course = DistillConfig::default();
//! course.epochs = 10;
//! let (encoder, log) = distill(
//!     &EncoderConfig::default(),
//!     &course,
//!     &table,
//!     &chain,
//!     &rows,
//!     Some(&targets),
//!     &outcomes,
//!     &rows,
//!     &burn::tensor::Device::default(),
//!     &(),
//! )?;
//! assert_eq!((log.reasoned_rows, log.labelled_rows), (60, 30));
//!
//! // What serves needs the directory and the profiles' schema, and checks that they belong together.
//! let place = tempfile::tempdir()?;
//! let directory = place.path().join("encoder");
//! encoder.save(&directory, ArtifactInfo::new().note("a first try"))?;
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
//! a Tweedie mean or tiers of amounts. How the student's signals are compared, how the losses' weights change over the
//! course and whether users with large losses come up more often is chosen in [`DistillConfig`].
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
mod error;
mod explain;
mod features;
mod featuriser;
mod frozen;
mod gate;
mod gradient;
mod head;
mod histogram;
mod manifest;
mod network;
mod normal;
mod novelty;
mod outcome;
mod plan;
mod scores;
mod shape;
mod targets;
mod threads;
#[cfg(feature = "train")]
#[cfg_attr(docsrs, doc(cfg(feature = "train")))]
pub mod train;
mod transfer;
mod value_head;
mod weights;

pub use choices::{RepresentationLoss, WeightSchedule, ZilnReduction};
pub use config::{DistillConfig, EncoderConfig};
pub use distinct::Deduplication;
pub use drift::{Drift, FieldDrift};
pub use error::{Error, Result};
pub use explain::{Contribution, Explanation, StatePosterior};
pub use features::{Column, Features, piecewise_weights};
pub use featuriser::{Featuriser, FieldEncoder, FieldEncoding};
pub use frozen::{Activations, Footprint, FrozenEncoder, Precision};
pub use gate::{Readiness, TransferGate};
pub use head::{OutcomeHead, OutcomeLink};
pub use histogram::FieldHistogram;
pub use manifest::ArtifactInfo;
pub use network::Outputs;
pub use novelty::DistanceLimit;
pub use outcome::{OutcomeScale, Ziln};
pub use scores::{Abstention, Scores, Selection};
pub use shape::Heads;
pub use targets::Targets;
#[cfg(feature = "train")]
#[cfg_attr(docsrs, doc(cfg(feature = "train")))]
pub use train::{EpochLog, Losses, Stop, TrainLog, TrainedEncoder, distill};
pub use transfer::{TransferGroup, TransferReport, linear_cka};
pub use value_head::{FieldTerms, ValueHead, ValueHeadBuilder};

/// The README's snippets compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
