//! Small formulas that must give the same answer wherever they are used.

/// The softmax of `logits`: `p_i = e^(x_i − max x) / Σ_j e^(x_j − max x)`. Shifting all logits by one number changes
/// nothing but rounding.
///
/// A logit of −∞ has probability 0. Empty in, empty out. Where there is no distribution (a logit is NaN or +∞, or all are
/// −∞), every probability that is not 0 is NaN.
///
/// ```
/// use scaletot_core::numeric::softmax;
///
/// assert_eq!(softmax(&[1000.0, 1000.0, f64::NEG_INFINITY]), [0.5, 0.5, 0.0]);
/// ```
#[must_use]
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let mut probabilities = logits.to_vec();
    softmax_in_place(&mut probabilities);
    probabilities
}

/// [`softmax`] that overwrites the logits with the probabilities.
pub fn softmax_in_place(logits: &mut [f64]) {
    let largest = max(logits);
    logits.iter_mut().for_each(|x| *x = (*x - largest).exp());
    let sum: f64 = logits.iter().sum();
    logits.iter_mut().for_each(|p| *p /= sum);
}

/// `ln Σ e^(x_i)`, what turns logits into log-probabilities, without overflow: `max x + ln Σ e^(x_i − max x)`.
///
/// −∞ for nothing, or for nothing but −∞; +∞ if a term is; NaN if one is.
///
/// ```
/// use scaletot_core::numeric::log_sum_exp;
///
/// assert!((log_sum_exp(&[1000.0, 1000.0]) - (1000.0 + 2f64.ln())).abs() < 1e-12);
/// assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
/// ```
#[must_use]
pub fn log_sum_exp(terms: &[f64]) -> f64 {
    let largest = max(terms);
    if largest.is_infinite() && !terms.iter().any(|x| x.is_nan()) {
        return largest;
    }
    largest + terms.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

/// `H(q) / ln n` in `[0, 1]`, with `H(q) = −Σ q ln q` in nats over the shares `q` of `masses` in their sum: 0 for a certain
/// choice, 1 for a uniform one over all `n` values of the domain. Steps with domains of different sizes compare. This
/// normalisation is this project's own formulation.
///
/// `masses` need not sum to 1; those that are not positive and finite count as absent. `domain` is the size of the whole
/// domain, which may be larger than `masses` (constraints and partial answers leave values out); a smaller number is
/// raised to the length of `masses`. Without a mass, and with a domain of fewer than two values, the entropy is 0.
///
/// ```
/// use scaletot_core::numeric::normalised_entropy;
///
/// assert_eq!(normalised_entropy(&[1.0, 1.0], 2), 1.0);
/// assert_eq!(normalised_entropy(&[3.0], 4), 0.0);
/// assert_eq!(normalised_entropy(&[], 4), 0.0);
/// // Two of four values left, equally probable: ln 2 / ln 4.
/// assert!((normalised_entropy(&[0.5, 0.5], 4) - 0.5).abs() < 1e-12);
/// ```
#[must_use]
pub fn normalised_entropy(masses: &[f64], domain: usize) -> f64 {
    let usable = || masses.iter().copied().filter(|m| m.is_finite() && *m > 0.0);
    // Dividing by the largest first keeps the sum finite for any finite masses.
    let largest = usable().fold(0.0, f64::max);
    let domain = domain.max(masses.len());
    if domain < 2 || largest == 0.0 {
        return 0.0;
    }
    let total: f64 = usable().map(|m| m / largest).sum();
    let entropy: f64 = usable()
        .map(|m| m / largest / total)
        // A ratio may underflow to 0, whose contribution is 0.
        .filter(|q| *q > 0.0)
        .map(|q| -q * q.ln())
        .sum();
    // Rounding can step past the ends; adding 0 makes −0, which would show in files, a 0.
    (entropy / (domain as f64).ln()).clamp(0.0, 1.0) + 0.0
}

/// The largest number, leaving out NaN; −∞ for nothing.
fn max(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_softmaxes() {
        assert!(softmax(&[]).is_empty());
        assert_eq!(softmax(&[-1e300]), [1.0]);
        let p = softmax(&[0.0, 3f64.ln()]);
        assert!((p[0] - 0.25).abs() < 1e-15 && (p[1] - 0.75).abs() < 1e-15, "{p:?}");
        for bad in [&[f64::NAN, 0.0][..], &[f64::INFINITY, 0.0], &[f64::NEG_INFINITY; 2]] {
            assert!(softmax(bad).iter().any(|p| p.is_nan()), "{bad:?}");
        }
    }

    #[test]
    fn known_log_sums() {
        assert_eq!(log_sum_exp(&[-5.0]), -5.0);
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY; 2]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[f64::INFINITY, 1.0]), f64::INFINITY);
        for bad in [&[f64::NAN][..], &[f64::NAN, 1.0], &[f64::NAN, f64::INFINITY]] {
            assert!(log_sum_exp(bad).is_nan(), "{bad:?}");
        }
    }

    #[test]
    fn known_entropies() {
        assert_eq!(normalised_entropy(&[0.0, 0.0], 2), 0.0);
        assert_eq!(normalised_entropy(&[2.0], 1), 0.0);
        // H(1/2, 1/4, 1/4) = 1.5 ln 2.
        let h = normalised_entropy(&[2.0, 1.0, 1.0], 3);
        assert!((h - 1.5 * 2f64.ln() / 3f64.ln()).abs() < 1e-15);
        assert!(normalised_entropy(&[0.0, 1.0], 0).is_sign_positive(), "-0 would show in files");
        let h = normalised_entropy(&[0.7, 0.2, 0.1], 3);
        let exact = -(0.7f64 * 0.7f64.ln() + 0.2 * 0.2f64.ln() + 0.1 * 0.1f64.ln()) / 3f64.ln();
        assert!((h - exact).abs() < 1e-12);
    }

    #[test]
    fn extreme_masses_stay_in_range() {
        let h = normalised_entropy(&[f64::MAX, f64::MAX, f64::MIN_POSITIVE], 3);
        assert!((h - 2f64.ln() / 3f64.ln()).abs() < 1e-12);
        assert_eq!(normalised_entropy(&[f64::NAN, f64::INFINITY, -1.0], 3), 0.0);
    }

    /// Any mass, also ones that count as absent.
    fn mass() -> impl Strategy<Value = f64> {
        prop_oneof![4 => 0.0..1e6f64, 1 => any::<f64>()]
    }

    proptest! {
        #[test]
        fn a_softmax_sums_to_one_and_is_shift_invariant(
            logits in prop::collection::vec(-700.0..700.0f64, 1..40),
            shift in -1e3..1e3f64,
        ) {
            let p = softmax(&logits);
            prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(p.iter().all(|p| (0.0..=1.0).contains(p)));
            let shifted = softmax(&logits.iter().map(|x| x + shift).collect::<Vec<f64>>());
            for (a, b) in p.iter().zip(&shifted) {
                prop_assert!((a - b).abs() < 1e-12 , "{a} {b}");
            }
        }

        #[test]
        fn a_log_sum_normalises(logits in prop::collection::vec(-1e4..1e4f64, 1..40)) {
            let total = log_sum_exp(&logits);
            for (p, x) in softmax(&logits).iter().zip(&logits) {
                prop_assert!((p - (x - total).exp()).abs() < 1e-10);
            }
        }

        #[test]
        fn an_entropy_lies_in_the_unit_interval(masses in prop::collection::vec(mass(), 0..40), domain in 0usize..60) {
            let h = normalised_entropy(&masses, domain);
            prop_assert!((0.0..=1.0).contains(&h) && h.is_sign_positive(), "{h}");
        }

        #[test]
        fn an_entropy_does_not_depend_on_scale_or_order(
            masses in prop::collection::vec(0.01..1.0f64, 2..10),
            scale in 0.1..10.0f64,
        ) {
            let h = normalised_entropy(&masses, masses.len());
            let changed: Vec<f64> = masses.iter().rev().map(|m| m * scale).collect();
            prop_assert!((h - normalised_entropy(&changed, 0)).abs() < 1e-12);
        }
    }
}
