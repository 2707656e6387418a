//! What must not change the loss or its gradient, for every objective, weighting and reduction.

use crate::common::{Batch, Step, all_close, batches, close};
use burn::tensor::DType;
use proptest::prelude::*;
use scaletot_osipo::{
    GroupBaseline, Objective, OsipoLossConfig, PairLoss, PolicyConfig, RatioOf, Reduction, SegmentWeights,
    TokenMean,
};

const TOLERANCE: f64 = 2e-5;

fn configs() -> impl Strategy<Value = OsipoLossConfig> {
    let objective = prop_oneof![
        (0.0..1.0_f64, pair_losses()).prop_map(|(gamma, loss)| Objective::Preference { gamma, loss }),
        prop::option::of(0.2..2.0_f64).prop_map(|temperature| Objective::Pointwise { temperature }),
        policies().prop_map(Objective::Policy),
        (0.1..4.0_f64).prop_map(|eta| Objective::Evidence { eta }),
    ];
    let weights = prop_oneof![
        Just(SegmentWeights::Uniform),
        Just(SegmentWeights::Entropy),
        Just(SegmentWeights::Learned)
    ];
    let reduction = prop_oneof![Just(Reduction::Mean), Just(Reduction::Sum)];
    (objective, weights, reduction, 0.05..1.0_f64, prop_oneof![Just(0.0), Just(0.3)]).prop_map(
        |(objective, weights, reduction, beta, sft)| {
            OsipoLossConfig::default()
                .with_objective(objective)
                .with_weights(weights)
                .with_reduction(reduction)
                .with_beta(beta)
                .with_sft_weight(sft)
        },
    )
}

fn pair_losses() -> impl Strategy<Value = PairLoss> {
    prop_oneof![
        (0.0..0.49_f64).prop_map(|label_smoothing| PairLoss::Sigmoid { label_smoothing }),
        Just(PairLoss::Hinge),
        Just(PairLoss::Ipo),
    ]
}

fn policies() -> impl Strategy<Value = PolicyConfig> {
    let baseline = prop_oneof![
        Just(GroupBaseline::None),
        Just(GroupBaseline::LeaveOneOut),
        Just(GroupBaseline::Standardised)
    ];
    let ratio = prop_oneof![Just(RatioOf::Token), Just(RatioOf::Chain)];
    let mean = prop_oneof![Just(TokenMean::Chain), Just(TokenMean::Batch)];
    let numbers = (0.0..1.0_f64, 0.0..=1.0_f64, 0.05..0.5_f64, prop_oneof![Just(0.0), Just(0.1)]);
    (baseline, ratio, mean, numbers).prop_map(|(baseline, ratio, mean, (process, discount, clip, kl))| {
        let config = PolicyConfig::default().with_baseline(baseline).with_ratio(ratio).with_mean(mean);
        config.with_process(process).with_discount(discount).with_clip(clip, clip).with_kl(kl)
    })
}

