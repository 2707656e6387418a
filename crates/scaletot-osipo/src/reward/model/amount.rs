//! Effects of the values of all states on the logarithm of positive outcomes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check_numbers;
use crate::evidence::{ChainSet, Factor, Label, Symmetric, leave_out};
use crate::{Error, Result};

/// Rounds in which effects and variance are fitted to each other.
const ROUNDS: usize = 20;
/// Variance of the logarithm (a factor of e up or down) that one pseudo-user has, so that few users are not certain of theirs.
const PRIOR_VARIANCE: f64 = 1.0;

/// The mean logarithm of the positive outcomes of each segment, shrunken to everybody's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Means {
    strength: f64,
    /// Number and sum.
    all: (f64, f64),
    segments: BTreeMap<usize, (f64, f64)>,
}

impl Means {
    pub(super) fn count(labels: &[Label], strength: f64) -> Self {
        let mut means = Self { strength, all: (0.0, 0.0), segments: BTreeMap::new() };
        for label in labels.iter().filter(|label| label.outcome > 0.0) {
            for (n, sum) in [&mut means.all, means.segments.entry(label.segment).or_default()] {
                *n += 1.0;
                *sum += label.outcome.ln();
            }
        }
        means
    }

    /// `μ_g`, without an outcome of the segment if there is one to leave out.
    fn mean(&self, segment: usize, without: Option<f64>) -> f64 {
        let less = |(n, sum): (f64, f64)| match without {
            Some(log) if n > 1.0 => (n - 1.0, sum - log),
            Some(_) => (0.0, 0.0),
            None => (n, sum),
        };
        let of_all = self.of_all(without);
        let (n, sum) = self.segments.get(&segment).map_or((0.0, 0.0), |own| less(*own));
        (sum + self.strength * of_all) / (n + self.strength)
    }

    /// How far `μ_g` moves with everybody's mean.
    fn share_of_all(&self, segment: usize) -> f64 {
        self.strength / (self.segments.get(&segment).map_or(0.0, |own| own.0) + self.strength)
    }

    /// Everybody's mean, without an outcome if there is one to leave out.
    fn of_all(&self, without: Option<f64>) -> f64 {
        let (n, sum) = self.all;
        match without {
            Some(log) if n > 1.0 => (sum - log) / (n - 1.0),
            None if n > 0.0 => sum / n,
            _ => 0.0,
        }
    }

    /// Share of everybody's mean, sum of `ln o − μ_g` and number of the positive outcomes of a segment.
    fn centred_sum(&self, segment: usize) -> (f64, f64, f64) {
        let share = self.share_of_all(segment);
        let (n, sum) = self.segments.get(&segment).copied().unwrap_or_default();
        (share, sum - n * self.mean(segment, None), n)
    }

    /// Sums over all segments: of `ln o − μ_g` by the segment's share of everybody's mean, and of the numbers by the share's square.
    fn centred_sums(&self) -> [f64; 2] {
        let add = |[sum, count]: [f64; 2], &segment: &usize| {
            let (share, y, n) = self.centred_sum(segment);
            [sum + share * y, count + share * share * n]
        };
        self.segments.keys().fold([0.0; 2], add)
    }

    /// `ln o − μ_g` of a positive outcome.
    pub(super) fn centred(&self, label: Label, leave_out: bool) -> f64 {
        let log = label.outcome.ln();
        log - self.mean(label.segment, leave_out.then_some(log))
    }
}

/// Sums over users with a positive outcome.
#[derive(Debug)]
pub(super) struct AmountCounts {
    /// Weight of each chain.
    weights: Vec<f64>,
    /// Sum of `q y` of each value, with `y = ln o − μ_g`.
    sums: Vec<f64>,
    squares: f64,
    users: f64,
    /// Weight of each value among the users of each segment.
    segments: BTreeMap<usize, Vec<f64>>,
}

/// `ln o ~ N(μ_g + Σ_k m_{k,v_k}, σ²)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Amount {
    means: Means,
    effects: Vec<f64>,
    users: f64,
    /// Sum of squared residuals, with the effects and without.
    residuals: f64,
    squares: f64,
}

/// What leaving out a user takes.
#[derive(Debug, Clone)]
pub(super) struct Curvature {
    factor: Factor,
    /// Weight of each value among the users of each segment, and among all, by how much their means move with everybody's.
    segments: BTreeMap<usize, Vec<f64>>,
    all: Vec<f64>,
    /// [`Means::centred_sums`].
    sums: [f64; 2],
    ridge: f64,
}

