//! Labelled users in parts: what is predicted of a part is learned from the others.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Deals `rows` out to `parts` parts at random, the same for the same rows and seed. Rows with the same number in `groups` (by row) stay
/// together.
pub(crate) fn parts(rows: &[usize], groups: Option<&[usize]>, parts: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut units: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &row in rows {
        units.entry(groups.map_or(row, |groups| groups[row])).or_default().push(row);
    }
    let mut units: Vec<Vec<usize>> = units.into_values().collect();
    units.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    (0..parts).map(|part| units.iter().skip(part).step_by(parts).flatten().copied().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_everybody_once() {
        let parts = parts(&(0..23).collect::<Vec<_>>(), None, 5, 4);
        let mut all: Vec<usize> = parts.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..23).collect::<Vec<_>>());
        assert!(parts.iter().all(|part| part.len() >= 4));
    }

    #[test]
    fn groups_stay_in_one_part() {
        let rows: Vec<usize> = (0..40).collect();
        let groups: Vec<usize> = rows.iter().map(|row| row / 4).collect();
        for part in parts(&rows, Some(&groups), 5, 1) {
            assert!(!part.is_empty() && part.iter().all(|row| part.contains(&(row / 4 * 4))));
        }
    }
}
