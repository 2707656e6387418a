//! JSON lines that show damage: an object whose last key is a checksum of everything before it.
//!
//! Files that grow line by line cannot have one hash of all. With one for each line, a disk, a copy or an editor that changed something
//! costs the lines that it changed, and which those are is known.
//!
//! ```
//! use scaletot_core::checksum::{seal, unseal};
//!
//! let mut line = br#"{"user":7,"spend":"high"}"#.to_vec();
//! seal(&mut line);
//! assert!(line.starts_with(br#"{"user":7,"spend":"high","checksum":""#));
//! assert_eq!(unseal(&line).as_deref(), Some(&br#"{"user":7,"spend":"high"}"#[..]));
//! line[9] = b'8';
//! assert_eq!(unseal(&line), None);
//! ```
//!
//! A checksum is no signature: whoever can write to the file can make another that fits.

use crate::ContentHash;

/// What stands before the digits; the key of the checksum.
pub const KEY: &[u8] = br#","checksum":""#;

/// Hexadecimal digits: 64 bits of a SHA-256. A change goes unnoticed with a probability of 2⁻⁶⁴.
const DIGITS: usize = 16;

const END: &[u8] = br#""}"#;

/// Bytes that a checksum takes at the end of a line, from its [`KEY`] on.
pub const SEAL_LENGTH: usize = KEY.len() + DIGITS + END.len();

/// Adds the checksum to an object in JSON that has at least one key, and stands in one line without its line end.
pub fn seal(line: &mut Vec<u8>) {
    line.pop_if(|last| *last == b'}');
    let digits = ContentHash::of(&line).prefix(DIGITS);
    for part in [KEY, digits.as_bytes(), END] {
        line.extend_from_slice(part);
    }
}

/// The object without its checksum; `None` if it has none, or another than it must have.
#[must_use]
pub fn unseal(line: &[u8]) -> Option<Vec<u8>> {
    let (rest, digits) = line.strip_suffix(END)?.split_last_chunk::<DIGITS>()?;
    let body = rest.strip_suffix(KEY)?;
    // The digits as they are written, not their value: a changed case is a change.
    (ContentHash::of(body).prefix(DIGITS).as_bytes() == digits).then(|| [body, b"}"].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_checksum_is_not_unsealed() {
        for line in ["", "{}", r#"{"a":1}"#, r#","checksum":"0123456789abcdef"}"#, r#""}"#] {
            assert_eq!(unseal(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_sealed_line_comes_back_and_every_change_of_a_byte_shows(
            key in "[a-z]{1,8}", value in any::<i64>(), at in any::<prop::sample::Index>(), flip in 1_u8..,
        ) {
            let object = format!("{{\"{key}\":{value}}}").into_bytes();
            let mut line = object.clone();
            seal(&mut line);
            prop_assert_eq!(unseal(&line), Some(object));
            let mut cut = line.clone();
            cut.truncate(at.index(line.len()));
            prop_assert_eq!(unseal(&cut), None);
            let at = at.index(line.len());
            line[at] ^= flip;
            prop_assert_eq!(unseal(&line), None);
        }
    }
}
