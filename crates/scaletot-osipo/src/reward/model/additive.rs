//! Effects of the values of all states on the outcome's tier.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check_numbers;
use super::levels::TierLevels;
use crate::Result;
use crate::evidence::{ChainSet, Factor, Symmetric, leave_out, softmax};

/// Most Newton steps of a fit; some five are enough.
const MAX_STEPS: usize = 50;
/// A step that promises no more log-likelihood than this, in all users together, is the last.
const TOLERANCE: f64 = 1e-10;

/// `b`, row-major `[Σ_k V_k, T]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Additive(Vec<f64>);

impl Additive {
    pub(super) fn widened(effects: &[f32], tiers: usize) -> Self {
        debug_assert_eq!(effects.len() % tiers.max(1), 0);
        Self(effects.iter().map(|&b| f64::from(b)).collect())
    }

    pub(super) fn as_slice(&self) -> &[f64] {
        &self.0
    }

    pub(super) fn check(&self, values: usize, tiers: usize) -> Result<bool> {
        check_numbers("effect of a value", &self.0, f64::MIN)?;
        Ok(values.checked_mul(tiers) == Some(self.0.len()))
    }

    /// `ln p(t | c, g)` for a chain with these values.
    pub(super) fn log_probs(&self, values: &[usize], level: &[f64], out: &mut [f64]) {
        self.logits(values, level, out);
        let largest = out.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum = largest + out.iter().map(|x| (x - largest).exp()).sum::<f64>().ln();
        out.iter_mut().for_each(|x| *x -= sum);
    }

    fn logits(&self, values: &[usize], level: &[f64], out: &mut [f64]) {
        let tiers = level.len();
        out.copy_from_slice(level);
        for &value in values {
            out.iter_mut().zip(&self.0[value * tiers..][..tiers]).for_each(|(x, b)| *x += b);
        }
    }
}

/// Sums over users.
#[derive(Debug)]
pub(super) struct Counts {
    /// Weight of each chain within each kind of segment, row-major `[kinds, C]`.
    weights: Vec<f64>,
    /// Weight of each value with each tier, row-major `[Σ_k V_k, T]`.
    observed: Vec<f64>,
    tiers: usize,
}

/// What leaving out a user takes.
#[derive(Debug, Clone)]
pub(super) struct Curvature {
    /// Of the penalised log-likelihood at the fitted effects.
    factor: Factor,
    /// By tier: how the slope changes as a user of it is missing in everybody's level, to which all segments are shrunken.
    of_all: Vec<Vec<f64>>,
    /// By kind of segment and tier: how it changes as a user of them is missing in the segment's own numbers, were all segments of
    /// the kind that one.
    of_own: BTreeMap<(usize, usize), Vec<f32>>,
}

/// A user to leave out: its segment's level, that level's changes with everybody's and with its own numbers, the share of the
/// kind's other users that are in the segment; kind, tier and chains.
pub(super) struct Own<'a> {
    pub(super) level: &'a [f64],
    pub(super) changes: [Vec<f64>; 2],
    pub(super) share: f64,
    pub(super) kind: usize,
    pub(super) tier: usize,
    pub(super) of: &'a [usize],
    pub(super) q: &'a [f64],
}

impl Counts {
    pub(super) fn new(chains: &ChainSet, levels: &TierLevels) -> Self {
        let tiers = levels.of_kind(0, None, None).len();
        Self {
            weights: vec![0.0; levels.kinds() * chains.len()],
            observed: vec![0.0; chains.value_count() * tiers],
            tiers,
        }
    }

    pub(super) fn add(&mut self, chains: &ChainSet, kind: usize, tier: usize, of: &[usize], q: &[f64]) {
        let weights = &mut self.weights[kind * chains.len()..][..chains.len()];
        for (&chain, &q) in of.iter().zip(q) {
            weights[chain] += q;
            chains.singles(chain).iter().for_each(|value| self.observed[value * self.tiers + tier] += q);
        }
    }

    /// The penalised log-likelihood of effects, less that of none.
    fn value(&self, chains: &ChainSet, levels: &[Vec<f64>], ridge: f64, effects: &Additive) -> f64 {
        let mut logits = vec![0.0; self.tiers];
        let gained: f64 = self.observed.iter().zip(&effects.0).map(|(n, b)| n * b).sum();
        let mut spent = 0.0;
        self.cells(chains, |kind, chain, weight| {
            effects.logits(chains.singles(chain), &levels[kind], &mut logits);
            spent += weight * softmax(&mut logits);
        });
        gained - spent - 0.5 * ridge * effects.0.iter().map(|b| b * b).sum::<f64>()
    }

