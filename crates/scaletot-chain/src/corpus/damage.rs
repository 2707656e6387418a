//! Lines of a corpus that are not what was written.

use std::fmt;

use scaletot_core::checksum::unseal;
use scaletot_profile::UserId;

use crate::record::shown;

/// A line of a corpus that is not what was written: its checksum does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedLine {
    /// Line number, from 1; line 1 is the header.
    pub line: u64,
    /// The user whose record it was, as far as that can be read of it; `None` too where only the line's end is damaged, and no record lost.
    pub user: Option<String>,
}

impl fmt::Display for DamagedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "line {} (user {user})", self.line),
            None if self.line == 1 => write!(f, "line 1 (the header)"),
            None => write!(f, "line {}", self.line),
        }
    }
}

/// The first of some damaged lines in words, and how many more there are.
pub(crate) fn listed(damaged: &[DamagedLine]) -> String {
    const SHOWN: usize = 10;
    let mut text = damaged.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if damaged.len() > SHOWN {
        text.push_str(&format!(" and {} more", damaged.len() - SHOWN));
    }
    text
}

/// How a record begins.
const RECORD: &[u8] = br#"{"user":"#;

/// The parts of a line whose checksum does not fit: more than one if the end of a line before it was changed.
pub(crate) fn pieces(line: &[u8]) -> Vec<&[u8]> {
    let inner = (1..line.len()).filter(|&at| line[at..].starts_with(RECORD));
    let mut starts: Vec<usize> = std::iter::once(0).chain(inner).collect();
    starts.push(line.len());
    starts.windows(2).map(|ends| &line[ends[0]..ends[1]]).collect()
}

/// What was written, if a piece holds it whole: alone, or before a byte that was the line's end.
pub(crate) fn whole(piece: &[u8]) -> Option<&[u8]> {
    let without_end = piece.split_last().map(|(_, rest)| rest);
    [Some(piece), without_end].into_iter().flatten().find(|part| unseal(part).is_some())
}

/// The user that a damaged record begins with.
pub(crate) fn user_of(piece: &[u8]) -> Option<String> {
    let rest = piece.strip_prefix(RECORD)?;
    let user = serde_json::Deserializer::from_slice(rest).into_iter::<UserId>().next()?.ok()?;
    Some(shown(&user))
}
