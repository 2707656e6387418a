//! The paths of a problem with those of one state joined: what may be asked, with the probability of getting there.

use std::collections::BTreeMap;

use crate::tree::NodeId;

/// Index of a place.
pub(super) type PlaceId = usize;

/// Where a thought leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// The path is complete.
    End,
    /// It has the greatest length and is not complete.
    TooLong,
    /// It goes on.
    Place(PlaceId),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub(super) probability: f64,
    pub(super) to: To,
}

/// An incomplete path, together with all others of its state.
#[derive(Debug)]
pub(super) struct Place {
    /// The place before it on the first path found, and the thought taken there.
    pub(super) from: Option<(PlaceId, usize)>,
    /// The node of that path, once the search has stepped onto it.
    pub(super) node: Option<NodeId>,
    /// Length of the path.
    pub(super) depth: usize,
    /// The question that its answer comes from.
    pub(super) question: usize,
    /// Probability that a path comes here.
    pub(super) reach: f64,
    /// In the order of the node's choices; `None` while the place is not answered.
    pub(super) edges: Option<Vec<Edge>>,
    /// Whether nothing can follow.
    pub(super) dead: bool,
    parents: Vec<PlaceId>,
}

/// All places that are known. A place is always one level deeper than those before it.
#[derive(Debug, Default)]
pub(super) struct Lattice {
    places: Vec<Place>,
    /// Places by the length of their paths.
    levels: Vec<Vec<PlaceId>>,
}

impl Lattice {
    pub(super) fn get(&self, id: PlaceId) -> &Place {
        &self.places[id]
    }

    pub(super) fn set_node(&mut self, id: PlaceId, node: NodeId) {
        self.places[id].node = Some(node);
    }

