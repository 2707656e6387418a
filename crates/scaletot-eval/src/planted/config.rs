//! Sizes of a planted world.

use scaletot_core::config::check;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Most combinations of state values, `values^states`; inference enumerates them for every user.
pub(crate) const MAX_COMBINATIONS: usize = 1 << 16;
const MAX_CELLS: usize = 1 << 26;
const MAX_EMISSIONS: usize = 1 << 24;

/// Sizes of a [`PlantedWorld`](super::PlantedWorld). The default is the standard world.
///
/// ```
/// use scaletot_eval::planted::PlantedConfig;
///
/// let config = PlantedConfig::default();
/// assert_eq!((config.users, config.combinations()), (60_000, Some(1_024)));
/// assert!(config.with_missing(1.5).validate().unwrap_err().to_string().contains("missing"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PlantedConfig {
    /// Users, at least 1; 60,000 by default. A user's draws do not depend on how many others there are.
    pub users: usize,
    /// States in the chain, at least 2; 5 by default.
    pub states: usize,
    /// Values of every state, at least 2; 4 by default. `values^states` is at most 65,536.
    pub values: usize,
    /// Profile fields, at least 1; 10 by default. `users · fields` is at most 2²⁶.
    pub fields: usize,
    /// Codes that a field may take, from 2 to 65,536; 8 by default. `fields · values² · codes` is at most 2²⁴.
    pub codes: usize,
    /// Probability that a cell of the profile is missing, in [0, 1]; 0.4 by default.
    pub missing: f64,
}

impl Default for PlantedConfig {
    fn default() -> Self {
        Self { users: 60_000, states: 5, values: 4, fields: 10, codes: 8, missing: 0.4 }
    }
}

impl PlantedConfig {
    /// Sets the number of users.
    #[must_use]
    pub fn with_users(mut self, users: usize) -> Self {
        self.users = users;
        self
    }

    /// Sets the number of states.
    #[must_use]
    pub fn with_states(mut self, states: usize) -> Self {
        self.states = states;
        self
    }

    /// Sets the number of values of every state.
    #[must_use]
    pub fn with_values(mut self, values: usize) -> Self {
        self.values = values;
        self
    }

    /// Sets the number of profile fields.
    #[must_use]
    pub fn with_fields(mut self, fields: usize) -> Self {
        self.fields = fields;
        self
    }

    /// Sets the number of codes of every field.
    #[must_use]
    pub fn with_codes(mut self, codes: usize) -> Self {
        self.codes = codes;
        self
    }

    /// Sets the probability that a cell is missing.
    #[must_use]
    pub fn with_missing(mut self, missing: f64) -> Self {
        self.missing = missing;
        self
    }

    /// Number of combinations of state values, `values^states`; `None` above 65,536.
    #[must_use]
    pub fn combinations(&self) -> Option<usize> {
        let exponent = u32::try_from(self.states).ok()?;
        self.values.checked_pow(exponent).filter(|&combinations| combinations <= MAX_COMBINATIONS)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) naming the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let product = |factors: &[usize]| factors.iter().try_fold(1_usize, |all, &f| all.checked_mul(f));
        let within = |factors: &[usize], most| product(factors).is_some_and(|all| all <= most);
        check(self.users >= 1, "users", "at least 1", self.users)?;
        check(self.states >= 2, "states", "at least 2", self.states)?;
        check(self.values >= 2, "values", "at least 2", self.values)?;
        let few = self.combinations().is_some();
        check(few, "values", "few enough that values^states is at most 65536", self.values)?;
        check(self.fields >= 1, "fields", "at least 1", self.fields)?;
        let cells = within(&[self.users, self.fields], MAX_CELLS);
        check(cells, "fields", "few enough that users * fields is at most 2^26", self.fields)?;
        check((2..=1 << 16).contains(&self.codes), "codes", "2 to 65536", self.codes)?;
        let emissions = within(&[self.fields, self.values, self.values, self.codes], MAX_EMISSIONS);
        check(emissions, "codes", "few enough that fields * values^2 * codes is at most 2^24", self.codes)?;
        let probability = (0.0..=1.0).contains(&self.missing);
        Ok(check(probability, "missing", "a probability", self.missing)?)
    }
}
