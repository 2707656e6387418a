//! What `user_states!` expands to: schemas as constants, checked by the compiler.
//!
//! The checks repeat those of the builder, over slices instead of vectors, since a constant can allocate nothing. A
//! property test holds the two against each other.

use crate::constraint::Rule;
use crate::def::{MAX_VALUES, list};
use crate::state::StateKind;
use crate::{ChainSchema, Constraint, Error, Result, StateType};

/// A chain schema as a constant.
#[derive(Debug, Clone, Copy)]
pub struct ChainSpec {
    /// Name of the schema.
    pub name: &'static str,
    /// States in order.
    pub states: &'static [StateSpec],
    /// Constraints.
    pub constraints: &'static [ConstraintSpec],
}

/// A state as a constant.
#[derive(Debug, Clone, Copy)]
pub struct StateSpec {
    /// Name.
    pub name: &'static str,
    /// Whether the values have an order.
    pub ordinal: bool,
    /// Description.
    pub description: &'static str,
    /// Cue.
    pub cue: &'static str,
    /// Values by code.
    pub values: &'static [&'static str],
    /// Indices of the states it depends on, in any order.
    pub depends_on: &'static [usize],
}

/// A constraint as a constant.
#[derive(Debug, Clone, Copy)]
pub struct ConstraintSpec {
    /// State index and value code.
    pub when: &'static [(usize, u16)],
    /// Index of the limited state.
    pub state: usize,
    /// Forbidden codes.
    pub forbid: &'static [u16],
}

/// The most constraints a constant schema can have: one bit each.
const MAX_CONSTRAINTS: usize = 128;

/// The most sets of live constraints followed at one state of a constant schema.
const MAX_SITUATIONS: usize = 256;

impl ChainSpec {
    /// Fails to compile if the schema is not valid.
    ///
    /// # Panics
    /// If the schema is not valid; in a constant that is a compile error.
    pub const fn check(&self) {
        assert!(
            is_clean(self.name),
            "the chain's name is empty, or has white space around it or control characters"
        );
        assert!(!self.states.is_empty(), "a chain needs at least one state");
        let mut k = 0;
        while k < self.states.len() {
            check_state(&self.states[k], k);
            k += 1;
        }
        let last = &self.states[self.states.len() - 1];
        assert!(last.ordinal, "the last state is linked to the outcome, so it must be `ordinal`");
        assert!(
            last.values.len() >= 2,
            "the last state is linked to the outcome, so it needs at least two values"
        );
        let mut i = 0;
        while i < self.constraints.len() {
            check_constraint(&self.constraints[i]);
            i += 1;
        }
        self.check_completable();
    }

    /// As the survey of run-time schemas, with sets of live constraints as bits.
    const fn check_completable(&self) {
        assert!(
            self.constraints.len() <= MAX_CONSTRAINTS,
            "too many constraints for `user_states!`: use a file"
        );
        let mut layer = [0u128; MAX_SITUATIONS];
        let mut count = 1;
        let mut i = 0;
        while i < self.constraints.len() {
            layer[0] |= 1 << i;
            i += 1;
        }
        let mut k = 0;
        while k < self.states.len() {
            let mut next = [0u128; MAX_SITUATIONS];
            let mut next_count = 0;
            let mut g = 0;
            while g < count {
                let mut left = false;
                let mut value = 0;
                while value < self.states[k].values.len() {
                    if !self.forbids(layer[g], k, value) {
                        left = true;
                        let after = self.live_after(layer[g], k, value);
                        if !contains(&next, next_count, after) {
                            assert!(
                                next_count < MAX_SITUATIONS,
                                "the constraints combine in too many ways for `user_states!`: use a file"
                            );
                            next[next_count] = after;
                            next_count += 1;
                        }
                    }
                    value += 1;
                }
                assert!(
                    left,
                    "the constraints together forbid every value of a state after some legal start"
                );
                g += 1;
            }
            layer = next;
            count = next_count;
            k += 1;
        }
    }

    /// Whether a live constraint forbids `value` of state `k`.
    const fn forbids(&self, live: u128, k: usize, value: usize) -> bool {
        let mut i = 0;
        while i < self.constraints.len() {
            let constraint = &self.constraints[i];
            if live & (1 << i) != 0 && constraint.state == k {
                let mut f = 0;
                while f < constraint.forbid.len() {
                    if constraint.forbid[f] as usize == value {
                        return true;
                    }
                    f += 1;
                }
            }
            i += 1;
        }
        false
    }

    /// The constraints that can still apply to later states once state `k` has `value`.
    const fn live_after(&self, live: u128, k: usize, value: usize) -> u128 {
        let mut after = 0;
        let mut i = 0;
        while i < self.constraints.len() {
            let constraint = &self.constraints[i];
            let mut survives = live & (1 << i) != 0 && constraint.state > k;
            let mut w = 0;
            while w < constraint.when.len() {
                let (state, wanted) = constraint.when[w];
                if state == k && wanted as usize != value {
                    survives = false;
                }
                w += 1;
            }
            if survives {
                after |= 1 << i;
            }
            i += 1;
        }
        after
    }

