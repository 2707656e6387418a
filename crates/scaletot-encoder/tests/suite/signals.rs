//! The losses of the student's signals: against formulas written out in 64 bits, and rows without a target.
#![cfg(feature = "train")]

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, array};
use proptest::prelude::*;
use scaletot_encoder::RepresentationLoss::{self, Contrastive, Cosine, WhitenedMse};
use scaletot_encoder::train::{Reasoned, representation_loss, state_loss};

const KINDS: [RepresentationLoss; 3] = [Cosine, WhitenedMse, Contrastive { temperature: 0.2 }];

/// Domain sizes of the states.
const STATES: [usize; 2] = [2, 3];

fn reasoned(places: &[Option<usize>]) -> Reasoned {
    let posteriors = array![[0.9f32, 0.1, 0.2, 0.3, 0.5], [0.5, 0.5, 0.0, 1.0, 0.0]];
    let representations = array![[1.0f32, 0.0, 0.0, 2.0], [3.0, 4.0, 0.0, 0.0]];
    Reasoned::new(&posteriors, &representations, &[2, 3], places).unwrap()
}

fn from(rows: &Array2<f32>, device: &Device) -> Tensor<2> {
    let data = TensorData::new(rows.iter().copied().collect::<Vec<_>>(), [rows.nrows(), rows.ncols()]);
    Tensor::from_data(data, device)
}

fn number(loss: Option<Tensor<1>>) -> f64 {
    loss.unwrap().into_scalar::<f32>().into()
}

#[test]
fn state_loss_is_the_mean_divergence_over_reasoned_rows() {
    let device = Device::default();
    let batch = reasoned(&[None, Some(0), None, Some(1)]);
    let nan = [f32::NAN; 5];
    // Uniform predictions: the divergence is ln |V| minus the entropy, summed over states.
    let logits = from(&ndarray::arr2(&[nan, [3.0; 5], nan, [0.0; 5]]), &device);
    let entropy = |p: &[f64]| -> f64 { p.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum() };
    let uniform = 2.0 * (2f64.ln() + 3f64.ln());
    let entropies = entropy(&[0.9, 0.1]) + entropy(&[0.2, 0.3, 0.5]) + entropy(&[0.5, 0.5]);
    let expected = (uniform - entropies) / 2.0;
    let loss = number(state_loss(logits, &batch, 1.0).unwrap());
    assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
    // The student's own logits have no divergence.
    let own = array![[0.9f32, 0.1, 0.2, 0.3, 0.5], [0.5, 0.5, 1e-30, 1.0, 1e-30]].mapv(f32::ln);
    let loss = number(state_loss(from(&own, &device), &reasoned(&[Some(0), Some(1)]), 1.0).unwrap());
    assert!(loss.abs() < 1e-6, "{loss}");
}

#[test]
fn representation_loss_is_one_minus_the_mean_cosine() {
    let device = Device::default();
    // Rows: same direction and orthogonal; opposite, and a target without length (cosine 0).
    let projected = array![[5.0f32, 0.0, 3.0, 0.0], [-3.0, -4.0, 1.0, 1.0]];
    let batch = reasoned(&[Some(0), Some(1)]);
    let loss = number(representation_loss(from(&projected, &device), &batch, Cosine).unwrap());
    assert!((loss - (1.0 - (1.0 + 0.0 - 1.0 + 0.0) / 4.0)).abs() < 1e-6, "{loss}");
    assert!(
        representation_loss(from(&projected, &device), &reasoned(&[None, None]), Cosine).unwrap().is_none()
    );
}

#[test]
fn a_projection_of_zero_has_a_finite_gradient() {
    for kind in KINDS {
        let batch = reasoned(&[Some(0), Some(1)]);
        let (_, gradient) =
            with_gradient(&Array2::zeros((2, 4)), |x| representation_loss(x, &batch, kind).unwrap());
        assert!(gradient.iter().all(|g| g.is_finite()), "{kind:?}: {gradient:?}");
    }
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let posteriors = array![[0.5f32, 0.5]];
    let representations = array![[1.0f32, 0.0]];
    let new = |states: &[usize], places: &[Option<usize>]| {
        Reasoned::new(&posteriors, &representations, states, places).unwrap_err().to_string()
    };
    assert!(new(&[3], &[Some(0)]).contains("target posteriors"));
    assert!(new(&[2], &[Some(1)]).contains("less than 1"));
    let device = Device::default();
    let wrong = state_loss(Tensor::zeros([1, 4], &device), &reasoned(&[Some(0)]), 1.0).unwrap_err();
    assert!(wrong.to_string().contains("expected [1, 5], found [1, 4]"), "{wrong}");
}

