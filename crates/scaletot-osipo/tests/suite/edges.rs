//! The corners: nothing to compare, nothing observed, numbers that are none.

use crate::common::{Batch, host, to_tensor};
use burn::tensor::{DType, Device, Tensor};
use scaletot_osipo::{
    Candidate, CandidateBatch, ChainSegments, Error, GroupBaseline, Objective, OsipoLossConfig, PolicyConfig,
    RatioOf, SegmentWeights, TokenMask, log_probs_from_host,
};

fn batch() -> Batch {
    Batch {
        users: vec![0, 0, 1],
        mask: vec![vec![true, true], vec![true, false], vec![true, true]],
        segments: vec![vec![0, 1]; 3],
        chain_segments: 2,
        policy: vec![vec![-1.0, -0.5], vec![-2.0, -0.1], vec![-0.3, -0.7]],
        reference: vec![vec![-1.1, -0.7], vec![-1.5, -0.2], vec![-0.4, -0.4]],
        advantages: vec![Some(1.0), Some(-1.0), Some(0.5)],
        entropies: None,
        sampling: None,
        process: None,
        weight_logits: None,
    }
}

fn hard() -> OsipoLossConfig {
    OsipoLossConfig::default().with_objective(Objective::Pointwise { temperature: None })
}

#[test]
fn only_ties_are_no_pairs() {
    let mut tied = batch();
    tied.advantages = vec![Some(0.2), Some(0.2), Some(9.0)];
    let error = tied.step(&OsipoLossConfig::default(), DType::F32).unwrap_err();
    assert!(matches!(error, Error::NoPairs { candidates: 3, users: 2, labelled: 3, ties: 1 }), "{error}");
    // Pointwise needs no pairs; margin and accuracy are then unknown.
    let report = tied.step(&hard(), DType::F32).unwrap().report.unwrap();
    assert_eq!((report.margin, report.accuracy, report.pairs, report.ties), (None, None, 0, 1));
    assert_eq!(report.tie_share(), 1.0);
}

#[test]
fn no_labelled_user_is_an_error() {
    let mut unlabelled = batch();
    unlabelled.advantages = vec![None; 3];
    let error = unlabelled.step(&OsipoLossConfig::default(), DType::F32).unwrap_err();
    assert!(matches!(error, Error::NoPairs { labelled: 0, .. }), "{error}");
    let error = unlabelled.step(&hard(), DType::F32).unwrap_err();
    assert!(matches!(error, Error::NoLabelled { what: "pointwise objective", rows: 3 }), "{error}");
}

#[test]
fn an_unlabelled_candidate_gets_no_gradient() {
    let mut some = batch();
    some.advantages[2] = None;
    some.policy[2] = vec![-1e4, -1e4];
    let step = some.step(&hard().with_sft_weight(1.0), DType::F32).unwrap();
    assert_eq!(step.gradient[2], [0.0, 0.0]);
    assert!(step.loss.is_finite());
}

fn on_policy() -> OsipoLossConfig {
    OsipoLossConfig::default().with_objective(Objective::Policy(PolicyConfig::default()))
}

#[test]
fn a_policy_step_needs_an_advantage_and_a_group() {
    let mut unlabelled = batch();
    unlabelled.advantages = vec![None; 3];
    let error = unlabelled.step(&on_policy(), DType::F32).unwrap_err();
    assert!(matches!(error, Error::NoLabelled { what: "policy objective", rows: 3 }), "{error}");
    // The second user's only chain has nobody to be compared with; the first user's two have each other.
    let step = batch().step(&on_policy(), DType::F32).unwrap();
    assert_eq!(step.gradient[2], [0.0, 0.0]);
    assert!(step.gradient[0][0] < 0.0 && step.gradient[1][0] > 0.0, "{:?}", step.gradient);
    assert_eq!(step.gradient[1][1], 0.0, "a masked token");
    assert_eq!(
        step.report.unwrap().clipped,
        Some(0.0),
        "without sampling log-probabilities all ratios are 1"
    );
}

