//! One check of a setting.

use crate::error::{Error, Result};

/// [`Error::Config`] unless the condition holds.
pub(crate) fn check(field: &'static str, found: impl ToString, holds: bool, expected: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::Config { field, expected: expected.into(), found: found.to_string() })
}
