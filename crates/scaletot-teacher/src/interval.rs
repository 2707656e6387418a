//! What is known of an entropy when a teacher left labels out.

/// Bounds `(low, high)` of the normalised entropy of a distribution of which only a part is known.
///
/// `known` are the weights of the labels that were answered (calibrated, after constraints), `missing` the number of
/// labels that were not and may be chosen, and `most` the greatest weight that those may have together, on the same
/// scale. With `w` the missing labels' share, `H = h(w) + (1 − w) H_known + w H_missing`, `h` the binary entropy,
/// `0 ≤ H_missing ≤ ln m` and `0 ≤ w ≤ most / (most + Σ known)`. It is concave in `w`, so its least value is at one of
/// the ends with `H_missing = 0`, and its greatest at `w = m / (m + exp H_known)` or at the upper end. All divided by
/// `ln` of the `domain`'s size (this project's own formulation).
pub(crate) fn entropy_interval(known: &[f64], missing: usize, most: f64, domain: usize) -> (f64, f64) {
    let sum: f64 = known.iter().sum();
    if domain < 2 || sum <= 0.0 {
        return (0.0, if domain < 2 { 0.0 } else { 1.0 });
    }
    let h_known: f64 = known.iter().map(|weight| surprise(weight / sum)).sum();
    let upper = if missing == 0 { 0.0 } else { most.max(0.0) / (most.max(0.0) + sum) };
    let at = |w: f64, h_missing: f64| surprise(w) + surprise(1.0 - w) + (1.0 - w) * h_known + w * h_missing;
    let m = missing.max(1) as f64;
    let top = (m / (m + h_known.exp())).min(upper);
    let scale = (domain as f64).ln();
    let low = (at(0.0, 0.0).min(at(upper, 0.0)) / scale).clamp(0.0, 1.0);
    let high = (at(top, m.ln()) / scale).clamp(0.0, 1.0);
    (low, high.max(low))
}

/// `−p ln p`, 0 at 0.
fn surprise(p: f64) -> f64 {
    if p > 0.0 { -p * p.ln() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use scaletot_chain::normalised_entropy;

    use super::*;

    proptest! {
        /// However the missing weight is spread, the entropy is within the bounds.
        #[test]
        fn holds_the_true_entropy(
            known in prop::collection::vec(0.01..1.0_f64, 1..5),
            spread in prop::collection::vec(0.01..1.0_f64, 1..4),
            most in 0.0..2.0_f64,
            share in 0.0..=1.0_f64,
        ) {
            let total: f64 = spread.iter().sum();
            let domain = known.len() + spread.len();
            let (low, high) = entropy_interval(&known, spread.len(), most, domain);
            let whole: Vec<f64> =
                known.iter().copied().chain(spread.iter().map(|s| s / total * most * share)).collect();
            let entropy = normalised_entropy(&whole);
            prop_assert!(low - 1e-9 <= entropy && entropy <= high + 1e-9, "{low} {entropy} {high}");
        }
    }

    #[test]
    fn nothing_missing_is_a_point() {
        let (low, high) = entropy_interval(&[0.5, 0.25, 0.25], 0, 0.0, 3);
        assert!((low - high).abs() < 1e-12);
        assert!((low - normalised_entropy(&[0.5, 0.25, 0.25])).abs() < 1e-12);
        assert_eq!(entropy_interval(&[0.0, 0.0], 1, 0.3, 3), (0.0, 1.0));
    }
}
