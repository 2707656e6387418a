//! Ridge regression of `ln(1 + outcome)` (Hoerl and Kennard 1970) on blocks of features.
//!
//! Features are centred on the training users, those that are no indicators are also divided by their deviation, and the intercept is not
//! penalised. An indicator is left as large as it is: standardised, a rare value would be penalised hardly at all (on the active days of
//! `kuairand-days`, with many rare codes, the rank correlation was 0.213 that way and is 0.244 this way). The penalty, and how strongly each
//! further block is penalised compared with the first, are chosen on a fixed grid by cross-validated squared error on the training users
//! alone. Normal equations are solved by Cholesky decomposition (the `nalgebra` crate); the folds' Gram matrices add up, so that the
//! whole grid costs one pass over the rows.

use crate::error::{Context, Result, ensure};
use nalgebra::{DMatrix, DVector};
use ndarray::{Array2, ArrayView1, Axis, concatenate};

use super::CrossFitted;

/// Penalties tried: a value that as many training users have is shrunk by half.
const ALPHAS: [f64; 9] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0];
/// Scales tried for the first block when there are further ones: 0.3 penalises it eleven times as much, 3 a ninth as much, 0 leaves it out.
const SCALES: [f64; 4] = [3.0, 1.0, 0.3, 0.0];

/// Fits on the users of all `parts` (row numbers of `blocks`, each `[N, F_b]`) and predicts those of `test`.
///
/// The parts are the folds of the cross-validation that chooses the penalties, and what the predictions out of fold leave out.
///
/// # Errors
/// If there is no block, there are fewer than two parts, or a system cannot be solved.
pub fn ridge(
    blocks: &[&Array2<f64>],
    outcomes: &[f64],
    parts: &[Vec<usize>],
    test: &[usize],
) -> Result<CrossFitted> {
    ensure!(parts.len() >= 2, "the downstream model needs at least 2 parts, got {}", parts.len());
    let train: Vec<usize> = parts.iter().flatten().copied().collect();
    let views: Vec<_> = blocks.iter().map(|block| block.view()).collect();
    let features = concatenate(Axis(1), &views).context("blocks of features")?;
    let scaler = Scaler::fit(&features, &train, blocks.first().map_or(0, |block| block.ncols()))?;
    let systems: Vec<System> =
        parts.iter().map(|rows| System::of(&scaler, &features, outcomes, rows)).collect();
    let whole = System::sum(&systems).context("no training rows")?;
    let scales = if blocks.len() > 1 { &SCALES[..] } else { &[1.0][..] };
    let mut best: Option<(f64, f64, f64, Vec<DVector<f64>>)> = None;
    for &scale in scales {
        for alpha in ALPHAS {
            let without: Vec<DVector<f64>> = systems
                .iter()
                .map(|held| whole.without(held).solve(&scaler, scale, alpha))
                .collect::<Result<_>>()?;
            let error = systems.iter().zip(&without).map(|(held, weights)| held.squared_error(weights)).sum();
            if best.as_ref().is_none_or(|best| error < best.0) {
                best = Some((error, scale, alpha, without));
            }
        }
    }
    let (_, scale, alpha, without) = best.context("no penalty was tried")?;
    let weights = whole.solve(&scaler, scale, alpha)?;
    let fitted = |row: usize, weights: &DVector<f64>| -> f64 {
        scaler.row(features.row(row)).zip(weights.iter()).map(|(x, w)| x * w).sum()
    };
    Ok(CrossFitted {
        out_of_fold: parts
            .iter()
            .zip(&without)
            .map(|(rows, weights)| rows.iter().map(|&row| fitted(row, weights)).collect())
            .collect(),
        test: test.iter().map(|&row| fitted(row, &weights)).collect(),
    })
}

/// Centres and scales the columns that vary among the training users and adds the intercept.
struct Scaler {
    /// (column, mean, divisor, whether it belongs to the first block).
    columns: Vec<(usize, f64, f64, bool)>,
}

