//! The value head: a fitted value model that an encoder serves in place of its outcome head's expected outcome.

use scaletot_core::config::{at_least_zero, check, positive};
use scaletot_profile::Quantiles;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::featuriser::Featuriser;
use crate::field_terms::FieldTerms;
use crate::hidden::HiddenUnit;
use crate::shape::NetworkShape;

/// A value model, linear in what an encoder knows of a user but for a few hidden units of its own, that the encoder serves in place of its
/// outcome head's expected outcome.
///
/// A value model is fitted on profiles and signals, and what is measured has to be what is served: so it travels in the artifact and is computed
/// in the same pass as the network. With the marginals `p_k` of the states, the representation `z` and the trunk's output `h` of a user `x`,
///
/// ```text
/// ŷ = intercept + Σ_f table_f[x_f] + Σ_k m_k · p_k(x) + w · z(x) + u · h(x) + Σ_j v_j max(c_j + Σ_f unit_jf[x_f], 0)
/// value = min(exp(a + b ŷ), cap)
/// ```
///
/// Representation and trunk are linear in the same numbers and become one weight vector; tables are looked up by code, those of the
/// [hidden units](HiddenUnit) in one pass with the fields' own; a state's marginal is computed only where its weights are not all 0. What a model is fitted on comes from
/// [`FrozenEncoder::activations`](crate::FrozenEncoder::activations).
///
/// It is made by [`ValueHead::builder`], and [`FrozenEncoder::with_value_head`](crate::FrozenEncoder::with_value_head) puts it into an encoder
/// that it fits.
///
/// ```
/// # use scaletot_chain::{ChainSchema, StateDef};
/// # use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
/// use scaletot_encoder::{EncoderConfig, FieldTerms, FrozenEncoder, Heads, ValueHead};
/// # let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
/// # let mut table = TableBuilder::new(schema);
/// # table.push_text(1, &["35+"])?;
/// # let table = table.finish();
/// # let chain = ChainSchema::builder("spend").with_state(StateDef::ordinal("budget", ["low", "high"])).build()?;
/// # let heads = Heads::new(true, vec![2], 3);
/// let encoder = // …
/// #     FrozenEncoder::with_random_weights(&EncoderConfig::default(), &table, &chain, heads, 7)?;
/// let head = ValueHead::builder(0.5)
///     .with_fields(vec![FieldTerms::Codes { codes: vec![0.1, 0.3], missing: 0.0 }])
///     .with_link(0.2, 1.5)
///     .with_cap(1_000.0)
///     .build()?;
/// let scores = encoder.with_value_head(head)?.score(&table)?;
/// assert!((scores.value[0] - (0.2 + 1.5 * 0.8f32).exp()).abs() < 1e-4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ValueHeadBuilder")]
pub struct ValueHead {
    intercept: f64,
    fields: Vec<FieldTerms>,
    marginals: Vec<Vec<f64>>,
    representation: Vec<f64>,
    trunk: Vec<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hidden: Vec<HiddenUnit>,
    a: f64,
    b: f64,
    cap: f64,
}

/// What a [`ValueHead`] is built from, not checked yet.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueHeadBuilder {
    intercept: f64,
    fields: Vec<FieldTerms>,
    marginals: Vec<Vec<f64>>,
    representation: Vec<f64>,
    trunk: Vec<f64>,
    #[serde(default)]
    hidden: Vec<HiddenUnit>,
    a: f64,
    b: f64,
    cap: f64,
}

impl ValueHeadBuilder {
    /// Sets the terms of all profile fields, in the schema's order. Without them no field adds anything.
    #[must_use]
    pub fn with_fields(mut self, fields: Vec<FieldTerms>) -> Self {
        self.fields = fields;
        self
    }

    /// Sets the weights `m` of all states' marginals, by state and value. Without them no state adds anything.
    #[must_use]
    pub fn with_marginals(mut self, marginals: Vec<Vec<f64>>) -> Self {
        self.marginals = marginals;
        self
    }

    /// Sets the weights `w` of the representation `z`, `[r]`. Without them it adds nothing.
    #[must_use]
    pub fn with_representation(mut self, weights: Vec<f64>) -> Self {
        self.representation = weights;
        self
    }

    /// Sets the weights `u` of the trunk's output `h`, `[width of the last hidden layer]`. Without them it adds nothing.
    #[must_use]
    pub fn with_trunk(mut self, weights: Vec<f64>) -> Self {
        self.trunk = weights;
        self
    }

    /// Sets the hidden units, whose tables go with those of [`with_fields`](Self::with_fields). Without them there are none. They are
    /// looked up 16 numbers at a time, one of which is the fields' own: 15 units cost as much as one.
    #[must_use]
    pub fn with_hidden(mut self, units: Vec<HiddenUnit>) -> Self {
        self.hidden = units;
        self
    }

