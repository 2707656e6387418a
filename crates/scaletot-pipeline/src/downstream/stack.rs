//! Several models as one: stacked regression with non-negative weights (Breiman, Machine Learning 1996), shrunk to equal ones.

use crate::error::{Result, ensure};
use nalgebra::{DMatrix, DVector};

use super::CrossFitted;

/// Models beyond which trying every subset is not what is wanted.
const MOST: usize = 8;
/// Users whose say the equal weights have. With few outcomes weights are mostly noise, and an average of models is hard to beat (Clemen,
/// International Journal of Forecasting 1989; Smith and Wallis, Oxford Bulletin 2009): on six dumps of runs anything from 200 to 4,000 ranked
/// about as well, and better than no shrinkage on four of them, at 50 to 2,000 labels.
const PRIOR_USERS: f64 = 500.0;

/// The weighted sum of the models, with an intercept, that fits `ln(1 + outcome)` best out of fold.
///
/// Each model counts in units of its standard deviation out of fold, and weights are at least 0. They are shrunk (ridge regression) to
/// equal weights, those of the mean of the models with its own slope, which count as much as `PRIOR_USERS` users. A model that says the
/// same of everybody is left out; if all do, the first stays.
///
/// # Errors
/// If there is no model or more than eight, or the models are not of the same users.
pub fn stack(models: &[&CrossFitted], outcomes: &[f64], parts: &[Vec<usize>]) -> Result<CrossFitted> {
    ensure!(
        (1..=MOST).contains(&models.len()),
        "from 1 to {MOST} models can be stacked, got {}",
        models.len()
    );
    let rows: Vec<usize> = parts.iter().flatten().copied().collect();
    let columns: Vec<Vec<f64>> =
        models.iter().map(|model| model.out_of_fold.iter().flatten().copied().collect()).collect();
    let tests = models[0].test.len();
    ensure!(
        columns.iter().all(|column| column.len() == rows.len())
            && models.iter().all(|m| m.test.len() == tests),
        "stacked models must be of the same users"
    );
    let x = DMatrix::from_fn(rows.len(), models.len(), |i, j| columns[j][i]);
    let y = DVector::from_fn(rows.len(), |i, _| outcomes[rows[i]].ln_1p());
    let Some((intercept, weights)) = shrunk_weights(&x, &y) else { return Ok(models[0].clone()) };
    let sum = |of: &dyn Fn(&CrossFitted) -> f64| -> f64 {
        intercept + models.iter().zip(&weights).map(|(model, weight)| weight * of(model)).sum::<f64>()
    };
    let part =
        |part: usize| (0..parts[part].len()).map(|i| sum(&|model| model.out_of_fold[part][i])).collect();
    Ok(CrossFitted {
        out_of_fold: (0..parts.len()).map(part).collect(),
        test: (0..tests).map(|i| sum(&|model| model.test[i])).collect(),
    })
}

/// Intercept and weights; `None` if no model varies.
fn shrunk_weights(x: &DMatrix<f64>, y: &DVector<f64>) -> Option<(f64, Vec<f64>)> {
    let deviations: Vec<f64> = x.column_iter().map(|column| column.variance().sqrt()).collect();
    let varies: Vec<usize> = (0..x.ncols()).filter(|&j| deviations[j] > 1e-9).collect();
    if varies.is_empty() {
        return None;
    }
    let means: Vec<f64> = x.column_iter().map(|column| column.mean()).collect();
    let z = DMatrix::from_fn(x.nrows(), varies.len(), |i, j| {
        (x[(i, varies[j])] - means[varies[j]]) / deviations[varies[j]]
    });
    let centred = y.add_scalar(-y.mean());
    let average = z.column_mean();
    // An average that is of no use, or worse, keeps a hint of a weight: it is what is left if no model is of use.
    let slope = (average.dot(&centred) / average.norm_squared()).max(0.01 * y.variance().sqrt());
    let equal = DVector::from_element(varies.len(), slope / varies.len() as f64);
    let gram = z.tr_mul(&z) + DMatrix::from_diagonal_element(varies.len(), varies.len(), PRIOR_USERS);
    let cross = z.tr_mul(&centred) + PRIOR_USERS * &equal;
    let standard = non_negative(&gram, &cross).unwrap_or(equal);
    let mut weights = vec![0.0; x.ncols()];
    varies.iter().zip(standard.iter()).for_each(|(&j, weight)| weights[j] = weight / deviations[j]);
    let intercept = y.mean() - means.iter().zip(&weights).map(|(mean, weight)| mean * weight).sum::<f64>();
    Some((intercept, weights))
}

