//! A simulated randomised test: what a targeting policy would have brought, from the data of a randomised experiment.
//!
//! Somebody treated users at random (an e-mail, a voucher) with known probability and saw the outcomes. A *policy* is a
//! score and a share `x`: treat the share `x` of the users with the highest scores. Those who happened to get what the
//! policy would have given them tell, reweighted by their probability of it, what the policy is worth; no new
//! experiment is needed.
//!
//! | question | answer |
//! | --- | --- |
//! | What does a policy bring per customer? | [`Experiment::policy`], [`Experiment::policy_interval`] |
//! | Which of two policies brings more at the same share? | [`Experiment::compare`] |
//! | How does that go over all shares? | [`Experiment::qini`], [`Experiment::qini_interval`] |
//!
//! As everywhere in this crate, tied users share equally and the order of rows never matters: of a tied group at the
//! border of the top share, every user counts with the part of the group that is inside.
//!
//! ```
//! use scaletot_eval::Bootstrap;
//! use scaletot_eval::uplift::{Experiment, Propensity, Targeting};
//!
//! // Every second customer got an e-mail; it moves only those with a high `taste`.
//! let treated: Vec<bool> = (0..400).map(|u| u % 2 == 0).collect();
//! let taste: Vec<f64> = (0..400).map(|u| f64::from(u / 2 % 10)).collect();
//! let spend: Vec<f64> =
//!     treated.iter().zip(&taste).map(|(w, t)| if *w && *t > 5.0 { 3.0 + t } else { 3.0 }).collect();
//!
//! let experiment = Experiment::new(&treated, &spend, Propensity::Constant(0.5))?;
//! let informed = experiment.policy(&taste, &Targeting::top(0.2))?;
//! assert!((informed.incremental - 0.2 * 8.5).abs() < 1e-12); // tastes 8 and 9
//!
//! let blind = vec![1.0; 400];
//! let bootstrap = Bootstrap::default().with_replicates(500);
//! let difference = experiment.compare(&taste, &blind, &Targeting::top(0.2), &bootstrap, 1)?;
//! println!("{}", difference.in_words("by taste", "at random"));
//! assert!(difference.verdict().is_shown());
//! assert_eq!(experiment.qini(&blind, &[])?.coefficient, 0.0);
//! # Ok::<(), scaletot_eval::Error>(())
//! ```

mod experiment;
mod policy;
mod qini;
mod totals;

pub use experiment::{Experiment, Propensity};
pub use policy::{Estimator, PolicyDifference, PolicyEstimate, PolicyInterval, Targeting};
pub use qini::{Qini, QiniPoint};
