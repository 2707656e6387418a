//! Chain schemas: the ordered state types of a chain and the constraints between them.

use std::path::Path;

use scaletot_core::ContentHash;
use scaletot_core::files::{self, write_bytes};
use serde::{Deserialize, Serialize};

use crate::constraint::Rule;
use crate::def::ChainDef;
use crate::error::{Error, Result};
use crate::legal::{self, LegalChains, Survey};
use crate::{Constraint, StateType};

/// Bytes of the longest schema file that is read.
const MAX_SCHEMA_BYTES: u64 = 64 << 20;

/// The ordered state types of a chain, with constraints between them.
///
/// A schema is checked when it is made, whichever way that happens (builder, file, serde,
/// [`user_states!`](crate::user_states)), and does not change afterwards. What holds of every schema:
///
/// - it has `K ≥ 1` states with distinct names, each with at least one and at most 65,535 distinct values;
/// - states depend on earlier states only, and conditions of constraints come before the state they limit;
/// - the last state is ordinal with at least two values: it is the one linked to the outcome;
/// - every legal start of a chain can be completed: after any values of states `0..k` that break no constraint, state
///   `k` has at least one value left. So a decoder that picks among [`allowed`](Self::allowed) values never gets stuck.
///
/// ```
/// use scaletot_chain::ChainSchema;
///
/// let schema = ChainSchema::from_toml(r#"
///     name = "shopper"
///
///     [[state]]
///     name = "need"
///     kind = "ordinal"
///     description = "how much the household needs"
///     cue = "this household's need is"
///     values = ["low", "high"]
///
///     [[state]]
///     name = "spend"
///     kind = "ordinal"
///     values = ["low", "moderate", "high"]
///     depends_on = ["need"]
///
///     [[constraint]]
///     when = { need = "low" }
///     state = "spend"
///     forbid = ["high"]
/// "#)?;
/// assert_eq!(schema.len(), 2);
/// assert_eq!(schema.allowed(1, &[0]), [true, true, false]);
/// assert_eq!(schema.legal_count(), 5);
/// assert_eq!(schema.expected_level(&[0.0, 0.5, 0.5]), 0.75);
/// # Ok::<(), scaletot_chain::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ChainDef", into = "ChainDef")]
pub struct ChainSchema {
    pub(crate) name: String,
    pub(crate) states: Vec<StateType>,
    pub(crate) constraints: Vec<Constraint>,
    /// The constraints over indices, in the same order.
    pub(crate) rules: Vec<Rule>,
    pub(crate) hash: ContentHash,
}

// A schema has at least one state, so `is_empty` would always be false.
#[expect(clippy::len_without_is_empty, reason = "a schema is never empty")]
impl ChainSchema {
    /// Name of the schema.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The states, in the order in which a chain gives them values.
    pub fn states(&self) -> &[StateType] {
        &self.states
    }

    /// The constraints, as declared.
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// Number of states, `K ≥ 1`.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Index of a state by name.
    pub fn state_index(&self, name: &str) -> Option<usize> {
        self.states.iter().position(|s| s.name == name)
    }

    /// Number of values of state `k`; 0 if there is no such state.
    pub fn domain_size(&self, k: usize) -> usize {
        self.states.get(k).map_or(0, |s| s.values.len())
    }

    /// Number of values of every state, in order.
    pub fn domain_sizes(&self) -> Vec<usize> {
        self.states.iter().map(|s| s.values.len()).collect()
    }

    /// Index of the state that is linked to the outcome: the last one, `K - 1`.
    pub fn outcome_state(&self) -> usize {
        self.states.len() - 1
    }

    /// The schema's identity: a hash of everything in it that chains or prompts depend on.
    ///
    /// That is the name, every state's name, kind, description, cue, values and dependencies, and the set of
    /// constraints. It does not depend on the order of keys in a file, of names in `depends_on`, of constraints, or of
    /// a constraint's forbidden values, nor on whether the schema was written as TOML, JSON or a macro.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Which values of state `k` the constraints allow after `prefix`, the values of states `0..k`: one flag for each
    /// value.
    ///
    /// A longer prefix is read as far as state `k - 1`; a state that a shorter one does not reach meets no condition.
    /// With a legal prefix at least one flag is true. Empty if there is no state `k`.
    pub fn allowed(&self, k: usize, prefix: &[u16]) -> Vec<bool> {
        legal::allowed(self.domain_size(k), &self.rules, k, prefix)
    }

    /// Whether `values` is a whole chain that breaks no constraint: one value in its domain for each state, each
    /// [`allowed`](Self::allowed) after those before it.
    pub fn is_legal(&self, values: &[u16]) -> bool {
        values.len() == self.len() && self.is_legal_prefix(values)
    }

    /// Whether `values` can begin a chain: values of the first states, in their domains, that break no constraint.
    pub fn is_legal_prefix(&self, values: &[u16]) -> bool {
        values.len() <= self.len()
            && values.iter().zip(&self.states).all(|(&v, s)| usize::from(v) < s.values.len())
            && self.broken_rule(values).is_none()
    }

    /// Checks that `values` is a legal chain, with the reason if it is not.
    ///
    /// # Errors
    /// [`Error::ChainLength`], [`Error::ValueOutOfRange`] or [`Error::ForbiddenValue`].
    pub fn check_values(&self, values: &[u16]) -> Result<()> {
        if values.len() != self.len() {
            return Err(Error::ChainLength { expected: self.len(), found: values.len() });
        }
        for (&value, state) in values.iter().zip(&self.states) {
            if usize::from(value) >= state.values.len() {
                let (state, size) = (state.name.clone(), state.values.len());
                return Err(Error::ValueOutOfRange { state, value, size });
            }
        }
        match self.broken_rule(values) {
            None => Ok(()),
            Some(index) => {
                let state = &self.states[self.rules[index].state];
                let value =
                    values.get(self.rules[index].state).and_then(|&v| state.value(v)).unwrap_or_default();
                Err(Error::ForbiddenValue {
                    state: state.name.clone(),
                    value: value.to_owned(),
                    constraint: index + 1,
                    text: self.constraints[index].to_string(),
                })
            }
        }
    }

