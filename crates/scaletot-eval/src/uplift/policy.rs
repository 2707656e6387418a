//! What a policy brings per customer.

use scaletot_core::config::share;
use serde::{Deserialize, Serialize};

use super::experiment::Experiment;
use super::totals::{Ranked, Totals, top};
use crate::bootstrap::Bootstrap;
use crate::interval::Interval;
use crate::verdict::{Direction, Verdict};
use crate::{Error, Result, check};

/// How the users of an arm are weighted.
///
/// With `W_i` whether user `i` was treated, `e_i` its probability, `y_i` the outcome, and `t_i` in [0, 1] the part of
/// user `i` that is in the top share `x` (`Σ_i t_i = x n`), an estimate has three parts:
///
/// | | [`HorvitzThompson`](Self::HorvitzThompson) | [`Hajek`](Self::Hajek) |
/// | --- | --- | --- |
/// | nobody | `1/n Σ_i (1 − W_i) y_i / (1 − e_i)` | `ȳ_0(all)` |
/// | incremental | `1/n Σ_i t_i (W_i y_i / e_i − (1 − W_i) y_i / (1 − e_i))` | `x (ȳ_1(top) − ȳ_0(top))` |
/// | value | nobody + incremental | nobody + incremental |
///
/// `ȳ_1(top) = Σ_i t_i W_i y_i / e_i  /  Σ_i t_i W_i / e_i`, and so on: means with weights that are divided by what they
/// add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Estimator {
    /// Inverse-propensity weights as they are (Horvitz & Thompson 1952). Without bias, but moved by how many users of
    /// each arm happen to be in the top, the more the larger outcomes are; its value is the textbook
    /// `1/n Σ_i y_i (W_i t_i / e_i + (1 − W_i) (1 − t_i) / (1 − e_i))`.
    HorvitzThompson,
    /// Self-normalised weights (Hájek 1971); the default. Slightly biased in small samples, usually much less noisy,
    /// and a constant added to all outcomes changes no increment.
    #[default]
    Hajek,
}

/// How many users a policy treats, and how its worth is estimated.
///
/// ```
/// use scaletot_eval::uplift::{Estimator, Targeting};
///
/// let targeting = Targeting::top(0.1).with_estimator(Estimator::HorvitzThompson);
/// assert_eq!(targeting.share(), 0.1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Targeting {
    share: f64,
    #[serde(default)]
    estimator: Estimator,
}

impl Targeting {
    /// Treats the `share` of the users with the highest scores, in (0, 1]; estimated by [`Estimator::Hajek`].
    #[must_use]
    pub fn top(share: f64) -> Self {
        Self { share, estimator: Estimator::default() }
    }

    /// Sets the estimator.
    #[must_use]
    pub fn with_estimator(mut self, estimator: Estimator) -> Self {
        self.estimator = estimator;
        self
    }

    /// Share of the users that are treated.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.share
    }

    /// How users are weighted.
    #[must_use]
    pub fn estimator(&self) -> Estimator {
        self.estimator
    }
}

/// A policy's estimated worth; made by [`Experiment::policy`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PolicyEstimate {
    /// Share of the users that the policy treats, in (0, 1].
    pub share: f64,
    /// How the users were weighted.
    pub estimator: Estimator,
    /// Mean outcome per customer, treated or not, under the policy: `nobody + incremental`.
    pub value: f64,
    /// Mean outcome per customer if nobody is treated; the same for all policies.
    pub nobody: f64,
    /// What the policy brings per customer, treated or not, against treating nobody.
    pub incremental: f64,
}

/// A policy's estimated worth with intervals; made by [`Experiment::policy_interval`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PolicyInterval {
    /// On the users as they are.
    pub estimate: PolicyEstimate,
    /// Interval of the mean outcome per customer.
    pub value: Interval,
    /// Interval of the incremental outcome per customer.
    pub incremental: Interval,
}

/// Two policies compared at the same share on the same users; made by [`Experiment::compare`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PolicyDifference {
    /// Number of users.
    pub users: usize,
    /// The first policy.
    pub first: PolicyEstimate,
    /// The second policy.
    pub second: PolicyEstimate,
    /// Interval of the difference of the incremental outcomes per customer, first − second; the values differ by the
    /// same.
    pub interval: Interval,
}

impl PolicyDifference {
    /// What is shown about the first policy against the second; a larger outcome is taken to be better.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.interval.verdict(true)
    }

    /// The comparison as a sentence, with what it rests on.
    #[must_use]
    pub fn in_words(&self, first: &str, second: &str) -> String {
        let Interval { estimate, low, high, level, .. } = self.interval;
        let replicates = self.interval.replicates_in_words();
        let verdict = match self.verdict() {
            Verdict::Shown(Direction::Better) => format!("{first} brings more than {second}"),
            Verdict::Shown(Direction::Worse) => format!("{first} brings less than {second}"),
            Verdict::NoDifferenceShown => {
                format!("no difference shown between {first} and {second}, it is within noise")
            }
            Verdict::TooLittleData => {
                let why =
                    self.interval.shortage().map_or_else(String::new, |shortage| format!(" {shortage}"));
                format!("no difference can be shown between {first} and {second}{why}")
            }
        };
        format!(
            "Treating the top {:.1} %: {verdict}: {:+.4} against {:+.4} per customer, difference {estimate:+.4}, {:.0} % \
             interval {low:+.4} to {high:+.4} (paired bootstrap of {} users, {replicates}).",
            self.first.share * 100.0,
            self.first.incremental,
            self.second.incremental,
            level * 100.0,
            self.users,
        )
    }
}

