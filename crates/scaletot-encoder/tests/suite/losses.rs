//! The losses of the outcome: against a fixture, and rows without a target.
#![cfg(feature = "train")]

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use scaletot_encoder::train::{Labelled, tier_loss, tweedie_loss, ziln_loss};
use scaletot_encoder::{OutcomeScale, ZilnReduction};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    floor: f64,
    labels: Vec<f64>,
    logits: Vec<[f32; 3]>,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    loss: f64,
    gradient: Vec<[f64; 3]>,
    loss_positives: f64,
    gradient_positives: Vec<[f64; 3]>,
    prediction: Vec<f64>,
}

fn fixture() -> Vec<Case> {
    serde_json::from_str(include_str!("../fixtures/ziln.json")).unwrap()
}

/// What the published implementations give for the same cases, in 32 bits.
fn reference() -> Vec<Expected> {
    serde_json::from_str(include_str!("../fixtures/ziln_reference.json")).unwrap()
}

fn tensor<const W: usize>(rows: &[[f32; W]], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(rows.concat(), [rows.len(), W]), device)
}

/// Loss and gradient with respect to the head's output.
fn ziln(rows: &[[f32; 3]], labelled: &Labelled, floor: f64) -> (f64, Vec<f32>) {
    with_gradient(rows, |output| ziln_loss(output, labelled, floor, ZilnReduction::AllRows).unwrap())
}

fn with_gradient<const W: usize>(
    rows: &[[f32; W]],
    loss: impl Fn(Tensor<2>) -> Option<Tensor<1>>,
) -> (f64, Vec<f32>) {
    let output = tensor(rows, &Device::default().autodiff()).require_grad();
    let loss = loss(output.clone()).unwrap();
    let gradient = output.grad(&loss.backward()).unwrap();
    (loss.into_scalar::<f32>().into(), gradient.try_into_vec_as().unwrap())
}

#[test]
fn ziln_is_that_of_the_formulas_and_of_both_implementations() {
    let (cases, reference) = (fixture(), reference());
    assert_eq!(cases.len(), reference.len());
    for (case, reference) in cases.iter().zip(&reference) {
        agrees(case, &case.expected);
        agrees(case, reference);
    }
}

fn agrees(case: &Case, expected: &Expected) {
    let outcomes: Vec<Option<f64>> = case.labels.iter().copied().map(Some).collect();
    let labelled = Labelled::new(&outcomes).unwrap();
    let reductions = [
        (ZilnReduction::AllRows, expected.loss, &expected.gradient),
        (ZilnReduction::Positives, expected.loss_positives, &expected.gradient_positives),
    ];
    for (reduction, loss, gradient) in reductions {
        let (found, slope) = with_gradient(&case.logits, |output| {
            ziln_loss(output, &labelled, case.floor, reduction).unwrap()
        });
        let off = (found - loss).abs();
        assert!(off < 1e-5 * loss.abs().max(1.0), "{} {reduction:?}: {found}, expected {loss}", case.name);
        assert_eq!(slope.len(), 3 * gradient.len());
        for (found, expected) in slope.iter().zip(gradient.as_flattened()) {
            let off = (f64::from(*found) - expected).abs();
            assert!(off < 1e-5 * expected.abs().max(1.0), "{}: {found}, expected {expected}", case.name);
        }
    }
    let scale = OutcomeScale::new(1e-9, 1e300).unwrap();
    assert_eq!(case.logits.len(), expected.prediction.len());
    for (logits, expected) in case.logits.iter().zip(&expected.prediction) {
        let value = scale.value(&scale.distribution(*logits));
        assert!((value - expected).abs() < 1e-6 * expected.max(1e-9), "{value}, expected {expected}");
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
    assert!(
        ziln_loss(tensor(&[[0.0; 3]; 2], &device), &none, 0.1, ZilnReduction::AllRows).unwrap().is_none()
    );
    let error = ziln_loss(tensor(&[[0.0; 3]; 3], &device), &none, 0.1, ZilnReduction::AllRows).unwrap_err();
    assert!(error.to_string().contains("expected [2, 3], found [3, 3]"), "{error}");
    assert!(tweedie_loss(tensor(&[[0.0]; 2], &device), &none, 1.5, 1.0).unwrap().is_none());
    assert!(tier_loss(tensor(&[[0.0; 2]; 2], &device), &none, &[]).unwrap().is_none());
    let error = tier_loss(tensor(&[[0.0; 3]; 2], &device), &none, &[1.0, 2.0]).unwrap_err();
    assert!(error.to_string().contains("expected [2, 4], found [2, 3]"), "{error}");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(Labelled::new(&[None, Some(bad)]).unwrap_err().to_string().contains("row 1"));
    }
}

