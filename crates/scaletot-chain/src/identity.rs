//! What a schema's hash is taken of.

use crate::StateType;
use crate::constraint::Rule;

/// First bytes of the canonical form; a change of the form changes them, so that old hashes never mean something new.
const FORM: &str = "scaletot-chain-schema/1";

/// The schema as bytes: every text with its length before it, every list with its count, numbers as little-endian
/// `u64`. Two schemas have the same bytes exactly if they mean the same: constraints are a set, so they are sorted.
pub(crate) fn canonical_bytes(name: &str, states: &[StateType], rules: &[Rule]) -> Vec<u8> {
    let mut out = Bytes::default();
    out.text(FORM);
    out.text(name);
    out.number(states.len());
    for state in states {
        out.text(&state.name);
        out.number(usize::from(state.ordinal()));
        out.text(&state.description);
        out.text(&state.cue);
        out.number(state.values.len());
        state.values.iter().for_each(|v| out.text(v));
        out.number(state.depends_on.len());
        state.depends_on.iter().for_each(|&p| out.number(p));
    }
    let mut sorted: Vec<&Rule> = rules.iter().collect();
    sorted.sort_unstable_by(|a, b| (a.state, &a.when, &a.forbid).cmp(&(b.state, &b.when, &b.forbid)));
    sorted.dedup();
    out.number(sorted.len());
    for rule in sorted {
        out.number(rule.state);
        out.number(rule.when.len());
        for &(state, value) in &rule.when {
            out.number(state);
            out.number(usize::from(value));
        }
        out.number(rule.forbid.len());
        rule.forbid.iter().for_each(|&v| out.number(usize::from(v)));
    }
    out.0
}

#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn number(&mut self, n: usize) {
        self.0.extend_from_slice(&(n as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }
}
