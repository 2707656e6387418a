//! Independent streams of random numbers from one seed.
//!
//! Each use draws from a stream of its own, so that a change in one (say more dropout) leaves the others (say the split) as
//! they were: runs that are compared differ in what was meant to differ. The generator is ChaCha8, whose numbers are fixed
//! across releases and machines.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The generator for one purpose, named by a path of numbers: `[purpose, fold, draw]`.
///
/// The path is mixed into the seed by splitmix64 (Steele, Lea and Flood, OOPSLA 2014), so that nearby numbers give
/// unrelated streams and the order of the parts counts.
///
/// ```
/// use rand_chacha::rand_core::Rng;
/// use scaletot_core::seed::stream;
///
/// assert_eq!(stream(7, &[1, 2]).next_u64(), stream(7, &[1, 2]).next_u64());
/// assert_ne!(stream(7, &[1, 2]).next_u64(), stream(7, &[2, 1]).next_u64());
/// ```
#[must_use]
pub fn stream(seed: u64, path: &[u64]) -> ChaCha8Rng {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    for &part in path {
        state = state.wrapping_add(part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^= state >> 31;
    }
    ChaCha8Rng::seed_from_u64(state)
}

/// The `number`-th of the 2⁶⁴ streams that ChaCha8 itself has for a seed: they never overlap. Number 0 is the generator
/// that the seed alone gives.
///
/// ```
/// use rand_chacha::rand_core::Rng;
/// use scaletot_core::seed::numbered;
///
/// assert_ne!(numbered(7, 0).next_u64(), numbered(7, 1).next_u64());
/// ```
#[must_use]
pub fn numbered(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::rand_core::Rng;

    /// Published results depend on these numbers.
    #[test]
    fn numbers_are_fixed() {
        assert_eq!(stream(7, &[1, 2]).next_u64(), 2_393_836_761_569_874_529);
        assert_eq!(stream(7, &[]).next_u64(), 8_764_653_347_704_952_355);
        assert_eq!(numbered(7, 3).next_u64(), 3_348_856_302_973_006_449);
        assert_eq!(numbered(7, 0), ChaCha8Rng::seed_from_u64(7));
    }

    proptest! {
        #[test]
        fn streams_repeat_and_differ(seed: u64, path in prop::collection::vec(any::<u64>(), 1..4), at in 0usize..4, by in 1u64..100) {
            let first = |path: &[u64]| stream(seed, path).next_u64();
            prop_assert_eq!(first(&path), first(&path));
            let mut other = path.clone();
            let at = at % path.len();
            other[at] = other[at].wrapping_add(by);
            prop_assert_ne!(first(&path), first(&other));
            prop_assert_ne!(numbered(seed, path[0]).next_u64(), numbered(seed, other[0].wrapping_add(1000)).next_u64());
        }
    }
}
