//! Checks that metrics share.

use crate::{Error, Result};

pub(crate) fn lengths(what: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found { Ok(()) } else { Err(Error::LengthMismatch { what, expected, found }) }
}

pub(crate) fn finite(what: &'static str, values: &[f64]) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(row) => Err(Error::NotFinite { what, row, value: values[row] }),
    }
}

/// Same length, not empty, all finite.
pub(crate) fn pair(metric: &'static str, outcomes: &[f64], scores: &[f64]) -> Result<()> {
    lengths("scores", outcomes.len(), scores.len())?;
    if outcomes.is_empty() {
        return Err(Error::Empty { what: metric });
    }
    finite("outcome", outcomes)?;
    finite("score", scores)
}

/// Outcomes that can be added up: each times `unit` first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sum {
    pub(crate) unit: f64,
    /// Of all outcomes times `unit`.
    pub(crate) total: f64,
}

/// As [`pair`], with outcomes of at least 0 that are not all 0. Returns their sum.
pub(crate) fn value_pair(metric: &'static str, outcomes: &[f64], scores: &[f64]) -> Result<Sum> {
    pair(metric, outcomes, scores)?;
    if let Some(row) = outcomes.iter().position(|&outcome| outcome < 0.0) {
        return Err(Error::NegativeOutcome { row, value: outcomes[row] });
    }
    let unit = summable(outcomes.iter().copied());
    let total: f64 = outcomes.iter().map(|outcome| outcome * unit).sum();
    if total == 0.0 {
        return Err(Error::AllZeroOutcomes { what: metric, rows: outcomes.len() });
    }
    Ok(Sum { unit, total })
}

/// What to multiply numbers with so that their sum, and 20 times the sum of their sizes, is one too: 1 for all but huge numbers, else a
/// power of two, which costs no digit.
pub(crate) fn summable(values: impl Iterator<Item = f64>) -> f64 {
    let (count, size) = values.fold((1_u64, 0.0), |(count, size), value| (count + 1, size + value.abs()));
    if (20.0 * size).is_finite() { 1.0 } else { 0.5_f64.powi(64 - count.leading_zeros() as i32 + 5) }
}

/// A result that left the numbers.
pub(crate) fn result(what: &'static str, value: f64) -> Result<f64> {
    if value.is_finite() { Ok(value) } else { Err(Error::NotRepresentable { what, value }) }
}

pub(crate) fn not_constant(metric: &'static str, outcomes: &[f64]) -> Result<()> {
    match outcomes.first() {
        Some(&value) if outcomes.iter().all(|&outcome| outcome == value) => {
            Err(Error::ConstantOutcomes { what: metric, rows: outcomes.len(), value })
        }
        _ => Ok(()),
    }
}
