//! Losses of the student's signals.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use ndarray::{Array2, Axis, Slice};

use super::{Reasoned, expect_dims, host2, pick};
use crate::choices::RepresentationLoss;
use crate::error::Result;

/// `τ² Σ_k KL(student_k ‖ encoder_k)` at temperature τ, the mean over the reasoned rows; `None` without any.
///
/// `logits` is `[n, Σ V_k]`, the encoder's logits of all states side by side; they are divided by τ. The student's
/// probabilities are raised to `1 / τ` and made to sum to 1, which is the same for its logits. At τ = 1 it is the
/// divergence of the two as they are. Source: Hinton, Vinyals and Dean 2015.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when `logits` is of another shape.
pub fn state_loss(logits: Tensor<2>, reasoned: &Reasoned, temperature: f64) -> Result<Option<Tensor<1>>> {
    let Some(terms) = Divergence::new(logits, reasoned, temperature)? else { return Ok(None) };
    let rows = reasoned.len() as f64;
    let negentropy: f64 = terms.negentropy.iter().sum();
    let loss = terms.cross.sum().mul_scalar(-1.0 / rows) + negentropy / rows;
    Ok(Some(loss.mul_scalar(temperature * temperature)))
}

/// What [`state_loss`] is the mean of, `[m, 1]`.
pub(in super::super) fn state_rows(
    logits: Tensor<2>,
    reasoned: &Reasoned,
    temperature: f64,
) -> Result<Option<Tensor<2>>> {
    let Some(terms) = Divergence::new(logits, reasoned, temperature)? else { return Ok(None) };
    let negentropy = Array2::from_shape_fn((reasoned.len(), 1), |(row, _)| terms.negentropy[row] as f32);
    let device = terms.cross.device();
    let rows = host2(&negentropy, &device) - terms.cross.sum_dim(1);
    Ok(Some(rows.mul_scalar(temperature * temperature)))
}

/// The parts of the divergences of all states together.
struct Divergence {
    /// `p ln q` of every value, `[m, Σ V_k]`.
    cross: Tensor<2>,
    /// `Σ p ln p` per row.
    negentropy: Vec<f64>,
}

impl Divergence {
    fn new(logits: Tensor<2>, reasoned: &Reasoned, temperature: f64) -> Result<Option<Self>> {
        expect_dims("state heads", &logits, [reasoned.batch, reasoned.posteriors.ncols()])?;
        if reasoned.is_empty() {
            return Ok(None);
        }
        let device = logits.device();
        let picked = pick(logits, reasoned.batch, &reasoned.rows).div_scalar(temperature);
        let mut start = 0;
        let log_posteriors: Vec<Tensor<2>> = reasoned
            .states
            .iter()
            .map(|&size| {
                let state = log_softmax(picked.clone().narrow(1, start, size), 1);
                start += size;
                state
            })
            .collect();
        let student = softened(&reasoned.posteriors, &reasoned.states, temperature);
        let negentropy = student.outer_iter().map(|row| {
            let positive = row.iter().filter(|&&p| p > 0.0);
            positive.map(|&p| f64::from(p) * f64::from(p).ln()).sum()
        });
        let negentropy = negentropy.collect();
        Ok(Some(Self { cross: host2(&student, &device) * Tensor::cat(log_posteriors, 1), negentropy }))
    }
}

/// Every state's probabilities to the power of `1 / temperature`, made to sum to 1.
fn softened(posteriors: &Array2<f32>, states: &[usize], temperature: f64) -> Array2<f32> {
    let mut softened = posteriors.clone();
    if temperature == 1.0 {
        return softened;
    }
    for mut row in softened.outer_iter_mut() {
        let mut start = 0;
        for &size in states {
            let mut state = row.slice_axis_mut(Axis(0), Slice::from(start..start + size));
            start += size;
            // Relative to the largest, so that not all of them vanish at a low temperature.
            let largest = state.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
            let power = |p: f32| f64::from((p / largest).max(0.0)).powf(1.0 / temperature);
            let sum: f64 = state.iter().map(|&p| power(p)).sum();
            state.mapv_inplace(|p| (power(p) / sum) as f32);
        }
    }
    softened
}

