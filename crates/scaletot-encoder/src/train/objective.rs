//! The weighted sum of losses that is minimised, and every user's share of it.

use burn::tensor::Tensor;

use super::batch::Batch;
use super::log::Losses;
use super::loss::{
    read_column, read_scalar, representation_loss, representation_rows, state_loss, state_rows,
};
use super::network::Heads;
use super::outcome::OutcomeTask;
use crate::config::DistillConfig;
use crate::error::Result;

/// The losses' weights in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LossWeights {
    representation: f64,
    states: f64,
    outcome: f64,
}

impl LossWeights {
    /// When a share of all steps has been made.
    pub(super) fn at(config: &DistillConfig, share: f64) -> Self {
        Self {
            representation: config.lambda_rep.at(share),
            states: config.lambda_state.at(share),
            outcome: config.lambda_out.at(share),
        }
    }

    /// The weighted sum of losses.
    pub(super) fn total(&self, losses: &Losses) -> f64 {
        let term = |weight: f64, loss: Option<f64>| weight * loss.unwrap_or(0.0);
        term(self.representation, losses.representation)
            + term(self.states, losses.states)
            + term(self.outcome, losses.outcome)
    }
}

/// How heads' outputs are held against a batch.
#[derive(Debug)]
pub(super) struct Objective<'a> {
    pub(super) config: &'a DistillConfig,
    pub(super) task: &'a OutcomeTask,
}

impl Objective<'_> {
    /// The losses as numbers, and their weighted sum as a tensor to go backward from.
    pub(super) fn losses(
        &self,
        heads: &Heads,
        batch: &Batch,
        weights: LossWeights,
    ) -> Result<(Losses, Option<Tensor<1>>)> {
        let config = self.config;
        let mut sum: Option<Tensor<1>> = None;
        let mut add = |weight: f64, loss: Option<Tensor<1>>| -> Result<Option<f64>> {
            let Some(loss) = loss else { return Ok(None) };
            let value = read_scalar(loss.clone())?;
            let weighted = loss.mul_scalar(weight);
            if weight > 0.0 {
                sum = Some(match sum.take() {
                    Some(sum) => sum + weighted,
                    None => weighted,
                });
            }
            Ok(Some(value))
        };
        let mut losses = Losses::default();
        if let Some(projected) = heads.projected.clone() {
            let loss = representation_loss(projected, &batch.reasoned, config.representation)?;
            losses.representation = add(weights.representation, loss)?;
        }
        if let Some(logits) = heads.states.clone() {
            let loss = state_loss(logits, &batch.reasoned, config.state_temperature)?;
            losses.states = add(weights.states, loss)?;
        }
        if let Some(outcome) = heads.outcome.clone() {
            losses.outcome = add(weights.outcome, self.task.loss(outcome, &batch.labelled)?)?;
        }
        losses.total = weights.total(&losses);
        Ok((losses, sum))
    }

    /// Every row's own weighted losses: of the signals, 0 without any, and of the outcome, if it is known.
    pub(super) fn rows(
        &self,
        heads: &Heads,
        batch: &Batch,
        weights: LossWeights,
    ) -> Result<Vec<(f64, Option<f64>)>> {
        let config = self.config;
        let mut rows = vec![(0.0, None); batch.features.len()];
        let signals = [
            match heads.projected.clone() {
                Some(projected) => representation_rows(projected, &batch.reasoned, config.representation)?
                    .map(|loss| (weights.representation, loss)),
                None => None,
            },
            match heads.states.clone() {
                Some(logits) => state_rows(logits, &batch.reasoned, config.state_temperature)?
                    .map(|loss| (weights.states, loss)),
                None => None,
            },
        ];
        for (weight, loss) in signals.into_iter().flatten() {
            for (&row, loss) in batch.reasoned.rows().iter().zip(read_column(loss)?) {
                rows[row].0 += weight * loss;
            }
        }
        if let Some(outcome) = heads.outcome.clone()
            && let Some(loss) = self.task.rows(outcome, &batch.labelled)?
        {
            for (&row, loss) in batch.labelled.rows().iter().zip(read_column(loss)?) {
                rows[row].1 = Some(weights.outcome * loss);
            }
        }
        Ok(rows)
    }
}

