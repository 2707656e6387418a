//! Drift: do the profiles that come still look like those the encoder was trained on?
//!
//! The population stability index of a field compares its training histogram with that of incoming profiles, missing being a value like any
//! other: `PSI = Σ_v (q_v − p_v) ln(q_v / p_v)`, the sum of the Kullback-Leibler divergences in both directions (Jeffreys 1946; the
//! name is credit scoring's, Siddiqi 2006, whose rule of thumb calls less than 0.1 stable and more than 0.25 a shift). The index of two
//! samples of *one* population is not 0, and for small samples far from it: `PSI · n m / (n + m)` is about χ² distributed with one degree of
//! freedom less than there are values (Yurdakul 2018). So every index comes with the level that chance alone hardly exceeds.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::histogram::FieldHistogram;

/// Standard deviations above its mean at which chance is left behind.
const DEVIATIONS: f64 = 4.0;

/// How far incoming profiles are from the training profiles, field by field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Drift {
    /// Incoming profiles.
    pub profiles: u64,
    /// One per field, in the schema's order.
    pub fields: Vec<FieldDrift>,
}

/// How far the values of one field have moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FieldDrift {
    /// The field's name.
    pub name: String,
    /// Population stability index, at least 0.
    pub psi: f64,
    /// What the index hardly exceeds (four standard deviations above its mean) while nothing changes, given the numbers of profiles.
    pub chance: f64,
    /// Share of training profiles whose field is missing.
    pub missing_before: f64,
    /// Share of incoming profiles whose field is missing.
    pub missing: f64,
}

impl FieldDrift {
    /// Whether the index is above `limit` and beyond chance.
    #[must_use]
    pub fn shifted(&self, limit: f64) -> bool {
        self.psi > limit && self.psi > self.chance
    }
}

