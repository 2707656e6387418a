//! How far a profile is from the training profiles, and abstention on those that are too far.
//!
//! A value that hardly any training profile had has an embedding that was hardly trained, and the network's outputs for it are guesses. The
//! distance is counted from the training histograms that every artifact holds. The *surprise* of a value is
//! `s = −ln((c + ½) / (N + 1))` for `c` of `N` training profiles that have it (the estimate of Krichevsky and Trofimov 1981 of its share);
//! in a multi-valued field the mean over the set. With mean `m` and variance `v` of a field's surprise over the training profiles that
//! have the field, a profile's distance is the standardised sum over its populated fields,
//!
//! ```text
//! D = Σ (s − m) / √(1 + Σ v)
//! ```
//!
//! around 0 and of a spread of about 1 for training profiles of any number of fields of single values; the 1, a squared nat, keeps fields whose values are
//! all as frequent from dividing by nothing. A field that no training profile had has `m = v = 0`. The formulation is this project's own.
//!
//! What it does not see:
//!
//! - *Unusual combinations of usual values.* Counts of pairs would, for a lookup per pair of fields. But they would have to travel with the
//!   artifact, grow with the product of two cardinalities, tell far more about single users than counts of values do, and in the few
//!   thousand profiles that a student has reasoned about most pairs of values are not there at all.
//! - *Numbers outside of the training range.* Features clamp them, as the network does, so they count as the nearest quantile bin; and
//!   bins hold about equally many profiles, so numbers matter little. A schema's ranges and [`drift`](crate::FrozenEncoder::drift) are for those.
//! - *Sets of many values* as well as single ones. `m` and `v` are those of single values, and the mean over a set varies less than `v`
//!   tells, so that such a field makes all distances of its schema smaller. A calibrated limit takes that into account, as a share of users.
//! - *Missing fields.* They are no surprise however rare: training drops fields on purpose, and whole blocks of them are missing together.
//!   `min_populated` is for those.

use std::ops::Range;

use scaletot_core::config::ConfigError;
use serde::{Deserialize, Serialize};

use crate::encoding::FieldEncoding;
use crate::error::{Error, Result};
use crate::features::{Column, Features};
use crate::featuriser::Featuriser;
use crate::histogram::FieldHistogram;

/// The distance from which on profiles are abstained on, and how it was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DistanceLimit {
    /// Profiles that are farther are abstained on.
    pub limit: f64,
    /// Share of held-out users that may be farther, in `[0, 1)`.
    pub share: f64,
    /// Held-out users it was found on, at least 1.
    pub users: usize,
    /// Those of them that are farther.
    pub abstained: usize,
}

impl DistanceLimit {
    /// The limit that at most a share of held-out users exceeds: the smallest of their distances for which this holds.
    pub(crate) fn calibrate(mut distances: Vec<f32>, share: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&share) {
            let expected = "a share in [0, 1)";
            return Err(ConfigError::new("share", expected, share).into());
        }
        distances.sort_by(f32::total_cmp);
        let users = distances.len();
        // Less than `users`, since the share is less than 1.
        let may = (share * users as f64) as usize;
        let Some(&limit) = users.checked_sub(1 + may).and_then(|at| distances.get(at)) else {
            return Err(Error::shape("held-out users with enough populated fields", "at least 1", users));
        };
        let abstained = distances.iter().filter(|&&distance| distance > limit).count();
        Ok(Self { limit: limit.into(), share, users, abstained })
    }

    /// Share of the held-out users that are abstained on, in `[0, 1)`.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.abstained as f64 / self.users.max(1) as f64
    }

    /// Checks a limit that was read from a file.
    pub(crate) fn check(&self) -> Result<()> {
        let fits = self.limit.is_finite()
            && (0.0..1.0).contains(&self.share)
            && self.abstained as f64 <= self.share * self.users as f64;
        if fits {
            return Ok(());
        }
        let expected = "a finite limit, a share in [0, 1) and at most that share of users abstained on";
        Err(Error::shape("distance limit", expected, format!("{self:?}")))
    }
}

/// A value's surprise above the mean, and the variance of the field's surprise.
type Excess = [f32; 2];

/// What a field's values add to a distance.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    /// By code or bin, then for missing, which adds nothing.
    values: Vec<Excess>,
    /// For a set without values, or a number where training had none.
    uncounted: Excess,
    /// Quantile bins that have no piece of the encoding: the one of the smallest number alone, if it has one.
    below: usize,
}

