//! How the training profiles were distributed, field by field: what incoming profiles are compared with later.

use scaletot_profile::{FieldValues, ProfileTable, Value};
use serde::{Deserialize, Serialize};

use crate::encoding::FieldEncoding;
use crate::error::{Error, Result};
use crate::featuriser::Featuriser;

/// Counts of one field's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FieldHistogram {
    /// The field's name.
    pub name: String,
    /// Profiles per code, for numbers per quantile bin. In a multi-valued field a profile counts once for each of its
    /// values.
    pub counts: Vec<u64>,
    /// Profiles whose field is missing.
    pub missing: u64,
    /// Profiles whose field is there without a value to count: an empty set, or a number where training had none.
    #[serde(default)]
    pub uncounted: u64,
    /// Profiles in all.
    pub profiles: u64,
}

impl FieldHistogram {
    /// The histograms of all fields over the named rows.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is no such row.
    pub fn of(featuriser: &Featuriser, table: &ProfileTable, rows: &[usize]) -> Result<Vec<Self>> {
        if let Some(row) = rows.iter().find(|&&row| row >= table.len()) {
            return Err(Error::shape("row of the profile table", format!("less than {}", table.len()), row));
        }
        let histograms = featuriser.fields().iter().enumerate().map(|(field, encoder)| {
            let bins = bins(&encoder.encoding);
            let mut histogram = Self {
                name: encoder.name.clone(),
                counts: vec![0; bins],
                missing: 0,
                uncounted: 0,
                profiles: rows.len() as u64,
            };
            match table.column(field) {
                // Most fields, without a look at the column's kind for every row.
                Some(FieldValues::Codes(codes)) => {
                    rows.iter().for_each(|&row| histogram.count_code(codes[row]));
                }
                _ => rows.iter().for_each(|&row| histogram.count(&encoder.encoding, table.value(row, field))),
            }
            histogram
        });
        Ok(histograms.collect())
    }

    /// Adds the profiles of another batch, field by field.
    ///
    /// # Errors
    /// [`Error::Shape`] for histograms of other fields or of other numbers of values.
    pub fn merge(histograms: &mut [Self], others: &[Self]) -> Result<()> {
        let shape = |h: &Self| (h.name.clone(), h.counts.len());
        let (expected, found): (Vec<_>, Vec<_>) =
            (histograms.iter().map(shape).collect(), others.iter().map(shape).collect());
        if expected != found {
            return Err(Error::shape("feature histograms", format!("{expected:?}"), format!("{found:?}")));
        }
        for (own, other) in histograms.iter_mut().zip(others) {
            own.counts
                .iter_mut()
                .zip(&other.counts)
                .for_each(|(own, other)| *own = own.saturating_add(*other));
            own.missing = own.missing.saturating_add(other.missing);
            own.uncounted = own.uncounted.saturating_add(other.uncounted);
            own.profiles = own.profiles.saturating_add(other.profiles);
        }
        Ok(())
    }

    fn count_code(&mut self, code: u32) {
        match self.counts.get_mut(code as usize) {
            Some(count) => *count += 1,
            None => self.missing += u64::from(code == u32::MAX),
        }
    }

    fn count(&mut self, encoding: &FieldEncoding, value: Option<Value<'_>>) {
        let mut hit = |bin: usize| {
            if let Some(count) = self.counts.get_mut(bin) {
                *count += 1;
            }
        };
        match (value, encoding) {
            (None, _) => self.missing += 1,
            (Some(Value::Code(code)), _) => hit(code as usize),
            (Some(Value::Flag(flag)), _) => hit(usize::from(flag)),
            (Some(Value::Codes([])), _) => self.uncounted += 1,
            (Some(Value::Codes(codes)), _) => codes.iter().for_each(|&code| hit(code as usize)),
            (Some(Value::Number(x)), FieldEncoding::Piecewise { quantiles: Some(quantiles) }) => {
                hit(quantiles.bin(x));
            }
            (Some(Value::Number(_)), _) => self.uncounted += 1,
        }
    }

    /// Checks histograms that were read from a file against the featuriser they belong to.
    pub(crate) fn check(histograms: &[Self], featuriser: &Featuriser) -> Result<()> {
        let expected: Vec<(&str, usize)> =
            featuriser.fields().iter().map(|f| (f.name.as_str(), bins(&f.encoding))).collect();
        let found: Vec<(&str, usize)> =
            histograms.iter().map(|h| (h.name.as_str(), h.counts.len())).collect();
        if expected != found {
            return Err(Error::shape("feature histograms", format!("{expected:?}"), format!("{found:?}")));
        }
        // Of what was counted nothing can be more than the profiles, and these are few enough for exact arithmetic.
        let countable = |h: &Self| {
            let most = h.counts.iter().copied().fold(h.missing.max(h.uncounted), u64::max);
            most <= h.profiles && h.profiles <= 1 << 53
        };
        match histograms.iter().find(|h| !countable(h)) {
            Some(h) => Err(Error::shape(
                format!("counts of `{}`", h.name),
                "at most as many as profiles",
                h.profiles,
            )),
            None => Ok(()),
        }
    }
}

fn bins(encoding: &FieldEncoding) -> usize {
    match encoding {
        FieldEncoding::Index { cardinality } | FieldEncoding::Bag { cardinality } => *cardinality,
        FieldEncoding::Piecewise { quantiles } => quantiles.as_ref().map_or(0, |q| q.bins()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};

    #[test]
    fn every_profile_is_counted_in_every_field() {
        let schema = ProfileSchema::builder("test")
            .with_field(FieldSpec::ordinal("age", ["young", "old"]))
            .with_field(FieldSpec::numeric("income"))
            .with_field(FieldSpec::multi("likes", ["a", "b"]))
            .build()
            .unwrap();
        let mut table = TableBuilder::new(schema);
        for (id, row) in
            [["young", "1", "a|b"], ["old", "2", "b"], ["", "3", ""], ["old", "", "a"]].iter().enumerate()
        {
            table.push_text(id as i64, row).unwrap();
        }
        let table = table.finish();
        let featuriser = Featuriser::fit(&table, 3).unwrap();
        let histograms = FieldHistogram::of(&featuriser, &table, &[0, 1, 2, 3]).unwrap();
        assert_eq!((histograms[0].counts.as_slice(), histograms[0].missing), (&[1, 2][..], 1));
        assert_eq!((histograms[1].counts.as_slice(), histograms[1].missing), (&[1, 1, 1][..], 1));
        assert_eq!((histograms[2].counts.as_slice(), histograms[2].missing), (&[2, 2][..], 1));
        assert!(histograms.iter().all(|h| h.profiles == 4));
        FieldHistogram::check(&histograms, &featuriser).unwrap();
        assert!(FieldHistogram::check(&histograms[1..], &featuriser).is_err());
        assert!(FieldHistogram::of(&featuriser, &table, &[4]).is_err());
    }
}
