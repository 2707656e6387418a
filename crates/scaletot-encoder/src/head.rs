//! Kinds of outcome heads, and what becomes of a head's numbers.

use scaletot_core::config::{at_least_zero, check};
use scaletot_core::numeric::softmax;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::outcome::{OutcomeScale, at_most, sigmoid};

/// What an encoder learns about the outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum OutcomeHead {
    /// A zero-inflated log-normal distribution; see [`Ziln`](crate::Ziln). Three outputs.
    #[default]
    Ziln,
    /// The mean of a compound Poisson–gamma distribution, by the likelihood of the Tweedie family (Yang, Qian and Zou,
    /// *Insurance Premium Prediction via Gradient Tree-Boosted Tweedie Compound Poisson Models*, JBES 2018; `LightGBM`'s
    /// objective of that name). One output, the mean's natural logarithm. It tells nothing of how probable a positive
    /// outcome is: that would need the dispersion, which is not fitted.
    Tweedie {
        /// Exponent `p` of the variance, which is proportional to `meanᵖ`; from 1.01 (many small amounts) to 1.99 (few
        /// large ones). 1.5 is common.
        power: f64,
    },
    /// Classes: no outcome, then tiers of positive outcomes between quantiles of the training outcomes. The value is the
    /// mean training outcome of each tier weighed by the tier's probability: no assumption about the distribution, and no
    /// value above the last tier's mean. One output per class.
    Tiers {
        /// Tiers of positive outcomes, from 1 to 256. Where so many quantiles do not differ there are fewer, and the
        /// encoder's configuration has their number.
        tiers: usize,
    },
}

impl OutcomeHead {
    pub(crate) fn validate(&self) -> Result<()> {
        match *self {
            Self::Ziln => Ok(()),
            Self::Tweedie { power } => {
                Ok(check((1.01..=1.99).contains(&power), "outcome_head.power", "from 1.01 to 1.99", power)?)
            }
            Self::Tiers { tiers } => {
                Ok(check((1..=256).contains(&tiers), "outcome_head.tiers", "from 1 to 256", tiers)?)
            }
        }
    }

    /// How many numbers the head gives.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Ziln => 3,
            Self::Tweedie { .. } => 1,
            Self::Tiers { tiers } => tiers + 1,
        }
    }

    /// Whether it tells how probable a positive outcome is.
    pub(crate) fn has_probability(&self) -> bool {
        !matches!(self, Self::Tweedie { .. })
    }

    /// Whether it tells how positive outcomes are distributed.
    pub(crate) fn has_distribution(&self) -> bool {
        matches!(self, Self::Ziln)
    }
}

/// How an outcome head's numbers become an expected outcome.
///
/// ```
/// use scaletot_encoder::OutcomeLink;
///
/// let tweedie = OutcomeLink::Tweedie { cap: 500.0 };
/// assert_eq!(tweedie.value(&[0.0]), Some(1.0));
/// assert_eq!(tweedie.value(&[1e30]), Some(500.0));
/// let tiers = OutcomeLink::Tiers { means: vec![10.0, 40.0] };
/// assert!(tiers.value(&[0.5, 0.5, 0.5]).is_some_and(|value| (value - 50.0 / 3.0).abs() < 1e-12));
/// assert!(tiers.p_positive(&[0.5, 0.5, 0.5]).is_some_and(|p| (p - 2.0 / 3.0).abs() < 1e-12));
/// assert_eq!(tiers.value(&[0.5]), None);
/// ```
// Untagged, so that a scale that was written before there were other heads is a zero-inflated log-normal head's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
#[non_exhaustive]
pub enum OutcomeLink {
    /// Of [`OutcomeHead::Ziln`].
    Ziln(OutcomeScale),
    /// Of [`OutcomeHead::Tweedie`].
    Tweedie {
        /// Largest value, in the outcome's unit.
        cap: f64,
    },
    /// Of [`OutcomeHead::Tiers`].
    Tiers {
        /// Mean training outcome of every tier of positive outcomes, in the outcome's unit.
        means: Vec<f64>,
    },
}

impl OutcomeLink {
    /// For a head that never saw an outcome.
    pub(crate) fn untrained(head: OutcomeHead, sigma_floor: f64) -> Result<Self> {
        let cap = 1e6;
        Ok(match head {
            OutcomeHead::Ziln => Self::Ziln(OutcomeScale::new(sigma_floor, cap)?),
            OutcomeHead::Tweedie { .. } => Self::Tweedie { cap },
            OutcomeHead::Tiers { tiers } => {
                Self::Tiers { means: (1..=tiers).map(|tier| cap * tier as f64 / tiers as f64).collect() }
            }
        })
    }

    /// Checks the numbers, and that they are of a head of this kind.
    pub(crate) fn validate(&self, head: &OutcomeHead) -> Result<()> {
        let amount = |field, value: f64| Ok(at_least_zero(field, value)?);
        match (self, head) {
            (Self::Ziln(scale), OutcomeHead::Ziln) => scale.validate(),
            (Self::Tweedie { cap }, OutcomeHead::Tweedie { .. }) => amount("cap", *cap),
            (Self::Tiers { means }, OutcomeHead::Tiers { tiers }) if means.len() == *tiers => {
                means.iter().try_for_each(|&mean| amount("means", mean))
            }
            _ => Err(Error::shape("link of the outcome head", format!("of {head:?}"), format!("{self:?}"))),
        }
    }

