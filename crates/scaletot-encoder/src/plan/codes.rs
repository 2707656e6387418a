//! What a block of users has of a field that a value head looks up.

use std::ops::Range;

use crate::features::{Column, Features};

/// What users have of a field.
pub(super) enum Codes<'a> {
    /// One code or bin each.
    One(&'a [u32]),
    /// A set each: ends of the sets in what follows, one more than users.
    Sets(&'a [usize], &'a [u32]),
}

/// What these users have of a field; nothing for a number without bins, which was refused.
#[inline(always)]
pub(super) fn codes(features: &Features, field: usize, rows: Range<usize>) -> Option<Codes<'_>> {
    Some(match (&features.columns()[field], features.hard_bins(field)) {
        (Column::Index(codes), _) => Codes::One(&codes[rows]),
        (Column::Piecewise(_), hard) => Codes::One(&hard?.bins[rows]),
        (Column::Bag { offsets, indices }, _) => Codes::Sets(&offsets[rows.start..=rows.end], indices),
    })
}
