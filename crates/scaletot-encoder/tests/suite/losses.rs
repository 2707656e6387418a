//! The losses: against a fixture, and rows without a target.
#![cfg(feature = "train")]

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array2, array};
use proptest::prelude::*;
use scaletot_encoder::OutcomeScale;
use scaletot_encoder::train::{Labelled, Reasoned, representation_loss, state_loss, ziln_loss};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    floor: f64,
    labels: Vec<f64>,
    logits: Vec<[f32; 3]>,
    loss: f64,
    gradient: Vec<[f64; 3]>,
    prediction: Vec<f64>,
}

fn fixture() -> Vec<Case> {
    serde_json::from_str(include_str!("../fixtures/ziln.json")).unwrap()
}

fn tensor(rows: &[[f32; 3]], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), 3]), device)
}

/// Loss and gradient with respect to the head's output.
fn ziln(rows: &[[f32; 3]], labelled: &Labelled, floor: f64) -> (f64, Vec<f32>) {
    let output = tensor(rows, &Device::default().autodiff()).require_grad();
    let loss = ziln_loss(output.clone(), labelled, floor).unwrap().unwrap();
    let gradient = output.grad(&loss.backward()).unwrap();
    (loss.into_scalar::<f32>().into(), gradient.try_into_vec_as().unwrap())
}

#[test]
fn ziln_is_that_of_the_reference() {
    for case in fixture() {
        let outcomes: Vec<Option<f64>> = case.labels.iter().copied().map(Some).collect();
        let (loss, gradient) = ziln(&case.logits, &Labelled::new(&outcomes).unwrap(), case.floor);
        let off = (loss - case.loss).abs();
        assert!(off < 1e-5 * case.loss.abs().max(1.0), "{}: {loss}, expected {}", case.name, case.loss);
        for (found, expected) in gradient.iter().zip(case.gradient.as_flattened()) {
            let off = (f64::from(*found) - expected).abs();
            assert!(off < 2e-5 * expected.abs().max(1.0), "{}: {found}, expected {expected}", case.name);
        }
        let scale = OutcomeScale::new(1e-9, 1e300).unwrap();
        for (logits, expected) in case.logits.iter().zip(&case.prediction) {
            let value = scale.value(&scale.distribution(*logits));
            assert!((value - expected).abs() < 1e-6 * expected.max(1e-9), "{value}, expected {expected}");
        }
    }
}

#[test]
fn what_is_not_labelled_adds_nothing_even_if_it_is_nan() {
    let case = &fixture()[0];
    let known: Vec<Option<f64>> = case.labels.iter().copied().map(Some).collect();
    let (loss, gradient) = ziln(&case.logits, &Labelled::new(&known).unwrap(), case.floor);
    let mut rows = case.logits.clone();
    let mut outcomes = known;
    for (place, row) in [(0, [f32::NAN; 3]), (5, [9.0, -4.0, 70.0]), (18, [f32::INFINITY; 3])] {
        rows.insert(place, row);
        outcomes.insert(place, None);
    }
    let labelled = Labelled::new(&outcomes).unwrap();
    assert_eq!(labelled.len(), case.labels.len());
    let (with_others, mut others) = ziln(&rows, &labelled, case.floor);
    assert_eq!(with_others, loss);
    for place in [18, 5, 0] {
        let gone: Vec<f32> = others.drain(place * 3..place * 3 + 3).collect();
        assert_eq!(gone, [0.0; 3], "gradient of the unlabelled row {place}");
    }
    assert_eq!(others, gradient);
}

#[test]
fn without_labels_there_is_no_loss() {
    let device = Device::default();
    let none = Labelled::new(&[None, None]).unwrap();
    assert!(none.is_empty());
    assert!(ziln_loss(tensor(&[[0.0; 3]; 2], &device), &none, 0.1).unwrap().is_none());
    let error = ziln_loss(tensor(&[[0.0; 3]; 3], &device), &none, 0.1).unwrap_err();
    assert!(error.to_string().contains("expected [2, 3], got [3, 3]"), "{error}");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(Labelled::new(&[None, Some(bad)]).unwrap_err().to_string().contains("row 1"));
    }
}

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
    let loss = number(state_loss(logits, &batch).unwrap());
    assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");
    // The student's own logits have no divergence.
    let own = array![[0.9f32, 0.1, 0.2, 0.3, 0.5], [0.5, 0.5, 1e-30, 1.0, 1e-30]].mapv(f32::ln);
    let loss = number(state_loss(from(&own, &device), &reasoned(&[Some(0), Some(1)])).unwrap());
    assert!(loss.abs() < 1e-6, "{loss}");
}

#[test]
fn representation_loss_is_one_minus_the_mean_cosine() {
    let device = Device::default();
    // Rows: same direction and orthogonal; opposite, and a target without length (cosine 0).
    let projected = array![[5.0f32, 0.0, 3.0, 0.0], [-3.0, -4.0, 1.0, 1.0]];
    let batch = reasoned(&[Some(0), Some(1)]);
    let loss = number(representation_loss(from(&projected, &device), &batch).unwrap());
    assert!((loss - (1.0 - (1.0 + 0.0 - 1.0 + 0.0) / 4.0)).abs() < 1e-6, "{loss}");
    assert!(representation_loss(from(&projected, &device), &reasoned(&[None, None])).unwrap().is_none());
}

#[test]
fn a_projection_of_zero_has_a_finite_gradient() {
    let output = Tensor::<2>::zeros([2, 4], &Device::default().autodiff()).require_grad();
    let loss = representation_loss(output.clone(), &reasoned(&[Some(0), Some(1)])).unwrap().unwrap();
    let gradient: Vec<f32> = output.grad(&loss.backward()).unwrap().try_into_vec_as().unwrap();
    assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
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
    let wrong = state_loss(Tensor::zeros([1, 4], &device), &reasoned(&[Some(0)])).unwrap_err();
    assert!(wrong.to_string().contains("expected [1, 5], got [1, 4]"), "{wrong}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn ziln_is_the_mean_over_rows_in_any_order(
        rows in prop::collection::vec((prop::array::uniform3(-4f32..4.0), 0u8..2, 0.01f64..1e4), 1..12),
        turn in 0usize..12,
    ) {
        let outcome = |(_, positive, amount): &([f32; 3], u8, f64)| Some(f64::from(*positive) * amount);
        let logits: Vec<[f32; 3]> = rows.iter().map(|r| r.0).collect();
        let outcomes: Vec<Option<f64>> = rows.iter().map(outcome).collect();
        let (whole, _) = ziln(&logits, &Labelled::new(&outcomes).unwrap(), 0.05);
        let single: f64 = (0..rows.len())
            .map(|i| ziln(&logits[i..=i], &Labelled::new(&outcomes[i..=i]).unwrap(), 0.05).0)
            .sum();
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-4 * a.abs().max(1.0);
        prop_assert!(close(single / rows.len() as f64, whole));
        let (mut turned, mut turned_outcomes) = (logits, outcomes);
        turned.rotate_left(turn % rows.len());
        turned_outcomes.rotate_left(turn % rows.len());
        prop_assert!(close(ziln(&turned, &Labelled::new(&turned_outcomes).unwrap(), 0.05).0, whole));
    }

    #[test]
    fn divergence_is_never_negative(logits in prop::collection::vec(-20f32..20.0, 10)) {
        let logits = Array2::from_shape_vec((2, 5), logits).unwrap();
        let batch = reasoned(&[Some(1), Some(0)]);
        let loss = number(state_loss(from(&logits, &Device::default()), &batch).unwrap());
        prop_assert!(loss > -1e-5, "{}", loss);
    }
}
