//! The evidence objective on tensors: its gradient, and the published methods that it becomes at its limits, for value and gradient.

use std::sync::OnceLock;

use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Tensor};
use proptest::prelude::*;
use scaletot_osipo::evidence::Posterior;
use scaletot_osipo::{
    Candidate, CandidateBatch, ChainSegments, Error, GroupBaseline, Objective, OsipoLossConfig, PolicyConfig,
    RatioOf, Reduction, TokenMask,
};

use crate::common::{Batch, close, computes_in_f64, host, to_tensor};

/// Enumerated chains of some users, one token each: logits of the policy and of the reference, and rewards; none of an anchor.
#[derive(Debug, Clone)]
struct World {
    logits: Vec<Vec<f64>>,
    reference: Vec<Vec<f64>>,
    rewards: Vec<Option<Vec<f64>>>,
}

fn log_probs(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum = largest + logits.iter().map(|x| (x - largest).exp()).sum::<f64>().ln();
    logits.iter().map(|x| x - sum).collect()
}

fn policy(logits: &[f64]) -> Vec<f64> {
    log_probs(logits).into_iter().map(f64::exp).collect()
}

impl World {
    /// Loss and gradient by the logits.
    fn step(&self, config: &OsipoLossConfig) -> (f64, Vec<f64>) {
        let device = Device::default().autodiff();
        let [users, chains] = [self.logits.len(), self.logits[0].len()];
        let n = users * chains;
        let logits = to_tensor(&self.logits, precision(), &device).require_grad();
        let policy = log_softmax(logits.clone(), 1).reshape([n, 1]);
        let reference: Vec<Vec<f64>> =
            self.reference.iter().flat_map(|row| log_probs(row)).map(|p| vec![p]).collect();
        let reference = to_tensor(&reference, precision(), &device.clone().without_autodiff());
        let mask = TokenMask::new(vec![true; n], n, 1).unwrap();
        let segments = ChainSegments::whole(&mask);
        let candidates = (0..n)
            .map(|row| Candidate {
                user: row / chains,
                advantage: self.rewards[row / chains].as_ref().map(|rewards| rewards[row % chains]),
            })
            .collect();
        let batch = CandidateBatch::new(policy, reference, mask, segments, candidates).unwrap();
        let loss = config.init().unwrap().forward(&batch).unwrap().loss;
        let gradients = loss.backward();
        (host(loss.without_autodiff())[0], host(logits.grad(&gradients).unwrap()))
    }

    fn one(logits: &[f64], rewards: &[f64]) -> Self {
        Self {
            logits: vec![logits.to_vec()],
            reference: vec![logits.to_vec()],
            rewards: vec![Some(rewards.to_vec())],
        }
    }
}

fn evidence(eta: f64) -> OsipoLossConfig {
    OsipoLossConfig::default().with_objective(Objective::Evidence { eta }).with_reduction(Reduction::Sum)
}

/// What is computed in: 64 bits where the device has them.
fn precision() -> DType {
    static FOUND: OnceLock<DType> = OnceLock::new();
    *FOUND.get_or_init(|| if computes_in_f64(&Device::default()) { DType::F64 } else { DType::F32 })
}

/// The tolerance that the precision allows, given that of 64 bits.
fn within(tolerance: f64) -> f64 {
    if precision() == DType::F64 { tolerance } else { tolerance.max(1e-3) }
}

/// An η near 0 by which the precision can still divide, and how far the limit is off there.
fn near_0() -> (f64, f64) {
    if precision() == DType::F64 { (1e-6, 1e-5) } else { (5e-3, 2e-2) }
}

fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(close(*found, *expected, within(tolerance)), "{found} {expected}");
    }
}

const LOGITS: [f64; 4] = [0.3, -1.2, 0.8, -0.1];
const REWARDS: [f64; 4] = [1.0, -0.5, 0.2, -2.0];

