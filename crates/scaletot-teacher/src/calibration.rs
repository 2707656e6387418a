//! Batch calibration: takes a teacher's label bias out of its answers.
//!
//! A small language model prefers some labels whatever the prompt, so its raw entropy is mostly that
//! preference, and a search guided by it would refine the wrong steps. Batch calibration needs no crafted prompt:
//! the prior of a state is the teacher's mean prediction over a batch of unlabelled users, and every answer is
//! divided by it.

use scaletot_chain::ChainSchema;
use scaletot_core::ContentHash;
use scaletot_core::config::ConfigError;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A prior per state, and how strongly answers are divided by it.
///
/// For an answer `q` over the values of state `k`, with prior `π_k` and strength `s ∈ [0, 1]`:
/// `q'(v) ∝ q(v) / π_k(v)^s`. Strength 0 leaves answers as they are, strength 1 (the default) divides by the whole
/// prior. Batch calibration with `s = 1` is Zhou et al. (2024); the exponent, and one prior per state over all the
/// values of the states it depends on, are this project's own. So are priors per values of those states, where there are any
/// ([`fit_calibration_by_parents`](crate::Reasoner::fit_calibration_by_parents)). Entropies are taken after it, and after
/// constraints. A prior below [`Calibration::FLOOR`] counts as that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Calibration {
    raw: Raw,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u32,
    model: String,
    chain_schema: ContentHash,
    users: usize,
    strength: f64,
    priors: Vec<Vec<f64>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    by_parents: Vec<ParentPrior>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    covered_mass: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failures: Option<Failures>,
}

/// What a teacher that failed about some users of the batch has left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failures {
    users: usize,
    /// Users by state whose answers its prior rests on.
    answered: Vec<usize>,
}

/// The prior of a state after certain values of the states that it depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParentPrior {
    pub(crate) state: usize,
    /// States that it depends on, each with its value.
    pub(crate) parents: Vec<(usize, u16)>,
    /// Users of the batch whose chains had these values.
    pub(crate) users: usize,
    pub(crate) prior: Vec<f64>,
}

impl ParentPrior {
    fn holds(&self, path: &[u16]) -> bool {
        self.parents.iter().all(|(state, value)| path.get(*state) == Some(value))
    }
}

impl Calibration {
    /// The smallest prior that is divided by: keeps one stray answer from being blown up.
    pub const FLOOR: f64 = 1e-6;

    /// A prior per parent value is drawn towards the state's: that counts as so many users.
    pub const PARENT_WEIGHT: f64 = 20.0;

    /// Of a file without priors per parent value, and of one with them.
    const VERSIONS: [u32; 2] = [1, 2];

    /// A calibration that changes nothing: uniform priors.
    #[must_use]
    pub fn identity(model: &str, schema: &ChainSchema) -> Self {
        let priors = (0..schema.len()).map(|k| uniform(schema.domain_size(k))).collect();
        Self {
            raw: Raw {
                version: Self::VERSIONS[0],
                model: model.to_owned(),
                chain_schema: schema.hash(),
                users: 0,
                strength: 1.0,
                priors,
                by_parents: Vec::new(),
                covered_mass: None,
                failures: None,
            },
        }
    }

    /// A calibration of strength 1 from given priors, one per state and each over the state's values.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the priors do not have the schema's shape, a value is not finite or negative, or a
    /// state's prior does not sum to 1 (within 1e-6).
    pub fn from_priors(
        model: &str,
        schema: &ChainSchema,
        users: usize,
        priors: Vec<Vec<f64>>,
    ) -> Result<Self> {
        let calibration = Self::try_from(Raw {
            version: Self::VERSIONS[0],
            model: model.to_owned(),
            chain_schema: schema.hash(),
            users,
            strength: 1.0,
            priors,
            by_parents: Vec::new(),
            covered_mass: None,
            failures: None,
        })?;
        calibration.check(schema)?;
        Ok(calibration)
    }

    /// The same with priors per parent value, for the states that have some.
    pub(crate) fn with_parents(mut self, by_parents: Vec<ParentPrior>) -> Result<Self> {
        self.raw.version = Self::VERSIONS[usize::from(!by_parents.is_empty())];
        self.raw.by_parents = by_parents;
        Self::try_from(self.raw)
    }

    /// The same with what the answers covered that it was fitted on.
    pub(crate) fn with_covered_mass(mut self, covered_mass: Option<f64>) -> Result<Self> {
        self.raw.covered_mass = covered_mass;
        Self::try_from(self.raw)
    }

