//! The zero-inflated log-normal (ZILN) distribution of an outcome.
//!
//! Source: Wang, Liu and Miao, *A Deep Probabilistic Model for Customer Lifetime Value Prediction*, 2019
//! (arXiv 1912.07753), and its code `google/lifetime_value`. An outcome is 0 with probability `1 − p`, else log-normal
//! with parameters μ and σ of its logarithm. The cap of the mean is this project's own: `exp(μ + σ²/2)` grows without
//! bound in σ, and a served prediction must not be infinite.

use scaletot_core::config::{at_least_zero, positive};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::normal;

/// `ln(1 + eˣ)` without overflow.
pub(crate) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The smaller of two, but NaN for NaN, which `f64::min` would make a cap of.
pub(crate) fn at_most(x: f64, most: f64) -> f64 {
    if x > most { most } else { x }
}

/// The larger of two, but NaN for NaN.
pub(crate) fn at_least(x: f64, least: f64) -> f64 {
    if x < least { least } else { x }
}

/// The `x` with `softplus(x) = y`, for `y > 0`.
#[cfg(any(test, feature = "train"))]
pub(crate) fn softplus_inverse(y: f64) -> f64 {
    y + (-(-y).exp_m1()).ln()
}

/// `1 / (1 + e⁻ˣ)` without overflow.
pub(crate) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// How the three numbers of a zero-inflated log-normal head become a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OutcomeScale {
    /// Least σ.
    pub sigma_floor: f64,
    /// Largest mean of the positive part, in the outcome's unit.
    pub cap: f64,
}

impl OutcomeScale {
    /// A floor of σ and a cap of the positive part's mean.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) unless both are finite, the floor above 0 and the cap at least 0.
    pub fn new(sigma_floor: f64, cap: f64) -> Result<Self> {
        let scale = Self { sigma_floor, cap };
        scale.validate()?;
        Ok(scale)
    }

    pub(crate) fn validate(&self) -> Result<()> {
        positive("sigma_floor", self.sigma_floor)?;
        Ok(at_least_zero("cap", self.cap)?)
    }

    /// The distribution for a head's output `[logit of o > 0, μ, raw σ]`: `p = sigmoid(logit)`,
    /// `σ = max(softplus(raw), sigma_floor)`.
    #[must_use]
    pub fn distribution(&self, output: [f32; 3]) -> Ziln {
        let [logit, mu, raw] = output.map(f64::from);
        Ziln { p_positive: sigmoid(logit), mu, sigma: at_least(softplus(raw), self.sigma_floor) }
    }

    /// The expected outcome, `p · min(exp(μ + σ²/2), cap)`: finite and at least 0 for every finite head output, and NaN for a distribution
    /// with NaN in it.
    ///
    /// ```
    /// use scaletot_encoder::OutcomeScale;
    ///
    /// let scale = OutcomeScale::new(0.05, 1000.0)?;
    /// let sure = scale.distribution([100.0, 3.0, -100.0]);
    /// assert!((scale.value(&sure) - (3.0f64 + 0.05 * 0.05 / 2.0).exp()).abs() < 1e-9);
    /// let wild = scale.distribution([100.0, 80.0, 50.0]);
    /// assert_eq!(scale.value(&wild), 1000.0);
    /// # Ok::<(), scaletot_encoder::Error>(())
    /// ```
    #[must_use]
    pub fn value(&self, distribution: &Ziln) -> f64 {
        let Ziln { p_positive, mu, sigma } = distribution;
        p_positive * at_most((mu + 0.5 * sigma * sigma).exp(), self.cap)
    }
}

/// A zero-inflated log-normal distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Ziln {
    /// Probability of a positive outcome.
    pub p_positive: f64,
    /// Mean of the positive outcome's natural logarithm.
    pub mu: f64,
    /// Standard deviation of the positive outcome's natural logarithm.
    pub sigma: f64,
}

