//! A simulated randomised test: what it would have brought to treat only the users whom an arm ranks highest.
//!
//! The users were treated by lot, so the worth of a policy can be estimated from those whom the lot treated as the policy would have
//! (inverse propensities). Each user is ranked by the model of the fold in which the user was tested; models of different folds have
//! different scales, so ranks within the fold are what the policy goes by.

use std::collections::BTreeMap;

use crate::error::{Context, Result};
use scaletot_eval::uplift::{Experiment, Propensity, Targeting};
use scaletot_eval::{Bootstrap, mid_ranks};
use scaletot_profile::Dataset;

use super::fold_result::FoldResult;
use super::options::EvaluateOptions;
use super::results::{ExperimentResults, PolicyResult, QiniResult};
use super::study::Trial;
use super::summarise::BASELINE;

/// Shares of users that a policy treats.
const SHARES: [f64; 3] = [0.1, 0.3, 0.5];
/// The policies that are compared.
const POLICIES: [&str; 2] = ["scaletot", BASELINE];

/// Policies and Qini curves from the folds of the first repeat.
///
/// # Errors
/// If an arm of the experiment has no users.
pub(super) fn experiment(
    folds: &[FoldResult],
    trial: &Trial,
    options: &EvaluateOptions,
) -> Result<ExperimentResults> {
    let (seed, bootstrap) = (options.source.seed, Bootstrap::default().with_replicates(options.replicates));
    // Every outcome's users are the same, and so are their arms.
    let arms = trial.outcomes.values().find_map(Dataset::arm).unwrap_or_default();
    let (rows, ranks) = ranked(folds, arms);
    let treated: Vec<bool> = rows.iter().map(|&row| arms[row] == Some(true)).collect();
    // By the design, which knows nothing of outcomes.
    let share = treated.iter().filter(|&&treated| treated).count() as f64 / treated.len().max(1) as f64;
    let grid: Vec<f64> = (0..=20).map(|at| f64::from(at) / 20.0).collect();
    let (mut policies, mut qini, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (outcome, users) in &trial.outcomes {
        let outcomes: Vec<Option<f64>> = rows.iter().map(|&row| users.outcome(row)).collect();
        let treated = known(&outcomes, &treated);
        let values: Vec<f64> = outcomes.iter().flatten().copied().collect();
        unknown.push((outcome.clone(), outcomes.len() - values.len()));
        let experiment = Experiment::new(&treated, &values, Propensity::Constant(share))
            .with_context(|| format!("the experiment on `{outcome}`"))?;
        let ranks: Ranks = ranks.iter().map(|(arm, ranks)| (arm.clone(), known(&outcomes, ranks))).collect();
        let baseline = ranks.get(BASELINE).context("the baseline has no predictions")?;
        for arm in POLICIES {
            let Some(scores) = ranks.get(arm) else { continue };
            for share in SHARES {
                let targeting = Targeting::top(share);
                let found = experiment.policy_interval(scores, &targeting, &bootstrap, seed)?;
                let against_profile = match arm {
                    BASELINE => None,
                    _ => {
                        let difference =
                            experiment.compare(scores, baseline, &targeting, &bootstrap, seed)?;
                        Some(difference.interval)
                    }
                };
                let (outcome, arm) = (outcome.clone(), arm.to_owned());
                policies.push(PolicyResult {
                    outcome,
                    arm,
                    share,
                    incremental: found.incremental,
                    against_profile,
                });
            }
            let curve = experiment.qini(scores, &grid)?;
            qini.push(QiniResult {
                outcome: outcome.clone(),
                arm: arm.to_owned(),
                coefficient: experiment.qini_interval(scores, &bootstrap, seed)?,
                points: curve.points.iter().map(|point| (point.share, point.incremental)).collect(),
            });
        }
    }
    let users = treated.iter().filter(|&&treated| treated).count();
    Ok(ExperimentResults {
        treatment: trial.treatment.clone(),
        users: [users, treated.len() - users],
        unknown,
        policies,
        qini,
    })
}

/// Per arm, a rank in (0, 1) of every user.
type Ranks = BTreeMap<String, Vec<f64>>;

/// What belongs to the users whose outcome is known. An outcome that nobody saw is none of 0: it would count in the arm's mean.
fn known<T: Copy>(outcomes: &[Option<f64>], of_users: &[T]) -> Vec<T> {
    outcomes
        .iter()
        .zip(of_users)
        .filter(|(outcome, _)| outcome.is_some())
        .map(|(_, &of_user)| of_user)
        .collect()
}

/// The tested users who took part, and per arm their ranks within the fold, in (0, 1).
fn ranked(folds: &[FoldResult], arms: &[Option<bool>]) -> (Vec<usize>, Ranks) {
    let mut rows = Vec::new();
    let mut ranks = Ranks::new();
    for fold in folds.iter().filter(|fold| fold.repeat == 0) {
        let taking_part: Vec<usize> =
            (0..fold.test.len()).filter(|&i| arms[fold.test[i]].is_some()).collect();
        rows.extend(taking_part.iter().map(|&i| fold.test[i]));
        for (arm, scores) in &fold.predictions {
            let of_fold = mid_ranks(scores);
            let n = scores.len().max(1) as f64;
            ranks.entry(arm.clone()).or_default().extend(taking_part.iter().map(|&i| of_fold[i] / (n + 1.0)));
        }
    }
    (rows, ranks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A treated user who spent nothing that is known is no treated user who spent nothing.
    #[test]
    fn users_without_a_known_outcome_are_in_neither_arm() {
        let outcomes = [Some(6.0), Some(1.0), None, Some(2.0), Some(3.0), None];
        let treated = known(&outcomes, &[true, false, true, true, false, false]);
        let scores = known(&outcomes, &[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]);
        assert_eq!(
            (treated.as_slice(), scores.as_slice()),
            (&[true, false, true, false][..], &[0.9, 0.8, 0.6, 0.5][..])
        );
        let values: Vec<f64> = outcomes.iter().flatten().copied().collect();
        let experiment = Experiment::new(&treated, &values, Propensity::Constant(0.5)).unwrap();
        let policy = experiment.policy(&scores, &Targeting::top(1.0)).unwrap();
        assert_eq!((policy.nobody, policy.incremental), (2.0, 2.0));
    }
}