    /// Sets `a` and `b` of the value `exp(a + b ŷ)`; 0 and 1 unless set.
    #[must_use]
    pub fn with_link(mut self, a: f64, b: f64) -> Self {
        (self.a, self.b) = (a, b);
        self
    }

    /// Sets the largest value, in the outcome's unit; none unless set.
    #[must_use]
    pub fn with_cap(mut self, cap: f64) -> Self {
        self.cap = cap;
        self
    }

    /// Checks the numbers. Whether there are as many as an encoder has fields and units is checked where the head is put into one.
    ///
    /// # Errors
    /// [`Error::Config`] for a number that is not finite, for a `b` that is not above 0 (the order of users is that of `ŷ`) or for a cap below
    /// 0; numbers times `b` must be finite in 32 bits.
    pub fn build(self) -> Result<ValueHead> {
        let Self { intercept, fields, marginals, representation, trunk, hidden, a, b, cap } = self;
        check(a.is_finite(), "a", "a finite number", a)?;
        positive("b", b)?;
        at_least_zero("cap", cap)?;
        let finite = |field, number: f64| {
            let expected = "finite numbers, also times `b` and in 32 bits";
            check(((number * b) as f32).is_finite(), field, expected, number)
        };
        finite("intercept", intercept)?;
        finite("a", a / b)?;
        let tables = fields.iter().flat_map(FieldTerms::table);
        tables.into_iter().try_for_each(|number| finite("fields", number))?;
        marginals.iter().flatten().try_for_each(|&number| finite("marginals", number))?;
        representation.iter().try_for_each(|&number| finite("representation", number))?;
        trunk.iter().try_for_each(|&number| finite("trunk", number))?;
        let numbers = hidden.iter().flat_map(HiddenUnit::numbers);
        numbers.into_iter().try_for_each(|number| finite("hidden", number))?;
        Ok(ValueHead { intercept, fields, marginals, representation, trunk, hidden, a, b, cap })
    }
}

impl TryFrom<ValueHeadBuilder> for ValueHead {
    type Error = Error;

    fn try_from(builder: ValueHeadBuilder) -> Result<Self> {
        builder.build()
    }
}

impl ValueHead {
    /// A head that gives everybody the same, to be filled in: `exp(intercept)`.
    #[must_use]
    pub fn builder(intercept: f64) -> ValueHeadBuilder {
        ValueHeadBuilder {
            intercept,
            fields: vec![],
            marginals: vec![],
            representation: vec![],
            trunk: vec![],
            hidden: vec![],
            a: 0.0,
            b: 1.0,
            cap: f64::MAX,
        }
    }

    /// The builder with this head's numbers.
    #[must_use]
    pub fn into_builder(self) -> ValueHeadBuilder {
        let Self { intercept, fields, marginals, representation, trunk, hidden, a, b, cap } = self;
        ValueHeadBuilder { intercept, fields, marginals, representation, trunk, hidden, a, b, cap }
    }

    /// What everybody has of `ŷ`.
    #[must_use]
    pub fn intercept(&self) -> f64 {
        self.intercept
    }

    /// The terms of the profile fields, in the schema's order; empty if no field adds anything.
    #[must_use]
    pub fn fields(&self) -> &[FieldTerms] {
        &self.fields
    }

    /// The weights of the states' marginals, by state and value; empty if no state adds anything.
    #[must_use]
    pub fn marginals(&self) -> &[Vec<f64>] {
        &self.marginals
    }

    /// The weights of the representation; empty if it adds nothing.
    #[must_use]
    pub fn representation(&self) -> &[f64] {
        &self.representation
    }

    /// The weights of the trunk's output; empty if it adds nothing.
    #[must_use]
    pub fn trunk(&self) -> &[f64] {
        &self.trunk
    }

    /// The hidden units; empty if there are none.
    #[must_use]
    pub fn hidden(&self) -> &[HiddenUnit] {
        &self.hidden
    }

    /// `(a, b)` of the value `exp(a + b ŷ)`.
    #[must_use]
    pub fn link(&self) -> (f64, f64) {
        (self.a, self.b)
    }

    /// The largest value, in the outcome's unit.
    #[must_use]
    pub fn cap(&self) -> f64 {
        self.cap
    }

    /// The largest size of what fields, states and hidden units together add to `a + b ŷ`, whatever the profile is, and of every sum on the way
    /// there. Of a set of values all may be there.
    pub(crate) fn reach(&self) -> f64 {
        let largest = |numbers: &[f64]| numbers.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        let of_field = |table: &[f64], terms: &FieldTerms| match terms {
            FieldTerms::Codes { .. } => table.iter().map(|x| x.abs()).sum(),
            _ => largest(table),
        };
        let fields: f64 = self.fields.iter().map(|terms| of_field(&terms.table(), terms)).sum();
        let states: f64 = self.marginals.iter().map(|weights| largest(weights)).sum();
        let of_unit = |unit: &HiddenUnit| {
            let tables = unit.tables().iter().zip(&self.fields);
            let sum: f64 = tables.map(|(table, terms)| of_field(table, terms)).sum();
            // The sum is a number of its own, however small its weight is.
            (unit.bias().abs() + sum) * (self.b * unit.weight().abs()).max(1.0)
        };
        fields * self.b.max(1.0) + states * self.b + self.hidden.iter().map(of_unit).sum::<f64>()
    }