fn worlds() -> impl Strategy<Value = (World, f64)> {
    (1_usize..4, 2_usize..6).prop_flat_map(|(users, chains)| {
        let rows = || prop::collection::vec(prop::collection::vec(-3.0..3.0_f64, chains), users);
        let reward = prop_oneof![5 => -4.0..4.0_f64, 1 => Just(f64::NEG_INFINITY)];
        let rewards = prop::collection::vec(prop::collection::vec(reward, chains), users);
        (rows(), rows(), rewards, 0.05..8.0_f64).prop_map(|(logits, reference, mut rewards, eta)| {
            rewards.iter_mut().for_each(|row| row[0] = row[0].max(-1.0));
            (World { logits, reference, rewards: rewards.into_iter().map(Some).collect() }, eta)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The value is the evidence of the host's posteriors, and the gradient `−E_π[A ∇ ln π]`, `A = (e^{ηR}/Z − 1)/η`.
    #[test]
    fn the_gradient_is_the_expected_advantage_times_the_score((world, eta) in worlds()) {
        let (loss, gradient) = world.step(&evidence(eta));
        let (mut value, mut expected) = (0.0, vec![]);
        for (logits, rewards) in world.logits.iter().zip(&world.rewards) {
            let pi = log_probs(logits);
            let posterior = Posterior::new(&pi, rewards.as_ref().unwrap(), eta).unwrap();
            value -= posterior.evidence;
            // By logits the score sums to q − π, over η.
            expected.extend(posterior.probabilities.iter().zip(&pi).map(|(q, p)| (p.exp() - q) / eta));
        }
        prop_assert!(close(loss, value, within(1e-10)), "{} {}", loss, value);
        for (found, expected) in gradient.iter().zip(&expected) {
            prop_assert!(close(*found, *expected, within(1e-10)), "{} {}", found, expected);
        }
    }

    /// A constant added to a user's rewards moves the value by as much, and no gradient.
    #[test]
    fn a_constant_reward_teaches_nothing((world, eta) in worlds(), shift in -5.0..5.0_f64) {
        let (loss, gradient) = world.step(&evidence(eta));
        let mut moved = world.clone();
        moved.rewards.iter_mut().flatten().flatten().for_each(|reward| *reward += shift);
        let (shifted, same) = moved.step(&evidence(eta));
        prop_assert!(close(shifted, loss - shift * world.logits.len() as f64, within(1e-9)));
        for (found, expected) in same.iter().zip(&gradient) {
            prop_assert!(close(*found, *expected, within(1e-9)));
        }
        moved.rewards.iter_mut().flatten().for_each(|row| row.fill(shift));
        let (_, still) = moved.step(&evidence(eta));
        let least = if precision() == DType::F64 { 0.0 } else { 1e-5 };
        prop_assert!(still.iter().all(|g| g.abs() <= least), "{:?}", still);
    }
}

#[test]
fn near_eta_0_it_is_the_policy_gradient_with_the_exact_baseline() {
    let pi = policy(&LOGITS);
    let mean: f64 = pi.iter().zip(REWARDS).map(|(p, r)| p * r).sum();
    let (eta, tolerance) = near_0();
    let (loss, gradient) = World::one(&LOGITS, &REWARDS).step(&evidence(eta));
    assert!((loss + mean).abs() < tolerance, "{loss} {mean}");
    // The same from the policy objective, which gives every chain of its batch the weight 1: so they are weighed here.
    let weighed: Vec<f64> = pi.iter().zip(REWARDS).map(|(p, r)| p * (r - mean)).collect();
    let plain = PolicyConfig::default()
        .with_baseline(GroupBaseline::None)
        .with_process(0.0)
        .with_ratio(RatioOf::Chain);
    let config =
        OsipoLossConfig::default().with_objective(Objective::Policy(plain)).with_reduction(Reduction::Sum);
    let (_, expected) = World::one(&LOGITS, &weighed).step(&config);
    assert_near(&gradient, &expected, tolerance);
}

/// With importance weights of chains that the policy itself sampled: RLOO's advantage is `n/(n − 1)` of this one, since it leaves
/// out the chain itself; GRPO divides it by the deviation.
#[test]
fn near_eta_0_on_sampled_chains_it_is_rloo_unscaled() {
    let sampled = |config: &OsipoLossConfig| {
        let rows = |numbers: [f64; 4]| numbers.map(|p| vec![p]).to_vec();
        let batch = Batch {
            users: vec![0; 4],
            mask: vec![vec![true]; 4],
            segments: vec![vec![0]; 4],
            chain_segments: 1,
            policy: rows([-0.3, -1.0, -2.0, -0.7]),
            reference: rows([-0.3, -1.0, -2.0, -0.7]),
            advantages: REWARDS.map(Some).to_vec(),
            entropies: None,
            sampling: Some(rows([-0.3, -1.0, -2.0, -0.7])),
            process: None,
            weight_logits: None,
        };
        batch.step(config, precision()).unwrap().gradient.concat()
    };
    let (eta, tolerance) = near_0();
    let gradient = sampled(&evidence(eta));
    let policy = |baseline| {
        let config =
            PolicyConfig::default().with_baseline(baseline).with_process(0.0).with_ratio(RatioOf::Chain);
        sampled(&OsipoLossConfig::default().with_objective(Objective::Policy(config)))
    };
    let rloo: Vec<f64> = policy(GroupBaseline::LeaveOneOut).iter().map(|g| g * 3.0 / 4.0).collect();
    assert_near(&gradient, &rloo, tolerance);
    let mean = REWARDS.iter().sum::<f64>() / 4.0;
    let deviation = (REWARDS.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 3.0).sqrt() + 1e-4;
    let grpo: Vec<f64> = policy(GroupBaseline::Standardised).iter().map(|g| g * deviation).collect();
    assert_near(&gradient, &grpo, tolerance);
}

/// The posterior frozen at the reference: cross-entropy with weights `e^{R/β}/Z`, `β = 1/η`. There the two have one gradient, and
/// the evidence is the bound `Σ q (ln π + ηR − ln q) / η`.
#[test]
fn with_the_posterior_of_the_reference_it_is_reward_weighted_regression() {
    for eta in [0.3, 1.0, 2.5] {
        let (loss, gradient) = World::one(&LOGITS, &REWARDS).step(&evidence(eta));
        let pi = log_probs(&LOGITS);
        let q = Posterior::new(&pi, &REWARDS, eta).unwrap().probabilities;
        let terms = q.iter().zip(&pi).zip(REWARDS);
        let bound: f64 = terms.map(|((q, p), r)| q * (p + eta * r - q.ln()) / eta).sum();
        assert!((loss + bound).abs() < within(1e-10), "{loss} {bound}");
        // Weighted regression on the same logits, of weights that are normalised: ∂/∂logits −Σ q ln π = π − q.
        let device = Device::default().autodiff();
        let logits = to_tensor(&[LOGITS.to_vec()], precision(), &device).require_grad();
        let weights = to_tensor(std::slice::from_ref(&q), precision(), &device.clone().without_autodiff());
        let regression = -(log_softmax(logits.clone(), 1) * weights).sum();
        let found = logits.grad(&regression.backward()).unwrap();
        let expected: Vec<f64> = host(found).iter().map(|g| g / eta).collect();
        assert_near(&gradient, &expected, 1e-10);
    }
}

#[test]
fn with_rewards_of_0_and_minus_infinity_it_is_rejection_filtering() {
    let pi = policy(&LOGITS);
    // One chain is right: its negative log-likelihood, which the SFT term is.
    let right = [f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0, f64::NEG_INFINITY];
    let (loss, gradient) = World::one(&LOGITS, &right).step(&evidence(1.0));
    assert!((loss + pi[2].ln()).abs() < within(1e-12));
    let expected: Vec<f64> = pi.iter().enumerate().map(|(c, p)| p - f64::from(u8::from(c == 2))).collect();
    assert_near(&gradient, &expected, 1e-12);
    // Several are: SFT on accepted samples, which come in proportion to the policy.
    let some = [0.0, f64::NEG_INFINITY, 0.0, f64::NEG_INFINITY];
    let (_, gradient) = World::one(&LOGITS, &some).step(&evidence(1.0));
    let accepted = pi[0] + pi[2];
    let expected: Vec<f64> =
        pi.iter().zip(some).map(|(p, r)| p - if r == 0.0 { p / accepted } else { 0.0 }).collect();
    assert_near(&gradient, &expected, 1e-12);
}

#[test]
fn at_a_large_eta_it_is_the_best_of_the_chains() {
    let eta = 1e4;
    let (loss, gradient) = World::one(&LOGITS, &REWARDS).step(&evidence(eta));
    assert!((loss + 1.0).abs() < 1e-3, "minus the largest reward: {loss}");
    let scaled: Vec<f64> = gradient.iter().map(|g| g * eta).collect();
    let pi = policy(&LOGITS);
    let expected: Vec<f64> = pi.iter().enumerate().map(|(c, p)| p - f64::from(u8::from(c == 0))).collect();
    assert_near(&scaled, &expected, 1e-9);
}

/// Without outcomes only the anchor is left: cross-entropy to the reference's soft labels, less its entropy.
#[test]
fn without_rewards_it_is_sft_on_the_soft_labels_of_the_reference() {
    let reference = [1.0, 0.0, -0.4, 0.2];
    let world =
        World { logits: vec![LOGITS.to_vec()], reference: vec![reference.to_vec()], rewards: vec![None] };
    let (loss, gradient) = world.step(&evidence(1.0).with_beta(0.7));
    let (pi, soft) = (policy(&LOGITS), policy(&reference));
    let kl: f64 = soft.iter().zip(&pi).map(|(q, p)| q * (q / p).ln()).sum();
    assert!((loss - 0.7 * kl).abs() < within(1e-12));
    let expected: Vec<f64> = pi.iter().zip(&soft).map(|(p, q)| 0.7 * (p - q)).collect();
    assert_near(&gradient, &expected, 1e-12);
    // And rewards that are all equal add nothing to it.
    let both = World {
        logits: vec![LOGITS.to_vec(); 2],
        reference: vec![reference.to_vec(); 2],
        rewards: vec![None, Some(vec![0.4; 4])],
    };
    let (loss, with) = both.step(&evidence(1.0).with_beta(0.7));
    assert!((loss - 0.7 * kl + 0.4).abs() < within(1e-12));
    assert_near(&with[..4], &expected, 1e-12);
    assert!(with[4..].iter().all(|g| *g == 0.0));
    // The mean is over both users.
    let (mean, _) = both.step(&evidence(1.0).with_beta(0.7).with_reduction(Reduction::Mean));
    assert!((mean - loss / 2.0).abs() < within(1e-12));
}

fn plain() -> Batch {
    Batch {
        users: vec![0, 0, 0],
        mask: vec![vec![true, true]; 3],
        segments: vec![vec![0, 1]; 3],
        chain_segments: 2,
        policy: vec![vec![-1.0, -0.5], vec![-2.0, -0.1], vec![-0.3, -0.7]],
        reference: vec![vec![-1.1, -0.7], vec![-1.5, -0.2], vec![-0.4, -0.4]],
        advantages: vec![Some(1.0), Some(-1.0), Some(f64::NEG_INFINITY)],
        entropies: None,
        sampling: None,
        process: None,
        weight_logits: None,
    }
}

#[test]
fn chains_that_cannot_be_and_rewards_of_any_size_leave_loss_and_gradient_finite() {
    for reward in [f64::NEG_INFINITY, -1e300, -1e30, 0.0, 1e30] {
        for eta in [1e-6, 1.0, 1e6] {
            let mut batch = plain();
            batch.advantages[1] = Some(reward);
            batch.policy[1] = vec![f64::NEG_INFINITY, -0.1];
            let step = batch.step(&evidence(eta), DType::F32).unwrap();
            assert!(step.loss.is_finite(), "{reward} {eta}: {}", step.loss);
            assert!(step.gradient.iter().flatten().all(|g| g.is_finite()), "{reward} {eta}");
            assert_eq!(step.gradient[1], [0.0; 2], "{reward} {eta}");
        }
    }
}

#[test]
fn a_user_whose_chains_are_all_ruled_out_is_named() {
    let mut none = plain();
    none.users = vec![4, 4, 7];
    let error = none.step(&evidence(1.0), DType::F32).unwrap_err();
    assert!(matches!(error, Error::NoChain { user: 7 }), "{error}");
    // The other objectives do not know what −∞ means.
    for objective in [
        Objective::preference(0.0),
        Objective::Pointwise { temperature: None },
        Objective::Policy(PolicyConfig::default()),
    ] {
        let config = OsipoLossConfig::default().with_objective(objective);
        let error = plain().step(&config, DType::F32).unwrap_err();
        assert!(matches!(error, Error::InvalidValue { what: "advantage", row: 2, .. }), "{error}");
    }
    let mut bad = plain();
    bad.advantages[0] = Some(f64::INFINITY);
    assert!(bad.step(&evidence(1.0), DType::F32).is_err());
}

#[test]
fn anchors_are_those_that_are_named() {
    let device = Device::default();
    let given = plain();
    let policy: Tensor<2> = to_tensor(&given.policy, DType::F32, &device);
    let loss = |batch: &CandidateBatch| {
        let config = evidence(1.0).with_beta(2.0);
        host(config.init().unwrap().forward(batch).unwrap().loss)[0]
    };
    let build = || given.build(policy.clone()).unwrap();
    let without = loss(&build());
    assert_eq!(without, loss(&build().with_anchors([99])));
    assert!(loss(&build().with_anchors([0])) > without, "the policy is not the reference");
    let mut unlabelled = given.clone();
    unlabelled.advantages = vec![None; 3];
    let batch = unlabelled.build(policy.clone()).unwrap().with_anchors([]);
    let error = evidence(1.0).init().unwrap().forward(&batch).unwrap_err();
    assert!(matches!(error, Error::NoLabelled { what: "evidence objective", rows: 3 }), "{error}");
}

/// Half a million pairs of each user would take seconds.
#[test]
fn a_thousand_chains_of_a_user_are_not_compared_in_pairs() {
    let n = 4 * 1_024;
    let device = Device::default();
    let policy = Tensor::<2>::full([n, 1], -(1_024_f64.ln()), &device);
    let mask = TokenMask::new(vec![true; n], n, 1).unwrap();
    let segments = ChainSegments::whole(&mask);
    let candidates = (0..n).map(|row| Candidate { user: row / 1_024, advantage: Some((row % 7) as f64) });
    let batch = CandidateBatch::new(policy.clone(), policy, mask, segments, candidates.collect()).unwrap();
    let report = evidence(1.0).init().unwrap().forward(&batch).unwrap().stats.read().unwrap();
    assert_eq!((report.pairs, report.ties, report.accuracy), (0, 0, None));
    assert!(report.objective.is_finite());
}
