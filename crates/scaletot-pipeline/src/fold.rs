//! The value model folded into the encoder that serves it.
//!
//! What is linear in one-hot fields, marginals and representation is taken over exactly. The committees of learners are not: each is
//! distilled by a ridge regression of its predictions on one-hot fields, marginals and the trunk's output, and what that lacks by a few hidden
//! units on the profile. Every training user counts, labelled or not.

use scaletot_chain::Signals;
use scaletot_core::Progress;
use scaletot_encoder::{
    Device, FieldTerms as HeadTerms, FrozenEncoder, HiddenUnit, UnitData, UnitTrainer, ValueHead,
    ValueHeadBuilder,
};
use scaletot_eval::spearman;
use scaletot_ltv::{BaseFit, Component, FieldTerms, Link, ValueModel, ValueModelConfig, ValueTrainer};
use scaletot_profile::Dataset;

use crate::error::{Context, Result, bail};

/// Hidden units of a committee: as many as are served as fast as one.
const UNITS: usize = 15;

/// What a fold needs beside the models.
pub(crate) struct Folder<'a> {
    pub(crate) encoder: &'a FrozenEncoder,
    /// The users that the value model was fitted on.
    pub(crate) training: &'a Dataset,
    pub(crate) device: &'a Device,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) seed: u64,
}

impl Folder<'_> {
    /// What a value model adds to the encoder's plan; `base` is what it stands on.
    ///
    /// # Errors
    /// If a committee cannot predict, its regression cannot be solved, or training fails or is stopped.
    pub(crate) fn fold(&self, model: &ValueModel, base: &BaseFit) -> Result<ValueHead> {
        let terms = model.linear_terms();
        let mut sum = Sum {
            intercept: terms.intercept,
            fields: terms.fields.iter().map(head_terms).collect::<Result<_>>()?,
            marginals: terms.marginals,
            trunk: vec![],
            hidden: vec![],
        };
        for (learner, weight) in terms.learners.iter().filter(|(_, weight)| *weight != 0.0) {
            let distilled = self.distil(learner, base)?;
            sum.add(*weight, distilled)?;
        }
        let (a, b) = match terms.link {
            Link::Exponential { a, b } => (a, b),
            // Without outcomes the value is a level without a unit; the head keeps its order.
            _ => (0.0, 1.0),
        };
        Ok(sum.head().with_representation(terms.representation).with_link(a, b).build()?)
    }

    /// A committee's predictions as a sum, and as hidden units where that falls short.
    fn distil(&self, learner: &str, base: &BaseFit) -> Result<Sum> {
        let Self { encoder, training, seed, .. } = *self;
        let table = training.table();
        let rows: Vec<usize> = (0..table.len()).collect();
        let predicted = base
            .committee_log_values(learner, table, &rows)?
            .with_context(|| format!("no learner `{learner}` was fitted"))?;
        // The regression is of `ln(1 + outcome)`.
        let predicted: Vec<f64> = predicted.into_iter().map(|log_value| log_value.max(0.0)).collect();
        let as_outcomes = predicted.iter().map(|log_value| Some(log_value.exp_m1())).collect();
        let taught = Dataset::builder(table.clone()).with_outcomes(as_outcomes).build()?;
        let found = encoder.activations(table, &rows)?;
        let shape = [1, found.trunk.ncols()];
        let (marginals, _) = found.marginals.into_raw_vec_and_offset();
        let (trunk, _) = found.trunk.into_raw_vec_and_offset();
        let states = encoder.heads().states.clone();
        let signals = Signals::new(rows.clone(), states, marginals, shape, trunk)?;
        let config = ValueModelConfig::default().with_components([Component::Informed]);
        let terms = ValueTrainer::new(config)?.fit(&taught, &signals, seed, self.progress)?.linear_terms();
        let mut sum = Sum {
            intercept: terms.intercept,
            fields: terms.fields.iter().map(head_terms).collect::<Result<_>>()?,
            marginals: terms.marginals,
            trunk: terms.representation,
            hidden: vec![],
        };
        let linear = encoder.clone().with_value_head(sum.head().build()?)?;
        let targets: Vec<(usize, f64)> = rows.into_iter().zip(predicted).collect();
        let data = UnitData::new(&linear, table, &targets)?;
        sum.hidden = UnitTrainer::new(UNITS)?.fit(&data, seed, self.device, self.progress)?;
        Ok(sum)
    }
}

