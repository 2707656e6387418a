//! The fitted value model and its predictions.

use std::sync::Arc;

use scaletot_chain::{ChainSchema, Signals};
use scaletot_core::ContentHash;
use scaletot_profile::{ProfileSchema, ProfileTable};
use serde::{Deserialize, Serialize};

use crate::committee::Committee;
use crate::design::{Columns, Users};
use crate::error::{Error, Result};
use crate::recipe::ProfileRecipe;
use crate::ridge::Ridge;
use crate::signal_columns::{SignalColumns, level};

/// The way from the log-scale prediction `ŷ` to a value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Link {
    /// `exp(a + b ŷ)` in the outcome's unit, `b > 0`: the mean outcome by Poisson pseudo-maximum likelihood on out-of-fold predictions.
    Exponential {
        /// The intercept `a`.
        a: f64,
        /// The slope `b`.
        b: f64,
    },
    /// `ŷ` itself, the expected level of the last state from 0 to 1: fitted without outcomes, it ranks and has no unit.
    Level,
}

impl Link {
    /// The value for a log-scale prediction: finite for every finite one, NaN for NaN.
    #[must_use]
    pub fn value(self, log_value: f64) -> f64 {
        match self {
            Self::Exponential { a, b } => match (a + b * log_value).exp() {
                f64::INFINITY => f64::MAX,
                value => value,
            },
            Self::Level => log_value,
        }
    }
}

/// One fitted model of `ln(1 + outcome)`.
#[derive(Debug, Clone)]
pub(crate) enum Model {
    Ridge(Ridge),
    Committee(Arc<Committee>),
    Level,
}

impl Model {
    pub(crate) fn reads_signals(&self) -> bool {
        match self {
            Self::Ridge(ridge) => ridge.inputs.read_signals(),
            Self::Committee(_) => false,
            Self::Level => true,
        }
    }
}

/// A model with its weight in the stack, which is above 0.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) weight: f64,
    /// Its mean prediction for the training users: what an explanation counts from.
    pub(crate) centre: f64,
    pub(crate) model: Model,
}

/// What the value model predicts of its own training users, each by models that were fitted without the user's part.
///
/// Evaluation on training users, intervals and offsets fitted later need predictions without the optimism of a fit. The stacking weights and
/// the link are fitted on these predictions themselves, a handful of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct OutOfFold {
    rows: Vec<usize>,
    log_values: Vec<f64>,
}

impl OutOfFold {
    pub(crate) fn new(rows: Vec<usize>, log_values: Vec<f64>) -> Self {
        Self { rows, log_values }
    }

    /// The labelled rows of the dataset it was fitted on, part by part.
    #[must_use]
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// The log-scale predictions `ŷ` of those users, in that order.
    #[must_use]
    pub fn log_values(&self) -> &[f64] {
        &self.log_values
    }
}

/// A fitted value model: what a user is worth, from profile and signals.
///
/// `ŷ = intercept + Σ_m w_m ŷ_m` on the scale of `ln(1 + outcome)` over the stacked models `m`, and the value is `exp(a + b ŷ)`. See the
/// crate's front page for an example.
#[derive(Debug, Clone)]
pub struct ValueModel {
    pub(crate) schema: Arc<ProfileSchema>,
    pub(crate) chain_schema: Option<ContentHash>,
    pub(crate) recipe: ProfileRecipe,
    /// None if it reads no signals.
    pub(crate) signals: Option<SignalColumns>,
    pub(crate) intercept: f64,
    /// Those with a weight above 0, at least one unless all weights are 0.
    pub(crate) parts: Vec<Part>,
    pub(crate) link: Link,
    pub(crate) largest_outcome: f64,
    pub(crate) out_of_fold: Option<OutOfFold>,
}

