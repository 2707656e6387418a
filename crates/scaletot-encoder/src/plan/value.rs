//! The value head compiled: what it adds to its share of the last layer.

use std::ops::Range;

use pulp::Simd;

use super::codes::{Codes, codes};
use super::links;
use super::units::Units;
use crate::features::Features;
use crate::value_head::ValueHead;

/// Tables of the profile's fields, hidden units and weights of the states' marginals, all times `b`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ValueTerms {
    /// Columns of the last layer that are summed first.
    parts: usize,
    /// Numeric fields with their bins, missing included.
    binned: Vec<(usize, usize)>,
    tables: Tables,
    /// By state of the block and by value; empty for a state that adds nothing.
    marginals: Vec<Vec<f32>>,
    cap: f32,
    reach: f64,
}

/// The fields' tables, by code or bin and then missing.
#[derive(Debug, Clone, PartialEq)]
enum Tables {
    /// Without hidden units: fields with their tables; those that add nothing are left out.
    Linear(Vec<(usize, Vec<f32>)>),
    /// In one with those of the hidden units.
    Hidden(Units),
}

impl ValueTerms {
    /// `states` are those whose logits are there.
    pub(super) fn new(head: &ValueHead, states: &[usize], parts: usize) -> Self {
        let b = head.link().1;
        let times_b = |numbers: &[f64]| -> Vec<f32> { numbers.iter().map(|x| (b * x) as f32).collect() };
        let fields = || head.fields().iter().enumerate();
        let tables = if head.hidden().is_empty() {
            let tables = fields().map(|(field, terms)| (field, times_b(&terms.table())));
            Tables::Linear(tables.filter(|(_, table)| table.iter().any(|&weight| weight != 0.0)).collect())
        } else {
            Tables::Hidden(Units::new(head))
        };
        let binned = fields().filter(|(_, terms)| terms.quantiles().is_some());
        let marginals = states.iter().map(|&state| match head.uses_state(state) {
            true => times_b(&head.marginals()[state]),
            false => vec![],
        });
        Self {
            parts,
            binned: binned.map(|(field, terms)| (field, terms.table().len())).collect(),
            tables,
            marginals: marginals.collect(),
            cap: links::in_range(head.cap()),
            reach: head.reach(),
        }
    }

    pub(super) fn parts(&self) -> usize {
        self.parts
    }

    /// Hidden units, padding included.
    pub(super) fn units(&self) -> usize {
        match &self.tables {
            Tables::Linear(_) => 0,
            Tables::Hidden(units) => units.lanes(),
        }
    }

    /// The bound of what they add, see [`Reach`](super::reach::Reach).
    pub(super) fn reach(&self) -> f64 {
        self.reach
    }

    /// Bytes of the tables.
    pub(super) fn bytes(&self) -> usize {
        let tables = match &self.tables {
            Tables::Linear(tables) => tables.iter().map(|(_, table)| size_of_val(table.as_slice())).sum(),
            Tables::Hidden(units) => units.bytes(),
        };
        tables + self.marginals.iter().map(|table| size_of_val(table.as_slice())).sum::<usize>()
    }

    /// How many bins each of the numeric fields has to have, missing included, and how many it has in some features.
    pub(super) fn bins(&self, features: &Features) -> (Vec<usize>, Vec<usize>) {
        let found = |&(field, _): &(usize, usize)| features.hard_bins(field).map_or(0, |bins| bins.width);
        (self.binned.iter().map(|&(_, bins)| bins).collect(), self.binned.iter().map(found).collect())
    }

    /// Sums the columns of a block of users, `[parts, n]`, into the first of them, and adds the terms of their profiles' fields.
    #[inline(always)]
    pub(super) fn start<S: Simd>(
        &self,
        simd: S,
        features: &Features,
        rows: Range<usize>,
        columns: &mut [f32],
    ) {
        let (sums, others) = columns.split_at_mut(rows.len());
        for other in others.chunks_exact(rows.len()) {
            sums.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
        }
        match &self.tables {
            Tables::Linear(tables) => linear(tables, features, rows, sums),
            Tables::Hidden(units) => units.add(simd, features, rows, sums),
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

/// Adds what is looked up in the fields' tables.
#[inline(always)]
fn linear(tables: &[(usize, Vec<f32>)], features: &Features, rows: Range<usize>, sums: &mut [f32]) {
    // Several fields at a time: the sums are read and written once for all of them.
    let mut group: [Lookups<'_>; 4] = [(&[], &[]); 4];
    let mut count = 0;
    for (field, table) in tables {
        match codes(features, *field, rows.clone()) {
            Some(Codes::One(codes)) => {
                group[count] = (table, codes);
                count += 1;
                if count == group.len() {
                    add(group, sums);
                    count = 0;
                }
            }
            Some(Codes::Sets(ends, indices)) => {
                for (sum, ends) in sums.iter_mut().zip(ends.windows(2)) {
                    for &code in &indices[ends[0]..ends[1]] {
                        *sum += table[code as usize];
                    }
                }
            }
            None => {}
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
