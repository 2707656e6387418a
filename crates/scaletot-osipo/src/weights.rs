//! How much each chain segment counts in a chain's implicit reward.

use scaletot_core::config::ConfigError;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Added to every entropy before weights are made of them, so that a step of which the search was certain
/// keeps a little credit and a chain of certain steps falls back to uniform weights.
pub const ENTROPY_FLOOR: f64 = 0.05;

/// Weights `w` of the chain segments, `[n, K]`, each row non-negative with sum K. (This project's own.)
///
/// With `K` segments of weight 1 the implicit reward is the plain log-ratio of the whole chain.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SegmentWeights {
    /// Every segment counts 1.
    #[default]
    Uniform,
    /// By the normalised entropies `h ∈ [0, 1]` of the search: uncertain steps carry the credit,
    /// `w_k = K (h_k + ε) / Σ_j (h_j + ε)` with `ε =` [`ENTROPY_FLOOR`]. The batch must carry entropies
    /// ([`CandidateBatch::with_entropies`](crate::CandidateBatch::with_entropies)).
    Entropy,
    /// The same weights for every candidate, learned: `w = K softmax(ℓ)` of logits `ℓ`, `[K]`, that the batch carries
    /// ([`CandidateBatch::with_weight_logits`](crate::CandidateBatch::with_weight_logits)) and that the loss has a gradient
    /// for. In the `Policy` objective, whose process rewards have no gradient, they are used and not learned.
    Learned,
    /// The same weights for every candidate, one per segment; finite, non-negative, not all 0. They are
    /// scaled to the sum K.
    Given(Vec<f64>),
}

impl SegmentWeights {
    /// Checks what can be checked without a batch.
    ///
    /// # Errors
    /// [`Error::Empty`] for no weight, [`Error::InvalidValue`] for one that is negative or not finite,
    /// [`Error::Config`] if they sum to 0 or overflow.
    pub fn validate(&self) -> Result<()> {
        let Self::Given(given) = self else { return Ok(()) };
        if given.is_empty() {
            return Err(Error::Empty { what: "given chain-segment weights" });
        }
        for (row, &found) in given.iter().enumerate() {
            if !(found.is_finite() && found >= 0.0) {
                let (what, expected) = ("chain-segment weight", "a finite number of at least 0");
                return Err(Error::InvalidValue { what, row, expected, found });
            }
        }
        let found: f64 = given.iter().sum();
        if !(found > 0.0 && found.is_finite()) {
            let (field, expected) = ("weights", "a finite number above 0 as their sum");
            return Err(ConfigError::new(field, expected, found).into());
        }
        Ok(())
    }

    /// The weights of `candidates` chains of `segments` steps, row-major `[n, K]`.
    ///
    /// `entropies` is row-major `[n, K]` too, and only read by [`SegmentWeights::Entropy`]. Learned weights are uniform here;
    /// the loss makes them of the batch's logits.
    ///
    /// # Errors
    /// As [`SegmentWeights::validate`], and [`Error::Shape`] or [`Error::MissingEntropies`] if the given weights
    /// or the entropies do not fit.
    pub fn resolve(&self, candidates: usize, segments: usize, entropies: Option<&[f64]>) -> Result<Vec<f64>> {
        self.validate()?;
        match self {
            Self::Uniform | Self::Learned => Ok(vec![1.0; candidates * segments]),
            Self::Given(given) => {
                if given.len() != segments {
                    return Err(Error::Shape {
                        what: "given chain-segment weights",
                        expected: format!("{segments} (one per chain segment)"),
                        found: given.len().to_string(),
                    });
                }
                let row = scaled(given.iter().copied(), segments);
                Ok(row.repeat(candidates))
            }
            Self::Entropy => {
                let entropies = entropies.ok_or(Error::MissingEntropies { candidates })?;
                if entropies.len() != candidates * segments {
                    return Err(Error::Shape {
                        what: "entropies",
                        expected: format!("{candidates} × {segments}"),
                        found: format!("{} values", entropies.len()),
                    });
                }
                let rows = entropies.chunks_exact(segments.max(1));
                Ok(rows.flat_map(|row| scaled(row.iter().map(|h| h + ENTROPY_FLOOR), segments)).collect())
            }
        }
    }
}

/// Scales weights to the sum `segments`; the sum is known to be positive.
fn scaled(weights: impl Iterator<Item = f64> + Clone, segments: usize) -> Vec<f64> {
    let sum: f64 = weights.clone().sum();
    weights.map(|weight| weight / sum * segments as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn every_row_sums_to_the_number_of_segments() {
        let entropies = [0.0, 0.0, 0.0, 0.9, 0.1, 0.5];
        for weights in
            [SegmentWeights::Uniform, SegmentWeights::Entropy, SegmentWeights::Given(vec![2.0, 0.0, 6.0])]
        {
            let rows = weights.resolve(2, 3, Some(&entropies)).unwrap();
            for row in rows.chunks(3) {
                assert_relative_eq!(row.iter().sum::<f64>(), 3.0, epsilon = 1e-12);
            }
        }
    }

    #[test]
    fn uncertain_steps_carry_the_credit() {
        let rows = SegmentWeights::Entropy.resolve(2, 2, Some(&[0.0, 0.0, 0.9, 0.1])).unwrap();
        assert_relative_eq!(rows[0], 1.0, epsilon = 1e-12);
        assert_relative_eq!(rows[2], 2.0 * 0.95 / 1.1, epsilon = 1e-12);
        assert!(rows[2] > rows[3]);
    }

    #[test]
    fn given_weights_are_scaled_and_checked() {
        let rows = SegmentWeights::Given(vec![1.0, 3.0]).resolve(2, 2, None).unwrap();
        assert_eq!(rows, [0.5, 1.5, 0.5, 1.5]);
        for bad in [vec![], vec![0.0, 0.0], vec![1.0, -1.0], vec![f64::NAN, 1.0], vec![f64::MAX, f64::MAX]] {
            assert!(SegmentWeights::Given(bad.clone()).resolve(1, 2, None).is_err(), "{bad:?}");
        }
        assert!(matches!(SegmentWeights::Given(vec![1.0]).resolve(1, 2, None), Err(Error::Shape { .. })));
        let error = SegmentWeights::Entropy.resolve(4, 2, None).unwrap_err();
        assert!(matches!(error, Error::MissingEntropies { candidates: 4 }), "{error}");
        assert!(SegmentWeights::Entropy.resolve(2, 2, Some(&[0.1; 3])).is_err());
    }
}
