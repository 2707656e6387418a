//! Why a value: what each field of a profile contributes to it.
//!
//! Integrated gradients (Sundararajan, Taly and Yan, *Axiomatic Attribution for Deep Networks*, ICML 2017): on the straight way from a
//! baseline to the profile, every step's change of the value is divided among the inputs by the gradient. The baseline is the blank
//! profile, every field missing, so that what is explained is what was told. The way is in the embeddings. The first layer is a sum
//! `b + Σ_f E_f W_f` over the fields, and each field's share of it is exact; since it is linear, the way in the embeddings *is* the
//! straight way between the two outputs of the first layer, and the integral only concerns what comes behind. With cross layers,
//! which multiply fields, the embeddings are the only place where fields are apart. What the tables of a value head add to the value's logarithm
//! goes the same straight way, a number per field beside the embeddings.
//!
//! Contributions sum to the difference of the two values (completeness). They say what moves the *prediction* and nothing of causes; the
//! value of a field that goes with another may be credited to either.

use std::fmt;

use ndarray::{Array1, Axis, concatenate};
use scaletot_core::numeric::softmax;
use scaletot_profile::{Field, ProfileTable, Value};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::frozen::FrozenEncoder;
use crate::gradient::{ValueFunction, embed, terms};
use crate::scores::Abstention;

/// Steps of the integral, doubled as long as there is need.
const STEPS: [usize; 8] = [64, 128, 256, 512, 1024, 2048, 4096, 8192];

/// Allowed gap, and change of a contribution between two numbers of steps, in shares of the contributions' absolute sum.
const TOLERANCE: f64 = 1e-3;

/// What a profile's fields contribute to the predicted value, and what the encoder reads from it.
///
/// It prints as lines in words, the largest contribution first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The expected outcome, in the outcome's unit: what [`Scores::value`](crate::Scores::value) is to about 1e-5 of it, in
    /// [`Precision::Full`](crate::Precision::Full); of the [value head](crate::ValueHead) if there is one.
    pub value: f64,
    /// The expected outcome of the blank profile, with every field missing.
    pub baseline: f64,
    /// One per field, the largest contribution first.
    pub contributions: Vec<Contribution>,
    /// The posterior of every state, in the chain's order; none without signal heads.
    pub posteriors: Vec<StatePosterior>,
    /// Why the profile is abstained on, if it is: what is explained then is not served.
    pub abstention: Option<Abstention>,
    /// What the contributions lack of `value − baseline`. At most 1e-3 of their absolute sum unless `steps` reached 8192.
    pub gap: f64,
    /// Steps that the integral took.
    pub steps: usize,
}

/// What a field contributes to a value.
///
/// It prints as `income = 52 raises the value by 3.10`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Contribution {
    /// The field's name.
    pub field: String,
    /// Its value in the schema's words; `None` if it is missing.
    pub value: Option<String>,
    /// In the outcome's unit, negative if it lowers the value; 0 for a missing field.
    pub amount: f64,
}

/// How probable the values of a state are.
///
/// It prints as `budget: high (0.81), then mid (0.12)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StatePosterior {
    /// The state's name.
    pub state: String,
    /// Values with their probabilities, the most probable first.
    pub values: Vec<(String, f64)>,
}

