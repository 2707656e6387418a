//! The tilt: what is learned of the outcomes where labels are few.

use std::collections::BTreeMap;

use scaletot_core::config::{check, positive};
use serde::{Deserialize, Serialize};

use super::{ChainSet, normalise};
use crate::{Error, Result};

/// Most numbers of a tilt's common part; systems of so many equations are solved.
const MAX_NUMBERS: usize = 2_048;

/// Settings of a [`Tilt`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TiltConfig {
    /// Ridge on `a` and `B` (penalty `λ/2 Σ x²` against the evidence of all users in nats), at least 1e-6. Default 20.
    pub ridge: f64,
    /// Ridge on the segments' own parts `δ`, at least 1e-6: the larger, the less a segment departs from everybody's. Default 100.
    pub segment_ridge: f64,
    /// Whether pairs of values have numbers of their own, `B`. Default true.
    pub pairs: bool,
}

impl Default for TiltConfig {
    fn default() -> Self {
        Self { ridge: 20.0, segment_ridge: 100.0, pairs: true }
    }
}

impl TiltConfig {
    /// Sets the ridge on `a` and `B`.
    #[must_use]
    pub fn with_ridge(mut self, ridge: f64) -> Self {
        self.ridge = ridge;
        self
    }

    /// Sets the ridge on `δ`.
    #[must_use]
    pub fn with_segment_ridge(mut self, ridge: f64) -> Self {
        self.segment_ridge = ridge;
        self
    }

    /// Sets whether pairs of values count.
    #[must_use]
    pub fn with_pairs(mut self, pairs: bool) -> Self {
        self.pairs = pairs;
        self
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Config`] for a ridge below 1e-6 or not finite.
    pub fn validate(&self) -> Result<()> {
        for (field, ridge) in [("ridge", self.ridge), ("segment_ridge", self.segment_ridge)] {
            positive(field, ridge)?;
            check(ridge >= 1e-6, field, "at least 1e-6", ridge)?;
        }
        Ok(())
    }
}

/// A policy by a few numbers on top of a reference, for users of segment `g`:
///
/// ```text
/// ln π_ψ(c|x) = ln π_ref(c|x) + Σ_k (a_k[v_k] + δ_{g,k}[v_k]) + Σ_{j<k} B_{jk}[v_j,v_k] − ln Z_ψ(x)
/// ```
///
/// Where labels are few, this is all that outcomes can teach: how often values are, and which go together; with 5 states of 4 values 180
/// numbers, and 20 of each segment. What the reference rules out stays ruled out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Tilt {
    config: TiltConfig,
    sizes: Vec<usize>,
    /// `a`, then `B` if pairs count.
    pub(super) common: Vec<f64>,
    /// `δ` of the segments that have one.
    pub(super) segments: BTreeMap<usize, Vec<f64>>,
}

/// A tilt as it is stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    config: TiltConfig,
    sizes: Vec<usize>,
    common: Vec<f64>,
    segments: BTreeMap<usize, Vec<f64>>,
}

impl TryFrom<Unchecked> for Tilt {
    type Error = Error;

    fn try_from(Unchecked { config, sizes, common, segments }: Unchecked) -> Result<Self> {
        config.validate()?;
        let values = sizes.iter().try_fold(0_usize, |sum, &size| sum.checked_add(size));
        let numbers = sizes.iter().enumerate().try_fold(0_usize, |sum, (k, &size)| {
            let before: usize = sizes[..k].iter().try_fold(0_usize, |sum, &n| sum.checked_add(n))?;
            sum.checked_add(size)?.checked_add(if config.pairs { before.checked_mul(size)? } else { 0 })
        });
        let fits = numbers == Some(common.len()) && segments.values().all(|own| Some(own.len()) == values);
        if !fits {
            let expected = format!("numbers for states of {sizes:?} values");
            return Err(Error::Shape { what: "tilt", expected, found: common.len().to_string() });
        }
        for (row, &found) in common.iter().chain(segments.values().flatten()).enumerate() {
            if !found.is_finite() {
                let (what, expected) = ("number of a tilt", "a finite number");
                return Err(Error::InvalidValue { what, row, expected, found });
            }
        }
        Ok(Self { config, sizes, common, segments })
    }
}

impl Tilt {
    /// No tilt: the reference itself.
    ///
    /// # Errors
    /// [`Error::Config`] from the config, or for more than 2,048 numbers: leave out the pairs.
    pub fn zero(chains: &ChainSet, config: &TiltConfig) -> Result<Self> {
        config.validate()?;
        let numbers = chains.value_count() + if config.pairs { chains.pair_count() } else { 0 };
        check(
            numbers <= MAX_NUMBERS,
            "pairs",
            "at most 2048 numbers of a tilt (leave out the pairs)",
            numbers,
        )?;
        Ok(Self {
            config: config.clone(),
            sizes: chains.sizes().to_vec(),
            common: vec![0.0; numbers],
            segments: BTreeMap::new(),
        })
    }

