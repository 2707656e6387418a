//! Normalised entropy of a distribution over thoughts.

/// `H(q) / ln n` in `[0, 1]`, with `H(q) = −Σ q ln q` in nats: 0 for a certain choice, 1 for a uniform one over all `n`
/// thoughts of the domain. This normalisation is this project's own formulation.
///
/// `masses` need not sum to 1; those that are not positive and finite count as absent. `domain` is the size of the whole
/// domain, which may be larger than `masses` (constraints and partial answers leave thoughts out); a smaller number is
/// raised to the length of `masses`. A domain of fewer than two thoughts has entropy 0.
///
/// ```
/// use scaletot_search::normalised_entropy;
///
/// assert_eq!(normalised_entropy(&[1.0, 1.0], 2), 1.0);
/// assert_eq!(normalised_entropy(&[3.0], 4), 0.0);
/// // Two of four thoughts left, equally likely: ln 2 / ln 4.
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
    (entropy / (domain as f64).ln()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(normalised_entropy(&[], 5), 0.0);
        assert_eq!(normalised_entropy(&[0.0, 0.0], 2), 0.0);
        assert_eq!(normalised_entropy(&[2.0], 1), 0.0);
        let h = normalised_entropy(&[0.7, 0.2, 0.1], 3);
        let exact = -(0.7f64 * 0.7f64.ln() + 0.2 * 0.2f64.ln() + 0.1 * 0.1f64.ln()) / 3f64.ln();
        assert!((h - exact).abs() < 1e-12);
    }

    #[test]
    fn extreme_masses_stay_in_range() {
        let h = normalised_entropy(&[f64::MAX, f64::MAX, f64::MIN_POSITIVE], 3);
        assert!((0.0..=1.0).contains(&h));
        assert!((h - 2f64.ln() / 3f64.ln()).abs() < 1e-12);
        assert_eq!(normalised_entropy(&[f64::NAN, f64::INFINITY, -1.0], 3), 0.0);
    }
}
