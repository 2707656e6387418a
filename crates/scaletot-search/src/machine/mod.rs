//! The state machines of the strategies, one file each.
//!
//! A machine works on the shared [`Core`](crate::engine::Core). It is advanced whenever no query is open, opens the queries
//! it can use at once, and tells when it is done; the core keeps the tree, the budget and the trace. Because a machine only
//! runs when all its queries are answered, and reads the answers from the tree, the order in which they arrive cannot
//! matter.

mod candidates;
mod completion;
mod dfs;
mod draw;
mod flow;
mod frontier;
mod greedy;
mod marginal;
mod refine;
mod sampling;
mod waiting;

pub(crate) use flow::Flow;

use dfs::Dfs;
use frontier::Frontier;
use greedy::Greedy;
use marginal::Marginal;
use refine::Refine;
use sampling::Sampling;

use crate::engine::Core;
use crate::{Problem, Strategy};

/// The state of the strategy that runs.
#[derive(Debug)]
pub(crate) enum Machine<T> {
    Greedy(Greedy<T>),
    Sampling(Sampling<T>),
    Frontier(Frontier),
    Dfs(Dfs),
    Refine(Box<Refine<T>>),
    Marginal(Box<Marginal>),
}

macro_rules! each {
    ($machine:expr, $it:ident => $do:expr) => {
        match $machine {
            Machine::Greedy($it) => $do,
            Machine::Sampling($it) => $do,
            Machine::Frontier($it) => $do,
            Machine::Dfs($it) => $do,
            Machine::Refine($it) => $do,
            Machine::Marginal($it) => $do,
        }
    };
}

impl<T: Clone + Eq + std::hash::Hash + std::fmt::Debug + Send> Machine<T> {
    pub(crate) fn new(strategy: &Strategy, seed: u64) -> Self {
        match strategy {
            Strategy::Greedy => Machine::Greedy(Greedy::new()),
            Strategy::SelfConsistency(c) => Machine::Sampling(Sampling::new(c.samples, c.temperature, seed)),
            Strategy::BestOfN(c) => Machine::Sampling(Sampling::new(c.samples, c.temperature, seed)),
            Strategy::Bfs(config) => Machine::Frontier(Frontier::new(*config, seed)),
            Strategy::Beam(config) => Machine::Frontier(Frontier::new(config.as_bfs(), seed)),
            Strategy::Dfs(config) => Machine::Dfs(Dfs::new(*config, seed)),
            Strategy::Refine(config) => Machine::Refine(Box::new(Refine::new(*config))),
            Strategy::Marginal(config) => Machine::Marginal(Box::new(Marginal::new(*config))),
        }
    }

    /// Goes on as far as the answers reach.
    pub(crate) fn advance<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) -> Flow {
        each!(self, it => it.advance(core))
    }

    /// The search is being stopped: hands over whatever is complete.
    pub(crate) fn close<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) {
        each!(self, it => it.close(core));
    }
}