/// How hard every user is, from [`Objective::rows`] of all: the sum of the two, at least 0. A density's negative
/// logarithm has no natural zero, so where one is negative all outcome losses are counted from the least.
pub(super) fn hardness(rows: &[(f64, Option<f64>)]) -> Vec<f64> {
    let least = rows.iter().filter_map(|row| row.1).fold(0.0, f64::min);
    rows.iter()
        .map(|&(signals, outcome)| signals.max(0.0) + outcome.map_or(0.0, |outcome| outcome - least))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use ndarray::array;

    use super::super::loss::{Labelled, Reasoned};
    use crate::choices::RepresentationLoss;
    use crate::config::EncoderConfig;
    use crate::features::Features;
    use crate::head::OutcomeHead;

    /// Three rows: reasoned about, of known outcome, both.
    fn batch() -> Batch {
        let posteriors = array![[0.9f32, 0.1], [0.3, 0.7]];
        let representations = array![[1.0f32, 0.2], [-0.5, 2.0]];
        let indices = [Some(0), None, Some(1)];
        Batch {
            features: Features::new(3, vec![], vec![], vec![0; 3]),
            labelled: Labelled::new(&[None, Some(0.0), Some(7.0)]).unwrap(),
            reasoned: Reasoned::new(&posteriors, &representations, &[2], &indices).unwrap(),
        }
    }

    #[test]
    fn rows_add_up_to_the_losses() {
        let device = Device::default();
        let signals = Tensor::<2>::from_floats([[0.5, -1.0], [9.0, 9.0], [1.0, 0.3]], &device);
        let kinds = [
            RepresentationLoss::Cosine,
            RepresentationLoss::WhitenedMse,
            RepresentationLoss::Contrastive { temperature: 0.5 },
        ];
        let outcomes = [
            (
                OutcomeHead::Ziln,
                Tensor::from_floats([[0.4, 1.0, 0.2], [0.4, 1.0, 0.2], [1.4, 2.0, 0.3]], &device),
            ),
            (OutcomeHead::Tweedie { power: 1.4 }, Tensor::from_floats([[0.4], [1.0], [0.2]], &device)),
            (
                OutcomeHead::Tiers { tiers: 1 },
                Tensor::from_floats([[0.4, 1.0], [1.0, 0.2], [0.1, 0.9]], &device),
            ),
        ];
        for (representation, (outcome_head, outcome)) in kinds.into_iter().zip(outcomes) {
            let config = DistillConfig {
                representation,
                state_temperature: 1.5,
                lambda_rep: 0.5.into(),
                lambda_out: 3.0.into(),
                ..DistillConfig::default()
            };
            let encoder = EncoderConfig { outcome_head, ..EncoderConfig::default() };
            let task = OutcomeTask::new(&encoder, &config, &[0.0, 7.0]);
            let objective = Objective { config: &config, task: &task };
            let heads = Heads {
                outcome: Some(outcome),
                states: Some(signals.clone()),
                representation: None,
                projected: Some(signals.clone()),
            };
            let weights = LossWeights::at(&config, 0.0);
            let (losses, _) = objective.losses(&heads, &batch(), weights).unwrap();
            let rows = objective.rows(&heads, &batch(), weights).unwrap();
            let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-5, "{outcome_head:?}: {a} {b}");
            assert_eq!((rows[1].0, rows[0].1), (0.0, None));
            close(
                (rows[0].0 + rows[2].0) / 2.0,
                0.5 * losses.representation.unwrap() + losses.states.unwrap(),
            );
            // What is left out of the density's rows is ln o.
            let left_out = if outcome_head == OutcomeHead::Ziln { 3.0 * 7f64.ln() } else { 0.0 };
            close((rows[1].1.unwrap() + rows[2].1.unwrap() + left_out) / 2.0, 3.0 * losses.outcome.unwrap());
        }
    }

    #[test]
    fn hardness_adds_up_and_is_never_negative() {
        assert_eq!(hardness(&[(1.0, Some(2.0)), (-1e-9, None), (0.5, Some(0.0))]), [3.0, 0.0, 0.5]);
        assert_eq!(hardness(&[(1.0, Some(-2.0)), (0.0, Some(1.0)), (4.0, None)]), [1.0, 3.0, 4.0]);
    }
}
