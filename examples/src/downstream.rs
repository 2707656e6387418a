//! The downstream model: ridge regression of `ln(1 + outcome)`, the same on the profile alone and on profile plus signals.
//!
//! Features are standardised on the training users, the intercept is not penalised, and the penalty is chosen among a fixed grid by
//! cross-validated squared error on the training users alone.

use anyhow::{Context, Result, bail};
use ndarray::{Array1, Array2, Axis};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::ridge_regression::{RidgeRegression, RidgeRegressionParameters};

/// Penalties tried; features have unit variance, so they are comparable over tables.
const ALPHAS: [f64; 7] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0];
const FOLDS: usize = 5;

/// Fits on `train` rows of `features` (`[N, F]`) and predicts `ln(1 + outcome)` for the `test` rows.
///
/// # Errors
/// If there are fewer than ten training rows, or the linear system cannot be solved.
pub fn ridge(
    features: &Array2<f64>,
    outcomes: &[f64],
    train: &[usize],
    test: &[usize],
    seed: u64,
) -> Result<Vec<f64>> {
    if train.len() < 2 * FOLDS {
        bail!(
            "the downstream model needs at least {} labelled training users, there are {}",
            2 * FOLDS,
            train.len()
        );
    }
    let mut shuffled = train.to_vec();
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut best = (f64::INFINITY, ALPHAS[0]);
    for alpha in ALPHAS {
        let mut error = 0.0;
        for fold in 0..FOLDS {
            let (held, kept): (Vec<_>, Vec<_>) =
                shuffled.iter().enumerate().partition(|(i, _)| i % FOLDS == fold);
            let held: Vec<usize> = held.into_iter().map(|(_, &row)| row).collect();
            let kept: Vec<usize> = kept.into_iter().map(|(_, &row)| row).collect();
            let predicted = fit_predict(features, outcomes, &kept, &held, alpha)?;
            error +=
                held.iter().zip(&predicted).map(|(&row, p)| (outcomes[row].ln_1p() - p).powi(2)).sum::<f64>();
        }
        if error < best.0 {
            best = (error, alpha);
        }
    }
    fit_predict(features, outcomes, train, test, best.1)
}

fn fit_predict(
    features: &Array2<f64>,
    outcomes: &[f64],
    train: &[usize],
    test: &[usize],
    alpha: f64,
) -> Result<Vec<f64>> {
    let x = features.select(Axis(0), train);
    let mean = x.mean_axis(Axis(0)).context("no training rows")?;
    let deviation = x.std_axis(Axis(0), 0.0);
    // A column that does not vary among the training users says nothing.
    let kept: Vec<usize> = (0..x.ncols()).filter(|&j| deviation[j] > 1e-9).collect();
    let y: Array1<f64> = train.iter().map(|&row| outcomes[row].ln_1p()).collect();
    let level = y.mean().context("no training rows")?;
    if kept.is_empty() {
        return Ok(vec![level; test.len()]);
    }
    let standardised = |rows: &[usize]| -> Result<DenseMatrix<f64>> {
        let values: Vec<Vec<f64>> = rows
            .iter()
            .map(|&row| kept.iter().map(|&j| (features[[row, j]] - mean[j]) / deviation[j]).collect())
            .collect();
        DenseMatrix::from_2d_vec(&values).context("cannot build the design matrix")
    };
    let centred: Vec<f64> = y.iter().map(|v| v - level).collect();
    let parameters = RidgeRegressionParameters::default().with_alpha(alpha).with_normalize(false);
    let model = RidgeRegression::fit(&standardised(train)?, &centred, parameters)
        .context("ridge regression failed")?;
    let predicted: Vec<f64> = model.predict(&standardised(test)?).context("ridge regression failed")?;
    Ok(predicted.into_iter().map(|p| p + level).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovers_a_linear_signal() {
        let n = 200;
        let features = Array2::from_shape_fn((n, 3), |(i, j)| match j {
            0 => (i % 17) as f64,
            1 => ((i * 7) % 13) as f64,
            _ => 1.0, // constant, must be ignored
        });
        let outcomes: Vec<f64> =
            (0..n).map(|i| (0.1 * features[[i, 0]] + 0.05 * features[[i, 1]]).exp_m1()).collect();
        let (train, test): (Vec<usize>, Vec<usize>) = (0..n).partition(|i| i % 4 != 0);
        let predicted = ridge(&features, &outcomes, &train, &test, 1).unwrap();
        for (&row, p) in test.iter().zip(&predicted) {
            assert!((outcomes[row].ln_1p() - p).abs() < 0.05, "row {row}: {p}");
        }
    }

    #[test]
    fn refuses_too_few_rows() {
        let features = Array2::zeros((5, 1));
        assert!(ridge(&features, &[0.0; 5], &[0, 1, 2], &[3], 1).is_err());
    }
}
