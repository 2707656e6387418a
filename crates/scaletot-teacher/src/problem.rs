//! Binds a user's chain to the search engine.

use std::sync::Arc;

use scaletot_chain::ChainSchema;
use scaletot_search::Problem;

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
#[derive(Debug, Clone)]
pub struct ChainProblem {
    schema: Arc<ChainSchema>,
}

impl ChainProblem {
    /// The problem of completing a chain of `schema`.
    #[must_use]
    pub fn new(schema: Arc<ChainSchema>) -> Self {
        Self { schema }
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

    fn domain_size(&self, path: &[u16]) -> Option<usize> {
        Some(self.schema.domain_size(path.len()))
    }
}