/// The chosen loss of projected against target representation, the mean over the reasoned rows; `None` without any.
///
/// `projected` is `[n, K·d]`. With [`RepresentationLoss::WhitenedMse`] it is the plain mean squared error: the targets in
/// `reasoned` have to be whitened and `projected` is taken to be in their space. With [`RepresentationLoss::Cosine`] a target
/// of (nearly) no length has no direction and gives no gradient; with [`RepresentationLoss::Contrastive`] its user is still
/// told from the others. There, users with the same target are told from each other as well, which cannot succeed: where
/// many profiles are the same, the loss stays above 0.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use ndarray::array;
/// use scaletot_encoder::RepresentationLoss;
/// use scaletot_encoder::train::{Reasoned, representation_loss};
///
/// // Two users, one state of two values, two dimensions. Row 0 is user 1, row 1 nobody who was reasoned about.
/// let reasoned = Reasoned::new(&array![[0.5, 0.5], [0.9, 0.1]], &array![[1.0, 0.0], [0.0, 3.0]], &[2], &[Some(1), None])?;
/// let projected = Tensor::<2>::from_floats([[4.0, 4.0], [f32::NAN, 0.0]], &Device::default());
/// let loss = representation_loss(projected, &reasoned, RepresentationLoss::Cosine)?.map(|l| l.into_scalar::<f32>());
/// assert!((loss.unwrap_or(0.0) - (1.0 - 0.5f32.sqrt())).abs() < 1e-6);
/// # Ok::<(), scaletot_encoder::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when `projected` is of another shape.
pub fn representation_loss(
    projected: Tensor<2>,
    reasoned: &Reasoned,
    kind: RepresentationLoss,
) -> Result<Option<Tensor<1>>> {
    Ok(representation_terms(projected, reasoned, kind)?.map(Tensor::mean))
}

/// What [`representation_loss`] is the mean of, `[m, 1]`.
pub(in super::super) fn representation_rows(
    projected: Tensor<2>,
    reasoned: &Reasoned,
    kind: RepresentationLoss,
) -> Result<Option<Tensor<2>>> {
    Ok(representation_terms(projected, reasoned, kind)?.map(|terms| terms.mean_dim(1)))
}

/// Numbers per row, as many for each, whose mean is the loss.
fn representation_terms(
    projected: Tensor<2>,
    reasoned: &Reasoned,
    kind: RepresentationLoss,
) -> Result<Option<Tensor<2>>> {
    let width = reasoned.representations.ncols();
    expect_dims("projected representation", &projected, [reasoned.batch, width])?;
    if reasoned.is_empty() || width == 0 {
        return Ok(None);
    }
    let projected = pick(projected, reasoned.batch, &reasoned.rows);
    Ok(Some(match kind {
        RepresentationLoss::Cosine => cosine(projected, reasoned),
        RepresentationLoss::WhitenedMse => {
            (host2(&reasoned.representations, &projected.device()) - projected).square()
        }
        RepresentationLoss::Contrastive { temperature } => contrastive(projected, reasoned, temperature),
    }))
}

/// `1 − cos` of every state, `[m, K]`.
fn cosine(projected: Tensor<2>, reasoned: &Reasoned) -> Tensor<2> {
    let (rows, states) = (reasoned.len(), reasoned.states.len());
    let dim = reasoned.representations.ncols() / states;
    let unit = unit_rows(&reasoned.representations, dim);
    let target = host2(&unit, &projected.device()).reshape([rows * states, dim]);
    let projected = projected.reshape([rows * states, dim]);
    let norm = (projected.clone().square().sum_dim(1) + 1e-12).sqrt();
    let cosine = (projected * target).sum_dim(1) / norm;
    cosine.reshape([rows, states]).mul_scalar(-1.0) + 1.0
}

/// `−ln` of the softmax over the batch's users, at the row's own user, of mean cosines over the temperature, `[m, 1]`.
fn contrastive(projected: Tensor<2>, reasoned: &Reasoned, temperature: f64) -> Tensor<2> {
    let device = projected.device();
    let (rows, states) = (reasoned.len(), reasoned.states.len());
    let width = reasoned.representations.ncols();
    let dim = width / states;
    // Each user once, so that no row's own user is among the wrong ones.
    let mut users = reasoned.users.clone();
    users.sort_unstable();
    users.dedup();
    let index = |user: &usize| users.binary_search(user).unwrap_or_default();
    let own: Vec<usize> = reasoned.users.iter().map(index).collect();
    let mut candidates = Array2::zeros((users.len(), width));
    for (representation, &user) in reasoned.representations.outer_iter().zip(&own) {
        candidates.row_mut(user).assign(&representation);
    }
    let own = Array2::from_shape_fn((rows, users.len()), |(row, user)| f32::from(u8::from(own[row] == user)));
    let candidates = host2(&unit_rows(&candidates, dim), &device);
    let runs = projected.reshape([rows * states, dim]);
    let norm = (runs.clone().square().sum_dim(1) + 1e-12).sqrt();
    let unit = (runs / norm).reshape([rows, width]);
    let nearness = unit.matmul(candidates.transpose()).div_scalar(states as f64 * temperature);
    (log_softmax(nearness, 1) * host2(&own, &device)).sum_dim(1).mul_scalar(-1.0)
}

/// Every run of `dim` values scaled to length 1; runs shorter than 1e-6 become zero.
fn unit_rows(values: &Array2<f32>, dim: usize) -> Array2<f32> {
    let mut unit = values.clone();
    for mut row in unit.outer_iter_mut() {
        for start in (0..row.len()).step_by(dim) {
            let mut run = row.slice_axis_mut(Axis(0), Slice::from(start..start + dim));
            let norm = run.iter().map(|v| v * v).sum::<f32>().sqrt();
            run.mapv_inplace(|v| if norm > 1e-6 { v / norm } else { 0.0 });
        }
    }
    unit
}
