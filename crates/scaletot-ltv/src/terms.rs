//! A value model as sums over one-hot fields, marginals and representation: what an encoder that serves it adds to its own tables.

use scaletot_profile::{Quantiles, Value};

use crate::model::{Link, Model, ValueModel};
use crate::recipe::FieldRecipe;

/// What a value of one field adds to the log-scale prediction.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FieldTerms {
    /// Of a categorical, ordinal, boolean (no, yes) or multi-valued field: per code, of the latter the sum over the codes of its set.
    Codes {
        /// Per code, `[|V|]`.
        codes: Vec<f64>,
        /// Where the value is missing.
        missing: f64,
    },
    /// Of a numeric field: per quantile bin.
    Bins {
        /// Which bin a number is in.
        quantiles: Quantiles,
        /// Per bin, `[quantiles.bins()]`.
        bins: Vec<f64>,
        /// Where the value is missing.
        missing: f64,
    },
    /// Of a numeric field of which no value was known: nothing.
    Nothing,
}

impl FieldTerms {
    /// What that value adds; `None` is a missing one.
    #[must_use]
    pub fn of(&self, value: Option<Value<'_>>) -> f64 {
        let code = |codes: &[f64], code: usize| codes.get(code).copied().unwrap_or(0.0);
        match (self, value) {
            (Self::Nothing, _) => 0.0,
            (Self::Codes { codes, .. }, Some(Value::Code(at))) => code(codes, at as usize),
            (Self::Codes { codes, .. }, Some(Value::Flag(flag))) => code(codes, usize::from(flag)),
            (Self::Codes { codes, .. }, Some(Value::Codes(set))) => {
                set.iter().map(|&at| code(codes, at as usize)).sum()
            }
            (Self::Bins { quantiles, bins, .. }, Some(Value::Number(x))) => code(bins, quantiles.bin(x)),
            (Self::Codes { missing, .. } | Self::Bins { missing, .. }, _) => *missing,
        }
    }
}

/// A value model as sums:
/// `ŷ = intercept + Σ_f fields_f[x_f] + Σ_k marginals_k · p_k + representation · z + Σ_c weight_c c(x)`, and the value is
/// [`link`](Self::link) of it. Exact up to the rounding of `f64`; only the committees `c` are no sums over fields.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LinearTerms {
    /// The intercept.
    pub intercept: f64,
    /// Per profile field, in schema order.
    pub fields: Vec<FieldTerms>,
    /// Per state the weights of its marginal `p_k`, `K × [|V_k|]`; empty for a model without signals.
    pub marginals: Vec<Vec<f64>>,
    /// The weights of the flattened representation `z`, 0 where it is not read; empty for a model without signals.
    pub representation: Vec<f64>,
    /// The weight of each learner's committee, which predicts `ln(1 + outcome)`, by the learner's name.
    pub learners: Vec<(String, f64)>,
    /// The way from `ŷ` to a value.
    pub link: Link,
}

impl ValueModel {
    /// The model as sums over one-hot fields, marginals and representation.
    #[must_use]
    pub fn linear_terms(&self) -> LinearTerms {
        let columns = self.columns();
        let mut weights = vec![0.0; columns.width()];
        let mut intercept = self.intercept;
        let (mut learners, mut of_level) = (Vec::new(), 0.0);
        for part in &self.parts {
            match &part.model {
                Model::Ridge(ridge) => {
                    intercept += part.weight * ridge.intercept;
                    let start = columns.of(ridge.inputs).start;
                    for term in &ridge.columns {
                        let weight = part.weight * term.weight / term.divisor;
                        weights[start + term.column] += weight;
                        intercept -= weight * term.mean;
                    }
                }
                Model::Committee(committee) => learners.push((committee.name.clone(), part.weight)),
                Model::Level => of_level += part.weight,
            }
        }
        let (profile, mut rest) = weights.split_at(columns.profile_width());
        let mut marginals = Vec::with_capacity(self.domain_sizes().len());
        for &size in self.domain_sizes() {
            let (weights, further) = rest.split_at(size);
            marginals.push(weights.to_vec());
            rest = further;
        }
        if let Some(last) = marginals.last_mut() {
            let top = (last.len().max(2) - 1) as f64;
            last.iter_mut().enumerate().for_each(|(v, weight)| *weight += of_level * v as f64 / top);
        }
        let mut representation = Vec::new();
        if let Some(shape) = &self.signals {
            representation.resize(shape.representation_width(), 0.0);
            representation[shape.read()].copy_from_slice(rest);
        }
        LinearTerms {
            intercept,
            fields: field_terms(self.recipe.fields(), profile),
            marginals,
            representation,
            learners,
            link: self.link,
        }
    }
}

fn field_terms(recipes: &[FieldRecipe], mut weights: &[f64]) -> Vec<FieldTerms> {
    let mut terms = Vec::with_capacity(recipes.len());
    for recipe in recipes {
        let (own, further) = weights.split_at(recipe.width());
        weights = further;
        let missing = own.last().copied().unwrap_or(0.0);
        terms.push(match recipe {
            FieldRecipe::Codes { values } => FieldTerms::Codes { codes: own[..*values].to_vec(), missing },
            FieldRecipe::Number { quantiles } => {
                let slope = own[quantiles.bins()];
                let bin = |(bin, weight): (usize, &f64)| weight + slope * bin as f64;
                let bins = own[..quantiles.bins()].iter().enumerate().map(bin).collect();
                FieldTerms::Bins { quantiles: quantiles.clone(), bins, missing }
            }
            FieldRecipe::Unknown => FieldTerms::Nothing,
        });
    }
    terms
}