/// A user left out: effects, and the others' squared residuals with effects and without.
pub(super) type LeftOut = (Vec<f32>, [f64; 2]);

/// With one pseudo-user.
fn variance(squares: f64, users: f64) -> f64 {
    (squares.max(0.0) + PRIOR_VARIANCE) / (users.max(0.0) + 1.0)
}

impl AmountCounts {
    pub(super) fn new(chains: &ChainSet) -> Self {
        Self {
            weights: vec![0.0; chains.len()],
            sums: vec![0.0; chains.value_count()],
            squares: 0.0,
            users: 0.0,
            segments: BTreeMap::new(),
        }
    }

    /// Adds a user of a segment with `y`.
    pub(super) fn add(&mut self, chains: &ChainSet, (segment, y): (usize, f64), of: &[usize], q: &[f64]) {
        let own = self.segments.entry(segment).or_insert_with(|| vec![0.0; chains.value_count()]);
        for (&chain, &q) in of.iter().zip(q) {
            chains.singles(chain).iter().for_each(|&value| own[value] += q);
        }
        self.users += 1.0;
        self.squares += y * y;
        for (&chain, &q) in of.iter().zip(q) {
            self.weights[chain] += q;
            chains.singles(chain).iter().for_each(|&value| self.sums[value] += q * y);
        }
    }

    pub(super) fn fit(self, chains: &ChainSet, means: Means, ridge: f64) -> Result<(Amount, Curvature)> {
        let mut gram = Symmetric::zero(self.sums.len());
        for (chain, &weight) in self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            for &value in chains.singles(chain) {
                chains.singles(chain).iter().for_each(|&other| gram.add(value, other, weight));
            }
        }
        let mut amount = Amount {
            means,
            effects: vec![0.0; self.sums.len()],
            users: self.users,
            residuals: self.squares,
            squares: self.squares,
        };
        for _ in 0..ROUNDS {
            let penalty = ridge * variance(amount.residuals, self.users);
            amount.effects = gram.factor(1.0, penalty)?.solve(&self.sums);
            let explained: f64 = amount.effects.iter().zip(&self.sums).map(|(m, sum)| m * sum).sum();
            amount.residuals = (self.squares - 2.0 * explained + gram.form(&amount.effects)).max(0.0);
        }
        let scale = 1.0 / variance(amount.residuals, self.users);
        let mut all = vec![0.0; self.sums.len()];
        for (&segment, weights) in &self.segments {
            let share = amount.means.share_of_all(segment);
            all.iter_mut().zip(weights).for_each(|(all, weight)| *all += share * weight);
        }
        let factor = gram.factor(scale, ridge)?;
        let sums = amount.means.centred_sums();
        Ok((amount, Curvature { factor, segments: self.segments, all, sums, ridge }))
    }
}

impl Amount {
    pub(super) fn check(&self, values: usize) -> Result<bool> {
        check_numbers("effect of a value on amounts", &self.effects, f64::MIN)?;
        let pairs = self.means.segments.values().chain([&self.means.all]);
        let (counts, sums): (Vec<f64>, Vec<f64>) = pairs.copied().unzip();
        check_numbers("positive outcomes of a segment", &counts, 0.0)?;
        check_numbers("sum of the logarithms of a segment", &sums, f64::MIN)?;
        check_numbers("residuals of amounts", &[self.users, self.residuals, self.squares], 0.0)?;
        let strength = self.means.strength;
        if !(strength.is_finite() && strength >= 1e-9) {
            let (what, expected) = ("strength of a mean", "a finite number of at least 1e-9");
            return Err(Error::InvalidValue { what, row: 0, expected, found: strength });
        }
        Ok(self.effects.len() == values)
    }

    /// `E[o | o > 0, c, g]`, at most the largest number there is.
    pub(super) fn expected(&self, segment: usize, values: &[usize]) -> f64 {
        let effect: f64 = values.iter().map(|&value| self.effects[value]).sum();
        let variance = variance(self.residuals, self.users);
        (self.means.mean(segment, None) + effect + 0.5 * variance).exp().min(f64::MAX)
    }

