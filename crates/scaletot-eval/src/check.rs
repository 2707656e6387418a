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

/// As [`pair`], with outcomes of at least 0 that are not all 0. Returns their sum.
pub(crate) fn value_pair(metric: &'static str, outcomes: &[f64], scores: &[f64]) -> Result<f64> {
    pair(metric, outcomes, scores)?;
    if let Some(row) = outcomes.iter().position(|&outcome| outcome < 0.0) {
        return Err(Error::NegativeOutcome { row, value: outcomes[row] });
    }
    let total: f64 = outcomes.iter().sum();
    if total == 0.0 {
        return Err(Error::AllZeroOutcomes { what: metric, rows: outcomes.len() });
    }
    Ok(total)
}

pub(crate) fn not_constant(metric: &'static str, outcomes: &[f64]) -> Result<()> {
    match outcomes.first() {
        Some(&value) if outcomes.iter().all(|&outcome| outcome == value) => {
            Err(Error::ConstantOutcomes { what: metric, rows: outcomes.len(), value })
        }
        _ => Ok(()),
    }
}
