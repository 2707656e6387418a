//! Chains: one value per state, each with how it was come by.

use scaletot_core::numeric::normalised_entropy;
use serde::{Deserialize, Serialize};

use crate::ChainSchema;
use crate::check;
use crate::error::{Error, Result};

/// Where a step's entropy comes from: how far to trust it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum EntropySource {
    /// Computed from the step's distribution, which the teacher gave over the whole domain.
    Exact,
    /// Of the observed shares of sampled answers; biased low.
    PlugIn {
        /// Number of samples.
        samples: u32,
    },
    /// Plug-in, plus the Miller–Madow bias correction.
    MillerMadow {
        /// Number of samples.
        samples: u32,
    },
    /// Of sampled answers smoothed by a Dirichlet prior.
    Dirichlet {
        /// Number of samples.
        samples: u32,
    },
    /// Some labels were missing from the answer, so that only bounds are known; the step's entropy lies within them.
    Interval {
        /// Least normalised entropy.
        low: f64,
        /// Largest normalised entropy.
        high: f64,
    },
}

/// One step of a chain: the value of one state, and how it was come by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Step {
    /// Code of the value chosen.
    pub value: u16,
    /// Probability of each value of the state's domain, given the profile and the values before: calibrated, with
    /// forbidden values at 0, summing to 1.
    pub distribution: Vec<f64>,
    /// Normalised entropy of the distribution, in `[0, 1]`.
    pub entropy: f64,
    /// Where the entropy comes from.
    pub entropy_source: EntropySource,
    /// Share of the teacher's own probability that fell on the domain's labels, in `[0, 1]`, before anything was
    /// renormalised. Low: the teacher's answer lay mostly outside of the domain.
    pub covered_mass: f64,
    /// Names of the profile fields that the step rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Why, in words; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rationale: String,
}

impl Step {
    /// A step whose entropy is exact: it is computed from `distribution` here. Its covered mass is 1, its evidence and
    /// rationale empty; set the fields for other ones.
    ///
    /// ```
    /// use scaletot_chain::Step;
    ///
    /// let mut step = Step::exact(1, vec![0.25, 0.75]);
    /// step.rationale = "a high income".to_owned();
    /// assert!((step.entropy - 0.811).abs() < 1e-3);
    /// ```
    pub fn exact(value: u16, distribution: Vec<f64>) -> Self {
        let entropy = normalised_entropy(&distribution, distribution.len());
        Self::estimated(value, distribution, entropy, EntropySource::Exact)
    }

    /// A step with a given entropy and its source; otherwise as [`exact`](Self::exact).
    pub fn estimated(
        value: u16,
        distribution: Vec<f64>,
        entropy: f64,
        entropy_source: EntropySource,
    ) -> Self {
        Self {
            value,
            distribution,
            entropy,
            entropy_source,
            covered_mass: 1.0,
            evidence: Vec::new(),
            rationale: String::new(),
        }
    }

    /// Sets [`covered_mass`](Self::covered_mass).
    #[must_use]
    pub fn with_covered_mass(mut self, covered_mass: f64) -> Self {
        self.covered_mass = covered_mass;
        self
    }

    /// Sets [`evidence`](Self::evidence).
    #[must_use]
    pub fn with_evidence(mut self, evidence: Vec<String>) -> Self {
        self.evidence = evidence;
        self
    }

    /// Sets [`rationale`](Self::rationale).
    #[must_use]
    pub fn with_rationale(mut self, rationale: impl Into<String>) -> Self {
        self.rationale = rationale.into();
        self
    }

    /// Probability of the value chosen; 0 if its code is outside the distribution.
    pub fn probability(&self) -> f64 {
        self.distribution.get(usize::from(self.value)).copied().unwrap_or(0.0)
    }

    /// Checks what can be checked without a schema; `name` is that of the step.
    fn check(&self, name: &str) -> Result<()> {
        let what = |part: &str| format!("state `{name}`: {part}");
        if usize::from(self.value) >= self.distribution.len() {
            let (state, value, size) = (name.to_owned(), self.value, self.distribution.len());
            return Err(Error::ValueOutOfRange { state, value, size });
        }
        check::distribution(|| what("distribution"), &self.distribution)?;
        check::unit(|| what("entropy"), self.entropy)?;
        check::unit(|| what("covered mass"), self.covered_mass)?;
        match self.entropy_source {
            EntropySource::Exact => {
                let exact = normalised_entropy(&self.distribution, self.distribution.len());
                if (exact - self.entropy).abs() > check::TOLERANCE {
                    let expected =
                        format!("{exact}, the normalised entropy of its distribution, as it is called exact");
                    return Err(Error::BadNumber { what: what("entropy"), expected, found: self.entropy });
                }
            }
            EntropySource::Interval { low, high } => {
                check::unit(|| what("lower bound of the entropy"), low)?;
                check::unit(|| what("upper bound of the entropy"), high)?;
                if !(low..=high).contains(&self.entropy) {
                    let expected = format!("a number from {low} to {high}, its bounds");
                    return Err(Error::BadNumber { what: what("entropy"), expected, found: self.entropy });
                }
            }
            EntropySource::PlugIn { .. }
            | EntropySource::MillerMadow { .. }
            | EntropySource::Dirichlet { .. } => {}
        }
        Ok(())
    }
}

