//! From profiles to features.
//!
//! What is fitted is little on purpose: the quantiles of numeric fields. Everything else follows from the schema, so a
//! value that no training user had still has its own embedding row, and *missing* is a value of every field.

use scaletot_core::ContentHash;
use scaletot_core::config::check;
use scaletot_profile::{FieldKind, FieldValues, ProfileSchema, ProfileTable, Quantiles, Value};
use serde::{Deserialize, Serialize};

use crate::encoding::{FieldEncoding, hard_bins_of};
use crate::error::{Error, Result, readable};
use crate::features::Features;

/// A field with its encoding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FieldEncoder {
    /// The field's name.
    pub name: String,
    /// How its values are encoded.
    pub encoding: FieldEncoding,
}

/// Turns profiles of one schema into [`Features`].
///
/// ```
/// use scaletot_encoder::{Column, Featuriser};
/// use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
///
/// let schema = ProfileSchema::builder("shop")
///     .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
///     .with_field(FieldSpec::numeric("income"))
///     .build()?;
/// let mut table = TableBuilder::new(schema);
/// for (id, cells) in [["35-54", "10"], ["", "20"], ["55+", ""]].iter().enumerate() {
///     table.push_text(id as i64, cells)?;
/// }
/// let table = table.finish();
/// let featuriser = Featuriser::fit(&table, 1)?;
/// let features = featuriser.transform(&table, &[0, 1, 2])?;
/// assert_eq!(features.columns()[0], Column::Index(vec![1, 3, 2])); // 3 is "missing"
/// assert_eq!(features.populated(), [2, 1, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Featuriser {
    schema: ContentHash,
    fields: Vec<FieldEncoder>,
    /// Bins of numeric fields that a value head looks up besides; one per field, or none at all. The head is what is stored.
    #[serde(skip)]
    hard_bins: Vec<Option<Quantiles>>,
}

impl Featuriser {
    /// Fits the quantiles of numeric fields, at most `bins` bins each.
    ///
    /// # Errors
    /// [`Error::Config`] for 0 bins.
    pub fn fit(table: &ProfileTable, bins: usize) -> Result<Self> {
        let rows: Vec<usize> = (0..table.len()).collect();
        Self::fit_rows(table, &rows, bins)
    }

    /// As [`Featuriser::fit`] on the named rows alone, which keeps held-out users out of the quantiles.
    ///
    /// # Errors
    /// [`Error::Config`] for 0 bins, [`Error::Shape`] when there is no such row.
    pub fn fit_rows(table: &ProfileTable, rows: &[usize], bins: usize) -> Result<Self> {
        check(bins > 0, "bins", "at least 1", bins)?;
        check_rows(table, rows)?;
        let schema = table.schema();
        let fields = schema.fields().iter().enumerate().map(|(field, spec)| {
            let encoding = match spec.kind() {
                FieldKind::Numeric(_) => {
                    let mut values = rows.iter().filter_map(|&row| match table.value(row, field) {
                        Some(Value::Number(number)) => Some(number),
                        _ => None,
                    });
                    let quantiles = match values.next() {
                        Some(first) => Some(Quantiles::fit(std::iter::once(first).chain(values), bins)?),
                        None => None,
                    };
                    FieldEncoding::Piecewise { quantiles }
                }
                kind => from_kind(kind)?,
            };
            Ok(FieldEncoder { name: spec.name().to_owned(), encoding })
        });
        Ok(Self { schema: schema.hash(), fields: fields.collect::<Result<_>>()?, hard_bins: vec![] })
    }

    /// The same featuriser putting the numbers of these fields into bins besides.
    pub(crate) fn set_hard_bins(&mut self, hard_bins: Vec<Option<Quantiles>>) {
        self.hard_bins = hard_bins;
    }

    /// Hash of the schema whose profiles it takes.
    #[must_use]
    pub fn schema(&self) -> ContentHash {
        self.schema
    }