impl Field {
    fn new(encoding: &FieldEncoding, histogram: &FieldHistogram) -> Self {
        let surprise = |count: u64| -((count as f64 + 0.5) / (histogram.profiles as f64 + 1.0)).ln();
        let counts = || histogram.counts.iter().chain([&histogram.uncounted]).copied();
        let seen: f64 = counts().map(|count| count as f64).sum();
        let over = |of: &dyn Fn(f64) -> f64| {
            let sum: f64 = counts().map(|count| count as f64 * of(surprise(count))).sum();
            if seen > 0.0 { sum / seen } else { 0.0 }
        };
        let mean = over(&|surprise| surprise);
        let variance = over(&|surprise| (surprise - mean).powi(2));
        let excess = |count: u64| [(surprise(count) - mean) as f32, variance as f32];
        let values = histogram.counts.iter().map(|&count| excess(count)).chain([[0.0; 2]]).collect();
        let below = (histogram.counts.len() + 1).saturating_sub(encoding.width());
        Self { values, uncounted: excess(histogram.uncounted), below }
    }

    /// Of a position along the bins. Quantile bins hold their upper end, as positions round up.
    fn number(&self, position: f32) -> Excess {
        let bins = self.values.len() - 1;
        match (position < 0.0, bins.checked_sub(1)) {
            (true, _) => [0.0; 2],
            (false, None) => self.uncounted,
            (false, Some(last)) => {
                let whole = position as usize;
                // Rounding up by a function is a call on many processors.
                let up = whole + usize::from((whole as f32) < position);
                self.values[(up + self.below).saturating_sub(1).min(last)]
            }
        }
    }

    fn set(&self, codes: &[u32]) -> Excess {
        if codes.is_empty() {
            return self.uncounted;
        }
        let sum: f32 = codes.iter().map(|&code| self.values[code as usize][0]).sum();
        [sum / codes.len() as f32, self.values[codes[0] as usize][1]]
    }
}

/// The fields' surprises, ready for lookup.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Surprise(Vec<Field>);

impl Surprise {
    pub(crate) fn new(featuriser: &Featuriser, histograms: &[FieldHistogram]) -> Self {
        let fields = featuriser.fields().iter().zip(histograms);
        Self(fields.map(|(field, histogram)| Field::new(&field.encoding, histogram)).collect())
    }

    /// The distances of some rows of features that the featuriser made.
    pub(crate) fn distances(&self, features: &Features, rows: Range<usize>) -> Vec<f32> {
        let mut sums = vec![[0.0f32; 2]; rows.len()];
        for (field, column) in self.0.iter().zip(features.columns()) {
            let each = sums.iter_mut();
            let add = |(sum, [excess, variance]): (&mut Excess, Excess)| {
                *sum = [sum[0] + excess, sum[1] + variance];
            };
            match column {
                Column::Index(codes) => {
                    each.zip(codes[rows.clone()].iter().map(|&code| field.values[code as usize]))
                        .for_each(add);
                }
                Column::Piecewise(positions) => {
                    each.zip(positions[rows.clone()].iter().map(|&p| field.number(p))).for_each(add);
                }
                Column::Bag { offsets, indices } => {
                    let sets = offsets[rows.start..=rows.end].windows(2);
                    each.zip(sets.map(|ends| field.set(&indices[ends[0]..ends[1]]))).for_each(add);
                }
            }
        }
        sums.into_iter().map(|[excess, variance]| excess / (1.0 + variance).sqrt()).collect()
    }
}

/// A limit with what it takes to hold profiles against it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Novelty {
    surprise: Surprise,
    pub(crate) limit: DistanceLimit,
}

impl Novelty {
    pub(crate) fn new(surprise: Surprise, limit: DistanceLimit) -> Self {
        Self { surprise, limit }
    }

