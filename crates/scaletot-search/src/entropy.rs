//! Normalised entropy of a distribution over thoughts: exact, estimated from samples, or bounded.

use scaletot_core::numeric::normalised_entropy;
use serde::{Deserialize, Serialize};

/// How an entropy is estimated from counts of sampled answers.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum EntropyEstimator {
    /// Of the observed shares (maximum likelihood); biased low, the more so the fewer the samples.
    PlugIn,
    /// Plug-in plus `(m − 1) / 2n`, with `m` the thoughts seen and `n` the samples (Miller 1955; Paninski, Neural
    /// Computation 2003).
    #[default]
    MillerMadow,
    /// The posterior mean of the entropy under a symmetric Dirichlet prior over the thoughts that may follow (Wolpert and Wolf, Physical
    /// Review E 1995): `ψ(A + 1) − Σ (a_v / A) ψ(a_v + 1)`, with `a_v` the count of a thought plus the concentration and
    /// `A` their sum. Thoughts that were never seen count too.
    Dirichlet {
        /// Concentration per thought, above 0: 1 is Laplace's rule, ½ Jeffreys', `1 / |V|` Schürmann and Grassberger's.
        concentration: f64,
    },
}

impl EntropyEstimator {
    /// The estimated entropy over `ln n`, `n` the size of the `domain` (at least the number of `shares`), in `[0, 1]`.
    ///
    /// `shares` are counts or shares of `samples` answers; those that are not positive and finite count as never seen.
    /// `possible` is how many thoughts of the domain may follow at all, at least those that were seen: a prior is spread over
    /// these. (A search takes off what its constraints rule out among the thoughts that an answer lists.)
    ///
    /// ```
    /// use scaletot_search::EntropyEstimator::{Dirichlet, MillerMadow, PlugIn};
    ///
    /// // Four samples of three thoughts: plug-in gives 0.51, and fewer samples would give still less.
    /// let counts = [3.0, 1.0, 0.0];
    /// let plug_in = PlugIn.estimate(&counts, 4, 3, 3);
    /// assert!((plug_in - 0.5119).abs() < 1e-4);
    /// assert!((MillerMadow.estimate(&counts, 4, 3, 3) - plug_in - (1.0 / 8.0) / 3f64.ln()).abs() < 1e-12);
    /// assert!(Dirichlet { concentration: 1.0 }.estimate(&counts, 4, 3, 3) > plug_in);
    /// // The third is ruled out: less is open.
    /// let fewer = Dirichlet { concentration: 1.0 }.estimate(&counts, 4, 2, 3);
    /// assert!(fewer < Dirichlet { concentration: 1.0 }.estimate(&counts, 4, 3, 3));
    /// ```
    #[must_use]
    pub fn estimate(&self, shares: &[f64], samples: u32, possible: usize, domain: usize) -> f64 {
        let plug_in = normalised_entropy(shares, domain);
        let domain = domain.max(shares.len());
        if domain < 2 || samples == 0 {
            return plug_in;
        }
        let scale = (domain as f64).ln();
        let n = f64::from(samples);
        let seen = shares.iter().filter(|share| share.is_finite() && **share > 0.0);
        let estimate = match self {
            EntropyEstimator::PlugIn => plug_in,
            EntropyEstimator::MillerMadow => {
                plug_in + (seen.count() as f64 - 1.0).max(0.0) / (2.0 * n) / scale
            }
            EntropyEstimator::Dirichlet { concentration: a } => {
                let total: f64 = seen.clone().sum();
                let possible = possible.min(domain).max(seen.clone().count());
                let unseen = (possible - seen.clone().count()) as f64;
                let whole = n + a * possible as f64;
                let part = |count: f64| (count + a) / whole * digamma(count + a + 1.0);
                let sum: f64 = seen.map(|share| part(share / total * n)).sum();
                (digamma(whole + 1.0) - sum - unseen * part(0.0)) / scale
            }
        };
        estimate.clamp(0.0, 1.0)
    }
}

/// `ψ(x)` for `x > 0`: recurrence up to 10, then the asymptotic series (Abramowitz and Stegun 6.3.5, 6.3.18).
fn digamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift -= 1.0 / x;
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = inverse * (1.0 / 12.0 - inverse * (1.0 / 120.0 - inverse * (1.0 / 252.0 - inverse / 240.0)));
    shift + x.ln() - 0.5 / x - series
}