    /// Kinds of segments and chains that somebody has.
    fn cells(&self, chains: &ChainSet, mut each: impl FnMut(usize, usize, f64)) {
        for (at, &weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            each(at / chains.len(), at % chains.len(), weight);
        }
    }

    /// Gradient of [`value`](Self::value), and the negative of its second derivatives without the ridge.
    fn slope(
        &self,
        chains: &ChainSet,
        levels: &[Vec<f64>],
        ridge: f64,
        effects: &Additive,
    ) -> (Vec<f64>, Symmetric) {
        let t = self.tiers;
        let mut gradient: Vec<f64> =
            self.observed.iter().zip(&effects.0).map(|(n, b)| n - ridge * b).collect();
        // Summed over the kinds first: a chain's values are the same in all of them.
        let mut expected = vec![0.0; chains.len() * t];
        let mut spread = vec![0.0; chains.len() * t * t];
        let mut p = vec![0.0; t];
        self.cells(chains, |kind, chain, weight| {
            effects.logits(chains.singles(chain), &levels[kind], &mut p);
            softmax(&mut p);
            let spread = &mut spread[chain * t * t..][..t * t];
            for i in 0..t {
                expected[chain * t + i] += weight * p[i];
                spread[i * t + i] += weight * p[i];
                (0..t).for_each(|j| spread[i * t + j] -= weight * p[i] * p[j]);
            }
        });
        let mut curvature = Symmetric::zero(effects.0.len());
        for chain in 0..chains.len() {
            let (expected, spread) = (&expected[chain * t..][..t], &spread[chain * t * t..][..t * t]);
            for &value in chains.singles(chain) {
                (0..t).for_each(|i| gradient[value * t + i] -= expected[i]);
                for &other in chains.singles(chain) {
                    for i in 0..t {
                        (0..t).for_each(|j| curvature.add(value * t + i, other * t + j, spread[i * t + j]));
                    }
                }
            }
        }
        (gradient, curvature)
    }

    /// The effects, by Newton steps that are halved until they gain.
    pub(super) fn fit(
        &self,
        chains: &ChainSet,
        tier_levels: &TierLevels,
        ridge: f64,
        start: Option<Additive>,
    ) -> Result<(Additive, Curvature)> {
        let levels = tier_levels;
        let levels: Vec<Vec<f64>> =
            (0..levels.kinds()).map(|kind| levels.of_kind(kind, None, None)).collect();
        let none = Additive(vec![0.0; self.observed.len()]);
        let mut effects = start.filter(|start| start.0.len() == none.0.len()).unwrap_or(none);
        let mut value = self.value(chains, &levels, ridge, &effects);
        for _ in 0..MAX_STEPS {
            let (gradient, curvature) = self.slope(chains, &levels, ridge, &effects);
            let step = curvature.factor(1.0, ridge)?.solve(&gradient);
            let promised: f64 = gradient.iter().zip(&step).map(|(g, s)| g * s).sum();
            if promised <= TOLERANCE {
                break;
            }
            let mut scale = 1.0;
            let better = loop {
                let moved = effects.0.iter().zip(&step).map(|(b, s)| b + scale * s).collect();
                let moved = Additive(moved);
                let found = self.value(chains, &levels, ridge, &moved);
                if found > value {
                    break Some((moved, found));
                }
                scale *= 0.5;
                if scale < 1e-6 {
                    break None;
                }
            };
            let Some((moved, found)) = better else { break };
            (effects, value) = (moved, found);
        }
        let (_, curvature) = self.slope(chains, &levels, ridge, &effects);
        let (of_all, of_own) = self.shifts(chains, tier_levels, &effects);
        Ok((effects, Curvature { factor: curvature.factor(1.0, ridge)?, of_all, of_own }))
    }

