//! A value head's hidden units, and its fields' own tables in the same rows.
//!
//! What a field's value adds to each of 15 units and to the sum itself stands in one row of 16 numbers, a line of the cache: a user costs one
//! vector addition per field, as the sum alone would cost a lookup. More units take further rows.

use std::ops::Range;

use pulp::Simd;

use super::LANES;
use super::codes::{Codes, codes};
use crate::features::Features;
use crate::value_head::ValueHead;

/// Users whose sums are held at once.
const USERS: usize = 16;

/// What one value of a field adds to each lane.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(64))]
struct Row([f32; LANES]);

impl Row {
    const ZERO: Self = Self([0.0; LANES]);

    #[inline(always)]
    fn vectors<S: Simd>(&self) -> &[S::f32s] {
        S::as_simd_f32s(&self.0).0
    }

    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, others: &[&Self]) {
        for (at, own) in S::as_mut_simd_f32s(&mut self.0).0.iter_mut().enumerate() {
            for other in others {
                *own = simd.add_f32s(*own, other.vectors::<S>()[at]);
            }
        }
    }
}

/// `Σ_lane weight · max(bias + Σ_f table_f[x_f], floor)`.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    /// Fields with their tables, by code or bin and then missing; those that add nothing are left out.
    tables: Vec<(usize, Vec<Row>)>,
    bias: Row,
    weight: Row,
    /// 0 for a unit, and less than anything for the fields' own terms.
    floor: Row,
}

/// All lanes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Units {
    groups: Vec<Group>,
}

/// What a lane is.
struct Lane<'a> {
    tables: Vec<&'a [f64]>,
    bias: f64,
    weight: f64,
    floor: f32,
}

impl Units {
    /// The first lane is of the fields' own terms, the others are of the units.
    pub(super) fn new(head: &ValueHead) -> Self {
        let b = head.link().1;
        let own: Vec<Vec<f64>> = head.fields().iter().map(|terms| terms.table()).collect();
        let sum = Lane {
            tables: own.iter().map(Vec::as_slice).collect(),
            bias: 0.0,
            weight: b,
            floor: f32::NEG_INFINITY,
        };
        let units = head.hidden().iter().map(|unit| Lane {
            tables: unit.tables().iter().map(Vec::as_slice).collect(),
            bias: unit.bias(),
            weight: b * unit.weight(),
            floor: 0.0,
        });
        let lanes: Vec<Lane<'_>> = std::iter::once(sum).chain(units).collect();
        Self { groups: lanes.chunks(LANES).map(|lanes| Group::new(lanes, head.fields().len())).collect() }
    }

    /// Numbers in a row of all groups.
    pub(super) fn lanes(&self) -> usize {
        self.groups.len() * LANES
    }

    /// Bytes of the tables.
    pub(super) fn bytes(&self) -> usize {
        let tables = self.groups.iter().flat_map(|group| &group.tables);
        tables.map(|(_, table)| size_of_val(table.as_slice())).sum()
    }

    /// Adds what fields and units of a block of users come to.
    #[inline(always)]
    pub(super) fn add<S: Simd>(&self, simd: S, features: &Features, rows: Range<usize>, sums: &mut [f32]) {
        for group in &self.groups {
            let mut first = rows.start;
            for sums in sums.chunks_mut(USERS) {
                group.add(simd, features, first, sums);
                first += sums.len();
            }
        }
    }
}

impl Group {
    fn new(lanes: &[Lane<'_>], fields: usize) -> Self {
        let mut group = Self { tables: vec![], bias: Row::ZERO, weight: Row::ZERO, floor: Row::ZERO };
        for (at, lane) in lanes.iter().enumerate() {
            group.bias.0[at] = lane.bias as f32;
            group.weight.0[at] = lane.weight as f32;
            group.floor.0[at] = lane.floor;
        }
        for field in 0..fields {
            let tables = || lanes.iter().map(|lane| lane.tables.get(field).copied().unwrap_or_default());
            let mut rows = vec![Row::ZERO; tables().map(<[f64]>::len).max().unwrap_or(0)];
            for (at, table) in tables().enumerate() {
                rows.iter_mut().zip(table).for_each(|(row, weight)| row.0[at] = *weight as f32);
            }
            if rows.iter().any(|row| *row != Row::ZERO) {
                group.tables.push((field, rows));
            }
        }
        group
    }

    #[inline(always)]
    fn add<S: Simd>(&self, simd: S, features: &Features, first: usize, sums: &mut [f32]) {
        let mut held = [self.bias; USERS];
        let held = &mut held[..sums.len()];
        // Several fields at a time: what is held is read and written once for all of them.
        let mut group: [Lookups<'_>; 8] = [(&[], &[]); 8];
        let mut count = 0;
        for (field, table) in &self.tables {
            match codes(features, *field, first..first + sums.len()) {
                Some(Codes::One(codes)) if count + 1 == group.len() => {
                    group[count] = (table, codes);
                    for (user, held) in held.iter_mut().enumerate() {
                        held.add(simd, &rows(&group, user));
                    }
                    count = 0;
                }
                Some(Codes::One(codes)) => {
                    group[count] = (table, codes);
                    count += 1;
                }
                Some(Codes::Sets(ends, indices)) => {
                    for (held, ends) in held.iter_mut().zip(ends.windows(2)) {
                        for &code in &indices[ends[0]..ends[1]] {
                            held.add(simd, &[&table[code as usize]]);
                        }
                    }
                }
                None => {}
            }
        }
        let [a, b, c, d, e, f, g, _] = group;
        match count {
            0 => self.finish(simd, [], held, sums),
            1 => self.finish(simd, [a], held, sums),
            2 => self.finish(simd, [a, b], held, sums),
            3 => self.finish(simd, [a, b, c], held, sums),
            4 => self.finish(simd, [a, b, c, d], held, sums),
            5 => self.finish(simd, [a, b, c, d, e], held, sums),
            6 => self.finish(simd, [a, b, c, d, e, f], held, sums),
            _ => self.finish(simd, [a, b, c, d, e, f, g], held, sums),
        }
    }

    /// Adds the last fields, then all lanes.
    #[inline(always)]
    fn finish<S: Simd, const F: usize>(
        &self,
        simd: S,
        fields: [Lookups<'_>; F],
        held: &mut [Row],
        sums: &mut [f32],
    ) {
        let fields = fields.map(|(table, codes)| (table, &codes[..sums.len()]));
        let (weight, floor) = (self.weight.vectors::<S>(), self.floor.vectors::<S>());
        for (user, (sum, held)) in sums.iter_mut().zip(held).enumerate() {
            held.add(simd, &rows(&fields, user));
            let mut total = simd.splat_f32s(0.0);
            for ((lanes, weight), floor) in held.vectors::<S>().iter().zip(weight).zip(floor) {
                total = simd.mul_add_f32s(simd.max_f32s(*lanes, *floor), *weight, total);
            }
            *sum += simd.reduce_sum_f32s(total);
        }
    }
}

/// A table and what is looked up in it.
type Lookups<'a> = (&'a [Row], &'a [u32]);

/// What is looked up for one user.
#[inline(always)]
fn rows<'a, const F: usize>(fields: &[Lookups<'a>; F], user: usize) -> [&'a Row; F] {
    fields.map(|(table, codes)| &table[codes[user] as usize])
}
