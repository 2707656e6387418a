//! State types: one typed slot of a chain.

use serde::{Deserialize, Serialize};

/// Whether a state's values have an order. Closed on purpose: they have one or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateKind {
    /// Values in no order.
    Categorical,
    /// Values from lowest to highest.
    Ordinal,
}

/// One state of a [`ChainSchema`](crate::ChainSchema): a name, a finite domain and the earlier states it depends on.
///
/// It exists only inside a schema, which has checked it; to declare one, use [`StateDef`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateType {
    pub(crate) name: String,
    pub(crate) kind: StateKind,
    pub(crate) description: String,
    pub(crate) cue: String,
    pub(crate) values: Vec<String>,
    pub(crate) depends_on: Vec<usize>,
}

impl StateType {
    /// Name, unique in its schema.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the state means, in words for people and prompts; may be empty.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The text a prompt ends with just before the value, without a trailing space: "this customer's spending
    /// capacity is". It begins in lower case, so that "Overall, " can be put before it.
    pub fn cue(&self) -> &str {
        &self.cue
    }

    /// The domain; a value's code is its index here. Ordinal domains go from lowest to highest.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether the values have an order.
    pub fn kind(&self) -> StateKind {
        self.kind
    }

    /// Whether the values go from lowest to highest.
    pub fn ordinal(&self) -> bool {
        self.kind == StateKind::Ordinal
    }

    /// Indices of the earlier states that this one depends on, ascending.
    pub fn depends_on(&self) -> &[usize] {
        &self.depends_on
    }

    /// Code of a value, if it is in the domain.
    pub fn code_of(&self, value: &str) -> Option<u16> {
        self.values.iter().position(|v| v == value).and_then(|i| u16::try_from(i).ok())
    }

    /// Value of a code, if it is in the domain.
    pub fn value(&self, code: u16) -> Option<&str> {
        self.values.get(usize::from(code)).map(String::as_str)
    }
}

/// Declaration of a state, unchecked, as it stands in a schema file; dependencies are by name.
///
/// ```
/// use scaletot_chain::{ChainSchema, StateDef};
///
/// let schema = ChainSchema::builder("customer")
///     .with_state(StateDef::categorical("channel", ["shop", "web"]))
///     .with_state(
///         StateDef::ordinal("spend", ["low", "high"])
///             .with_description("what the customer will spend")
///             .with_cue("this customer's spending will be")
///             .with_depends_on(["channel"]),
///     )
///     .build()?;
/// assert_eq!(schema.states()[0].cue(), "this user's channel is");
/// assert_eq!(schema.states()[1].depends_on(), [0]);
/// # Ok::<(), scaletot_chain::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateDef {
    pub(crate) name: String,
    pub(crate) kind: StateKind,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cue: Option<String>,
    pub(crate) values: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) depends_on: Vec<String>,
}

impl StateDef {
    /// A state whose values go from lowest to highest.
    pub fn ordinal<V: Into<String>>(name: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self::new(name.into(), StateKind::Ordinal, values.into_iter().map(Into::into).collect())
    }

    /// A state whose values have no order.
    pub fn categorical<V: Into<String>>(
        name: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        Self::new(name.into(), StateKind::Categorical, values.into_iter().map(Into::into).collect())
    }

    fn new(name: String, kind: StateKind, values: Vec<String>) -> Self {
        Self { name, kind, description: String::new(), cue: None, values, depends_on: Vec::new() }
    }

    /// Sets what the state means, in words.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets the text a prompt ends with before the value. Without it, "this user's NAME is", with the name's
    /// underscores as spaces.
    #[must_use]
    pub fn with_cue(mut self, cue: impl Into<String>) -> Self {
        self.cue = Some(cue.into());
        self
    }

    /// Sets the earlier states that this one depends on, in any order.
    #[must_use]
    pub fn with_depends_on<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.depends_on = names.into_iter().map(Into::into).collect();
        self
    }

    /// The cue, or the one made from the name.
    pub(crate) fn cue_or_default(&self) -> String {
        self.cue.clone().unwrap_or_else(|| format!("this user's {} is", self.name.replace('_', " ")))
    }
}
