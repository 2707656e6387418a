//! Losses of the outcome.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_softmax, softplus};
use ndarray::Array2;
use scaletot_core::config::check;

use super::{Labelled, expect_dims, host2, pick};
use crate::choices::ZilnReduction;
use crate::error::Result;

/// Zero-inflated log-normal loss over the labelled rows; `None` without any.
///
/// `outcome` is `[n, 3]`: logit of `o > 0`, μ, raw σ with `σ = max(softplus(raw), sigma_floor)`. Per row
/// `softplus(logit) − [o > 0] · logit + [o > 0] · (ln o + ln σ + ½ ln 2π + (ln o − μ)² / 2σ²)`; the reduction says over
/// which rows the last part is averaged (it is 0 where no outcome is positive).
/// Source: Wang, Liu and Miao 2019, equations as in `google/lifetime_value`; [`ZilnReduction::Positives`] as in `EasyRec`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use scaletot_encoder::ZilnReduction;
/// use scaletot_encoder::train::{Labelled, ziln_loss};
///
/// let outcome = Tensor::<2>::from_floats([[0.0, 1.0, 0.5], [f32::NAN, 0.0, 0.0]], &Device::default());
/// let labelled = Labelled::new(&[Some(0.0), None])?;
/// let loss = ziln_loss(outcome, &labelled, 0.05, ZilnReduction::AllRows)?.map(|l| l.into_scalar::<f32>());
/// assert!((loss.unwrap_or(0.0) - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), scaletot_encoder::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when `outcome` is not `[rows of the batch, 3]`.
pub fn ziln_loss(
    outcome: Tensor<2>,
    labelled: &Labelled,
    sigma_floor: f64,
    reduction: ZilnReduction,
) -> Result<Option<Tensor<1>>> {
    let Some([occurrence, amount]) = ziln_parts(outcome, labelled, sigma_floor)? else { return Ok(None) };
    Ok(Some(match reduction {
        ZilnReduction::AllRows => (occurrence + amount).mean(),
        ZilnReduction::Positives => {
            let positive = labelled.outcomes.iter().filter(|&&outcome| outcome > 0.0).count();
            occurrence.mean() + amount.sum().div_scalar(positive.max(1) as f64)
        }
    }))
}

/// The loss of every labelled row but for `ln o`, `[m, 1]`: no prediction changes that part, and without it the unit of
/// the outcome does not matter.
pub(in super::super) fn ziln_rows(
    outcome: Tensor<2>,
    labelled: &Labelled,
    sigma_floor: f64,
) -> Result<Option<Tensor<2>>> {
    let Some([occurrence, amount]) = ziln_parts(outcome, labelled, sigma_floor)? else { return Ok(None) };
    let logs = labelled.column(log_if_positive, &amount.device());
    Ok(Some(occurrence + amount - logs))
}

/// Per labelled row, the loss of whether there is an outcome and, where there is one, of how large it is; `[m, 1]` each.
fn ziln_parts(outcome: Tensor<2>, labelled: &Labelled, sigma_floor: f64) -> Result<Option<[Tensor<2>; 2]>> {
    expect_dims("outcome head", &outcome, [labelled.batch, 3])?;
    if labelled.is_empty() {
        return Ok(None);
    }
    let device = outcome.device();
    let picked = pick(outcome, labelled.batch, &labelled.rows);
    let column = |i: usize| picked.clone().narrow(1, i, 1);
    let positive = labelled.column(|outcome| f32::from(u8::from(outcome > 0.0)), &device);
    let logs = labelled.column(log_if_positive, &device);
    let logit = column(0);
    let occurrence = softplus(logit.clone(), 1.0) - logit * positive.clone();
    let sigma = softplus(column(2), 1.0).clamp_min(sigma_floor);
    let deviation = (logs.clone() - column(1)) / sigma.clone();
    let half_ln_2_pi = 0.5 * (2.0 * std::f64::consts::PI).ln();
    let amount = logs + sigma.log() + deviation.square().mul_scalar(0.5) + half_ln_2_pi;
    Ok(Some([occurrence, positive * amount]))
}

fn log_if_positive(outcome: f64) -> f32 {
    if outcome > 0.0 { outcome.ln() as f32 } else { 0.0 }
}

