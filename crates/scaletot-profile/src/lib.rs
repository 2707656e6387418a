//! Static profiles of users: what fields there are, what values they may take, and which user has which.
//!
//! ```
//! use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, Segments, TableBuilder, Verbaliser};
//!
//! let schema = ProfileSchema::builder("shop")
//!     .with_subject("A customer")
//!     .with_id_column("customer_id")
//!     .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]).with_phrase("aged {}").with_missing(["NA"]))
//!     .with_field(FieldSpec::numeric("income").with_min(0.0).with_phrase("with a {} household income"))
//!     .with_field(FieldSpec::boolean("owner").with_phrase("who owns the home"))
//!     .build()?;
//!
//! let mut rows = TableBuilder::new(schema);
//! rows.push_text(1001, &["35-54", "42000", "yes"])?;
//! rows.push_text(1002, &["NA", "11000", "no"])?;
//! rows.push_text(1003, &["55+", "95000", ""])?;
//! let table = rows.finish();
//! assert_eq!(table.populated(2), 2);
//!
//! // What does not fit is refused, with its row and column.
//! let mut rows = TableBuilder::new(table.schema().clone());
//! let error = rows.push_text(1004, &["36-54", "1", "no"]).unwrap_err();
//! let expected = r#"row 1, column "age": expected one of "18-34", "35-54", "55+", found "36-54""#;
//! assert!(error.to_string().starts_with(expected)); // and unknown = "bucket" in the schema is named, which takes it
//!
//! // Profiles in words, for language models and people.
//! let verbaliser = Verbaliser::fit(&table, 3)?;
//! assert_eq!(
//!     verbaliser.render(&table, 0),
//!     "A customer aged 35-54, with a moderate household income, who owns the home"
//! );
//!
//! // The table with what came of its users and the segments they are judged within: what the stages of a pipeline take.
//! let dataset = Dataset::builder(table)
//!     .with_outcomes(vec![Some(12.5), None, Some(0.0)])
//!     .with_segments(Segments::from_quantiles(&[Some(0.0), Some(3.0), Some(8.0)], 3)?)
//!     .build()?;
//! assert_eq!(dataset.labelled().collect::<Vec<_>>(), [0, 2]);
//! assert_eq!(dataset.segments().counts(), [1, 1, 1]);
//! # Ok::<(), scaletot_profile::Error>(())
//! ```
//!
//! A pipeline that reasons about users from what is slowly changing about them (age band, household, region, plan) fails
//! quietly where its inputs do: an id column that lost its leading zeros, a category that a new release of the shop writes
//! differently, a number whose unit changed, a serving job that reads another schema than the training job did. So all of that
//! is in one crate, which is strict about it:
//!
//! - A [`ProfileSchema`] is what a profile is, and has a stable hash that everything fitted later is tied to.
//! - A [`ProfileTable`] holds profiles that fit their schema, by column, with missing values. It comes from a [`TableBuilder`], from a file
//!   ([`read`], and [`write`](write()) back, by the file's extension), or from Arrow batches (`ProfileTable::from_record_batch`).
//! - A [`Dataset`] is a table with outcomes, segments, groups and the arm of an experiment, aligned by construction; [`Dataset::read`]
//!   takes them from the columns that a [`DatasetSpec`] names.
//! - A [`Verbaliser`] renders a profile in words. [`Quantiles`] and [`Segments`] cut users into groups, by a number or by labels.
//!
//! # Up and down the flow
//!
//! Under this crate is [`scaletot-core`](https://docs.rs/scaletot-core). On its schemas and datasets stand
//! [`scaletot-chain`](https://docs.rs/scaletot-chain), which joins a corpus of reasoned user states to a [`Dataset`];
//! [`scaletot-teacher`](https://docs.rs/scaletot-teacher), whose prompts a [`Verbaliser`] renders;
//! [`scaletot-student`](https://docs.rs/scaletot-student) and [`scaletot-encoder`](https://docs.rs/scaletot-encoder), which learn from both;
//! [`scaletot-ltv`](https://docs.rs/scaletot-ltv), which predicts the outcomes; and
//! [`scaletot-pipeline`](https://docs.rs/scaletot-pipeline), which runs them all.
//!
//! # Features
//!
//! - `csv` (default): CSV files.
//! - `arrow`: tables, attributes and datasets from and to record batches of Arrow 59, the line that DataFusion 55 is on.
//! - `parquet`: Parquet files, by way of `arrow`.
//!
//! With none, schemas, tables, datasets and verbalisers remain.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attributes;
mod builder;
mod cell;
mod column;
mod dataset;
mod error;
mod field;
mod hash;
mod id;
mod io;
mod levels;
mod markers;
mod place;
mod quantiles;
mod schema;
mod schema_builder;
mod schema_file;
mod segments;
mod sentence;
mod spec;
mod table;
mod verbaliser;

pub use attributes::Attributes;
pub use builder::TableBuilder;
pub use cell::Value;
pub use dataset::{ArmSpec, Dataset, DatasetBuilder, DatasetSpec};
pub use error::{Error, Result};
pub use field::{Domain, Field, FieldKind, MultiDomain, Range, UNKNOWN, UnknownPolicy};
pub use hash::ProfileKey;
pub use id::{UserId, UserIds};
#[cfg(feature = "csv")]
pub use io::{CsvPreview, read_csv, read_csv_from, write_csv};
pub use io::{LeftOut, Loaded, MISSING_NUMBERS, ReadOptions, read, write};
#[cfg(feature = "parquet")]
pub use io::{ParquetPreview, ParquetProfiles, PreviewColumn, RowGroup, read_parquet, write_parquet};
pub use levels::{LevelConfig, LevelRule};
pub use place::Place;
pub use quantiles::Quantiles;
#[doc(no_inline)]
pub use scaletot_core::Progress;
pub use schema::ProfileSchema;
pub use schema_builder::SchemaBuilder;
pub use segments::Segments;
pub use spec::FieldSpec;
pub use table::{FieldValues, ProfileTable};
pub use verbaliser::Verbaliser;

/// The README's example must compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
