//! The loss equals the published ones where it should, and its own definition elsewhere: value and gradient, against
//! numbers that `fixtures/make_fixtures.py` computed with PyTorch in float64, some of them by TRL's own trainers.

use crate::common::{Batch, all_close, close, computes_in_f64};
use burn::tensor::{DType, Device};
use scaletot_osipo::OsipoLossConfig;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixtures {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    batch: Batch,
    settings: OsipoLossConfig,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    loss: f64,
    gradient: Vec<Vec<f64>>,
    margin: Option<f64>,
    accuracy: Option<f64>,
    objective: Option<f64>,
    sft: Option<f64>,
    kl: Option<f64>,
    log_ratio: Option<f64>,
    chain_segment_rewards: Option<Vec<f64>>,
    clipped: Option<f64>,
    logit_gradient: Option<Vec<f64>>,
}

fn cases() -> Vec<Case> {
    let fixtures: Fixtures = serde_json::from_str(include_str!("../fixtures/osipo.json")).unwrap();
    assert_eq!(fixtures.cases.len(), 36);
    fixtures.cases
}

fn check(case: &mut Case, dtype: DType, tolerance: f64) {
    // What the mask drops must not matter, so it holds the worst.
    case.batch.fill_masked(f64::NAN, f64::NEG_INFINITY, usize::MAX);
    let step = case.batch.step(&case.settings, dtype).unwrap();
    let expected = &case.expected;
    let name = &case.name;
    assert!(close(step.loss, expected.loss, tolerance), "{name}: {} is not {}", step.loss, expected.loss);
    assert!(all_close(&step.gradient, &expected.gradient, tolerance), "{name}: gradient {:?}", step.gradient);

    if let Some(expected) = &expected.logit_gradient {
        let found = step.logit_gradient.clone().unwrap();
        assert!(all_close(&[found], std::slice::from_ref(expected), tolerance), "{name}");
    }

    let report = step.report.unwrap();
    // TRL counts in float32.
    let clipped = (report.clipped, expected.clipped);
    assert!(
        clipped.1.is_none_or(|expected| close(clipped.0.unwrap(), expected, 1e-6)),
        "{name}: {clipped:?}"
    );
    assert!(close(report.loss, expected.loss, tolerance), "{name}");
    let sft = expected.sft.filter(|_| case.settings.sft_weight > 0.0);
    for (what, found, expected) in [
        ("margin", report.margin, expected.margin),
        ("accuracy", report.accuracy, expected.accuracy),
        ("objective", Some(report.objective), expected.objective),
        ("sft", report.sft, sft),
        ("kl", Some(report.kl), expected.kl),
        ("log-ratio", Some(report.log_ratio), expected.log_ratio),
    ] {
        let Some(expected) = expected else { continue };
        let found = found.unwrap_or(f64::NAN);
        assert!(close(found, expected, tolerance), "{name}: {what} {found} is not {expected}");
    }
    if let Some(expected) = &expected.chain_segment_rewards {
        let found = [report.chain_segment_rewards];
        assert!(all_close(&found, std::slice::from_ref(expected), tolerance), "{name}: {found:?}");
    }
}

#[test]
fn equals_dpo_in_f32() {
    for case in cases().iter_mut().filter(|case| case.name.starts_with("dpo")) {
        check(case, DType::F32, 1e-5);
    }
}

#[test]
fn equals_implicit_prm_cross_entropy_in_f32() {
    for case in cases().iter_mut().filter(|case| case.name.starts_with("implicit prm")) {
        check(case, DType::F32, 1e-5);
    }
}

#[test]
fn equals_the_other_losses_of_pairs_in_f32() {
    for case in
        cases().iter_mut().filter(|case| case.name.starts_with("pair") || case.name.starts_with("learned"))
    {
        check(case, DType::F32, 1e-5);
    }
}

#[test]
fn equals_trl_in_f32() {
    let mut cases = cases();
    let of_trl: Vec<_> = cases.iter_mut().filter(|case| case.name.starts_with("trl")).collect();
    assert_eq!(of_trl.len(), 8);
    of_trl.into_iter().for_each(|case| check(case, DType::F32, 1e-5));
}

#[test]
fn equals_prime_and_its_own_policy_objective_in_f32() {
    for case in
        cases().iter_mut().filter(|case| case.name.starts_with("prime") || case.name.starts_with("policy"))
    {
        check(case, DType::F32, 1e-5);
    }
}

#[test]
fn equals_its_definition_in_f32() {
    for case in cases().iter_mut().filter(|case| case.name.starts_with("osipo")) {
        check(case, DType::F32, 1e-5);
    }
}

#[test]
fn equals_all_of_them_in_f64_where_the_backend_has_it() {
    if !computes_in_f64(&Device::default()) {
        println!("skipped: the backend has no 64-bit arithmetic");
        return;
    }
    for case in &mut cases() {
        check(case, DType::F64, 1e-10);
    }
}
