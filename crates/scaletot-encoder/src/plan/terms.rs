//! Which rows of the tables a user's first layer is the sum of.

use std::ops::Range;

use crate::features::Column;

/// How the fields' tables lie behind one another.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    /// First row of each field's table.
    first: Vec<usize>,
    /// Bins of a number, missing included; 0 for other fields.
    bins: Vec<usize>,
}

impl Layout {
    /// Of tables with so many rows, see [`fold`](super::lookup::fold).
    pub(super) fn new(rows: impl Iterator<Item = usize>, numeric: &[bool]) -> Self {
        let rows: Vec<usize> = rows.collect();
        let first = rows.iter().scan(0, |next, rows| {
            let first = *next;
            *next += rows;
            Some(first)
        });
        let bins = rows.iter().zip(numeric).map(|(rows, &numeric)| if numeric { rows / 2 } else { 0 });
        Self { first: first.collect(), bins: bins.collect() }
    }
}

/// The rows that are summed for each user of a block.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// Rows per user that are added as they are.
    each: usize,
    plain: Vec<u32>,
    /// Rows with weights, and where those of each user end.
    weighted: Vec<(u32, f32)>,
    ends: Vec<usize>,
}

impl Terms {
    /// The rows of a block of users.
    pub(super) fn fill(&mut self, layout: &Layout, columns: &[Column], rows: Range<usize>) {
        self.each = columns.iter().filter(|column| !matches!(column, Column::Bag { .. })).count();
        // Every one is written to below.
        self.plain.resize(self.each * rows.len(), 0);
        self.weighted.clear();
        self.ends.clear();
        let mut field = 0;
        let mut weighted = false;
        for ((column, &first), &bins) in columns.iter().zip(&layout.first).zip(&layout.bins) {
            let own = self.plain.iter_mut().skip(field).step_by(self.each.max(1));
            match column {
                Column::Index(codes) => {
                    own.zip(&codes[rows.clone()]).for_each(|(term, code)| *term = first as u32 + code);
                    field += 1;
                }
                Column::Piecewise(positions) => {
                    let bins = positions[rows.clone()].iter().map(|&position| bin(position, bins).0);
                    own.zip(bins).for_each(|(term, bin)| *term = (first + 2 * bin) as u32);
                    field += 1;
                    weighted = true;
                }
                Column::Bag { .. } => weighted = true,
            }
        }
        for row in rows.filter(|_| weighted) {
            for ((column, &first), &bins) in columns.iter().zip(&layout.first).zip(&layout.bins) {
                match column {
                    Column::Index(_) => {}
                    Column::Piecewise(positions) => {
                        let (bin, share) = bin(positions[row], bins);
                        self.weighted.push(((first + 2 * bin + 1) as u32, share));
                    }
                    Column::Bag { offsets, indices } => {
                        let set = &indices[offsets[row]..offsets[row + 1]];
                        let weight = 1.0 / set.len() as f32;
                        self.weighted.extend(set.iter().map(|code| (first as u32 + code, weight)));
                    }
                }
            }
            self.ends.push(self.weighted.len());
        }
    }

    /// Rows to be added for a user of the block.
    #[inline(always)]
    pub(super) fn plain(&self, user: usize) -> &[u32] {
        &self.plain[user * self.each..(user + 1) * self.each]
    }

    /// Rows to be added for a user of the block, each with its weight from 0 to 1.
    #[inline(always)]
    pub(super) fn weighted(&self, user: usize) -> &[(u32, f32)] {
        match self.ends.get(user) {
            Some(&end) => &self.weighted[user.checked_sub(1).map_or(0, |before| self.ends[before])..end],
            None => &[],
        }
    }
}

/// The bin of a position and how far it is in it; a missing number is in the last of the `bins`.
#[inline(always)]
fn bin(position: f32, bins: usize) -> (usize, f32) {
    if position < 0.0 {
        return (bins.saturating_sub(1), 0.0);
    }
    let bin = (position as usize).min(bins.saturating_sub(2));
    (bin, position - bin as f32)
}
