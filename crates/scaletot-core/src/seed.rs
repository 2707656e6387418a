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
    ChaCha8Rng::seed_from_u64(path.iter().fold(begin(seed), |state, &part| mix(state, part)))
}

fn begin(seed: u64) -> u64 {
    seed ^ 0x9e37_79b9_7f4a_7c15
}

fn mix(state: u64, part: u64) -> u64 {
    let mut state = state.wrapping_add(part).wrapping_add(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// The first number in [0, 1) of many streams whose paths differ in their last part: what `stream(seed, path + last).random::<f64>()` gives
/// for each, several times faster, since eight streams are computed at once and no more of each than is needed.
///
/// ```
/// use scaletot_core::seed::first_of_each;
///
/// let all = first_of_each(7, &[4, 2], [10, 11, 12]);
/// assert_eq!(all[1], first_of_each(7, &[4, 2], [11])[0]);
/// ```
#[must_use]
pub fn first_of_each(seed: u64, path: &[u64], last: impl IntoIterator<Item = u64>) -> Vec<f64> {
    let state = path.iter().fold(begin(seed), |state, &part| mix(state, part));
    let states: Vec<u64> = last.into_iter().map(|part| mix(state, part)).collect();
    let mut numbers = Vec::with_capacity(states.len());
    for chunk in states.chunks(LANES) {
        let mut lanes = [0; LANES];
        lanes[..chunk.len()].copy_from_slice(chunk);
        let first = first_words(lanes);
        // As `rand` makes a number in [0, 1) of 64 bits.
        numbers.extend(first[..chunk.len()].iter().map(|&word| (word >> 11) as f64 / (1_u64 << 53) as f64));
    }
    numbers
}

/// Streams that are computed at once.
const LANES: usize = 8;

/// The first 64 bits that ChaCha8 gives, seeded as `seed_from_u64` does (PCG32 makes the key of the 64 bits).
fn first_words(mut states: [u64; LANES]) -> [u64; LANES] {
    let mut block = [[0_u32; LANES]; 16];
    for (row, word) in [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574].into_iter().enumerate() {
        block[row] = [word; LANES];
    }
    for row in &mut block[4..12] {
        for (word, state) in row.iter_mut().zip(&mut states) {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(11_634_580_027_462_260_723);
            *word = ((((*state >> 18) ^ *state) >> 27) as u32).rotate_right((*state >> 59) as u32);
        }
    }
    let first = [block[0], block[1]];
    let [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15] = &mut block;
    for _ in 0..4 {
        quarter_round(s0, s4, s8, s12);
        quarter_round(s1, s5, s9, s13);
        quarter_round(s2, s6, s10, s14);
        quarter_round(s3, s7, s11, s15);
        quarter_round(s0, s5, s10, s15);
        quarter_round(s1, s6, s11, s12);
        quarter_round(s2, s7, s8, s13);
        quarter_round(s3, s4, s9, s14);
    }
    let word = |row: usize, lane: usize| u64::from(block[row][lane].wrapping_add(first[row][lane]));
    std::array::from_fn(|lane| word(0, lane) | (word(1, lane) << 32))
}

type Lanes = [u32; LANES];

#[inline(always)]
fn quarter_round(a: &mut Lanes, b: &mut Lanes, c: &mut Lanes, d: &mut Lanes) {
    add_and_turn::<16>(a, b, d);
    add_and_turn::<12>(c, d, b);
    add_and_turn::<8>(a, b, d);
    add_and_turn::<7>(c, d, b);
}

#[inline(always)]
fn add_and_turn<const BY: u32>(sum: &mut Lanes, added: &Lanes, turned: &mut Lanes) {
    for lane in 0..LANES {
        sum[lane] = sum[lane].wrapping_add(added[lane]);
        turned[lane] = (turned[lane] ^ sum[lane]).rotate_left(BY);
    }
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
        fn the_first_of_each_is_that_of_its_stream(seed: u64, path in prop::collection::vec(any::<u64>(), 0..3), last in prop::collection::vec(any::<u64>(), 0..20)) {
            let expected: Vec<f64> = last
                .iter()
                .map(|&part| {
                    let mut whole = path.clone();
                    whole.push(part);
                    (stream(seed, &whole).next_u64() >> 11) as f64 / (1_u64 << 53) as f64
                })
                .collect();
            prop_assert_eq!(first_of_each(seed, &path, last), expected);
        }

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
