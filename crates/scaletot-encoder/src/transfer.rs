//! Transfer report: how much of what the student says the encoder has learned to say.
//!
//! A degraded transfer still gives scores that look like scores. These four numbers tell before an outcome does. The
//! choice of measures is this project's own; linear CKA is from Kornblith et al., *Similarity of Neural Network
//! Representations Revisited*, ICML 2019.

use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::targets::Targets;

/// How the encoder reproduces the student on some users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TransferReport {
    /// Users compared.
    pub users: usize,
    /// Names of the states.
    pub states: Vec<String>,
    /// Per state, the share of users whose most probable value is the student's, in `[0, 1]`.
    pub agreement: Vec<f64>,
    /// Per state, the mean `KL(student ‖ encoder)` in nats, at least 0.
    pub kl: Vec<f64>,
    /// Mean cosine of projected and student representation over users and states, both relative to the training users'
    /// mean, in `[−1, 1]`.
    pub cosine: f64,
    /// Linear CKA of the encoder's representation and the student's over users, in `[0, 1]`; 0 where either does not
    /// vary.
    pub cka: f64,
}

impl TransferReport {
    /// Mean agreement over the states.
    #[must_use]
    pub fn mean_agreement(&self) -> f64 {
        mean(self.agreement.iter().copied())
    }

    /// Mean KL divergence over the states, in nats.
    #[must_use]
    pub fn mean_kl(&self) -> f64 {
        mean(self.kl.iter().copied())
    }

    pub(crate) fn compare(
        states: Vec<String>,
        targets: &Targets,
        centre: &Array1<f32>,
        posteriors: &[Array2<f32>],
        representation: &Array2<f32>,
        projected: &Array3<f32>,
    ) -> Result<Self> {
        let users = targets.len();
        if users == 0 {
            return Err(Error::shape("users of a transfer report", "at least 1 that is not abstained on", 0));
        }
        let pairs = || targets.posteriors.iter().zip(posteriors);
        let student = targets.centred(centre);
        let dim = projected.len_of(Axis(2)).max(1);
        let cosines = student.outer_iter().zip(projected.outer_iter()).flat_map(|(student, encoder)| {
            let student = student.to_vec();
            let encoder: Vec<f32> = encoder.iter().copied().collect();
            let states = student.chunks(dim).zip(encoder.chunks(dim)).map(|(a, b)| cosine(a, b));
            states.collect::<Vec<f64>>()
        });
        Ok(Self {
            users,
            states,
            agreement: pairs().map(|(student, encoder)| agreement(student, encoder)).collect(),
            kl: pairs().map(|(student, encoder)| kl(student, encoder)).collect(),
            cosine: mean(cosines),
            cka: linear_cka(representation.view(), student.view()),
        })
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// Index of the largest value, the first of equals.
fn argmax<'a>(values: impl IntoIterator<Item = &'a f32>) -> usize {
    let best = values
        .into_iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (i, &value)| if value > best.1 { (i, value) } else { best });
    best.0
}

fn agreement(student: &Array2<f32>, encoder: &Array2<f32>) -> f64 {
    let pairs = student.outer_iter().zip(encoder.outer_iter());
    mean(pairs.map(|(a, b)| f64::from(u8::from(argmax(a) == argmax(b)))))
}

/// Mean `KL(student ‖ encoder)`; encoder probabilities are taken as at least 1e-12.
fn kl(student: &Array2<f32>, encoder: &Array2<f32>) -> f64 {
    let rows = student.outer_iter().zip(encoder.outer_iter());
    let divergence = mean(rows.map(|(student, encoder)| {
        let terms = student.iter().zip(encoder).filter(|(p, _)| **p > 0.0);
        terms.map(|(&p, &q)| f64::from(p) * (f64::from(p).ln() - f64::from(q).max(1e-12).ln())).sum()
    }));
    divergence.max(0.0)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum() };
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 1e-12 { dot(a, b) / norms } else { 0.0 }
}

