//! Batches: shuffled rows, field-dropout copies, dropout masks.

use ndarray::Array2;
use rand::RngExt;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::data::TrainingData;
use super::loss::{Labelled, Reasoned};
use super::rng::{Stream, stream};
use crate::config::DistillConfig;
use crate::error::Result;
use crate::features::Features;

/// What one step is computed from.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) features: Features,
    pub(super) labelled: Labelled,
    pub(super) reasoned: Reasoned,
}

impl Batch {
    /// The named indices of the training data, with fields dropped (flags per index and field, or none at all).
    pub(super) fn new(
        data: &TrainingData,
        features: &Features,
        states: &[usize],
        indices: &[usize],
        dropped: &[bool],
    ) -> Result<Self> {
        let outcomes: Vec<Option<f64>> = indices.iter().map(|&index| data.outcomes[index]).collect();
        let users: Vec<Option<usize>> = indices.iter().map(|&index| data.signal_of[index]).collect();
        Ok(Self {
            features: features.gather(indices, dropped)?,
            labelled: Labelled::new(&outcomes)?,
            reasoned: Reasoned::new(&data.posteriors, &data.representations, states, &users)?,
        })
    }
}

/// Draws the batches of all epochs from the seed.
#[derive(Debug)]
pub(super) struct Sampler {
    order: ChaCha8Rng,
    fields: ChaCha8Rng,
    units: ChaCha8Rng,
    hard: ChaCha8Rng,
    hard_users: f64,
    copies: usize,
    field_dropout: f64,
    dropout: f64,
    keep: usize,
}

impl Sampler {
    /// `keep` is how many populated fields a copy keeps at least.
    pub(super) fn new(config: &DistillConfig, keep: usize, seed: u64) -> Self {
        Self {
            order: stream(seed, Stream::Order),
            fields: stream(seed, Stream::Fields),
            units: stream(seed, Stream::Units),
            hard: stream(seed, Stream::Hard),
            hard_users: config.hard_users,
            copies: if config.field_dropout > 0.0 { config.copies } else { 0 },
            field_dropout: config.field_dropout,
            dropout: config.dropout,
            keep: keep.max(1),
        }
    }

    /// Items of an epoch over `rows` rows.
    pub(super) fn items(&self, rows: usize) -> usize {
        rows * (1 + self.copies)
    }

    /// An epoch's items in a new order: indices and whether the item is a copy. Where losses of the indices are known, a
    /// share of the items is replaced by draws from them, copies among them as often as among the others.
    pub(super) fn epoch(
        &mut self,
        indices: &[usize],
        losses: Option<&WeightedIndex<f64>>,
    ) -> Vec<(usize, bool)> {
        let mut items: Vec<(usize, bool)> =
            indices.iter().flat_map(|&index| (0..=self.copies).map(move |copy| (index, copy > 0))).collect();
        items.shuffle(&mut self.order);
        if let Some(losses) = losses {
            let drawn = (self.hard_users * items.len() as f64).round() as usize;
            for item in items.iter_mut().take(drawn) {
                let index = indices[losses.sample(&mut self.hard)];
                *item = (index, self.hard.random_range(0..=self.copies) > 0);
            }
            items.shuffle(&mut self.hard);
        }
        items
    }

    /// Flags per item and field: which fields of the copies are made missing.
    pub(super) fn dropped(&mut self, features: &Features, items: &[(usize, bool)]) -> Vec<bool> {
        let fields = features.columns().len();
        let mut flags = vec![false; items.len() * fields];
        for (&(index, copy), flags) in items.iter().zip(flags.chunks_mut(fields.max(1))) {
            if !copy {
                continue;
            }
            let mut populated: Vec<usize> =
                (0..fields).filter(|&field| features.is_missing(index, field) == Some(false)).collect();
            // In a random order, so that no field is favoured by the number that has to stay.
            populated.shuffle(&mut self.fields);
            for &field in populated.iter().skip(self.keep) {
                flags[field] = self.fields.random_bool(self.field_dropout);
            }
        }
        flags
    }

