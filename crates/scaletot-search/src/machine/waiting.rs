//! Complete paths that wait to be refined, the best first.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::engine::Scored;

/// Positions of scored paths, the best score on top, of equal ones the first found.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    heap: BinaryHeap<(Total, Reverse<usize>)>,
    /// How many scored paths were put there.
    seen: usize,
}

impl Waiting {
    /// Adds the paths that were scored since the last call.
    pub(super) fn update(&mut self, scored: &[Scored]) {
        self.heap.extend((self.seen..scored.len()).map(|i| (Total(scored[i].score.total), Reverse(i))));
        self.seen = scored.len();
    }

    /// The position of the best one.
    pub(super) fn best(&self) -> Option<usize> {
        self.heap.peek().map(|(_, Reverse(position))| *position)
    }

    pub(super) fn drop_best(&mut self) {
        self.heap.pop();
    }
}

/// A number, ordered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Total(pub(super) f64);

impl Ord for Total {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Total {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Total {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Total {}
