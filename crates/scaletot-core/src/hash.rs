//! 32-byte content hashes (SHA-256): how schemas, weights, corpora and files are recognised again.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::files::{self, FileError};

/// The SHA-256 of a content: a schema's meaning, weights, a whole file. Displayed, parsed and serialised as 64
/// hexadecimal digits.
///
/// ```
/// use scaletot_core::ContentHash;
///
/// let hash = ContentHash::of(b"abc");
/// assert!(hash.to_string().starts_with("ba7816bf"));
/// assert_eq!(hash.to_string().parse::<ContentHash>()?, hash);
/// # Ok::<(), scaletot_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes.as_ref()).into())
    }

    /// The SHA-256 of a regular file's content, read in blocks.
    ///
    /// # Errors
    /// If the file cannot be read, or is none: a pipe might wait and a device have no end.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let mut hasher = ContentHasher::new();
        files::open(path)
            .map_err(|error| error.source)
            .and_then(|mut file| hasher.update_reader(&mut file))
            .map_err(|e| FileError::new("read", path, e))?;
        Ok(hasher.finish())
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

    /// The first 16 hexadecimal digits, for names and messages. 64 bits: two of a million contents clash by chance with
    /// a probability below 1e-7.
    #[must_use]
    pub fn short(&self) -> String {
        self.prefix(16)
    }

    /// The first `digits` hexadecimal digits; all 64 if more are asked for.
    #[must_use]
    pub fn prefix(&self, digits: usize) -> String {
        let mut text = self.to_string();
        text.truncate(digits);
        text
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl FromStr for ContentHash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse_hex(text).map(Self).ok_or_else(|| Error::Hash { found: text.chars().take(80).collect() })
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Bytes as lower-case hexadecimal digits, two for each.
///
/// ```
/// assert_eq!(scaletot_core::hash::hex(&[0, 171]), "00ab");
/// ```
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
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

/// A [`ContentHash`] taken piece by piece; also a [`Write`] that swallows what is written.
///
/// ```
/// use scaletot_core::{ContentHash, ContentHasher};
///
/// let mut hasher = ContentHasher::new();
/// hasher.update(b"ab");
/// hasher.update(b"c");
/// assert_eq!(hasher.finish(), ContentHash::of(b"abc"));
///
/// // Parts do not run into each other.
/// let parts = |parts: &[&str]| {
///     let mut hasher = ContentHasher::new();
///     parts.iter().for_each(|part| hasher.update_part(part));
///     hasher.finish()
/// };
/// assert_ne!(parts(&["ab", "c"]), parts(&["a", "bc"]));
/// ```
#[derive(Debug, Clone, Default)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes. Where they were divided into calls makes no difference.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes.as_ref());
    }

    /// Adds the length of `part` as 8 little-endian bytes, then `part`: no other sequence of parts gives the same bytes.
    pub fn update_part(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.update((part.len() as u64).to_le_bytes());
        self.update(part);
    }

    /// Adds everything that is left in `reader`, in blocks of 64 KiB.
    ///
    /// # Errors
    /// What the reader says; the bytes before it were added.
    pub fn update_reader(&mut self, reader: &mut impl Read) -> io::Result<()> {
        let mut block = vec![0; 1 << 16];
        loop {
            match reader.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(n) => self.update(&block[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The hash of everything that was added.
    #[must_use]
    pub fn finish(self) -> ContentHash {
        ContentHash(self.0.finalize().into())
    }
}

impl Write for ContentHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_hashes_and_prefixes() {
        let hash = ContentHash::of("abc");
        assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!((hash.short().as_str(), hash.prefix(4).as_str()), ("ba7816bf8f01cfea", "ba78"));
        assert_eq!(hash.prefix(1000), hash.to_string());
        assert!(format!("{hash:?}").starts_with("ContentHash(ba78"));
    }

    #[test]
    fn bad_hex_is_refused() {
        for bad in ["", "ab", &"g".repeat(64), &"é".repeat(32), &"+1".repeat(32)] {
            assert!(bad.parse::<ContentHash>().is_err(), "{bad:?} was taken for a hash");
        }
        assert!(
            serde_json::from_str::<ContentHash>("\"12\"").unwrap_err().to_string().contains("64 hexadecimal")
        );
    }

    #[test]
    fn files_hash_as_their_bytes_and_a_missing_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights");
        let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(ContentHash::of_file(&path).unwrap(), ContentHash::of(&bytes));
        let error = ContentHash::of_file(dir.path().join("none")).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot read ") && error.to_string().ends_with("none"),
            "{error}"
        );
        assert!(std::error::Error::source(&error).is_some());
        // What has no end is no file.
        for path in [dir.path(), Path::new("/dev/zero")] {
            assert!(ContentHash::of_file(path).is_err());
        }
    }

    #[test]
    fn types_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<ContentHash>();
        shared::<ContentHasher>();
        shared::<Error>();
    }

    proptest! {
        #[test]
        fn hex_and_json_round_trip(bytes in any::<[u8; 32]>()) {
            let hash = ContentHash::from_bytes(bytes);
            let text = hash.to_string();
            prop_assert_eq!(text.parse::<ContentHash>().unwrap(), hash);
            prop_assert_eq!(text.to_uppercase().parse::<ContentHash>().unwrap(), hash);
            let json = serde_json::to_string(&hash).unwrap();
            prop_assert_eq!(&json, &format!("\"{text}\""));
            prop_assert_eq!(serde_json::from_str::<ContentHash>(&json).unwrap(), hash);
            prop_assert_eq!(hash.as_bytes(), &bytes);
        }

        #[test]
        fn pieces_hash_as_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..300) {
            let (head, tail) = bytes.split_at(at.min(bytes.len()));
            let mut pieces = ContentHasher::new();
            pieces.update(head);
            pieces.write_all(tail).unwrap();
            let mut read = ContentHasher::new();
            read.update_reader(&mut bytes.as_slice()).unwrap();
            prop_assert_eq!(pieces.finish(), ContentHash::of(&bytes));
            prop_assert_eq!(read.finish(), ContentHash::of(&bytes));
        }
    }
}
