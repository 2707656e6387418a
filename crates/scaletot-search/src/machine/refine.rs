//! `Refine`: bounded, entropy-guided refinement of a greedy draft.
//!
//! Most steps of a chain are clear, and a full tree search spends its queries on them too. `Refine` asks where the draft
//! was unsure, tries the alternatives there, looks ahead to complete chains before it judges them, and goes back to the
//! incumbent where they do not gain enough. That refinement is bounded and guided by entropy is known from the paper;
//! the procedure below is this project's own formulation.
//!
//! 1. *Draft*: the greedy path.
//! 2. *Round*: the unsettled step with the largest normalised entropy `h_k ≥ τ` is branched into its most probable
//!    values until their mass reaches `ρ`, at most `B`; each is completed greedily, and complete paths are scored.
//! 3. If the round's best gains at least `δ` (and more than 0) over the incumbent, it becomes the incumbent, and the
//!    steps after the branched one are unsettled again. Otherwise the step is settled.
//! 4. When no unsettled step reaches `τ`, the best other complete path becomes the incumbent, as many times as the configuration
//!    has it (by default not at all), and the search ends after that, or at a bound.
//!
//! Four points that the outline leaves open:
//! - Values known to be dead are not tried, and completions walk around them.
//! - A value whose completion dies on the way, though something else may follow it, is tried again before its step is settled.
//! - A dead draft is not the end: rounds are spent on the deepest step of the dead path that has another value, until
//!   some path is complete. Only a draft that the budget's bound on depth cuts short ends the search.
//! - Once there is an incumbent, a branch is begun only if the budget carries it to completion in the worst case, so
//!   that no queries are spent on branches that cannot be judged. The less probable branches are left out first, and
//!   the step stays unsettled; when not one branch fits any more, that bound stops the search.

use std::collections::HashSet;

use super::completion::{Completion, State, worst_case};
use super::flow::Flow;
use super::waiting::Waiting;
use crate::budget::Cost;
use crate::engine::Core;
use crate::tree::NodeId;
use crate::{Event, Problem, RefineConfig, StopReason};

/// The state of a refinement.
#[derive(Debug)]
pub(crate) struct Refine<T> {
    config: RefineConfig,
    phase: Phase<T>,
    /// The complete path that rounds start from.
    incumbent: Option<NodeId>,
    /// Where all values worth trying were tried: steps of the incumbent after these nodes are settled.
    settled: HashSet<NodeId>,
    /// Complete paths of which every step is settled.
    refined: HashSet<NodeId>,
    /// The other complete paths; those of `refined` are taken out when they come up.
    waiting: Waiting,
    /// Where the draft, or a branch of the last round, died; read only while there is no incumbent.
    died_at: NodeId,
}

#[derive(Debug)]
enum Phase<T> {
    Draft(Completion<T>),
    Choose,
    Round(Round<T>),
}

#[derive(Debug)]
struct Round<T> {
    number: u32,
    node: NodeId,
    step: usize,
    /// Each with the value that it tries.
    branches: Vec<(usize, Completion<T>)>,
    /// Whether every value that the strategy wants tried is among the branches.
    whole: bool,
}

/// A step that a round may branch, with the values to try there.
struct Candidate {
    node: NodeId,
    step: usize,
    choices: Vec<usize>,
}

impl<T: Clone> Refine<T> {
    pub(crate) fn new(config: RefineConfig) -> Self {
        Refine {
            config,
            phase: Phase::Draft(Completion::new(NodeId::ROOT, Vec::new())),
            incumbent: None,
            settled: HashSet::new(),
            refined: HashSet::new(),
            waiting: Waiting::default(),
            died_at: NodeId::ROOT,
        }
    }