    /// Whether it is the reference.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.common.iter().chain(self.segments.values().flatten()).all(|x| *x == 0.0)
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &TiltConfig {
        &self.config
    }

    /// `a` of all states' values in turn, then, if pairs count, `B_{01}, B_{02}, B_{12}, B_{03}, …`, each row-major.
    #[must_use]
    pub fn common(&self) -> &[f64] {
        &self.common
    }

    /// `δ_g` of all states' values in turn; `None` for a segment that has everybody's tilt.
    #[must_use]
    pub fn of_segment(&self, segment: usize) -> Option<&[f64]> {
        self.segments.get(&segment).map(Vec::as_slice)
    }

    /// What users of a segment have added to the logarithm of each chain of the set, `[C]`. Add it to a reference's log-probabilities and
    /// normalise; or make soft labels of a student by it.
    ///
    /// # Errors
    /// [`Error::Shape`] for chains of other states.
    pub fn logits(&self, chains: &ChainSet, segment: usize) -> Result<Vec<f64>> {
        self.check_chains(chains)?;
        let table = Table::new(self, chains);
        let mut logits = vec![0.0; chains.len()];
        let all: Vec<usize> = (0..chains.len()).collect();
        table.add(self, chains, segment, &all, &mut logits);
        Ok(logits)
    }

    /// `ln π_ψ(c|x)` of all chains of the set from the reference's log-probabilities, `[C]`, normalised.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::InvalidValue`] for a log-probability that is NaN or +∞, [`Error::NoChain`] if all are −∞.
    pub fn apply(&self, chains: &ChainSet, segment: usize, reference: &[f64]) -> Result<Vec<f64>> {
        let mut logits = self.logits(chains, segment)?;
        if reference.len() != logits.len() {
            let (expected, found) = (logits.len().to_string(), reference.len().to_string());
            return Err(Error::Shape { what: "log-probabilities of chains", expected, found });
        }
        logits.iter_mut().zip(reference).for_each(|(logit, p)| *logit += p);
        normalise(0, &mut logits)?;
        Ok(logits)
    }

    pub(super) fn check_chains(&self, chains: &ChainSet) -> Result<()> {
        if self.sizes == chains.sizes() {
            return Ok(());
        }
        let (expected, found) = (format!("{:?} values", self.sizes), format!("{:?}", chains.sizes()));
        Err(Error::Shape { what: "states of the chains of a tilt", expected, found })
    }

    /// `λ/2 Σ x²` of all its numbers.
    pub(super) fn penalty(&self) -> f64 {
        let square = |numbers: &[f64]| numbers.iter().map(|x| x * x).sum::<f64>();
        let own: f64 = self.segments.values().map(|own| square(own)).sum();
        0.5 * (self.config.ridge * square(&self.common) + self.config.segment_ridge * own)
    }

    /// The tilt moved by `scale` times a step.
    pub(super) fn moved(&self, scale: f64, common: &[f64], segments: &BTreeMap<usize, Vec<f64>>) -> Self {
        let mut moved = self.clone();
        moved.common.iter_mut().zip(common).for_each(|(x, step)| *x += scale * step);
        for (&segment, step) in segments {
            let own = moved.segments.entry(segment).or_insert_with(|| vec![0.0; step.len()]);
            own.iter_mut().zip(step).for_each(|(x, step)| *x += scale * step);
        }
        moved
    }
}

/// The common part of a tilt for each chain: computed once for all users.
#[derive(Debug)]
pub(super) struct Table(Vec<f64>);

impl Table {
    pub(super) fn new(tilt: &Tilt, chains: &ChainSet) -> Self {
        let (features, width) = chains.features(tilt.config.pairs);
        let of_chain = |features: &[usize]| features.iter().map(|&at| tilt.common[at]).sum();
        Self(features.chunks_exact(width).map(of_chain).collect())
    }

    /// Adds the tilt to logits of some chains of a user of a segment.
    pub(super) fn add(
        &self,
        tilt: &Tilt,
        chains: &ChainSet,
        segment: usize,
        of: &[usize],
        logits: &mut [f64],
    ) {
        let own = tilt.segments.get(&segment);
        for (logit, &chain) in logits.iter_mut().zip(of) {
            *logit += self.0[chain];
            if let Some(own) = own {
                *logit += chains.singles(chain).iter().map(|&value| own[value]).sum::<f64>();
            }
        }
    }
}
