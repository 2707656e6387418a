//! The chains that a sum runs over, and their features.

use std::collections::BTreeSet;

use scaletot_core::config::check;

use crate::{Error, Result};

/// Most chains of a set: what has more is sampled, and the candidates are the set.
const MAX_CHAINS: usize = 1 << 20;
/// Most values of all states together.
const MAX_VALUES: usize = 4_096;

/// The chains that sums over chains run over: all legal ones where they can be enumerated, else every candidate of any user.
///
/// A chain is one value per state; `K` states have `V_k` values each. A user's probabilities are given over the whole set, or over
/// some of it ([`ChainRow`](super::ChainRow)).
///
/// ```
/// use scaletot_osipo::evidence::ChainSet;
///
/// let all = ChainSet::all(vec![2, 3])?; // in the order (0,0), (0,1), (0,2), (1,0) …
/// assert_eq!((all.len(), all.chain(4)), (6, &[1, 1][..]));
/// let legal = ChainSet::new(vec![2, 3], all.iter().filter(|chain| chain[0] <= chain[1]).map(<[usize]>::to_vec).collect())?;
/// assert_eq!(legal.len(), 5);
/// # Ok::<(), scaletot_osipo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainSet {
    sizes: Vec<usize>,
    /// Row-major `[C, K]`.
    values: Vec<usize>,
    /// Index of each chain's values among all values, row-major `[C, K]`.
    singles: Vec<usize>,
}

impl ChainSet {
    /// A set of chains over states of these sizes.
    ///
    /// # Errors
    /// [`Error::Config`] for no state, a state without a value, more than 4,096 values or 1,048,576 chains; [`Error::Empty`] for no chain,
    /// [`Error::Shape`] for a chain of another length, [`Error::OutOfRange`] for a value that its state does not have, and
    /// [`Error::RepeatedChain`] for a chain that is there twice.
    pub fn new(sizes: Vec<usize>, chains: Vec<Vec<usize>>) -> Result<Self> {
        check_sizes(&sizes)?;
        if chains.is_empty() {
            return Err(Error::Empty { what: "chains" });
        }
        check(chains.len() <= MAX_CHAINS, "chains", "at most 1048576", chains.len())?;
        let mut seen = BTreeSet::new();
        for (row, chain) in chains.iter().enumerate() {
            if chain.len() != sizes.len() {
                let expected = format!("{} values in chain {row}", sizes.len());
                return Err(Error::Shape { what: "chain", expected, found: chain.len().to_string() });
            }
            if let Some((&index, &bound)) = chain.iter().zip(&sizes).find(|(value, size)| value >= size) {
                return Err(Error::OutOfRange { what: "value of a state of a chain", row, index, bound });
            }
            if !seen.insert(chain) {
                return Err(Error::RepeatedChain { chain: row });
            }
        }
        let values: Vec<usize> = chains.concat();
        Ok(Self::from_values(sizes, values))
    }

    /// All combinations of the values, the last state's changing fastest.
    ///
    /// # Errors
    /// As [`ChainSet::new`].
    pub fn all(sizes: Vec<usize>) -> Result<Self> {
        check_sizes(&sizes)?;
        let count = sizes.iter().try_fold(1_usize, |all, &size| all.checked_mul(size));
        let found = count.map_or_else(|| "more".to_owned(), |count| count.to_string());
        check(count.is_some_and(|count| count <= MAX_CHAINS), "chains", "at most 1048576", found)?;
        let mut values = Vec::new();
        for chain in 0..count.unwrap_or(0) {
            let start = values.len();
            let mut rest = chain;
            for &size in sizes.iter().rev() {
                values.push(rest % size);
                rest /= size;
            }
            values[start..].reverse();
        }
        Ok(Self::from_values(sizes, values))
    }

    fn from_values(sizes: Vec<usize>, values: Vec<usize>) -> Self {
        let first: Vec<usize> = sizes
            .iter()
            .scan(0, |next, &size| {
                let first = *next;
                *next += size;
                Some(first)
            })
            .collect();
        let states = sizes.len();
        let singles = values.iter().enumerate().map(|(at, value)| first[at % states] + value).collect();
        Self { sizes, values, singles }
    }

