//! Why a value: what each field of a profile contributes to it.
//!
//! How contributions are computed: see `integral`.

use std::fmt;

use scaletot_profile::{Field, Value};
use serde::{Deserialize, Serialize};

use crate::scores::Abstention;

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
    /// Gradients that the integral took, most of them where a unit begins or ends to be live.
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

/// A value as the schema's author wrote it.
pub(crate) fn in_words(field: &Field, value: Value<'_>) -> String {
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
        let values = self.values.iter().take(2).map(|(value, p)| format!("{value} ({p:.2})"));
        write!(f, "{}: {}", self.state, values.collect::<Vec<_>>().join(", then "))
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
        let found = [0.0, 3.1, -52.34, 1234.5, 0.0123, 0.5, 1e-7, 2.5e12].map(short);
        assert_eq!(found, ["0.00", "3.10", "52.3", "1234", "0.0123", "0.500", "1.00e-7", "2.50e12"]);
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
