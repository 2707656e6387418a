//! The outcome-driven reward: what a chain adds to the user's segment in explaining the outcome.

use std::ops::Range;

use scaletot_core::config::check;
use serde::{Deserialize, Serialize};

use super::{Tiers, check_outcomes};
use crate::error::check_segments;
use crate::{Error, Result};

/// Settings of [`OutcomeReward`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OutcomeRewardConfig {
    /// Strength a of the prior of each segment's histogram, in pseudo-users, at least 1e-9. Default 5.
    pub segment_strength: f64,
    /// Strength b of the prior of each histogram given a state value, in pseudo-users, at least 1e-9. Default 10.
    pub state_strength: f64,
}

impl Default for OutcomeRewardConfig {
    fn default() -> Self {
        Self { segment_strength: 5.0, state_strength: 10.0 }
    }
}

impl OutcomeRewardConfig {
    /// Sets the strength a of the segments' prior.
    #[must_use]
    pub fn with_segment_strength(mut self, strength: f64) -> Self {
        self.segment_strength = strength;
        self
    }

    /// Sets the strength b of the state values' prior.
    #[must_use]
    pub fn with_state_strength(mut self, strength: f64) -> Self {
        self.state_strength = strength;
        self
    }

    /// Checks both strengths.
    ///
    /// # Errors
    /// [`Error::Config`] for one that is below 1e-9 or not finite: with less, probabilities could be too small for a logarithm.
    pub fn validate(&self) -> Result<()> {
        for (field, strength) in
            [("segment_strength", self.segment_strength), ("state_strength", self.state_strength)]
        {
            check(
                (1e-9..=f64::MAX).contains(&strength),
                field,
                "a finite number of at least 1e-9",
                strength,
            )?;
        }
        Ok(())
    }
}

/// `R(u, c) = ln p̂(o_u | c, g) − ln p̂(o_u | g)`: how much more likely the tier of the realised outcome is given the
/// chain's outcome-linked state than given the user's segment alone, estimated without the user itself.
///
/// With `N_{g,v,t}` the number of other labelled users of segment `g`, outcome-linked state `v` and tier `t` (a user
/// whose state is uncertain counts by its weights), a dot for a sum over an index, and `T` tiers:
///
/// ```text
/// p(t)       = (N_{·,·,t} + a / T)          / (N_{·,·,·} + a)
/// p̂(t | g)    = (N_{g,·,t} + a p(t))         / (N_{g,·,·} + a)
/// p(t | v)   = (N_{·,v,t} + b p(t))         / (N_{·,v,·} + b)
/// m(t | v,g) ∝  p̂(t | g) p(t | v) / p(t)                        the state's effect, carried over from all segments
/// p̂(t | v,g)  = (N_{g,v,t} + b m(t | v,g))   / (N_{g,v,·} + b)
/// ```
///
/// So a state value nobody else has gives `R = 0`, one that is rare in the segment is judged by what it means
/// elsewhere, and a frequent one by its own histogram. Every probability is positive, so `R` is finite.
/// The tiers are cut on all outcomes, the user's own included; only the histograms leave it out.
///
/// ```
/// use scaletot_osipo::reward::{OutcomeReward, OutcomeRewardConfig, Tiers, UserOutcome};
///
/// // Ten users of one segment: state 1 spends, state 0 does not.
/// let low = UserOutcome { outcome: Some(0.0), segment: 0, state: &[1.0, 0.0] };
/// let high = UserOutcome { outcome: Some(20.0), segment: 0, state: &[0.0, 1.0] };
/// let users: Vec<UserOutcome<'_>> = (0..10).map(|u| if u % 2 == 0 { low } else { high }).collect();
/// let tiers = Tiers::fit(&users.iter().map(|user| user.outcome).collect::<Vec<_>>(), 2)?;
/// let reward = OutcomeReward::fit(tiers, &users, &OutcomeRewardConfig::default())?;
/// let (right, wrong) = (reward.reward(1, 1)?.unwrap(), reward.reward(1, 0)?.unwrap());
/// assert!(right > 0.0 && wrong < 0.0);
/// # Ok::<(), scaletot_osipo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct OutcomeReward {
    config: OutcomeRewardConfig,
    tiers: Tiers,
    segments: usize,
    values: usize,
    /// `N_{g,v,t}`, row-major.
    counts: Vec<f64>,
    users: Vec<Option<Member>>,
    /// `N_{·,·,t}`. These sums over all segments are taken once: every reward needs them.
    #[serde(skip_serializing)]
    of_all: Vec<f64>,
    /// `N_{·,v,t}`, row-major.
    #[serde(skip_serializing)]
    of_values: Vec<f64>,
}

/// A reward as it is stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    config: OutcomeRewardConfig,
    tiers: Tiers,
    segments: usize,
    values: usize,
    counts: Vec<f64>,
    users: Vec<Option<Member>>,
}

