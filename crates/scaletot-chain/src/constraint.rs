//! Constraints between the states of a chain.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Forbids values of one state when earlier states have given values.
///
/// Every state of the condition comes before the limited one, so a chain can be checked as it is built, value by
/// value. Where several constraints apply, a value is forbidden if any of them forbids it.
///
/// ```
/// use scaletot_chain::Constraint;
///
/// let c = Constraint::new([("need", "low"), ("capacity", "low")], "spend", ["very high"]);
/// assert_eq!(c.to_string(), "spend is not very high when capacity = low and need = low");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    pub(crate) when: BTreeMap<String, String>,
    pub(crate) state: String,
    pub(crate) forbid: Vec<String>,
}

impl Constraint {
    /// Forbids the values `forbid` of `state` when every state of `when` has the value paired with it.
    ///
    /// Nothing is checked here: names are known only to a schema, whose builder checks them. Of two conditions on one
    /// state the last is kept.
    pub fn new<S: Into<String>, V: Into<String>, F: Into<String>>(
        when: impl IntoIterator<Item = (S, V)>,
        state: impl Into<String>,
        forbid: impl IntoIterator<Item = F>,
    ) -> Self {
        Self {
            when: when.into_iter().map(|(s, v)| (s.into(), v.into())).collect(),
            state: state.into(),
            forbid: forbid.into_iter().map(Into::into).collect(),
        }
    }

    /// The condition: state name to value, all of which must hold.
    pub fn when(&self) -> &BTreeMap<String, String> {
        &self.when
    }

    /// Name of the state whose values are forbidden.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The forbidden values.
    pub fn forbid(&self) -> &[String] {
        &self.forbid
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when: Vec<String> = self.when.iter().map(|(s, v)| format!("{s} = {v}")).collect();
        write!(f, "{} is not {} when {}", self.state, self.forbid.join(" or "), when.join(" and "))
    }
}

/// A constraint over indices and codes, ready to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// State index and value code, by ascending state.
    pub(crate) when: Vec<(usize, u16)>,
    /// The limited state.
    pub(crate) state: usize,
    /// Forbidden codes, ascending.
    pub(crate) forbid: Vec<u16>,
}

impl Rule {
    /// Whether the condition holds in `prefix`; a state that `prefix` does not reach meets no condition.
    pub(crate) fn applies(&self, prefix: &[u16]) -> bool {
        self.when.iter().all(|&(state, value)| prefix.get(state) == Some(&value))
    }

    /// Whether the condition may still hold once state `k` has `value`.
    pub(crate) fn survives(&self, k: usize, value: u16) -> bool {
        self.when.iter().all(|&(state, wanted)| state != k || wanted == value)
    }
}
