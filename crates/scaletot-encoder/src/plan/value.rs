//! The value head compiled: what it adds to its share of the last layer.

use std::ops::Range;

use super::links;
use crate::features::{Column, Features};
use crate::value_head::ValueHead;

/// Tables of the profile's fields and weights of the states' marginals, all times `b`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ValueTerms {
    /// Columns of the last layer that are summed first.
    parts: usize,
    /// Fields with their tables, by code or bin and then missing; those that add nothing are left out.
    fields: Vec<FieldTable>,
    /// By state of the block and by value; empty for a state that adds nothing.
    marginals: Vec<Vec<f32>>,
    cap: f32,
}

#[derive(Debug, Clone, PartialEq)]
struct FieldTable {
    field: usize,
    /// Whether what is looked up are bins that a value head has for itself.
    binned: bool,
    table: Vec<f32>,
}

impl ValueTerms {
    /// `states` are those whose logits are there.
    pub(super) fn new(head: &ValueHead, states: &[usize], parts: usize) -> Self {
        let b = head.link().1;
        let times_b = |numbers: &[f64]| numbers.iter().map(|number| (b * number) as f32).collect();
        let fields = head.fields().iter().enumerate().map(|(field, terms)| FieldTable {
            field,
            binned: terms.quantiles().is_some(),
            table: times_b(&terms.table()),
        });
        let marginals = states.iter().map(|&state| match head.uses_state(state) {
            true => times_b(&head.marginals()[state]),
            false => vec![],
        });
        Self {
            parts,
            fields: fields.filter(|field| field.table.iter().any(|&weight| weight != 0.0)).collect(),
            marginals: marginals.collect(),
            cap: links::in_range(head.cap()),
        }
    }

    pub(super) fn parts(&self) -> usize {
        self.parts
    }

    /// Bytes of the tables.
    pub(super) fn bytes(&self) -> usize {
        let tables = self.fields.iter().map(|field| &field.table).chain(&self.marginals);
        tables.map(|table| size_of_val(table.as_slice())).sum()
    }

    /// How many bins each of the numeric fields has to have, missing included, and how many it has in some features.
    pub(super) fn bins(&self, features: &Features) -> (Vec<usize>, Vec<usize>) {
        let binned = || self.fields.iter().filter(|field| field.binned);
        let found = |field: &FieldTable| features.hard_bins(field.field).map_or(0, |bins| bins.width);
        (binned().map(|field| field.table.len()).collect(), binned().map(found).collect())
    }

    /// Sums the columns of a block of users, `[parts, n]`, into the first of them, and adds the terms of their profiles' fields.
    #[inline(always)]
    pub(super) fn start(&self, features: &Features, rows: Range<usize>, columns: &mut [f32]) {
        let (sums, others) = columns.split_at_mut(rows.len());
        for other in others.chunks_exact(rows.len()) {
            sums.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
        }
        for FieldTable { field, table, .. } in &self.fields {
            let bins = features.hard_bins(*field);
            match (&features.columns()[*field], bins) {
                (Column::Index(codes), _) => add(table, &codes[rows.clone()], sums),
                (Column::Piecewise(_), Some(hard)) => add(table, &hard.bins[rows.clone()], sums),
                // Features without bins were refused.
                (Column::Piecewise(_), None) => {}
                (Column::Bag { offsets, indices }, _) => {
                    let sets = offsets[rows.start..=rows.end].windows(2);
                    for (sum, ends) in sums.iter_mut().zip(sets) {
                        let set = &indices[ends[0]..ends[1]];
                        *sum += set.iter().map(|&code| table[code as usize]).sum::<f32>();
                    }
                }
            }
        }
    }

    /// Adds the terms of the marginal of a state of the block, `[values, n]`, to the sums of `n` users.
    #[inline(always)]
    pub(super) fn add_marginal(&self, state: usize, marginal: &[f32], sums: &mut [f32]) {
        for (weight, column) in self.marginals[state].iter().zip(marginal.chunks_exact(sums.len())) {
            sums.iter_mut().zip(column).for_each(|(sum, p)| *sum += weight * p);
        }
    }

    /// From `a + b ŷ` to values, in place.
    #[inline(always)]
    pub(super) fn link(&self, sums: &mut [f32]) {
        links::value(self.cap, sums);
    }
}

#[inline(always)]
fn add(table: &[f32], codes: &[u32], sums: &mut [f32]) {
    sums.iter_mut().zip(codes).for_each(|(sum, &code)| *sum += table[code as usize]);
}
