//! What a transformer computes between its matrix products, a row at a time.
//!
//! Plain loops over fixed-width lanes, run through [`pulp::Arch`], which compiles them for the wide registers of
//! the processor it finds at run time. Every sum has a fixed order that depends on nothing but its own row, so a
//! token's numbers do not depend on what it was computed together with.

use pulp::{Arch, Simd, WithSimd};

/// Partial sums of a reduction.
pub(super) const LANES: usize = 16;

/// `Σ a_i b_i`.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (a_lanes, b_lanes) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a_lanes.remainder().iter().zip(b_lanes.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_lanes.zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    fold(sums) + tail
}

/// The sum of the lanes, halving, so that it too can use wide registers.
#[inline(always)]
fn fold(mut sums: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// `eˣ` to about two units in the last place, without branches or calls, so that loops over it use wide
/// registers: `2ⁿ · p(r)` with `x = n ln 2 + r` and Cephes' polynomial `p`. Below −87 it stays at `e⁻⁸⁷`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 · 2²³ rounds to the nearest integer, and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4_f32;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = p * r + c;
    }
    let p = p * r * r + r + 1.0;
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// Root-mean-square normalisation (Zhang and Sennrich 2019): `y_i = x_i g_i / √(mean(x²) + ε)`, for every row of
/// `x`; `y` may be longer than `x` (padding rows stay as they are).
pub(super) fn rms_norm(x: &[f32], gain: &[f32], epsilon: f32, y: &mut [f32]) {
    struct Op<'a>(&'a [f32], &'a [f32], f32, &'a mut [f32]);
    impl WithSimd for Op<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _simd: S) {
            let Op(x, gain, epsilon, y) = self;
            let width = gain.len();
            for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
                let scale = 1.0 / (dot(x, x) / width as f32 + epsilon).sqrt();
                for ((y, x), gain) in y.iter_mut().zip(x).zip(gain) {
                    *y = x * scale * gain;
                }
            }
        }
    }
    Arch::new().dispatch(Op(x, gain, epsilon, y));
}

/// The gate of the feed-forward layer (`SwiGLU`, Shazeer 2020): `y = g · σ(g) · u`, where every row of `gate_up`
/// holds `g` and then `u`, each as long as a row of `y` (`width`).
pub(super) fn gated(gate_up: &[f32], width: usize, y: &mut [f32]) {
    struct Op<'a>(&'a [f32], usize, &'a mut [f32]);
    impl WithSimd for Op<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, _simd: S) {
            let Op(gate_up, width, y) = self;
            for (row, y) in gate_up.chunks_exact(2 * width).zip(y.chunks_exact_mut(width)) {
                let (gate, up) = row.split_at(width);
                for ((y, g), u) in y.iter_mut().zip(gate).zip(up) {
                    *y = g / (1.0 + exp(-g)) * u;
                }
            }
        }
    }
    Arch::new().dispatch(Op(gate_up, width, y));
}

/// `x += y`.
pub(super) fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// `ln Σ exp(x_i)`: what turns logits into log-probabilities.
pub(super) fn log_sum_exp(x: &[f32]) -> f64 {
    struct Op<'a>(&'a [f32]);
    impl WithSimd for Op<'_> {
        type Output = f64;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _simd: S) -> f64 {
            let mut tops = [f32::NEG_INFINITY; LANES];
            let lanes = self.0.chunks_exact(LANES);
            let tail = lanes.remainder();
            for x in lanes.clone() {
                for lane in 0..LANES {
                    tops[lane] = if x[lane] > tops[lane] { x[lane] } else { tops[lane] };
                }
            }
            let top = tops.iter().chain(tail).copied().fold(f32::NEG_INFINITY, f32::max);
            // Sums in f64: a vocabulary has tens of thousands of terms.
            let mut sums = [0.0_f64; LANES];
            for x in lanes {
                for lane in 0..LANES {
                    sums[lane] += f64::from(exp(x[lane] - top));
                }
            }
            let sum = sums.iter().sum::<f64>() + tail.iter().map(|&x| f64::from(exp(x - top))).sum::<f64>();
            f64::from(top) + sum.ln()
        }
    }
    Arch::new().dispatch(Op(x))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exp_is_exact_to_single_precision() {
        let mut worst = 0.0_f64;
        for i in -870_000..=880_000 {
            let x = i as f32 / 10_000.0;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) / exact - 1.0).abs());
        }
        assert!(worst < 2.5e-7, "relative error {worst:e}");
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(1e9) > 1e38);
    }

    fn numbers(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(-8.0_f32..8.0, n)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn dot_is_the_sum_of_products(a in numbers(0..100), seed in 0_u32..1000) {
            let b: Vec<f32> = (0..a.len()).map(|i| ((i as u32 * 7919 + seed) % 97) as f32 / 10.0 - 4.0).collect();
            let exact: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            prop_assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-3);
        }

        #[test]
        fn log_sum_exp_normalises(x in numbers(1..200)) {
            let total = log_sum_exp(&x);
            let sum: f64 = x.iter().map(|&x| (f64::from(x) - total).exp()).sum();
            prop_assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        }

        #[test]
        fn normalised_rows_have_mean_square_one(x in numbers(24..25)) {
            let mut y = vec![0.0; 24];
            rms_norm(&x, &[1.0; 8], 1e-12, &mut y);
            for (x, y) in x.chunks(8).zip(y.chunks(8)) {
                let mean = dot(y, y) / 8.0;
                prop_assert!((mean - 1.0).abs() < 1e-4 || dot(x, x) < 1e-6, "{mean}");
            }
        }

        #[test]
        fn gate_is_silu_times_up(x in numbers(20..21)) {
            let mut y = vec![0.0; 10];
            gated(&x, 5, &mut y);
            for (row, y) in x.chunks(10).zip(y.chunks(5)) {
                for i in 0..5 {
                    let g = f64::from(row[i]);
                    let exact = g / (1.0 + (-g).exp()) * f64::from(row[5 + i]);
                    prop_assert!((f64::from(y[i]) - exact).abs() < 1e-4);
                }
            }
        }
    }
}