    /// A mask per trunk layer: 0 with probability `dropout`, else `1 / (1 − dropout)`.
    pub(super) fn masks(&mut self, rows: usize, hidden: &[usize]) -> Vec<Array2<f32>> {
        if self.dropout == 0.0 {
            return Vec::new();
        }
        let kept = (1.0 / (1.0 - self.dropout)) as f32;
        let mut draw = || if self.units.random_bool(self.dropout) { 0.0 } else { kept };
        hidden.iter().map(|&width| Array2::from_shape_simple_fn((rows, width), &mut draw)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Column;
    use proptest::prelude::*;

    /// Four fields of two values, some missing (2).
    fn features(cells: &[[u32; 4]]) -> Features {
        let column = |field: usize| Column::Index(cells.iter().map(|row| row[field]).collect());
        let populated = cells.iter().map(|row| row.iter().filter(|&&cell| cell < 2).count() as u32).collect();
        Features::new(cells.len(), (0..4).map(column).collect(), vec![3; 4], populated)
    }

    fn sampler(field_dropout: f64, dropout: f64, keep: usize, seed: u64) -> Sampler {
        Sampler::new(
            &DistillConfig { field_dropout, dropout, copies: 2, ..DistillConfig::default() },
            keep,
            seed,
        )
    }

    proptest! {
        #[test]
        fn copies_keep_enough_fields_and_originals_keep_all(
            cells in prop::collection::vec(prop::array::uniform4(0u32..3), 1..20),
            dropout in 0.01f64..=1.0, keep in 0usize..4, seed in 0u64..99,
        ) {
            let features = features(&cells);
            let mut sampler = sampler(dropout, 0.0, keep, seed);
            let items = sampler.epoch(&(0..cells.len()).collect::<Vec<_>>(), None);
            prop_assert_eq!(items.len(), sampler.items(cells.len()));
            let dropped = sampler.dropped(&features, &items);
            let indices: Vec<usize> = items.iter().map(|item| item.0).collect();
            let taken = features.gather(&indices, &dropped).unwrap();
            for (i, &(index, copy)) in items.iter().enumerate() {
                let before = features.populated()[index] as usize;
                let after = taken.populated()[i] as usize;
                prop_assert!(after <= before && after >= before.min(keep.max(1)));
                prop_assert!(copy || after == before);
                if dropout == 1.0 && copy {
                    prop_assert_eq!(after, before.min(keep.max(1)));
                }
            }
        }

        #[test]
        fn an_epoch_takes_every_row_equally_often(n in 1usize..30, seed in 0u64..99) {
            let mut sampler = sampler(0.5, 0.0, 1, seed);
            let mut items = sampler.epoch(&(0..n).collect::<Vec<_>>(), None);
            items.sort_unstable();
            let expected: Vec<_> = (0..n).flat_map(|index| [(index, false), (index, true), (index, true)]).collect();
            prop_assert_eq!(items, expected);
        }
    }

    #[test]
    fn hard_users_are_drawn_in_proportion_to_their_losses() {
        let config =
            DistillConfig { hard_users: 0.5, field_dropout: 0.3, copies: 1, ..DistillConfig::default() };
        // Indices are not numbers from 0: the third of them has all the loss of the first two together.
        let (indices, losses) = ([5, 3, 8, 1], WeightedIndex::new([1.0, 1.0, 2.0, 0.0]).unwrap());
        let mut sampler = Sampler::new(&config, 1, 3);
        let epochs = 2_000;
        let (mut counts, mut copies) = ([0usize; 4], 0);
        for _ in 0..epochs {
            let items = sampler.epoch(&indices, Some(&losses));
            assert_eq!(items.len(), 8);
            for (index, copy) in items {
                counts[indices.iter().position(|&p| p == index).unwrap()] += 1;
                copies += usize::from(copy);
            }
        }
        // Half of the eight items come one after the other, the others by their losses.
        let shares = counts.map(|count| count as f64 / (8 * epochs) as f64);
        for (found, expected) in shares.iter().zip([0.25, 0.25, 0.375, 0.125]) {
            assert!((found - expected).abs() < 0.01, "{shares:?}");
        }
        assert!((copies as f64 / (8 * epochs) as f64 - 0.5).abs() < 0.01);
        let again = |losses| Sampler::new(&config, 1, 3).epoch(&indices, losses);
        assert_eq!(again(Some(&losses)), again(Some(&losses)));
        let none = DistillConfig { hard_users: 0.0, ..config.clone() };
        assert_eq!(Sampler::new(&none, 1, 3).epoch(&indices, None), again(None));
    }

    #[test]
    fn dropout_keeps_the_mean() {
        let mask = &sampler(0.0, 0.25, 1, 3).masks(200, &[50])[0];
        assert!((mask.mean().unwrap() - 1.0).abs() < 0.02, "{:?}", mask.mean());
        assert!(mask.iter().all(|&m| m == 0.0 || (m - 4.0 / 3.0).abs() < 1e-6));
        assert!(sampler(0.0, 0.0, 1, 3).masks(200, &[50]).is_empty());
    }

    #[test]
    fn no_field_dropout_means_no_copies() {
        assert_eq!(sampler(0.0, 0.0, 1, 3).items(10), 10);
    }
}
