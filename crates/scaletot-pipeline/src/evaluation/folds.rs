//! Who is trained on, who is tested, and whose outcomes are known: folds over users and draws of labels.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use scaletot_core::seed::stream;
use scaletot_profile::Dataset;

use super::results::Labels;

/// One fold of one repeat. Rows are ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fold {
    /// Repeat, from 0.
    pub repeat: usize,
    /// Fold, from 0.
    pub fold: usize,
    /// Rows that may be trained on.
    pub train: Vec<usize>,
    /// Rows that are tested; nothing else sees their outcomes.
    pub test: Vec<usize>,
}

/// The labelled training users of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draw {
    /// Number asked for.
    pub(super) labels: Labels,
    /// Draw, from 0.
    pub(super) draw: usize,
    /// Rows with a label, ascending; empty for no labels at all.
    pub(super) rows: Vec<usize>,
}

/// Numbers of labels above this are drawn once per fold.
const MANY: usize = 1000;

/// Splits `rows` of a dataset into `folds` parts of equal size, again for every repeat. Rows of one group stay together.
pub(super) fn folds(dataset: &Dataset, rows: &[usize], folds: usize, repeats: usize, seed: u64) -> Vec<Fold> {
    let mut units: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &row in rows {
        // Without groups every user is one.
        units.entry(dataset.groups().map_or(row, |groups| groups[row])).or_default().push(row);
    }
    let units: Vec<Vec<usize>> = units.into_values().collect();
    let mut all = Vec::with_capacity(folds * repeats);
    for repeat in 0..repeats {
        let mut order: Vec<usize> = (0..units.len()).collect();
        order.shuffle(&mut stream(seed, &[1, repeat as u64]));
        for fold in 0..folds {
            let (mut train, mut test) = (Vec::new(), Vec::new());
            for (place, &unit) in order.iter().enumerate() {
                if place % folds == fold { &mut test } else { &mut train }.extend(&units[unit]);
            }
            train.sort_unstable();
            test.sort_unstable();
            all.push(Fold { repeat, fold, train, test });
        }
    }
    all
}

/// The draws of labelled users among a fold's labelled training rows: the same for every arm, larger numbers holding smaller ones.
pub(super) fn draws(fold: &Fold, labelled: &[usize], sizes: &[usize], draws: usize, seed: u64) -> Vec<Draw> {
    let mut all = Vec::new();
    for draw in 0..draws.max(1) {
        let mut order = labelled.to_vec();
        order.shuffle(&mut stream(seed, &[2, fold.repeat as u64, fold.fold as u64, draw as u64]));
        for &size in sizes.iter().filter(|&&size| size < labelled.len()) {
            // No labels leave nothing to draw, and many labels differ little between draws.
            if draw == 0 || (size > 0 && size <= MANY) {
                let mut rows = order[..size].to_vec();
                rows.sort_unstable();
                all.push(Draw { labels: Labels::Count(size), draw, rows });
            }
        }
    }
    all.push(Draw { labels: Labels::All, draw: 0, rows: labelled.to_vec() });
    all.sort_by_key(|draw| (draw.labels, draw.draw));
    all
}

#[cfg(test)]
mod tests {
    use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};

    use super::*;

    /// Users without any outcome.
    fn users(users: usize) -> Dataset {
        let schema = ProfileSchema::builder("t").with_field(FieldSpec::numeric("x")).build().unwrap();
        let mut table = TableBuilder::new(schema);
        for id in 0..users as i64 {
            table.push_text(id, &["1"]).unwrap();
        }
        Dataset::from(table.finish())
    }

    #[test]
    fn every_user_is_tested_once_per_repeat() {
        let rows: Vec<usize> = (0..101).collect();
        let all = folds(&users(101), &rows, 5, 2, 7);
        assert_eq!(all.len(), 10);
        for repeat in 0..2 {
            let mut tested: Vec<usize> =
                all.iter().filter(|f| f.repeat == repeat).flat_map(|f| f.test.clone()).collect();
            tested.sort_unstable();
            assert_eq!(tested, rows);
        }
        for fold in &all {
            assert!(fold.test.iter().all(|row| !fold.train.contains(row)));
            assert_eq!(fold.test.len() + fold.train.len(), 101);
        }
        assert_ne!(all[0].test, all[5].test);
    }

    #[test]
    fn groups_stay_together() {
        let rows: Vec<usize> = (0..60).collect();
        let groups: Vec<usize> = rows.iter().map(|row| row / 3).collect();
        let dataset = users(60).into_builder().with_groups(groups).build().unwrap();
        for fold in folds(&dataset, &rows, 4, 1, 1) {
            assert!(fold.test.iter().all(|row| fold.test.contains(&(row / 3 * 3))));
        }
    }

    #[test]
    fn larger_draws_hold_smaller_ones() {
        let fold = folds(&users(4000), &(0..4000).collect::<Vec<_>>(), 2, 1, 3).remove(0);
        let labelled = fold.train.clone();
        let all = draws(&fold, &labelled, &[0, 50, 200, 1500, 5000], 3, 3);
        let count = |labels| all.iter().filter(|draw| draw.labels == labels).count();
        assert_eq!(count(Labels::Count(0)), 1);
        assert_eq!(count(Labels::Count(50)), 3);
        assert_eq!(count(Labels::Count(1500)), 1);
        assert_eq!(count(Labels::Count(5000)), 0, "the fold has no more than 2,000");
        assert_eq!(count(Labels::All), 1);
        let of = |labels, draw| all.iter().find(|d| d.labels == labels && d.draw == draw).unwrap();
        let (small, large) = (of(Labels::Count(50), 1), of(Labels::Count(200), 1));
        assert!(small.rows.iter().all(|row| large.rows.contains(row)));
        assert_ne!(small.rows, of(Labels::Count(50), 2).rows);
    }
}