fn step(batch: &Batch, config: &OsipoLossConfig) -> Step {
    batch.step(config, DType::F32).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// More padding, at either end, holding anything, changes nothing.
    #[test]
    fn padding_does_not_matter(
        batch in batches(), config in configs(), left in 0_usize..3, right in 0_usize..3,
        filling in prop::sample::select(vec![0.0, f64::NAN, f64::NEG_INFINITY, f64::INFINITY, -1e30]),
    ) {
        let before = step(&batch, &config);
        let mut padded = batch.clone();
        fn pad<T: Clone>(rows: &mut [Vec<T>], left: usize, right: usize, value: T) {
            for row in rows {
                let mut wide = vec![value.clone(); left];
                wide.append(row);
                wide.extend(vec![value.clone(); right]);
                *row = wide;
            }
        }
        pad(&mut padded.mask, left, right, false);
        pad(&mut padded.segments, left, right, 0);
        pad(&mut padded.policy, left, right, 0.0);
        pad(&mut padded.reference, left, right, 0.0);
        pad(padded.sampling.as_mut().unwrap(), left, right, 0.0);
        padded.fill_masked(filling, -filling, 1_000);
        let after = step(&padded, &config);
        prop_assert!(close(after.loss, before.loss, TOLERANCE), "{} {}", after.loss, before.loss);
        for (row, (after, before)) in after.gradient.iter().zip(&before.gradient).enumerate() {
            let width = before.len();
            prop_assert!(all_close(&[after[left..left + width].to_vec()], std::slice::from_ref(before), TOLERANCE));
            for (at, gradient) in after.iter().enumerate() {
                if !padded.mask[row][at] {
                    prop_assert_eq!(*gradient, 0.0, "gradient at a masked position");
                }
            }
        }
        prop_assert_eq!(after.report.unwrap().tie_share(), before.report.unwrap().tie_share());
    }

    /// Padding rows (no token, no advantage) change nothing either.
    #[test]
    fn padding_rows_do_not_matter(batch in batches(), config in configs()) {
        let before = step(&batch, &config);
        let mut padded = batch.clone();
        let width = batch.policy[0].len();
        padded.users.push(batch.users[0]);
        padded.mask.push(vec![false; width]);
        padded.segments.push(vec![0; width]);
        padded.policy.push(vec![f64::NAN; width]);
        padded.reference.push(vec![f64::NAN; width]);
        padded.sampling.as_mut().unwrap().push(vec![f64::NAN; width]);
        padded.advantages.push(None);
        padded.entropies.as_mut().unwrap().push(vec![0.5; batch.chain_segments]);
        let after = step(&padded, &config);
        prop_assert!(close(after.loss, before.loss, TOLERANCE));
        let (gradient, extra) = after.gradient.split_at(batch.policy.len());
        prop_assert!(all_close(gradient, &before.gradient, TOLERANCE));
        prop_assert!(extra.iter().flatten().all(|&g| g == 0.0));
        let (after, before) = (after.report.unwrap(), before.report.unwrap());
        prop_assert!(close(after.kl, before.kl, TOLERANCE) && after.candidates == before.candidates);
    }

    /// The order of candidates, and the names of users, do not matter.
    #[test]
    fn order_and_names_do_not_matter(
        (batch, order) in batches().prop_flat_map(|batch| {
            let order = Just((0..batch.users.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(batch), order)
        }),
        config in configs(), shift in 0_usize..100,
    ) {
        let before = step(&batch, &config);
        let mut moved = batch.reordered(&order);
        moved.users.iter_mut().for_each(|user| *user = 1_000 + shift - *user * 7);
        let after = step(&moved, &config);
        prop_assert!(close(after.loss, before.loss, TOLERANCE), "{} {}", after.loss, before.loss);
        let expected: Vec<Vec<f64>> = order.iter().map(|&i| before.gradient[i].clone()).collect();
        prop_assert!(all_close(&after.gradient, &expected, TOLERANCE));
    }

    /// Renumbering the chain segments, with their entropies, does not matter, unless later segments are summed.
    #[test]
    fn segment_numbers_do_not_matter(
        (batch, numbers) in batches().prop_flat_map(|batch| {
            let numbers = Just((0..batch.chain_segments).collect::<Vec<_>>()).prop_shuffle();
            (Just(batch), numbers)
        }),
        config in configs(),
    ) {
        let config = match config.objective {
            Objective::Policy(policy) => config.with_objective(Objective::Policy(policy.with_process(0.0))),
            _ => config,
        };
        let before = step(&batch, &config);
        let mut renamed = batch.clone();
        renamed.segments.iter_mut().flatten().for_each(|segment| *segment = numbers[*segment]);
        for (row, old) in renamed.entropies.as_mut().unwrap().iter_mut().zip(batch.entropies.as_ref().unwrap()) {
            for (from, &to) in numbers.iter().enumerate() {
                row[to] = old[from];
            }
        }
        let after = step(&renamed, &config);
        prop_assert!(close(after.loss, before.loss, TOLERANCE));
        prop_assert!(all_close(&after.gradient, &before.gradient, TOLERANCE));
        let (after, before) = (after.report.unwrap(), before.report.unwrap());
        for (from, &to) in numbers.iter().enumerate() {
            let (a, b) = (after.chain_segment_rewards[to], before.chain_segment_rewards[from]);
            prop_assert!(close(a, b, TOLERANCE));
        }
    }

    /// The objective sees only log-ratios: a constant added to all policies' log-probabilities cancels. (The SFT term
    /// sees the policy itself, so it is off here.)
    #[test]
    fn a_common_shift_cancels(batch in batches(), config in configs(), shift in -3.0..3.0_f64) {
        let config = config.with_sft_weight(0.0);
        let before = step(&batch, &config);
        let mut shifted = batch.clone();
        let all = shifted.policy.iter_mut().chain(&mut shifted.reference).chain(shifted.sampling.as_mut().unwrap());
        all.flatten().for_each(|value| *value += shift);
        let after = step(&shifted, &config);
        prop_assert!(close(after.loss, before.loss, TOLERANCE));
        prop_assert!(all_close(&after.gradient, &before.gradient, TOLERANCE));
    }

    /// Without a margin, preferences depend on the order of advantages only.
    #[test]
    fn preferences_see_only_the_order(batch in batches(), scale in 0.1..10.0_f64, offset in -5.0..5.0_f64) {
        let config = OsipoLossConfig::default();
        let before = step(&batch, &config);
        let mut moved = batch.clone();
        moved.advantages.iter_mut().flatten().for_each(|a| *a = *a * scale + offset);
        let after = step(&moved, &config);
        prop_assert!(close(after.loss, before.loss, TOLERANCE));
        prop_assert!(all_close(&after.gradient, &before.gradient, TOLERANCE));
    }

    /// Nothing is ever NaN, the KL estimate is not negative, and the accuracy is a share.
    #[test]
    fn statistics_are_in_range(batch in batches(), config in configs()) {
        let step = step(&batch, &config);
        let report = step.report.unwrap();
        let (clips, evidence) =
            (matches!(config.objective, Objective::Policy(_)), matches!(config.objective, Objective::Evidence { .. }));
        prop_assert!(step.loss.is_finite() && (clips || evidence || step.loss >= 0.0));
        prop_assert_eq!(report.clipped.is_some(), clips);
        prop_assert!(report.clipped.is_none_or(|share| (0.0..=1.0 + 1e-6).contains(&share)));
        prop_assert!(step.gradient.iter().flatten().all(|g| g.is_finite()));
        prop_assert!(report.kl >= -1e-6, "{}", report.kl);
        prop_assert_eq!(report.accuracy.is_none(), evidence);
        prop_assert!((0.0..=1.0).contains(&report.accuracy.unwrap_or(0.0)));
        prop_assert!((0.0..1.0).contains(&report.tie_share()));
    }
}
