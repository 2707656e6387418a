//! What becomes of the heads' outputs.

use std::ops::Range;

use super::{BLOCK, links};
use crate::network::Outputs;
use crate::outcome::OutcomeScale;
use crate::scores::Scores;

/// Takes the heads' outputs of a block of rows, counted from the first of the run, `[rows, width]`, of which the first columns are the
/// heads'.
pub(super) trait Sink {
    fn put(&mut self, rows: Range<usize>, block: &[f32], width: usize);
}

/// As they are.
impl Sink for &mut Outputs {
    fn put(&mut self, rows: Range<usize>, block: &[f32], width: usize) {
        for (row, values) in rows.zip(block.chunks_exact(width)) {
            let mut values = values.iter();
            for head in [&mut self.outcome, &mut self.states, &mut self.representation] {
                head.row_mut(row).iter_mut().zip(&mut values).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

/// Through the link functions into scores.
pub(super) struct Scored<'a> {
    heads: [usize; 3],
    populated: &'a [u32],
    least: usize,
    scale: Option<&'a OutcomeScale>,
    scores: &'a mut Scores,
    /// The block by column, `[column, row]`.
    columns: Vec<f32>,
    /// Room for values, and for the largest logits and sums of a softmax.
    room: [Vec<f32>; 2],
}

impl<'a> Scored<'a> {
    /// Scores of the rows that have at least `least` of their fields `populated`; the others stay as they are.
    pub(super) fn new(
        heads: [usize; 3],
        populated: &'a [u32],
        least: usize,
        scale: Option<&'a OutcomeScale>,
        scores: &'a mut Scores,
    ) -> Self {
        let rows = BLOCK.min(populated.len());
        let columns = vec![0.0; (heads[0] + heads[1]) * rows];
        Self { heads, populated, least, scale, scores, columns, room: [vec![0.0; rows], vec![0.0; rows]] }
    }
}

impl Sink for Scored<'_> {
    #[inline(always)]
    fn put(&mut self, rows: Range<usize>, block: &[f32], width: usize) {
        let n = rows.len();
        let [outcome, states, _] = self.heads;
        let columns = &mut self.columns[..(outcome + states) * n];
        for (row, values) in block.chunks_exact(width).enumerate() {
            for (column, value) in columns.chunks_exact_mut(n).zip(values) {
                column[row] = *value;
            }
        }
        let known = &self.populated[rows.clone()];
        let known = |row: usize| known[row] as usize >= self.least;
        let (outcomes, mut rest) = columns.split_at_mut(outcome * n);
        if let (Some(scale), Some((logit, rest))) = (self.scale, outcomes.split_at_mut_checked(n)) {
            let (mu, raw) = rest.split_at_mut(n);
            let value = &mut self.room[0][..n];
            links::outcome(scale, logit, mu, raw, value);
            let scores = &mut *self.scores;
            let pairs = [
                (&mut scores.value, &*value),
                (&mut scores.p_positive, &*logit),
                (&mut scores.mu, &*mu),
                (&mut scores.sigma, &*raw),
            ];
            for (to, from) in pairs {
                for (row, (to, from)) in to[rows.clone()].iter_mut().zip(from).enumerate() {
                    *to = if known(row) { *from } else { *to };
                }
            }
        }
        for posterior in &mut self.scores.posteriors {
            let (state, after) = rest.split_at_mut(posterior.ncols() * n);
            let [most, sum] = &mut self.room;
            links::softmax(state, n, most, sum);
            for (column, from) in state.chunks_exact(n).enumerate() {
                for (row, from) in from.iter().enumerate().filter(|(row, _)| known(*row)) {
                    posterior[[rows.start + row, column]] = *from;
                }
            }
            rest = after;
        }
        for (row, values) in block.chunks_exact(width).enumerate().filter(|(row, _)| known(*row)) {
            let own = self.scores.representation.row_mut(rows.start + row);
            own.into_iter().zip(&values[outcome + states..]).for_each(|(to, from)| *to = *from);
            self.scores.abstained[rows.start + row] = false;
        }
    }
}