impl Drift {
    /// Compares histograms of incoming profiles with those of training; both as [`FieldHistogram::of`] gives them, which may be
    /// [merged](FieldHistogram::merge) over batches.
    ///
    /// ```
    /// use scaletot_encoder::{Drift, Featuriser, FieldHistogram};
    /// use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
    ///
    /// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
    /// let table = |young: usize, all: usize| {
    ///     let mut table = TableBuilder::new(schema.clone());
    ///     for id in 0..all {
    ///         table.push_text(id as i64, &[if id < young { "18-34" } else { "35+" }])?;
    ///     }
    ///     Ok::<_, scaletot_profile::Error>(table.finish())
    /// };
    /// let training = table(500, 1_000)?;
    /// let featuriser = Featuriser::fit(&training, 4)?;
    /// let rows: Vec<usize> = (0..1_000).collect();
    /// let before = FieldHistogram::of(&featuriser, &training, &rows)?;
    /// let same = Drift::between(&before, &FieldHistogram::of(&featuriser, &table(510, 1_000)?, &rows)?)?;
    /// let other = Drift::between(&before, &FieldHistogram::of(&featuriser, &table(900, 1_000)?, &rows)?)?;
    /// assert_eq!((same.shifted(0.1).count(), other.shifted(0.1).count()), (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for histograms of other fields or of other numbers of values.
    pub fn between(training: &[FieldHistogram], incoming: &[FieldHistogram]) -> Result<Self> {
        let names = |histograms: &[FieldHistogram]| {
            histograms
                .iter()
                .map(|h| format!("{} ({} values)", h.name, h.counts.len()))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let alike =
            |(a, b): (&FieldHistogram, &FieldHistogram)| a.name == b.name && a.counts.len() == b.counts.len();
        if training.len() != incoming.len() || !training.iter().zip(incoming).all(alike) {
            return Err(Error::shape("fields of the histograms", names(training), names(incoming)));
        }
        let fields = training.iter().zip(incoming).map(|(before, now)| field(before, now));
        Ok(Self { profiles: incoming.first().map_or(0, |h| h.profiles), fields: fields.collect() })
    }

    /// The fields whose index is above `limit` and beyond chance; 0.25 is the customary limit for a shift that needs attention.
    pub fn shifted(&self, limit: f64) -> impl Iterator<Item = &FieldDrift> {
        self.fields.iter().filter(move |field| field.shifted(limit))
    }

    /// The field with the largest index; `None` without fields.
    #[must_use]
    pub fn largest(&self) -> Option<&FieldDrift> {
        self.fields.iter().max_by(|a, b| a.psi.total_cmp(&b.psi))
    }
}

fn field(before: &FieldHistogram, now: &FieldHistogram) -> FieldDrift {
    let cells = |h: &FieldHistogram| {
        h.counts
            .iter()
            .copied()
            .chain([h.missing, h.uncounted])
            .map(|count| count as f64)
            .collect::<Vec<f64>>()
    };
    let (a, b) = (cells(before), cells(now));
    let (all_a, all_b) = (a.iter().sum::<f64>(), b.iter().sum::<f64>());
    // A value that neither has tells nothing. Half a profile is added to each of the others, so that one that is new has a finite index.
    let seen: Vec<(f64, f64)> =
        a.iter().zip(&b).filter(|(a, b)| **a + **b > 0.0).map(|(a, b)| (a + 0.5, b + 0.5)).collect();
    let half = 0.5 * seen.len() as f64;
    let empty = before.profiles == 0 || now.profiles == 0;
    let psi: f64 = seen
        .iter()
        .map(|(a, b)| (a / (all_a + half), b / (all_b + half)))
        .map(|(p, q)| (q - p) * (q / p).ln())
        .sum();
    let freedom = seen.len().saturating_sub(1) as f64;
    // In profiles, not in values: those of one set are not independent.
    let chance = (freedom + DEVIATIONS * (2.0 * freedom).sqrt())
        * (1.0 / before.profiles as f64 + 1.0 / now.profiles as f64);
    let share = |h: &FieldHistogram| if h.profiles == 0 { 0.0 } else { h.missing as f64 / h.profiles as f64 };
    FieldDrift {
        name: before.name.clone(),
        psi: if empty { 0.0 } else { psi.max(0.0) },
        chance: if empty { 0.0 } else { chance },
        missing_before: share(before),
        missing: share(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn histogram(counts: &[u64], missing: u64) -> FieldHistogram {
        let profiles = counts.iter().sum::<u64>() + missing;
        FieldHistogram { name: "age".into(), counts: counts.to_vec(), missing, uncounted: 0, profiles }
    }

    fn psi(a: &FieldHistogram, b: &FieldHistogram) -> f64 {
        Drift::between(std::slice::from_ref(a), std::slice::from_ref(b)).unwrap().fields[0].psi
    }

    proptest! {
        #[test]
        fn an_index_is_symmetric_and_zero_only_for_the_same_shares(
            a in prop::collection::vec(0u64..500, 4), b in prop::collection::vec(0u64..500, 4), missing in 1u64..50,
        ) {
            let (a, b) = (histogram(&a, missing), histogram(&b, missing));
            prop_assert!(psi(&a, &b) >= 0.0 && psi(&a, &b).is_finite());
            prop_assert!((psi(&a, &b) - psi(&b, &a)).abs() < 1e-12);
            prop_assert_eq!(psi(&a, &a), 0.0);
        }
    }

    #[test]
    fn the_index_is_what_its_formula_says() {
        // Shares of 0.5, 0.3, 0.2 against 0.4, 0.4, 0.2, of so many that the half profiles do not matter.
        let found = psi(&histogram(&[500_000, 300_000], 200_000), &histogram(&[400_000, 400_000], 200_000));
        let expected = -0.1 * (0.4_f64 / 0.5).ln() + 0.1 * (0.4_f64 / 0.3).ln();
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }

    #[test]
    fn samples_of_one_population_stay_within_chance() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut draw = |profiles: usize, values: usize| {
            let mut counts = vec![0; values];
            (0..profiles).for_each(|_| counts[(rng.random::<f64>().powi(2) * values as f64) as usize] += 1);
            histogram(&counts, 0)
        };
        let (mut beyond, mut customary) = (0, 0);
        for round in 0..400 {
            let (a, b) = (draw(5_000, 30), draw(200 + round, 30));
            let drift = Drift::between(&[a], &[b]).unwrap();
            beyond += drift.shifted(0.0).count();
            customary += usize::from(drift.fields[0].psi > 0.1);
        }
        assert!(beyond <= 4, "{beyond} of 400");
        // What the customary limit alone would have called a change.
        assert!(customary > 20, "{customary} of 400");
    }

    #[test]
    fn a_field_that_goes_missing_is_found() {
        let drift = Drift::between(&[histogram(&[60, 40], 10)], &[histogram(&[0, 0], 90)]).unwrap();
        let field = drift.shifted(0.25).next().unwrap();
        assert!(field.missing == 1.0 && field.psi > 1.0, "{field:?}");
        assert_eq!(drift.largest(), Some(field));
    }

    #[test]
    fn values_where_training_had_none_are_found() {
        let mut now = histogram(&[], 2);
        (now.uncounted, now.profiles) = (98, 100);
        let drift = Drift::between(&[histogram(&[], 100)], &[now]).unwrap();
        assert_eq!(drift.shifted(0.25).count(), 1, "{drift:?}");
    }

    #[test]
    fn nothing_came_or_something_else_did() {
        let before = histogram(&[5, 5], 0);
        let none = Drift::between(std::slice::from_ref(&before), &[histogram(&[0, 0], 0)]).unwrap();
        assert_eq!((none.fields[0].psi, none.profiles), (0.0, 0));
        let error = Drift::between(&[before], &[histogram(&[5, 5, 5], 0)]).unwrap_err();
        assert!(error.to_string().contains("age (3 values)"), "{error}");
    }
}