#[test]
fn impossible_chains_do_not_spoil_a_policy_step() {
    let mut far = batch();
    far.advantages = vec![Some(1.0), Some(-1.0), None];
    // Ratios and KL terms that overflow, of a bad chain and of one without an advantage.
    far.sampling = Some(vec![vec![-1.0, -0.5], vec![-500.0, -0.1], vec![-900.0, -900.0]]);
    far.reference = vec![vec![-1.1, -0.7], vec![300.0, -0.2], vec![400.0, -0.4]];
    for ratio in [RatioOf::Token, RatioOf::Chain] {
        let config = PolicyConfig::default().with_process(0.0).with_kl(0.1).with_ratio(ratio);
        let config = on_policy().with_objective(Objective::Policy(config));
        let step = far.step(&config, DType::F32).unwrap();
        assert!(step.loss.is_finite(), "{}", step.loss);
        assert!(step.gradient.iter().flatten().all(|g| g.is_finite()), "{:?}", step.gradient);
        assert_eq!(step.gradient[2], [0.0, 0.0]);
    }
}

/// Far below the reference the penalty pulls no more, and above all not the wrong way; near it, it pulls back.
#[test]
fn the_penalty_never_pushes_away() {
    let gradient = |reference: f64| {
        let mut far = batch();
        far.reference[0][0] = reference;
        let config =
            PolicyConfig::default().with_process(0.0).with_kl(1.0).with_baseline(GroupBaseline::Standardised);
        let with = far.step(&on_policy().with_objective(Objective::Policy(config)), DType::F32).unwrap();
        let without = far
            .step(&on_policy().with_objective(Objective::Policy(config.with_kl(0.0))), DType::F32)
            .unwrap();
        with.gradient[0][0] - without.gradient[0][0]
    };
    assert!(gradient(-0.5) < -0.01, "more of what the reference says");
    assert_eq!(gradient(80.0), 0.0);
}

#[test]
fn sampling_log_probabilities_that_are_none_are_reported() {
    let mut bad = batch();
    bad.sampling = Some(vec![vec![f64::NAN, -0.5], vec![-2.0, -0.1], vec![-0.3, -0.7]]);
    let report = bad.step(&on_policy(), DType::F32).unwrap().report;
    assert!(matches!(report.unwrap_err(), Error::NonFiniteLogProbs { count: 1 }));
    // The other objectives do not look at them.
    assert!(bad.step(&hard(), DType::F32).unwrap().report.is_ok());
}

/// What a chain without an advantage, or a segment without tokens, holds does not matter.
#[test]
fn process_rewards_that_do_not_count_may_be_anything() {
    let mut some = batch();
    some.advantages[2] = None;
    let sound = |third| {
        let mut batch = some.clone();
        // The second chain has no token of the second segment.
        batch.process = Some(vec![vec![0.3, 0.1], vec![-0.2, third], vec![third, third]]);
        batch.policy[2] = vec![if third == 0.0 { -0.3 } else { f64::NEG_INFINITY }, -0.7];
        batch.step(&on_policy(), DType::F32).unwrap()
    };
    let (plain, wild) = (sound(0.0), sound(f64::NAN));
    assert_eq!((plain.loss, plain.gradient[..2].to_vec()), (wild.loss, wild.gradient[..2].to_vec()));
    assert!(wild.loss.is_finite());
}

#[test]
fn learned_weights_need_logits() {
    let learned = OsipoLossConfig::default().with_weights(SegmentWeights::Learned);
    let error = batch().step(&learned, DType::F32).unwrap_err();
    assert!(matches!(error, Error::MissingWeightLogits { segments: 2 }), "{error}");
    let with = Batch { weight_logits: Some(vec![0.0; 2]), ..batch() };
    let (learned, uniform) =
        (with.step(&learned, DType::F32), batch().step(&OsipoLossConfig::default(), DType::F32));
    assert!((learned.unwrap().loss - uniform.unwrap().loss).abs() < 1e-6, "equal logits are uniform weights");
}

