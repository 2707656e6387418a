//! Metrics for lifetime-value scores that do not flatter: ties have one defined meaning, undefined cases are errors, and
//! every comparison comes with an interval and a verdict in words, which may be that there is too little to tell.
//!
//! Outcomes are mostly 0 and scores from small vocabularies tie all the time, so how a metric treats ties decides its
//! value. Here, always: *the order of rows never matters*. Rank metrics use mid-ranks; value metrics let tied users
//! share their value equally. A constant score therefore gets exactly what knowing nothing is worth: ρ = 0, Gini = 0,
//! AUC = 0.5, a top-decile share of 0.1.
//!
//! ```
//! use scaletot_eval::{Arms, Bootstrap, Metric, decile_table};
//!
//! let outcomes = [0.0, 0.0, 0.0, 12.0, 0.0, 80.0, 3.0, 0.0, 0.0, 41.0];
//! let profile_only = [2.0, 1.0, 2.0, 8.0, 6.0, 9.0, 2.0, 2.0, 4.0, 5.0];
//! let with_signals = [1.0, 1.0, 2.0, 9.0, 3.0, 30.0, 2.0, 1.0, 4.0, 20.0];
//! assert_eq!(decile_table(&outcomes, &with_signals)?[0].mean_outcome, 80.0);
//!
//! // Both models by two metrics, on the same resamples of users.
//! let arms = Arms::new(&outcomes)?.with_scores(&with_signals)?.with_scores(&profile_only)?;
//! let metrics = [Metric::Spearman, Metric::NormalisedGini];
//! let replicates = Bootstrap::default().with_replicates(1_000).measure(&arms, &metrics, 0)?;
//! for metric in metrics {
//!     let difference = replicates.difference(0, 1, metric)?;
//!     assert!(difference.first > difference.second);
//!     // Ten users show little, and the sentence has it.
//!     println!("{}", difference.in_words("profile + signals", "profile only"));
//! }
//! # Ok::<(), scaletot_eval::Error>(())
//! ```
//!
//! # Up and down the flow
//! Scores come from whatever model is evaluated: in this workspace from the value models of
//! [`scaletot-ltv`](https://docs.rs/scaletot-ltv) and the encoders of
//! [`scaletot-encoder`](https://docs.rs/scaletot-encoder).
//! [`scaletot-pipeline`](https://docs.rs/scaletot-pipeline) runs these metrics on folds of users.
//!
//! # Metrics
//! | metric | range | perfect order | constant score | ties | undefined (an [`Error`]) |
//! | --- | --- | --- | --- | --- | --- |
//! | [`spearman`] | [−1, 1] | 1 | 0 | mid-ranks | outcomes all equal |
//! | [`normalised_gini`] | [−1, 1] | 1 | 0 | share equally | outcomes all equal |
//! | [`auc`] | [0, 1] | 1 | 0.5 | count half | one class |
//! | [`top_share`] | [0, 1] | largest possible | the fraction | share equally | outcomes all 0 |
//! | [`lift`] | [0, 1 / fraction] | largest possible | 1 | share equally | outcomes all 0 |
//! | [`decile_table`], [`calibration_error`] | error ≥ 0 | – | ten equal rows | share equally | outcomes all 0 |
//! | [`uplift`]: policy value, Qini curve | any | unknown | Qini 0 | share equally | an arm without users |
//!
//! All are textbook metrics; values are compared with SciPy, scikit-learn and NumPy in the tests. That tied users share
//! at the borders of deciles and of the top fraction, and that a constant score has ρ = 0, are this project's own
//! choices.
//!
//! # What few users can show
//! An interval knows how many users it can rest on ([`Interval::informative`], counted by [`Metric::informative`]) and on how many resamples
//! the metric was undefined. With too few or too many of them a comparison's verdict is [`Verdict::TooLittleData`], wherever the interval lies.
//!
//! Two modules go with them. [`uplift`] evaluates a targeting policy on the data of a randomised experiment.
//! [`planted`] is a synthetic world whose hidden states, and all that a profile tells about them, are known exactly.
#![forbid(unsafe_code)]

mod arms;
mod bootstrap;
mod check;
mod compare;
mod decile;
mod difference;
mod error;
mod gain;
mod informative;
mod interval;
mod metric;
pub mod planted;
mod rank;
pub mod uplift;
mod verdict;

pub use arms::{Arms, Resampler};
pub use bootstrap::Bootstrap;
pub use compare::Replicates;
pub use decile::{Decile, calibration_error, decile_table, quantile_table};
pub use difference::Difference;
pub use error::{Error, Result};
pub use gain::{lift, normalised_gini, top_share};
pub use interval::{Interval, Shortage};
pub use metric::Metric;
pub use rank::{auc, auc_of_positive, mid_ranks, spearman};
pub use verdict::{Direction, Verdict};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
