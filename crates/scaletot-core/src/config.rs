//! The one error of settings and arguments that are out of range, and the checks that give it.
//!
//! Every crate's `Error::Config` holds a [`ConfigError`], so that a program shows all of them alike, whichever crate found them.

use std::borrow::Cow;

/// A setting or an argument that is out of its range, or does not fit the others.
///
/// ```
/// use scaletot_core::config::{ConfigError, check};
///
/// fn with_bins(bins: usize) -> Result<usize, ConfigError> {
///     check(bins > 0, "bins", "at least 1", bins)?;
///     Ok(bins)
/// }
///
/// assert_eq!(with_bins(3), Ok(3));
/// let error = with_bins(0).unwrap_err();
/// assert_eq!(error.field, "bins");
/// assert_eq!(error.to_string(), "`bins`: expected at least 1, found 0");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: expected {expected}, found {found}")]
#[non_exhaustive]
pub struct ConfigError {
    /// The setting or argument, as it is written in code or in a file.
    pub field: Cow<'static, str>,
    /// What it may be, in words.
    pub expected: Cow<'static, str>,
    /// What it is.
    pub found: String,
}

impl ConfigError {
    /// The error of a `field` that should be as `expected` and is as `found`.
    #[must_use]
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        expected: impl Into<Cow<'static, str>>,
        found: impl ToString,
    ) -> Self {
        Self { field: field.into(), expected: expected.into(), found: found.to_string() }
    }
}

/// Refuses a setting unless `holds`.
///
/// # Errors
/// [`ConfigError`] unless `holds`.
pub fn check(
    holds: bool,
    field: impl Into<Cow<'static, str>>,
    expected: impl Into<Cow<'static, str>>,
    found: impl ToString,
) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::new(field, expected, found)) }
}

/// Refuses a number that is not finite or not above 0.
///
/// # Errors
/// [`ConfigError`] for such a number.
pub fn positive(field: impl Into<Cow<'static, str>>, found: f64) -> Result<(), ConfigError> {
    check(found.is_finite() && found > 0.0, field, "a finite number above 0", found)
}

/// Refuses a number that is not finite or is below 0.
///
/// # Errors
/// [`ConfigError`] for such a number.
pub fn at_least_zero(field: impl Into<Cow<'static, str>>, found: f64) -> Result<(), ConfigError> {
    check(found.is_finite() && found >= 0.0, field, "a finite number of at least 0", found)
}

/// Refuses a number outside of `[0, 1]`.
///
/// # Errors
/// [`ConfigError`] for such a number.
pub fn unit_interval(field: impl Into<Cow<'static, str>>, found: f64) -> Result<(), ConfigError> {
    check((0.0..=1.0).contains(&found), field, "a number from 0 to 1", found)
}

/// Refuses a share of a whole that is not above 0 and at most 1.
///
/// # Errors
/// [`ConfigError`] for such a number.
pub fn share(field: impl Into<Cow<'static, str>>, found: f64) -> Result<(), ConfigError> {
    check(found > 0.0 && found <= 1.0, field, "a share above 0 and at most 1", found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_out_of_every_range() {
        for found in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert!(positive("x", found).is_err(), "{found}");
            assert!(at_least_zero("x", found).is_err(), "{found}");
            assert!(unit_interval("x", found).is_err(), "{found}");
            assert!(share("x", found).is_err(), "{found}");
        }
        assert!(positive("x", 0.0).is_err());
        assert!(at_least_zero("x", 0.0).is_ok());
        assert!(unit_interval("x", 0.0).is_ok() && unit_interval("x", 1.0).is_ok());
        assert!(share("x", 0.0).is_err() && share("x", 1.0).is_ok());
        assert!(unit_interval("x", 1.5).is_err() && share("x", 1.5).is_err());
    }
}
