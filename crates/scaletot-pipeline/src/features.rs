//! Profile and signals as design matrices for linear models.

use crate::error::{Context, Result};
use ndarray::{Array2, Axis, concatenate};
use scaletot_chain::Signals;
use scaletot_encoder::Scores;
use scaletot_profile::{FieldKind, ProfileTable, Quantiles, Value};

/// Quantile bins of a numeric field, fitted on the training users.
const BINS: usize = 10;

/// One column per value of a field and one for missing; a numeric field also has its quantile rank as a number. `[N, F]`.
///
/// # Errors
/// If a numeric field's quantiles cannot be fitted.
pub fn profile_features(table: &ProfileTable, train: &[usize]) -> Result<Array2<f64>> {
    let mut columns: Vec<Vec<f64>> = Vec::new();
    for (index, field) in table.schema().fields().iter().enumerate() {
        let values: Vec<Option<Value<'_>>> = (0..table.len()).map(|row| table.value(row, index)).collect();
        let first = columns.len();
        match field.kind() {
            FieldKind::Numeric(_) => {
                let number = |value: &Option<Value<'_>>| match value {
                    Some(Value::Number(x)) => Some(*x),
                    _ => None,
                };
                let known: Vec<f64> = train.iter().filter_map(|&row| number(&values[row])).collect();
                if known.is_empty() {
                    continue;
                }
                let quantiles =
                    Quantiles::fit(known, BINS).with_context(|| format!("field `{}`", field.name()))?;
                columns.resize(first + quantiles.bins() + 1, vec![0.0; table.len()]);
                for (row, value) in values.iter().enumerate() {
                    if let Some(x) = number(value) {
                        let bin = quantiles.bin(x);
                        columns[first + bin][row] = 1.0;
                        columns[first + quantiles.bins()][row] = bin as f64;
                    }
                }
            }
            kind => {
                let cardinality = kind.domain().map_or(2, |domain| domain.cardinality());
                columns.resize(first + cardinality, vec![0.0; table.len()]);
                for (row, value) in values.iter().enumerate() {
                    match value {
                        Some(Value::Code(code)) => columns[first + *code as usize][row] = 1.0,
                        Some(Value::Flag(flag)) => columns[first + usize::from(*flag)][row] = 1.0,
                        Some(Value::Codes(codes)) => {
                            for &code in *codes {
                                columns[first + code as usize][row] = 1.0;
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
        columns.push(values.iter().map(|value| f64::from(u8::from(value.is_none()))).collect());
    }
    Ok(Array2::from_shape_fn((table.len(), columns.len()), |(row, column)| columns[column][row]))
}

/// The signals that the encoder serves: state posteriors and representation, `[N, Σ|V_k| + r]`.
#[must_use]
pub fn signal_features(scores: &Scores) -> Array2<f64> {
    let mut columns: Vec<Array2<f64>> = scores.posteriors.iter().map(|p| p.mapv(f64::from)).collect();
    columns.push(scores.representation.mapv(f64::from));
    let views: Vec<_> = columns.iter().map(|column| column.view()).collect();
    concatenate(Axis(1), &views).unwrap_or_else(|_| Array2::zeros((scores.len(), 0)))
}

/// The student's signals of the users it has read, by rows of the table: posteriors and representations, `[n, Σ|V_k| + K·d]`; zeros for the
/// others.
#[must_use]
pub fn student_features(n: usize, known: &[&Signals]) -> Array2<f64> {
    let width = |signals: &&Signals| signals.marginal_width() + signals.representation_width();
    let mut features = Array2::zeros((n, known.first().map_or(0, width)));
    for signals in known {
        for (place, &row) in signals.rows().iter().enumerate() {
            let values = signals.marginals(place).iter().chain(signals.representation(place));
            features.row_mut(row).iter_mut().zip(values).for_each(|(to, value)| *to = f64::from(*value));
        }
    }
    features
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
            .build()
            .unwrap();
        let mut builder = TableBuilder::new(schema);
        builder.push_text(1, &["y", "1"]).unwrap();
        builder.push_text(2, &["", "9"]).unwrap();
        let table = builder.finish();
        let features = profile_features(&table, &[0, 1]).unwrap();
        assert_eq!(features.row(0).to_vec()[..3], [0.0, 1.0, 0.0]);
        assert_eq!(features.row(1).to_vec()[..3], [0.0, 0.0, 1.0]);
        assert_ne!(features.row(0).to_vec()[3..], features.row(1).to_vec()[3..]);
    }
}
