//! From a declaration to a checked schema.

use std::collections::HashMap;

use scaletot_core::ContentHash;

use crate::constraint::Rule;
use crate::def::{ChainDef, MAX_VALUES, list};
use crate::error::{Error, SchemaError};
use crate::legal::{self, Survey};
use crate::state::StateKind;
use crate::{ChainSchema, Constraint, StateDef, StateType};

impl From<ChainSchema> for ChainDef {
    fn from(schema: ChainSchema) -> Self {
        let names: Vec<String> = schema.states.iter().map(|s| s.name.clone()).collect();
        let state = schema
            .states
            .into_iter()
            .map(|s| StateDef {
                name: s.name,
                kind: s.kind,
                description: s.description,
                cue: Some(s.cue),
                values: s.values,
                depends_on: s.depends_on.iter().filter_map(|&p| names.get(p).cloned()).collect(),
            })
            .collect();
        Self { name: schema.name, state, constraint: schema.constraints }
    }
}

impl TryFrom<ChainDef> for ChainSchema {
    type Error = Error;

    fn try_from(def: ChainDef) -> Result<Self, Error> {
        check_text("name of the chain schema", &def.name)?;
        if def.state.is_empty() {
            return Err(SchemaError::NoStates { chain: def.name }.into());
        }
        let last = def.state.len() - 1;
        let mut states: Vec<StateType> = Vec::with_capacity(def.state.len());
        let mut index: HashMap<String, usize> = HashMap::new();
        for (k, state) in def.state.iter().enumerate() {
            check_text(&format!("name of state {}", k + 1), &state.name)?;
            if let Some(&first) = index.get(&state.name) {
                let state = state.name.clone();
                return Err(SchemaError::DuplicateState { state, first: first + 1, second: k + 1 }.into());
            }
            index.insert(state.name.clone(), k);
        }
        for (k, state) in def.state.into_iter().enumerate() {
            check_state(&state, k == last)?;
            let depends_on = resolve_dependencies(&state, k, &index, &states)?;
            let cue = state.cue_or_default();
            let StateDef { name, kind, description, values, .. } = state;
            states.push(StateType { name, kind, description, cue, values, depends_on });
        }
        let rules = def
            .constraint
            .iter()
            .enumerate()
            .map(|(i, c)| resolve_constraint(i + 1, c, &states, &index))
            .collect::<Result<Vec<Rule>, _>>()?;
        let schema = Self::from_parts(def.name, states, def.constraint, rules);
        schema.check_completable()?;
        Ok(schema)
    }
}

impl ChainSchema {
    /// Puts checked parts together.
    pub(crate) fn from_parts(
        name: String,
        states: Vec<StateType>,
        constraints: Vec<Constraint>,
        rules: Vec<Rule>,
    ) -> Self {
        let hash = ContentHash::of(crate::identity::canonical_bytes(&name, &states, &rules));
        Self { name, states, constraints, rules, hash }
    }

    fn check_completable(&self) -> Result<(), SchemaError> {
        match legal::survey(&self.domain_sizes(), &self.rules) {
            Survey::Complete { .. } => Ok(()),
            Survey::DeadEnd { state, prefix } => Err(SchemaError::DeadEnd {
                state: self.states[state].name.clone(),
                after: self.describe(&prefix),
            }),
            Survey::TooEntangled { state } => {
                let state = self.states.get(state).unwrap_or(&self.states[self.outcome_state()]).name.clone();
                Err(SchemaError::TooEntangled { state, limit: legal::MAX_SITUATIONS })
            }
        }
    }
}

/// Refuses text that could not stand in a prompt, a token or a table: empty, padded with spaces, or with control
/// characters.
fn check_text(what: &str, text: &str) -> Result<(), SchemaError> {
    let problem = if text.is_empty() {
        "must not be empty"
    } else if text.trim() != text {
        "must not begin or end with white space"
    } else if text.chars().any(char::is_control) {
        "must not contain control characters"
    } else {
        return Ok(());
    };
    Err(SchemaError::BadText { what: what.to_owned(), text: text.to_owned(), problem })
}

