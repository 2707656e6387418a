//! 32-byte content hashes, and the canonical bytes they are taken of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::error::Error;

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The SHA-256 of `bytes`.
            #[must_use]
            pub fn of(bytes: impl AsRef<[u8]>) -> Self {
                Self(Sha256::digest(bytes.as_ref()).into())
            }

            /// A hash whose bytes are known already.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                parse_hex(text).map(Self).ok_or_else(|| Error::Hash { found: text.chars().take(80).collect() })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hash_type! {
    /// The SHA-256 of a schema's meaning, or of anything else that must be recognised again later. Displayed,
    /// parsed and serialised as 64 hexadecimal digits.
    ///
    /// ```
    /// use scaletot_profile::SchemaHash;
    ///
    /// let hash = SchemaHash::of(b"abc");
    /// assert!(hash.to_string().starts_with("ba7816bf"));
    /// assert_eq!(hash.to_string().parse::<SchemaHash>()?, hash);
    /// # Ok::<(), scaletot_profile::Error>(())
    /// ```
    SchemaHash
}

hash_type! {
    /// The SHA-256 of one profile's content: two users with the same values in every field of the same schema have
    /// the same key, whatever their ids.
    ProfileKey
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let mut bytes = [0u8; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(nibble(pair[0])? * 16 + nibble(pair[1])?).ok()?;
    }
    Some(bytes)
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
    fn hex_round_trips_and_bad_hex_is_refused() {
        let hash = SchemaHash::of("x");
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(json.len(), 66);
        assert_eq!(serde_json::from_str::<SchemaHash>(&json).unwrap(), hash);
        for bad in ["", "ab", &"g".repeat(64), &"é".repeat(32)] {
            assert!(bad.parse::<SchemaHash>().is_err(), "{bad:?} was taken for a hash");
        }
        assert!(
            serde_json::from_str::<SchemaHash>("\"12\"").unwrap_err().to_string().contains("64 hexadecimal")
        );
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