    /// The fields' encodings, in the schema's order.
    #[must_use]
    pub fn fields(&self) -> &[FieldEncoder] {
        &self.fields
    }

    /// Rows of each field's embedding table.
    #[must_use]
    pub fn widths(&self) -> Vec<usize> {
        self.fields.iter().map(|field| field.encoding.width()).collect()
    }

    /// Which fields are numbers in bins.
    pub(crate) fn numeric(&self) -> Vec<bool> {
        self.fields.iter().map(|field| matches!(field.encoding, FieldEncoding::Piecewise { .. })).collect()
    }

    /// The features of the named rows, in the named order.
    ///
    /// # Errors
    /// [`Error::Schema`] for a table of another schema, [`Error::Shape`] when there is no such row.
    pub fn transform(&self, table: &ProfileTable, rows: &[usize]) -> Result<Features> {
        let found = table.schema().hash();
        if found != self.schema {
            let difference = "the fields' features would mean something else".into();
            return Err(Error::Schema { expected: self.schema, found, difference });
        }
        check_rows(table, rows)?;
        let mut populated = vec![0u32; rows.len()];
        let mut columns = Vec::with_capacity(self.fields.len());
        for (field, encoder) in self.fields.iter().enumerate() {
            let misfit = |row: usize| Error::Value {
                what: readable(&format!("field `{}`", encoder.name)),
                row,
                expected: readable(&format!("a value of {:?}", encoder.encoding)),
                found: readable(&format!("{:?}", table.value(row, field))),
            };
            columns.push(encoder.encoding.column(table.column(field), rows, &mut populated).map_err(misfit)?);
        }
        let features = Features::new(rows.len(), columns, self.widths(), populated);
        if self.hard_bins.iter().all(Option::is_none) {
            return Ok(features);
        }
        let hard_bins = self.hard_bins.iter().enumerate();
        let hard_bins = hard_bins.map(|(field, quantiles)| match (quantiles, table.column(field)) {
            (Some(quantiles), Some(FieldValues::Numbers(numbers))) => {
                Some(hard_bins_of(quantiles, numbers, rows))
            }
            _ => None,
        });
        Ok(features.with_hard_bins(hard_bins.collect()))
    }

    /// Checks that this featuriser can have been fitted on a schema: what was read from a file may be anything.
    pub(crate) fn check(&self, schema: &ProfileSchema) -> Result<()> {
        if self.schema != schema.hash() {
            let difference = "the featuriser belongs to another schema".into();
            return Err(Error::Schema { expected: self.schema, found: schema.hash(), difference });
        }
        if self.fields.len() != schema.fields().len() {
            return Err(Error::shape("fields of the featuriser", schema.fields().len(), self.fields.len()));
        }
        for (encoder, field) in self.fields.iter().zip(schema.fields()) {
            let fits = encoder.name == field.name()
                && match (&encoder.encoding, field.kind()) {
                    (FieldEncoding::Piecewise { .. }, FieldKind::Numeric(_)) => true,
                    (encoding, kind) => from_kind(kind).is_ok_and(|expected| expected == *encoding),
                };
            if !fits {
                let expected = format!("an encoding of the {} field `{}`", field.kind().name(), field.name());
                return Err(Error::shape("featuriser", expected, format!("{encoder:?}")));
            }
        }
        Ok(())
    }
}

/// The encoding of a field whose values need no fitting.
fn from_kind(kind: &FieldKind) -> Result<FieldEncoding> {
    match kind {
        FieldKind::Categorical(domain) | FieldKind::Ordinal(domain) => {
            Ok(FieldEncoding::Index { cardinality: domain.cardinality() })
        }
        FieldKind::Boolean => Ok(FieldEncoding::Index { cardinality: 2 }),
        FieldKind::Multi(domain) => Ok(FieldEncoding::Bag { cardinality: domain.cardinality() }),
        other => Err(Error::shape("kind of a field", "one this version can encode", other.name())),
    }
}

