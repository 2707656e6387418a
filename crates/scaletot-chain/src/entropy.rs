//! Normalised entropy, the one number a chain step is judged uncertain by.

/// Normalised entropy `H(p) / ln n` of the weights `p`, in `[0, 1]`.
///
/// `H(p) = -Σ p_i ln p_i` in nats over the `n` weights after they are divided by their sum, with `0 ln 0 = 0`; `n`
/// counts every weight, so a value that a constraint ruled out (weight 0) still counts in the denominator. That is
/// this project's own reading of "entropy over the domain `V_k`": steps with domains of different sizes compare.
///
/// One weight alone is certain, so its entropy is 0. Returns NaN when there is nothing to take an entropy of: no
/// weights, a weight that is negative or not finite, or a sum that is not positive and finite.
///
/// ```
/// use scaletot_chain::normalised_entropy;
///
/// assert_eq!(normalised_entropy(&[0.25; 4]), 1.0);
/// assert_eq!(normalised_entropy(&[0.0, 1.0, 0.0]), 0.0);
/// assert!(normalised_entropy(&[]).is_nan());
/// ```
pub fn normalised_entropy(weights: &[f64]) -> f64 {
    if weights.iter().any(|&w| !w.is_finite() || w < 0.0) {
        return f64::NAN;
    }
    let total: f64 = weights.iter().sum();
    if !(total.is_finite() && total > 0.0) {
        return f64::NAN;
    }
    if weights.len() == 1 {
        return 0.0;
    }
    let negative: f64 = weights.iter().map(|&w| w / total).filter(|&p| p > 0.0).map(|p| p * p.ln()).sum();
    // Subtracting from 0 keeps a certain distribution at 0, not -0; rounding can step past the ends by an ulp.
    ((0.0 - negative) / (weights.len() as f64).ln()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        // H(1/2, 1/4, 1/4) = 1.5 ln 2.
        let h = normalised_entropy(&[2.0, 1.0, 1.0]);
        assert!((h - 1.5 * 2f64.ln() / 3f64.ln()).abs() < 1e-15);
        assert_eq!(normalised_entropy(&[7.0]), 0.0);
        assert!(normalised_entropy(&[0.0, 1.0]).is_sign_positive(), "-0 would show in files");
    }

    #[test]
    fn nothing_to_measure_is_nan() {
        for bad in [
            &[][..],
            &[0.0, 0.0],
            &[-1.0, 2.0],
            &[f64::NAN, 1.0],
            &[f64::INFINITY, 1.0],
            &[f64::MAX, f64::MAX],
        ] {
            assert!(normalised_entropy(bad).is_nan(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn lies_in_the_unit_interval(weights in prop::collection::vec(0.0..1e6f64, 1..40)) {
            prop_assume!(weights.iter().sum::<f64>() > 0.0);
            let h = normalised_entropy(&weights);
            prop_assert!((0.0..=1.0).contains(&h));
        }

        #[test]
        fn does_not_depend_on_scale_or_order(weights in prop::collection::vec(0.01..1.0f64, 2..10), scale in 0.1..10.0f64) {
            let h = normalised_entropy(&weights);
            let changed: Vec<f64> = weights.iter().rev().map(|w| w * scale).collect();
            prop_assert!((h - normalised_entropy(&changed)).abs() < 1e-12);
        }
    }
}
