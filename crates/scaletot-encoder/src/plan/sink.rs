//! What becomes of the heads' outputs.

use std::ops::Range;

use pulp::Simd;

use super::served::Served;
use super::{BLOCK, links};
use crate::features::Features;
use crate::head::OutcomeLink;
use crate::network::Outputs;
use crate::scores::Scores;

/// Takes the heads' outputs of a block of rows, counted from the first of the run, `[rows, width]`, of which the first columns are the
/// heads'.
pub(super) trait Sink {
    fn put<S: Simd>(&mut self, simd: S, rows: Range<usize>, block: &[f32], width: usize);
}

/// The rows of a pass and what is done with them.
#[derive(Debug, Clone)]
pub(crate) struct Input<'a> {
    pub(crate) features: &'a Features,
    /// Of the features.
    pub(crate) rows: Range<usize>,
    /// Profiles with fewer populated fields are abstained on.
    pub(crate) min_populated: usize,
    /// Of the outcome head, if it serves.
    pub(crate) link: Option<&'a OutcomeLink>,
}

/// Memory for a block by column.
struct Columns {
    /// `[column, row]`.
    values: Vec<f32>,
    /// Room for values, and for the largest logits and sums of a softmax.
    room: [Vec<f32>; 2],
}

impl Columns {
    fn new(served: &Served, rows: usize) -> Self {
        let rows = BLOCK.min(rows);
        let room = [vec![0.0; rows], vec![0.0; rows]];
        Self { values: vec![0.0; served.columns() * rows], room }
    }

    /// The first columns of a block, and room for two more.
    #[inline(always)]
    fn of(&mut self, block: &[f32], width: usize, count: usize) -> (&mut [f32], [&mut [f32]; 2]) {
        let n = block.len() / width;
        let columns = &mut self.values[..count * n];
        // Column by column: to cut the columns for every row costs a division each.
        for (at, column) in columns.chunks_exact_mut(n).enumerate() {
            for (to, values) in column.iter_mut().zip(block.chunks_exact(width)) {
                *to = values[at];
            }
        }
        let [first, second] = &mut self.room;
        (columns, [&mut first[..n], &mut second[..n]])
    }
}

/// As they are; the value head's as `a + b ŷ`.
pub(super) struct Raw<'a> {
    served: &'a Served,
    features: &'a Features,
    outputs: &'a mut Outputs,
    columns: Columns,
}

impl<'a> Raw<'a> {
    /// Of all rows of the features.
    pub(super) fn new(served: &'a Served, features: &'a Features, outputs: &'a mut Outputs) -> Self {
        Self { served, features, outputs, columns: Columns::new(served, features.len()) }
    }
}

impl Sink for Raw<'_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, rows: Range<usize>, block: &[f32], width: usize) {
        let Self { served, outputs, .. } = self;
        let count = served.columns();
        for (row, values) in rows.clone().zip(block.chunks_exact(width)) {
            let parts = [
                (&mut outputs.outcome, 0),
                (&mut outputs.states, served.outcome),
                (&mut outputs.representation, count),
            ];
            for (head, first) in parts {
                head.row_mut(row).iter_mut().zip(&values[first..]).for_each(|(to, from)| *to = *from);
            }
        }
        if let Some(terms) = &served.value {
            let (columns, [most, sum]) = self.columns.of(block, width, count);
            let n = rows.len();
            let (states, sums) = columns[served.outcome * n..]
                .split_at_mut((count - served.outcome - served.value_columns()) * n);
            terms.start(simd, self.features, rows.clone(), sums);
            let mut rest = states;
            for (state, &size) in served.states.iter().enumerate() {
                let (own, after) = rest.split_at_mut(size * n);
                if served.relative {
                    terms.add_relative(state, own, &mut sums[..n]);
                } else {
                    links::softmax(own, n, most, sum);
                    terms.add_marginal(state, own, &mut sums[..n]);
                }
                rest = after;
            }
            outputs
                .value
                .column_mut(0)
                .iter_mut()
                .skip(rows.start)
                .zip(&sums[..n])
                .for_each(|(to, from)| *to = *from);
        }
    }
}

