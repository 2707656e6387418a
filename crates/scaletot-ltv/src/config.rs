//! What is chosen before a value model is fitted.

use scaletot_core::config::{at_least_zero, check};
use scaletot_profile::ProfileTable;
use serde::{Deserialize, Serialize};

use crate::component::Component;
use crate::error::Result;
use crate::model::check_rows;
use crate::recipe::ProfileRecipe;
use crate::ridge::{check_varying, check_width};

/// Which part of the representations a value model reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Representation {
    /// All of it: `K·d` numbers of a student, `r` of an encoder.
    #[default]
    Whole,
    /// The last vector: of a student that of its last state, which has seen all earlier ones; all of an encoder's.
    Last,
    /// None of it: marginals alone.
    Ignored,
}

/// What a [`ValueTrainer`](crate::ValueTrainer) fits.
///
/// ```
/// use scaletot_ltv::{Component, ValueModelConfig};
///
/// let config = ValueModelConfig::default().with_components([Component::Ridge, Component::Level]).with_parts(10);
/// assert!(config.validate().is_ok());
/// let read: ValueModelConfig = serde_json::from_str(r#"{"components": ["ridge", "level"], "parts": 10}"#)?;
/// assert_eq!(read, config);
/// assert!(serde_json::from_str::<ValueModelConfig>(r#"{"part": 10}"#).is_err());
/// assert!(config.with_parts(1).validate().unwrap_err().to_string().contains("`parts`"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ValueModelConfig {
    /// The models that are stacked. The order plays no part; a single one is not stacked but stands for itself.
    pub components: Vec<Component>,
    /// Which part of the representations is read.
    pub representation: Representation,
    /// Quantile bins of a numeric field.
    pub bins: usize,
    /// Parts that the labelled users are cut into, from 2 to 50; at least twice as many users must be labelled.
    pub parts: usize,
    /// Users whose weight equal stacking weights have. With few outcomes weights are mostly noise, and an average of models is hard to
    /// beat (Clemen, International Journal of Forecasting 1989; Smith and Wallis, Oxford Bulletin 2009): on six dumps of runs anything
    /// from 200 to 4,000 ranked about as well, and better than no shrinkage on four of them, at 50 to 2,000 labels.
    pub prior_users: f64,
}

impl Default for ValueModelConfig {
    fn default() -> Self {
        Self {
            components: vec![Component::Informed, Component::Ridge, Component::Learners, Component::Level],
            representation: Representation::Whole,
            bins: 10,
            parts: 5,
            prior_users: 500.0,
        }
    }
}

impl ValueModelConfig {
    /// Other [`components`](Self::components).
    #[must_use]
    pub fn with_components(mut self, components: impl Into<Vec<Component>>) -> Self {
        self.components = components.into();
        self
    }

    /// Another [`representation`](Self::representation).
    #[must_use]
    pub fn with_representation(mut self, representation: Representation) -> Self {
        self.representation = representation;
        self
    }

    /// Another number of [`bins`](Self::bins).
    #[must_use]
    pub fn with_bins(mut self, bins: usize) -> Self {
        self.bins = bins;
        self
    }

    /// Another number of [`parts`](Self::parts).
    #[must_use]
    pub fn with_parts(mut self, parts: usize) -> Self {
        self.parts = parts;
        self
    }

    /// Other [`prior_users`](Self::prior_users).
    #[must_use]
    pub fn with_prior_users(mut self, prior_users: f64) -> Self {
        self.prior_users = prior_users;
        self
    }

    /// Checks, before anything is fitted, that a regression on the users in those rows of a table has no more columns than it takes:
    /// 131,072 in all, of which 2,048 vary. `signals` is the number of columns of the signals that are still to come: those of all
    /// marginals and of what is read of the representation. Cost is linear in rows.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) with what to do; [`Error::Row`](crate::Error::Row) for a row that is not there,
    /// [`Error::Profile`](crate::Error::Profile) as [`Quantiles::fit`](scaletot_profile::Quantiles::fit).
    pub fn check_columns(&self, table: &ProfileTable, rows: &[usize], signals: usize) -> Result<()> {
        check_rows(table, rows)?;
        let recipe = ProfileRecipe::fit(table, self.bins)?;
        check_width(recipe.width().saturating_add(signals))?;
        check_varying(recipe.varying(table, rows).saturating_add(signals))
    }

    /// Users without whose outcomes nothing is fitted: two per part.
    #[must_use]
    pub fn min_labels(&self) -> usize {
        self.parts.saturating_mul(2)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) naming the first setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        check(!self.components.is_empty(), "components", "at least one component", "none")?;
        check((1..=1000).contains(&self.bins), "bins", "from 1 to 1000", self.bins)?;
        check((2..=50).contains(&self.parts), "parts", "from 2 to 50", self.parts)?;
        Ok(at_least_zero("prior_users", self.prior_users)?)
    }
}
