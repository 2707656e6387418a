//! What is wrong with a declared chain schema.

/// Why a declaration is no chain schema: a text that cannot stand in a prompt, states that do not follow each other, or constraints
/// that fit no chain. Positions of states and constraints count from 1, as in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A schema has no states.
    #[error("chain schema `{chain}`: expected at least one state, found none")]
    NoStates {
        /// Name of the schema.
        chain: String,
    },
    /// A name, value, cue or description that could not stand in a prompt or a file.
    #[error("{what} {text:?}: {problem}")]
    BadText {
        /// What the text is and where: "name of state 2", "value 1 of state `a`".
        what: String,
        /// The text itself.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two states share a name.
    #[error("states {first} and {second} are both named `{state}`: a state's name must be unique")]
    DuplicateState {
        /// The shared name.
        state: String,
        /// Position of the first, from 1.
        first: usize,
        /// Position of the second, from 1.
        second: usize,
    },
    /// A state has fewer values than it needs.
    #[error("state `{state}`: expected at least {expected} value(s), found {found}")]
    TooFewValues {
        /// Name of the state.
        state: String,
        /// The least number of values.
        expected: usize,
        /// Number of values given.
        found: usize,
    },
    /// A state has more values than a code can number.
    #[error("state `{state}`: expected at most {limit} values, found {found}")]
    TooManyValues {
        /// Name of the state.
        state: String,
        /// The largest number of values.
        limit: usize,
        /// Number of values given.
        found: usize,
    },
    /// A value stands twice in a domain.
    #[error("state `{state}`: value `{value}` is listed twice")]
    DuplicateValue {
        /// Name of the state.
        state: String,
        /// The repeated value.
        value: String,
    },
    /// `depends_on` names a state that does not exist.
    #[error(
        "state `{state}` depends on `{dependency}`, which is not a state of this schema; earlier states: {known}"
    )]
    UnknownDependency {
        /// Name of the state.
        state: String,
        /// The name that is not known.
        dependency: String,
        /// Names it could have been.
        known: String,
    },
    /// `depends_on` names the state itself or a later one.
    #[error("state `{state}` depends on `{dependency}`, which does not come before it")]
    LaterDependency {
        /// Name of the state.
        state: String,
        /// The state it names.
        dependency: String,
    },
    /// `depends_on` names a state twice.
    #[error("state `{state}` lists its dependency `{dependency}` twice")]
    DuplicateDependency {
        /// Name of the state.
        state: String,
        /// The repeated name.
        dependency: String,
    },
    /// The last state has no order, so no outcome can be linked to it.
    #[error(
        "state `{state}` is the last one and so linked to the outcome: expected kind \"ordinal\", found \"categorical\""
    )]
    OutcomeNotOrdinal {
        /// Name of the last state.
        state: String,
    },
    /// A constraint without conditions or without forbidden values.
    #[error("constraint {index}: `{part}` is empty")]
    EmptyConstraint {
        /// Position of the constraint, from 1.
        index: usize,
        /// "when" or "forbid".
        part: &'static str,
    },
    /// A constraint names a state that does not exist.
    #[error("constraint {index}: `{state}` is not a state of this schema; states: {known}")]
    ConstraintState {
        /// Position of the constraint, from 1.
        index: usize,
        /// The name that is not known.
        state: String,
        /// Names it could have been.
        known: String,
    },
    /// A constraint names a value that its state does not have.
    #[error("constraint {index}: `{value}` is not a value of state `{state}`; values: {known}")]
    ConstraintValue {
        /// Position of the constraint, from 1.
        index: usize,
        /// The state.
        state: String,
        /// The value that is not known.
        value: String,
        /// Values it could have been.
        known: String,
    },
    /// A constraint's condition is on a state that is not before the one it limits.
    #[error("constraint {index}: its condition is on `{when}`, which does not come before `{state}`")]
    ConstraintOrder {
        /// Position of the constraint, from 1.
        index: usize,
        /// The state of the condition.
        when: String,
        /// The state whose values are forbidden.
        state: String,
    },
    /// A constraint forbids the same value twice.
    #[error("constraint {index}: `{value}` of state `{state}` is forbidden twice")]
    ConstraintRepeats {
        /// Position of the constraint, from 1.
        index: usize,
        /// The state.
        state: String,
        /// The repeated value.
        value: String,
    },
    /// The constraints leave a state without values after a legal start.
    #[error(
        "the constraints leave state `{state}` without a value after {after}; forbid one of those values instead"
    )]
    DeadEnd {
        /// The state that has no value left.
        state: String,
        /// One legal start that leads there: "a = x, b = y".
        after: String,
    },
    /// The constraints interact in more ways than are checked.
    #[error(
        "the constraints can combine in more than {limit} ways before state `{state}`; use fewer or simpler ones"
    )]
    TooEntangled {
        /// The state at which the limit was passed.
        state: String,
        /// The limit.
        limit: usize,
    },
}