#[test]
fn shapes_must_fit() {
    let fits = batch();
    for (name, broken) in [
        ("candidates", Batch { users: vec![0, 0], ..fits.clone() }),
        ("candidates", Batch { users: vec![0; 4], advantages: vec![None; 4], ..fits.clone() }),
        ("reference log-probabilities", Batch { reference: vec![vec![0.0; 3]; 3], ..fits.clone() }),
        ("policy log-probabilities", Batch { policy: vec![vec![0.0; 2]; 4], ..fits.clone() }),
        ("entropies (n × K)", Batch { entropies: Some(vec![vec![0.1; 3]; 3]), ..fits.clone() }),
        ("sampling log-probabilities", Batch { sampling: Some(vec![vec![0.0; 3]; 3]), ..fits.clone() }),
        ("process rewards", Batch { process: Some(vec![vec![0.0; 3]; 3]), ..fits.clone() }),
        ("logits of the chain-segment weights", Batch { weight_logits: Some(vec![0.0; 3]), ..fits.clone() }),
    ] {
        let error = broken.step(&hard(), DType::F32).unwrap_err();
        assert!(matches!(error, Error::Shape { what, .. } if what == name), "{name}: {error}");
    }
    let weights = hard().with_weights(SegmentWeights::Given(vec![1.0; 3]));
    assert!(matches!(fits.step(&weights, DType::F32), Err(Error::Shape { .. })));
    let weights = hard().with_weights(SegmentWeights::Entropy);
    let error = fits.step(&weights, DType::F32).unwrap_err();
    assert!(matches!(error, Error::MissingEntropies { candidates: 3 }), "{error}");
}

#[test]
fn segments_of_another_mask_are_caught() {
    let device = Device::default();
    let log_probs = || Tensor::<2>::zeros([1, 2], &device);
    let narrow = TokenMask::from_rows(&[[true, false]]).unwrap();
    let wide = TokenMask::from_rows(&[[true, true]]).unwrap();
    let segments = ChainSegments::whole(&narrow);
    let error = CandidateBatch::new(
        log_probs(),
        log_probs(),
        wide,
        segments,
        vec![Candidate { user: 0, advantage: None }],
    )
    .unwrap_err();
    assert!(matches!(error, Error::SegmentOutOfRange { candidate: 0, token: 1, .. }), "{error}");
}

#[test]
fn a_judged_chain_needs_a_token() {
    let mut empty = batch();
    empty.mask[1] = vec![false, false];
    let error = empty.step(&hard(), DType::F32).unwrap_err();
    assert!(matches!(error, Error::NoTokens { candidate: 1 }), "{error}");
    empty.advantages[1] = None;
    assert!(empty.step(&hard(), DType::F32).is_ok());
}

#[test]
fn advantages_and_entropies_must_be_numbers() {
    let mut bad = batch();
    bad.advantages[1] = Some(f64::NAN);
    let error = bad.step(&hard(), DType::F32).unwrap_err();
    assert!(matches!(error, Error::InvalidValue { what: "advantage", row: 1, .. }), "{error}");
    let bad = Batch { entropies: Some(vec![vec![0.0, 1.0], vec![0.5, 1.5], vec![0.0, 0.0]]), ..batch() };
    let error = bad.step(&hard(), DType::F32).unwrap_err();
    assert_eq!(error.to_string(), "normalised entropy of row 1: expected a number from 0 to 1, found 1.5");
}

#[test]
fn non_finite_log_probs_are_found_where_they_count() {
    let device = Device::default();
    let mask = TokenMask::from_rows(&batch().mask).unwrap();
    let mut values = vec![-1.0_f32; 6];
    values[3] = f32::NAN; // dropped by the mask
    assert!(log_probs_from_host(values.clone(), &mask, &device).is_ok());
    values[4] = f32::NEG_INFINITY;
    let error = log_probs_from_host(values, &mask, &device).unwrap_err();
    assert!(matches!(error, Error::NonFiniteLogProb { candidate: 2, token: 0, .. }), "{error}");
    assert!(log_probs_from_host(vec![0.0; 5], &mask, &device).is_err());

    let mut bad = batch();
    bad.reference[2][1] = f64::NEG_INFINITY;
    bad.policy[0][0] = f64::NAN;
    let built = bad.build(to_tensor(&bad.policy, DType::F32, &device)).unwrap();
    let error = built.check_finite().unwrap_err();
    assert!(matches!(error, Error::NonFiniteLogProb { which: "policy", candidate: 0, token: 0, .. }));
    let step = bad.step(&hard(), DType::F32).unwrap();
    assert!(matches!(step.report.unwrap_err(), Error::NonFiniteLogProbs { count: 2 }));
}

#[test]
fn an_impossible_token_of_an_unjudged_chain_stays_out() {
    // Not masked, but without an advantage: it reaches neither pairs nor the SFT term.
    let mut some = batch();
    some.advantages[2] = None;
    some.policy[2][0] = f64::NEG_INFINITY;
    let config = OsipoLossConfig::default().with_sft_weight(0.5);
    let step = some.step(&config, DType::F32).unwrap();
    assert!(step.loss.is_finite());
    assert!(step.gradient.iter().flatten().all(|gradient| gradient.is_finite()));
}