impl TryFrom<Unchecked> for OutcomeReward {
    type Error = Error;

    fn try_from(stored: Unchecked) -> Result<Self> {
        let Unchecked { config, tiers, segments, values, counts, users } = stored;
        config.validate()?;
        let cells = segments.checked_mul(values).and_then(|cells| cells.checked_mul(tiers.count()));
        if cells != Some(counts.len()) {
            let expected =
                format!("one for each of {segments} segments, {values} values and {} tiers", tiers.count());
            let found = counts.len().to_string();
            return Err(Error::Shape { what: "counts of an outcome reward", expected, found });
        }
        let (what, expected) = ("count of an outcome reward", "a finite number of at least 0");
        let countable = |x: f64| x.is_finite() && x >= 0.0;
        if let Some((row, &found)) = counts.iter().enumerate().find(|(_, count)| !countable(**count)) {
            return Err(Error::InvalidValue { what, row, expected, found });
        }
        for (row, member) in users.iter().enumerate() {
            let Some(Member { segment, tier, weights }) = member else { continue };
            let fits = *segment < segments && *tier < tiers.count() && weights.len() == values;
            if !(fits && weights.iter().copied().all(countable)) {
                let expected = format!("a segment, a tier and weights that were counted in row {row}");
                let found = format!("segment {segment}, tier {tier} and {} weights", weights.len());
                return Err(Error::Shape { what: "user of an outcome reward", expected, found });
            }
        }
        let reward =
            Self { config, tiers, segments, values, counts, users, of_all: vec![], of_values: vec![] };
        Ok(reward.with_sums())
    }
}

/// What a labelled user brought into the counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    segment: usize,
    tier: usize,
    weights: Vec<f64>,
}

/// A user whom an [`OutcomeReward`] is fitted to: an argument that callers build, closed on purpose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UserOutcome<'a> {
    /// What came of the user, finite and at least 0; `None` if it was not observed.
    pub outcome: Option<f64>,
    /// The user segment.
    pub segment: usize,
    /// Weights over the values of the outcome-linked state: the posterior of the search, or 1 for the value of the best chain.
    /// They are scaled to the sum 1.
    pub state: &'a [f64],
}