impl Experiment {
    /// Worth of the policy that treats the users with the highest scores, by the formulas of [`Estimator`].
    ///
    /// ```
    /// use scaletot_eval::uplift::{Experiment, Propensity, Targeting};
    ///
    /// let treated = [true, false, true, false];
    /// let spend = [9.0, 4.0, 3.0, 2.0];
    /// let experiment = Experiment::new(&treated, &spend, Propensity::Constant(0.5))?;
    /// let policy = experiment.policy(&[0.9, 0.9, 0.1, 0.1], &Targeting::top(0.5))?;
    /// assert_eq!((policy.nobody, policy.incremental, policy.value), (3.0, 2.5, 5.5));
    /// # Ok::<(), scaletot_eval::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::LengthMismatch`]; [`Error::NotFinite`] for a score; [`Error::Config`] for a share outside (0, 1];
    /// [`Error::NoneInTop`] if the top share holds users of one arm only, for either estimator.
    pub fn policy(&self, scores: &[f64], targeting: &Targeting) -> Result<PolicyEstimate> {
        share("share", targeting.share)?;
        estimate(&self.ranked("scores", scores)?.totals(None), targeting)
    }

    /// [`Experiment::policy`] with bootstrap intervals over users. The policy keeps its share: in every resample it
    /// treats the top of that resample.
    ///
    /// # Errors
    /// Those of [`Experiment::policy`] on all users, and of [`Bootstrap::interval`].
    pub fn policy_interval(
        &self,
        scores: &[f64],
        targeting: &Targeting,
        bootstrap: &Bootstrap,
        seed: u64,
    ) -> Result<PolicyInterval> {
        let all = self.policy(scores, targeting)?;
        let ranked = self.ranked("scores", scores)?;
        let drawn = bootstrap.on_counts(
            self.users(),
            seed,
            2,
            || (),
            |(), counts, values| {
                if let Ok(policy) = estimate(&ranked.totals(Some(counts)), targeting) {
                    values.copy_from_slice(&[policy.value, policy.incremental]);
                }
            },
        )?;
        let of = |estimate, part: usize, informative| {
            let values = drawn.chunks_exact(2).map(|values| values[part]).collect();
            Interval::of(estimate, values, bootstrap.level(), informative)
        };
        let top = ranked.in_top(targeting.share);
        let everybody: Vec<usize> = (0..self.users()).collect();
        // The value is that of treating nobody, to which all untreated users contribute, and the increment.
        let of_value = self.informative(&everybody).min(self.smaller_arm(&top));
        Ok(PolicyInterval {
            estimate: all,
            value: of(all.value, 0, of_value)?,
            incremental: of(all.incremental, 1, self.informative(&top))?,
        })
    }

    /// Compares the policies of scores `a` and `b` at the same share, on the same resamples.
    ///
    /// # Errors
    /// Those of [`Experiment::policy`] for either scores, and of [`Bootstrap::interval`].
    pub fn compare(
        &self,
        a: &[f64],
        b: &[f64],
        targeting: &Targeting,
        bootstrap: &Bootstrap,
        seed: u64,
    ) -> Result<PolicyDifference> {
        let of_a = self.ranked("scores of the first policy", a)?;
        let of_b = self.ranked("scores of the second policy", b)?;
        let (first, second) = (self.policy(a, targeting)?, self.policy(b, targeting)?);
        let drawn = bootstrap.on_counts(
            self.users(),
            seed,
            1,
            || (),
            |(), counts, values| {
                let on = |ranked: &Ranked<'_>| estimate(&ranked.totals(Some(counts)), targeting);
                if let (Ok(a), Ok(b)) = (on(&of_a), on(&of_b)) {
                    values[0] = a.incremental - b.incremental;
                }
            },
        )?;
        // What only one of the two treats tells them apart; each has a mean per arm.
        let tops = [of_a.in_top(targeting.share), of_b.in_top(targeting.share)];
        let smaller_arm = tops.iter().map(|top| self.smaller_arm(top)).min().unwrap_or(0);
        let mut either: Vec<usize> = tops.into_iter().flatten().collect();
        either.sort_unstable();
        either.dedup();
        let informative = self.informative(&either).min(smaller_arm);
        let difference = first.incremental - second.incremental;
        let interval = Interval::of(difference, drawn, bootstrap.level(), informative)?;
        Ok(PolicyDifference { users: self.users(), first, second, interval })
    }
}

fn estimate(groups: &[Totals], targeting: &Targeting) -> Result<PolicyEstimate> {
    let &Targeting { share, estimator } = targeting;
    let (top, all) = (top(groups, share), top(groups, 1.0));
    if top.treated_weight == 0.0 {
        return Err(Error::NoneInTop { arm: "treated", share });
    }
    if top.untreated_weight == 0.0 {
        return Err(Error::NoneInTop { arm: "untreated", share });
    }
    let (nobody, incremental) = match estimator {
        Estimator::HorvitzThompson => (all.untreated_outcome / all.users, top.effect() / all.users),
        Estimator::Hajek => {
            let treated = top.treated_outcome / top.treated_weight;
            let untreated = top.untreated_outcome / top.untreated_weight;
            (all.untreated_outcome / all.untreated_weight, share * (treated - untreated))
        }
    };
    let value = check::result("policy value", nobody + incremental)?;
    Ok(PolicyEstimate { share, estimator, value, nobody, incremental })
}
