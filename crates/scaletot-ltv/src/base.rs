//! What is fitted on profiles alone, and value models that stand on it.

use std::sync::Arc;

use scaletot_chain::{ChainSchema, Signals};
use scaletot_core::config::ConfigError;
use scaletot_core::{ContentHash, Progress};
use scaletot_profile::{Dataset, ProfileTable};

use crate::calibrate::calibrate;
use crate::committee::Committee;
use crate::component::Component;
use crate::config::ValueModelConfig;
use crate::design::{Columns, Inputs, Users};
use crate::error::{Error, Result};
use crate::model::{Link, Model, OutOfFold, Part, ValueModel};
use crate::recipe::ProfileRecipe;
use crate::ridge::{Ridge, RidgeFit, Training};
use crate::signal_columns::{SignalColumns, level};
use crate::stack::{MAX_MODELS, Stack};

/// What is fitted on profiles alone: value models on several signals, or of several components, share it.
///
/// ```
/// # use scaletot_chain::Signals;
/// # use scaletot_ltv::{Component, ValueModelConfig, ValueTrainer};
/// # use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};
/// # let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
/// # let mut rows = TableBuilder::new(schema);
/// # for id in 0..40i64 { rows.push_text(id, &[["18-34", "35+"][id as usize % 2]])?; }
/// # let outcomes = (0..40).map(|id| Some(f64::from(id % 4))).collect();
/// # let dataset = Dataset::builder(rows.finish()).with_outcomes(outcomes).build()?;
/// # let of = |low: f32| Signals::new((0..40).collect(), vec![2], [low, 1.0 - low].repeat(40), [0, 0], vec![]);
/// # let (student, encoder) = (of(0.5)?, of(0.25)?);
/// let base = ValueTrainer::new(ValueModelConfig::default())?.fit_base(&dataset, 1, &())?;
/// let with_student = base.value_model(&[Component::Informed, Component::Ridge], &student, &())?;
/// let with_encoder = base.value_model(&[Component::Informed, Component::Ridge], &encoder, &())?;
/// let profile_alone = base.value_model(&[Component::Ridge], None, &())?;
/// # assert!(!profile_alone.reads_signals());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct BaseFit {
    pub(crate) config: ValueModelConfig,
    pub(crate) chain: Option<ChainSchema>,
    pub(crate) dataset: Dataset,
    pub(crate) recipe: ProfileRecipe,
    /// None if no outcome is known.
    pub(crate) labelled: Option<Labelled>,
}

/// What was learned from the labelled users.
#[derive(Debug)]
pub(crate) struct Labelled {
    /// Their rows in parts.
    pub(crate) parts: Vec<Vec<usize>>,
    /// Their outcomes, part by part.
    pub(crate) outcomes: Vec<f64>,
    /// Their `ln(1 + outcome)`, part by part.
    pub(crate) targets: Vec<f64>,
    /// None if it is not a component.
    pub(crate) ridge: Option<RidgeFit>,
    /// With their predictions out of fold, part by part.
    pub(crate) committees: Vec<(Arc<Committee>, Vec<f64>)>,
}

/// A model with its predictions out of fold.
struct CrossFitted {
    model: Model,
    out_of_fold: Vec<f64>,
}

