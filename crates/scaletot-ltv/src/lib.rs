//! What users are worth, from their static profiles and the reasoning signals about them: value models that are fitted once, saved, loaded
//! and explained.
//!
//! Outcomes such as lifetime value are mostly 0, heavy-tailed and known of few users. Signals (marginals of user states and representations,
//! from a student or an encoder) help most where labels are few, and must do no harm where they are many. So a value model is a
//! stack of models with and without signals, weighed by what each predicts of users it has not seen.
//!
//! ```
//! use scaletot_chain::Signals;
//! use scaletot_ltv::{ValueModel, ValueModelConfig, ValueTrainer};
//! use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};
//!
//! // Profiles, the outcome of every other user, and signals: one state, "spends", of two values.
//! let schema = ProfileSchema::builder("shop")
//!     .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
//!     .with_field(FieldSpec::numeric("income"))
//!     .build()?;
//! let mut rows = TableBuilder::new(schema.clone());
//! for id in 0..80i64 {
//!     let age = ["18-34", "35-54", "55+"][id as usize % 3];
//!     rows.push_text(id, &[age, &format!("{}", 10 * (id % 7))])?;
//! }
//! let table = rows.finish();
//! let high = |row: usize| if row % 7 > 3 { 0.75 } else { 0.25 };
//! let marginals = (0..80).flat_map(|row| [1.0 - high(row), high(row)]).collect();
//! let signals = Signals::new((0..80).collect(), vec![2], marginals, [0, 0], vec![])?;
//! let outcomes = (0..80).map(|row| (row % 2 == 0).then(|| if row % 7 > 3 { 80.0 } else { 0.0 })).collect();
//! let dataset = Dataset::builder(table.clone()).with_outcomes(outcomes).build()?;
//!
//! let model = ValueTrainer::new(ValueModelConfig::default())?.fit(&dataset, &signals, 7, &())?;
//!
//! // What was saved predicts the same for everybody.
//! let place = tempfile::tempdir()?;
//! let directory = place.path().join("value-model");
//! model.save(&directory)?;
//! let model = ValueModel::load(&directory, &schema, &[])?;
//! let values = model.predict(&table, &signals)?;
//! assert!(values[5] > 10.0 * values[1]);
//!
//! // Why user 5: what the fields and the states add on the scale of ln(1 + outcome).
//! let why = model.explain(&table, 5, &signals)?;
//! assert!(why.states[0] > 0.0);
//! assert!((why.base() + why.signals() - why.log_value).abs() < 1e-9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is computed
//!
//! For a user with profile `x` and signals `s` (marginals `p_k` of the states `k`, representation `z`), and outcome `o ≥ 0`, every model `m` of
//! the stack predicts `y = ln(1 + o)`:
//!
//! - [`Component::Ridge`]: ridge regression (Hoerl and Kennard 1970) on one column per value of each field and one for missing; a numeric
//!   field has one column per quantile bin and the bin's number.
//! - [`Component::Informed`]: the same on profile and signals side by side, with a penalty of its own for each; [`Component::Signals`] on the
//!   signals alone.
//! - [`Component::Learners`]: committees of any models on the profile alone, by the traits [`BaseLearner`] and [`BaseModel`].
//! - [`Component::Level`]: `Σ_v v p_K(v) / (|V_K| − 1)`, the expected level of the last state, which is linked to the outcome.
//!
//! The labelled users are cut into parts at random, groups kept together, and each model also predicts each part from the others alone. On
//! these predictions out of fold `ŷ_m` are fitted
//!
//! - the stack `ŷ = c + Σ_m w_m ŷ_m` with `w_m ≥ 0` (Breiman 1996), shrunk to equal weights by as much as
//!   [`prior_users`](ValueModelConfig::prior_users) users weigh, since an average is hard to beat with few outcomes,
//! - the way back from logarithms, `value = exp(a + b ŷ)` with `b > 0`, by Poisson pseudo-maximum likelihood (Gourieroux, Monfort and Trognon
//!   1984): consistent for the mean outcome whatever its distribution, and the mean over the labelled users is right.
//!
//! Without any outcome the level ranks users ([`Link::Level`]). All of this is this project's formulation; the paper says that signals
//! improve lifetime-value prediction, and not by which model.
//!
//! # Up and down the flow
//!
//! Datasets come from [`scaletot_profile`], signals are [`scaletot_chain::Signals`], which [`scaletot-student`](https://docs.rs/scaletot-student) and
//! [`scaletot-encoder`](https://docs.rs/scaletot-encoder) infer. A
//! value model goes on as [`ValueModel::linear_terms`]: weights per field value, marginal and representation, which an encoder folds into its
//! own tables so that what is measured is what is served. [`scaletot-eval`](https://docs.rs/scaletot-eval) measures what it predicts;
//! [`scaletot-pipeline`](https://docs.rs/scaletot-pipeline) runs it all and
//! brings the networks that the published figures have as learners.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod base;
mod calibrate;
mod committee;
mod component;
mod config;
mod design;
mod error;
mod explain;
mod learner;
mod model;
mod parts;
mod recipe;
mod ridge;
mod save;
mod signal_columns;
mod stack;
mod terms;
mod trainer;

pub use base::BaseFit;
pub use component::Component;
pub use config::{Representation, ValueModelConfig};
pub use error::{Error, LearnerError, Result};
pub use explain::Explanation;
pub use learner::{BaseLearner, BaseLoader, BaseModel, Sample};
pub use model::{Link, OutOfFold, ValueModel};
pub use save::VALUE_MODEL_FORMAT;
pub use terms::{FieldTerms, LinearTerms};
pub use trainer::ValueTrainer;

/// The README's example must compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
