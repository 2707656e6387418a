//! The questions about the places of a lattice, and which of them matters most.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::lattice::PlaceId;
use crate::machine::waiting::Total;
use crate::tree::NodeId;

/// Where a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Unasked,
    /// The node that it was asked about.
    Asked(NodeId),
}

/// What is asked once for all places of a context.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) places: Vec<PlaceId>,
    pub(super) status: Status,
    depth: usize,
    /// Probability that a path comes to one of its unanswered places.
    reach: f64,
}

/// All questions that are known.
#[derive(Debug, Default)]
pub(super) struct Questions {
    all: Vec<Question>,
    by_name: HashMap<(u128, usize), usize>,
    /// For each length of path the questions by their reach, the largest on top. An entry whose reach is no longer its question's is stale.
    heaps: Vec<BinaryHeap<(Total, Reverse<usize>)>>,
    /// For each length of path the largest number of thoughts that is known to follow one.
    sizes: Vec<usize>,
}

impl Questions {
    /// The question about a path of this length and name; a path without a name has its own.
    pub(super) fn of(&mut self, name: Option<u128>, depth: usize) -> usize {
        let next = self.all.len();
        let at = name.map_or(next, |name| *self.by_name.entry((name, depth)).or_insert(next));
        if at == next {
            self.all.push(Question { places: Vec::new(), status: Status::Unasked, depth, reach: 0.0 });
        }
        at
    }

    pub(super) fn get(&self, at: usize) -> &Question {
        &self.all[at]
    }

    pub(super) fn get_mut(&mut self, at: usize) -> &mut Question {
        &mut self.all[at]
    }

    /// Notes that so many thoughts may follow a path of this length.
    pub(super) fn note_size(&mut self, depth: usize, size: usize) {
        if self.sizes.len() <= depth {
            self.sizes.resize(depth + 1, 1);
        }
        self.sizes[depth] = self.sizes[depth].max(size);
    }

    /// Counts that more paths come to a question.
    pub(super) fn add_reach(&mut self, at: usize, mass: f64) {
        let question = &mut self.all[at];
        question.reach += mass;
        let depth = question.depth;
        if self.heaps.len() <= depth {
            self.heaps.resize_with(depth + 1, BinaryHeap::new);
        }
        self.heaps[depth].push((Total(question.reach), Reverse(at)));
    }

    /// The unasked question with the largest product of its reach and the entropy that can hang on it: `Σ ln n_k` over the steps from
    /// there to `max_depth`, `n_k` the largest number of thoughts known of step `k`, or of the last step known. Of equals the one with the
    /// larger reach, then the shallower, then the one found first.
    pub(super) fn next(&mut self, max_depth: usize) -> Option<usize> {
        let log = |size: usize| (size.max(1) as f64).ln();
        let beyond = max_depth.saturating_sub(self.sizes.len()) as f64;
        let mut hanging = beyond * self.sizes.last().map_or(0.0, |size| log(*size));
        let mut best: Option<(f64, f64, usize)> = None;
        for depth in (0..self.heaps.len()).rev() {
            hanging += self.sizes.get(depth).map_or(0.0, |size| log(*size));
            let heap = &mut self.heaps[depth];
            while let Some((Total(reach), Reverse(at))) = heap.peek() {
                let question = &self.all[*at];
                if question.status == Status::Unasked && question.reach.total_cmp(reach).is_eq() {
                    let weight = (reach * hanging, *reach);
                    if best.is_none_or(|(product, reach, _)| weight >= (product, reach)) {
                        best = Some((weight.0, weight.1, *at));
                    }
                    break;
                }
                heap.pop();
            }
        }
        best.map(|(_, _, at)| at)
    }
}
