//! Declarations, unchecked.

use serde::{Deserialize, Serialize};

use crate::{Constraint, StateDef};

/// The most values a state can have: codes and counts both fit in `u16`.
pub(crate) const MAX_VALUES: usize = u16::MAX as usize;

/// A schema as it stands in a file, unchecked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChainDef {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) state: Vec<StateDef>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) constraint: Vec<Constraint>,
}

/// "a, b, c", shortened if it is long; "none" if empty.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let names: Vec<&str> = names.collect();
    match names.len() {
        0 => "none".to_owned(),
        n if n <= SHOWN => names.join(", "),
        n => format!("{} … ({n} in all)", names[..SHOWN].join(", ")),
    }
}
