//! Several models as one: stacked regression with non-negative weights (Breiman, Machine Learning 1996).

use anyhow::{Result, ensure};
use nalgebra::{DMatrix, DVector};

use super::CrossFitted;

/// Models beyond which trying every subset is not what is wanted.
const MOST: usize = 8;

/// The weighted sum of the models, with an intercept, that fits `ln(1 + outcome)` best out of fold. Weights are at least 0: each subset of
/// models is fitted by least squares, and of those without a negative weight the best is taken. A single model, or models of which none
/// has anything to say, stay as the first.
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
    let Some((intercept, weights)) = non_negative(&x, &y) else { return Ok(models[0].clone()) };
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

/// Intercept and weights of the best subset; `None` if no model helps.
fn non_negative(x: &DMatrix<f64>, y: &DVector<f64>) -> Option<(f64, Vec<f64>)> {
    let means: Vec<f64> = x.column_iter().map(|column| column.mean()).collect();
    let centre = y.mean();
    let centred = DMatrix::from_fn(x.nrows(), x.ncols(), |i, j| x[(i, j)] - means[j]);
    let gram = centred.tr_mul(&centred);
    let cross = centred.tr_mul(&y.add_scalar(-centre));
    let mut best: Option<(f64, Vec<f64>)> = None;
    for subset in 1_u32..1 << x.ncols() {
        let kept: Vec<usize> = (0..x.ncols()).filter(|j| subset >> j & 1 == 1).collect();
        let Some(solver) = gram.select_rows(&kept).select_columns(&kept).cholesky() else { continue };
        let solved = solver.solve(&cross.select_rows(&kept));
        if solved.iter().any(|&weight| weight < 0.0) {
            continue;
        }
        // What least squares take off the sum of squares.
        let explained = solved.dot(&cross.select_rows(&kept));
        if explained > best.as_ref().map_or(0.0, |best| best.0) {
            let mut weights = vec![0.0; x.ncols()];
            kept.iter().zip(solved.iter()).for_each(|(&j, &weight)| weights[j] = weight);
            best = Some((explained, weights));
        }
    }
    let (_, weights) = best?;
    let intercept = centre - means.iter().zip(&weights).map(|(mean, weight)| mean * weight).sum::<f64>();
    Some((intercept, weights))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: [[usize; 4]; 2] = [[0, 1, 2, 3], [4, 5, 6, 7]];

    fn model(of: impl Fn(usize) -> f64) -> CrossFitted {
        CrossFitted {
            out_of_fold: PARTS.iter().map(|part| part.iter().map(|&row| of(row)).collect()).collect(),
            test: vec![of(2), of(5)],
        }
    }

    fn parts() -> Vec<Vec<usize>> {
        PARTS.iter().map(|part| part.to_vec()).collect()
    }

    #[test]
    fn finds_the_sum_that_makes_the_outcome() {
        let (a, b) = (model(|row| row as f64), model(|row| ((row * 5) % 8) as f64));
        let outcomes: Vec<f64> =
            (0..8).map(|row| (0.3 + 0.2 * row as f64 + 0.1 * ((row * 5) % 8) as f64).exp_m1()).collect();
        let stacked = stack(&[&a, &b], &outcomes, &parts()).unwrap();
        for (row, said) in [2, 5].into_iter().zip(&stacked.test) {
            assert!((outcomes[row].ln_1p() - said).abs() < 1e-9);
        }
    }

    #[test]
    fn a_model_that_is_wrong_way_round_is_left_out() {
        let (good, bad) =
            (model(|row| row as f64), model(|row| -(row as f64) - 0.1 * ((row * 3) % 5) as f64));
        let outcomes: Vec<f64> = (0..8).map(|row| f64::from(row).exp_m1()).collect();
        let stacked = stack(&[&good, &bad], &outcomes, &parts()).unwrap();
        assert!((stacked.test[0] - 2.0).abs() < 1e-9 && (stacked.test[1] - 5.0).abs() < 1e-9, "{stacked:?}");
    }

    #[test]
    fn without_anything_to_say_the_first_stays() {
        let (a, b) = (model(|_| 1.0), model(|row| -(row as f64)));
        let outcomes: Vec<f64> = (0..8).map(|row| f64::from(row).exp_m1()).collect();
        assert_eq!(stack(&[&a, &b], &outcomes, &parts()).unwrap(), a);
    }

    #[test]
    fn models_of_other_users_are_refused() {
        let (a, mut b) = (model(|_| 1.0), model(|_| 1.0));
        b.test.pop();
        assert!(stack(&[&a, &b], &[0.0; 8], &parts()).is_err());
        assert!(stack(&[], &[0.0; 8], &parts()).is_err());
    }
}