#[test]
fn a_tweedie_loss_outside_its_family_is_refused_and_not_nan() {
    let device = Device::default();
    let labelled = Labelled::new(&[Some(1.0), Some(0.0)]).unwrap();
    let loss = |power, unit| tweedie_loss(tensor(&[[0.0]; 2], &device), &labelled, power, unit);
    assert!(loss(1.5, 1.0).is_ok());
    for unit in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(loss(1.5, unit).unwrap_err().to_string().contains("`unit`"), "{unit}");
    }
    for power in [1.0, 2.0, f64::NAN] {
        assert!(loss(power, 1.0).unwrap_err().to_string().contains("`power`"), "{power}");
    }
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
    fn tweedie_is_the_formula_in_any_unit(
        rows in prop::collection::vec((-3f32..4.0, prop::option::of(prop_oneof![Just(0.0), 0.01f64..60.0])), 1..12),
        power in 1.05f64..1.95, unit in 0.1f64..40.0,
    ) {
        let outcomes: Vec<Option<f64>> = rows.iter().map(|row| row.1).collect();
        let labelled = Labelled::new(&outcomes).unwrap();
        prop_assume!(!labelled.is_empty());
        let logs: Vec<[f32; 1]> = rows.iter().map(|row| [row.0]).collect();
        let (loss, gradient) = with_gradient(&logs, |x| tweedie_loss(x, &labelled, power, unit).unwrap());
        let (mut expected, mut slopes) = (0.0, vec![0.0; rows.len()]);
        for ((log, outcome), slope) in rows.iter().zip(&mut slopes) {
            let Some(outcome) = outcome else { continue };
            let mean = f64::from(*log).exp();
            let factor = unit.powf(power - 2.0) / labelled.len() as f64;
            expected -= factor * outcome * mean.powf(1.0 - power) / (1.0 - power);
            expected += factor * mean.powf(2.0 - power) / (2.0 - power);
            *slope = factor * (mean.powf(2.0 - power) - outcome * mean.powf(1.0 - power));
        }
        prop_assert!((loss - expected).abs() < 1e-5 * expected.max(1.0), "{loss}, expected {expected}");
        for (found, expected) in gradient.iter().zip(&slopes) {
            prop_assert!((f64::from(*found) - expected).abs() < 1e-4 * expected.abs().max(1.0), "{found}, expected {expected}");
        }
    }

    #[test]
    fn tiers_have_the_cross_entropy_of_their_class(
        rows in prop::collection::vec((prop::array::uniform4(-5f32..5.0), 0usize..5), 1..12),
    ) {
        // No outcome, below, at and above the cuts, unknown.
        let (cuts, amounts) = ([10.0, 20.0], [Some(0.0), Some(9.9), Some(10.0), Some(1e9), None]);
        let outcomes: Vec<Option<f64>> = rows.iter().map(|row| amounts[row.1]).collect();
        let labelled = Labelled::new(&outcomes).unwrap();
        prop_assume!(!labelled.is_empty());
        let logits: Vec<[f32; 4]> = rows.iter().map(|row| row.0).collect();
        let (loss, gradient) = with_gradient(&logits, |x| tier_loss(x, &labelled, &cuts).unwrap());
        let (mut expected, n) = (0.0, labelled.len() as f64);
        for ((logits, class), gradient) in rows.iter().zip(gradient.chunks(4)) {
            let sum: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
            let p = |v: usize| f64::from(logits[v]).exp() / sum;
            if *class < 4 {
                expected -= p(*class).ln() / n;
            }
            for (v, found) in gradient.iter().enumerate() {
                let slope = if *class < 4 { (p(v) - f64::from(u8::from(v == *class))) / n } else { 0.0 };
                prop_assert!((f64::from(*found) - slope).abs() < 1e-5, "{found}, expected {slope}");
            }
        }
        prop_assert!((loss - expected).abs() < 1e-5 * expected.max(1.0), "{loss}, expected {expected}");
    }
}
