//! The three losses of the distillation, each of which can only be called with the rows it is for.
//!
//! A batch mixes users whose outcome is known with users who were reasoned about and users of whom both is true. Instead
//! of multiplying losses by a mask, [`Labelled`] and [`Reasoned`] *pick* the rows that count before anything is
//! computed: what is not picked is not in the graph, so it adds exactly nothing to loss or gradient, be it NaN.

use burn::tensor::activation::{log_softmax, softplus};
use burn::tensor::{Device, Int, Tensor, TensorData};
use ndarray::{Array2, Axis, Slice};

use crate::error::{Error, Result};

/// The rows of a batch whose outcome is known, with the outcomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    batch: usize,
    rows: Vec<usize>,
    positive: Vec<f32>,
    /// `ln o` where `o > 0`, else 0.
    logs: Vec<f32>,
}

impl Labelled {
    /// From one outcome per batch row; `None` is unknown.
    ///
    /// # Errors
    /// [`Error::Value`] for an outcome that is negative or not finite.
    pub fn new(outcomes: &[Option<f64>]) -> Result<Self> {
        let mut labelled = Self { batch: outcomes.len(), rows: vec![], positive: vec![], logs: vec![] };
        for (row, outcome) in outcomes.iter().enumerate() {
            let Some(outcome) = *outcome else { continue };
            check_outcome(outcome, row)?;
            labelled.rows.push(row);
            labelled.positive.push(f32::from(u8::from(outcome > 0.0)));
            labelled.logs.push(if outcome > 0.0 { outcome.ln() as f32 } else { 0.0 });
        }
        Ok(labelled)
    }

    /// How many outcomes are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no outcome is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

pub(super) fn check_outcome(outcome: f64, row: usize) -> Result<()> {
    if outcome.is_finite() && outcome >= 0.0 {
        return Ok(());
    }
    let (expected, found) = ("a finite number of at least 0".into(), outcome.to_string());
    Err(Error::Value { what: "outcome".into(), row, expected, found })
}

/// The rows of a batch that the student reasoned about, with its signals.
#[derive(Debug, Clone, PartialEq)]
pub struct Reasoned {
    batch: usize,
    rows: Vec<usize>,
    states: Vec<usize>,
    /// Posteriors side by side, `[m, Σ V_k]`.
    posteriors: Array2<f32>,
    /// Centred representations, `[m, K·d]`.
    representations: Array2<f32>,
}

impl Reasoned {
    /// From the targets of all reasoned users and, per batch row, which of them it is, if any.
    ///
    /// `posteriors` is `[users, Σ V_k]` with the states' domain sizes in `states`; `representations` is `[users, K·d]`,
    /// best with their mean over users taken away: a common direction would hide how users differ.
    ///
    /// # Errors
    /// [`Error::Shape`] when the parts do not fit each other or a batch row points past the users.
    pub fn new(
        posteriors: &Array2<f32>,
        representations: &Array2<f32>,
        states: &[usize],
        places: &[Option<usize>],
    ) -> Result<Self> {
        let users = posteriors.nrows();
        if states.is_empty() && representations.ncols() > 0 {
            return Err(Error::shape("states of the target representations", "at least 1", 0));
        }
        if posteriors.ncols() != states.iter().sum::<usize>() {
            let expected = format!("{states:?} side by side");
            return Err(Error::shape("columns of the target posteriors", expected, posteriors.ncols()));
        }
        if representations.nrows() != users || !representations.ncols().is_multiple_of(states.len().max(1)) {
            let expected = format!("[{users}, {} · d]", states.len());
            return Err(Error::shape(
                "target representations",
                expected,
                format!("{:?}", representations.dim()),
            ));
        }
        let (rows, users_of): (Vec<_>, Vec<_>) =
            places.iter().enumerate().filter_map(|(row, place)| place.map(|user| (row, user))).unzip();
        if let Some(user) = users_of.iter().find(|&&user| user >= users) {
            return Err(Error::shape("reasoned user of a batch row", format!("less than {users}"), user));
        }
        Ok(Self {
            batch: places.len(),
            rows,
            states: states.to_vec(),
            posteriors: posteriors.select(Axis(0), &users_of),
            representations: representations.select(Axis(0), &users_of),
        })
    }

