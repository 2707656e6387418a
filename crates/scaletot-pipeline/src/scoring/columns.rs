//! The columns of the output.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Result, bail};
use arrow_array::builder::{FixedSizeListBuilder, PrimitiveBuilder};
use arrow_array::types::{ArrowPrimitiveType, Float16Type, Float32Type, Int8Type};
use arrow_array::{ArrayRef, BooleanArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use ndarray::ArrayView2;
use scaletot_encoder::{FrozenEncoder, OutcomeHead, Scores, Selection};
use scaletot_profile::UserIds;

type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// A column, or several of a kind, that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// The expected outcome; null where abstained, as all of the outcome.
    Value,
    /// Probability of a positive outcome.
    PPositive,
    /// Mean of the positive outcome's natural logarithm.
    Mu,
    /// Standard deviation of the positive outcome's natural logarithm.
    Sigma,
    /// A quantile of the outcome, in percent from 1 to 99: `q50` is the median.
    Quantile(u8),
    /// Whether the encoder abstained.
    Abstained,
    /// The posterior of every state, as lists `state.NAME`.
    States,
    /// The representation, a list of 32-bit floats.
    Representation,
    /// The representation as 16-bit floats.
    RepresentationF16,
    /// The direction of the representation as 8-bit integers, the largest of them 127 in size: for search by cosine.
    RepresentationInt8,
}

const NAMES: [(&str, Output); 9] = [
    ("value", Output::Value),
    ("p-positive", Output::PPositive),
    ("mu", Output::Mu),
    ("sigma", Output::Sigma),
    ("abstained", Output::Abstained),
    ("states", Output::States),
    ("representation", Output::Representation),
    ("representation-f16", Output::RepresentationF16),
    ("representation-int8", Output::RepresentationInt8),
];

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || NAMES.map(|(name, _)| name).join(", ");
        let percent = text.strip_prefix('q').and_then(|percent| percent.parse().ok());
        let quantile = percent.filter(|percent| (1..=99).contains(percent)).map(Self::Quantile);
        let found = NAMES.iter().find(|(name, _)| *name == text).map(|(_, output)| *output);
        found.or(quantile).ok_or_else(|| format!("expected one of {}, q1 to q99, found `{text}`", known()))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Quantile(percent) = self {
            return write!(f, "q{percent}");
        }
        f.write_str(NAMES.iter().find(|(_, output)| output == self).map_or("", |(name, _)| name))
    }
}

/// What the encoder has to compute for some outputs.
pub(super) fn selection(outputs: &[Output]) -> Selection {
    let any = |wanted: &[Output]| outputs.iter().any(|output| wanted.contains(output));
    let distribution = any(&[Output::PPositive, Output::Mu, Output::Sigma])
        || outputs.iter().any(|output| matches!(output, Output::Quantile(_)));
    let representation =
        any(&[Output::Representation, Output::RepresentationF16, Output::RepresentationInt8]);
    Selection::NONE
        .with_value(any(&[Output::Value]))
        .with_distribution(distribution)
        .with_states(any(&[Output::States]))
        .with_representation(representation)
}

/// The columns of the output files: the id, then what was asked for.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    outputs: Vec<Output>,
    id: String,
    states: Vec<(String, usize)>,
    width: usize,
}

impl Columns {
    /// # Errors
    /// If the encoder has no such output, one is asked for twice, or one has the name of the id column.
    pub(super) fn new(encoder: &FrozenEncoder, id: &str, outputs: &[Output]) -> Result<Self> {
        for (i, output) in outputs.iter().enumerate() {
            let wanted = selection(&[*output]);
            let of_outcome_head = wanted.distribution || wanted.value && encoder.value_head().is_none();
            if of_outcome_head && !encoder.heads().outcome {
                bail!(
                    "--columns {output}: this encoder was trained without outcomes and has no outcome head"
                );
            }
            let head = encoder.config().outcome_head;
            let lacks = match output {
                Output::PPositive => matches!(head, OutcomeHead::Tweedie { .. }),
                Output::Mu | Output::Sigma | Output::Quantile(_) => head != OutcomeHead::Ziln,
                _ => false,
            };
            if lacks {
                bail!("--columns {output}: an outcome head of the kind {head:?} does not say it");
            }
            if (wanted.states || wanted.representation) && !encoder.heads().signals() {
                bail!(
                    "--columns {output}: this encoder was trained without a student and has no signal heads"
                );
            }
            if outputs[..i].contains(output) {
                bail!("--columns {output}: named twice");
            }
        }
        let states = encoder.chain_schema().states().iter();
        let columns = Self {
            outputs: outputs.to_vec(),
            id: id.to_owned(),
            states: states.map(|state| (format!("state.{}", state.name()), state.values().len())).collect(),
            width: encoder.config().rep_dim,
        };
        let schema = columns.schema(&UserIds::default());
        if schema.fields().iter().skip(1).any(|field| *field.name() == columns.id) {
            bail!("the id column `{}` and a column of scores have the same name", columns.id);
        }
        Ok(columns)
    }

