//! From what the heads give to probabilities and values: the link functions, for a block of users at a time.
//!
//! Written so that the compiler turns them into vectors: no branch and no call within a loop. Exponential and logarithm are polynomials, to
//! about 1e-7 of their value; the tests hold them to the functions in 64 bits.

use std::f32::consts::LOG2_E;

use crate::outcome::OutcomeScale;

/// `eˣ`, with `x` taken as at least -87 and at most 88, where it stays a normal number (Cody and Waite's reduction, Cephes' polynomial).
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding this number rounds to an integer and leaves that in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let power = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    (p * r * r + r + 1.0) * power
}

/// `ln(1 + t)` for `t` in `[0, 1]`, by `2 artanh(t / (2 + t))`.
#[inline(always)]
fn ln_1p(t: f32) -> f32 {
    let z = t / (2.0 + t);
    let z2 = z * z;
    let p = 1.0 / 13.0;
    let p = p * z2 + 1.0 / 11.0;
    let p = p * z2 + 1.0 / 9.0;
    let p = p * z2 + 1.0 / 7.0;
    let p = p * z2 + 1.0 / 5.0;
    let p = p * z2 + 1.0 / 3.0;
    2.0 * (z + z * z2 * p)
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `ln(1 + eˣ)`.
#[inline(always)]
fn softplus(x: f32) -> f32 {
    x.max(0.0) + ln_1p(exp(-x.abs()))
}

/// The columns of an outcome head, in place: logit, μ and raw σ become the probability of a positive outcome, μ and σ; `value` becomes the
/// expected outcome. As [`OutcomeScale::distribution`] and [`OutcomeScale::value`], in 32 bits.
#[inline(always)]
pub(super) fn outcome(
    scale: &OutcomeScale,
    logit: &mut [f32],
    mu: &[f32],
    raw: &mut [f32],
    value: &mut [f32],
) {
    let (floor, cap) = (scale.sigma_floor as f32, in_range(scale.cap));
    for (((logit, mu), raw), value) in logit.iter_mut().zip(mu).zip(raw).zip(value) {
        let p = sigmoid(*logit);
        let sigma = softplus(*raw).max(floor);
        *value = p * exp(mu + 0.5 * sigma * sigma).min(cap);
        (*logit, *raw) = (p, sigma);
    }
}

/// The column of a Tweedie head, in place: the mean's logarithm becomes the value.
#[inline(always)]
pub(super) fn tweedie(cap: f64, column: &mut [f32]) {
    let cap = in_range(cap);
    column.iter_mut().for_each(|x| *x = exp(*x).min(cap));
}

/// A value head's column, in place: the value's logarithm becomes the value. Whatever comes in, what goes out is finite and at least 0.
#[inline(always)]
pub(super) fn value(cap: f32, column: &mut [f32]) {
    // The larger of nothing and a number is the number.
    column.iter_mut().for_each(|x| *x = exp(x.max(-87.0)).min(cap));
}

/// From the tiers' probabilities, `[tiers, n]`: their means weighed by them, and their sum.
#[inline(always)]
pub(super) fn tiers(means: &[f32], columns: &[f32], value: &mut [f32], p_positive: &mut [f32]) {
    value.fill(0.0);
    p_positive.fill(0.0);
    let largest = means.iter().copied().fold(0.0, f32::max);
    for (mean, column) in means.iter().zip(columns.chunks_exact(value.len().max(1))) {
        for ((value, sum), p) in value.iter_mut().zip(&mut *p_positive).zip(column) {
            *value += p * mean;
            *sum += p;
        }
    }
    // Rounding must not lead above what there is.
    value.iter_mut().for_each(|value| *value = value.min(largest));
    p_positive.iter_mut().for_each(|sum| *sum = sum.min(1.0));
}

/// The nearest finite number of 32 bits.
pub(super) fn in_range(value: f64) -> f32 {
    (value as f32).min(f32::MAX)
}

/// The softmax over the columns of one state, in place; `columns` is `[values, n]`, and `most` and `sum` have room for `n`.
#[inline(always)]
pub(super) fn softmax(columns: &mut [f32], n: usize, most: &mut [f32], sum: &mut [f32]) {
    let (most, sum) = (&mut most[..n], &mut sum[..n]);
    most.fill(f32::NEG_INFINITY);
    sum.fill(0.0);
    for column in columns.chunks_exact(n) {
        most.iter_mut().zip(column).for_each(|(most, x)| *most = most.max(*x));
    }
    for column in columns.chunks_exact_mut(n) {
        for ((x, most), sum) in column.iter_mut().zip(&*most).zip(&mut *sum) {
            *x = exp(*x - most);
            *sum += *x;
        }
    }
    for column in columns.chunks_exact_mut(n) {
        column.iter_mut().zip(&*sum).for_each(|(x, sum)| *x /= sum);
    }
}

/// Adds the mean of weights over a state's values to each of `n` sums. `logits` is `[values - 1, n]`: those of all but the last value, less
/// that of the last, so that the mean is `w_V + Σ_v (w_v − w_V) e^{x_v} / (1 + Σ_v e^{x_v})`.
#[inline(always)]
pub(super) fn mean(weights: &[f32], logits: &[f32], sums: &mut [f32]) {
    match weights.len() {
        2 => means::<1>(weights, logits, sums),
        3 => means::<2>(weights, logits, sums),
        4 => means::<3>(weights, logits, sums),
        5 => means::<4>(weights, logits, sums),
        6 => means::<5>(weights, logits, sums),
        _ => {
            let n = sums.len();
            for (user, sum) in sums.iter_mut().enumerate() {
                let logits = || logits.iter().skip(user).step_by(n);
                let largest = logits().fold(0.0, |largest: f32, x| largest.max(*x));
                let last = exp(-largest);
                let (mut odds, mut weighed) = (last, weights.last().map_or(0.0, |weight| weight * last));
                for (x, weight) in logits().zip(weights) {
                    let e = exp(x - largest);
                    odds += e;
                    weighed += weight * e;
                }
                *sum += weighed / odds;
            }
        }
    }
}

/// As [`mean`], of states of `V + 1` values: a loop over users, which become vectors, with a known number of values in it.
#[inline(always)]
fn means<const V: usize>(weights: &[f32], logits: &[f32], sums: &mut [f32]) {
    let n = sums.len();
    let mut columns: [&[f32]; V] = [&[]; V];
    for (v, column) in columns.iter_mut().enumerate() {
        *column = &logits[v * n..][..n];
    }
    let (weights, last) = (&weights[..V], weights[V]);
    for user in 0..n {
        let mut largest = 0.0f32;
        for column in &columns {
            largest = largest.max(column[user]);
        }
        let e = exp(-largest);
        let (mut odds, mut weighed) = (e, last * e);
        for v in 0..V {
            let e = exp(columns[v][user] - largest);
            odds += e;
            weighed += weights[v] * e;
        }
        sums[user] += weighed / odds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::OutcomeLink;
    use proptest::prelude::*;

    /// Any finite number.
    fn finite() -> impl Strategy<Value = f32> {
        prop_oneof![-99f32..99.0, f32::MIN..=f32::MAX]
    }

    /// Within `1e-6` of the larger.
    fn close(found: f32, expected: f64) -> bool {
        let found = f64::from(found);
        found.is_finite() && (found - expected).abs() <= 1e-6 * expected.abs().max(1e-30)
    }

    #[test]
    fn constants_are_those_of_the_logarithm() {
        assert!(
            (f64::from(0.693_359_4_f32) + f64::from(-2.121_944_4e-4_f32) - std::f64::consts::LN_2).abs()
                < 3e-8
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn elementary_functions_are_right(x in -86f32..86.0, t in 0f32..=1.0) {
            let wide = f64::from(x);
            prop_assert!(close(exp(x), wide.exp()), "exp({}) {}", x, exp(x));
            prop_assert!(close(ln_1p(t), f64::from(t).ln_1p()), "ln_1p({}) {}", t, ln_1p(t));
            prop_assert!(close(sigmoid(x), crate::outcome::sigmoid(wide)), "sigmoid({}) {}", x, sigmoid(x));
            prop_assert!(close(softplus(x), crate::outcome::softplus(wide)), "softplus({}) {}", x, softplus(x));
        }

        #[test]
        fn outcomes_are_those_of_the_scale(
            logit in -20f32..20.0, mu in -5f32..8.0, raw in -30f32..3.0, cap in 0f64..1e6,
        ) {
            let scale = OutcomeScale::new(0.05, cap).unwrap();
            let expected = scale.distribution([logit, mu, raw]);
            let (mut p, mut sigma, mut value) = ([logit; 3], [raw; 3], [0.0; 3]);
            outcome(&scale, &mut p, &[mu; 3], &mut sigma, &mut value);
            prop_assert!(close(p[1], expected.p_positive) && close(sigma[1], expected.sigma));
            // The exponent is some tens at most, so its rounding shows a little more.
            let exact = scale.value(&expected);
            prop_assert!((f64::from(value[2]) - exact).abs() <= 5e-6 * exact, "{} {}", value[2], exact);
        }

        #[test]
        fn every_finite_output_gives_a_finite_value(
            logit in finite(), mu in finite(), raw in finite(), cap in prop_oneof![0f64..1e6, Just(f64::MAX)],
        ) {
            let scale = OutcomeScale::new(0.05, cap).unwrap();
            let (mut p, mut sigma, mut value) = ([logit], [raw], [0.0]);
            outcome(&scale, &mut p, &[mu], &mut sigma, &mut value);
            prop_assert!((0.0..=1.0).contains(&p[0]) && sigma[0] >= 0.05);
            prop_assert!(value[0].is_finite() && value[0] >= 0.0 && f64::from(value[0]) <= cap * (1.0 + 1e-6), "{}", value[0]);
            let mut value = [mu];
            tweedie(cap, &mut value);
            prop_assert!(value[0].is_finite() && value[0] >= 0.0 && f64::from(value[0]) <= cap * (1.0 + 1e-6), "{}", value[0]);
            let mut values = [mu, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
            super::value(in_range(cap), &mut values);
            prop_assert!(values.iter().all(|value| (0.0..=in_range(cap)).contains(value)), "{:?}", values);
            let (mut columns, [mut most, mut sum]) = ([logit, mu, raw], [[0.0], [0.0]]);
            softmax(&mut columns, 1, &mut most, &mut sum);
            let means = [in_range(cap / 2.0), in_range(cap)];
            tiers(&means, &columns[1..], &mut most, &mut sum);
            prop_assert!((0.0..=means[1]).contains(&most[0]) && (0.0..=1.0).contains(&sum[0]), "{:?} {:?}", most, sum);
        }

        #[test]
        fn other_heads_are_those_of_the_link(x in prop::array::uniform4(-8f32..8.0), cap in 0f64..1e4) {
            let link = OutcomeLink::Tweedie { cap };
            let (mut value, expected) = ([x[0]; 3], link.value(&x[..1]).unwrap());
            tweedie(cap, &mut value);
            prop_assert!(close(value[1], expected), "{} {}", value[1], expected);
            // Two users, the second with the logits in another order.
            let mut columns: Vec<f32> = (0..4).flat_map(|v| [x[v], x[3 - v]]).collect();
            let link = OutcomeLink::Tiers { means: vec![1.0, 5.0, cap] };
            let [mut value, mut p] = [[0.0; 2]; 2];
            softmax(&mut columns, 2, &mut value, &mut p);
            tiers(&[1.0, 5.0, cap as f32], &columns[2..], &mut value, &mut p);
            for (user, output) in [x, [x[3], x[2], x[1], x[0]]].iter().enumerate() {
                prop_assert!(close(value[user], link.value(output).unwrap()), "{:?} {:?}", value, link.value(output));
                prop_assert!(close(p[user], link.p_positive(output).unwrap()), "{:?}", p);
            }
        }

        #[test]
        fn means_are_those_of_the_softmax(
            rows in prop::collection::vec(prop::array::uniform8(-1e3f32..1e3), 1..40), values in 1usize..9, weights in prop::array::uniform8(-9f32..9.0),
        ) {
            let n = rows.len();
            let logits: Vec<f32> = (0..values - 1).flat_map(|v| rows.iter().map(move |row| row[v])).collect();
            let mut sums = vec![0.5; n];
            mean(&weights[..values], &logits, &mut sums);
            for (row, found) in rows.iter().zip(sums) {
                let logits: Vec<f64> = row[..values - 1].iter().map(|&x| x.into()).chain([0.0]).collect();
                let p = scaletot_core::numeric::softmax(&logits);
                let expected = 0.5 + p.iter().zip(weights).map(|(p, weight)| p * f64::from(weight)).sum::<f64>();
                prop_assert!((f64::from(found) - expected).abs() < 1e-5, "{} {}", found, expected);
            }
        }

        #[test]
        fn a_softmax_sums_to_one(rows in prop::collection::vec(prop::array::uniform3(-1e4f32..1e4), 1..40)) {
            let n = rows.len();
            let mut columns: Vec<f32> = (0..3).flat_map(|v| rows.iter().map(move |row| row[v])).collect();
            softmax(&mut columns, n, &mut vec![0.0; n], &mut vec![0.0; n]);
            for (at, row) in rows.iter().enumerate() {
                let found: Vec<f32> = (0..3).map(|v| columns[v * n + at]).collect();
                prop_assert!((found.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{:?}", found);
                // Relative to the largest, or odds of thousands are infinite.
                let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
                let odds = |v: usize| (f64::from(row[v]) - largest).exp();
                let expected = odds(1) / (odds(0) + odds(1) + odds(2));
                prop_assert!((f64::from(found[1]) - expected).abs() < 1e-6, "{:?} {}", found, expected);
            }
        }
    }
}