    /// The schema, which [`check`](Self::check) has found valid.
    pub fn schema(&self) -> ChainSchema {
        let states: Vec<StateType> = self.states.iter().map(state_type).collect();
        let word = |k: usize, value: u16| states[k].value(value).unwrap_or_default().to_owned();
        let constraints = self.constraints.iter().map(|c| {
            let when = c.when.iter().map(|&(k, v)| (states[k].name.clone(), word(k, v)));
            Constraint::new(when, states[c.state].name.clone(), c.forbid.iter().map(|&v| word(c.state, v)))
        });
        let constraints: Vec<Constraint> = constraints.collect();
        let rules = self.constraints.iter().map(|c| {
            let mut rule = Rule { when: c.when.to_vec(), state: c.state, forbid: c.forbid.to_vec() };
            rule.when.sort_unstable();
            rule.forbid.sort_unstable();
            rule
        });
        let rules = rules.collect();
        ChainSchema::from_parts(self.name.to_owned(), states, constraints, rules)
    }
}

fn state_type(spec: &StateSpec) -> StateType {
    let mut depends_on = spec.depends_on.to_vec();
    depends_on.sort_unstable();
    StateType {
        name: spec.name.to_owned(),
        kind: if spec.ordinal { StateKind::Ordinal } else { StateKind::Categorical },
        description: spec.description.to_owned(),
        cue: spec.cue.to_owned(),
        values: spec.values.iter().map(|&v| v.to_owned()).collect(),
        depends_on,
    }
}

const fn check_state(state: &StateSpec, k: usize) {
    assert!(!state.values.is_empty(), "a state needs at least one value");
    assert!(state.values.len() <= MAX_VALUES, "a state has more values than codes can number");
    assert!(
        state.description.is_empty() || is_clean(state.description),
        "a state's description has white space around it, or control characters"
    );
    assert!(
        is_clean(state.cue),
        "a state's cue is empty, or has white space around it or control characters"
    );
    let mut i = 0;
    while i < state.values.len() {
        assert!(
            is_clean(state.values[i]),
            "a value's label is empty, or has white space around it or control characters"
        );
        let mut j = 0;
        while j < i {
            assert!(!same(state.values[i], state.values[j]), "two values of a state have the same label");
            j += 1;
        }
        i += 1;
    }
    let mut i = 0;
    while i < state.depends_on.len() {
        assert!(state.depends_on[i] < k, "a state depends on one that does not come before it");
        let mut j = 0;
        while j < i {
            assert!(state.depends_on[i] != state.depends_on[j], "a state lists a dependency twice");
            j += 1;
        }
        i += 1;
    }
}

const fn check_constraint(constraint: &ConstraintSpec) {
    assert!(!constraint.when.is_empty() && !constraint.forbid.is_empty(), "a constraint is empty");
    let mut i = 0;
    while i < constraint.when.len() {
        assert!(
            constraint.when[i].0 < constraint.state,
            "a condition is on a state that does not come before"
        );
        let mut j = 0;
        while j < i {
            assert!(
                constraint.when[i].0 != constraint.when[j].0,
                "a constraint names a state twice in its condition"
            );
            j += 1;
        }
        i += 1;
    }
    let mut i = 0;
    while i < constraint.forbid.len() {
        let mut j = 0;
        while j < i {
            assert!(constraint.forbid[i] != constraint.forbid[j], "a constraint forbids a value twice");
            j += 1;
        }
        i += 1;
    }
}

const fn contains(set: &[u128; MAX_SITUATIONS], count: usize, wanted: u128) -> bool {
    let mut i = 0;
    while i < count {
        if set[i] == wanted {
            return true;
        }
        i += 1;
    }
    false
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// The builder's rule for texts: not empty, no white space around, no control characters.
const fn is_clean(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut first = true;
    let mut space = true;
    while at < bytes.len() {
        let (c, width) = decode(bytes, at);
        space = c.is_whitespace();
        if (space && first) || is_control(c) {
            return false;
        }
        first = false;
        at += width;
    }
    !space
}

/// Unicode's `Cc`, which is fixed for ever.
const fn is_control(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}')
}

/// The character that begins at byte `at` of valid UTF-8, and its width.
const fn decode(bytes: &[u8], at: usize) -> (char, usize) {
    let lead = bytes[at] as u32;
    let (width, mut code) = match lead {
        0..0x80 => (1, lead),
        0x80..0xe0 => (2, lead & 0x1f),
        0xe0..0xf0 => (3, lead & 0x0f),
        _ => (4, lead & 0x07),
    };
    let mut i = 1;
    while i < width {
        code = code << 6 | (bytes[at + i] & 0x3f) as u32;
        i += 1;
    }
    match char::from_u32(code) {
        Some(c) => (c, width),
        None => (char::REPLACEMENT_CHARACTER, width),
    }
}

/// The typed value of a code.
///
/// # Errors
/// [`Error::ValueOutOfRange`] if there is no code, or it is outside the domain.
pub fn typed<T: Copy>(code: Option<&u16>, all: &[T], state: &str) -> Result<T> {
    let value = code.copied().unwrap_or(u16::MAX);
    all.get(usize::from(value)).copied().ok_or_else(|| Error::ValueOutOfRange {
        state: state.to_owned(),
        value,
        size: all.len(),
    })
}

/// The error of a text that is no value.
pub fn unknown_value(state: &str, value: &str, known: &[&str]) -> Error {
    let known = list(known.iter().copied());
    Error::UnknownValue { state: state.to_owned(), value: value.to_owned(), known }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_means_the_same_at_compile_time() {
        let by_builder = |t: &str| !t.is_empty() && t.trim() == t && !t.chars().any(char::is_control);
        for c in (0..=0x3100).chain(0x1_0000..=0x1_0040).filter_map(char::from_u32) {
            for text in [format!("{c}"), format!("{c}a"), format!("a{c}"), format!("a{c}b")] {
                assert_eq!(is_clean(&text), by_builder(&text), "{text:?}");
            }
        }
        assert!(!is_clean("") && is_clean("𝄞 é"));
    }
}