    /// Adds the log-ratio of the densities with the chain and without it. `without` has the effects without the user, and the others' squared residuals.
    pub(super) fn add_rewards(
        &self,
        chains: &ChainSet,
        label: Label,
        of: &[usize],
        without: Option<(&[f32], [f64; 2])>,
        out: &mut [f64],
    ) {
        let y = self.means.centred(label, without.is_some());
        let (with, none) = match without {
            None => (variance(self.residuals, self.users), variance(self.squares, self.users)),
            Some((_, [residuals, squares])) => {
                (variance(residuals, self.users - 1.0), variance(squares, self.users - 1.0))
            }
        };
        let log_density = |y: f64, variance: f64| -0.5 * (y * y / variance + variance.ln());
        let plain = log_density(y, none);
        for (out, &chain) in out.iter_mut().zip(of) {
            let values = chains.singles(chain).iter();
            let effect: f64 = match without {
                Some((effects, _)) => values.map(|&value| f64::from(effects[value])).sum(),
                None => values.map(|&value| self.effects[value]).sum(),
            };
            *out += log_density(y - effect, with) - plain;
        }
    }
}

impl Curvature {
    /// What is left without a user: the fit's quadratic form, moved by one exact step.
    pub(super) fn without(
        &self,
        amount: &Amount,
        chains: &ChainSet,
        label: Label,
        of: &[usize],
        q: &[f64],
    ) -> LeftOut {
        let scale = 1.0 / variance(amount.residuals, amount.users);
        let y = amount.means.centred(label, false);
        let mut gradient = vec![0.0; amount.effects.len()];
        let mut own = 0.0;
        for (&chain, &q) in of.iter().zip(q) {
            let effect: f64 = chains.singles(chain).iter().map(|&value| amount.effects[value]).sum();
            own += q * (y - effect).powi(2);
            chains.singles(chain).iter().for_each(|&value| gradient[value] += q * scale * (y - effect));
        }
        let curvature = |step: &[f64]| {
            let mut product = vec![0.0; step.len()];
            for (&chain, &q) in of.iter().zip(q) {
                let moved: f64 = chains.singles(chain).iter().map(|&value| step[value]).sum();
                chains.singles(chain).iter().for_each(|&value| product[value] += q * scale * moved);
            }
            product
        };
        // The others are judged by the means without the user: the segment's own moves by its own numbers too.
        let log = label.outcome.ln();
        let moved = amount.means.of_all(Some(log)) - amount.means.of_all(None);
        let own_mean = amount.means.mean(label.segment, Some(log)) - amount.means.mean(label.segment, None);
        let own_moved = own_mean - amount.means.share_of_all(label.segment) * moved;
        let mut weights = vec![0.0; gradient.len()];
        for (&chain, &q) in of.iter().zip(q) {
            chains.singles(chain).iter().for_each(|&value| weights[value] += q);
        }
        let share = amount.means.share_of_all(label.segment);
        let of_segment = self.segments.get(&label.segment).unwrap_or(&weights);
        let others = self.all.iter().zip(of_segment).zip(&weights);
        // Sums over the others of a mean's change: with their values, with their outcomes, and squared.
        let by_value: Vec<f64> = others
            .map(|((all, own), weight)| (all - share * weight) * moved + (own - weight) * own_moved)
            .collect();
        let [all_sum, all_count] = self.sums;
        let (_, own_sum, own_count) = amount.means.centred_sum(label.segment);
        let by_outcome = moved * (all_sum - share * y) + own_moved * (own_sum - y);
        let squared = moved * moved * (all_count - share * share)
            + (2.0 * share * moved + own_moved) * own_moved * (own_count - 1.0);
        let right: Vec<f64> = gradient.iter().zip(&by_value).map(|(g, by)| -g - scale * by).collect();
        let step = leave_out(&self.factor, right.clone(), curvature);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let squares = amount.squares - y * y - 2.0 * by_outcome + squared;
        // By the slope of 0 at the fitted effects, and by the step's own equation, without another pass.
        let slope = self.ridge * dot(&step, &amount.effects) - dot(&step, &gradient);
        let bend = dot(&step, &right) - self.ridge * dot(&step, &step);
        let residuals = amount.residuals - own - 2.0 * (by_outcome - dot(&amount.effects, &by_value))
            + squared
            + 2.0 * dot(&step, &by_value)
            + (bend - 2.0 * slope) / scale;
        (amount.effects.iter().zip(step).map(|(m, s)| (m + s) as f32).collect(), [residuals, squares])
    }
}
