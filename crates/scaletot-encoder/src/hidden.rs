//! Hidden units of a value head.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::field_terms::FieldTerms;

/// A rectified unit that a [value head](crate::ValueHead) has for itself beside the encoder's trunk: `v max(c + Σ_f table_f[x_f], 0)`.
///
/// A trunk is trained on what the student says; how fields act together on outcomes need not be in it. A few such units take that over. Their
/// tables are looked up by the same codes and bins as those of the head's own [fields](crate::FieldTerms).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HiddenUnit {
    bias: f64,
    weight: f64,
    tables: Vec<Vec<f64>>,
}

impl HiddenUnit {
    /// A unit of bias `c`, outgoing weight `v` and one table per profile field, in the schema's order: by code or bin, then for missing;
    /// empty for a field that adds nothing. Whether the numbers can be served is checked by
    /// [`ValueHeadBuilder::build`](crate::ValueHeadBuilder::build), whether the tables fit where the head is put into an encoder.
    #[must_use]
    pub fn new(bias: f64, weight: f64, tables: Vec<Vec<f64>>) -> Self {
        Self { bias, weight, tables }
    }

    /// `c`.
    #[must_use]
    pub fn bias(&self) -> f64 {
        self.bias
    }

    /// `v`.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// One per profile field, by code or bin and then for missing; empty for a field that adds nothing.
    #[must_use]
    pub fn tables(&self) -> &[Vec<f64>] {
        &self.tables
    }

    /// The same unit with its weight multiplied by a factor.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        self.weight *= factor;
        self
    }

    /// All numbers, for a look at whether they are finite.
    pub(crate) fn numbers(&self) -> Vec<f64> {
        let tables = self.tables.iter().flatten().copied();
        tables.chain([self.bias, self.weight]).collect()
    }

    /// Checks that the tables are as long as those of the head's fields.
    pub(crate) fn check(&self, number: usize, fields: &[FieldTerms]) -> Result<()> {
        let what =
            || format!("tables of the value head's hidden unit {number}, one per field with own terms");
        if self.tables.len() != fields.len() {
            return Err(Error::shape(what(), fields.len(), self.tables.len()));
        }
        for (field, (table, terms)) in self.tables.iter().zip(fields).enumerate() {
            let (expected, found) = (terms.table().len(), table.len());
            if found != 0 && found != expected {
                let what = format!("entries of field {field} in the value head's hidden unit {number}");
                return Err(Error::shape(what, expected, found));
            }
        }
        Ok(())
    }
}