    pub(crate) fn advance<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) -> Flow {
        loop {
            match &mut self.phase {
                Phase::Draft(draft) => {
                    draft.advance(core);
                    let node = draft.node();
                    match draft.state() {
                        State::Running => return Flow::Wait,
                        State::Cut(bound) => return Flow::Stop(bound.clone()),
                        State::Scored => self.incumbent = Some(node),
                        State::Dead => {
                            core.note_draft(node);
                            if core.depth_hit() {
                                // Other values would most likely need as many steps.
                                return Flow::Stop(StopReason::Depth);
                            }
                            self.died_at = node;
                        }
                    }
                    self.phase = Phase::Choose;
                }
                Phase::Choose => match self.choose(core).and_then(|c| self.begin(core, c)) {
                    Ok(round) => self.phase = Phase::Round(round),
                    Err(reason) => return Flow::Stop(reason),
                },
                Phase::Round(round) => {
                    for (_, branch) in &mut round.branches {
                        branch.advance(core);
                    }
                    if round.branches.iter().any(|(_, b)| *b.state() == State::Running) {
                        return Flow::Wait;
                    }
                    let Phase::Round(round) = std::mem::replace(&mut self.phase, Phase::Choose) else {
                        continue;
                    };
                    self.judge(core, &round);
                    let cut = round.branches.iter().find_map(|(_, b)| match b.state() {
                        State::Cut(bound) => Some(bound.clone()),
                        _ => None,
                    });
                    if let Some(bound) = cut {
                        return Flow::Stop(bound);
                    }
                }
            }
        }
    }

    pub(crate) fn close<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) {
        match &mut self.phase {
            Phase::Draft(draft) => {
                draft.close(core);
                core.note_draft(draft.node());
            }
            Phase::Round(round) => round.branches.iter_mut().for_each(|(_, b)| b.close(core)),
            Phase::Choose => {}
        }
    }

    /// Finds the step to branch next, or why there is none.
    fn choose<P: Problem<Thought = T>>(
        &mut self,
        core: &mut Core<P>,
    ) -> std::result::Result<Candidate, StopReason> {
        let Some(mut incumbent) = self.incumbent else {
            let mut node = self.died_at;
            while core.tree().get(node).is_dead() {
                node = core.tree().parent(node).ok_or_else(|| core.dead_end())?;
            }
            let step = core.tree().steps(node).len();
            return Ok(Candidate { node, step, choices: self.top(core, node) });
        };
        loop {
            let steps = core.tree().steps(incumbent);
            let mut pick: Option<(usize, f64)> = None;
            for (k, step) in steps.iter().enumerate() {
                let entropy = core.tree().taken(*step).map_or(0.0, |(e, _)| e.entropy);
                let open = !self.settled.contains(&step.0) && entropy >= self.config.tau;
                if open && pick.is_none_or(|(_, most)| entropy > most) {
                    pick = Some((k, entropy));
                }
            }
            let Some((step, _)) = pick else {
                incumbent = self.next_incumbent(core, incumbent)?;
                self.incumbent = Some(incumbent);
                continue;
            };
            let (node, taken) = steps[step];
            let choices = self.top(core, node);
            if choices.iter().any(|c| *c != taken) {
                return Ok(Candidate { node, step, choices });
            }
            // Its own value is the only one worth trying: settled without a round.
            self.settled.insert(node);
            core.record(Event::Settled { step, gain: None });
        }
    }

    /// The best complete path that was not refined, after `incumbent` was.
    fn next_incumbent<P: Problem<Thought = T>>(
        &mut self,
        core: &mut Core<P>,
        incumbent: NodeId,
    ) -> std::result::Result<NodeId, StopReason> {
        self.refined.insert(incumbent);
        if self.refined.len() >= self.config.incumbents as usize {
            return Err(StopReason::Settled);
        }
        self.waiting.update(core.scored());
        while let Some(position) = self.waiting.best() {
            let next = core.scored()[position].node;
            if !self.refined.contains(&next) {
                core.record(Event::Switched { path: core.tree().path(next) });
                return Ok(next);
            }
            self.waiting.drop_best();
        }
        Err(StopReason::Settled)
    }

    /// The most probable live values after `node` until their share of the live mass reaches `ρ`, at most `B`.
    fn top<P: Problem<Thought = T>>(&self, core: &Core<P>, node: NodeId) -> Vec<usize> {
        let tree = core.tree();
        let Some(expansion) = tree.get(node).expansion() else { return Vec::new() };
        let live = || {
            let all = expansion.choices.iter().enumerate();
            all.filter(|(c, _)| tree.is_live(node, *c)).map(|(c, choice)| (c, choice.probability))
        };
        let wanted = self.config.rho * live().map(|(_, p)| p).sum::<f64>();
        let mut mass = 0.0;
        let mut top = Vec::new();
        for (choice, probability) in live().take(self.config.branches) {
            top.push(choice);
            mass += probability;
            // With all of the mass wanted, a thought whose share is lost in rounding is tried, too.
            if mass >= wanted && self.config.rho < 1.0 {
                break;
            }
        }
        top
    }

    /// Begins a round with as many of the candidate's values as the budget carries.
    fn begin<P: Problem<Thought = T>>(
        &self,
        core: &mut Core<P>,
        candidate: Candidate,
    ) -> std::result::Result<Round<T>, StopReason> {
        let Candidate { node, step, choices } = candidate;
        if !core.meter().rounds_left(self.config.rounds) {
            return Err(StopReason::Rounds);
        }
        let mut total = Cost::default();
        let mut admitted = 0;
        for choice in &choices {
            let cost = total.plus(worst_case(core, node, *choice, step));
            if let Some(bound) = core.meter().breaks(cost) {
                if self.incumbent.is_none() && total.is_free() {
                    // Any complete path is better than none, and this one may end sooner than the worst case.
                    admitted += 1;
                } else if total.is_free() {
                    return Err(bound);
                }
                break;
            }
            total = cost;
            admitted += 1;
        }
        let number = core.begin_round();
        let prefix = core.tree().path(node);
        let (entropy, values) = core.tree().get(node).expansion().map_or((0.0, Vec::new()), |e| {
            let value = |c: &usize| e.choices.get(*c).map(|c| (c.thought.clone(), c.probability));
            (e.entropy, choices[..admitted].iter().filter_map(value).collect())
        });
        let left_out = choices.len() - admitted;
        core.record(Event::Branched {
            round: number,
            step,
            prefix: prefix.clone(),
            entropy,
            values,
            left_out,
        });
        let branches = choices[..admitted].iter().map(|choice| {
            let mut branch = Completion::new(node, prefix.clone());
            branch.step(core, *choice);
            (*choice, branch)
        });
        Ok(Round { number, node, step, branches: branches.collect(), whole: left_out == 0 })
    }

    /// Compares a finished round with the incumbent.
    fn judge<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>, round: &Round<T>) {
        let mut best: Option<(NodeId, f64)> = None;
        for (_, branch) in round.branches.iter().filter(|(_, b)| *b.state() == State::Scored) {
            let score = core.score_of(branch.node());
            if Some(branch.node()) != self.incumbent && best.is_none_or(|(_, top)| score > top) {
                best = Some((branch.node(), score));
            }
        }
        let gain = match (best, self.incumbent) {
            (Some((_, score)), Some(incumbent)) => Some(score - core.score_of(incumbent)),
            _ => None,
        };
        // A value whose completion died on the way, and that others may follow, is not judged yet.
        let open = |(choice, branch): &(usize, Completion<T>)| {
            *branch.state() == State::Dead && core.tree().is_live(round.node, *choice)
        };
        let whole = round.whole && !round.branches.iter().any(open);
        match best {
            Some((node, _)) if gain.is_none_or(|g| g > 0.0 && g >= self.config.delta) => {
                core.record(Event::Replaced { round: round.number, path: core.tree().path(node), gain });
                self.incumbent = Some(node);
                // Under the same prefix the same values would be tried again.
                if whole {
                    self.settled.insert(round.node);
                }
            }
            _ if self.incumbent.is_some() => {
                // A step whose values were not all tried is not settled yet.
                if whole {
                    self.settled.insert(round.node);
                    core.record(Event::Settled { step: round.step, gain });
                }
            }
            _ => {
                let dead = round.branches.iter().find(|(_, b)| *b.state() == State::Dead);
                self.died_at = dead.map_or(self.died_at, |(_, branch)| branch.node());
            }
        }
    }
}
