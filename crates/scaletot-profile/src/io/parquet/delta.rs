//! The numbers of DELTA encodings, which say themselves how many they are, looked at before the decoder believes them.
//!
//! The decoder (59.3) makes room for as many lengths as the first bytes of a page claim, which may be 2⁶⁰, and a text in
//! `DELTA_BYTE_ARRAY` is the beginning of the one before with something behind: a page of a megabyte can hold a milliard of texts of a
//! megabyte each.

/// What the texts of a page take.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Extent {
    /// Bytes of all.
    pub(super) total: u64,
    /// Bytes of the longest.
    pub(super) longest: u64,
}

impl Extent {
    pub(super) fn add(&mut self, length: u64) {
        self.total = self.total.saturating_add(length);
        self.longest = self.longest.max(length);
    }
}

/// The header of a sequence of numbers.
struct Header {
    block: usize,
    parts: usize,
    count: u64,
    first: i64,
}

/// How many numbers a sequence claims; more than the page has values are refused.
pub(super) fn count(bytes: &[u8], values: u64) -> Result<u64, String> {
    Bytes { rest: bytes }.header(values).map(|header| header.count)
}

/// What the texts of a page in `DELTA_BYTE_ARRAY` take. For a moment this itself takes four bytes for each.
pub(super) fn extent(bytes: &[u8], values: u64) -> Result<Extent, String> {
    let mut shared = Vec::new();
    let rest = lengths(bytes, values, |length| {
        shared.push(length as u32);
        Ok(())
    })?;
    let mut extent = Extent::default();
    let (mut before, mut at) = (0, 0);
    lengths(rest, values, |own| {
        let shared = u64::from(*shared.get(at).ok_or("more ends of texts than beginnings")?);
        if shared > before {
            return Err(format!("a text shares {shared} bytes with one of {before}"));
        }
        at += 1;
        before = shared + own;
        extent.add(before);
        Ok(())
    })?;
    match at == shared.len() {
        true => Ok(extent),
        false => Err(format!("{} beginnings of texts, {at} ends", shared.len())),
    }
}

/// Hands out a sequence of at most `most` lengths, and returns what follows it.
fn lengths(
    bytes: &[u8],
    most: u64,
    mut each: impl FnMut(u64) -> Result<(), String>,
) -> Result<&[u8], String> {
    let mut bytes = Bytes { rest: bytes };
    let Header { block, parts, count, first } = bytes.header(most)?;
    let mut take = |value: i32| each(u64::try_from(value).map_err(|_| format!("a text of {value} bytes"))?);
    let mut value = i32::try_from(first).map_err(|_| format!("a text of {first} bytes"))?;
    let mut left = count;
    if left > 0 {
        take(value)?;
        left -= 1;
    }
    let per_part = block / parts;
    while left > 0 {
        let least = bytes.int()? as i32;
        let widths = bytes.take(parts)?;
        for &width in widths {
            if left == 0 {
                break;
            }
            if width > 32 {
                return Err(format!("lengths of {width} bits"));
            }
            let here = (per_part as u64).min(left);
            let part = bytes.take(usize::from(width).saturating_mul(per_part / 8))?;
            for index in 0..here {
                let step = bits(part, index * u64::from(width), width);
                value = value.wrapping_add(least).wrapping_add(step.cast_signed());
                take(value)?;
            }
            left -= here;
        }
    }
    Ok(bytes.rest)
}

/// A number of so many bits, the least first.
fn bits(bytes: &[u8], start: u64, width: u8) -> u32 {
    let first = (start / 8) as usize;
    let mut window = [0; 8];
    let there = bytes.get(first..).unwrap_or_default();
    let length = there.len().min(8);
    window[..length].copy_from_slice(&there[..length]);
    let mask = (1u64 << width) - 1;
    ((u64::from_le_bytes(window) >> (start % 8)) & mask) as u32
}

struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    fn header(&mut self, most: u64) -> Result<Header, String> {
        let (block, parts, count) = (self.number()?, self.number()?, self.number()?);
        let first = self.int()?;
        if count > most {
            return Err(format!("a page of {most} values claims {count} numbers"));
        }
        let sound = (1..=self.rest.len().max(1) as u64).contains(&parts)
            && block <= u64::from(u32::MAX)
            && block % parts == 0
            && (block / parts) % 32 == 0;
        match (usize::try_from(block), usize::try_from(parts)) {
            (Ok(block), Ok(parts)) if sound => Ok(Header { block, parts, count, first }),
            _ => Err(format!("blocks of {block} numbers in {parts} parts")),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("a page ends within its numbers")?;
        self.rest = rest;
        Ok(taken)
    }

    /// Seven bits a byte, the least first.
    fn number(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number of more than 64 bits".to_owned())
    }

    fn int(&mut self) -> Result<i64, String> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of 128 numbers in four parts, so many numbers, the first one, and one block of which the first part has two bits a number.
    fn sequence(count: u8, first: u8, steps: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80, 1, 4, count, 2 * first, 0, 2, 0, 0, 0];
        let mut part = [0; 8];
        steps.iter().enumerate().for_each(|(at, step)| part[at / 4] |= step << (at % 4 * 2));
        bytes.extend(part);
        bytes
    }

    #[test]
    fn lengths_are_those_that_the_encoding_says() {
        let mut found = vec![];
        let mut bytes = sequence(4, 5, &[1, 0, 3]);
        bytes.push(77);
        let rest = lengths(&bytes, 4, |length| {
            found.push(length);
            Ok(())
        });
        assert_eq!((rest, found), (Ok(&[77][..]), vec![5, 6, 6, 9]));
    }

    #[test]
    fn texts_that_share_their_beginnings_are_counted_whole() {
        let mut bytes = sequence(3, 0, &[3, 1]);
        bytes.extend(sequence(3, 5, &[0, 1]));
        // 5, then 3 of it and 5, then 4 of that and 6.
        assert_eq!(extent(&bytes, 3), Ok(Extent { total: 5 + 8 + 10, longest: 10 }));
        let mut bytes = sequence(2, 1, &[0]);
        bytes.extend(sequence(2, 5, &[0]));
        assert!(extent(&bytes, 3).unwrap_err().contains("shares 1 bytes with one of 0"));
    }

    #[test]
    fn claims_beyond_the_page_are_refused() {
        let bytes = sequence(4, 5, &[1, 0, 3]);
        assert_eq!(count(&bytes, 4), Ok(4));
        assert!(count(&bytes, 3).unwrap_err().contains("claims 4 numbers"));
        assert!(lengths(&bytes[..12], 4, |_| Ok(())).is_err());
        assert!(count(&[0x80, 1, 0xff, 0xff, 3, 1, 0], 9).unwrap_err().contains("parts"));
        assert!(count(&[0xff; 12], 9).unwrap_err().contains("64 bits"));
    }
}