/// A loss and its gradient with respect to what it is of.
fn with_gradient(values: &Array2<f32>, loss: impl Fn(Tensor<2>) -> Option<Tensor<1>>) -> (f64, Array2<f32>) {
    let x = from(values, &Device::default().autodiff()).require_grad();
    let loss = loss(x.clone()).unwrap();
    let gradient = x.grad(&loss.backward()).unwrap().try_into_vec_as().unwrap();
    (loss.into_scalar::<f32>().into(), Array2::from_shape_vec(values.dim(), gradient).unwrap())
}

/// Some users, what is predicted for the rows of a batch, and whose rows they are.
#[derive(Debug, Clone)]
struct Batch {
    posteriors: Array2<f32>,
    representations: Array2<f32>,
    places: Vec<Option<usize>>,
    logits: Array2<f32>,
    projected: Array2<f32>,
}

impl Batch {
    fn reasoned(&self) -> Reasoned {
        Reasoned::new(&self.posteriors, &self.representations, &STATES, &self.places).unwrap()
    }

    /// Row and user of what was reasoned about.
    fn pairs(&self) -> Vec<(usize, usize)> {
        self.places.iter().enumerate().filter_map(|(row, place)| Some((row, (*place)?))).collect()
    }

    fn mean(&self, loss: impl Fn(usize, usize) -> f64) -> f64 {
        let pairs = self.pairs();
        pairs.iter().map(|&(row, user)| loss(row, user)).sum::<f64>() / pairs.len() as f64
    }

    /// `τ² Σ_k KL` with both softmaxes at τ, from the probabilities' logarithms as logits.
    fn divergence(&self, tau: f64) -> f64 {
        let soft = |logits: Vec<f64>| {
            let sum: f64 = logits.iter().map(|l| (l / tau).exp()).sum();
            logits.into_iter().map(move |l| (l / tau).exp() / sum).collect::<Vec<f64>>()
        };
        self.mean(|row, user| {
            let state = |range: std::ops::Range<usize>| {
                let p = soft(range.clone().map(|v| f64::from(self.posteriors[[user, v]]).ln()).collect());
                let q = soft(range.map(|v| f64::from(self.logits[[row, v]])).collect());
                p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum::<f64>()
            };
            tau * tau * (state(0..2) + state(2..5))
        })
    }

    /// Mean cosine over the two states of two dimensions.
    fn cosine(&self, row: usize, user: usize) -> f64 {
        let one = |from: usize| {
            let pair = |m: &Array2<f32>, row: usize| [from, from + 1].map(|i| f64::from(m[[row, i]]));
            let (a, b) = (pair(&self.projected, row), pair(&self.representations, user));
            (a[0] * b[0] + a[1] * b[1]) / (a[0].hypot(a[1]) * b[0].hypot(b[1]))
        };
        (one(0) + one(2)) / 2.0
    }

    fn representation(&self, kind: RepresentationLoss) -> f64 {
        let mut users: Vec<usize> = self.pairs().into_iter().map(|(_, user)| user).collect();
        users.sort_unstable();
        users.dedup();
        self.mean(|row, user| match kind {
            Cosine => 1.0 - self.cosine(row, user),
            WhitenedMse => {
                let pairs = self.projected.row(row).into_iter().zip(self.representations.row(user));
                pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>() / 4.0
            }
            Contrastive { temperature } => {
                let odds = |user: usize| (self.cosine(row, user) / temperature).exp();
                -(odds(user) / users.iter().map(|&user| odds(user)).sum::<f64>()).ln()
            }
            _ => f64::NAN,
        })
    }
}

prop_compose! {
    fn batches()(users in 1usize..6, rows in 1usize..9)(
        raw in prop::collection::vec(0.05f32..1.0, users * 5),
        representations in prop::collection::vec(prop_oneof![-3f32..-0.2, 0.2f32..3.0], users * 4),
        places in prop::collection::vec(prop::option::weighted(0.8, 0..users), rows),
        logits in prop::collection::vec(-4f32..4.0, rows * 5),
        projected in prop::collection::vec(prop_oneof![-3f32..-0.2, 0.2f32..3.0], rows * 4),
    ) -> Batch {
        let (rows, users) = (places.len(), raw.len() / 5);
        let mut posteriors = Array2::from_shape_vec((users, 5), raw).unwrap();
        for mut row in posteriors.outer_iter_mut() {
            let (need, spend) = (row[0] + row[1], row[2] + row[3] + row[4]);
            row.iter_mut().enumerate().for_each(|(v, p)| *p /= if v < 2 { need } else { spend });
        }
        Batch {
            posteriors,
            representations: Array2::from_shape_vec((users, 4), representations).unwrap(),
            logits: Array2::from_shape_vec((rows, 5), logits).unwrap(),
            projected: Array2::from_shape_vec((rows, 4), projected).unwrap(),
            places,
        }
    }
}