    /// The same with the number of users about whom the teacher failed, and of those who were answered about by state.
    pub(crate) fn with_failed(mut self, failed: usize, answered: Vec<usize>) -> Result<Self> {
        self.raw.failures = (failed > 0).then_some(Failures { users: failed, answered });
        Self::try_from(self.raw)
    }

    /// The same priors with another strength.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] unless `strength` is in `[0, 1]`.
    pub fn with_strength(mut self, strength: f64) -> Result<Self> {
        self.raw.strength = strength;
        Self::try_from(self.raw)
    }

    /// How strongly answers are divided by the prior, in `[0, 1]`.
    #[must_use]
    pub fn strength(&self) -> f64 {
        self.raw.strength
    }

    /// The model whose predictions the priors are.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.raw.model
    }

    /// The number of users in the batch; 0 for [`identity`](Self::identity).
    #[must_use]
    pub fn users(&self) -> usize {
        self.raw.users
    }

    /// Users of the batch about whom the teacher failed: a calibration of the same batch asks about them again.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.raw.failures.as_ref().map_or(0, |failures| failures.users)
    }

    /// Users whose answers the prior of a state rests on: those of the batch but for whom the teacher has failed about by then.
    #[must_use]
    pub fn answered(&self, state: usize) -> usize {
        let failures = self.raw.failures.as_ref();
        failures.and_then(|failures| failures.answered.get(state)).copied().unwrap_or(self.raw.users)
    }

    /// Mean share of the teacher's probability on the labels ([`covered_mass`](crate::LabelAnswer::covered_mass)) over the answers that it was
    /// fitted on, in `[0, 1]`; `None` if it was fitted on none. A mean of hundredths or less is a teacher that would rather say
    /// something else than any label.
    #[must_use]
    pub fn covered_mass(&self) -> Option<f64> {
        self.raw.covered_mass
    }

    /// The prior of a state over its values (sums to 1), if there is such a state.
    #[must_use]
    pub fn prior(&self, state: usize) -> Option<&[f64]> {
        self.raw.priors.get(state).map(Vec::as_slice)
    }

    /// The prior of a state after the values of the states before it (`path`, as codes): the one of its parents' values if it was
    /// fitted, else the state's.
    #[must_use]
    pub fn prior_after(&self, state: usize, path: &[u16]) -> Option<&[f64]> {
        let own = self.raw.by_parents.iter().find(|prior| prior.state == state && prior.holds(path));
        own.map(|own| own.prior.as_slice()).or_else(|| self.prior(state))
    }

    /// Calibrates a distribution over the values of `state` after `path` in place, so that it sums to 1 again. Values at 0 stay
    /// there, and a distribution that is 0 everywhere stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there is no such state or it does not have as many values as `distribution`.
    pub fn apply(&self, state: usize, path: &[u16], distribution: &mut [f64]) -> Result<()> {
        if self.prior(state).is_none_or(|prior| prior.len() != distribution.len()) {
            let (values, prior) = (distribution.len(), self.prior(state));
            let expected = format!("a prior over {values} values for state {state}");
            return Err(ConfigError::new("calibration", expected, format!("{prior:?}")).into());
        }
        if self.raw.strength == 0.0 {
            return Ok(());
        }
        for (value, q) in distribution.iter_mut().enumerate() {
            *q *= self.factor(state, path, value);
        }
        normalise(distribution);
        Ok(())
    }

    /// What a value's probability is multiplied by before it is renormalised: `1 / π(v)^s`.
    pub(crate) fn factor(&self, state: usize, path: &[u16], value: usize) -> f64 {
        let prior = self.prior_after(state, path).and_then(|prior| prior.get(value)).copied().unwrap_or(1.0);
        prior.max(Self::FLOOR).powf(-self.raw.strength)
    }

    /// Checks that the priors are for this schema.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the schema's hash or the shape of the priors is another.
    pub fn check(&self, schema: &ChainSchema) -> Result<()> {
        if self.raw.chain_schema != schema.hash() {
            let expected = format!("priors for chain schema {}", schema.hash());
            return Err(ConfigError::new("calibration", expected, self.raw.chain_schema).into());
        }
        let shape: Vec<usize> = (0..schema.len()).map(|k| schema.domain_size(k)).collect();
        let given: Vec<usize> = self.raw.priors.iter().map(Vec::len).collect();
        if shape != given {
            return Err(ConfigError::new(
                "calibration",
                format!("priors over {shape:?} values"),
                format!("{given:?}"),
            )
            .into());
        }
        let foreign = |prior: &&ParentPrior| {
            let state = schema.states().get(prior.state);
            let parents: Vec<usize> = prior.parents.iter().map(|(state, _)| *state).collect();
            shape.get(prior.state) != Some(&prior.prior.len())
                || state.is_none_or(|state| state.depends_on() != parents.as_slice())
        };
        if let Some(prior) = self.raw.by_parents.iter().find(foreign) {
            let expected = format!(
                "priors per value of the states that state {} depends on, over {:?} values",
                prior.state,
                shape.get(prior.state),
            );
            let found = format!("{:?} over {}", prior.parents, prior.prior.len());
            return Err(ConfigError::new("calibration", expected, found).into());
        }
        Ok(())
    }
}

