//! What would end an evaluation after answers were paid for, found before the first question.

use scaletot_ltv::ValueModelConfig;
use scaletot_student::StudentConfig;

use super::folds::Fold;
use super::study::Study;
use crate::error::{Result, ensure};
use crate::preflight::{MIN_USERS, check_columns, check_differ};
use crate::tasks::check_arms;

/// Checks a study and its folds.
///
/// # Errors
/// For folds of too few users, or of users with the same outcome, outcomes in a unit that serves nobody, profiles of more values than a regression
/// takes, and an experiment with an outcome that is known in one arm alone.
pub(super) fn check(study: &Study, folds: &[Fold]) -> Result<()> {
    folds.iter().try_for_each(|fold| check_fold(study, fold))?;
    study.dataset.check_unit()?;
    // The student's representation has a row for each state.
    let representation = study.chain.states().len() * StudentConfig::default().d_model;
    let labelled = study.labelled();
    check_columns(&study.dataset, &study.chain, &ValueModelConfig::default(), &labelled, representation)?;
    let outcomes = study.trial.iter().flat_map(|trial| &trial.outcomes);
    outcomes.into_iter().try_for_each(|(column, users)| check_arms(column, users, &labelled))
}

fn check_fold(study: &Study, fold: &Fold) -> Result<()> {
    let known = |rows: &[usize]| rows.iter().filter(|&&row| study.dataset.outcome(row).is_some()).count();
    let (train, test) = (known(&fold.train), known(&fold.test));
    let name = format!("repeat {} fold {}", fold.repeat + 1, fold.fold + 1);
    let remedy = "fewer folds or more known outcomes help, or a lower least number of populated fields (`min_populated`)";
    ensure!(
        train >= MIN_USERS && test >= MIN_USERS,
        "{name}: at least {MIN_USERS} users with a profile and a known outcome are needed to train on, and as many to test on; there are {train} \
         and {test}; {remedy}"
    );
    check_differ(&study.dataset, &fold.train, &format!("to train on in {name}"), remedy)?;
    check_differ(&study.dataset, &fold.test, &format!("to test on in {name}"), remedy)
}
