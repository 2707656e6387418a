//! What a prediction is made of.

use scaletot_chain::Signals;
use scaletot_profile::ProfileTable;

use crate::error::Result;
use crate::model::{Model, ValueModel};

/// A log-scale prediction as a sum: how profile and signals move it away from the mean training user.
///
/// A number above 0 says that this user's value in the field, or this user's signal, raises the prediction. [`mean`](Self::mean) and all
/// contributions add up to [`log_value`](Self::log_value), up to the rounding of `f64`. With correlated inputs a contribution is not an
/// effect: what age and income tell together may be with either.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The prediction for a user with the mean of everything.
    pub mean: f64,
    /// What each profile field adds, in schema order, by name.
    pub fields: Vec<(String, f64)>,
    /// What each learner's committee adds, by name; a committee reads the profile as a whole.
    pub learners: Vec<(String, f64)>,
    /// What the marginal of each state adds, in chain order; the last one's expected level is in it. Empty for a model without signals.
    pub states: Vec<f64>,
    /// What the representation adds.
    pub representation: f64,
    /// The prediction `ŷ`, on the scale of `ln(1 + outcome)`.
    pub log_value: f64,
    /// The predicted value, in the outcome's unit.
    pub value: f64,
}

impl Explanation {
    /// What the profile alone says: the mean, fields and learners.
    #[must_use]
    pub fn base(&self) -> f64 {
        self.mean + self.fields.iter().chain(&self.learners).map(|(_, x)| x).sum::<f64>()
    }

    /// What the signals add: states and representation.
    #[must_use]
    pub fn signals(&self) -> f64 {
        self.states.iter().sum::<f64>() + self.representation
    }
}

impl ValueModel {
    /// Explains the prediction for the user in `row` of a table; `signals` as in [`predict`](Self::predict).
    ///
    /// # Errors
    /// As [`predict_rows`](Self::predict_rows).
    pub fn explain<'s>(
        &self,
        table: &ProfileTable,
        row: usize,
        signals: impl Into<Option<&'s Signals>>,
    ) -> Result<Explanation> {
        let signals = signals.into();
        let log_values = self.log_values_of_rows(table, &[row], signals)?;
        let log_value = log_values.first().copied().unwrap_or(self.intercept);
        let mut features = vec![0.0; self.columns().width()];
        let user = self.user(table, row, signals, &mut features)?;
        let mut committees = self.committees(table, &[row])?.into_iter().flatten();

        let mut explanation = Explanation {
            mean: self.intercept,
            fields: self.schema.fields().iter().map(|field| (field.name().to_owned(), 0.0)).collect(),
            learners: Vec::new(),
            states: vec![0.0; self.domain_sizes().len()],
            representation: 0.0,
            log_value,
            value: self.link.value(log_value),
        };
        let sources = self.sources();
        for part in &self.parts {
            explanation.mean += part.weight * part.centre;
            match &part.model {
                Model::Ridge(ridge) => {
                    let range = self.columns().of(ridge.inputs);
                    for term in &ridge.columns {
                        let column = range.start + term.column;
                        let adds = part.weight * term.of(user.features[column]);
                        match sources[column] {
                            Source::Field(field) => explanation.fields[field].1 += adds,
                            Source::State(state) => explanation.states[state] += adds,
                            Source::Representation => explanation.representation += adds,
                        }
                    }
                }
                Model::Committee(committee) => {
                    let adds = part.weight * (committees.next().unwrap_or(part.centre) - part.centre);
                    explanation.learners.push((committee.name.clone(), adds));
                }
                Model::Level => {
                    if let Some(last) = explanation.states.last_mut() {
                        *last += part.weight * (user.level - part.centre);
                    }
                }
            }
        }
        Ok(explanation)
    }

    /// Where each column comes from.
    fn sources(&self) -> Vec<Source> {
        let fields = self.recipe.fields().iter().enumerate();
        let mut sources: Vec<Source> =
            fields.flat_map(|(field, recipe)| vec![Source::Field(field); recipe.width()]).collect();
        let states = self.domain_sizes().iter().enumerate();
        sources.extend(states.flat_map(|(state, &size)| vec![Source::State(state); size]));
        sources.resize(self.columns().width(), Source::Representation);
        sources
    }
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Field(usize),
    State(usize),
    Representation,
}
