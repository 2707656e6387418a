//! The Qini curve: the incremental outcome over the share of users treated.

use scaletot_core::config::check;
use serde::{Deserialize, Serialize};

use super::experiment::Experiment;
use super::totals::{Totals, top};
use crate::Result;
use crate::bootstrap::Bootstrap;
use crate::interval::Interval;

/// A point of a Qini curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct QiniPoint {
    /// Share of the users treated, the highest scores first; in [0, 1].
    pub share: f64,
    /// Incremental outcome per customer, treated or not: `Q(share)`.
    pub incremental: f64,
}

/// A Qini curve; made by [`Experiment::qini`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Qini {
    /// Number of users.
    pub users: usize,
    /// `Q(1)`: the incremental outcome per customer of treating everybody.
    pub total: f64,
    /// Area between the curve and the straight line to its end point.
    pub coefficient: f64,
    /// The curve at the shares that were asked for, in their order.
    pub points: Vec<QiniPoint>,
}

impl Experiment {
    /// Qini curve (Radcliffe 2007) of a score, at the given shares, and its coefficient.
    ///
    /// In the form with inverse propensities, which allows every user a propensity of their own and is defined at every
    /// share; with `t_i(x)` in [0, 1] the part of user `i` in the top share `x`,
    ///
    /// ```text
    /// Q(x) = 1/n Σ_i t_i(x) (W_i y_i / e_i − (1 − W_i) y_i / (1 − e_i))
    /// coefficient = ∫_0^1 (Q(x) − x Q(1)) dx
    /// ```
    ///
    /// `Q(x)` is the increment of the policy at share `x` by
    /// [`Estimator::HorvitzThompson`](super::Estimator::HorvitzThompson). At a constant propensity `e`, `e n Q(x)` is
    /// Radcliffe's curve with the untreated scaled by the design, `e / (1 − e)`, instead of the counts in the top.
    ///
    /// The coefficient is in the outcome's unit per customer and not divided by anything (the best possible area is
    /// unknown, because nobody is seen both treated and untreated). The curve is made of straight lines, within tied
    /// groups too, and the area is exact whatever the grid. A constant score has a straight line and a coefficient of
    /// exactly 0; the reversed score has the coefficient with the opposite sign.
    ///
    /// ```
    /// use scaletot_eval::uplift::{Experiment, Propensity};
    ///
    /// let treated = [true, false, true, false];
    /// let spend = [8.0, 4.0, 2.0, 2.0];
    /// let experiment = Experiment::new(&treated, &spend, Propensity::Constant(0.5))?;
    /// let qini = experiment.qini(&[0.9, 0.9, 0.1, 0.1], &[0.25, 0.5, 1.0])?;
    /// let curve: Vec<f64> = qini.points.iter().map(|point| point.incremental).collect();
    /// assert_eq!(curve, [1.0, 2.0, 2.0]);
    /// assert_eq!(qini.coefficient, 0.5); // area 1.5, of which 1 is under the straight line
    /// # Ok::<(), scaletot_eval::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::LengthMismatch`](crate::Error::LengthMismatch); [`Error::NotFinite`](crate::Error::NotFinite) for a score; [`Error::Config`](crate::Error::Config) for a share outside
    /// [0, 1].
    pub fn qini(&self, scores: &[f64], shares: &[f64]) -> Result<Qini> {
        if let Some(&found) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            check(false, "share", "a number from 0 to 1", found)?;
        }
        let groups = self.ranked("scores", scores)?.totals(None);
        let n = self.users() as f64;
        let point = |share| QiniPoint { share, incremental: top(&groups, share).effect() / n };
        Ok(Qini {
            users: self.users(),
            total: point(1.0).incremental,
            coefficient: coefficient(&groups),
            points: shares.iter().map(|&share| point(share)).collect(),
        })
    }

    /// Bootstrap interval of the Qini coefficient over users. A resample without users of either arm is undefined.
    ///
    /// # Errors
    /// Those of [`Experiment::qini`], and of [`Bootstrap::interval`].
    pub fn qini_interval(&self, scores: &[f64], bootstrap: &Bootstrap, seed: u64) -> Result<Interval> {
        let ranked = self.ranked("scores", scores)?;
        let estimate = coefficient(&ranked.totals(None));
        let drawn = bootstrap.on_counts(
            self.users(),
            seed,
            1,
            || (),
            |(), counts, values| {
                let groups = ranked.totals(Some(counts));
                let all = top(&groups, 1.0);
                if all.treated_weight > 0.0 && all.untreated_weight > 0.0 {
                    values[0] = coefficient(&groups);
                }
            },
        )?;
        let everybody: Vec<usize> = (0..self.users()).collect();
        Interval::of(estimate, drawn, bootstrap.level(), self.informative(&everybody))
    }
}

/// `∫ t_i(x) dx` is one minus the middle of the group's positions as a share, so the area over the straight line is
/// `1/n Σ_groups effect · (1/2 − middle)`.
fn coefficient(groups: &[Totals]) -> f64 {
    let n: f64 = groups.iter().map(|group| group.users).sum();
    let mut above = 0.0;
    let mut area = 0.0;
    for group in groups {
        area += group.effect() / n * (0.5 - (above + group.users / 2.0) / n);
        above += group.users;
    }
    area
}