    /// The places of each length of path.
    pub(super) fn levels(&self) -> &[Vec<PlaceId>] {
        &self.levels
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Adds a place that no path leads to yet.
    pub(super) fn add(&mut self, from: Option<(PlaceId, usize)>, depth: usize, question: usize) -> PlaceId {
        let id = self.places.len();
        let (edges, parents) = (None, Vec::new());
        self.places.push(Place {
            from,
            node: None,
            depth,
            question,
            reach: 0.0,
            edges,
            dead: false,
            parents,
        });
        if self.levels.len() <= depth {
            self.levels.resize_with(depth + 1, Vec::new);
        }
        self.levels[depth].push(id);
        id
    }

    /// Whether something may follow.
    pub(super) fn is_live(&self, to: To) -> bool {
        match to {
            To::End => true,
            To::TooLong => false,
            To::Place(place) => !self.places[place].dead,
        }
    }

    /// Sets what follows a place. Returns the places newly dead by that, the deepest first.
    pub(super) fn answer(&mut self, id: PlaceId, edges: Vec<Edge>) -> Vec<PlaceId> {
        for edge in &edges {
            if let To::Place(child) = edge.to
                && self.places[child].parents.last() != Some(&id)
            {
                self.places[child].parents.push(id);
            }
        }
        self.places[id].edges = Some(edges);
        let (mut dead, mut check) = (Vec::new(), vec![id]);
        while let Some(at) = check.pop() {
            let place = &self.places[at];
            let ends = place.edges.as_ref().is_some_and(|edges| edges.iter().all(|e| !self.is_live(e.to)));
            if ends && !place.dead {
                check.extend(&place.parents);
                self.places[at].dead = true;
                dead.push(at);
            }
        }
        dead
    }

    /// Lets `mass` more come to a place and flow on through those that are answered. Returns the unanswered places that it came to,
    /// with what came there.
    pub(super) fn flow(&mut self, id: PlaceId, mass: f64) -> Vec<(PlaceId, f64)> {
        // By levels, so that each place is passed once however many paths lead there.
        let mut waiting = BTreeMap::from([((self.places[id].depth, id), mass)]);
        let mut arrived = Vec::new();
        while let Some(((depth, at), mass)) = waiting.pop_first() {
            self.places[at].reach += mass;
            match &self.places[at].edges {
                None => arrived.push((at, mass)),
                Some(edges) => {
                    for edge in edges {
                        if let To::Place(next) = edge.to {
                            *waiting.entry((depth + 1, next)).or_insert(0.0) += mass * edge.probability;
                        }
                    }
                }
            }
        }
        arrived
    }

    /// Lets what has come to a place that was just answered flow on. Returns as [`flow`](Self::flow).
    pub(super) fn release(&mut self, id: PlaceId) -> Vec<(PlaceId, f64)> {
        let mass = std::mem::replace(&mut self.places[id].reach, 0.0);
        self.flow(id, mass)
    }

    /// Whether every place is answered.
    pub(super) fn is_answered(&self) -> bool {
        self.places.iter().all(|place| place.edges.is_some())
    }

    /// The steps of the path that takes the most probable live thought each time, as far as it is answered, and where it leads.
    pub(super) fn greedy(&self) -> (Vec<(PlaceId, usize)>, To) {
        let (mut steps, mut to) = (Vec::new(), To::Place(0));
        while let To::Place(at) = to {
            let Some(edges) = self.places[at].edges.as_ref() else { break };
            let Some(choice) = edges.iter().position(|edge| self.is_live(edge.to)) else { break };
            steps.push((at, choice));
            to = edges[choice].to;
        }
        (steps, to)
    }

    /// The most probable complete paths, at most `keep`, the best first; of equals the one whose thoughts stand first.
    pub(super) fn most_probable(&self, keep: usize) -> Vec<Vec<(PlaceId, usize)>> {
        // For each place the best ways on: logarithm of the probability, thought, and the rank of the way on from there.
        let mut ways: Vec<Vec<(f64, usize, usize)>> = vec![Vec::new(); self.places.len()];
        for &at in self.levels.iter().rev().flatten() {
            let mut found = Vec::new();
            for (choice, edge) in self.places[at].edges.iter().flatten().enumerate() {
                let log = edge.probability.ln();
                match edge.to {
                    To::End => found.push((log, choice, 0)),
                    To::TooLong => {}
                    To::Place(next) => {
                        let on = ways[next].iter().enumerate();
                        found.extend(on.map(|(rank, (further, ..))| (log + further, choice, rank)));
                    }
                }
            }
            found.sort_by(|a, b| b.0.total_cmp(&a.0));
            found.truncate(keep);
            ways[at] = found;
        }
        let count = ways.first().map_or(0, Vec::len);
        let path = |rank: usize| {
            let (mut at, mut rank, mut steps) = (0, rank, Vec::new());
            loop {
                let (_, choice, next) = ways[at][rank];
                steps.push((at, choice));
                match self.places[at].edges.as_ref().map(|edges| edges[choice].to) {
                    Some(To::Place(place)) => (at, rank) = (place, next),
                    _ => return steps,
                }
            }
        };
        (0..count).map(path).collect()
    }

    /// For each place the share of what comes there that ends in complete paths, and that is held by unanswered places.
    pub(super) fn ends(&self) -> Vec<(f64, f64)> {
        let mut ends = vec![(0.0, 1.0); self.places.len()];
        for &at in self.levels.iter().rev().flatten() {
            let Some(edges) = &self.places[at].edges else { continue };
            ends[at] = edges.iter().fold((0.0, 0.0), |(done, open), edge| {
                let (d, o) = share(edge.to, &ends);
                (done + edge.probability * d, open + edge.probability * o)
            });
        }
        ends
    }

    /// The probability of coming to each place, from the start again: sums that grew answer by answer carry their rounding.
    pub(super) fn reaches(&self) -> Vec<f64> {
        let mut reaches = vec![0.0; self.places.len()];
        if let Some(start) = reaches.first_mut() {
            *start = 1.0;
        }
        for &at in self.levels.iter().flatten() {
            for edge in self.places[at].edges.iter().flatten() {
                if let To::Place(next) = edge.to {
                    reaches[next] += reaches[at] * edge.probability;
                }
            }
        }
        reaches
    }
}

/// What [`Lattice::ends`] says of where a thought leads.
pub(super) fn share(to: To, ends: &[(f64, f64)]) -> (f64, f64) {
    match to {
        To::End => (1.0, 0.0),
        To::TooLong => (0.0, 0.0),
        To::Place(place) => ends[place],
    }
}
