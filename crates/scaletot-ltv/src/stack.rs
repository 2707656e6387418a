//! Several models as one: stacked regression with non-negative weights (Breiman, Machine Learning 1996), shrunk to equal ones.

use nalgebra::{DMatrix, DVector};

/// Models beyond which trying every subset is not what is wanted.
pub(crate) const MAX_MODELS: usize = 8;

/// `intercept + Σ_m weight_m ŷ_m`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stack {
    pub(crate) intercept: f64,
    pub(crate) weights: Vec<f64>,
}

impl Stack {
    /// One model as it is.
    pub(crate) fn only_first(models: usize) -> Self {
        Self { intercept: 0.0, weights: (0..models).map(|m| if m == 0 { 1.0 } else { 0.0 }).collect() }
    }

    /// The weighted sum of the models, with an intercept, that fits `targets` best out of fold. `models` are predictions out of fold, all of
    /// the users of `targets`, from one to [`MAX_MODELS`] of them.
    ///
    /// Each model counts in units of its standard deviation out of fold, and weights are at least 0. They are shrunk (ridge regression) to
    /// equal weights, those of the mean of the models with its own slope, which count as much as `prior_users` users. A model that predicts
    /// the same for everybody is left out; if all do, the first stays.
    pub(crate) fn fit(models: &[&[f64]], targets: &[f64], prior_users: f64) -> Self {
        let x = DMatrix::from_fn(targets.len(), models.len(), |i, j| models[j][i]);
        let y = DVector::from_column_slice(targets);
        shrunk_weights(&x, &y, prior_users).unwrap_or_else(|| Self::only_first(models.len()))
    }

    /// The stacked prediction from those of the models.
    pub(crate) fn predict(&self, models: impl Iterator<Item = f64>) -> f64 {
        self.intercept + models.zip(&self.weights).map(|(model, weight)| weight * model).sum::<f64>()
    }
}

/// Intercept and weights; `None` if no model varies.
fn shrunk_weights(x: &DMatrix<f64>, y: &DVector<f64>, prior_users: f64) -> Option<Stack> {
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
    let gram = z.tr_mul(&z) + DMatrix::from_diagonal_element(varies.len(), varies.len(), prior_users);
    let cross = z.tr_mul(&centred) + prior_users * &equal;
    let standard = non_negative(&gram, &cross).unwrap_or(equal);
    let mut weights = vec![0.0; x.ncols()];
    varies.iter().zip(standard.iter()).for_each(|(&j, weight)| weights[j] = weight / deviations[j]);
    let intercept = y.mean() - means.iter().zip(&weights).map(|(mean, weight)| mean * weight).sum::<f64>();
    Some(Stack { intercept, weights })
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

    const PRIOR: f64 = 500.0;

    fn model(n: usize, of: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..n).map(of).collect()
    }

    /// Two models that know nothing of each other, of about the same deviation.
    fn two(n: usize) -> (Vec<f64>, Vec<f64>) {
        (model(n, |row| (row % 7) as f64), model(n, |row| (row * 5 / 7 % 7) as f64))
    }

    #[test]
    fn many_users_find_the_sum_that_makes_the_outcome() {
        let (a, b) = two(200_000);
        let targets: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 0.3 + 0.2 * a + 0.05 * b).collect();
        let Stack { intercept, weights } = Stack::fit(&[&a, &b], &targets, PRIOR);
        assert!((weights[0] - 0.2).abs() < 2e-3 && (weights[1] - 0.05).abs() < 2e-3, "{weights:?}");
        assert!((intercept - 0.3).abs() < 1e-2, "{intercept}");
    }

    #[test]
    fn few_users_weigh_all_nearly_alike() {
        let (a, b) = two(40);
        let targets: Vec<f64> = a.iter().map(|a| 0.2 * a).collect();
        let Stack { weights, .. } = Stack::fit(&[&a, &b], &targets, PRIOR);
        assert!(weights[1] > 0.8 * weights[0] && weights[0] > weights[1], "{weights:?}");
    }

    #[test]
    fn a_model_that_is_wrong_way_round_is_left_out_by_many_users() {
        let n = 20_000;
        let (good, _) = two(n);
        let bad = model(n, |row| (row * 3 % 5) as f64);
        let targets: Vec<f64> = good.iter().zip(&bad).map(|(good, bad)| 1.0 + good - 0.2 * bad).collect();
        let stack = Stack::fit(&[&good, &bad], &targets, PRIOR);
        assert!((stack.weights[0] - 1.0).abs() < 0.1 && stack.weights[1] == 0.0, "{stack:?}");
        // The order of models does not matter.
        let swapped = Stack::fit(&[&bad, &good], &targets, PRIOR);
        assert!((swapped.weights[1] - stack.weights[0]).abs() < 1e-9, "{swapped:?}");
    }

    #[test]
    fn models_of_no_use_are_averaged_and_constant_ones_left_out() {
        let (silent, down) = (model(8, |_| 1.0), model(8, |row| -(row as f64)));
        let targets: Vec<f64> = (0..8).map(f64::from).collect();
        let stack = Stack::fit(&[&silent, &down], &targets, PRIOR);
        assert!(stack.weights[0] == 0.0 && stack.weights[1] > 0.0, "{stack:?}");
        assert_eq!(Stack::fit(&[&silent, &silent], &targets, PRIOR), Stack::only_first(2));
    }
}
