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
        // Several fields at a time: the sums are read and written once for all of them.
        let mut group: [Lookups<'_>; 4] = [(&[], &[]); 4];
        let mut count = 0;
        for FieldTable { field, table, .. } in &self.fields {
            let codes = match (&features.columns()[*field], features.hard_bins(*field)) {
                (Column::Index(codes), _) => codes,
                (Column::Piecewise(_), Some(hard)) => &hard.bins,
                // Features without bins were refused.
                (Column::Piecewise(_), None) => continue,
                (Column::Bag { offsets, indices }, _) => {
                    let sets = offsets[rows.start..=rows.end].windows(2);
                    for (sum, ends) in sums.iter_mut().zip(sets) {
                        for &code in &indices[ends[0]..ends[1]] {
                            *sum += table[code as usize];
                        }
                    }
                    continue;
                }
            };
            group[count] = (table, &codes[rows.clone()]);
            count += 1;
            if count == group.len() {
                add(group, sums);
                count = 0;
            }
        }
        let [first, second, third, _] = group;
        match count {
            1 => add([first], sums),
            2 => add([first, second], sums),
            3 => add([first, second, third], sums),
            _ => {}
        }
    }

    /// Adds the terms of the marginal of a state of the block, `[values, n]`, to the sums of `n` users.
    #[inline(always)]
    pub(super) fn add_marginal(&self, state: usize, marginal: &[f32], sums: &mut [f32]) {
        for (weight, column) in self.marginals[state].iter().zip(marginal.chunks_exact(sums.len())) {
            sums.iter_mut().zip(column).for_each(|(sum, p)| *sum += weight * p);
        }
    }

    /// As [`add_marginal`](Self::add_marginal), from the state's logits less that of its last value, `[values - 1, n]`.
    #[inline(always)]
    pub(super) fn add_relative(&self, state: usize, logits: &[f32], sums: &mut [f32]) {
        links::mean(&self.marginals[state], logits, sums);
    }

    /// From `a + b ŷ` to values, in place.
    #[inline(always)]
    pub(super) fn link(&self, sums: &mut [f32]) {
        links::value(self.cap, sums);
    }
}

/// A table and what is looked up in it.
type Lookups<'a> = (&'a [f32], &'a [u32]);

/// Adds what is looked up in `F` tables.
#[inline(always)]
fn add<const F: usize>(fields: [Lookups<'_>; F], sums: &mut [f32]) {
    let fields = fields.map(|(table, codes)| (table, &codes[..sums.len()]));
    for (user, sum) in sums.iter_mut().enumerate() {
        for (table, codes) in &fields {
            *sum += table[codes[user] as usize];
        }
    }
}
