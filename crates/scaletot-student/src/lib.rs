//! A small student of a large teacher: it reads a static profile and gives a legal user-state chain, a marginal for each state,
//! and representations.
//!
//! A teacher can reason about a few thousand users; the student learns from those chains to reason
//! about all that are asked of it. It is a small decoder-only transformer that reads a profile and decodes a
//! typed user-state chain, one token per state value. It begins with nothing and reads one token per `field=value`
//! ([`Student::new`]), or it is a published checkpoint that reads the profile as a sentence
//! ([`Student::from_pretrained`]). [`Sft`] trains it on the teacher's accepted chains, then [`Osipo`] on what users turned out to
//! be worth; [`Student::infer`] gives the [`Signals`](scaletot_chain::Signals) of users.
//!
//! ```
//! use scaletot_chain::{Chain, ChainRecord, ChainSchema, Corpus, CorpusHeader, StateDef, Verdict};
//! use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};
//! use scaletot_student::{Device, InferConfig, Sft, SftConfig, Student, StudentConfig};
//!
//! let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
//! let chain = ChainSchema::builder("customer")
//!     .with_state(StateDef::ordinal("need", ["low", "high"]))
//!     .with_state(StateDef::ordinal("spend", ["low", "high"]).with_depends_on(["need"]))
//!     .build()?;
//!
//! // Forty users, and what a teacher made of each of them; mostly a file that `Corpus::read` reads.
//! let header = CorpusHeader::new(schema.hash(), &chain, "an expert", 1);
//! let mut builder = TableBuilder::new(schema);
//! let mut records = Vec::new();
//! for user in 0..40i64 {
//!     let old = user % 2;
//!     builder.push_text(user, &[["18-34", "35+"][old as usize]])?;
//!     let best = Chain::certain(&chain, &[old as u16, old as u16])?;
//!     records.push(ChainRecord::new(user.into(), Verdict::Accepted).with_best(Some(best)));
//! }
//! let dataset = Dataset::from(builder.finish());
//! let corpus = Corpus::new(header, records, &chain)?;
//!
//! let mut sizes = StudentConfig::default();
//! (sizes.d_model, sizes.n_layers, sizes.d_ff) = (16, 1, 32);
//! let mut config = SftConfig::default();
//! (config.epochs, config.batch_size, config.learning_rate) = (12, 8, 1e-2);
//! let student = Student::new(&sizes, dataset.table(), &chain, 7, &Device::default())?;
//! let (student, log) = Sft::new(config)?.fit(&student, &corpus.join(&dataset)?, 7, &())?;
//! assert_eq!(log.users + log.validation_users, 40);
//!
//! let inference = student.infer(dataset.table(), &[0, 1], &InferConfig::default())?;
//! assert_eq!(inference.chain(0), [0, 0]);
//! assert_eq!(inference.chain(1), [1, 1]);
//! assert_eq!(inference.signals().representation_shape(), [2, 16]); // states, width
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Up and down the flow
//! | before it | after it |
//! | --- | --- |
//! | [`scaletot_profile`]: profiles, outcomes and segments ([`Dataset`](scaletot_profile::Dataset)) | [`scaletot-encoder`](https://docs.rs/scaletot-encoder): distils the signals into an encoder that scores a population |
//! | [`scaletot_chain`]: the chains that the teacher ([`scaletot-teacher`](https://docs.rs/scaletot-teacher)) wrote ([`Corpus`](scaletot_chain::Corpus)) | [`scaletot-ltv`](https://docs.rs/scaletot-ltv): value models on profile and signals |
//! | [`scaletot_osipo`]: the loss that [`Osipo`] minimises | [`scaletot-pipeline`](https://docs.rs/scaletot-pipeline): all stages, with resume |
//!
//! # Choices
//! - **A missing field has no token.** Sparse profiles are short sequences, and field dropout in training
//!   makes exactly the profiles that lack a field; see [`ProfileTokenizer`].
//! - **A checkpoint reads the profile in words, and decodes tokens of its own.** Sentences are what it was trained on; a
//!   chain of words would be longer, and its values not comparable. The chain's tokens are added to the vocabulary, each as the
//!   mean of its words, and are trained with the adapters of [`Student::with_lora`]; a text is never cut. So what
//!   follows holds for both kinds.
//! - **An illegal chain cannot be decoded.** Each state's value is chosen among those the chain schema
//!   allows, and marginals are taken over the same values; see [`Student::infer`].
//! - **OSIPO looks at the policy that decodes**, that is at log-probabilities over legal values; see
//!   [`Osipo`].
//! - **Everything follows from seeds.** Weights, order, dropout and samples are drawn on the host from
//!   streams of the caller's seed, never from a device's shared generator. The same seed gives the same run
//!   on one backend, where that adds numbers up in one order: CPUs do, GPUs need not.
//! - **`AdamW` is PyTorch's** (β = 0.9, 0.999; ε = 1e-8; decoupled decay), and gradients are clipped by their
//!   global norm; Burn's own defaults and clipping differ.
//!
//! The architecture is that of the `LLaMA` family (see [`decoder`]); soft targets, curation weights and the
//! candidate rules are this project's own.
//!
//! # Features
//! `flex` (default), `ndarray`, `wgpu`, `vulkan` and `cuda` compile a backend in; the `Device` chooses among
//! them.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod beam;
mod choose;
mod config;
pub mod decoder;
mod error;
mod files;
mod host;
mod infer;
mod inference;
mod lora;
mod marginals;
mod parts;
mod precision;
mod pretrained;
mod seeds;
mod store;
mod student;
mod tokenizer;
mod train;
mod walk;
mod weights;

/// Where a student lives and is trained: a backend that a feature compiled in, by default the CPU. Burn's own type.
pub use burn::tensor::Device;

pub use beam::ScoredChain;
pub use choose::Sampling;
pub use config::StudentConfig;
pub use error::{Cause, Error, Result};
pub use inference::{InferConfig, Inference};
pub use lora::{LoraConfig, LoraTarget};
pub use precision::Precision;
pub use pretrained::Pretrained;
pub use student::Student;
pub use tokenizer::{ProfileTokenizer, TokenSequence};
pub use train::osipo::{ChainReward, Osipo, OsipoConfig, OsipoEpoch, OsipoLog};
pub use train::sft::{Sft, SftConfig, SftEpoch, SftLog, SoftLabel};
pub use train::{Checkpoints, Stop};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