impl Scaler {
    fn fit(features: &Array2<f64>, train: &[usize], first: usize) -> Result<Self> {
        let x = features.select(Axis(0), train);
        let mean = x.mean_axis(Axis(0)).context("no training rows")?;
        let deviation = x.std_axis(Axis(0), 0.0);
        // A column that does not vary among the training users says nothing.
        let kept = (0..x.ncols()).filter(|&j| deviation[j] > 1e-9);
        let scale = |j: usize| match x.column(j).iter().all(|&value| value == 0.0 || value == 1.0) {
            true => 1.0,
            false => deviation[j],
        };
        Ok(Self { columns: kept.map(|j| (j, mean[j], scale(j), j < first)).collect() })
    }

    /// One and the standardised columns.
    fn row(&self, x: ArrayView1<'_, f64>) -> impl Iterator<Item = f64> {
        std::iter::once(1.0)
            .chain(self.columns.iter().map(move |&(j, mean, deviation, _)| (x[j] - mean) / deviation))
    }
}

/// The sums that a least-squares problem is made of: `XᵀX`, `Xᵀy`, `yᵀy`.
struct System {
    gram: DMatrix<f64>,
    cross: DVector<f64>,
    square: f64,
}

impl System {
    fn of(scaler: &Scaler, features: &Array2<f64>, outcomes: &[f64], rows: &[usize]) -> Self {
        let values: Vec<f64> = rows.iter().flat_map(|&row| scaler.row(features.row(row))).collect();
        let x = DMatrix::from_row_slice(rows.len(), scaler.columns.len() + 1, &values);
        let y = DVector::from_iterator(rows.len(), rows.iter().map(|&row| outcomes[row].ln_1p()));
        Self { gram: x.tr_mul(&x), cross: x.tr_mul(&y), square: y.norm_squared() }
    }

    fn sum(systems: &[Self]) -> Option<Self> {
        let (first, rest) = systems.split_first()?;
        let start = Self { gram: first.gram.clone(), cross: first.cross.clone(), square: first.square };
        Some(rest.iter().fold(start, |sum, other| Self {
            gram: sum.gram + &other.gram,
            cross: sum.cross + &other.cross,
            square: sum.square + other.square,
        }))
    }

    fn without(&self, part: &Self) -> Self {
        Self {
            gram: &self.gram - &part.gram,
            cross: &self.cross - &part.cross,
            square: self.square - part.square,
        }
    }

    /// The weights of standardised features, the intercept first, with the first block's columns multiplied by `scale`.
    fn solve(&self, scaler: &Scaler, scale: f64, alpha: f64) -> Result<DVector<f64>> {
        // Scaled columns with penalty α are unscaled ones with penalty α / scale²; a scale of 0 leaves them out.
        let in_first = |j: usize| j.checked_sub(1).map(|column| scaler.columns[column].3);
        let kept: Vec<usize> =
            (0..self.cross.len()).filter(|&j| scale > 0.0 || in_first(j) != Some(true)).collect();
        let penalty = |j: usize| match in_first(j) {
            None => 0.0,
            Some(true) => alpha / (scale * scale),
            Some(false) => alpha,
        };
        let mut system = self.gram.select_rows(&kept).select_columns(&kept);
        for (a, &j) in kept.iter().enumerate() {
            system[(a, a)] += penalty(j);
        }
        let decomposed = system.cholesky().context("ridge regression: the normal equations are singular")?;
        let solved = decomposed.solve(&self.cross.select_rows(&kept));
        let mut weights = DVector::zeros(self.cross.len());
        for (&j, &weight) in kept.iter().zip(solved.iter()) {
            weights[j] = weight;
        }
        Ok(weights)
    }

