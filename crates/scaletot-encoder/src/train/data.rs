//! The rows to train on, with what is known of each.

use std::collections::HashSet;

use ndarray::{Array1, Array2, Axis};
use rand::seq::SliceRandom;

use super::distill_data::DistillData;
use super::rng::{Stream, stream};
use super::whitening::Whitening;
use crate::choices::RepresentationLoss;
use crate::config::DistillConfig;
use crate::error::{Error, Result};

/// The rows that have an outcome or signals, in table order.
#[derive(Debug)]
pub(super) struct TrainingData {
    /// Rows of the table.
    pub(super) rows: Vec<usize>,
    /// Per row, its outcome if it is known and may be used.
    pub(super) outcomes: Vec<Option<f64>>,
    /// Per row, its index among the reasoned users.
    pub(super) signal_of: Vec<Option<usize>>,
    /// The reasoned users' posteriors side by side, `[m, Σ V_k]`.
    pub(super) posteriors: Array2<f32>,
    /// The reasoned users' representations, `[m, K·d]`, with their mean taken away, whitened if there is a whitening.
    pub(super) representations: Array2<f32>,
    /// That mean, `[K·d]`.
    pub(super) centre: Array1<f32>,
    pub(super) whitening: Option<Whitening>,
}

impl TrainingData {
    /// Of the rows that are trained on; what no loss asks for is not read.
    pub(super) fn new(config: &DistillConfig, data: &DistillData<'_>) -> Result<Self> {
        let (dataset, chain, trained_on) = (data.dataset(), data.chain(), data.trained_on());
        let mut found = Self {
            rows: vec![],
            outcomes: vec![],
            signal_of: vec![],
            posteriors: Array2::zeros((0, 0)),
            representations: Array2::zeros((0, 0)),
            centre: Array1::zeros(0),
            whitening: None,
        };
        let mut indices = vec![None; dataset.len()];
        let wanted = config.lambda_rep.is_used() || config.lambda_state.is_used();
        if let Some(signals) = data.signals().filter(|_| wanted) {
            let rows: Vec<usize> = signals.rows().iter().copied().filter(|&row| trained_on[row]).collect();
            rows.iter().enumerate().for_each(|(index, &row)| indices[row] = Some(index));
            if !rows.is_empty() {
                let signals = signals.select(&rows)?;
                let matrix = |values: &[f32], width: usize| {
                    Array2::from_shape_vec((rows.len(), width), values.to_vec())
                        .map_err(|error| Error::shape("numbers of the signals", "a matrix", error))
                };
                found.posteriors = matrix(signals.marginal_values(), signals.marginal_width())?;
                found.representations =
                    matrix(signals.representation_values(), signals.representation_width())?;
                found.centre = found.representations.mean_axis(Axis(0)).unwrap_or_default();
                found.representations -= &found.centre;
                if config.representation == RepresentationLoss::WhitenedMse {
                    let whitening = Whitening::fit(&found.representations, chain.len());
                    found.representations = whitening.apply(&found.representations);
                    found.whitening = Some(whitening);
                }
            }
        }
        for (row, index) in indices.into_iter().enumerate().filter(|&(row, _)| trained_on[row]) {
            let outcome = dataset.outcome(row).filter(|_| config.lambda_out.is_used());
            if outcome.is_some() || index.is_some() {
                found.rows.push(row);
                found.outcomes.push(outcome);
                found.signal_of.push(index);
            }
        }
        if found.rows.is_empty() {
            let reason = "no training row has an outcome or signals with a weight above 0".into();
            return Err(Error::NothingToLearn { reason });
        }
        Ok(found)
    }

    pub(super) fn labelled(&self) -> usize {
        self.outcomes.iter().flatten().count()
    }

    pub(super) fn reasoned(&self) -> usize {
        self.signal_of.iter().flatten().count()
    }

    /// Indices within `rows` to fit on and to hold out. Rows with and without an outcome are split in the same
    /// proportion; at least one row stays to fit on.
    pub(super) fn split(&self, share: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
        let mut rng = stream(seed, Stream::Split);
        let (mut labelled, mut others): (Vec<usize>, Vec<usize>) =
            (0..self.rows.len()).partition(|&i| self.outcomes[i].is_some());
        let mut held_out = HashSet::new();
        for group in [&mut labelled, &mut others] {
            group.shuffle(&mut rng);
            held_out.extend(group.iter().copied().take((share * group.len() as f64).round() as usize));
        }
        let (fit, held_out): (Vec<usize>, Vec<usize>) =
            (0..self.rows.len()).partition(|i| !held_out.contains(i));
        if fit.is_empty() { (held_out, fit) } else { (fit, held_out) }
    }

    /// Mean posterior of the reasoned users at the named indices, all states side by side; all of them when none of those
    /// was reasoned about.
    pub(super) fn mean_posterior(&self, indices: &[usize]) -> Vec<f32> {
        let users: Vec<usize> = indices.iter().filter_map(|&index| self.signal_of[index]).collect();
        let mean = match users.as_slice() {
            [] => self.posteriors.mean_axis(Axis(0)),
            users => self.posteriors.select(Axis(0), users).mean_axis(Axis(0)),
        };
        mean.map(|mean| mean.to_vec()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data(labelled: usize, others: usize) -> TrainingData {
        let n = labelled + others;
        TrainingData {
            rows: (0..n).collect(),
            outcomes: (0..n).map(|i| (i < labelled).then_some(i as f64)).collect(),
            signal_of: (0..n).map(|i| i.checked_sub(labelled)).collect(),
            posteriors: Array2::from_shape_fn((others, 2), |(i, v)| if i % 2 == v { 1.0 } else { 0.0 }),
            representations: Array2::zeros((others, 1)),
            centre: Array1::zeros(1),
            whitening: None,
        }
    }

    proptest! {
        #[test]
        fn a_split_is_a_partition_in_proportion(
            labelled in 0usize..50, others in 0usize..50, share in 0.0f64..=0.5, seed in 0u64..99,
        ) {
            prop_assume!(labelled + others > 0);
            let data = data(labelled, others);
            let (fit, held_out) = data.split(share, seed);
            let mut all = [fit.clone(), held_out.clone()].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..labelled + others).collect::<Vec<_>>());
            prop_assert!(!fit.is_empty());
            let expected = |n: usize| (share * n as f64).round() as usize;
            if fit.len() > 1 {
                prop_assert_eq!(held_out.iter().filter(|&&i| i < labelled).count(), expected(labelled));
                prop_assert_eq!(held_out.iter().filter(|&&i| i >= labelled).count(), expected(others));
            }
            prop_assert_eq!(data.split(share, seed), (fit, held_out));
        }
    }

    #[test]
    fn the_mean_posterior_is_over_the_named_users() {
        let data = data(2, 4);
        assert_eq!(data.mean_posterior(&[0, 2, 4]), [1.0, 0.0]);
        assert_eq!(data.mean_posterior(&[2, 3]), [0.5, 0.5]);
        assert_eq!(
            data.mean_posterior(&[0, 1]),
            [0.5, 0.5],
            "nobody there was reasoned about: everyone's mean"
        );
    }
}