    /// Whether a state's marginal adds anything.
    pub(crate) fn uses_state(&self, state: usize) -> bool {
        self.marginals.get(state).is_some_and(|weights| weights.iter().any(|&weight| weight != 0.0))
    }

    /// The bins of the profile's numeric fields, as far as they are used; one per field.
    pub(crate) fn quantiles(&self, fields: usize) -> Vec<Option<Quantiles>> {
        let mut quantiles: Vec<_> = self.fields.iter().map(|terms| terms.quantiles().cloned()).collect();
        quantiles.resize(fields, None);
        quantiles
    }

    /// Checks that there are as many numbers as an encoder has fields and units.
    pub(crate) fn check(&self, featuriser: &Featuriser, shape: &NetworkShape) -> Result<()> {
        let sizes = |what: &str, expected: usize, found: usize| {
            let what = || format!("value head's weights of the {what} (or none)");
            if found == 0 || found == expected {
                return Ok(());
            }
            Err(Error::shape(what(), expected, found))
        };
        sizes("profile fields", featuriser.fields().len(), self.fields.len())?;
        for (terms, field) in self.fields.iter().zip(featuriser.fields()) {
            terms.check(&field.name, &field.encoding)?;
        }
        let states = &shape.heads.states;
        sizes("states", states.len(), self.marginals.len())?;
        for (state, (weights, &size)) in self.marginals.iter().zip(states).enumerate() {
            if weights.len() != size {
                let what = format!("value head's weights of the marginal of state {state}");
                return Err(Error::shape(what, size, weights.len()));
            }
        }
        sizes("representation", shape.served()[2], self.representation.len())?;
        sizes("trunk", shape.trunk_width(), self.trunk.len())?;
        self.hidden.iter().enumerate().try_for_each(|(number, unit)| unit.check(number, &self.fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_cannot_be_served_are_refused() {
        let head = || ValueHead::builder(1.0);
        for (field, builder) in [
            ("intercept", ValueHead::builder(f64::NAN)),
            ("trunk", head().with_trunk(vec![0.0, 1e39])),
            ("trunk", head().with_trunk(vec![1e30]).with_link(0.0, 1e10)),
            ("representation", head().with_representation(vec![f64::INFINITY])),
            ("marginals", head().with_marginals(vec![vec![1.0, f64::NAN]])),
            ("fields", head().with_fields(vec![FieldTerms::Codes { codes: vec![1.0], missing: f64::NAN }])),
            ("hidden", head().with_hidden(vec![HiddenUnit::new(f64::NAN, 1.0, vec![])])),
            ("hidden", head().with_hidden(vec![HiddenUnit::new(0.0, 1.0, vec![vec![0.0, 1e39]])])),
            ("`a`", head().with_link(f64::INFINITY, 1.0)),
            ("`b`", head().with_link(0.0, 0.0)),
            ("`cap`", head().with_cap(-1.0)),
        ] {
            let error = builder.build().unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        }
    }

    #[test]
    fn a_head_survives_json_to_the_bit_and_unknown_keys_are_refused() {
        let quantiles = Quantiles::fit([0.1, 0.7, 1.0 / 3.0], 2).unwrap();
        let bins = vec![0.1; quantiles.bins()];
        let head = ValueHead::builder(0.1 + 0.2)
            .with_fields(vec![
                FieldTerms::Unused,
                FieldTerms::Codes { codes: vec![1.0 / 3.0], missing: -0.1 },
                FieldTerms::Numeric { quantiles, bins, slope: 1e-9, missing: 0.0 },
            ])
            .with_marginals(vec![vec![0.7, -0.7]])
            .with_representation(vec![1.0 / 7.0])
            .with_trunk(vec![2.0 / 7.0])
            .with_hidden(vec![HiddenUnit::new(0.1, 1.0 / 9.0, vec![vec![], vec![1.0 / 3.0, 0.7], vec![]])])
            .with_link(-0.3, 1.1)
            .build()
            .unwrap();
        let json = serde_json::to_string(&head).unwrap();
        assert_eq!(serde_json::from_str::<ValueHead>(&json).unwrap(), head);
        assert_eq!(head.clone().into_builder().build().unwrap(), head);
        let unknown = json.replacen("\"trunk\"", "\"trunks\"", 1);
        assert!(serde_json::from_str::<ValueHead>(&unknown).is_err());
        let refused = json.replacen("\"b\":1.1", "\"b\":-1.1", 1);
        assert!(serde_json::from_str::<ValueHead>(&refused).unwrap_err().to_string().contains("above 0"));
    }
}