impl FrozenEncoder {
    /// Explains the predicted value of a profile, field by field, and says the states' posteriors in words. It computes in 64 bits from the
    /// layers as they were trained, whichever [`Precision`](crate::Precision) scores, and takes thousands of times as long as a score.
    ///
    /// A profile that is abstained on is explained all the same, for those who ask why; [`Explanation::abstention`] says that its value is
    /// not served.
    ///
    /// ```
    /// # use scaletot_chain::{ChainSchema, StateDef};
    /// # use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
    /// # use scaletot_encoder::{EncoderConfig, FrozenEncoder, Heads};
    /// # let schema = ProfileSchema::builder("shop")
    /// #     .with_field(FieldSpec::ordinal("age", ["18-34", "35+"]))
    /// #     .with_field(FieldSpec::numeric("income"))
    /// #     .build()?;
    /// # let mut table = TableBuilder::new(schema);
    /// # [["18-34", "20"], ["35+", "52"], ["35+", ""]].iter().zip(0i64..).try_for_each(|(cells, id)| table.push_text(id, cells))?;
    /// # let table = table.finish();
    /// # let chain = ChainSchema::builder("spend").with_state(StateDef::ordinal("budget", ["low", "high"])).build()?;
    /// let encoder = // …
    /// #     FrozenEncoder::with_random_weights(&EncoderConfig::default(), &table, &chain, Heads::new(true, vec![2], 4), 7)?;
    /// let explanation = encoder.explain(&table, 1)?;
    /// let told: f64 = explanation.contributions.iter().map(|contribution| contribution.amount).sum();
    /// assert!((explanation.baseline + told - explanation.value).abs() < 1e-3 * explanation.value);
    /// let words = explanation.to_string();
    /// assert!(words.contains("income = 52 ") && words.contains("age = 35+ ") && words.contains("budget: "), "{words}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Schema`] for a table of another schema; [`Error::Shape`] when there is no such row, or neither outcome nor value head.
    pub fn explain(&self, table: &ProfileTable, row: usize) -> Result<Explanation> {
        let network = self.network();
        let features = self.featuriser().transform(table, &[row])?;
        let (mut own, mut blank) = embed(network, &features);
        let function = match (self.value_head(), self.outcome_link(), network.heads()[0]) {
            (Some(head), ..) => {
                let terms = terms(head, &features);
                own = joined(&own, &terms.0)?;
                blank = joined(&blank, &terms.1)?;
                ValueFunction::of_value_head(network, head)
            }
            (None, Some(link), Some(outcome)) => ValueFunction::of_outcome(network, outcome, link.clone()),
            _ => {
                let what = "outcome or value head of an encoder whose value is explained";
                return Err(Error::shape(what, "one", "none"));
            }
        };
        let value = |point: &Array1<f64>| function.at(&point.view().insert_axis(Axis(0)).to_owned()).0[0];
        let (value, baseline) = (value(&own), value(&blank));
        let shape = network.shape();
        let of_fields = |parts: Array1<f64>| {
            let (embedded, terms) = parts.view().split_at(Axis(0), shape.embedded());
            let embedded = embedded.exact_chunks(shape.embed_dim).into_iter().map(|part| part.sum());
            // Without a value head there are no terms.
            embedded.zip(terms.iter().copied().chain(std::iter::repeat(0.0))).map(|(a, b)| a + b).collect()
        };
        let integral = integrate(&function, &blank, &own, of_fields, value - baseline);
        let fields = self.profile_schema().fields().iter().enumerate();
        let contributions = fields.zip(&integral.amounts).map(|((index, field), &amount)| Contribution {
            field: field.name().to_owned(),
            value: table.value(row, index).map(|value| in_words(field, value)),
            amount,
        });
        let mut contributions: Vec<Contribution> = contributions.collect();
        // Stable, so that those that say as much stay in the schema's order.
        contributions.sort_by(|a, b| b.amount.abs().total_cmp(&a.amount.abs()));
        let logits = self.forward(&features)?.states;
        Ok(Explanation {
            value,
            baseline,
            contributions,
            posteriors: self.posteriors(logits.row(0).iter().map(|&logit| f64::from(logit)).collect()),
            abstention: self.score_features(&features)?.abstention_of(0),
            gap: integral.gap,
            steps: integral.steps,
        })
    }

    /// The posteriors of all states from their logits, if there are any.
    fn posteriors(&self, logits: Vec<f64>) -> Vec<StatePosterior> {
        let mut rest = logits.as_slice();
        let states = self.chain_schema().states().iter().map_while(|state| {
            let (own, after) = rest.split_at_checked(state.values().len())?;
            rest = after;
            let mut values: Vec<(String, f64)> = state.values().iter().cloned().zip(softmax(own)).collect();
            values.sort_by(|a, b| b.1.total_cmp(&a.1));
            Some(StatePosterior { state: state.name().to_owned(), values })
        });
        states.collect()
    }
}

/// What integration found.
struct Integral {
    /// By field.
    amounts: Vec<f64>,
    gap: f64,
    steps: usize,
}

fn joined(embeddings: &Array1<f64>, terms: &Array1<f64>) -> Result<Array1<f64>> {
    concatenate(Axis(0), &[embeddings.view(), terms.view()])
        .map_err(|error| Error::shape("point to explain", "embeddings and terms", error))
}