/// `ŷ` as far as no representation is in it.
struct Sum {
    intercept: f64,
    fields: Vec<HeadTerms>,
    marginals: Vec<Vec<f64>>,
    trunk: Vec<f64>,
    hidden: Vec<HiddenUnit>,
}

impl Sum {
    fn add(&mut self, weight: f64, other: Self) -> Result<()> {
        self.intercept += weight * other.intercept;
        for (to, from) in self.fields.iter_mut().zip(&other.fields) {
            add_terms(to, weight, from)?;
        }
        add(&mut self.trunk, weight, &other.trunk);
        self.marginals.resize(other.marginals.len(), vec![]);
        self.marginals.iter_mut().zip(&other.marginals).for_each(|(to, from)| add(to, weight, from));
        self.hidden.extend(other.hidden.into_iter().map(|unit| unit.scaled(weight)));
        Ok(())
    }

    fn head(&self) -> ValueHeadBuilder {
        ValueHead::builder(self.intercept)
            .with_fields(self.fields.clone())
            .with_marginals(self.marginals.clone())
            .with_trunk(self.trunk.clone())
            .with_hidden(self.hidden.clone())
    }
}

/// A vector that may be empty for zeros, plus a weighted one.
fn add(to: &mut Vec<f64>, weight: f64, from: &[f64]) {
    to.resize(from.len().max(to.len()), 0.0);
    to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
}

fn head_terms(terms: &FieldTerms) -> Result<HeadTerms> {
    Ok(match terms {
        FieldTerms::Codes { codes, missing } => HeadTerms::Codes { codes: codes.clone(), missing: *missing },
        FieldTerms::Bins { quantiles, bins, missing } => HeadTerms::Numeric {
            quantiles: quantiles.clone(),
            bins: bins.clone(),
            slope: 0.0,
            missing: *missing,
        },
        FieldTerms::Nothing => HeadTerms::Unused,
        other => bail!("terms of a field that this version cannot fold: {other:?}"),
    })
}

/// Both are fitted on the same table, so a field has the same kind and bins in both.
fn add_terms(to: &mut HeadTerms, weight: f64, from: &HeadTerms) -> Result<()> {
    match (to, from) {
        (HeadTerms::Codes { codes, missing }, HeadTerms::Codes { codes: more, missing: other }) => {
            add(codes, weight, more);
            *missing += weight * other;
        }
        (
            HeadTerms::Numeric { quantiles, bins, missing, .. },
            HeadTerms::Numeric { quantiles: same, bins: more, missing: other, .. },
        ) if quantiles == same => {
            add(bins, weight, more);
            *missing += weight * other;
        }
        (HeadTerms::Unused, HeadTerms::Unused) => {}
        (to, from) => bail!("a field with other bins in two regressions of one table: {to:?}, {from:?}"),
    }
    Ok(())
}

/// How far served values are from those of the value model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ServedDifference {
    /// Rank correlation: 1 for equal ranks, also where both are constant; 0 where one of them is.
    pub(crate) spearman: f64,
    /// Mean of `|served − fitted| / fitted`.
    pub(crate) relative_error: f64,
}

/// Compares served values with the model's, user by user.
///
/// # Errors
/// For other numbers of values.
pub(crate) fn served_difference(fitted: &[f64], served: &[f64]) -> Result<ServedDifference> {
    let constant = |values: &[f64]| values.iter().all(|value| *value == values[0]);
    let spearman = match (constant(fitted), constant(served)) {
        (true, true) => 1.0,
        (false, false) => spearman(fitted, served)?,
        // What is constant keeps nothing of an order.
        _ => 0.0,
    };
    let errors = fitted.iter().zip(served).map(|(fitted, served)| (served - fitted).abs() / fitted.max(1e-9));
    Ok(ServedDifference { spearman, relative_error: errors.sum::<f64>() / fitted.len().max(1) as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_agrees_with_a_constant_alone() {
        let spearman = |fitted: &[f64], served: &[f64]| served_difference(fitted, served).unwrap().spearman;
        let (order, constant) = ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]);
        assert!(spearman(&order, &[10.0, 20.0, 70.0]) > 1.0 - 1e-12);
        assert_eq!(spearman(&constant, &[5.0, 5.0, 5.0]), 1.0);
        assert_eq!((spearman(&order, &constant), spearman(&constant, &order)), (0.0, 0.0));
    }
}