/// The `w ≥ 0` with the least `wᵀ gram w / 2 − crossᵀ w`: each subset of variables is solved for, and of those without a negative one
/// the best is taken. `None` if that is all zeros.
fn non_negative(gram: &DMatrix<f64>, cross: &DVector<f64>) -> Option<DVector<f64>> {
    let mut best: Option<(f64, DVector<f64>)> = None;
    for subset in 1_u32..1 << cross.len() {
        let kept: Vec<usize> = (0..cross.len()).filter(|j| subset >> j & 1 == 1).collect();
        let Some(solver) = gram.select_rows(&kept).select_columns(&kept).cholesky() else { continue };
        let solved = solver.solve(&cross.select_rows(&kept));
        if solved.iter().any(|&weight| weight < 0.0) {
            continue;
        }
        let gain = solved.dot(&cross.select_rows(&kept));
        if gain > best.as_ref().map_or(0.0, |best| best.0) {
            let mut weights = DVector::zeros(cross.len());
            kept.iter().zip(solved.iter()).for_each(|(&j, &weight)| weights[j] = weight);
            best = Some((gain, weights));
        }
    }
    best.map(|(_, weights)| weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows `0..n` in two parts.
    fn parts(n: usize) -> Vec<Vec<usize>> {
        vec![(0..n / 2).collect(), (n / 2..n).collect()]
    }

    fn model(n: usize, of: impl Fn(usize) -> f64) -> CrossFitted {
        let out_of_fold = parts(n).iter().map(|part| part.iter().map(|&row| of(row)).collect()).collect();
        CrossFitted { out_of_fold, test: vec![of(2), of(5)] }
    }

    /// Two models that know nothing of each other, of about the same deviation.
    fn two(n: usize) -> (CrossFitted, CrossFitted) {
        (model(n, |row| (row % 7) as f64), model(n, |row| (row * 5 / 7 % 7) as f64))
    }

    /// Slopes of the stacked prediction on both models, over the training users.
    fn weights(stacked: &CrossFitted, a: &CrossFitted, b: &CrossFitted) -> (f64, f64) {
        let flat = |m: &CrossFitted| m.out_of_fold.concat();
        let (s, a, b) = (flat(stacked), flat(a), flat(b));
        let x = DMatrix::from_fn(s.len(), 3, |i, j| [1.0, a[i], b[i]][j]);
        let solved = (x.tr_mul(&x)).cholesky().unwrap().solve(&x.tr_mul(&DVector::from_vec(s)));
        (solved[1], solved[2])
    }

    #[test]
    fn many_users_find_the_sum_that_makes_the_outcome() {
        let n = 200_000;
        let (a, b) = two(n);
        let (x, y) = (a.out_of_fold.concat(), b.out_of_fold.concat());
        let outcomes: Vec<f64> = (0..n).map(|row| (0.3 + 0.2 * x[row] + 0.05 * y[row]).exp_m1()).collect();
        let stacked = stack(&[&a, &b], &outcomes, &parts(n)).unwrap();
        let (first, second) = weights(&stacked, &a, &b);
        assert!((first - 0.2).abs() < 2e-3 && (second - 0.05).abs() < 2e-3, "{first} {second}");
    }

    #[test]
    fn few_users_weigh_all_nearly_alike() {
        let n = 40;
        let (a, b) = two(n);
        let outcomes: Vec<f64> = a.out_of_fold.concat().iter().map(|x| (0.2 * x).exp_m1()).collect();
        let (first, second) = weights(&stack(&[&a, &b], &outcomes, &parts(n)).unwrap(), &a, &b);
        assert!(second > 0.8 * first && first > second, "{first} {second}");
    }

    #[test]
    fn a_model_that_is_wrong_way_round_is_left_out_by_many_users() {
        let n = 20_000;
        let (good, other) = two(n);
        let bad = model(n, |row| (row * 3 % 5) as f64);
        let (x, y) = (good.out_of_fold.concat(), bad.out_of_fold.concat());
        let outcomes: Vec<f64> = (0..n).map(|row| (1.0 + x[row] - 0.2 * y[row]).exp_m1()).collect();
        let stacked = stack(&[&good, &bad], &outcomes, &parts(n)).unwrap();
        let (first, second) = weights(&stacked, &good, &bad);
        assert!((first - 1.0).abs() < 0.1 && second.abs() < 1e-9, "{first} {second}");
        // The order of models does not matter.
        let swapped = stack(&[&bad, &good], &outcomes, &parts(n)).unwrap();
        assert!((swapped.test[0] - stacked.test[0]).abs() < 1e-9);
        assert!(stack(&[&other, &good], &outcomes, &parts(n)).is_ok());
    }

    #[test]
    fn models_of_no_use_are_averaged_and_those_without_a_word_left_out() {
        let (silent, down) = (model(8, |_| 1.0), model(8, |row| -(row as f64)));
        let outcomes: Vec<f64> = (0..8).map(|row| f64::from(row).exp_m1()).collect();
        let stacked = stack(&[&silent, &down], &outcomes, &parts(8)).unwrap();
        assert!(stacked.test[0] > stacked.test[1], "{stacked:?}");
        assert_eq!(stack(&[&silent, &silent], &outcomes, &parts(8)).unwrap(), silent);
    }

    #[test]
    fn models_of_other_users_are_refused() {
        let (a, mut b) = (model(8, |_| 1.0), model(8, |_| 1.0));
        b.test.pop();
        assert!(stack(&[&a, &b], &[0.0; 8], &parts(8)).is_err());
        assert!(stack(&[], &[0.0; 8], &parts(8)).is_err());
    }
}