    /// Index of the first rule that `values` breaks.
    fn broken_rule(&self, values: &[u16]) -> Option<usize> {
        self.rules.iter().position(|r| {
            values.get(r.state).is_some_and(|v| r.forbid.binary_search(v).is_ok()) && r.applies(values)
        })
    }

    /// The values that the states which `k` depends on have in `prefix`, in the order of
    /// [`depends_on`](StateType::depends_on). States that the prefix does not reach are left out; empty if there is no
    /// state `k`.
    pub fn parent_values(&self, k: usize, prefix: &[u16]) -> Vec<u16> {
        let parents = self.states.get(k).map_or(&[][..], |s| s.depends_on());
        parents.iter().filter_map(|&p| prefix.get(p).copied()).collect()
    }

    /// The values' words, for people: "need = low, spend = high". Codes outside a domain show as numbers.
    pub fn describe(&self, values: &[u16]) -> String {
        let pairs = self.states.iter().zip(values).map(|(s, &v)| match s.value(v) {
            Some(word) => format!("{} = {word}", s.name),
            None => format!("{} = #{v}", s.name),
        });
        pairs.collect::<Vec<_>>().join(", ")
    }

    /// All legal chains, in the order of their value codes. Their number may be huge; see
    /// [`legal_count`](Self::legal_count).
    pub fn legal_chains(&self) -> LegalChains<'_> {
        LegalChains::new(self.domain_sizes(), &self.rules)
    }

    /// Number of legal chains, at least 1; `u128::MAX` if there are more. Counted without listing them.
    pub fn legal_count(&self) -> u128 {
        match legal::survey(&self.domain_sizes(), &self.rules) {
            Survey::Complete { chains } => chains,
            // Checked when the schema was made.
            Survey::DeadEnd { .. } | Survey::TooEntangled { .. } => 0,
        }
    }

    /// Expected level of the outcome-linked state under `distribution`, in `[0, 1]`:
    /// `Σ_v v · p(v) / (|V| - 1)`, where `v` is the value's code and `p` the distribution divided by its sum.
    /// This project's own scale, which makes schemas with different numbers of levels comparable.
    ///
    /// NaN if `distribution` is none over that state's domain: another length, a negative or non-finite entry, or a
    /// sum that is not positive and finite.
    pub fn expected_level(&self, distribution: &[f64]) -> f64 {
        let size = self.domain_size(self.outcome_state());
        let total: f64 = distribution.iter().sum();
        let usable =
            distribution.iter().all(|p| p.is_finite() && *p >= 0.0) && total.is_finite() && total > 0.0;
        if distribution.len() != size || size < 2 || !usable {
            return f64::NAN;
        }
        let level: f64 = distribution.iter().enumerate().map(|(v, p)| v as f64 * (p / total)).sum();
        (level / (size - 1) as f64).clamp(0.0, 1.0)
    }

    /// Reads a schema from TOML text.
    ///
    /// # Errors
    /// [`Error::Syntax`] if the text is no TOML of the right shape, or what is wrong with the schema in it.
    pub fn from_toml(text: &str) -> Result<Self> {
        let def: ChainDef =
            toml::from_str(text).map_err(|e| Error::Syntax { format: "TOML", source: Box::new(e) })?;
        Self::try_from(def)
    }

    /// Reads a schema from JSON text.
    ///
    /// # Errors
    /// [`Error::Syntax`] if the text is no JSON of the right shape, or what is wrong with the schema in it.
    pub fn from_json(text: &str) -> Result<Self> {
        let def: ChainDef =
            serde_json::from_str(text).map_err(|e| Error::Syntax { format: "JSON", source: Box::new(e) })?;
        Self::try_from(def)
    }

    /// Writes the schema as TOML.
    ///
    /// # Errors
    /// [`Error::Syntax`] if it cannot be written, which no valid schema should bring about.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(&ChainDef::from(self.clone()))
            .map_err(|e| Error::Syntax { format: "TOML", source: Box::new(e) })
    }

    /// Writes the schema as indented JSON.
    ///
    /// # Errors
    /// [`Error::Syntax`] if it cannot be written, which no valid schema should bring about.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(&ChainDef::from(self.clone()))
            .map_err(|e| Error::Syntax { format: "JSON", source: Box::new(e) })
    }

    /// Reads a schema file of up to 64 MiB, by its extension `.toml` or `.json`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::UnknownExtension`], or [`Error::InFile`] with what is wrong in the file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let format = Format::of(path)?;
        let text = files::read_to_string(path, MAX_SCHEMA_BYTES)?;
        match format {
            Format::Toml => Self::from_toml(&text),
            Format::Json => Self::from_json(&text),
        }
        .map_err(|e| e.in_file(path))
    }

    /// Writes a schema file, by its extension `.toml` or `.json`. The file is replaced as a whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::UnknownExtension`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = match Format::of(path)? {
            Format::Toml => self.to_toml()?,
            Format::Json => self.to_json()?,
        };
        Ok(write_bytes(path, text)?)
    }
}

/// Format of a schema file.
#[derive(Clone, Copy)]
enum Format {
    Toml,
    Json,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("toml") => Ok(Self::Toml),
            Some("json") => Ok(Self::Json),
            _ => Err(Error::UnknownExtension { path: path.to_path_buf() }),
        }
    }
}
