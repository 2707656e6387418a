//! The tree of paths that a search has stepped onto.
//!
//! Nodes live in one vector and refer to each other by index. A path is a node, so an answer kept at its node is the
//! cache that keeps a path from being asked twice.

/// Index of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// The empty path.
    pub(crate) const ROOT: NodeId = NodeId(0);

    fn index(self) -> usize {
        self.0 as usize
    }

    /// The node's number in the order in which nodes were made.
    pub(crate) fn number(self) -> u64 {
        u64::from(self.0)
    }
}

/// A thought that may follow a path.
#[derive(Debug)]
pub(crate) struct Choice<T> {
    pub(crate) thought: T,
    pub(crate) probability: f64,
    child: Option<NodeId>,
}

/// A path's answered, constrained distribution.
#[derive(Debug)]
pub(crate) struct Expansion<T> {
    /// Most probable first.
    pub(crate) choices: Vec<Choice<T>>,
    pub(crate) entropy: f64,
    /// What is known of the entropy where thoughts were left out of the answer.
    pub(crate) interval: Option<(f64, f64)>,
    pub(crate) covered: f64,
}

#[derive(Debug)]
pub(crate) struct Node<T> {
    /// Parent and index of the choice taken there; `None` for the root.
    parent: Option<(NodeId, u32)>,
    /// The first node of the same state at the end of a path of the same length, if this is not the first.
    twin: Option<NodeId>,
    expansion: Option<Expansion<T>>,
    evaluation: Option<f64>,
    complete: bool,
    dead: bool,
    /// Whether another node of the same state is followed in its place.
    pub(crate) merged: bool,
    /// Of the first node of a state: whether one of the state's nodes is, or was, followed.
    pub(crate) followed: bool,
    /// Whether a propose, or an evaluate, query was opened.
    pub(crate) proposing: bool,
    pub(crate) evaluating: bool,
    /// Position among the scored paths.
    scored: Option<usize>,
}

impl<T> Node<T> {
    fn new(parent: Option<(NodeId, u32)>, complete: bool, twin: Option<NodeId>) -> Self {
        Node {
            parent,
            twin,
            expansion: None,
            evaluation: None,
            complete,
            dead: false,
            merged: false,
            followed: false,
            proposing: false,
            evaluating: false,
            scored: None,
        }
    }

    pub(crate) fn twin(&self) -> Option<NodeId> {
        self.twin
    }

    /// Whether nothing about the node is left to be found out: it is scored, dead, merged with another, or every thought that
    /// may follow has a node of its own.
    fn is_resolved(&self) -> bool {
        let followed = |expansion: &Expansion<T>| {
            expansion.interval.is_none() && expansion.choices.iter().all(|choice| choice.child.is_some())
        };
        self.dead
            || self.merged
            || if self.complete {
                self.scored.is_some()
            } else {
                self.expansion.as_ref().is_some_and(followed)
            }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    pub(crate) fn scored(&self) -> Option<usize> {
        self.scored
    }

    pub(crate) fn is_expanded(&self) -> bool {
        self.expansion.is_some()
    }

    pub(crate) fn expansion(&self) -> Option<&Expansion<T>> {
        self.expansion.as_ref()
    }

    pub(crate) fn evaluation(&self) -> Option<f64> {
        self.evaluation
    }
}

#[derive(Debug)]
pub(crate) struct Tree<T> {
    nodes: Vec<Node<T>>,
}

impl<T> Tree<T> {
    /// A tree of the empty path alone.
    pub(crate) fn new(root_complete: bool) -> Self {
        Tree { nodes: vec![Node::new(None, root_complete, None)] }
    }

    /// Whether nothing is left to be found out about any node.
    pub(crate) fn is_resolved(&self) -> bool {
        self.nodes.iter().all(Node::is_resolved)
    }

    pub(crate) fn get(&self, id: NodeId) -> &Node<T> {
        &self.nodes[id.index()]
    }

    pub(crate) fn get_mut(&mut self, id: NodeId) -> &mut Node<T> {
        &mut self.nodes[id.index()]
    }

    /// Whether another node would not fit the index type.
    pub(crate) fn is_full(&self) -> bool {
        u32::try_from(self.nodes.len()).is_err()
    }

    /// The child of `id` at `choice`, if it has been stepped onto.
    pub(crate) fn child(&self, id: NodeId, choice: usize) -> Option<NodeId> {
        self.get(id).expansion.as_ref()?.choices.get(choice)?.child
    }

    /// The id that the next child gets.
    pub(crate) fn next_id(&self) -> NodeId {
        NodeId(self.nodes.len() as u32)
    }

    /// Adds the child of `id` at `choice`. The caller has checked [`is_full`](Self::is_full).
    pub(crate) fn add_child(
        &mut self,
        id: NodeId,
        choice: usize,
        complete: bool,
        twin: Option<NodeId>,
    ) -> NodeId {
        let child = self.next_id();
        self.nodes.push(Node::new(Some((id, choice as u32)), complete, twin));
        if let Some(choice) = self.get_mut(id).expansion.as_mut().and_then(|e| e.choices.get_mut(choice)) {
            choice.child = Some(child);
        }
        child
    }

