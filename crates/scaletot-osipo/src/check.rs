//! Checks of settings.

use crate::{Error, Result};

pub(crate) fn positive(field: &'static str, found: f64) -> Result<()> {
    if found > 0.0 && found.is_finite() {
        return Ok(());
    }
    Err(Error::Config { field, expected: "a finite number above 0", found: found.to_string() })
}

pub(crate) fn at_least_zero(field: &'static str, found: f64) -> Result<()> {
    if found >= 0.0 && found.is_finite() {
        return Ok(());
    }
    Err(Error::Config { field, expected: "a finite number of at least 0", found: found.to_string() })
}