impl Ziln {
    /// The outcome that is not exceeded with probability `share`: 0 up to the probability of no outcome, then
    /// `exp(μ + σ Φ⁻¹((share − 1 + p) / p))`, at most the largest finite number. `None` unless `share` is in `[0, 1]` and the distribution's numbers are none of them NaN.
    ///
    /// ```
    /// use scaletot_encoder::OutcomeScale;
    ///
    /// // Three quarters are positive, their median is e².
    /// let distribution = OutcomeScale::new(0.05, 1e6)?.distribution([3f32.ln(), 2.0, 0.5]);
    /// assert_eq!(distribution.quantile(0.2), Some(0.0));
    /// assert!(distribution.quantile(0.625).is_some_and(|median| (median - 2f64.exp()).abs() < 1e-5));
    /// assert_eq!(distribution.quantile(1.5), None);
    /// # Ok::<(), scaletot_encoder::Error>(())
    /// ```
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let zero = 1.0 - self.p_positive;
        if !(0.0..=1.0).contains(&share) || [zero, self.mu, self.sigma].into_iter().any(f64::is_nan) {
            return None;
        }
        if share <= zero {
            return Some(0.0);
        }
        let z = normal::quantile(((share - zero) / self.p_positive).min(1.0));
        Some((self.mu + self.sigma * z).exp().min(f64::MAX))
    }

    /// The maximum-likelihood constant prediction for outcomes of at least 0, smoothed so that it is proper when all or
    /// none are positive: `p = (n⁺ + ½) / (n + 1)`; μ, σ are mean and standard deviation of `ln o` over the positive
    /// ones (0 and 1 where there is none, σ at least `sigma_floor`).
    #[must_use]
    pub fn constant(outcomes: &[f64], sigma_floor: f64) -> Self {
        let logs: Vec<f64> = outcomes.iter().filter(|&&o| o > 0.0).map(|o| o.ln()).collect();
        let count = logs.len() as f64;
        let p_positive = (count + 0.5) / (outcomes.len() as f64 + 1.0);
        if logs.is_empty() {
            return Self { p_positive, mu: 0.0, sigma: 1f64.max(sigma_floor) };
        }
        let mu = logs.iter().sum::<f64>() / count;
        let variance = logs.iter().map(|l| (l - mu).powi(2)).sum::<f64>() / count;
        Self { p_positive, mu, sigma: at_least(variance.sqrt(), sigma_floor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The standard normal distribution function, by the series of Marsaglia, *Evaluating the Normal Distribution*, 2004.
    fn normal_cdf(x: f64) -> f64 {
        let (mut sum, mut term, mut i) = (x, x, 1.0);
        while term.abs() > 1e-18 * sum.abs() {
            i += 2.0;
            term *= x * x / i;
            sum += term;
        }
        0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
    }

    proptest! {
        #[test]
        fn every_finite_output_gives_a_finite_value(
            logit in f32::MIN..=f32::MAX, mu in f32::MIN..=f32::MAX, raw in f32::MIN..=f32::MAX, cap in 0.0f64..1e12,
        ) {
            let scale = OutcomeScale::new(0.05, cap).unwrap();
            let distribution = scale.distribution([logit, mu, raw]);
            let value = scale.value(&distribution);
            prop_assert!((0.0..=1.0).contains(&distribution.p_positive));
            prop_assert!(distribution.sigma >= 0.05);
            prop_assert!(value.is_finite() && (0.0..=cap).contains(&value), "{value}");
        }

        #[test]
        fn quantiles_rise_and_the_distribution_function_undoes_them(
            p_positive in 0f64..=1.0, mu in -5f64..8.0, sigma in 0.05f64..4.0, a in 0f64..=1.0, b in 0f64..=1.0,
        ) {
            let ziln = Ziln { p_positive, mu, sigma };
            let quantile = |share: f64| ziln.quantile(share).unwrap();
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(quantile(low) <= quantile(high) && quantile(low) >= 0.0 && quantile(high).is_finite());
            // Beyond six σ the series below has no digits left.
            let x = quantile(a);
            let z = (x.ln() - mu) / sigma;
            let below = 1.0 - p_positive + if x > 0.0 { p_positive * normal_cdf(z) } else { 0.0 };
            prop_assert!(x == 0.0 && a <= below || z.abs() > 6.0 || (below - a).abs() < 1e-9, "{a} {x} {below}");
        }

        #[test]
        fn no_quantile_is_infinite(output in prop::array::uniform3(f32::MIN..=f32::MAX), share in 0f64..=1.0) {
            let ziln = OutcomeScale::new(0.05, 1.0).unwrap().distribution(output);
            for share in [0.0, share, 1.0] {
                prop_assert!(ziln.quantile(share).is_some_and(|x| x.is_finite() && x >= 0.0), "{ziln:?} {share}");
            }
        }

        #[test]
        fn softplus_inverse_inverts(y in 1e-3f64..50.0) {
            prop_assert!((softplus(softplus_inverse(y)) - y).abs() < 1e-9 * y.max(1.0));
        }
    }

    #[test]
    fn the_constant_prediction_is_the_moments() {
        let e = std::f64::consts::E;
        let fit = Ziln::constant(&[0.0, 0.0, e, e.powi(3)], 0.1);
        assert!((fit.p_positive - 0.5).abs() < 1e-12);
        assert!((fit.mu - 2.0).abs() < 1e-12);
        assert!((fit.sigma - 1.0).abs() < 1e-12);
        let none = Ziln::constant(&[0.0; 9], 0.1);
        assert!((none.p_positive - 0.05).abs() < 1e-12);
        assert_eq!(none.mu, 0.0);
        assert_eq!(Ziln::constant(&[], 0.1).p_positive, 0.5);
    }

    #[test]
    fn bad_scales_are_refused() {
        assert!(OutcomeScale::new(0.0, 1.0).unwrap_err().to_string().contains("sigma_floor"));
        assert!(OutcomeScale::new(0.1, f64::INFINITY).unwrap_err().to_string().contains("cap"));
    }
}