/// Bounds `(low, high)` of the normalised entropy of a distribution of which only a part is known.
///
/// `known` are the masses of the thoughts that were answered, `missing` the number of thoughts that were not and may
/// follow, and `max_missing` the greatest mass that those may have together, on the same scale. With `w` the missing thoughts'
/// share, `H = h(w) + (1 − w) H_known + w H_missing`, `h` the binary entropy, `0 ≤ H_missing ≤ ln m` and
/// `0 ≤ w ≤ max_missing / (max_missing + Σ known)`. It is concave in `w`, so its least value is at one of the ends with
/// `H_missing = 0`, and its greatest at `w = m / (m + exp H_known)` or at the upper end. All divided by `ln` of the
/// `domain`'s size (this project's own formulation).
///
/// ```
/// use scaletot_core::numeric::normalised_entropy;
/// use scaletot_search::entropy_interval;
///
/// // Two of four labels were answered, with 0.6 and 0.3; the other two share at most 0.1.
/// let (low, high) = entropy_interval(&[0.6, 0.3], 2, 0.1, 4);
/// let truth = normalised_entropy(&[0.6, 0.3, 0.08, 0.02], 4);
/// assert!(low < truth && truth < high && high - low < 0.3);
/// ```
#[must_use]
pub fn entropy_interval(known: &[f64], missing: usize, max_missing: f64, domain: usize) -> (f64, f64) {
    let sum: f64 = known.iter().sum();
    if domain < 2 || sum <= 0.0 {
        return (0.0, if domain < 2 { 0.0 } else { 1.0 });
    }
    let h_known: f64 = known.iter().map(|weight| surprise(weight / sum)).sum();
    // Endless mass is all but certainty, and its share no NaN.
    let most = max_missing.clamp(0.0, 1e300);
    let upper = if missing == 0 || most.is_nan() { 0.0 } else { most / (most + sum) };
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

    #[test]
    fn digamma_at_known_points() {
        const EULER: f64 = 0.577_215_664_901_532_9;
        assert!((digamma(1.0) + EULER).abs() < 1e-12);
        assert!((digamma(0.5) + EULER + 2.0 * 2f64.ln()).abs() < 1e-12);
        assert!((digamma(11.0) - (1..=10).map(|k| 1.0 / f64::from(k)).sum::<f64>() + EULER).abs() < 1e-12);
    }

    /// By hand for two thoughts seen 2 and 1 times, concentration 1: a = (3, 2), A = 5, and
    /// ψ(6) − 3/5 ψ(4) − 2/5 ψ(3) = H₅ − 3/5 H₃ − 2/5 H₂ with harmonic numbers.
    #[test]
    fn dirichlet_is_the_posterior_mean() {
        let harmonic = |n: u32| (1..=n).map(|k| 1.0 / f64::from(k)).sum::<f64>();
        let expected = harmonic(5) - 0.6 * harmonic(3) - 0.4 * harmonic(2);
        let estimated = EntropyEstimator::Dirichlet { concentration: 1.0 }.estimate(&[2.0, 1.0], 3, 2, 2);
        assert!((estimated - expected / 2f64.ln()).abs() < 1e-12);
        // Shares give the same as counts.
        let shares =
            EntropyEstimator::Dirichlet { concentration: 1.0 }.estimate(&[2.0 / 3.0, 1.0 / 3.0], 3, 2, 2);
        assert!((estimated - shares).abs() < 1e-12);
    }

    #[test]
    fn nothing_missing_is_a_point() {
        let (low, high) = entropy_interval(&[0.5, 0.25, 0.25], 0, 0.0, 3);
        assert!((low - high).abs() < 1e-12);
        assert!((low - normalised_entropy(&[0.5, 0.25, 0.25], 3)).abs() < 1e-12);
        assert_eq!(entropy_interval(&[0.0, 0.0], 1, 0.3, 3), (0.0, 1.0));
    }

    #[test]
    fn endless_missing_mass_is_bounded() {
        let (low, high) = entropy_interval(&[0.5, 0.5], 2, f64::INFINITY, 4);
        assert!(low < 1e-9 && (0.5..=1.0).contains(&high), "{low} {high}");
    }

    proptest! {
        /// However the missing mass is spread, the entropy is within the bounds.
        #[test]
        fn an_interval_holds_the_true_entropy(
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
            let entropy = normalised_entropy(&whole, domain);
            prop_assert!(low - 1e-9 <= entropy && entropy <= high + 1e-9, "{low} {entropy} {high}");
        }

        /// Every estimator stays in range, and Miller–Madow is never below plug-in.
        #[test]
        fn estimates_stay_in_range(
            counts in prop::collection::vec(0u32..20, 1..6),
            wider in 0usize..4,
            possible in 0usize..12,
            concentration in 0.01..5.0_f64,
        ) {
            let samples: u32 = counts.iter().sum();
            let shares: Vec<f64> = counts.iter().map(|c| f64::from(*c)).collect();
            let domain = counts.len() + wider;
            let by = |estimator: EntropyEstimator| estimator.estimate(&shares, samples, possible, domain);
            let (plug_in, corrected) = (by(EntropyEstimator::PlugIn), by(EntropyEstimator::MillerMadow));
            let smoothed = by(EntropyEstimator::Dirichlet { concentration });
            prop_assert!([plug_in, corrected, smoothed].iter().all(|h| (0.0..=1.0).contains(h)));
            prop_assert!(corrected >= plug_in);
        }
    }
}