impl TryFrom<Raw> for Calibration {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self> {
        if raw.version != Self::VERSIONS[usize::from(!raw.by_parents.is_empty())] {
            let expected = "version 1, or 2 with priors per parent value";
            let found = format!("{} with {} of these", raw.version, raw.by_parents.len());
            return Err(ConfigError::new("version", expected, found).into());
        }
        if !(0.0..=1.0).contains(&raw.strength) {
            return Err(ConfigError::new("strength", "a number in [0, 1]", raw.strength).into());
        }
        if raw.covered_mass.is_some_and(|mass| !(0.0..=1.0).contains(&mass)) {
            return Err(ConfigError::new(
                "covered_mass",
                "a number in [0, 1]",
                format!("{:?}", raw.covered_mass),
            )
            .into());
        }
        if let Some(Failures { users, answered }) = &raw.failures
            && (*users == 0
                || answered.len() != raw.priors.len()
                || [users].into_iter().chain(answered).any(|of_batch| *of_batch > raw.users))
        {
            let expected = format!("failures among {} users, with a number of users per state", raw.users);
            return Err(ConfigError::new("failures", expected, format!("{:?}", raw.failures)).into());
        }
        let by_parents = raw.by_parents.iter().map(|own| (own.state, &own.prior));
        for (state, prior) in raw.priors.iter().enumerate().chain(by_parents) {
            let sum: f64 = prior.iter().sum();
            if prior.iter().any(|p| !p.is_finite() || *p < 0.0) || (sum - 1.0).abs() > 1e-6 {
                let expected = format!("probabilities that sum to 1 as the prior of state {state}");
                return Err(ConfigError::new("calibration", expected, format!("{prior:?}")).into());
            }
        }
        Ok(Self { raw })
    }
}

impl From<Calibration> for Raw {
    fn from(calibration: Calibration) -> Self {
        calibration.raw
    }
}

fn uniform(n: usize) -> Vec<f64> {
    vec![1.0 / n.max(1) as f64; n]
}

/// Divides by the sum, unless that is 0.
pub(crate) fn normalise(distribution: &mut [f64]) {
    let sum: f64 = distribution.iter().sum();
    if sum > 0.0 {
        distribution.iter_mut().for_each(|q| *q /= sum);
    }
}

/// The mean of the predictions gathered for one state.
#[derive(Debug, Clone)]
pub(crate) struct MeanPrediction {
    sum: Vec<f64>,
    count: usize,
}

impl MeanPrediction {
    pub(crate) fn new(values: usize) -> Self {
        Self { sum: vec![0.0; values], count: 0 }
    }

    pub(crate) fn add(&mut self, distribution: &[f64]) {
        self.sum.iter_mut().zip(distribution).for_each(|(sum, q)| *sum += q);
        self.count += 1;
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The mean, or uniform if nothing was added.
    pub(crate) fn mean(&self) -> Vec<f64> {
        if self.count == 0 {
            return uniform(self.sum.len());
        }
        let mut mean = self.sum.clone();
        normalise(&mut mean);
        mean
    }

    /// The mean, drawn towards `prior`, which counts as `weight` predictions.
    pub(crate) fn shrunk(&self, prior: &[f64], weight: f64) -> Vec<f64> {
        let mut mean: Vec<f64> =
            self.sum.iter().zip(prior).map(|(sum, prior)| sum + weight * prior).collect();
        normalise(&mut mean);
        mean
    }
}