    /// The schema of a file whose ids are integers or texts, as `ids` are.
    fn schema(&self, ids: &UserIds) -> Schema {
        let id = if matches!(ids, UserIds::Int(_)) { DataType::Int64 } else { DataType::Utf8 };
        let mut fields = vec![Field::new(&self.id, id, false)];
        for output in &self.outputs {
            let mut add = |name: &str, data_type| fields.push(Field::new(name, data_type, true));
            match output {
                Output::Value | Output::PPositive | Output::Mu | Output::Sigma | Output::Quantile(_) => {
                    add(&output.to_string().replace('-', "_"), DataType::Float32);
                }
                Output::Abstained => add("abstained", DataType::Boolean),
                Output::States => {
                    self.states.iter().for_each(|(name, size)| add(name, list(DataType::Float32, *size)));
                }
                Output::Representation => add("representation", list(DataType::Float32, self.width)),
                Output::RepresentationF16 => add("representation_f16", list(DataType::Float16, self.width)),
                Output::RepresentationInt8 => add("representation_int8", list(DataType::Int8, self.width)),
            }
        }
        Schema::new(fields)
    }

    /// The scores of some users.
    pub(super) fn batch(&self, ids: &UserIds, scores: &Scores) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![match ids {
            UserIds::Int(ids) => Arc::new(Int64Array::from(ids.clone())),
            UserIds::Text(ids) => Arc::new(StringArray::from_iter_values(ids)),
        }];
        let number = |column: &[f32]| -> ArrayRef {
            match scores.abstentions() {
                0 => Arc::new(Float32Array::from(column.to_vec())),
                _ => Arc::new(column.iter().map(|x| (!x.is_nan()).then_some(*x)).collect::<Float32Array>()),
            }
        };
        let known = |row: usize| !scores.abstained[row];
        let representation = scores.representation.view();
        for output in &self.outputs {
            match output {
                Output::Value => columns.push(number(&scores.value)),
                Output::PPositive => columns.push(number(&scores.p_positive)),
                Output::Mu => columns.push(number(&scores.mu)),
                Output::Sigma => columns.push(number(&scores.sigma)),
                Output::Quantile(percent) => {
                    let share = f64::from(*percent) / 100.0;
                    let quantile = |row: usize| scores.distribution_of(row)?.quantile(share).map(finite);
                    columns.push(Arc::new((0..scores.len()).map(quantile).collect::<Float32Array>()));
                }
                Output::Abstained => columns.push(Arc::new(BooleanArray::from(scores.abstained.clone()))),
                Output::States => {
                    for posterior in &scores.posteriors {
                        columns.push(lists::<Float32Type>(posterior.view(), known, |_, x| x));
                    }
                }
                Output::Representation => {
                    columns.push(lists::<Float32Type>(representation, known, |_, x| x));
                }
                Output::RepresentationF16 => {
                    columns.push(lists::<Float16Type>(representation, known, |_, x| half(x)));
                }
                Output::RepresentationInt8 => {
                    let steps =
                        |most: f32, x: f32| if most > 0.0 { (x / most * 127.0).round() as i8 } else { 0 };
                    columns.push(lists::<Int8Type>(representation, known, steps));
                }
            }
        }
        RecordBatch::try_new(Arc::new(self.schema(ids)), columns)
    }

    /// The scores of nobody, whose ids would be texts or integers.
    pub(super) fn empty(&self, text_ids: bool) -> RecordBatch {
        let ids = if text_ids { UserIds::Text(vec![]) } else { UserIds::default() };
        RecordBatch::new_empty(Arc::new(self.schema(&ids)))
    }
}

/// The nearest finite number of 32 bits.
fn finite(x: f64) -> f32 {
    (x as f32).min(f32::MAX)
}

/// The nearest finite number of 16 bits.
fn half(x: f32) -> Half {
    Half::from_f32(x).clamp(Half::MIN, Half::MAX)
}

fn list(item: DataType, size: usize) -> DataType {
    DataType::FixedSizeList(Arc::new(Field::new("item", item, true)), i32::try_from(size).unwrap_or(i32::MAX))
}

/// A matrix's rows as lists, null where not `known`; `convert` has a row's largest number in size and one of its numbers.
fn lists<T: ArrowPrimitiveType>(
    matrix: ArrayView2<'_, f32>,
    known: impl Fn(usize) -> bool,
    convert: impl Fn(f32, f32) -> T::Native,
) -> ArrayRef {
    let size = i32::try_from(matrix.ncols()).unwrap_or(i32::MAX);
    let mut lists = FixedSizeListBuilder::new(PrimitiveBuilder::<T>::new(), size);
    for (row, values) in matrix.outer_iter().enumerate() {
        let most = values.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
        values.iter().for_each(|&x| lists.values().append_value(convert(most, x)));
        lists.append(known(row));
    }
    Arc::new(lists.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_written_as_the_nearest_number() {
        assert_eq!([finite(1e300), finite(f64::MAX), finite(2.5)], [f32::MAX, f32::MAX, 2.5]);
        assert_eq!([half(1e9), half(-1e9), half(0.5)].map(f32::from), [65_504.0, -65_504.0, 0.5]);
    }
}
