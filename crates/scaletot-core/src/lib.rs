//! What several crates of the workspace stand on, each thing once: content hashes, checks of settings, progress and stop, a pool
//! of threads, files that appear whole or not at all, streams of random numbers, and the small formulas that must give the same answer everywhere.
//!
//! Two crates that each have their own softmax, or their own idea of the entropy of nothing, disagree one day, and the
//! difference is found in results. What is here has one definition, and depends on no other crate of ours.
//!
//! ```
//! use rand_chacha::rand_core::Rng;
//! use scaletot_core::{ContentHash, Progress, numeric, seed};
//!
//! /// Draws one value per user from the same logits.
//! fn draw(users: u64, logits: &[f64], seed: u64, progress: &dyn Progress) -> Vec<usize> {
//!     let shares = numeric::softmax(logits);
//!     progress.start("draw", users);
//!     let mut drawn = Vec::new();
//!     for user in (0..users).take_while(|_| !progress.stopped()) {
//!         // A stream per user: what one draws does not depend on how many others there are.
//!         let mut left = seed::stream(seed, &[user]).next_u64() as f64 / u64::MAX as f64;
//!         let value = shares.iter().position(|share| {
//!             left -= share;
//!             left < 0.0
//!         });
//!         drawn.push(value.unwrap_or(shares.len() - 1));
//!         progress.advance(1);
//!     }
//!     progress.finish();
//!     drawn
//! }
//!
//! let drawn = draw(1000, &[2.0, 1.0, 0.0], 7, &());
//! assert_eq!(drawn[..10], draw(10, &[2.0, 1.0, 0.0], 7, &()));
//! // What was drawn is recognised again later.
//! let hash = ContentHash::of(format!("{drawn:?}"));
//! assert_eq!(hash.to_string().parse::<ContentHash>()?, hash);
//! # Ok::<(), scaletot_core::Error>(())
//! ```
//!
//! # Up and down the flow
//!
//! Every crate of the workspace may stand on this one. Files and hashes are those of profiles ([`scaletot-profile`](https://docs.rs/scaletot-profile))
//! and chains ([`scaletot-chain`](https://docs.rs/scaletot-chain)); the entropy is that of the search
//! ([`scaletot-search`](https://docs.rs/scaletot-search)); progress and stop are those of all that trains, and of
//! [`scaletot-pipeline`](https://docs.rs/scaletot-pipeline), which runs all stages.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod checksum;
pub mod config;
mod error;
pub mod files;
pub mod guard;
pub mod hash;
pub mod numeric;
pub mod pool;
pub mod progress;
pub mod seed;
pub mod text;

pub use error::{Error, Result, causes};
pub use hash::{ContentHash, ContentHasher};
pub use pool::{Order, Pool};
pub use progress::{Lines, Progress};

/// The README's example must compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