#[test]
fn saturated_margins_stay_finite() {
    let mut far = batch();
    far.policy[0] = vec![-1e6, 0.0];
    for config in [OsipoLossConfig::default(), hard()] {
        let step = far.step(&config.with_beta(1.0), DType::F32).unwrap();
        assert!(step.loss.is_finite() && step.loss > 1e5);
        assert!(step.gradient.iter().flatten().all(|gradient| gradient.is_finite()));
    }
}

#[test]
fn named_best_chains_replace_those_of_the_advantage() {
    let device = Device::default();
    let given = batch();
    let config = hard().with_sft_weight(1.0);
    let loss = config.init().unwrap();
    let policy = to_tensor(&given.policy, DType::F32, &device);
    let build = || given.build(policy.clone()).unwrap();
    let sft = |batch: &CandidateBatch| loss.forward(batch).unwrap().stats.read().unwrap().sft.unwrap();
    // By advantage: candidate 0 (1.5 nats) of user 0, candidate 2 (1.0) of user 1.
    assert!((sft(&build()) - 1.25).abs() < 1e-6);
    assert!((sft(&build().with_best(vec![1]).unwrap()) - 2.0).abs() < 1e-6);
    // Two of user 0 share: (1.5 + 2.0) / 2.
    assert!((sft(&build().with_best(vec![1, 0, 1]).unwrap()) - 1.75).abs() < 1e-6);
    assert!(matches!(build().with_best(vec![3]), Err(Error::OutOfRange { index: 3, bound: 3, .. })));
}

#[test]
fn user_segments_have_their_own_means() {
    let device = Device::default();
    let given = batch();
    let policy = to_tensor(&given.policy, DType::F32, &device);
    let build = || given.build(policy.clone()).unwrap();
    let loss = hard().with_beta(1.0).init().unwrap();
    let batch = build().with_user_segments(vec![2, 2, 0], 3).unwrap();
    let report = loss.forward(&batch).unwrap().stats.read().unwrap();
    let means = report.user_segment_rewards;
    assert!(means[1].is_none());
    // r = (0.1 + 0.2, −0.5, 0.1 − 0.3)
    assert!((means[2].unwrap() + 0.1).abs() < 1e-6 && (means[0].unwrap() + 0.2).abs() < 1e-6);
    assert!(matches!(build().with_user_segments(vec![0, 1, 3], 3), Err(Error::OutOfRange { row: 2, .. })));
    assert!(build().with_user_segments(vec![0], 3).is_err());
}

#[test]
fn rewards_and_reports_can_be_inspected() {
    let given = batch();
    let policy = to_tensor(&given.policy, DType::F32, &Device::default());
    let built = given.build(policy).unwrap();
    let loss = OsipoLossConfig::default().with_beta(1.0).init().unwrap();
    let rewards = loss.rewards(&built).unwrap();
    let expected = [0.1, 0.2, -0.5, 0.0, 0.1, -0.3];
    for (found, expected) in host(rewards.per_segment).iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6);
    }
    let stats = loss.forward(&built).unwrap().stats;
    assert_eq!((stats.pairs(), stats.ties()), (1, 0));
    let report = stats.read().unwrap();
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<scaletot_osipo::OsipoReport>(&json).unwrap(), report);
    assert_eq!((report.candidates, report.labelled, report.users), (3, 3, 2));
    assert_eq!(report.accuracy, Some(1.0));
}

#[test]
fn at_the_reference_the_accuracy_is_a_half() {
    let mut same = batch();
    same.policy = same.reference.clone();
    let step = same.step(&OsipoLossConfig::default(), DType::F32).unwrap();
    let report = step.report.unwrap();
    assert_eq!((report.accuracy, report.kl, report.margin), (Some(0.5), 0.0, Some(0.0)));
    assert!((step.loss - std::f64::consts::LN_2).abs() < 1e-6);
}

#[test]
fn public_types_are_send_and_sync() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>() {}
    check::<CandidateBatch>();
    check::<TokenMask>();
    check::<ChainSegments>();
    check::<OsipoLossConfig>();
    check::<scaletot_osipo::OsipoLoss>();
    check::<scaletot_osipo::OsipoStats>();
    check::<scaletot_osipo::OsipoReport>();
    check::<scaletot_osipo::reward::OutcomeReward>();
    check::<Error>();
}
