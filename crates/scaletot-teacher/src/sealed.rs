//! Lines of JSON that tell when they are damaged.
//!
//! A line ends with `,"c":"…"}`: the first digits of the SHA-256 of the object without that member. A bit that flipped, a line that
//! was cut or glued to another, or one that was edited by hand does not fit. It is no signature: whoever can write the file can seal a
//! line, too.

use scaletot_core::ContentHash;
use serde::Serialize;

/// Hexadecimal digits of a checksum: one of four billion damaged lines passes.
const DIGITS: usize = 8;
const BEFORE: &[u8] = b",\"c\":\"";
const AFTER: &[u8] = b"\"}";

/// The value, which has to be an object with a member, as a line with its checksum and a line feed.
pub(crate) fn seal(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    let checksum = checksum(&line);
    line.pop();
    line.extend_from_slice(BEFORE);
    line.extend_from_slice(checksum.as_bytes());
    line.extend_from_slice(AFTER);
    line.push(b'\n');
    Ok(line)
}

/// The object of a line, without its checksum; `None` if there is none or it does not fit.
pub(crate) fn unseal(line: &[u8]) -> Option<Vec<u8>> {
    let sealed = line.strip_suffix(b"\n").unwrap_or(line).strip_suffix(AFTER)?;
    let (rest, found) = sealed.split_at_checked(sealed.len().checked_sub(DIGITS)?)?;
    let mut object = rest.strip_suffix(BEFORE)?.to_vec();
    object.push(b'}');
    (checksum(&object).as_bytes() == found).then_some(object)
}

fn checksum(object: &[u8]) -> String {
    ContentHash::of(object).prefix(DIGITS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sealed_line_opens_and_a_changed_one_does_not(
            value in prop::collection::btree_map("[a-c]", "\\PC{0,9}", 1..4),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let line = seal(&value).unwrap();
            let object = unseal(&line).unwrap();
            prop_assert_eq!(&serde_json::from_slice::<BTreeMap<String, String>>(&object).unwrap(), &value);
            let mut changed = line[..line.len() - 1].to_vec();
            let at = at.index(changed.len());
            changed[at] ^= 1_u8 << bit;
            prop_assert_eq!(unseal(&changed), None);
            prop_assert_eq!(unseal(&line[..at]), None, "cut");
        }
    }
}
