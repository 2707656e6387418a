//! Checks of numbers that come from outside.

use crate::error::{Error, Result};

/// How far a distribution's sum may be from 1, and an exact entropy from its distribution's.
pub const TOLERANCE: f64 = 1e-6;

pub(crate) fn finite(what: impl FnOnce() -> String, x: f64) -> Result<()> {
    if x.is_finite() {
        return Ok(());
    }
    Err(Error::BadNumber { what: what(), expected: "a finite number".to_owned(), found: x })
}

pub(crate) fn unit(what: impl FnOnce() -> String, x: f64) -> Result<()> {
    if (0.0..=1.0).contains(&x) {
        return Ok(());
    }
    Err(Error::BadNumber { what: what(), expected: "a number from 0 to 1".to_owned(), found: x })
}

/// Probabilities that sum to 1 within [`TOLERANCE`].
pub(crate) fn distribution(what: impl Fn() -> String, p: &[f64]) -> Result<()> {
    for (v, &x) in p.iter().enumerate() {
        unit(|| format!("{}: probability of value code {v}", what()), x)?;
    }
    let sum: f64 = p.iter().sum();
    if (sum - 1.0).abs() <= TOLERANCE {
        return Ok(());
    }
    let what = format!("{}: sum of the probabilities", what());
    Err(Error::BadNumber { what, expected: format!("1 within {TOLERANCE}"), found: sum })
}