    /// Number of chains, C.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.sizes.len()
    }

    /// Whether there is none (never).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Number of states, K.
    #[must_use]
    pub fn states(&self) -> usize {
        self.sizes.len()
    }

    /// Number of values of each state.
    #[must_use]
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The values of a chain, `[K]`.
    ///
    /// # Panics
    /// For a chain that is not in the set.
    #[must_use]
    pub fn chain(&self, chain: usize) -> &[usize] {
        &self.values[chain * self.states()..][..self.states()]
    }

    /// The chains in their order.
    pub fn iter(&self) -> impl Iterator<Item = &[usize]> {
        self.values.chunks_exact(self.states())
    }

    /// Number of values of all states together.
    pub(crate) fn value_count(&self) -> usize {
        self.sizes.iter().sum()
    }

    /// The chain's values, counted through all states.
    pub(crate) fn singles(&self, chain: usize) -> &[usize] {
        &self.singles[chain * self.states()..][..self.states()]
    }

    /// Number of pairs of values of two states each.
    pub(crate) fn pair_count(&self) -> usize {
        let squares: usize = self.sizes.iter().map(|size| size * size).sum();
        (self.value_count().pow(2) - squares) / 2
    }

    /// Features of every chain, row-major: its values, then, if `pairs`, its pairs of values; and how many each chain has.
    pub(crate) fn features(&self, pairs: bool) -> (Vec<usize>, usize) {
        let states = self.states();
        let width = states + if pairs { states * (states - 1) / 2 } else { 0 };
        let mut features = Vec::with_capacity(self.len() * width);
        for (chain, values) in self.iter().enumerate() {
            features.extend_from_slice(self.singles(chain));
            let mut first = self.value_count();
            for later in (0..states).filter(|_| pairs) {
                for earlier in 0..later {
                    features.push(first + values[earlier] * self.sizes[later] + values[later]);
                    first += self.sizes[earlier] * self.sizes[later];
                }
            }
        }
        (features, width)
    }
}

fn check_sizes(sizes: &[usize]) -> Result<()> {
    check(!sizes.is_empty(), "sizes", "at least one state", "none")?;
    check(sizes.iter().all(|&size| size > 0), "sizes", "at least one value in each state", "0")?;
    let sum = sizes.iter().try_fold(0_usize, |sum, &size| sum.checked_add(size));
    let found = sum.map_or_else(|| "more".to_owned(), |sum| sum.to_string());
    Ok(check(sum.is_some_and(|sum| sum <= MAX_VALUES), "sizes", "at most 4096 values in all", found)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_that_do_not_fit_are_refused() {
        let new = |chains: &[&[usize]]| {
            ChainSet::new(vec![2, 3], chains.iter().map(|chain| chain.to_vec()).collect())
        };
        assert!(new(&[&[1, 2], &[0, 0]]).is_ok());
        assert!(matches!(new(&[]), Err(Error::Empty { .. })));
        assert!(matches!(new(&[&[0]]), Err(Error::Shape { .. })));
        assert!(matches!(
            new(&[&[0, 0], &[0, 3]]),
            Err(Error::OutOfRange { row: 1, index: 3, bound: 3, .. })
        ));
        assert!(matches!(new(&[&[0, 0], &[0, 0]]), Err(Error::RepeatedChain { chain: 1 })));
        for bad in [vec![], vec![2, 0], vec![usize::MAX, 2], vec![1_024; 4], vec![64; 60]] {
            assert!(matches!(ChainSet::all(bad.clone()), Err(Error::Config(_))), "{bad:?}");
        }
    }

    #[test]
    fn every_pair_of_values_is_a_feature_of_its_own() {
        let chains = ChainSet::all(vec![2, 3, 2]).unwrap();
        let (features, width) = chains.features(true);
        assert_eq!((width, chains.value_count(), chains.pair_count()), (6, 7, 6 + 4 + 6));
        let distinct: BTreeSet<usize> = features.iter().copied().collect();
        assert_eq!(distinct, (0..23).collect());
    }
}