    /// Which of the rows are too far, counted from the first of them.
    pub(crate) fn too_far(&self, features: &Features, rows: Range<usize>) -> impl Iterator<Item = usize> {
        let limit = self.limit.limit;
        let distances = self.surprise.distances(features, rows).into_iter().enumerate();
        distances.filter(move |(_, distance)| f64::from(*distance) > limit).map(|(row, _)| row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder, Value};

    proptest! {
        #[test]
        fn at_most_the_share_is_beyond_the_limit(
            distances in prop::collection::vec(-5i8..5, 1..60), share in 0.0f64..1.0,
        ) {
            let distances: Vec<f32> = distances.into_iter().map(f32::from).collect();
            let limit = DistanceLimit::calibrate(distances.clone(), share).unwrap();
            limit.check().unwrap();
            prop_assert!(limit.rate() <= share && limit.users == distances.len());
            let beyond = |limit: f64| distances.iter().filter(|&&d| f64::from(d) > limit).count();
            prop_assert_eq!(beyond(limit.limit), limit.abstained);
            // The next smaller distance would be exceeded by too many.
            let smaller = distances.iter().map(|&d| f64::from(d)).filter(|&d| d < limit.limit).max_by(f64::total_cmp);
            prop_assert!(smaller.is_none_or(|smaller| beyond(smaller) as f64 > share * distances.len() as f64));
        }

        #[test]
        fn positions_find_the_bins_that_were_counted(
            training in prop::collection::vec(0u8..40, 1..80), new in prop::collection::vec(0u8..50, 1..40), bins in 1usize..12,
        ) {
            let schema = ProfileSchema::builder("test").with_field(FieldSpec::numeric("x")).build().unwrap();
            let table = |values: &[u8]| {
                let mut table = TableBuilder::new(schema.clone());
                for (id, &x) in values.iter().enumerate() {
                    table.push_values(id as i64, &[Some(Value::Number(x.into()))]).unwrap();
                }
                table.finish()
            };
            let (before, now) = (table(&training), table(&new));
            let featuriser = Featuriser::fit(&before, bins).unwrap();
            let FieldEncoding::Piecewise { quantiles: Some(quantiles) } = &featuriser.fields()[0].encoding else {
                panic!("a number is encoded in pieces");
            };
            let mut histograms = FieldHistogram::of(&featuriser, &before, &[]).unwrap();
            // Counts that tell the bins apart.
            histograms[0].profiles = 1 << 20;
            histograms[0].counts.iter_mut().zip(1..).for_each(|(count, bin)| *count = bin * bin);
            let field = Field::new(&featuriser.fields()[0].encoding, &histograms[0]);
            let rows: Vec<usize> = (0..new.len()).collect();
            let features = featuriser.transform(&now, &rows).unwrap();
            let Column::Piecewise(positions) = &features.columns()[0] else { panic!("positions") };
            for (&x, &position) in new.iter().zip(positions) {
                prop_assert_eq!(field.number(position), field.values[quantiles.bin(x.into())], "{} at {}", x, position);
            }
        }
    }

    fn histogram(counts: &[u64], missing: u64, uncounted: u64) -> FieldHistogram {
        serde_json::from_value(serde_json::json!({
            "name": "f", "counts": counts, "missing": missing, "uncounted": uncounted,
            "profiles": counts.iter().sum::<u64>() + missing + uncounted,
        }))
        .unwrap()
    }

    #[test]
    fn surprise_is_what_its_formula_says() {
        let field = Field::new(&FieldEncoding::Index { cardinality: 3 }, &histogram(&[60, 20, 0], 19, 0));
        let s = [60.5, 20.5, 0.5].map(|c: f64| -(c / 100.0).ln());
        let mean = (60.0 * s[0] + 20.0 * s[1]) / 80.0;
        let variance = (60.0 * (s[0] - mean).powi(2) + 20.0 * (s[1] - mean).powi(2)) / 80.0;
        for (value, s) in field.values.iter().zip(s) {
            assert!(
                (f64::from(value[0]) - (s - mean)).abs() < 1e-6
                    && (f64::from(value[1]) - variance).abs() < 1e-6
            );
        }
        assert_eq!(field.values[3], [0.0; 2], "missing adds nothing");
        // A set counts as the mean of its values, an empty one by the empty ones of training.
        let sets = Field::new(&FieldEncoding::Bag { cardinality: 2 }, &histogram(&[50, 5], 0, 40));
        assert_eq!(sets.set(&[0, 1])[0], (sets.values[0][0] + sets.values[1][0]) / 2.0);
        assert!(sets.set(&[])[0] < sets.set(&[1])[0]);
        assert_eq!(sets.set(&[2]), [0.0; 2]);
        // A number, or a code, where training had none at all.
        let never = Field::new(&FieldEncoding::Piecewise { quantiles: None }, &histogram(&[], 99, 0));
        assert!((f64::from(never.number(0.0)[0]) - 200f64.ln()).abs() < 1e-6);
        assert_eq!(never.number(-1.0), [0.0; 2]);
        let never = Field::new(&FieldEncoding::Index { cardinality: 1 }, &histogram(&[0], 99, 0));
        assert!((f64::from(never.values[0][0]) - 200f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn the_largest_counts_leave_numbers() {
        let most = 1 << 53;
        let mut counts = histogram(&[0], 0, 0);
        (counts.counts, counts.profiles) = (vec![most; 5000], most);
        let field = Field::new(&FieldEncoding::Bag { cardinality: 5000 }, &counts);
        assert!(field.values.iter().flatten().chain(&field.uncounted).all(|x| x.is_finite()));
    }

    #[test]
    fn a_limit_that_makes_no_sense_is_refused() {
        let fine = DistanceLimit { limit: 2.0, share: 0.1, users: 50, abstained: 5 };
        fine.check().unwrap();
        let bad = [
            DistanceLimit { abstained: 6, ..fine },
            DistanceLimit { share: 1.0, ..fine },
            DistanceLimit { limit: f64::INFINITY, ..fine },
        ];
        assert!(bad.iter().all(|limit| limit.check().is_err()));
        assert!(DistanceLimit::calibrate(vec![1.0], 1.0).unwrap_err().to_string().contains("share"));
        assert!(DistanceLimit::calibrate(vec![], 0.1).unwrap_err().to_string().contains("held-out"));
    }
}
