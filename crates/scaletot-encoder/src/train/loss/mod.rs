//! The losses of the distillation, each of which can only be called with the rows it is for.
//!
//! A batch mixes users whose outcome is known with users who were reasoned about and users of whom both is true. Instead
//! of multiplying losses by a mask, [`Labelled`] and [`Reasoned`] *pick* the rows that count before anything is
//! computed: what is not picked is not in the graph, so it adds exactly nothing to loss or gradient, be it NaN.
//!
//! Every loss is a mean over rows; the functions that end in `rows` give every row's own.

mod outcome;
mod signals;

use burn::tensor::{Device, Int, Tensor, TensorData};
use ndarray::{Array2, Axis};

pub use self::outcome::{tier_loss, tweedie_loss, ziln_loss};
pub(super) use self::outcome::{tier_rows, tweedie_rows, ziln_rows};
pub use self::signals::{representation_loss, state_loss};
pub(super) use self::signals::{representation_rows, state_rows};
use crate::error::{Error, Result};

/// The rows of a batch whose outcome is known, with the outcomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    batch: usize,
    rows: Vec<usize>,
    outcomes: Vec<f64>,
}

impl Labelled {
    /// From one outcome per batch row; `None` is unknown.
    ///
    /// # Errors
    /// [`Error::Value`] for an outcome that is negative or not finite.
    pub fn new(outcomes: &[Option<f64>]) -> Result<Self> {
        let mut labelled = Self { batch: outcomes.len(), rows: vec![], outcomes: vec![] };
        for (row, outcome) in outcomes.iter().enumerate() {
            let Some(outcome) = *outcome else { continue };
            check_outcome(outcome, row)?;
            labelled.rows.push(row);
            labelled.outcomes.push(outcome);
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

    /// The batch rows with a known outcome.
    pub(super) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// What is made of every outcome, as a column.
    fn column(&self, map: impl Fn(f64) -> f32, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = self.outcomes.iter().map(|&outcome| map(outcome)).collect();
        Tensor::from_data(TensorData::new(values, [self.len(), 1]), device)
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
    /// Per row, which of the reasoned users it is.
    users: Vec<usize>,
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
        indices: &[Option<usize>],
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
            indices.iter().enumerate().filter_map(|(row, index)| index.map(|user| (row, user))).unzip();
        if let Some(user) = users_of.iter().find(|&&user| user >= users) {
            return Err(Error::shape("reasoned user of a batch row", format!("less than {users}"), user));
        }
        Ok(Self {
            batch: indices.len(),
            rows,
            states: states.to_vec(),
            posteriors: posteriors.select(Axis(0), &users_of),
            representations: representations.select(Axis(0), &users_of),
            users: users_of,
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

    /// The batch rows that were reasoned about.
    pub(super) fn rows(&self) -> &[usize] {
        &self.rows
    }
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
    value.map(f64::from).map_err(Error::device)
}

/// The numbers of a column.
pub(super) fn read_column(tensor: Tensor<2>) -> Result<Vec<f64>> {
    let values = tensor.try_into_vec_as::<f32>();
    let values = values.map_err(Error::device)?;
    Ok(values.into_iter().map(f64::from).collect())
}
