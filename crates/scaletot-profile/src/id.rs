//! User ids, kept in the type they came in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of one user: an integer or a text, as it was in the input. `7` and `"007"` are two different ids.
///
/// Closed on purpose: every key of a table is one of the two, and a caller that matches has handled all ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UserId {
    /// An integer id.
    Int(i64),
    /// A text id, byte for byte.
    Text(String),
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(id) => write!(f, "{id}"),
            Self::Text(id) => f.write_str(id),
        }
    }
}

impl From<i64> for UserId {
    fn from(id: i64) -> Self {
        Self::Int(id)
    }
}

impl From<&str> for UserId {
    fn from(id: &str) -> Self {
        Self::Text(id.to_owned())
    }
}

impl From<String> for UserId {
    fn from(id: String) -> Self {
        Self::Text(id)
    }
}

/// The ids of a table, all integers or all texts; closed as [`UserId`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UserIds {
    /// Integer ids.
    Int(Vec<i64>),
    /// Text ids.
    Text(Vec<String>),
}

impl Default for UserIds {
    fn default() -> Self {
        Self::Int(Vec::new())
    }
}

impl From<Vec<i64>> for UserIds {
    fn from(ids: Vec<i64>) -> Self {
        Self::Int(ids)
    }
}

impl From<Vec<String>> for UserIds {
    fn from(ids: Vec<String>) -> Self {
        Self::Text(ids)
    }
}

impl FromIterator<UserId> for UserIds {
    /// Integers if all are; otherwise every id becomes its text.
    fn from_iter<I: IntoIterator<Item = UserId>>(ids: I) -> Self {
        let mut all = Self::default();
        ids.into_iter().for_each(|id| all.push(id));
        all
    }
}

impl UserIds {
    /// How many ids there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Int(ids) => ids.len(),
            Self::Text(ids) => ids.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id in `row` (from 0).
    ///
    /// # Panics
    /// If there is no such row, as indexing a slice does.
    #[must_use]
    pub fn get(&self, row: usize) -> UserId {
        match self {
            Self::Int(ids) => UserId::Int(ids[row]),
            Self::Text(ids) => UserId::Text(ids[row].clone()),
        }
    }

    /// All ids in row order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = UserId> + '_ {
        (0..self.len()).map(|row| self.get(row))
    }

    /// The ids of `rows`, in that order. Rows must exist.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Int(ids) => Self::Int(rows.iter().map(|&row| ids[row]).collect()),
            Self::Text(ids) => Self::Text(rows.iter().map(|&row| ids[row].clone()).collect()),
        }
    }

    /// Appends an id; the first text among integers turns them all into text, which loses nothing.
    pub(crate) fn push(&mut self, id: UserId) {
        match (&mut *self, id) {
            (Self::Int(ids), UserId::Int(id)) => ids.push(id),
            (Self::Text(ids), id) => ids.push(id.to_string()),
            (Self::Int(ids), UserId::Text(id)) => {
                let mut texts: Vec<String> = ids.iter().map(i64::to_string).collect();
                texts.push(id);
                *self = Self::Text(texts);
            }
        }
    }
}

/// The integer that `text` writes in its one canonical form: no sign for positives, no leading zeros, no spaces.
/// Only such a text can become an integer and come back as the same text.
#[cfg(any(feature = "csv", feature = "arrow"))]
pub(crate) fn canonical_int(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(any(feature = "csv", feature = "arrow"))]
    fn only_canonical_integers_are_integers() {
        for (text, int) in [("0", 0), ("7", 7), ("-12", -12), ("9223372036854775807", i64::MAX)] {
            assert_eq!(canonical_int(text), Some(int));
        }
        for text in ["", "007", "+7", " 7", "-0", "7.0", "1e3", "9223372036854775808", "a1", "-"] {
            assert_eq!(canonical_int(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_text_among_integers_makes_all_text() {
        let ids: UserIds =
            [UserId::Int(1), UserId::Int(22), "007".into(), UserId::Int(4)].into_iter().collect();
        assert_eq!(ids, UserIds::Text(["1", "22", "007", "4"].map(String::from).to_vec()));
    }

    #[test]
    fn json_tells_integers_from_texts() {
        let ids: Vec<UserId> = serde_json::from_str(r#"[7, "007", "7"]"#).unwrap();
        assert_eq!(ids, [UserId::Int(7), "007".into(), "7".into()]);
        assert_eq!(serde_json::to_string(&ids).unwrap(), r#"[7,"007","7"]"#);
    }
}
