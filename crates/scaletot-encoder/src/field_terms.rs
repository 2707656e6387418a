//! What a value head adds by field.

use scaletot_profile::Quantiles;
use serde::{Deserialize, Serialize};

use crate::encoding::FieldEncoding;
use crate::error::{Error, Result};

/// What the values of one profile field add to `ŷ`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum FieldTerms {
    /// Nothing.
    Unused,
    /// Of a categorical, ordinal or boolean (no, yes) field, and of a multi-valued one, where those of a set's values are summed.
    Codes {
        /// By code.
        codes: Vec<f64>,
        /// Where the field is missing.
        missing: f64,
    },
    /// Of a numeric field: `bins[j] + slope · j` for a number in bin `j`.
    Numeric {
        /// The bins, which need not be those of the encoder's own featuriser.
        quantiles: Quantiles,
        /// By [bin](Quantiles::bin).
        bins: Vec<f64>,
        /// Times the bin's number, which counts from 0.
        slope: f64,
        /// Where the field is missing.
        missing: f64,
    },
}

impl FieldTerms {
    /// By code or bin, then for missing; nothing if the field is not used.
    pub(crate) fn table(&self) -> Vec<f64> {
        match self {
            Self::Unused => vec![],
            Self::Codes { codes, missing } => codes.iter().copied().chain([*missing]).collect(),
            Self::Numeric { bins, slope, missing, .. } => {
                let bins = bins.iter().enumerate().map(|(bin, weight)| weight + slope * bin as f64);
                bins.chain([*missing]).collect()
            }
        }
    }

    /// The bins of a numeric field.
    pub(crate) fn quantiles(&self) -> Option<&Quantiles> {
        match self {
            Self::Numeric { quantiles, .. } => Some(quantiles),
            _ => None,
        }
    }

    /// Checks that there are as many numbers as the field has codes or bins.
    pub(crate) fn check(&self, field: &str, encoding: &FieldEncoding) -> Result<()> {
        let fits = |expected: String, holds: bool| {
            let found = || match self {
                Self::Unused => "none".to_owned(),
                Self::Codes { codes, .. } => format!("{} codes", codes.len()),
                Self::Numeric { quantiles, bins, .. } => {
                    format!("{} weights for {} numeric bins", bins.len(), quantiles.bins())
                }
            };
            let what = || format!("value head's terms of field `{field}`");
            if holds { Ok(()) } else { Err(Error::shape(what(), expected, found())) }
        };
        match (self, encoding) {
            (Self::Unused, _) => Ok(()),
            (
                Self::Codes { codes, .. },
                FieldEncoding::Index { cardinality } | FieldEncoding::Bag { cardinality },
            ) => fits(format!("{cardinality} codes"), codes.len() == *cardinality),
            (Self::Numeric { quantiles, bins, .. }, FieldEncoding::Piecewise { .. }) => {
                let count = quantiles.bins();
                fits(format!("{count} weights for {count} numeric bins"), bins.len() == count)
            }
            (_, FieldEncoding::Piecewise { .. }) => fits("those of a numeric field".to_owned(), false),
            (_, FieldEncoding::Index { cardinality } | FieldEncoding::Bag { cardinality }) => {
                fits(format!("{cardinality} codes"), false)
            }
        }
    }
}
