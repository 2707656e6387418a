//! What becomes of the heads' outputs.

use std::ops::Range;

use super::{BLOCK, links};
use crate::head::OutcomeLink;
use crate::network::Outputs;
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
    link: Option<&'a OutcomeLink>,
    /// Means of the tiers, of a head that has some.
    means: Vec<f32>,
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
        link: Option<&'a OutcomeLink>,
        scores: &'a mut Scores,
    ) -> Self {
        let rows = BLOCK.min(populated.len());
        let columns = vec![0.0; (heads[0] + heads[1]) * rows];
        let means = match link {
            Some(OutcomeLink::Tiers { means }) => means.iter().map(|&mean| links::in_range(mean)).collect(),
            _ => Vec::new(),
        };
        let room = [vec![0.0; rows], vec![0.0; rows]];
        Self { heads, populated, least, link, means, scores, columns, room }
    }
}

impl Sink for Scored<'_> {
    #[inline(always)]
    fn put(&mut self, rows: Range<usize>, block: &[f32], width: usize) {
        let n = rows.len();
        let [outcome, states, representation] = self.heads;
        let columns = &mut self.columns[..(outcome + states) * n];
        // Column by column: to cut the columns for every row costs a division each.
        for (at, column) in columns.chunks_exact_mut(n).enumerate() {
            for (to, values) in column.iter_mut().zip(block.chunks_exact(width)) {
                *to = values[at];
            }
        }
        let populated = &self.populated[rows.clone()];
        let known = |row: usize| populated[row] as usize >= self.least;
        let all = populated.iter().all(|&fields| fields as usize >= self.least);
        let (outcomes, mut rest) = columns.split_at_mut(outcome * n);
        let scores = &mut *self.scores;
        let keep = |to: &mut [f32], from: &[f32]| {
            let to = &mut to[rows.clone()];
            if all {
                to.copy_from_slice(from);
                return;
            }
            for (row, (to, from)) in to.iter_mut().zip(from).enumerate() {
                *to = if known(row) { *from } else { *to };
            }
        };
        let [first, second] = &mut self.room;
        let (first, second) = (&mut first[..n], &mut second[..n]);
        match self.link {
            Some(OutcomeLink::Ziln(scale)) => {
                let (logit, after) = outcomes.split_at_mut(n);
                let (mu, raw) = after.split_at_mut(n);
                links::outcome(scale, logit, mu, raw, first);
                keep(&mut scores.value, first);
                keep(&mut scores.p_positive, logit);
                keep(&mut scores.mu, mu);
                keep(&mut scores.sigma, raw);
            }
            Some(OutcomeLink::Tweedie { cap }) => {
                links::tweedie(*cap, outcomes);
                keep(&mut scores.value, outcomes);
            }
            Some(OutcomeLink::Tiers { .. }) => {
                links::softmax(outcomes, n, first, second);
                links::tiers(&self.means, &outcomes[n..], first, second);
                keep(&mut scores.value, first);
                keep(&mut scores.p_positive, second);
            }
            None => {}
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
        for (abstained, &fields) in self.scores.abstained[rows.clone()].iter_mut().zip(populated) {
            *abstained &= (fields as usize) < self.least;
        }
        if representation > 0 {
            for (row, values) in block.chunks_exact(width).enumerate().filter(|(row, _)| known(*row)) {
                let own = self.scores.representation.row_mut(rows.start + row);
                own.into_iter().zip(&values[outcome + states..]).for_each(|(to, from)| *to = *from);
            }
        }
    }
}