/// A typed user-state chain: one [`Step`] for each state of a schema, and the score of the whole.
///
/// A chain does not carry its schema; [`Chain::new`] and [`Chain::check`] hold it against one. Reading a chain with
/// serde checks what needs no schema, and [`Corpus::read`](crate::Corpus::read) checks the rest.
///
/// ```
/// use scaletot_chain::{Chain, ChainSchema, StateDef, Step};
///
/// let schema = ChainSchema::builder("customer")
///     .with_state(StateDef::ordinal("need", ["low", "high"]))
///     .with_state(StateDef::ordinal("spend", ["low", "moderate", "high"]))
///     .build()?;
/// let steps = vec![Step::exact(1, vec![0.2, 0.8]), Step::exact(2, vec![0.1, 0.3, 0.6])];
/// let chain = Chain::new(&schema, steps, -0.4)?;
/// assert_eq!(chain.values(), [1, 2]);
/// assert_eq!(schema.describe(&chain.values()), "need = high, spend = high");
/// # Ok::<(), scaletot_chain::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawChain")]
pub struct Chain {
    steps: Vec<Step>,
    score: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChain {
    steps: Vec<Step>,
    score: f64,
}

impl TryFrom<RawChain> for Chain {
    type Error = Error;

    fn try_from(RawChain { steps, score }: RawChain) -> Result<Self> {
        check::finite(|| "score of the chain".to_owned(), score)?;
        for (k, step) in steps.iter().enumerate() {
            step.check(&format!("#{}", k + 1))?;
        }
        Ok(Self { steps, score })
    }
}

impl Chain {
    /// A chain of `schema`, with the score its search gave it (comparable within one search).
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn new(schema: &ChainSchema, steps: Vec<Step>, score: f64) -> Result<Self> {
        let chain = Self { steps, score };
        chain.check(schema)?;
        Ok(chain)
    }

    /// The chain of `values` with every step certain: all probability on its value, entropy 0, score 0.
    ///
    /// # Errors
    /// If `values` is no legal chain of `schema`.
    pub fn certain(schema: &ChainSchema, values: &[u16]) -> Result<Self> {
        schema.check_values(values)?;
        let step = |(&value, size): (&u16, usize)| {
            let distribution = (0..size).map(|v| f64::from(u8::from(v == usize::from(value)))).collect();
            Step::exact(value, distribution)
        };
        Self::new(schema, values.iter().zip(schema.domain_sizes()).map(step).collect(), 0.0)
    }

    /// Checks the chain against `schema`: a step for each state; each value in its domain and allowed by the
    /// constraints; each distribution over the domain, summing to 1 within [`TOLERANCE`](crate::TOLERANCE), with no
    /// probability on values that the constraints forbid there; entropies and covered masses in `[0, 1]`, and exact
    /// entropies those of their distributions; a finite score.
    ///
    /// # Errors
    /// The first of these that does not hold, with the state.
    pub fn check(&self, schema: &ChainSchema) -> Result<()> {
        let values = self.values();
        schema.check_values(&values)?;
        check::finite(|| "score of the chain".to_owned(), self.score)?;
        for (k, (step, state)) in self.steps.iter().zip(schema.states()).enumerate() {
            let (expected, found) = (state.values().len(), step.distribution.len());
            if expected != found {
                let what = format!("state `{}`: distribution", state.name());
                return Err(Error::WrongLength { what, expected, found });
            }
            step.check(state.name())?;
            let allowed = schema.allowed(k, &values);
            let mut weighed = step.distribution.iter().zip(&allowed).zip(state.values());
            if let Some(((&found, _), value)) = weighed.find(|((p, ok), _)| !**ok && **p != 0.0) {
                let what = format!("state `{}`: probability of `{value}`", state.name());
                let expected = "0, as a constraint forbids it here".to_owned();
                return Err(Error::BadNumber { what, expected, found });
            }
        }
        Ok(())
    }

    /// The steps, one for each state.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Score of the chain, comparable within one search.
    pub fn score(&self) -> f64 {
        self.score
    }

    /// Codes of the values, one for each state.
    pub fn values(&self) -> Vec<u16> {
        self.steps.iter().map(|s| s.value).collect()
    }

    /// Mean over the steps of the log-probability of the value chosen, `(1/K) Σ_k ln q_k(v_k)`; negative infinity if
    /// one of them has probability 0.
    pub fn mean_log_probability(&self) -> f64 {
        self.steps.iter().map(|s| s.probability().ln()).sum::<f64>() / self.steps.len().max(1) as f64
    }

    /// Mean normalised entropy of the steps, in `[0, 1]`.
    pub fn mean_entropy(&self) -> f64 {
        self.steps.iter().map(|s| s.entropy).sum::<f64>() / self.steps.len().max(1) as f64
    }
}
