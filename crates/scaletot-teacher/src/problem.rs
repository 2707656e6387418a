//! Binds a user's chain to the search engine.

use std::sync::Arc;

use scaletot_chain::ChainSchema;
use scaletot_search::{Problem, ProblemSize};

use crate::reasoner::asks::{legal_asks, looked_at_from};

/// The tree of one user's chains: a thought is the code of the next state's value, and a path is complete when every
/// state has one.
///
/// The schema's constraints decide what is admissible, so that the engine removes forbidden values before it takes an
/// entropy. There is no self-evaluation: yes/no judgements of small teachers were measured to be unreliable, and the
/// mean calibrated log-probability of the chain is the safer score.
///
/// ```
/// use scaletot_chain::{ChainSchema, Constraint, StateDef};
/// use scaletot_search::Problem;
/// use scaletot_teacher::ChainProblem;
///
/// let schema = ChainSchema::builder("shopper")
///     .with_state(StateDef::ordinal("capacity", ["low", "high"]))
///     .with_state(StateDef::ordinal("spend", ["low", "moderate", "high"]).with_depends_on(["capacity"]))
///     .with_constraint(Constraint::new([("capacity", "low")], "spend", ["high"]))
///     .build()?;
/// let problem = ChainProblem::new(schema.into());
/// assert_eq!(problem.depth(), 2);
/// assert!(!problem.admissible(&[0], &2));
/// assert!(problem.admissible(&[1], &2));
/// # Ok::<(), scaletot_chain::Error>(())
/// ```
///
/// A question is about a state and the values of the states it depends on, so paths that agree on those share their
/// [context](Problem::context). Paths stay apart otherwise, unless they are [joined](Self::joined).
#[derive(Debug, Clone)]
pub struct ChainProblem {
    schema: Arc<ChainSchema>,
    /// For each state the earlier ones that it, a later state or a constraint on these looks at; where paths are joined.
    looked_at: Option<Arc<[Vec<usize>]>>,
}

impl ChainProblem {
    /// The problem of completing a chain of `schema`.
    #[must_use]
    pub fn new(schema: Arc<ChainSchema>) -> Self {
        Self { schema, looked_at: None }
    }

    /// The same, with paths joined that agree on everything which a later state or constraint looks at: they have the same
    /// [state](Problem::state). [`Marginal`](scaletot_search::Strategy::Marginal) needs as many nodes as there are such situations
    /// then, and not one per path. Strategies that look for chains would list fewer of them.
    ///
    /// ```
    /// use scaletot_chain::{ChainSchema, StateDef};
    /// use scaletot_search::{Budget, MarginalConfig, Strategy};
    /// use scaletot_teacher::ChainProblem;
    ///
    /// // Three states that depend on nothing: 27 chains, and a question each.
    /// let state = |name: &str| StateDef::ordinal(name, ["low", "mid", "high"]);
    /// let schema = ChainSchema::builder("shopper")
    ///     .with_state(state("need"))
    ///     .with_state(state("capacity"))
    ///     .with_state(state("spend"))
    ///     .build()?;
    /// let marginal = Strategy::Marginal(MarginalConfig::default());
    /// let most = marginal.estimate(&ChainProblem::new(schema.into()).joined(), &Budget::default())?;
    /// assert_eq!((most.queries, most.nodes), (3, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn joined(mut self) -> Self {
        self.looked_at = Some((0..self.schema.len()).map(|k| looked_at_from(&self.schema, k)).collect());
        self
    }

    /// Whether paths are joined.
    pub(crate) fn is_joined(&self) -> bool {
        self.looked_at.is_some()
    }

    /// The values of some states of a path as a number; `None` in the unlikely case that it has more than 128 bits.
    fn name(&self, path: &[u16], states: &[usize]) -> Option<u128> {
        states.iter().try_fold(0_u128, |name, &state| {
            name.checked_mul(self.schema.domain_size(state) as u128)?
                .checked_add(u128::from(*path.get(state)?))
        })
    }

    /// The chain schema.
    #[must_use]
    pub fn schema(&self) -> &Arc<ChainSchema> {
        &self.schema
    }
}

impl Problem for ChainProblem {
    type Thought = u16;

    fn depth(&self) -> usize {
        self.schema.len()
    }

    fn is_complete(&self, path: &[u16]) -> bool {
        path.len() >= self.schema.len()
    }

    fn admissible(&self, path: &[u16], thought: &u16) -> bool {
        self.schema.allowed(path.len(), path).get(usize::from(*thought)).copied().unwrap_or(false)
    }

    fn state(&self, path: &[u16]) -> Option<u128> {
        self.name(path, self.looked_at.as_ref()?.get(path.len())?)
    }

    fn context(&self, path: &[u16]) -> Option<u128> {
        self.name(path, self.schema.states().get(path.len())?.depends_on())
    }

    /// `false`: a schema whose constraints leave a state without values is refused. An answer may still have no mass on those that are
    /// left, which is a dead end.
    fn may_dead_end(&self) -> bool {
        false
    }

    fn size(&self) -> Option<ProblemSize> {
        let found = legal_asks(&self.schema).ok()?;
        let states = match self.is_joined() {
            true => found.situations as u64,
            false => {
                let sizes = self.schema.states().iter().map(|state| state.values().len() as u64);
                let paths = sizes.scan(1_u64, |paths, size| {
                    let here = *paths;
                    *paths = paths.saturating_mul(size);
                    Some(here)
                });
                paths.fold(0, u64::saturating_add)
            }
        };
        Some(ProblemSize { contexts: found.asks.len() as u64, states })
    }

    fn domain_size(&self, path: &[u16]) -> Option<usize> {
        Some(self.schema.domain_size(path.len()))
    }
}
