//! Profiles as columns for linear models: fitted once, the same for every table of the schema.

use scaletot_profile::{FieldKind, FieldValues, ProfileTable, Quantiles, Value};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// How one field becomes columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum FieldRecipe {
    /// One column per code, and one for missing.
    Codes {
        /// Number of codes.
        values: usize,
    },
    /// One column per quantile bin, the bin's number, and one for missing.
    Number {
        /// The bins.
        quantiles: Quantiles,
    },
    /// No column: a numeric field of which no value was known.
    Unknown,
}

impl FieldRecipe {
    /// How many columns it has.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Codes { values } => values + 1,
            Self::Number { quantiles } => quantiles.bins() + 2,
            Self::Unknown => 0,
        }
    }

    /// Tells the columns of one value that are not 0.
    fn each(&self, value: Option<Value<'_>>, mut tell: impl FnMut(usize, f64)) {
        match (self, value) {
            (Self::Codes { .. }, Some(Value::Code(code))) => tell(code as usize, 1.0),
            (Self::Codes { .. }, Some(Value::Flag(flag))) => tell(usize::from(flag), 1.0),
            (Self::Codes { .. }, Some(Value::Codes(codes))) => {
                codes.iter().for_each(|&code| tell(code as usize, 1.0));
            }
            (Self::Number { quantiles }, Some(Value::Number(number))) => {
                let bin = quantiles.bin(number);
                tell(bin, 1.0);
                tell(quantiles.bins(), bin as f64);
            }
            _ => {
                if let Some(missing) = self.width().checked_sub(1) {
                    tell(missing, 1.0);
                }
            }
        }
    }

    /// How many of its columns are not the same for all of these values.
    fn varying<'v>(&self, values: impl Iterator<Item = Option<Value<'v>>>) -> usize {
        let mut columns = vec![(0, f64::INFINITY, f64::NEG_INFINITY); self.width()];
        let mut users = 0;
        for value in values {
            users += 1;
            self.each(value, |column, x| {
                let (count, least, most) = &mut columns[column];
                *count += 1;
                (*least, *most) = (least.min(x), most.max(x));
            });
        }
        // Whom a column was not told of has 0 there.
        let varies = |&&(count, least, most): &&(usize, f64, f64)| {
            count > 0 && (least < most || (count < users && most > 0.0))
        };
        columns.iter().filter(varies).count()
    }
}

/// One column per value of a field and one for missing; a numeric field also has its quantile bin as a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ProfileRecipe {
    fields: Vec<FieldRecipe>,
}

impl ProfileRecipe {
    /// Fits the quantiles of numeric fields on every row of the table.
    pub(crate) fn fit(table: &ProfileTable, bins: usize) -> Result<Self> {
        let fit = |(index, kind): (usize, &FieldKind)| match (kind, table.column(index)) {
            (FieldKind::Numeric(_), Some(FieldValues::Numbers(numbers))) => {
                let known: Vec<f64> = numbers.iter().copied().filter(|x| !x.is_nan()).collect();
                match known.is_empty() {
                    true => Ok(FieldRecipe::Unknown),
                    false => Ok(FieldRecipe::Number { quantiles: Quantiles::fit(known, bins)? }),
                }
            }
            _ => Ok(FieldRecipe::Codes { values: codes(kind) }),
        };
        let kinds = table.schema().fields().iter().map(|field| field.kind());
        Ok(Self { fields: kinds.enumerate().map(fit).collect::<Result<_>>()? })
    }

    /// Whether it is a recipe for profiles of fields of these kinds.
    pub(crate) fn fits<'a>(&self, kinds: impl ExactSizeIterator<Item = &'a FieldKind>) -> bool {
        let fits = |(recipe, kind): (&FieldRecipe, &FieldKind)| match recipe {
            FieldRecipe::Codes { values } => !matches!(kind, FieldKind::Numeric(_)) && *values == codes(kind),
            FieldRecipe::Number { .. } | FieldRecipe::Unknown => matches!(kind, FieldKind::Numeric(_)),
        };
        kinds.len() == self.fields.len() && self.fields.iter().zip(kinds).all(fits)
    }

    /// The fields' recipes, in schema order.
    pub(crate) fn fields(&self) -> &[FieldRecipe] {
        &self.fields
    }

    /// How many columns there are.
    pub(crate) fn width(&self) -> usize {
        self.fields.iter().map(FieldRecipe::width).sum()
    }

    /// How many columns are not the same for all of these rows of a table of the same schema.
    pub(crate) fn varying(&self, table: &ProfileTable, rows: &[usize]) -> usize {
        let of = |(index, recipe): (usize, &FieldRecipe)| {
            recipe.varying(rows.iter().map(|&row| table.value(row, index)))
        };
        self.fields.iter().enumerate().map(of).sum()
    }

    /// Writes the columns of a row of a table of the same schema; `x` is of that width.
    pub(crate) fn fill(&self, table: &ProfileTable, row: usize, x: &mut [f64]) {
        x.fill(0.0);
        let mut rest = x;
        for (index, recipe) in self.fields.iter().enumerate() {
            let (columns, further) = rest.split_at_mut(recipe.width());
            recipe.each(table.value(row, index), |column, x| columns[column] = x);
            rest = further;
        }
    }
}

/// Values of a field that is not numeric; a flag has two.
fn codes(kind: &FieldKind) -> usize {
    kind.domain().map_or(2, |domain| domain.cardinality())
}

#[cfg(test)]
mod tests {
    use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};

    use super::*;

    #[test]
    fn one_column_per_value_and_one_for_missing() {
        let schema = ProfileSchema::builder("t")
            .with_field(FieldSpec::categorical("c", ["x", "y"]))
            .with_field(FieldSpec::numeric("n"))
            .with_field(FieldSpec::numeric("never"))
            .with_field(FieldSpec::boolean("b"))
            .build()
            .unwrap();
        let mut builder = TableBuilder::new(schema);
        builder.push_text(1, &["y", "1", "", "yes"]).unwrap();
        builder.push_text(2, &["", "9", "", ""]).unwrap();
        let table = builder.finish();
        let recipe = ProfileRecipe::fit(&table, 10).unwrap();
        assert!(recipe.fits(table.schema().fields().iter().map(|field| field.kind())));
        let row = |row| {
            let mut x = vec![7.0; recipe.width()];
            recipe.fill(&table, row, &mut x);
            x
        };
        // y; the first of two bins; nothing of the field that is never known; yes.
        assert_eq!(row(0), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        assert_eq!(row(1), [0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }
}