fn check_state(state: &StateDef, last: bool) -> Result<(), SchemaError> {
    let name = &state.name;
    if let Some(cue) = &state.cue {
        check_text(&format!("cue of state `{name}`"), cue)?;
    }
    if !state.description.is_empty() {
        check_text(&format!("description of state `{name}`"), &state.description)?;
    }
    if last && state.kind != StateKind::Ordinal {
        return Err(SchemaError::OutcomeNotOrdinal { state: name.clone() });
    }
    let (expected, found) = (if last { 2 } else { 1 }, state.values.len());
    if found < expected {
        return Err(SchemaError::TooFewValues { state: name.clone(), expected, found });
    }
    if found > MAX_VALUES {
        return Err(SchemaError::TooManyValues { state: name.clone(), limit: MAX_VALUES, found });
    }
    let mut seen = std::collections::HashSet::with_capacity(found);
    for (i, value) in state.values.iter().enumerate() {
        check_text(&format!("value {} of state `{name}`", i + 1), value)?;
        if !seen.insert(value) {
            return Err(SchemaError::DuplicateValue { state: name.clone(), value: value.clone() });
        }
    }
    Ok(())
}

/// Indices of the states that state `k` depends on, ascending.
fn resolve_dependencies(
    state: &StateDef,
    k: usize,
    index: &HashMap<String, usize>,
    earlier: &[StateType],
) -> Result<Vec<usize>, SchemaError> {
    let mut found = Vec::with_capacity(state.depends_on.len());
    for name in &state.depends_on {
        let (state, dependency) = (state.name.clone(), name.clone());
        match index.get(name) {
            None => {
                let known = list(earlier.iter().map(|s| s.name.as_str()));
                return Err(SchemaError::UnknownDependency { state, dependency, known });
            }
            Some(&p) if p >= k => return Err(SchemaError::LaterDependency { state, dependency }),
            Some(p) if found.contains(p) => {
                return Err(SchemaError::DuplicateDependency { state, dependency });
            }
            Some(&p) => found.push(p),
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn resolve_constraint(
    position: usize,
    constraint: &Constraint,
    states: &[StateType],
    index: &HashMap<String, usize>,
) -> Result<Rule, SchemaError> {
    let state_of = |name: &str| {
        index.get(name).copied().ok_or_else(|| SchemaError::ConstraintState {
            index: position,
            state: name.to_owned(),
            known: list(states.iter().map(|s| s.name.as_str())),
        })
    };
    let code_of = |k: usize, value: &str| {
        states[k].code_of(value).ok_or_else(|| SchemaError::ConstraintValue {
            index: position,
            state: states[k].name.clone(),
            value: value.to_owned(),
            known: list(states[k].values.iter().map(String::as_str)),
        })
    };
    if constraint.when.is_empty() {
        return Err(SchemaError::EmptyConstraint { index: position, part: "when" });
    }
    if constraint.forbid.is_empty() {
        return Err(SchemaError::EmptyConstraint { index: position, part: "forbid" });
    }
    let state = state_of(&constraint.state)?;
    let mut when = Vec::with_capacity(constraint.when.len());
    for (name, value) in &constraint.when {
        let k = state_of(name)?;
        if k >= state {
            let (when, state) = (name.clone(), constraint.state.clone());
            return Err(SchemaError::ConstraintOrder { index: position, when, state });
        }
        when.push((k, code_of(k, value)?));
    }
    when.sort_unstable();
    let mut forbid = Vec::with_capacity(constraint.forbid.len());
    for value in &constraint.forbid {
        let code = code_of(state, value)?;
        if forbid.contains(&code) {
            let (state, value) = (constraint.state.clone(), value.clone());
            return Err(SchemaError::ConstraintRepeats { index: position, state, value });
        }
        forbid.push(code);
    }
    forbid.sort_unstable();
    Ok(Rule { when, state, forbid })
}