    /// `‖y − X w‖²`.
    fn squared_error(&self, weights: &DVector<f64>) -> f64 {
        self.square - 2.0 * weights.dot(&self.cross) + weights.dot(&(&self.gram * weights))
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::parts;
    use super::*;

    fn rows(n: usize) -> (Array2<f64>, Vec<f64>) {
        let features = Array2::from_shape_fn((n, 3), |(i, j)| match j {
            0 => (i % 17) as f64,
            1 => ((i * 7) % 13) as f64,
            _ => 1.0, // constant, must be ignored
        });
        let outcomes = (0..n).map(|i| (0.1 * features[[i, 0]] + 0.05 * features[[i, 1]]).exp_m1()).collect();
        (features, outcomes)
    }

    #[test]
    fn recovers_a_linear_signal() {
        let (features, outcomes) = rows(200);
        let (train, test): (Vec<usize>, Vec<usize>) = (0..200).partition(|i| i % 4 != 0);
        let parts = parts(&train, None, 1).unwrap();
        let predicted = ridge(&[&features], &outcomes, &parts, &test).unwrap();
        for (&row, p) in test.iter().zip(&predicted.test) {
            assert!((outcomes[row].ln_1p() - p).abs() < 0.05, "row {row}: {p}");
        }
        for (&row, p) in parts.iter().flatten().zip(predicted.out_of_fold.iter().flatten()) {
            assert!((outcomes[row].ln_1p() - p).abs() < 0.05, "row {row}: {p}");
        }
    }

    /// What a user is said to have out of fold does not depend on the user's own outcome, if the penalty stays the same.
    #[test]
    fn out_of_fold_means_without_the_part() {
        let (features, mut outcomes) = rows(60);
        let parts = parts(&(0..60).collect::<Vec<_>>(), None, 1).unwrap();
        let before = ridge(&[&features], &outcomes, &parts, &[]).unwrap();
        outcomes[parts[0][0]] *= 1.01;
        let after = ridge(&[&features], &outcomes, &parts, &[]).unwrap();
        let moved = |part: usize| {
            let pairs = before.out_of_fold[part].iter().zip(&after.out_of_fold[part]);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        assert!(moved(0) < 1e-12 && moved(1) > 1e-6, "{} {}", moved(0), moved(1));
    }

    /// The gradient of the penalised loss is 0 at the solution, block by block.
    #[test]
    fn the_solution_is_stationary() {
        let (features, outcomes) = rows(60);
        let train: Vec<usize> = (0..60).collect();
        let scaler = Scaler::fit(&features, &train, 1).unwrap();
        let system = System::of(&scaler, &features, &outcomes, &train);
        let (scale, alpha) = (0.3, 10.0);
        let weights = system.solve(&scaler, scale, alpha).unwrap();
        let penalties = [0.0, alpha / (scale * scale), alpha];
        for j in 0..3 {
            let gradient: f64 = train
                .iter()
                .map(|&row| {
                    let x: Vec<f64> = scaler.row(features.row(row)).collect();
                    let fitted: f64 = x.iter().zip(weights.iter()).map(|(x, w)| x * w).sum();
                    x[j] * (fitted - outcomes[row].ln_1p())
                })
                .sum();
            assert!((gradient + penalties[j] * weights[j]).abs() < 1e-9, "{j}");
        }
        let residual: f64 = train
            .iter()
            .map(|&row| {
                let fitted: f64 = scaler.row(features.row(row)).zip(weights.iter()).map(|(x, w)| x * w).sum();
                (outcomes[row].ln_1p() - fitted).powi(2)
            })
            .sum();
        assert!((system.squared_error(&weights) - residual).abs() < 1e-9);
    }

    #[test]
    fn a_first_block_of_noise_is_shrunk_away() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let noise = Array2::from_shape_fn((120, 60), |_| rng.random_range(-1.0..1.0));
        let (features, outcomes) = rows(120);
        let (train, test): (Vec<usize>, Vec<usize>) = (0..120).partition(|i| i % 3 != 0);
        let error = |blocks: &[&Array2<f64>]| -> f64 {
            let predicted = ridge(blocks, &outcomes, &parts(&train, None, 1).unwrap(), &test).unwrap();
            test.iter().zip(&predicted.test).map(|(&row, p)| (outcomes[row].ln_1p() - p).powi(2)).sum()
        };
        assert!(error(&[&noise, &features]) < 0.05 * error(&[&noise]));
    }
}
