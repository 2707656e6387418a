//! Drawing thoughts at random, the same on every machine and in every version.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use scaletot_core::numeric::softmax;

/// Draws one of the (index, probability) pairs, with weights `p^(1/T)`; `None` if there is none. Takes one number from the
/// generator whatever the weights.
pub(crate) fn draw(rng: &mut ChaCha8Rng, from: &[(usize, f64)], temperature: f64) -> Option<usize> {
    // The upper 53 bits, as a number in [0, 1).
    let mut left = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let logits: Vec<f64> = from.iter().map(|(_, p)| p.ln() / temperature).collect();
    for ((index, _), share) in from.iter().zip(softmax(&logits)) {
        left -= share;
        if left < 0.0 {
            return Some(*index);
        }
    }
    // Rounding may leave a little over.
    from.last().map(|(index, _)| *index)
}

/// Draws `count` times and gives the distinct indices, in the order of the pairs.
pub(crate) fn draw_distinct(
    rng: &mut ChaCha8Rng,
    from: &[(usize, f64)],
    temperature: f64,
    count: usize,
) -> Vec<usize> {
    let mut drawn: Vec<usize> = (0..count).filter_map(|_| draw(rng, from, temperature)).collect();
    drawn.sort_unstable();
    drawn.dedup();
    drawn
}

#[cfg(test)]
mod tests {
    use scaletot_core::seed::numbered;

    use super::*;

    #[test]
    fn shares_follow_the_probabilities() {
        let from = [(3, 0.7), (5, 0.2), (9, 0.1)];
        let mut rng = numbered(1, 0);
        let mut counts = [0_u32; 10];
        (0..20_000).filter_map(|_| draw(&mut rng, &from, 1.0)).for_each(|i| counts[i] += 1);
        for (index, p) in from {
            // Five standard errors.
            assert!(
                (f64::from(counts[index]) / 20_000.0 - p).abs() < 5.0 * (p * (1.0 - p) / 20_000.0).sqrt()
            );
        }
        assert_eq!(draw(&mut rng, &[], 1.0), None);
    }

    #[test]
    fn a_low_temperature_takes_the_most_probable_and_a_high_one_does_not_care() {
        let from = [(0, 0.6), (1, 0.4)];
        let mut rng = numbered(2, 0);
        assert!((0..500).all(|_| draw(&mut rng, &from, 0.01) == Some(0)));
        let second = (0..20_000).filter(|_| draw(&mut rng, &from, 100.0) == Some(1)).count();
        assert!((9_600..10_400).contains(&second), "{second}");
    }
}