/// Whether a loss is the expected number, falls along its gradient and leaves the rows alone that it is not of.
fn check(
    batch: &Batch,
    values: &Array2<f32>,
    expected: f64,
    loss: impl Fn(Tensor<2>) -> Option<Tensor<1>>,
) -> Result<(), TestCaseError> {
    let (found, gradient) = with_gradient(values, &loss);
    prop_assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{found}, expected {expected}");
    let others = batch.places.iter().enumerate().filter(|(_, place)| place.is_none());
    for (row, _) in others {
        prop_assert!(gradient.row(row).iter().all(|&g| g == 0.0));
    }
    let square: f64 = gradient.iter().map(|&g| f64::from(g * g)).sum();
    let step = 1e-2 / square.sqrt().max(1e-2);
    let down = values - &(&gradient * step as f32);
    let after = number(loss(from(&down, &Device::default())));
    prop_assert!(after <= found - 0.1 * step * square + 2e-5, "{found} then {after}, gradient {gradient}");
    Ok(())
}

#[test]
fn copies_of_one_user_are_no_contrast() {
    let device = Device::default();
    let kind = Contrastive { temperature: 0.1 };
    let loss = |projected: &Array2<f32>, places: &[Option<usize>]| {
        number(representation_loss(from(projected, &device), &reasoned(places), kind).unwrap())
    };
    let one = array![[5.0f32, 0.0, 3.0, 0.0], [-3.0, -4.0, 1.0, 1.0]];
    assert!(loss(&one, &[Some(0), Some(0)]).abs() < 1e-6, "there is nobody else");
    // Another user's second copy does not make the first row harder: as many of every row, the same mean.
    let two = array![[5.0f32, 0.0, 3.0, 0.0], [3.0, 4.0, 0.5, 0.1]];
    let four = ndarray::concatenate![ndarray::Axis(0), two, two];
    let (once, twice) = (loss(&two, &[Some(0), Some(1)]), loss(&four, &[Some(0), Some(1), Some(0), Some(1)]));
    assert!((once - twice).abs() < 1e-6 && once > 0.0, "{once} {twice}");
    assert!(loss(&two, &[Some(0), Some(1)]) < loss(&two, &[Some(1), Some(0)]), "the own user is nearest");
}

#[test]
fn a_low_temperature_and_a_student_that_is_sure_stay_finite() {
    let batch = reasoned(&[Some(1), Some(0)]);
    let logits = array![[30.0f32, -30.0, 0.0, 9.0, -9.0], [0.0; 5]];
    for temperature in [1e-3, 0.5, 4.0, 1e3] {
        let (loss, gradient) = with_gradient(&logits, |x| state_loss(x, &batch, temperature).unwrap());
        assert!(loss.is_finite() && loss > -1e-5, "{temperature}: {loss}");
        assert!(gradient.iter().all(|g| g.is_finite()), "{temperature}: {gradient}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn losses_are_those_of_the_formulas(batch in batches(), tau in 0.4f64..4.0) {
        prop_assume!(!batch.pairs().is_empty());
        let reasoned = batch.reasoned();
        for tau in [1.0, tau] {
            let expected = batch.divergence(tau);
            check(&batch, &batch.logits, expected, |x| state_loss(x, &reasoned, tau).unwrap())?;
        }
        for kind in KINDS {
            let expected = batch.representation(kind);
            check(&batch, &batch.projected, expected, |x| representation_loss(x, &reasoned, kind).unwrap())?;
        }
    }

#[test]
    fn divergence_is_never_negative(logits in prop::collection::vec(-20f32..20.0, 10)) {
        let logits = Array2::from_shape_vec((2, 5), logits).unwrap();
        let batch = reasoned(&[Some(1), Some(0)]);
        let loss = number(state_loss(from(&logits, &Device::default()), &batch, 1.0).unwrap());
        prop_assert!(loss > -1e-5, "{}", loss);
    }
}
