//! What the encoder says about users.

use ndarray::{Array2, ArrayView1};

/// The encoder's outputs, one row per profile, in the table's order.
///
/// A profile that was abstained on (fewer than `min_populated` populated fields) has `None` for every outcome column, a
/// uniform posterior for every state and a zero representation: nothing is known, and no number in here is ever NaN.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Scores {
    /// Expected outcome, in the outcome's unit: finite and at least 0. `None` where abstained, and everywhere without an
    /// outcome head.
    pub value: Vec<Option<f64>>,
    /// Probability of a positive outcome.
    pub p_positive: Vec<Option<f64>>,
    /// Mean of the positive outcome's natural logarithm.
    pub mu: Vec<Option<f64>>,
    /// Standard deviation of the positive outcome's natural logarithm.
    pub sigma: Vec<Option<f64>>,
    /// The posterior of every state, `K × [n, |V_k|]`, rows summing to 1; no state without signal heads.
    pub posteriors: Vec<Array2<f32>>,
    /// The representation, `[n, r]`; `[n, 0]` without signal heads.
    pub representation: Array2<f32>,
    /// Whether the profile was abstained on.
    pub abstained: Vec<bool>,
}

impl Scores {
    /// Number of profiles.
    #[must_use]
    pub fn len(&self) -> usize {
        self.abstained.len()
    }

    /// Whether there is no profile.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.abstained.is_empty()
    }

    /// How many profiles were abstained on.
    #[must_use]
    pub fn abstentions(&self) -> usize {
        self.abstained.iter().filter(|&&a| a).count()
    }
}

/// `softmax` of logits, in `f64` and back, written to `out`.
pub(crate) fn softmax<'a>(logits: ArrayView1<'_, f32>, out: impl IntoIterator<Item = &'a mut f32>) {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let exponential = |&logit: &f32| f64::from(logit - largest).exp();
    let sum: f64 = logits.iter().map(exponential).sum();
    for (target, logit) in out.into_iter().zip(logits.iter()) {
        *target = (exponential(logit) / sum) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn softmax_survives_large_logits() {
        let mut out = [0f32; 3];
        softmax(array![1e30f32, 1e30, -1e30].view(), &mut out);
        assert_eq!(out, [0.5, 0.5, 0.0]);
    }
}