/// Through the link functions into scores.
pub(super) struct Scored<'a> {
    served: &'a Served,
    input: Input<'a>,
    /// Means of the tiers, of a head that has some.
    means: Vec<f32>,
    scores: &'a mut Scores,
    columns: Columns,
}

impl<'a> Scored<'a> {
    /// Scores of the rows that have enough populated fields; the others stay as they are.
    pub(super) fn new(served: &'a Served, input: Input<'a>, scores: &'a mut Scores) -> Self {
        let means = match input.link {
            Some(OutcomeLink::Tiers { means }) => means.iter().map(|&mean| links::in_range(mean)).collect(),
            _ => Vec::new(),
        };
        let columns = Columns::new(served, input.rows.len());
        Self { served, input, means, scores, columns }
    }
}

impl Sink for Scored<'_> {
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, rows: Range<usize>, block: &[f32], width: usize) {
        let n = rows.len();
        let Self { served, input, means, scores, .. } = self;
        let (columns, [first, second]) = self.columns.of(block, width, served.columns());
        let absolute = input.rows.start + rows.start..input.rows.start + rows.end;
        let populated = &input.features.populated()[absolute.clone()];
        let least = input.min_populated;
        let known = |row: usize| populated[row] as usize >= least;
        let all = populated.iter().all(|&fields| fields as usize >= least);
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
        let (outcomes, rest) = columns.split_at_mut(served.outcome * n);
        // The value is the value head's; the rest stays the outcome head's.
        let (value, distribution) = (served.by_outcome_head, served.distribution);
        match input.link.filter(|_| served.outcome > 0) {
            Some(OutcomeLink::Ziln(scale)) => {
                let (logit, after) = outcomes.split_at_mut(n);
                let (mu, raw) = after.split_at_mut(n);
                links::outcome(scale, logit, mu, raw, first);
                if value {
                    keep(&mut scores.value, first);
                }
                if distribution {
                    keep(&mut scores.p_positive, logit);
                    keep(&mut scores.mu, mu);
                    keep(&mut scores.sigma, raw);
                }
            }
            Some(OutcomeLink::Tweedie { cap }) if value => {
                links::tweedie(*cap, outcomes);
                keep(&mut scores.value, outcomes);
            }
            Some(OutcomeLink::Tiers { .. }) => {
                links::softmax(outcomes, n, first, second);
                links::tiers(means, &outcomes[n..], first, second);
                if value {
                    keep(&mut scores.value, first);
                }
                if distribution {
                    keep(&mut scores.p_positive, second);
                }
            }
            Some(OutcomeLink::Tweedie { .. }) | None => {}
        }
        let (mut states, sums) = rest.split_at_mut(rest.len() - served.value_columns() * n);
        if let Some(terms) = &served.value {
            terms.start(simd, input.features, absolute, sums);
        }
        for (state, &size) in served.states.iter().enumerate() {
            let (own, after) = states.split_at_mut(size * n);
            states = after;
            if let Some(terms) = served.value.as_ref().filter(|_| served.relative) {
                terms.add_relative(state, own, &mut sums[..n]);
                continue;
            }
            links::softmax(own, n, first, second);
            if let Some(terms) = &served.value {
                terms.add_marginal(state, own, &mut sums[..n]);
            }
            if served.states_selected {
                let posterior = &mut scores.posteriors[state];
                for (column, from) in own.chunks_exact(n).enumerate() {
                    for (row, from) in from.iter().enumerate().filter(|(row, _)| known(*row)) {
                        posterior[[rows.start + row, column]] = *from;
                    }
                }
            }
        }
        if let Some(terms) = &served.value {
            terms.link(&mut sums[..n]);
            keep(&mut scores.value, &sums[..n]);
        }
        for (abstained, &fields) in scores.abstained[rows.clone()].iter_mut().zip(populated) {
            *abstained &= (fields as usize) < least;
        }
        if served.representation > 0 {
            let first = served.columns();
            for (row, values) in block.chunks_exact(width).enumerate().filter(|(row, _)| known(*row)) {
                let own = scores.representation.row_mut(rows.start + row);
                own.into_iter().zip(&values[first..]).for_each(|(to, from)| *to = *from);
            }
        }
    }
}