    /// Sets what follows `id`.
    pub(crate) fn expand(&mut self, id: NodeId, expansion: Expansion<T>) {
        self.get_mut(id).expansion = Some(expansion);
    }

    pub(crate) fn set_evaluation(&mut self, id: NodeId, value: f64) {
        self.get_mut(id).evaluation = Some(value);
    }

    pub(crate) fn set_scored(&mut self, id: NodeId, position: usize) {
        self.get_mut(id).scored = Some(position);
    }

    /// Whether the `choice`-th thought after `id` is not known to be dead.
    pub(crate) fn is_live(&self, id: NodeId, choice: usize) -> bool {
        self.child(id, choice).is_none_or(|c| !self.get(c).dead)
    }

    /// The most probable thought after `id` that is not known to be dead.
    pub(crate) fn best_live(&self, id: NodeId) -> Option<usize> {
        let expansion = self.get(id).expansion.as_ref()?;
        (0..expansion.choices.len()).find(|c| self.is_live(id, *c))
    }

    /// The thoughts after `id` that are not known to be dead, with their probabilities.
    pub(crate) fn live(&self, id: NodeId) -> Vec<(usize, f64)> {
        let choices = self.get(id).expansion.iter().flat_map(|e| e.choices.iter().enumerate());
        choices.filter(|(c, _)| self.is_live(id, *c)).map(|(c, choice)| (c, choice.probability)).collect()
    }

    /// Marks `id` dead, and each ancestor whose every choice is dead by that. Returns the ancestors newly dead.
    pub(crate) fn mark_dead(&mut self, id: NodeId) -> Vec<NodeId> {
        self.get_mut(id).dead = true;
        let mut also = Vec::new();
        let mut at = id;
        while let Some((parent, _)) = self.get(at).parent {
            if self.get(parent).dead || self.best_live(parent).is_some() {
                break;
            }
            self.get_mut(parent).dead = true;
            also.push(parent);
            at = parent;
        }
        also
    }

    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.get(id).parent.map(|(p, _)| p)
    }

    /// The length of the path to `id`.
    pub(crate) fn depth(&self, id: NodeId) -> usize {
        std::iter::successors(self.parent(id), |at| self.parent(*at)).count()
    }

    /// The steps that lead to `id`: the node before each step and the index of the choice taken there.
    pub(crate) fn steps(&self, id: NodeId) -> Vec<(NodeId, usize)> {
        let mut steps = Vec::new();
        let mut at = id;
        while let Some((parent, choice)) = self.get(at).parent {
            steps.push((parent, choice as usize));
            at = parent;
        }
        steps.reverse();
        steps
    }

    /// The choice taken at a step from [`steps`](Self::steps), with the expansion it was taken from.
    pub(crate) fn taken(&self, step: (NodeId, usize)) -> Option<(&Expansion<T>, &Choice<T>)> {
        let expansion = self.get(step.0).expansion.as_ref()?;
        Some((expansion, expansion.choices.get(step.1)?))
    }
}

impl<T: Clone> Expansion<T> {
    /// From (thought, probability), the most probable first.
    pub(crate) fn new(
        choices: Vec<(T, f64)>,
        entropy: f64,
        interval: Option<(f64, f64)>,
        covered: f64,
    ) -> Self {
        let choices =
            choices.into_iter().map(|(thought, probability)| Choice { thought, probability, child: None });
        Expansion { choices: choices.collect(), entropy, interval, covered }
    }

    /// The same thoughts, of which none has been stepped onto.
    fn fresh(&self) -> Self {
        let choices = self.choices.iter().map(|choice| (choice.thought.clone(), choice.probability));
        Self::new(choices.collect(), self.entropy, self.interval, self.covered)
    }
}

impl<T: Clone> Tree<T> {
    /// Gives a node what is known of its twin. Returns whether that is a dead end.
    pub(crate) fn copy_twin(&mut self, id: NodeId) -> bool {
        let Some(twin) = self.get(id).twin else { return false };
        let first = self.get(twin);
        let (evaluation, expansion) = (first.evaluation, first.expansion.as_ref().map(Expansion::fresh));
        let dead_end = expansion.as_ref().is_some_and(|expansion| expansion.choices.is_empty());
        let node = self.get_mut(id);
        node.evaluation = node.evaluation.or(evaluation);
        if node.expansion.is_none() {
            node.expansion = expansion;
        }
        dead_end
    }

    /// The thoughts that lead to `id`.
    pub(crate) fn path(&self, id: NodeId) -> Vec<T> {
        self.steps(id).into_iter().filter_map(|s| self.taken(s).map(|(_, c)| c.thought.clone())).collect()
    }
}