    /// `of_all` and `of_own` of [`Curvature`].
    fn shifts(&self, chains: &ChainSet, levels: &TierLevels, effects: &Additive) -> Shifts {
        let t = self.tiers;
        let mut of_all = vec![vec![0.0; effects.0.len()]; t];
        let mut of_own = BTreeMap::new();
        let mut p = vec![0.0; t];
        for (kind, weights) in self.weights.chunks_exact(chains.len()).enumerate() {
            let level = levels.of_kind(kind, None, None);
            let changes: Vec<[Vec<f64>; 2]> = (0..t).map(|tier| levels.changes(kind, tier)).collect();
            let mut own = vec![vec![0.0; effects.0.len()]; t];
            for (chain, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
                let values = chains.singles(chain);
                effects.logits(values, &level, &mut p);
                softmax(&mut p);
                for (tier, [everybody, alone]) in changes.iter().enumerate() {
                    add_shift(&mut of_all[tier], values, -weight, &p, everybody);
                    if levels.has(kind, tier) {
                        add_shift(&mut own[tier], values, -weight, &p, alone);
                    }
                }
            }
            for (tier, own) in own.into_iter().enumerate().filter(|(tier, _)| levels.has(kind, *tier)) {
                of_own.insert((kind, tier), own.into_iter().map(|x| x as f32).collect());
            }
        }
        (of_all, of_own)
    }
}

type Shifts = (Vec<Vec<f64>>, BTreeMap<(usize, usize), Vec<f32>>);

/// Adds `weight · (diag p − p pᵀ) change` to the slope of each value.
fn add_shift(slope: &mut [f64], values: &[usize], weight: f64, p: &[f64], change: &[f64]) {
    let mean: f64 = p.iter().zip(change).map(|(p, d)| p * d).sum();
    for &value in values {
        let slope = slope[value * p.len()..][..p.len()].iter_mut();
        slope.zip(p.iter().zip(change)).for_each(|(s, (p, d))| *s += weight * p * (d - mean));
    }
}

impl Curvature {
    /// The effects without a user.
    pub(super) fn without(&self, effects: &Additive, chains: &ChainSet, own: &Own<'_>) -> Vec<f32> {
        let Own { level, ref changes, share, kind, tier, of, q } = *own;
        let t = level.len();
        let mut gradient = vec![0.0; effects.0.len()];
        let mut probabilities = vec![0.0; of.len() * t];
        for ((&chain, &q), p) in of.iter().zip(q).zip(probabilities.chunks_exact_mut(t)) {
            effects.logits(chains.singles(chain), level, p);
            softmax(p);
            for &value in chains.singles(chain) {
                let gradient = &mut gradient[value * t..][..t];
                gradient.iter_mut().zip(&*p).for_each(|(g, p)| *g -= q * p);
                gradient[tier] += q;
            }
        }
        let curvature = |step: &[f64]| {
            let mut product = vec![0.0; step.len()];
            let mut d = vec![0.0; t];
            for ((&chain, &q), p) in of.iter().zip(q).zip(probabilities.chunks_exact(t)) {
                d.fill(0.0);
                for &value in chains.singles(chain) {
                    d.iter_mut().zip(&step[value * t..][..t]).for_each(|(d, s)| *d += s);
                }
                let mean: f64 = p.iter().zip(&d).map(|(p, d)| p * d).sum();
                d.iter_mut().zip(p).for_each(|(d, p)| *d = q * p * (*d - mean));
                for &value in chains.singles(chain) {
                    product[value * t..][..t].iter_mut().zip(&d).for_each(|(out, d)| *out += d);
                }
            }
            product
        };
        gradient.iter_mut().for_each(|g| *g = -*g);
        // The others are judged by the levels without the user: its own part in the sums is taken out of them.
        let mut of_all = self.of_all[tier].clone();
        let mut of_own: Vec<f64> = match self.of_own.get(&(kind, tier)) {
            Some(own) => own.iter().map(|&x| f64::from(x)).collect(),
            None => vec![0.0; gradient.len()],
        };
        for ((&chain, &q), p) in of.iter().zip(q).zip(probabilities.chunks_exact(t)) {
            add_shift(&mut of_all, chains.singles(chain), q, p, &changes[0]);
            add_shift(&mut of_own, chains.singles(chain), q, p, &changes[1]);
        }
        let shifts = of_all.iter().zip(&of_own);
        gradient.iter_mut().zip(shifts).for_each(|(g, (all, own))| *g += all + share * own);
        let step = leave_out(&self.factor, gradient, curvature);
        effects.0.iter().zip(step).map(|(b, s)| (b + s) as f32).collect()
    }
}
