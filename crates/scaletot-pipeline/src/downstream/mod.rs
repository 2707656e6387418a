//! Models of the outcome on a user's profile and signals.
//!
//! Every model is cross-fitted: beside the users whom it is for it predicts its own training users, each without that user's part. So
//! models can be stacked, and the way back from logarithms can be taken without the optimism of a fit. That holds for what is fitted here;
//! signals of a student that was aligned with the same users' outcomes have seen them all, and are trusted a little too much.

mod calibrate;
mod ridge;
mod stack;

use std::collections::BTreeMap;

use crate::error::{Result, ensure};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use calibrate::calibrate;
pub use ridge::ridge;
pub use stack::stack;

/// Parts that training users are cut into.
const PARTS: usize = 5;
/// Labelled users without whom nothing is fitted.
pub const LEAST: usize = 2 * PARTS;

/// What a model fitted on labelled users predicts of `ln(1 + outcome)`.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossFitted {
    /// Of the training users, part by part in the order of the parts, by the model fitted without the part.
    pub out_of_fold: Vec<Vec<f64>>,
    /// Of the users whom the model is for.
    pub test: Vec<f64>,
}

impl CrossFitted {
    /// Predicted outcomes: `exp(a + b ŷ)`, fitted to the training users' outcomes by Poisson pseudo-likelihood (`calibrate`). The order of
    /// users is that of `ŷ`.
    #[must_use]
    pub fn values(&self, outcomes: &[f64], parts: &[Vec<usize>]) -> Vec<f64> {
        let said: Vec<f64> = self.out_of_fold.iter().flatten().copied().collect();
        let truth: Vec<f64> = parts.iter().flatten().map(|&row| outcomes[row]).collect();
        let (a, b) = calibrate(&said, &truth);
        self.test.iter().map(|y| (a + b * y).exp()).collect()
    }
}

/// Cuts training users into parts at random, the same for every model that is given the same seed. Users with the same number in `groups`
/// (by row) stay together.
///
/// # Errors
/// If there are fewer than two users per part.
pub fn parts(train: &[usize], groups: Option<&[usize]>, seed: u64) -> Result<Vec<Vec<usize>>> {
    ensure!(
        train.len() >= LEAST,
        "the downstream model needs at least {LEAST} labelled training users, there are {}",
        train.len()
    );
    let mut units: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &row in train {
        units.entry(groups.map_or(row, |groups| groups[row])).or_default().push(row);
    }
    let mut units: Vec<Vec<usize>> = units.into_values().collect();
    units.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    Ok((0..PARTS).map(|part| units.iter().skip(part).step_by(PARTS).flatten().copied().collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_everybody_once() {
        let parts = parts(&(0..23).collect::<Vec<_>>(), None, 4).unwrap();
        let mut all: Vec<usize> = parts.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..23).collect::<Vec<_>>());
        assert!(parts.iter().all(|part| part.len() >= 4));
    }

    #[test]
    fn groups_stay_in_one_part() {
        let rows: Vec<usize> = (0..40).collect();
        let groups: Vec<usize> = rows.iter().map(|row| row / 4).collect();
        for part in parts(&rows, Some(&groups), 1).unwrap() {
            assert!(!part.is_empty() && part.iter().all(|row| part.contains(&(row / 4 * 4))));
        }
    }

    #[test]
    fn refuses_too_few_rows() {
        assert!(parts(&[0, 1, 2], None, 1).unwrap_err().to_string().contains("at least 10"));
    }

    #[test]
    fn values_have_the_mean_of_the_outcomes() {
        let fitted = CrossFitted { out_of_fold: vec![vec![0.0, 1.0], vec![2.0]], test: vec![0.0, 1.0, 2.0] };
        let values = fitted.values(&[0.0, 5.0, 7.0], &[vec![0, 1], vec![2]]);
        assert!((values.iter().sum::<f64>() - 12.0).abs() < 1e-6 && values[0] < values[1], "{values:?}");
    }
}
