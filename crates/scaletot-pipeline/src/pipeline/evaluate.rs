//! Profile alone against profile plus signals, on the held-out users.

use std::fs;

use crate::error::{Context, Result};
use ndarray::Array2;
use scaletot_encoder::Scores;

use super::Run;
use crate::compare::{self, Evaluation};
use crate::downstream::{parts, ridge};
use crate::features::{profile_features, signal_features};
use crate::stages::{StageReport, write_json};

impl Run<'_> {
    /// Four models: ridge and network, each with and without the signals. Signals come from the encoder for every user, so that
    /// training and held-out users are treated alike.
    pub(super) fn evaluate(&mut self) -> Result<StageReport> {
        let input = &self.input;
        let labelled: Vec<usize> =
            input.train.iter().copied().filter(|&row| input.outcomes[row].is_some()).collect();
        let outcomes: Vec<f64> = input.outcomes.iter().map(|outcome| outcome.unwrap_or(0.0)).collect();
        let scores = self.encoder()?.score(&input.profiles)?;
        let baseline = self.profile_only_encoder()?.score(&input.profiles)?;

        let profile = profile_features(&input.profiles, &labelled)?;
        let signals = signal_features(&scores);
        let seed = self.options.seed;
        let truth: Vec<f64> = input.test.iter().map(|&row| outcomes[row]).collect();
        let parts = parts(&labelled, None, seed)?;
        let linear = |blocks: &[&Array2<f64>]| -> Result<Vec<f64>> {
            Ok(ridge(blocks, &outcomes, &parts, &input.test)?.values(&outcomes, &parts))
        };
        let predictions = [
            ("ridge, profile", linear(&[&profile])?),
            ("ridge, profile + signals", linear(&[&profile, &signals])?),
            ("network, profile", values(&baseline, &input.test)?),
            ("network, profile + signals", values(&scores, &input.test)?),
        ];
        let evaluation = compare::evaluate(&truth, &predictions, &[(1, 0), (3, 2)], seed)?;
        write_json(&self.path(super::EVALUATION), &evaluation)?;
        Ok(StageReport { users: truth.len() as u64, ..StageReport::default() })
    }

    /// What the stage found, in this run or an earlier one.
    pub(super) fn evaluation(&self) -> Result<Evaluation> {
        let path = self.path(super::EVALUATION);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not an evaluation", path.display()))
    }
}

/// The predicted values of users who are never abstained on.
fn values(scores: &Scores, rows: &[usize]) -> Result<Vec<f64>> {
    rows.iter()
        .map(|&row| scores.value_of(row).with_context(|| format!("row {row} was abstained on")))
        .collect()
}
