//! Static profiles of users: what fields there are, what values they may take, and which user has which.
//!
//! A pipeline that reasons about users from what is slowly changing about them (age band, household, region, plan) fails
//! quietly where its inputs do: an id column that lost its leading zeros, a category that a new release of the shop writes
//! differently, a number whose unit changed, a serving job that reads another schema than the training job did. So this
//! crate keeps all of that in one place and is strict about it. A [`ProfileSchema`] says what a profile is and has a stable
//! hash that everything fitted later is tied to; a [`ProfileTable`] holds profiles that fit their schema, by column, with
//! missing values; files that do not fit are refused with the file, the row and the column; and a [`Verbaliser`] says a
//! profile in words, for language models and for people.
//!
//! ```
//! use scaletot_profile::{FieldSpec, ProfileSchema, Segments, TableBuilder, Verbaliser};
//!
//! let schema = ProfileSchema::builder("shop")
//!     .with_subject("A customer")
//!     .with_id_column("customer_id")
//!     .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]).with_phrase("aged {}").with_missing(["NA"]))
//!     .with_field(FieldSpec::numeric("income").with_min(0.0).with_unit("EUR a year").with_phrase("with a {} household income"))
//!     .with_field(FieldSpec::boolean("owner").with_phrase("who owns the home"))
//!     .build()?;
//!
//! let mut rows = TableBuilder::new(schema);
//! rows.push_text(1001, &["35-54", "42000", "yes"])?;
//! rows.push_text(1002, &["NA", "11000", "no"])?;
//! rows.push_text(1003, &["55+", "95000", ""])?;
//! let table = rows.finish();
//!
//! let verbaliser = Verbaliser::fit(&table, 3)?;
//! assert_eq!(
//!     verbaliser.render(&table, 0),
//!     "A customer aged 35-54, with a moderate household income, who owns the home"
//! );
//! assert_eq!(table.populated(2), 2);
//!
//! // What does not fit is refused, and the message says where it is.
//! let mut rows = TableBuilder::new(table.schema().clone());
//! let error = rows.push_text(1004, &["36-54", "1", "no"]).unwrap_err();
//! assert_eq!(error.to_string(), r#"row 1, column "age": expected one of "18-34", "35-54", "55+", got "36-54""#);
//!
//! // Users are judged within segments, from a column or by the quantiles of a number.
//! let segments = Segments::from_quantiles(&[Some(0.0), Some(3.0), Some(8.0)], 3)?;
//! assert_eq!(segments.counts(), [1, 1, 1]);
//! # Ok::<(), scaletot_profile::Error>(())
//! ```
//!
//! Files are read and written with [`read`] and [`write`](write()), by their extension; see there for an example.
//!
//! # Features
//!
//! - `csv` (default): CSV files.
//! - `parquet`: Parquet files, by way of Arrow 59.
//!
//! With neither, schemas, tables and verbalisers remain, and the dependencies are serde, TOML, JSON and SHA-256.

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
mod place;
mod quantiles;
mod schema;
mod segments;
mod sentence;
mod spec;
mod table;
mod verbaliser;

pub use attributes::Attributes;
pub use builder::TableBuilder;
pub use dataset::{ArmSpec, Dataset, DatasetBuilder, DatasetSpec};
pub use error::{Error, Result};
pub use field::{Domain, Field, FieldKind, MultiDomain, Range, UNKNOWN, UnknownPolicy};
pub use hash::ProfileKey;
pub use id::{UserId, UserIds};
pub use io::{Loaded, ReadOptions, read, write};
#[cfg(feature = "parquet")]
pub use io::{ParquetProfiles, RowGroup, read_parquet, write_parquet};
#[cfg(feature = "csv")]
pub use io::{read_csv, read_csv_from, write_csv};
pub use levels::{LevelConfig, LevelRule};
pub use place::Place;
pub use quantiles::Quantiles;
#[doc(no_inline)]
pub use scaletot_core::Progress;
pub use schema::ProfileSchema;
pub use segments::Segments;
pub use spec::{FieldSpec, SchemaBuilder};
pub use table::{FieldValues, ProfileTable, Value};
pub use verbaliser::Verbaliser;

/// The README's example must compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
