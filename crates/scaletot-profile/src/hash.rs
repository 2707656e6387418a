//! The key of a profile's content, and the canonical bytes that hashes are taken of.

use std::fmt;
use std::str::FromStr;

use scaletot_core::ContentHash;
use serde::{Deserialize, Serialize};

/// The SHA-256 of one profile's content: two users with the same values in every field of the same schema have
/// the same key, whatever their ids. Displayed, parsed and serialised as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProfileKey(ContentHash);

impl ProfileKey {
    /// The key of a profile with these canonical bytes.
    pub(crate) fn of(canonical: &Canonical) -> Self {
        Self(ContentHash::of(canonical.bytes()))
    }

    /// The hash itself.
    #[must_use]
    pub const fn hash(&self) -> ContentHash {
        self.0
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl From<ContentHash> for ProfileKey {
    fn from(hash: ContentHash) -> Self {
        Self(hash)
    }
}

impl fmt::Display for ProfileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ProfileKey {
    type Err = scaletot_core::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Bytes that name a content without ambiguity: every text is preceded by its length, every choice by a tag.
///
/// Hashing serialised JSON instead would tie the hash to the key order of a map type, which a feature flag
/// elsewhere in a dependency tree can change.
#[derive(Debug, Default)]
pub(crate) struct Canonical(Vec<u8>);

impl Canonical {
    pub(crate) fn tag(&mut self, tag: u8) {
        self.0.push(tag);
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.0.extend_from_slice(&(count as u64).to_le_bytes());
    }

    pub(crate) fn code(&mut self, code: u32) {
        self.0.extend_from_slice(&code.to_le_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// 0.0 and -0.0 are one number.
    pub(crate) fn number(&mut self, number: f64) {
        self.0.extend_from_slice(&(number + 0.0).to_bits().to_le_bytes());
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.tag(0),
            Some(value) => {
                self.tag(1);
                write(self, value);
            }
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_their_hash() {
        let key = ProfileKey::from(ContentHash::of("x"));
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(json, serde_json::to_string(&key.hash()).unwrap());
        assert_eq!(serde_json::from_str::<ProfileKey>(&json).unwrap(), key);
        assert_eq!(key.to_string().parse::<ProfileKey>().unwrap(), key);
    }

    #[test]
    fn canonical_texts_cannot_run_into_each_other() {
        let (mut a, mut b) = (Canonical::default(), Canonical::default());
        a.text("ab");
        a.text("c");
        b.text("a");
        b.text("bc");
        assert_ne!(a.bytes(), b.bytes());
    }
}
