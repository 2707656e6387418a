//! Schemas declared in code.

use crate::def::ChainDef;
use crate::error::Result;
use crate::{ChainSchema, Constraint, StateDef};

impl ChainSchema {
    /// Starts a schema in code.
    pub fn builder(name: impl Into<String>) -> ChainSchemaBuilder {
        ChainSchemaBuilder::new(name.into())
    }

    /// Takes the schema apart again, to add to it or change it.
    pub fn into_builder(self) -> ChainSchemaBuilder {
        ChainSchemaBuilder::from(ChainDef::from(self))
    }
}

/// Builds a [`ChainSchema`] in code; [`build`](Self::build) checks it.
#[derive(Debug, Clone)]
pub struct ChainSchemaBuilder {
    def: ChainDef,
}

impl ChainSchemaBuilder {
    pub(crate) fn new(name: String) -> Self {
        Self { def: ChainDef { name, state: Vec::new(), constraint: Vec::new() } }
    }

    /// Adds the next state of the chain.
    #[must_use]
    pub fn with_state(mut self, state: StateDef) -> Self {
        self.def.state.push(state);
        self
    }

    /// Adds a constraint.
    #[must_use]
    pub fn with_constraint(mut self, constraint: Constraint) -> Self {
        self.def.constraint.push(constraint);
        self
    }

    /// Checks the declaration and makes the schema.
    ///
    /// # Errors
    /// The first thing that is wrong with it; see [`ChainSchema`] for what must hold.
    pub fn build(self) -> Result<ChainSchema> {
        ChainSchema::try_from(self.def)
    }
}

impl From<ChainDef> for ChainSchemaBuilder {
    fn from(def: ChainDef) -> Self {
        Self { def }
    }
}