    /// How many rows were reasoned about.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row was reasoned about.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Zero-inflated log-normal negative log-likelihood, the mean over the labelled rows; `None` without any.
///
/// `outcome` is `[n, 3]`: logit of `o > 0`, μ, raw σ with `σ = max(softplus(raw), sigma_floor)`. Per row
/// `softplus(logit) − [o > 0] · logit + [o > 0] · (ln o + ln σ + ½ ln 2π + (ln o − μ)² / 2σ²)`.
/// Source: Wang, Liu and Miao 2019, equations as in `google/lifetime_value`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use scaletot_encoder::train::{Labelled, ziln_loss};
///
/// let device = Device::default();
/// let outcome = Tensor::<2>::from_floats([[0.0, 1.0, 0.5], [f32::NAN, 0.0, 0.0]], &device);
/// let loss = ziln_loss(outcome, &Labelled::new(&[Some(0.0), None])?, 0.05)?.map(|l| l.into_scalar::<f32>());
/// assert!((loss.unwrap_or(0.0) - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), scaletot_encoder::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] when `outcome` is not `[rows of the batch, 3]`.
pub fn ziln_loss(outcome: Tensor<2>, labelled: &Labelled, sigma_floor: f64) -> Result<Option<Tensor<1>>> {
    expect_dims("outcome head", &outcome, [labelled.batch, 3])?;
    if labelled.is_empty() {
        return Ok(None);
    }
    let device = outcome.device();
    let picked = pick(outcome, labelled.batch, &labelled.rows);
    let column = |i: usize| picked.clone().narrow(1, i, 1);
    let host =
        |values: &[f32]| Tensor::<2>::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), &device);
    let (positive, logs) = (host(&labelled.positive), host(&labelled.logs));
    let logit = column(0);
    let occurrence = softplus(logit.clone(), 1.0) - logit * positive.clone();
    let sigma = softplus(column(2), 1.0).clamp_min(sigma_floor);
    let deviation = (logs.clone() - column(1)) / sigma.clone();
    let half_ln_2_pi = 0.5 * (2.0 * std::f64::consts::PI).ln();
    let amount = logs + sigma.log() + deviation.square().mul_scalar(0.5) + half_ln_2_pi;
    Ok(Some((occurrence + positive * amount).mean()))
}

/// `Σ_k KL(student_k ‖ encoder_k)`, the mean over the reasoned rows; `None` without any.
///
/// `logits` is `[n, Σ V_k]`, the encoder's logits of all states side by side.
///
/// # Errors
/// [`Error::Shape`] when `logits` is of another shape.
pub fn state_loss(logits: Tensor<2>, reasoned: &Reasoned) -> Result<Option<Tensor<1>>> {
    expect_dims("state heads", &logits, [reasoned.batch, reasoned.posteriors.ncols()])?;
    if reasoned.is_empty() {
        return Ok(None);
    }
    let device = logits.device();
    let picked = pick(logits, reasoned.batch, &reasoned.rows);
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
    let cross = (host2(&reasoned.posteriors, &device) * Tensor::cat(log_posteriors, 1)).sum();
    let negentropy: f64 =
        reasoned.posteriors.iter().filter(|&&p| p > 0.0).map(|&p| f64::from(p) * f64::from(p).ln()).sum();
    let rows = reasoned.len() as f64;
    Ok(Some(cross.mul_scalar(-1.0 / rows) + negentropy / rows))
}

/// `1 − cos` between projected and target representation, the mean over reasoned rows and states; `None` without any.
///
/// `projected` is `[n, K·d]`. A target of (nearly) no length has no direction and gives no gradient.
///
/// # Errors
/// [`Error::Shape`] when `projected` is of another shape.
pub fn representation_loss(projected: Tensor<2>, reasoned: &Reasoned) -> Result<Option<Tensor<1>>> {
    let width = reasoned.representations.ncols();
    expect_dims("projected representation", &projected, [reasoned.batch, width])?;
    if reasoned.is_empty() || width == 0 {
        return Ok(None);
    }
    let device = projected.device();
    let (rows, states) = (reasoned.len(), reasoned.states.len());
    let dim = width / states;
    let unit = unit_rows(&reasoned.representations, dim);
    let target = host2(&unit, &device).reshape([rows * states, dim]);
    let projected = pick(projected, reasoned.batch, &reasoned.rows).reshape([rows * states, dim]);
    let norm = (projected.clone().square().sum_dim(1) + 1e-12).sqrt();
    let cosine = (projected * target).sum_dim(1) / norm;
    Ok(Some(cosine.mean().mul_scalar(-1.0) + 1.0))
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

fn expect_dims(what: &str, tensor: &Tensor<2>, expected: [usize; 2]) -> Result<()> {
    if tensor.dims() == expected {
        return Ok(());
    }
    Err(Error::shape(what, format!("{expected:?}"), format!("{:?}", tensor.dims())))
}

/// The named rows of a tensor of `batch` rows.
fn pick(tensor: Tensor<2>, batch: usize, rows: &[usize]) -> Tensor<2> {
    if rows.len() == batch {
        return tensor;
    }
    let device = tensor.device();
    tensor.select(0, indices(rows, &device))
}

pub(super) fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}

pub(super) fn host2(values: &Array2<f32>, device: &Device) -> Tensor<2> {
    let data: Vec<f32> = values.iter().copied().collect();
    Tensor::from_data(TensorData::new(data, [values.nrows(), values.ncols()]), device)
}

pub(super) fn read_scalar(tensor: Tensor<1>) -> Result<f64> {
    let value = tensor.try_into_scalar::<f32>();
    value.map(f64::from).map_err(|error| Error::Device { message: error.to_string() })
}
