//! Fitting: first what is on profiles alone, then value models on it and any signals.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use rand::Rng;
use scaletot_chain::{ChainSchema, Signals};
use scaletot_core::Progress;
use scaletot_core::config::ConfigError;
use scaletot_core::seed::stream;
use scaletot_profile::Dataset;

use crate::base::{BaseFit, Labelled};
use crate::committee::Committee;
use crate::component::Component;
use crate::config::ValueModelConfig;
use crate::design::{Columns, Inputs, Users};
use crate::error::{Error, Result};
use crate::learner::BaseLearner;
use crate::model::ValueModel;
use crate::parts::parts;
use crate::recipe::ProfileRecipe;
use crate::ridge::{Ridge, Training};

/// The stream of random numbers that learners' seeds come from.
const LEARNER_SEEDS: u64 = 1;

/// Fits [`ValueModel`]s.
///
/// See the crate's front page for an example.
#[derive(Clone)]
pub struct ValueTrainer<'a> {
    config: ValueModelConfig,
    learners: Vec<&'a dyn BaseLearner>,
    chain: Option<&'a ChainSchema>,
}

impl fmt::Debug for ValueTrainer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let learners: Vec<&str> = self.learners.iter().map(|learner| learner.name()).collect();
        f.debug_struct("ValueTrainer").field("config", &self.config).field("learners", &learners).finish()
    }
}

impl<'a> ValueTrainer<'a> {
    /// A trainer without learners.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first setting that is out of range.
    pub fn new(config: ValueModelConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config, learners: Vec::new(), chain: None })
    }

    /// With a further learner, for [`Component::Learners`].
    #[must_use]
    pub fn with_learner(mut self, learner: &'a dyn BaseLearner) -> Self {
        self.learners.push(learner);
        self
    }

    /// With the chain schema of the signals: they must fit it, and models remember its hash for [`ValueModel::check_chain`].
    #[must_use]
    pub fn with_chain(mut self, chain: &'a ChainSchema) -> Self {
        self.chain = Some(chain);
        self
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ValueModelConfig {
        &self.config
    }

    /// Fits the value model of the config's components.
    ///
    /// Profile columns (quantile bins among them) are fitted on every row of `dataset`, models on the rows with an outcome. Each of those
    /// rows must have signals, by its row in the dataset, if a component reads signals; `signals` may be `None` if none does. Cost is linear
    /// in rows, and cubic in the number of columns that vary among the labelled users, of which a regression takes at most 2,048: at that number, a third of a
    /// minute to a minute for each regression.
    ///
    /// Without any outcome the value model is the expected level of the last state, a number from 0 to 1 that ranks users and is no value
    /// in the outcome's unit.
    ///
    /// # Errors
    /// As [`fit_base`](Self::fit_base) and [`BaseFit::value_model`].
    pub fn fit<'s>(
        &self,
        dataset: &Dataset,
        signals: impl Into<Option<&'s Signals>>,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<ValueModel> {
        self.fit_base(dataset, seed, progress)?.value_model(&self.config.components, signals, progress)
    }

    /// Fits what is on profiles alone, once for value models on several signals or of several components. Components that are not in the
    /// config are left out.
    ///
    /// # Errors
    /// [`Error::TooFewLabels`] if some but too few outcomes are known, [`Error::TooFewGroups`], [`Error::Config`] for a learner's name or a
    /// regression on too many columns, [`Error::Learner`] and [`Error::Prediction`] if a learner fails, [`Error::Stopped`] if `progress` asks to
    /// stop; learners are asked to stop by whatever progress they hold.
    pub fn fit_base(&self, dataset: &Dataset, seed: u64, progress: &dyn Progress) -> Result<BaseFit> {
        self.check_names()?;
        let recipe = ProfileRecipe::fit(dataset.table(), self.config.bins)?;
        let labelled = self.fit_labelled(dataset, &recipe, seed, progress)?;
        Ok(BaseFit {
            config: self.config.clone(),
            chain: self.chain.cloned(),
            dataset: dataset.clone(),
            recipe,
            labelled,
        })
    }

    fn fit_labelled(
        &self,
        dataset: &Dataset,
        recipe: &ProfileRecipe,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<Option<Labelled>> {
        let rows: Vec<usize> = dataset.labelled().collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let (expected, found) = (self.config.min_labels(), rows.len());
        if found < expected {
            return Err(Error::TooFewLabels { expected, found });
        }
        let parts = parts(&rows, dataset.groups(), self.config.parts, seed);
        if let Some(groups) = dataset.groups().filter(|_| parts.iter().any(Vec::is_empty)) {
            let found = rows.iter().map(|&row| groups[row]).collect::<HashSet<_>>().len();
            return Err(Error::TooFewGroups { expected: parts.len(), found });
        }
        let outcomes: Vec<f64> = parts.iter().flatten().filter_map(|&row| dataset.outcome(row)).collect();
        let targets: Vec<f64> = outcomes.iter().map(|outcome| outcome.ln_1p()).collect();
        let has = |component| self.config.components.contains(&component);
        let ridge = has(Component::Ridge).then(|| {
            let users = Users { table: dataset.table(), signals: None };
            let columns = Columns { profile: recipe, signals: None };
            let training = Training { parts: &parts, targets: &targets, progress };
            Ridge::fit(Inputs::Profile, columns, users, training)
        });
        let ridge = ridge.transpose()?;
        let learners = if has(Component::Learners) { self.learners.as_slice() } else { &[] };
        let member_seed = |learner: usize, member: usize| {
            stream(seed, &[LEARNER_SEEDS, learner as u64, member as u64]).next_u64()
        };
        let committees = learners.iter().enumerate().map(|(at, learner)| {
            let fit = Committee::fit(*learner, dataset, &parts, |member| member_seed(at, member))?;
            Ok((Arc::new(fit.model), fit.out_of_fold))
        });
        let committees = committees.collect::<Result<_>>()?;
        Ok(Some(Labelled { ridge, committees, parts, outcomes, targets }))
    }

    fn check_names(&self) -> Result<()> {
        let mut seen = HashSet::new();
        for name in self.learners.iter().map(|learner| learner.name()) {
            let repeated = (!seen.insert(name)).then_some("each name once");
            if let Some(expected) = name_problem(name).or(repeated) {
                let (expected, found) = (expected.to_owned(), format!("{name:?}"));
                return Err(ConfigError::new("name of a learner", expected, found).into());
            }
        }
        Ok(())
    }
}

/// What a learner's name should be, if it is not: its models are saved under it.
pub(crate) fn name_problem(name: &str) -> Option<&'static str> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let valid = (1..=64).contains(&name.len()) && name.chars().all(fine);
    (!valid).then_some("from 1 to 64 small letters, digits, `-` and `_`")
}