impl OutcomeReward {
    /// Counts the labelled users.
    ///
    /// # Errors
    /// [`Error::Config`] from the config, [`Error::Shape`] if the states differ in width,
    /// [`Error::InvalidValue`] for a bad outcome, or weights that are negative or sum to 0,
    /// [`Error::NoLabelled`] if no outcome is observed.
    pub fn fit(tiers: Tiers, users: &[UserOutcome<'_>], config: &OutcomeRewardConfig) -> Result<Self> {
        config.validate()?;
        let rows = users.len();
        check_outcomes(users.iter().map(|user| user.outcome))?;
        if users.iter().all(|user| user.outcome.is_none()) {
            return Err(Error::NoLabelled { what: "outcome reward", rows });
        }
        check_segments(users.iter().map(|user| user.segment))?;
        let values = users.first().map_or(0, |user| user.state.len());
        let count = users.iter().map(|user| user.segment + 1).max().unwrap_or(0);
        let mut fitted = Self {
            config: config.clone(),
            segments: count,
            values,
            counts: vec![0.0; count * values * tiers.count()],
            users: Vec::with_capacity(rows),
            of_all: vec![],
            of_values: vec![],
            tiers,
        };
        for (row, user) in users.iter().enumerate() {
            let weights = normalised(row, user.state, values)?;
            let member = user.outcome.map(|outcome| Member {
                segment: user.segment,
                tier: fitted.tiers.tier(outcome),
                weights,
            });
            if let Some(member) = &member {
                for (value, weight) in member.weights.iter().enumerate() {
                    let at = fitted.at(member.segment, value, member.tier);
                    fitted.counts[at] += weight;
                }
            }
            fitted.users.push(member);
        }
        Ok(fitted.with_sums())
    }

    /// The same with the sums over all segments.
    fn with_sums(mut self) -> Self {
        let tiers = self.tiers.count();
        let mut of_all = vec![0.0; tiers];
        let mut of_values = vec![0.0; self.values * tiers];
        for segment in self.counts.chunks_exact((self.values * tiers).max(1)) {
            of_values.iter_mut().zip(segment).for_each(|(sum, count)| *sum += count);
            for value in segment.chunks_exact(tiers) {
                of_all.iter_mut().zip(value).for_each(|(sum, count)| *sum += count);
            }
        }
        (self.of_all, self.of_values) = (of_all, of_values);
        self
    }

    /// Reward of a chain with outcome-linked state `value` for user `user` of the fit, without the user's own
    /// counts; `None` if its outcome was not observed.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a user or a value that was not in the fit.
    pub fn reward(&self, user: usize, value: usize) -> Result<Option<f64>> {
        let Some(member) = self.users.get(user) else {
            let bound = self.users.len();
            return Err(Error::OutOfRange {
                what: "user of an outcome reward",
                row: user,
                index: user,
                bound,
            });
        };
        self.check_value(user, value)?;
        Ok(member.as_ref().map(|own| self.log_ratio(own.segment, own.tier, value, Some(own))))
    }

    /// Reward of a chain for a user who was not in the fit. A segment that was not fitted is judged by the whole
    /// population.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for an outcome that is negative or not finite, [`Error::OutOfRange`] for a value
    /// that was not in the fit (the row in both is 0).
    pub fn reward_unseen(&self, segment: usize, outcome: f64, value: usize) -> Result<f64> {
        check_outcomes([Some(outcome)])?;
        self.check_value(0, value)?;
        Ok(self.log_ratio(segment, self.tiers.tier(outcome), value, None))
    }

    /// The tiers.
    #[must_use]
    pub fn tiers(&self) -> &Tiers {
        &self.tiers
    }

    /// Number of values of the outcome-linked state.
    #[must_use]
    pub fn values(&self) -> usize {
        self.values
    }

    /// `ln p̂(tier | value, segment) − ln p̂(tier | segment)` without `own`.
    fn log_ratio(&self, segment: usize, tier: usize, value: usize, own: Option<&Member>) -> f64 {
        let tiers = self.tiers.count();
        let OutcomeRewardConfig { segment_strength: a, state_strength: b } = self.config;
        let cell = |v: usize| self.at(segment, v, 0)..self.at(segment, v, 0) + tiers;
        let fitted = segment < self.segments;
        let mut of_segment = vec![0.0; tiers];
        for v in (0..self.values).filter(|_| fitted) {
            of_segment.iter_mut().zip(&self.counts[cell(v)]).for_each(|(sum, count)| *sum += count);
        }
        let of_both = if fitted { self.counts[cell(value)].to_vec() } else { vec![0.0; tiers] };
        let without = |mut histogram: Vec<f64>, values: Range<usize>| {
            if let Some(own) = own {
                let weight: f64 = own.weights[values].iter().sum();
                // Rounding must not leave a negative count.
                histogram[own.tier] = (histogram[own.tier] - weight).max(0.0);
            }
            histogram
        };
        let all = without(self.of_all.clone(), 0..self.values);
        let of_segment = without(of_segment, 0..self.values);
        let of_value = without(self.of_values[value * tiers..][..tiers].to_vec(), value..value + 1);
        let of_both = without(of_both, value..value + 1);
        let p: Vec<f64> = shrunken(&all, a, &vec![1.0 / tiers as f64; tiers]);
        let p_segment = shrunken(&of_segment, a, &p);
        let p_value = shrunken(&of_value, b, &p);
        let mut carried: Vec<f64> = (0..tiers).map(|t| p_segment[t] * p_value[t] / p[t]).collect();
        let sum: f64 = carried.iter().sum();
        carried.iter_mut().for_each(|m| *m /= sum);
        let p_both = shrunken(&of_both, b, &carried);
        p_both[tier].ln() - p_segment[tier].ln()
    }

    fn at(&self, segment: usize, value: usize, tier: usize) -> usize {
        (segment * self.values + value) * self.tiers.count() + tier
    }

    fn check_value(&self, row: usize, value: usize) -> Result<()> {
        if value < self.values {
            return Ok(());
        }
        let what = "value of the outcome-linked state";
        Err(Error::OutOfRange { what, row, index: value, bound: self.values })
    }
}

/// `(N_t + s · prior_t) / (N + s)`.
fn shrunken(counts: &[f64], strength: f64, prior: &[f64]) -> Vec<f64> {
    let total: f64 = counts.iter().sum::<f64>() + strength;
    counts.iter().zip(prior).map(|(count, prior)| (count + strength * prior) / total).collect()
}

fn normalised(row: usize, weights: &[f64], width: usize) -> Result<Vec<f64>> {
    if weights.len() != width || width == 0 {
        return Err(Error::Shape {
            what: "weights over the values of the outcome-linked state",
            expected: format!("{} values in row {row}", width.max(1)),
            found: weights.len().to_string(),
        });
    }
    let (what, expected) = ("state weight", "finite numbers of at least 0 with a sum above 0");
    if let Some(&found) = weights.iter().find(|&&w| !(w.is_finite() && w >= 0.0)) {
        return Err(Error::InvalidValue { what, row, expected, found });
    }
    let found: f64 = weights.iter().sum();
    if !(found > 0.0 && found.is_finite()) {
        return Err(Error::InvalidValue { what, row, expected, found });
    }
    Ok(weights.iter().map(|weight| weight / found).collect())
}
