//! Profile alone against profile plus signals, on the held-out users.

use std::fs;

use crate::error::{Context, Result};
use scaletot_chain::Signals;
use scaletot_encoder::Scores;
use scaletot_ltv::{Component, ValueModelConfig, ValueTrainer};
use scaletot_profile::Dataset;

use super::Run;
use crate::compare::{self, Evaluation};
use crate::signals::of_scores;
use crate::stages::{StageReport, write_json};

impl Run<'_> {
    /// Four models: ridge and network, each with and without the signals. Signals come from the encoder for every user, so that
    /// training and held-out users are treated alike.
    pub(super) fn evaluate(&mut self) -> Result<StageReport> {
        let input = &self.input;
        let scores = self.encoder()?.score(&input.profiles)?;
        let baseline = self.profile_only_encoder()?.score(&input.profiles)?;

        let seed = self.options.seed;
        let truth: Vec<f64> = input.test.iter().filter_map(|&row| input.outcomes[row]).collect();
        let labelled = self.labelled()?;
        let predictions = [
            ("ridge, profile", labelled.ridge(self, None)?),
            ("ridge, profile + signals", labelled.ridge(self, Some(&of_scores(&scores)?))?),
            ("network, profile", values(&baseline, &input.test)?),
            ("network, profile + signals", values(&scores, &input.test)?),
        ];
        let evaluation = compare::evaluate(&truth, &predictions, &[(1, 0), (3, 2)], seed)?;
        write_json(&self.path(super::EVALUATION), &evaluation)?;
        Ok(StageReport { users: truth.len() as u64, ..StageReport::default() })
    }

    /// The training users with a known outcome.
    pub(super) fn labelled(&self) -> Result<Labelled> {
        let input = &self.input;
        let rows: Vec<usize> =
            input.train.iter().copied().filter(|&row| input.outcomes[row].is_some()).collect();
        let outcomes = rows.iter().map(|&row| input.outcomes[row]).collect();
        let dataset = Dataset::builder(input.profiles.select(&rows)?).with_outcomes(outcomes).build()?;
        Ok(Labelled { rows, dataset })
    }

    /// What the stage found, in this run or an earlier one.
    pub(super) fn evaluation(&self) -> Result<Evaluation> {
        let path = self.path(super::EVALUATION);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not an evaluation", path.display()))
    }
}

/// Users that regressions are fitted on.
pub(super) struct Labelled {
    /// Their rows of the whole table.
    rows: Vec<usize>,
    dataset: Dataset,
}

impl Labelled {
    /// Values of the held-out users by ridge regression on the profile, and on signals of the whole table's users if there are any.
    pub(super) fn ridge(&self, run: &Run<'_>, signals: Option<&Signals>) -> Result<Vec<f64>> {
        let component = if signals.is_some() { Component::Informed } else { Component::Ridge };
        let config = ValueModelConfig::default().with_components([component]);
        let own = |signals: &Signals| signals.select(&self.rows)?.with_rows((0..self.rows.len()).collect());
        let known = signals.map(own).transpose()?;
        let model = ValueTrainer::new(config)?.fit(&self.dataset, known.as_ref(), run.options.seed)?;
        Ok(model.predict_rows(&run.input.profiles, &run.input.test, signals)?)
    }
}

/// The predicted values of users who are never abstained on.
fn values(scores: &Scores, rows: &[usize]) -> Result<Vec<f64>> {
    rows.iter()
        .map(|&row| scores.value_of(row).with_context(|| format!("row {row} was abstained on")))
        .collect()
}
