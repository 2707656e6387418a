//! Profiles that repeat are encoded once: sparse profiles of few fields have few forms.
//!
//! Exact: an encoder gives equal features equal scores to the bit, wherever they stand in a batch, and features are compared as they are;
//! hashes only tell where to look.

use std::ops::Range;

use crate::features::{Column, Features};

/// Whether profiles that repeat within a batch are encoded once. Scores do not depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deduplication {
    /// Where it pays: in batches of 1,024 profiles or more, of which at most half of a sample of 512 are distinct. More profiles repeat in
    /// the batch than in the sample.
    #[default]
    Auto,
    /// In every batch.
    Always,
    /// In none.
    Never,
}

/// Least batch that is looked at, and how many of its profiles tell whether the others are.
const MIN_BATCH: usize = 1024;
const SAMPLE: usize = 512;

/// Slots that are looked at for one profile. Where they are all taken by others it counts as distinct: no input is slow.
const PROBES: usize = 8;

/// No profile.
const EMPTY: u32 = u32::MAX;

/// The distinct rows of some features.
#[derive(Debug, PartialEq)]
pub(crate) struct Distinct {
    /// The first row of each kind.
    pub(crate) first: Vec<usize>,
    /// Per row, the kind it is of.
    pub(crate) kinds: Vec<u32>,
}

impl Deduplication {
    /// The distinct rows, if rows are to be scored once each.
    pub(crate) fn of(self, features: &Features) -> Option<Distinct> {
        let n = features.len();
        // Places are held in 32 bits.
        let possible = n > 1 && u32::try_from(n).is_ok_and(|n| n < EMPTY);
        let pays = || {
            let every = n / SAMPLE;
            n >= MIN_BATCH && Distinct::of(features, (0..SAMPLE).map(|i| i * every)).first.len() * 2 <= SAMPLE
        };
        match self {
            Self::Never => None,
            Self::Always => possible.then(|| Distinct::of(features, 0..n)),
            Self::Auto => (possible && pays()).then(|| Distinct::of(features, 0..n)),
        }
    }
}

impl Distinct {
    fn of(features: &Features, rows: impl ExactSizeIterator<Item = usize> + Clone) -> Self {
        let mut hashes = vec![0u64; rows.len()];
        features.columns().iter().for_each(|column| mix(column, rows.clone(), &mut hashes));
        for hard in features.all_hard_bins() {
            let pairs = hashes.iter_mut().zip(rows.clone());
            pairs.for_each(|(hash, row)| *hash = mixed(*hash, hard.bins[row]));
        }
        let mut slots = vec![EMPTY; (2 * rows.len()).next_power_of_two()];
        let mask = slots.len() - 1;
        let mut found = Self { first: vec![], kinds: Vec::with_capacity(rows.len()) };
        let mut kind_hashes: Vec<u64> = vec![];
        for (row, &hash) in rows.zip(&hashes) {
            // The best mixed bits of a product are its highest.
            let start = (hash >> 32) as usize;
            let mut kind = None;
            for probe in 0..PROBES {
                let slot = &mut slots[(start + probe) & mask];
                if *slot == EMPTY {
                    *slot = found.first.len() as u32;
                    break;
                }
                let other = *slot as usize;
                if kind_hashes[other] == hash && same(features, found.first[other], row) {
                    kind = Some(*slot);
                    break;
                }
            }
            found.kinds.push(kind.unwrap_or_else(|| {
                found.first.push(row);
                kind_hashes.push(hash);
                found.first.len() as u32 - 1
            }));
        }
        found
    }
}

fn mixed(hash: u64, value: u32) -> u64 {
    // 2⁶⁴ over the golden ratio.
    let product = (hash ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 29)
}

fn mix(column: &Column, rows: impl Iterator<Item = usize>, hashes: &mut [u64]) {
    let pairs = hashes.iter_mut().zip(rows);
    match column {
        Column::Index(codes) => pairs.for_each(|(hash, row)| *hash = mixed(*hash, codes[row])),
        Column::Piecewise(positions) => {
            pairs.for_each(|(hash, row)| *hash = mixed(*hash, positions[row].to_bits()));
        }
        Column::Bag { offsets, indices } => pairs.for_each(|(hash, row)| {
            let set = &indices[offsets[row]..offsets[row + 1]];
            // The end of a set counts too.
            *hash = set.iter().chain([&EMPTY]).fold(*hash, |hash, &code| mixed(hash, code));
        }),
    }
}

fn same(features: &Features, a: usize, b: usize) -> bool {
    features.columns().iter().all(|column| match column {
        Column::Index(codes) => codes[a] == codes[b],
        Column::Piecewise(positions) => positions[a].to_bits() == positions[b].to_bits(),
        Column::Bag { offsets, indices } => {
            let set = |row: usize| -> Range<usize> { offsets[row]..offsets[row + 1] };
            indices[set(a)] == indices[set(b)]
        }
    }) && features.all_hard_bins().all(|hard| hard.bins[a] == hard.bins[b])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn features(rows: &[(u32, f32, Vec<u32>)]) -> Features {
        let mut offsets = vec![0];
        let mut indices = vec![];
        for (_, _, set) in rows {
            indices.extend(set);
            offsets.push(indices.len());
        }
        let columns = vec![
            Column::Index(rows.iter().map(|row| row.0).collect()),
            Column::Piecewise(rows.iter().map(|row| row.1).collect()),
            Column::Bag { offsets, indices },
        ];
        Features::new(rows.len(), columns, vec![4, 4, 4], vec![3; rows.len()])
    }

    proptest! {
        #[test]
        fn every_row_is_of_its_kind_and_kinds_are_few(
            rows in prop::collection::vec((0u32..3, prop_oneof![Just(-1.0f32), Just(0.5)], prop::collection::vec(0u32..3, 0..2)), 1..200),
        ) {
            let features = features(&rows);
            let found = Distinct::of(&features, 0..rows.len());
            for (row, &kind) in found.kinds.iter().enumerate() {
                prop_assert_eq!(&rows[found.first[kind as usize]], &rows[row]);
            }
            let key = |row: &(u32, f32, Vec<u32>)| (row.0, row.1.to_bits(), row.2.clone());
            let kinds: std::collections::HashSet<_> = rows.iter().map(key).collect();
            prop_assert_eq!(found.first.len(), kinds.len());
        }
    }

    #[test]
    fn only_batches_that_repeat_are_worth_it() {
        let rows = |n: u32, kinds: u32| {
            let cells: Vec<_> =
                (0..n).map(|row| (0, (row.wrapping_mul(2_654_435_761) % kinds) as f32, vec![])).collect();
            features(&cells)
        };
        assert!(Deduplication::Auto.of(&rows(4096, 100)).is_some());
        assert!(Deduplication::Auto.of(&rows(4096, 100_000)).is_none());
        assert!(Deduplication::Auto.of(&rows(512, 1)).is_none());
        assert!(Deduplication::Always.of(&rows(512, 1)).is_some());
        assert!(Deduplication::Never.of(&rows(4096, 1)).is_none());
    }
}
