//! Explanations of an encoder's values.

use ndarray::{Array1, Axis};
use scaletot_core::numeric::softmax;
use scaletot_profile::ProfileTable;

use super::FrozenEncoder;
use crate::error::{Error, Result};
use crate::explain::{Contribution, Explanation, StatePosterior, in_words};
use crate::gradient::{ValueFunction, embed, terms};
use crate::integral::{integrate, joined};

impl FrozenEncoder {
    /// Explains the predicted value of a profile, field by field, and gives the states' posteriors in words. It computes in 64 bits from the
    /// layers as they were trained, whichever [`Precision`](crate::Precision) scores, and takes thousands of times as long as a score.
    ///
    /// A profile that is abstained on is explained all the same, for those who ask why; [`Explanation::abstention`] tells that its value is
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
    /// [`Error::Schema`] for a table of another schema; [`Error::Shape`] when there is no such row, or neither outcome nor value head;
    /// [`Error::Value`] with the row where weights are so extreme that a contribution is not finite.
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
        let lanes = 1 + self.value_head().map_or(0, |head| head.hidden().len());
        let of_fields = |parts: Array1<f64>| {
            let (embedded, terms) = parts.view().split_at(Axis(0), shape.embedded());
            let embedded = embedded.exact_chunks(shape.embed_dim).into_iter().map(|part| part.sum());
            // Without a value head there are no terms.
            let terms = terms.exact_chunks(lanes).into_iter().map(|part| part.sum());
            embedded.zip(terms.chain(std::iter::repeat(0.0))).map(|(a, b)| a + b).collect()
        };
        let integral = integrate(&function, &blank, &own, of_fields, value - baseline);
        let fields = self.profile_schema().fields().iter().enumerate();
        let contributions = fields.zip(&integral.amounts).map(|((index, field), &amount)| Contribution {
            field: field.name().to_owned(),
            value: table.value(row, index).map(|value| in_words(field, value)),
            amount,
        });
        let mut contributions: Vec<Contribution> = contributions.collect();
        // Stable, so that those of one size stay in the schema's order.
        contributions.sort_by(|a, b| b.amount.abs().total_cmp(&a.amount.abs()));
        let logits = self.forward(&features)?.states;
        // Values are bounded, but their slopes need not be.
        let numbers = contributions.iter().map(|contribution| contribution.amount).chain([
            value,
            baseline,
            integral.gap,
        ]);
        if let Some(found) = numbers.into_iter().find(|x| !x.is_finite()) {
            return Err(Error::Value {
                what: "explanation of a value".into(),
                row,
                expected: "finite contributions, of an encoder whose weights are not extreme".into(),
                found: found.to_string(),
            });
        }
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
