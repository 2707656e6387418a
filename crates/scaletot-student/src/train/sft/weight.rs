//! How much each user counts.

/// Weights of users by the curation scores of their best chains (this project's own).
///
/// Only users whose record was accepted come here. With the median `m` and the median absolute deviation `d`
/// of the scores, `z = (score − m) / (1.4826 d)` is a standardised score that outliers do not move, and
/// `w = 1 + s · tanh(z / 2)`, which lies in `[1 − s, 1 + s]`, is 1 for the median user and grows with the
/// score. If more than half of the scores are equal (`d = 0`), all weights are 1.
pub(crate) fn curation_weights(scores: &[f64], strength: f64) -> Vec<f64> {
    let centre = median(scores);
    let deviations: Vec<f64> = scores.iter().map(|score| (score - centre).abs()).collect();
    let scale = 1.4826 * median(&deviations);
    if !(scale > 0.0 && scale.is_finite()) {
        return vec![1.0; scores.len()];
    }
    scores.iter().map(|score| 1.0 + strength * ((score - centre) / scale / 2.0).tanh()).collect()
}

/// The median; NaN of nothing.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn weights_rise_with_the_score_and_stay_in_their_range(
            mut scores in prop::collection::vec(-1e3..1e3f64, 1..40),
            strength in 0.0..=1.0f64,
        ) {
            scores.sort_by(f64::total_cmp);
            let weights = curation_weights(&scores, strength);
            prop_assert!(weights.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(weights.iter().all(|w| (1.0 - strength..=1.0 + strength).contains(w)));
        }

        #[test]
        fn scale_and_shift_of_the_score_do_not_matter(
            scores in prop::collection::vec(-10.0..10.0f64, 3..20),
            (scale, shift) in (0.1..10.0f64, -10.0..10.0f64),
        ) {
            let moved: Vec<f64> = scores.iter().map(|s| s * scale + shift).collect();
            for (a, b) in curation_weights(&scores, 0.5).iter().zip(curation_weights(&moved, 0.5)) {
                prop_assert!((a - b).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn equal_scores_weigh_the_same() {
        assert_eq!(curation_weights(&[-3.0; 4], 1.0), [1.0; 4]);
        assert_eq!(curation_weights(&[1.0, 2.0, 3.0], 0.5)[1], 1.0);
        assert!(curation_weights(&[], 0.5).is_empty());
    }
}