    /// The expected outcome for a head's numbers: finite and at least 0 if they are finite; `None` for another count of
    /// them than the head has. `p · min(exp(μ + σ²/2), cap)`, `min(exp(x), cap)` or `Σ p_t · mean_t`.
    #[must_use]
    pub fn value(&self, output: &[f32]) -> Option<f64> {
        match (self, output) {
            (Self::Ziln(scale), &[logit, mu, raw]) => {
                Some(scale.value(&scale.distribution([logit, mu, raw])))
            }
            (Self::Tweedie { cap }, &[log]) => Some(at_most(f64::from(log).exp(), *cap)),
            (Self::Tiers { means }, _) => {
                let probabilities = tier_probabilities(means, output)?;
                let largest = means.iter().copied().fold(0.0, f64::max);
                // Rounding must not lead above the largest mean, which may be the largest number there is.
                let value: f64 = probabilities.iter().zip(means).map(|(p, mean)| p * mean).sum();
                Some(at_most(value, largest))
            }
            _ => None,
        }
    }

    /// The probability of a positive outcome; `None` for another count of numbers than the head has, and for
    /// [`OutcomeLink::Tweedie`], which does not tell.
    #[must_use]
    pub fn p_positive(&self, output: &[f32]) -> Option<f64> {
        match (self, output) {
            (Self::Ziln(_), &[logit, ..]) if output.len() == 3 => Some(sigmoid(f64::from(logit))),
            (Self::Tiers { means }, _) => Some(at_most(tier_probabilities(means, output)?.iter().sum(), 1.0)),
            _ => None,
        }
    }
}

/// The softmax's probabilities of the tiers, without that of no outcome.
fn tier_probabilities(means: &[f64], output: &[f32]) -> Option<Vec<f64>> {
    if output.len() != means.len() + 1 {
        return None;
    }
    let logits: Vec<f64> = output.iter().copied().map(f64::from).collect();
    Some(softmax(&logits).split_off(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any finite number.
    fn finite() -> impl Strategy<Value = f32> {
        prop_oneof![-9f32..9.0, f32::MIN..=f32::MAX]
    }

    proptest! {
        #[test]
        fn every_finite_output_gives_a_finite_value(
            output in prop::collection::vec(finite(), 4),
            means in prop::collection::vec(prop_oneof![0f64..1e6, Just(f64::MAX)], 3),
            cap in prop_oneof![0f64..1e6, Just(f64::MAX)],
        ) {
            let ziln = OutcomeLink::Ziln(OutcomeScale::new(0.05, cap).unwrap());
            let value = ziln.value(&output[..3]).unwrap();
            prop_assert!((0.0..=cap).contains(&value), "{value}");
            let value = OutcomeLink::Tweedie { cap }.value(&output[..1]).unwrap();
            prop_assert!((0.0..=cap).contains(&value), "{value}");
            let tiers = OutcomeLink::Tiers { means: means.clone() };
            let value = tiers.value(&output).unwrap();
            prop_assert!((0.0..=means.iter().copied().fold(0.0, f64::max)).contains(&value), "{value}");
            for p in [ziln.p_positive(&output[..3]), tiers.p_positive(&output)] {
                prop_assert!((0.0..=1.0).contains(&p.unwrap()));
            }
        }
    }

    #[test]
    fn a_nan_becomes_no_cap() {
        let scale = OutcomeScale::new(0.05, 200.0).unwrap();
        let ziln = OutcomeLink::Ziln(scale);
        let tiers = OutcomeLink::Tiers { means: vec![1.0, 5.0] };
        for at in 0..3 {
            let mut output = [0.5f32; 3];
            output[at] = f32::NAN;
            assert!(ziln.value(&output).unwrap().is_nan(), "{at}");
            let distribution = scale.distribution(output);
            assert_eq!(distribution.quantile(0.9), None, "{distribution:?}");
            assert!(tiers.value(&output).unwrap().is_nan() && tiers.p_positive(&output).unwrap().is_nan());
        }
        assert!(OutcomeLink::Tweedie { cap: 3.0 }.value(&[f32::NAN]).unwrap().is_nan());
    }

    #[test]
    fn a_scale_without_a_kind_is_a_zero_inflated_log_normal_heads() {
        let old: OutcomeLink = serde_json::from_str(r#"{"sigma_floor": 0.05, "cap": 200.0}"#).unwrap();
        assert_eq!(old, OutcomeLink::Ziln(OutcomeScale::new(0.05, 200.0).unwrap()));
        for link in [old, OutcomeLink::Tweedie { cap: 3.5 }, OutcomeLink::Tiers { means: vec![1.0, 2.5] }] {
            let json = serde_json::to_string(&link).unwrap();
            assert_eq!(serde_json::from_str::<OutcomeLink>(&json).unwrap(), link, "{json}");
        }
        // A misspelt floor does not make it a Tweedie head's.
        assert!(serde_json::from_str::<OutcomeLink>(r#"{"sigma_flor": 0.05, "cap": 200.0}"#).is_err());
    }

    #[test]
    fn links_of_other_heads_and_bad_numbers_are_refused() {
        let tweedie = OutcomeLink::Tweedie { cap: 1.0 };
        let tiers = OutcomeLink::Tiers { means: vec![1.0, f64::NAN] };
        let says = |link: &OutcomeLink, head| link.validate(&head).unwrap_err().to_string();
        assert!(says(&tweedie, OutcomeHead::Ziln).contains("of Ziln, found Tweedie"));
        assert!(says(&tiers, OutcomeHead::Tiers { tiers: 3 }).contains("tiers: 3"));
        assert!(says(&tiers, OutcomeHead::Tiers { tiers: 2 }).contains("means"));
        assert!(
            says(&OutcomeLink::Tweedie { cap: -1.0 }, OutcomeHead::Tweedie { power: 1.5 }).contains("cap")
        );
        assert_eq!(tweedie.value(&[1.0, 2.0]), None);
        assert_eq!(tweedie.p_positive(&[1.0]), None);
    }
}