/// Linear centred kernel alignment of two representations of the same users, `[n, p]` and `[n, q]`:
/// `‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖)` with centred columns and Frobenius norms. It does not change under rotation, common scale
/// and shift of either; 0 where either does not vary.
///
/// ```
/// use ndarray::array;
/// let x = array![[1.0f32, 0.0], [0.0, 1.0], [-1.0, 0.5]];
/// let rotated = array![[0.0f32, 3.0], [-3.0, 0.0], [-1.5, -3.0]];
/// let cka = scaletot_encoder::linear_cka(x.view(), rotated.view());
/// assert!((cka - 1.0).abs() < 1e-6);
/// ```
#[must_use]
pub fn linear_cka(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> f64 {
    let centred = |m: ArrayView2<'_, f32>| {
        let m = m.mapv(f64::from);
        match m.mean_axis(Axis(0)) {
            Some(mean) => m - &mean,
            None => m,
        }
    };
    if x.nrows() != y.nrows() {
        return 0.0;
    }
    let (x, y) = (centred(x), centred(y));
    let squares = |m: Array2<f64>| m.iter().map(|v| v * v).sum::<f64>();
    let norms = (squares(x.t().dot(&x)) * squares(y.t().dot(&y))).sqrt();
    if norms > 1e-20 { squares(y.t().dot(&x)) / norms } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    fn targets() -> Targets {
        Targets {
            posteriors: vec![array![[0.8, 0.2], [0.3, 0.7]], array![[0.2, 0.3, 0.5], [0.6, 0.2, 0.2]]],
            representations: array![[[1.0, 0.0], [0.0, 2.0]], [[-1.0, 1.0], [1.0, -2.0]]],
        }
    }

    #[test]
    fn a_perfect_copy_gets_full_marks() {
        let targets = targets();
        let centre = targets.centre();
        let flat = targets.centred(&centre);
        let projected = flat.clone().into_shape_with_order((2, 2, 2)).unwrap();
        let states = vec!["a".to_string(), "b".to_string()];
        let report =
            TransferReport::compare(states, &targets, &centre, &targets.posteriors, &flat, &projected)
                .unwrap();
        assert_eq!(report.users, 2);
        assert_eq!(report.agreement, [1.0, 1.0]);
        assert!(report.mean_kl() < 1e-7);
        assert!((report.cosine - 1.0).abs() < 1e-6);
        assert!((report.cka - 1.0).abs() < 1e-6);
    }

    #[test]
    fn measures_have_their_textbook_values() {
        let student = array![[0.5f32, 0.5], [1.0, 0.0]];
        let encoder = array![[0.25f32, 0.75], [0.5, 0.5]];
        // ½(½ ln 2 + ½ ln ⅔ + ln 2); ties agree with the first value.
        let expected = 0.5 * (0.5 * 2f64.ln() + 0.5 * (2f64 / 3.0).ln() + 2f64.ln());
        assert!((kl(&student, &encoder) - expected).abs() < 1e-7);
        assert_eq!(agreement(&student, &encoder), 0.5);
        assert!((cosine(&[1.0, 0.0], &[1.0, 1.0]) - 0.5f64.sqrt()).abs() < 1e-9);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 1.0]), 0.0);
    }

    #[test]
    fn cka_of_what_does_not_vary_is_zero() {
        let constant = Array2::from_elem((5, 3), 2.0f32);
        let other = Array2::from_shape_fn((5, 2), |(i, j)| (i * i + j) as f32);
        assert_eq!(linear_cka(constant.view(), other.view()), 0.0);
    }

    proptest! {
        #[test]
        fn cka_is_symmetric_and_bounded(values in prop::collection::vec(-5f32..5.0, 30)) {
            let x = Array2::from_shape_vec((6, 2), values[..12].to_vec()).unwrap();
            let y = Array2::from_shape_vec((6, 3), values[12..].to_vec()).unwrap();
            let cka = linear_cka(x.view(), y.view());
            prop_assert!((-1e-9..=1.0 + 1e-9).contains(&cka));
            prop_assert!((cka - linear_cka(y.view(), x.view())).abs() < 1e-9);
            prop_assert!((linear_cka((x.clone() * 3.0 + 7.0).view(), y.view()) - cka).abs() < 1e-4);
        }
    }
}
