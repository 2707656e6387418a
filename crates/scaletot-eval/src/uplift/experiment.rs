//! The experiment's data.

use scaletot_core::config;

use super::totals::{Ranked, Totals};
use crate::informative::telling;
use crate::{Error, Result, check};

/// Probability with which the experiment treated a user, in (0, 1): known by design, not estimated from the outcomes.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Propensity<'a> {
    /// The same for everybody.
    Constant(f64),
    /// One per user.
    PerUser(&'a [f64]),
}

/// Data of a randomised experiment with two arms.
///
/// ```
/// use scaletot_eval::uplift::{Experiment, Propensity};
///
/// let treated = [true, false, true, false];
/// let visits = [1.0, 0.0, 2.0, 1.0];
/// let experiment = Experiment::new(&treated, &visits, Propensity::Constant(0.5))?;
/// assert_eq!((experiment.users(), experiment.treated()), (4, 2));
/// assert_eq!(experiment.qini(&[0.1, 0.2, 0.3, 0.4], &[])?.total, 1.0); // 1.5 visits against 0.5
///
/// let nobody = Experiment::new(&[false; 4], &visits, Propensity::Constant(0.5));
/// assert!(nobody.unwrap_err().to_string().contains("0 of 4 users are treated"));
/// # Ok::<(), scaletot_eval::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Experiment {
    /// What every user adds to the totals.
    users: Vec<Totals>,
    outcomes: Vec<f64>,
    arms: Vec<bool>,
    treated: usize,
}

impl Experiment {
    /// Takes one entry per user: whether the experiment treated them, their outcome (any finite number; visits,
    /// spend), and the probability with which they were treated.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`], [`Error::Empty`], [`Error::NotFinite`] for an outcome, also if outcomes divided by
    /// their probabilities are too large to add up; [`Error::Config`] for a propensity outside (0, 1);
    /// [`Error::OneArm`].
    pub fn new(treated: &[bool], outcomes: &[f64], propensity: Propensity<'_>) -> Result<Self> {
        let rows = outcomes.len();
        check::lengths("arms", rows, treated.len())?;
        if let Propensity::PerUser(propensities) = propensity {
            check::lengths("propensities", rows, propensities.len())?;
        }
        if rows == 0 {
            return Err(Error::Empty { what: "uplift" });
        }
        check::finite("outcome", outcomes)?;
        let of = |row: usize| match propensity {
            Propensity::Constant(propensity) => propensity,
            Propensity::PerUser(propensities) => propensities[row],
        };
        let mut users = Vec::with_capacity(rows);
        let mut size = 0.0;
        for (row, (&treated, &outcome)) in treated.iter().zip(outcomes).enumerate() {
            let found = of(row);
            let holds = found > 0.0 && found < 1.0;
            config::check(holds, "propensity", "a number between 0 and 1", found)?;
            let weight = 1.0 / if treated { found } else { 1.0 - found };
            size += weight * outcome.abs().max(1.0);
            if !size.is_finite() {
                return Err(Error::NotFinite { what: "sum of weighted outcomes", row, value: size });
            }
            users.push(Totals::of(treated, weight, outcome));
        }
        let (outcomes, arms) = (outcomes.to_vec(), treated.to_vec());
        let treated = treated.iter().filter(|&&treated| treated).count();
        if treated == 0 || treated == rows {
            return Err(Error::OneArm { treated, rows });
        }
        Ok(Self { users, outcomes, arms, treated })
    }

    /// Number of users.
    #[must_use]
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// Number of users whom the experiment treated.
    #[must_use]
    pub fn treated(&self) -> usize {
        self.treated
    }

    /// Users in the order of a policy.
    pub(super) fn ranked(&self, what: &'static str, scores: &[f64]) -> Result<Ranked<'_>> {
        check::lengths(what, self.users(), scores.len())?;
        check::finite("score", scores)?;
        Ok(Ranked::new(&self.users, scores))
    }

    /// Of these users, how many at most an estimate can rest on: those whose outcome is not the usual one, and those of the smaller arm.
    pub(super) fn informative(&self, rows: &[usize]) -> usize {
        let outcomes: Vec<f64> = rows.iter().map(|&row| self.outcomes[row]).collect();
        telling(&outcomes).min(self.smaller_arm(rows))
    }

    /// Of these users, how many are in the smaller arm.
    pub(super) fn smaller_arm(&self, rows: &[usize]) -> usize {
        let treated = rows.iter().filter(|&&row| self.arms[row]).count();
        treated.min(rows.len() - treated)
    }
}