/// The fields' contributions on the way from a blank profile's point to a user's; `rise` is what they sum to, `of_fields` sums the contributions
/// of a point's numbers by field.
fn integrate(
    function: &ValueFunction,
    blank: &Array1<f64>,
    own: &Array1<f64>,
    of_fields: impl Fn(Array1<f64>) -> Vec<f64>,
    rise: f64,
) -> Integral {
    let mut found = Integral { amounts: vec![], gap: rise, steps: 0 };
    for steps in STEPS {
        let amounts = of_fields(function.mean_gradient(blank, own, steps) * (own - blank));
        let gap = rise - amounts.iter().sum::<f64>();
        let allowed = TOLERANCE * amounts.iter().map(|amount| amount.abs()).sum::<f64>();
        let before = std::mem::replace(&mut found, Integral { amounts, gap, steps }).amounts;
        // A gap can be small by chance while single contributions still move.
        let settled = before.len() == found.amounts.len()
            && before.iter().zip(&found.amounts).all(|(a, b)| (a - b).abs() <= allowed);
        if settled && gap.abs() <= allowed {
            break;
        }
    }
    found
}

/// A value as the schema's author wrote it.
fn in_words(field: &Field, value: Value<'_>) -> String {
    let label =
        |&code: &u32| field.kind().domain().and_then(|domain| domain.label(code)).unwrap_or("another value");
    match value {
        Value::Code(code) => label(&code).to_owned(),
        Value::Number(number) => match field.unit() {
            Some(unit) => format!("{number} {unit}"),
            None => number.to_string(),
        },
        Value::Flag(flag) => if flag { "yes" } else { "no" }.to_owned(),
        Value::Codes([]) => "none".to_owned(),
        Value::Codes(codes) => codes.iter().map(label).collect::<Vec<_>>().join(" and "),
    }
}

/// Three digits, or the whole number.
fn short(x: f64) -> String {
    match x.abs() {
        x if x >= 1e9 || 0.0 < x && x < 1e-4 => format!("{x:.2e}"),
        x if x >= 100.0 => format!("{x:.0}"),
        x if x >= 10.0 => format!("{x:.1}"),
        x if x >= 1.0 || x == 0.0 => format!("{x:.2}"),
        x => format!("{x:.*}", (2.0 - x.log10().floor()) as usize),
    }
}

impl fmt::Display for Contribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(value) = &self.value else { return write!(f, "{} is missing", self.field) };
        write!(f, "{} = {value} ", self.field)?;
        match self.amount {
            0.0 => f.write_str("leaves the value as it is"),
            amount => {
                let verb = if amount > 0.0 { "raises" } else { "lowers" };
                write!(f, "{verb} the value by {}", short(amount))
            }
        }
    }
}

impl fmt::Display for StatePosterior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self.values.iter().take(2).map(|(value, p)| format!("{value} ({p:.2})"));
        write!(f, "{}: {}", self.state, said.collect::<Vec<_>>().join(", then "))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.abstention {
            Some(Abstention::TooFewFields) => writeln!(f, "not served: too few fields are populated")?,
            Some(Abstention::TooFar) => writeln!(f, "not served: too far from the training profiles")?,
            None => {}
        }
        write!(f, "value {}, of a blank profile {}", short(self.value), short(self.baseline))?;
        for contribution in self.contributions.iter().filter(|contribution| contribution.value.is_some()) {
            write!(f, "\n{contribution}")?;
        }
        self.posteriors.iter().try_for_each(|posterior| write!(f, "\n{posterior}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_short() {
        let said = [0.0, 3.1, -52.34, 1234.5, 0.0123, 0.5, 1e-7, 2.5e12].map(short);
        assert_eq!(said, ["0.00", "3.10", "52.3", "1234", "0.0123", "0.500", "1.00e-7", "2.50e12"]);
        let contribution = |value: Option<&str>, amount| Contribution {
            field: "income".into(),
            value: value.map(str::to_owned),
            amount,
        };
        assert_eq!(contribution(Some("52 k$"), 3.1).to_string(), "income = 52 k$ raises the value by 3.10");
        assert_eq!(contribution(Some("52"), -3.1).to_string(), "income = 52 lowers the value by 3.10");
        assert_eq!(contribution(Some("52"), 0.0).to_string(), "income = 52 leaves the value as it is");
        assert_eq!(contribution(None, 0.0).to_string(), "income is missing");
        let values = [("high", 0.81), ("mid", 0.12), ("low", 0.07)].map(|(value, p)| (value.to_owned(), p));
        let posterior = StatePosterior { state: "budget".into(), values: values.to_vec() };
        assert_eq!(posterior.to_string(), "budget: high (0.81), then mid (0.12)");
    }
}
