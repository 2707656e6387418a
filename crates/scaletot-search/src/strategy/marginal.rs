//! Config of the marginals over all paths.

use scaletot_core::config::check;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::config::setters;

/// Config of [`Strategy::Marginal`](super::Strategy::Marginal).
///
/// ```
/// use scaletot_search::MarginalConfig;
///
/// let config = MarginalConfig::default().with_parallel(1);
/// assert!(config.validate().is_ok());
/// assert!(config.with_parallel(0).validate().is_err());
/// assert!(config.with_keep(100_000).validate().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct MarginalConfig {
    /// How many questions may be open at a time once the first path is complete, at least 1. With 1 each question is the one that
    /// matters most by all answers so far; with more, answers come in batches.
    pub parallel: usize,
    /// How many paths the outcome lists, the most probable ones, from 1 to 10,000: the best ways on are worked out for every state.
    pub keep: usize,
}

impl Default for MarginalConfig {
    /// 4 questions at a time, 4 paths listed.
    fn default() -> Self {
        MarginalConfig { parallel: 4, keep: 4 }
    }
}

impl MarginalConfig {
    setters! {
        with_parallel parallel: usize;
        with_keep keep: usize;
    }

    /// Checks the ranges given at the fields.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first field out of its range.
    pub fn validate(&self) -> Result<()> {
        check(self.parallel >= 1, "parallel", "at least 1", self.parallel)?;
        Ok(check((1..=10_000).contains(&self.keep), "keep", "a number from 1 to 10,000", self.keep)?)
    }
}