/// Negative log-likelihood of the Tweedie family in the mean, the mean over the labelled rows; `None` without any.
///
/// `log_mean` is `[n, 1]`, the natural logarithm of μ. With outcomes and means in units of `unit`, per row
/// `o μ^(1−p) / (p − 1) + μ^(2−p) / (2 − p)`, for `1 < p < 2`: the terms that the mean is in, which is half the deviance
/// up to a constant. A unit of 1 is the published form; in units of the mean outcome the loss's weight means the same in
/// every currency. Source: Yang, Qian and Zou 2018, and `LightGBM`'s objective `tweedie`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when `log_mean` is not `[rows of the batch, 1]`, [`Error::Config`](crate::Error::Config) for a power
/// outside (1, 2) or a unit that is not finite and above 0.
pub fn tweedie_loss(
    log_mean: Tensor<2>,
    labelled: &Labelled,
    power: f64,
    unit: f64,
) -> Result<Option<Tensor<1>>> {
    Ok(tweedie_rows(log_mean, labelled, power, unit)?.map(Tensor::mean))
}

/// What [`tweedie_loss`] is the mean of, `[m, 1]`.
pub(in super::super) fn tweedie_rows(
    log_mean: Tensor<2>,
    labelled: &Labelled,
    power: f64,
    unit: f64,
) -> Result<Option<Tensor<2>>> {
    expect_dims("outcome head", &log_mean, [labelled.batch, 1])?;
    check(power > 1.0 && power < 2.0, "power", "a number between 1 and 2", power)?;
    check(unit > 0.0 && unit.is_finite(), "unit", "a finite number above 0", unit)?;
    if labelled.is_empty() {
        return Ok(None);
    }
    let device = log_mean.device();
    let log = pick(log_mean, labelled.batch, &labelled.rows) - unit.ln();
    let outcomes = labelled.column(|outcome| (outcome / unit) as f32, &device);
    let amount = outcomes * log.clone().mul_scalar(1.0 - power).exp().div_scalar(power - 1.0);
    Ok(Some(amount + log.mul_scalar(2.0 - power).exp().div_scalar(2.0 - power)))
}

/// Cross-entropy of the outcome's class, the mean over the labelled rows; `None` without any.
///
/// `logits` is `[n, T + 1]`: no outcome, then `T` tiers of positive outcomes. `cuts` are the least outcomes of the second
/// and every further tier, ascending.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use scaletot_encoder::train::{Labelled, tier_loss};
///
/// // Of three classes the second is twice as probable as the others; 7 is in the first tier.
/// let logits = Tensor::<2>::from_floats([[0.0, 2f32.ln(), 0.0]], &Device::default());
/// let loss = tier_loss(logits, &Labelled::new(&[Some(7.0)])?, &[10.0])?.map(|l| l.into_scalar::<f32>());
/// assert!((loss.unwrap_or(0.0) - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), scaletot_encoder::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when `logits` is not `[rows of the batch, cuts + 2]`.
pub fn tier_loss(logits: Tensor<2>, labelled: &Labelled, cuts: &[f64]) -> Result<Option<Tensor<1>>> {
    Ok(tier_rows(logits, labelled, cuts)?.map(Tensor::mean))
}

/// What [`tier_loss`] is the mean of, `[m, 1]`.
pub(in super::super) fn tier_rows(
    logits: Tensor<2>,
    labelled: &Labelled,
    cuts: &[f64],
) -> Result<Option<Tensor<2>>> {
    let classes = cuts.len() + 2;
    expect_dims("outcome head", &logits, [labelled.batch, classes])?;
    if labelled.is_empty() {
        return Ok(None);
    }
    let class =
        |outcome: f64| if outcome > 0.0 { 1 + cuts.partition_point(|&cut| cut <= outcome) } else { 0 };
    let own = Array2::from_shape_fn((labelled.len(), classes), |(row, column)| {
        f32::from(u8::from(class(labelled.outcomes[row]) == column))
    });
    let device = logits.device();
    let picked = pick(logits, labelled.batch, &labelled.rows);
    Ok(Some((log_softmax(picked, 1) * host2(&own, &device)).sum_dim(1).mul_scalar(-1.0)))
}