impl ValueModel {
    /// The values of all users of a table, finite and at least 0, in the outcome's unit; with [`Link::Level`] levels from 0 to 1.
    ///
    /// `signals` are of the rows of the table, at least of all its users; they may be `None` for a model that
    /// [reads none](Self::reads_signals).
    ///
    /// # Errors
    /// [`Error::Schema`] for profiles of another schema, [`Error::SignalShape`] for signals of another shape, [`Error::MissingSignals`] naming
    /// the first user without them, [`Error::Learner`] and [`Error::Prediction`] if a learner's model fails, [`Error::NotFinite`] naming the
    /// first user whose prediction is no finite number.
    pub fn predict<'s>(
        &self,
        table: &ProfileTable,
        signals: impl Into<Option<&'s Signals>>,
    ) -> Result<Vec<f64>> {
        self.predict_rows(table, &all(table), signals)
    }

    /// As [`predict`](Self::predict) of the users in `rows`, in that order.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), and [`Error::Row`] for a row that is not there.
    pub fn predict_rows<'s>(
        &self,
        table: &ProfileTable,
        rows: &[usize],
        signals: impl Into<Option<&'s Signals>>,
    ) -> Result<Vec<f64>> {
        let mut predicted = self.log_values_of_rows(table, rows, signals)?;
        predicted.iter_mut().for_each(|value| *value = self.link.value(*value));
        Ok(predicted)
    }

    /// The log-scale predictions `ŷ` of all users of a table; [`predict`](Self::predict) is [`Link::value`] of them.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn log_values<'s>(
        &self,
        table: &ProfileTable,
        signals: impl Into<Option<&'s Signals>>,
    ) -> Result<Vec<f64>> {
        self.log_values_of_rows(table, &all(table), signals)
    }

    /// As [`log_values`](Self::log_values) of the users in `rows`, in that order.
    ///
    /// # Errors
    /// As [`predict_rows`](Self::predict_rows).
    pub fn log_values_of_rows<'s>(
        &self,
        table: &ProfileTable,
        rows: &[usize],
        signals: impl Into<Option<&'s Signals>>,
    ) -> Result<Vec<f64>> {
        let signals = signals.into();
        self.check(table, rows, signals)?;
        let committees = self.committees(table, rows)?;
        let mut features = vec![0.0; self.columns().width()];
        let predict = |(at, &row): (usize, &usize)| {
            let user = self.user(table, row, signals, &mut features)?;
            let mut committees = committees.iter().map(|values| values[at]);
            let models = self.parts.iter().map(|part| {
                let predicted = match &part.model {
                    Model::Ridge(ridge) => ridge.predict(&user.features[self.columns().of(ridge.inputs)]),
                    Model::Committee(_) => committees.next().unwrap_or(part.centre),
                    Model::Level => user.level,
                };
                part.weight * predicted
            });
            match self.intercept + models.sum::<f64>() {
                finite if finite.is_finite() => Ok(finite),
                found => Err(Error::NotFinite { row, found }),
            }
        };
        rows.iter().enumerate().map(predict).collect()
    }

    /// Out-of-fold predictions of the labelled users it was fitted on; `None` for a model that was loaded or fitted without outcomes.
    #[must_use]
    pub fn out_of_fold(&self) -> Option<&OutOfFold> {
        self.out_of_fold.as_ref()
    }

    /// The way from log-scale predictions to values.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link
    }

    /// The largest outcome it was fitted on; 0 without outcomes. Predictions are not capped; what serves them may want to.
    #[must_use]
    pub fn largest_outcome(&self) -> f64 {
        self.largest_outcome
    }

    /// The schema of the profiles it is for.
    #[must_use]
    pub fn schema(&self) -> &Arc<ProfileSchema> {
        &self.schema
    }

    /// Checks that signals of that chain schema are those it was fitted on. A model that reads no signals, or was fitted without
    /// [`ValueTrainer::with_chain`](crate::ValueTrainer::with_chain), takes any.
    ///
    /// # Errors
    /// [`Error::ChainSchema`] with both hashes.
    pub fn check_chain(&self, chain: &ChainSchema) -> Result<()> {
        match self.chain_schema.filter(|expected| *expected != chain.hash()) {
            None => Ok(()),
            Some(expected) => {
                Err(Error::ChainSchema { expected: expected.to_string(), found: chain.hash().to_string() })
            }
        }
    }

    /// Whether it reads signals: not if none of its components does, and not if stacking gave all that do a weight of 0.
    #[must_use]
    pub fn reads_signals(&self) -> bool {
        self.signals.is_some()
    }

    /// Values of each state of the signals it reads; empty if it reads none.
    #[must_use]
    pub fn domain_sizes(&self) -> &[usize] {
        self.signals.as_ref().map_or(&[], SignalColumns::domain_sizes)
    }

    pub(crate) fn columns(&self) -> Columns<'_> {
        Columns { profile: &self.recipe, signals: self.signals.as_ref() }
    }

    /// That profiles and signals are those it was fitted for.
    pub(crate) fn check(
        &self,
        table: &ProfileTable,
        rows: &[usize],
        signals: Option<&Signals>,
    ) -> Result<()> {
        check_table(&self.schema, table, rows)?;
        match (&self.signals, signals) {
            (Some(shape), Some(signals)) => shape.check(signals),
            _ => Ok(()),
        }
    }

    /// Predictions of the committees among the parts, in their order.
    pub(crate) fn committees(&self, table: &ProfileTable, rows: &[usize]) -> Result<Vec<Vec<f64>>> {
        let committee = |part: &Part| match &part.model {
            Model::Committee(committee) => Some(committee.predict(table, rows)),
            Model::Ridge(_) | Model::Level => None,
        };
        self.parts.iter().filter_map(committee).collect()
    }

    /// A user's features and level.
    pub(crate) fn user<'f>(
        &self,
        table: &ProfileTable,
        row: usize,
        signals: Option<&Signals>,
        features: &'f mut [f64],
    ) -> Result<User<'f>> {
        Users { table, signals }.fill(self.columns(), row, features)?;
        let known = signals.filter(|_| self.signals.is_some());
        let level = known.and_then(|signals| signals.index_of(row).map(|entry| level(signals, entry)));
        Ok(User { features, level: level.unwrap_or(0.0) })
    }
}

/// What linear models read of one user.
pub(crate) struct User<'a> {
    pub(crate) features: &'a [f64],
    pub(crate) level: f64,
}

fn all(table: &ProfileTable) -> Vec<usize> {
    (0..table.len()).collect()
}

/// That a table is of that schema and has those rows.
pub(crate) fn check_table(schema: &Arc<ProfileSchema>, table: &ProfileTable, rows: &[usize]) -> Result<()> {
    if !Arc::ptr_eq(schema, table.schema()) && schema.hash() != table.schema().hash() {
        let (expected, found) = (schema.hash().to_string(), table.schema().hash().to_string());
        return Err(Error::Schema { expected, found });
    }
    check_rows(table, rows)
}

/// That a table has those rows.
pub(crate) fn check_rows(table: &ProfileTable, rows: &[usize]) -> Result<()> {
    match rows.iter().find(|&&row| row >= table.len()) {
        Some(&row) => Err(Error::Row { row, rows: table.len() }),
        None => Ok(()),
    }
}
