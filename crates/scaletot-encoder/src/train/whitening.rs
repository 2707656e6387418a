//! Whitening of the student's representations, and back.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array2, Axis, Slice};

/// Eigenvalues under this share of the largest are taken as that.
const FLOOR: f64 = 1e-3;

/// Symmetric matrices per state, `[d, d]`, for rows that are multiplied from the left.
///
/// With the covariance `U diag(λ) Uᵀ` of a state's centred representations and `λ' = max(λ, floor)`, whitening is
/// `U diag(λ'^−½) Uᵀ` (ZCA: Kessy, Lewin and Strimmer 2018) and `U diag(λ'^½) Uᵀ` its exact inverse.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Whitening {
    forward: Vec<Array2<f64>>,
    back: Vec<Array2<f64>>,
}

impl Whitening {
    /// For centred representations `[m, K·d]` of `states` states.
    pub(super) fn fit(centred: &Array2<f32>, states: usize) -> Self {
        let dim = centred.ncols() / states.max(1);
        let (mut forward, mut back) = (Vec::new(), Vec::new());
        for state in 0..states {
            let own = centred.slice_axis(Axis(1), block(state, dim)).mapv(f64::from);
            let covariance = own.t().dot(&own) / own.nrows().max(1) as f64;
            let eigen = SymmetricEigen::new(DMatrix::from_fn(dim, dim, |i, j| covariance[[i, j]]));
            let floor = (FLOOR * eigen.eigenvalues.max()).max(1e-12);
            let power = |exponent: f64| {
                let scales = eigen.eigenvalues.map(|value| value.max(floor).powf(exponent));
                let matrix =
                    &eigen.eigenvectors * DMatrix::from_diagonal(&scales) * eigen.eigenvectors.transpose();
                Array2::from_shape_fn((dim, dim), |(i, j)| matrix[(i, j)])
            };
            forward.push(power(-0.5));
            back.push(power(0.5));
        }
        Self { forward, back }
    }

    /// Rows of centred representations made white, `[m, K·d]`.
    pub(super) fn apply(&self, centred: &Array2<f32>) -> Array2<f32> {
        multiply(centred, &self.forward)
    }

    /// White rows as centred representations.
    pub(super) fn undo(&self, white: &Array2<f32>) -> Array2<f32> {
        multiply(white, &self.back)
    }
}

/// Every state's columns times its matrix.
fn multiply(rows: &Array2<f32>, matrices: &[Array2<f64>]) -> Array2<f32> {
    let mut product = rows.clone();
    for (state, matrix) in matrices.iter().enumerate() {
        let own = block(state, matrix.nrows());
        let values = rows.slice_axis(Axis(1), own).mapv(f64::from).dot(matrix);
        product.slice_axis_mut(Axis(1), own).assign(&values.mapv(|value| value as f32));
    }
    product
}

fn block(state: usize, dim: usize) -> Slice {
    Slice::from(state * dim..(state + 1) * dim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn centred(values: Vec<f32>, columns: usize) -> Array2<f32> {
        let rows = values.len() / columns;
        let matrix = Array2::from_shape_vec((rows, columns), values[..rows * columns].to_vec()).unwrap();
        let mean = matrix.mean_axis(Axis(0)).unwrap();
        matrix - &mean
    }

    fn covariance(rows: &Array2<f32>) -> Array2<f32> {
        rows.t().dot(rows) / rows.nrows() as f32
    }

    proptest! {
        #[test]
        fn white_rows_have_unit_covariance_within_a_state(values in prop::collection::vec(-1f32..1.0, 200)) {
            // Correlated columns of different sizes, but none near the floor.
            let mut rows = centred(values, 4);
            for mut row in rows.outer_iter_mut() {
                row[1] += row[0];
                row[3] = 5.0 * row[3] - row[2];
            }
            let white = Whitening::fit(&rows, 2).apply(&rows);
            let covariance = covariance(&white);
            for (i, j) in [(0, 0), (0, 1), (1, 1), (2, 2), (2, 3), (3, 3)] {
                let expected = if i == j { 1.0 } else { 0.0 };
                prop_assert!((covariance[[i, j]] - expected).abs() < 1e-3, "{}", covariance);
            }
        }

        #[test]
        fn back_is_the_inverse_also_for_directions_that_are_constant(values in prop::collection::vec(-9f32..9.0, 60)) {
            let mut rows = centred(values, 6);
            rows.column_mut(4).fill(0.0);
            let whitening = Whitening::fit(&rows, 2);
            let white = whitening.apply(&rows);
            prop_assert!(white.iter().all(|w| w.is_finite()) && white.column(4).iter().all(|w| w.abs() < 1e-4));
            let again = whitening.undo(&white);
            prop_assert!(again.iter().zip(&rows).all(|(a, b)| (a - b).abs() < 1e-3), "{} {}", again, rows);
        }
    }

    #[test]
    fn users_that_are_all_alike_stay_zero() {
        let rows = Array2::zeros((5, 4));
        let whitening = Whitening::fit(&rows, 2);
        assert_eq!(whitening.apply(&rows), rows);
        assert_eq!(whitening.undo(&rows), rows);
        assert_eq!(Whitening::fit(&Array2::zeros((0, 4)), 2).apply(&Array2::zeros((0, 4))).dim(), (0, 4));
    }
}