fn check_rows(table: &ProfileTable, rows: &[usize]) -> Result<()> {
    match rows.iter().find(|&&row| row >= table.len()) {
        Some(row) => Err(Error::shape("row of the profile table", format!("less than {}", table.len()), row)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Column;
    use scaletot_profile::{FieldSpec, TableBuilder};

    fn table(cells: &[[&str; 4]]) -> ProfileTable {
        let schema = ProfileSchema::builder("test")
            .with_field(
                FieldSpec::categorical("home", ["rent", "own"])
                    .with_unknown(scaletot_profile::UnknownPolicy::Bucket),
            )
            .with_field(FieldSpec::numeric("income"))
            .with_field(FieldSpec::boolean("member"))
            .with_field(FieldSpec::multi("likes", ["a", "b", "c"]))
            .build()
            .unwrap();
        let mut table = TableBuilder::new(schema);
        for (id, row) in cells.iter().enumerate() {
            table.push_text(id as i64, row).unwrap();
        }
        table.finish()
    }

    #[test]
    fn every_kind_of_field_has_its_missing() {
        let table = table(&[["own", "1", "true", "a|c"], ["", "", "", ""], ["tent", "3", "false", "b"]]);
        let featuriser = Featuriser::fit(&table, 4).unwrap();
        let features = featuriser.transform(&table, &[0, 1, 2]).unwrap();
        assert_eq!(features.populated(), [4, 0, 4]);
        for field in 0..4 {
            assert_eq!(features.is_missing(1, field), Some(true), "field {field}");
            assert_eq!(features.is_missing(2, field), Some(false), "field {field}");
        }
        assert_eq!(features.columns()[0], Column::Index(vec![1, 3, 2]));
        assert_eq!(features.columns()[2], Column::Index(vec![1, 2, 0]));
        assert_eq!(featuriser.widths(), [4, 2, 3, 4]);
    }

    #[test]
    fn held_out_rows_do_not_move_the_bins() {
        let table = table(&[["own", "1", "", ""], ["own", "2", "", ""], ["own", "99", "", ""]]);
        let featuriser = Featuriser::fit_rows(&table, &[0, 1], 4).unwrap();
        let FieldEncoding::Piecewise { quantiles: Some(quantiles) } = &featuriser.fields()[1].encoding else {
            panic!("income is numeric");
        };
        assert_eq!(quantiles.max(), 2.0);
    }

    #[test]
    fn a_field_never_seen_and_a_constant_one_are_encoded() {
        let unseen = table(&[["own", "", "", ""]]);
        let featuriser = Featuriser::fit(&unseen, 4).unwrap();
        let other = table(&[["own", "7", "", ""]]);
        let features = featuriser.transform(&other, &[0]).unwrap();
        assert_eq!(features.columns()[1], Column::Piecewise(vec![0.0]));
        let constant = Featuriser::fit(&other, 4).unwrap().transform(&other, &[0]).unwrap();
        assert_eq!(constant.columns()[1], Column::Piecewise(vec![1.0]));
    }

    #[test]
    fn other_schemas_and_rows_are_refused() {
        let table = table(&[["own", "1", "true", "a"]]);
        let featuriser = Featuriser::fit(&table, 2).unwrap();
        assert!(featuriser.transform(&table, &[1]).unwrap_err().to_string().contains("less than 1"));
        let schema = ProfileSchema::builder("test").with_field(FieldSpec::boolean("member")).build().unwrap();
        assert!(featuriser.check(&schema).unwrap_err().to_string().contains("another schema"));
        featuriser.check(table.schema()).unwrap();
        let mut wider = featuriser.clone();
        wider.fields[0].encoding = FieldEncoding::Index { cardinality: 9 };
        assert!(wider.check(table.schema()).unwrap_err().to_string().contains("`home`"));
        let other = TableBuilder::new(schema).finish();
        assert!(featuriser.transform(&other, &[]).unwrap_err().to_string().contains("schema differs"));
    }
}