impl BaseFit {
    /// The value model of these components with these signals. A single component stands for itself, several are stacked.
    ///
    /// Signals are read at the labelled rows of the dataset. Without any outcome the value model is the expected level of the last state,
    /// whatever the components.
    ///
    /// # Errors
    /// [`Error::NoSignals`] if a component reads signals and there are none, [`Error::MissingSignals`] naming a labelled user without
    /// them, [`Error::Chain`] for signals that do not fit the chain schema, [`Error::NothingToRankBy`] if there are neither outcomes nor states, [`Error::Singular`] if a regression cannot be solved,
    /// [`Error::Config`] for components that were not fitted, none, or more than eight models, and for a regression on too many columns;
    /// [`Error::Stopped`] if `progress` asks to stop.
    pub fn value_model<'s>(
        &self,
        components: &[Component],
        signals: impl Into<Option<&'s Signals>>,
        progress: &dyn Progress,
    ) -> Result<ValueModel> {
        let signals = signals.into();
        if let (Some(chain), Some(signals)) = (&self.chain, signals) {
            signals.check(chain)?;
        }
        match &self.labelled {
            Some(labelled) => self.stacked(labelled, components, signals, progress),
            None => self.level(signals.filter(|signals| !signals.domain_sizes().is_empty())),
        }
    }

    /// What the committee of a learner predicts of `ln(1 + outcome)` of the users in `rows` of a table; `None` if no learner of that name
    /// was fitted.
    ///
    /// # Errors
    /// [`Error::Schema`] and [`Error::Row`] for profiles that the learner cannot read, [`Error::Learner`] and [`Error::Prediction`].
    pub fn committee_log_values(
        &self,
        learner: &str,
        table: &ProfileTable,
        rows: &[usize],
    ) -> Result<Option<Vec<f64>>> {
        let known = self.labelled.iter().flat_map(|labelled| &labelled.committees);
        let Some((committee, _)) = known.into_iter().find(|(committee, _)| committee.name == learner) else {
            return Ok(None);
        };
        crate::model::check_table(self.dataset.table().schema(), table, rows)?;
        committee.predict(table, rows).map(Some)
    }

    fn stacked(
        &self,
        labelled: &Labelled,
        components: &[Component],
        signals: Option<&Signals>,
        progress: &dyn Progress,
    ) -> Result<ValueModel> {
        let shape = signals.map(|signals| SignalColumns::of(signals, self.config.representation));
        let mut models = self.models(labelled, components, signals.zip(shape.as_ref()), progress)?;
        let stack = match models.as_slice() {
            [_] => Stack::only_first(1),
            several => {
                let columns: Vec<&[f64]> = several.iter().map(|model| model.out_of_fold.as_slice()).collect();
                Stack::fit(&columns, &labelled.targets, self.config.prior_users)
            }
        };
        let out_of_fold: Vec<f64> = (0..labelled.targets.len())
            .map(|user| stack.predict(models.iter().map(|model| model.out_of_fold[user])))
            .collect();
        let (a, b) = calibrate(&out_of_fold, &labelled.outcomes);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let parts = models.drain(..).zip(&stack.weights).filter(|(_, weight)| **weight != 0.0);
        let parts = parts.map(|(CrossFitted { model, out_of_fold }, &weight)| {
            let centre = match &model {
                Model::Ridge(ridge) => ridge.intercept,
                Model::Committee(_) | Model::Level => mean(&out_of_fold),
            };
            Part { weight, centre, model }
        });
        let parts: Vec<Part> = parts.collect();
        let reads = parts.iter().any(|part| part.model.reads_signals());
        Ok(ValueModel {
            schema: self.dataset.table().schema().clone(),
            recipe: self.recipe.clone(),
            chain_schema: self.chain_hash().filter(|_| reads),
            signals: shape.filter(|_| reads),
            intercept: stack.intercept,
            parts,
            link: Link::Exponential { a, b },
            largest_outcome: labelled.outcomes.iter().copied().fold(0.0, f64::max),
            out_of_fold: Some(OutOfFold::new(labelled.parts.concat(), out_of_fold)),
        })
    }

    /// The components' models, in the order of the components' enumeration.
    fn models(
        &self,
        labelled: &Labelled,
        components: &[Component],
        signals: Option<(&Signals, &SignalColumns)>,
        progress: &dyn Progress,
    ) -> Result<Vec<CrossFitted>> {
        let mut wanted = components.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let mut models = Vec::new();
        for component in wanted {
            if !self.config.components.contains(&component) && !component.reads_signals() {
                let expected = "components that were fitted";
                return Err(ConfigError::new("components", expected, component).into());
            }
            let given = || signals.ok_or(Error::NoSignals { component });
            match component {
                Component::Informed | Component::Signals => {
                    let inputs = match component {
                        Component::Informed => Inputs::ProfileAndSignals,
                        _ => Inputs::Signals,
                    };
                    let (signals, shape) = given()?;
                    let users = Users { table: self.dataset.table(), signals: Some(signals) };
                    let columns = Columns { profile: &self.recipe, signals: Some(shape) };
                    let Labelled { parts, targets, .. } = labelled;
                    models.push(
                        Ridge::fit(inputs, columns, users, Training { parts, targets, progress })?.into(),
                    );
                }
                Component::Ridge => models.extend(labelled.ridge.clone().map(CrossFitted::from)),
                Component::Learners => {
                    let known = labelled.committees.iter();
                    models.extend(known.map(|(committee, out_of_fold)| CrossFitted {
                        model: Model::Committee(Arc::clone(committee)),
                        out_of_fold: out_of_fold.clone(),
                    }));
                }
                Component::Level => {
                    let (signals, _) = given()?;
                    let of = |&row: &usize| {
                        signals.index_of(row).map(|i| level(signals, i)).ok_or(Error::MissingSignals { row })
                    };
                    let out_of_fold = labelled.parts.iter().flatten().map(of).collect::<Result<_>>()?;
                    models.push(CrossFitted { model: Model::Level, out_of_fold });
                }
            }
        }
        match models.len() {
            1..=MAX_MODELS => Ok(models),
            found => {
                let expected = format!("from 1 to {MAX_MODELS} models");
                Err(ConfigError::new("components", expected, found).into())
            }
        }
    }

    fn chain_hash(&self) -> Option<ContentHash> {
        self.chain.as_ref().map(ChainSchema::hash)
    }

    /// Without outcomes.
    fn level(&self, signals: Option<&Signals>) -> Result<ValueModel> {
        let signals = signals.ok_or(Error::NothingToRankBy)?;
        let sum: f64 = (0..signals.len()).map(|entry| level(signals, entry)).sum();
        let centre = sum / signals.len().max(1) as f64;
        Ok(ValueModel {
            schema: self.dataset.table().schema().clone(),
            recipe: self.recipe.clone(),
            chain_schema: self.chain_hash(),
            signals: Some(SignalColumns::of(signals, self.config.representation)),
            intercept: 0.0,
            parts: vec![Part { weight: 1.0, centre, model: Model::Level }],
            link: Link::Level,
            largest_outcome: 0.0,
            out_of_fold: None,
        })
    }
}

impl From<RidgeFit> for CrossFitted {
    fn from(RidgeFit { model, out_of_fold }: RidgeFit) -> Self {
        Self { model: Model::Ridge(model), out_of_fold }
    }
}
