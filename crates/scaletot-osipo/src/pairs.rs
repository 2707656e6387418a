//! Preference pairs: on the host, from the users and advantages of a batch.

use std::collections::BTreeMap;

use crate::Candidate;

/// All pairs `(c⁺, c⁻)` of the same user with `A⁺ > A⁻`; candidates without an advantage are in none.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Pairs {
    /// Candidate index of c⁺, per pair.
    pub(crate) winners: Vec<usize>,
    /// Candidate index of c⁻, per pair.
    pub(crate) losers: Vec<usize>,
    /// `A⁺ − A⁻ > 0`, per pair.
    pub(crate) gaps: Vec<f64>,
    /// Unordered pairs of the same user with equal advantages.
    pub(crate) ties: usize,
}

impl Pairs {
    pub(crate) fn find(candidates: &[Candidate]) -> Self {
        let mut pairs = Self::default();
        for rows in by_user(candidates).values() {
            let labelled: Vec<(usize, f64)> =
                rows.iter().filter_map(|&row| candidates[row].advantage.map(|a| (row, a))).collect();
            for (i, &(first, a)) in labelled.iter().enumerate() {
                for &(second, b) in &labelled[i + 1..] {
                    if a == b {
                        pairs.ties += 1;
                        continue;
                    }
                    let (winner, loser) = if a > b { (first, second) } else { (second, first) };
                    pairs.winners.push(winner);
                    pairs.losers.push(loser);
                    pairs.gaps.push((a - b).abs());
                }
            }
        }
        pairs
    }

    pub(crate) fn len(&self) -> usize {
        self.winners.len()
    }
}

/// The candidates that the SFT term holds on to, with weights that sum to 1 per user: those with the user's
/// largest advantage, equally where several share it, so that the order of candidates does not matter.
pub(crate) fn best_by_advantage(candidates: &[Candidate]) -> Vec<(usize, f64)> {
    let mut best = Vec::new();
    for rows in by_user(candidates).values() {
        let Some(top) = rows.iter().filter_map(|&row| candidates[row].advantage).reduce(f64::max) else {
            continue;
        };
        let tied: Vec<usize> =
            rows.iter().copied().filter(|&row| candidates[row].advantage == Some(top)).collect();
        best.extend(tied.iter().map(|&row| (row, 1.0 / tied.len() as f64)));
    }
    best
}

/// Candidate rows of each user.
pub(crate) fn by_user(candidates: &[Candidate]) -> BTreeMap<usize, Vec<usize>> {
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, Candidate { user, .. }) in candidates.iter().enumerate() {
        groups.entry(*user).or_default().push(row);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_stay_within_a_user_and_ties_are_counted() {
        let candidates =
            [(7, Some(1.0)), (7, Some(-1.0)), (3, Some(0.5)), (7, Some(1.0)), (3, None), (9, Some(4.0))];
        let pairs = Pairs::find(&candidates.map(|(user, advantage)| Candidate { user, advantage }));
        assert_eq!((pairs.winners, pairs.losers), (vec![0, 3], vec![1, 1]));
        assert_eq!((pairs.gaps, pairs.ties), (vec![2.0, 2.0], 1));
    }

    #[test]
    fn tied_best_chains_share() {
        let candidates = [(0, Some(2.0)), (0, Some(2.0)), (1, Some(0.0)), (1, Some(-1.0)), (2, None)];
        let best = best_by_advantage(&candidates.map(|(user, advantage)| Candidate { user, advantage }));
        assert_eq!(best, [(0, 0.5), (1, 0.5), (2, 1.0)]);
    }
}
