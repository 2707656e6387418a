//! [Thrift's compact protocol](https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md), as far as a look at
//! it before the decoder's takes.
//!
//! Every element of a list takes a byte or more, so a list of more elements than there are bytes left is a lie. Flags in a list take
//! none, neither here nor in the decoder: all of them together may be as many as there are bytes, since a few bytes could else ask for
//! milliards of steps.

/// As deep as the decoder goes.
const DEPTH: u8 = 64;

const INT: u8 = 5;
const STRUCTURE: u8 = 12;

/// Why a walk ends early.
#[derive(Debug, PartialEq)]
pub(super) enum Stop {
    TooMany {
        count: u64,
        left: usize,
    },
    /// Not what the protocol allows, or there are more bytes than were given.
    Lost,
}

/// What the header of a page says of its size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PageHeader {
    /// Bytes of the header itself.
    pub(super) length: u64,
    /// Bytes of the page in the file.
    pub(super) packed: u64,
    /// Bytes of the page when it is unpacked.
    pub(super) unpacked: u64,
}

impl PageHeader {
    /// The header that these bytes begin with.
    ///
    /// The decoder takes the fields that it knows for what they should be, whatever type the file gives them, and would go another way
    /// than this through one of another type: such a header is refused.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Stop> {
        let mut walk = Walk::new(bytes);
        let (mut kind, mut packed, mut unpacked) = (None, None, None);
        let mut id = 0;
        while let Some(field) = walk.field(&mut id)? {
            match (id, field) {
                (1, INT) => kind = Some(walk.int()?),
                (2, INT) => unpacked = Some(walk.int()?),
                (3, INT) => packed = Some(walk.int()?),
                (4, INT) => walk.int().map(|_| ())?,
                (5, STRUCTURE) => walk.known(&[INT; 4])?,
                (7, STRUCTURE) => walk.known(&[INT; 2])?,
                (8, STRUCTURE) => walk.known(&[INT; 6])?,
                (1..=8, _) if (id, field) != (6, STRUCTURE) => return Err(Stop::Lost),
                _ => walk.value(field, DEPTH)?,
            }
        }
        let size = |size: Option<i64>| size.and_then(|size| u64::try_from(size).ok()).ok_or(Stop::Lost);
        // Data, dictionaries, data of version 2. Pages of other kinds are in no file, and skipped by the decoder in two ways.
        if !matches!(kind, Some(0 | 2 | 3)) {
            return Err(Stop::Lost);
        }
        let length = (bytes.len() - walk.rest.len()) as u64;
        Ok(Self { length, packed: size(packed)?, unpacked: size(unpacked)? })
    }
}

pub(super) struct Walk<'a> {
    rest: &'a [u8],
    /// Flags in lists that may still come.
    flags: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, flags: bytes.len() as u64 }
    }

    pub(super) fn skip_structure(&mut self) -> Result<(), Stop> {
        self.structure(DEPTH)
    }

    /// The type of the next field, whose number follows from that of the one before; `None` at the end.
    fn field(&mut self, id: &mut i64) -> Result<Option<u8>, Stop> {
        let header = self.byte()?;
        if header & 0xf == 0 {
            return Ok(None);
        }
        *id = match header >> 4 {
            0 => self.int()?,
            step => *id + i64::from(step),
        };
        Ok(Some(header & 0xf))
    }

    /// A structure whose first fields have these types.
    fn known(&mut self, types: &[u8]) -> Result<(), Stop> {
        let mut id = 0;
        while let Some(field) = self.field(&mut id)? {
            let expected = usize::try_from(id - 1).ok().and_then(|at| types.get(at));
            if expected.is_some_and(|expected| *expected != field) {
                return Err(Stop::Lost);
            }
            self.value(field, DEPTH)?;
        }
        Ok(())
    }

    /// A number with its sign in the last bit.
    fn int(&mut self) -> Result<i64, Stop> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    fn skip(&mut self, bytes: u64) -> Result<(), Stop> {
        let bytes = usize::try_from(bytes).map_err(|_| Stop::Lost)?;
        self.rest = self.rest.get(bytes..).ok_or(Stop::Lost)?;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        let (&byte, rest) = self.rest.split_first().ok_or(Stop::Lost)?;
        self.rest = rest;
        Ok(byte)
    }

    /// Seven bits a byte, the least first.
    fn number(&mut self) -> Result<u64, Stop> {
        let mut number = 0;
        for shift in (0u32..).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(number)
    }

    fn structure(&mut self, depth: u8) -> Result<(), Stop> {
        loop {
            let header = self.byte()?;
            if header & 0xf == 0 {
                return Ok(());
            }
            if header >> 4 == 0 {
                self.number()?;
            }
            self.value(header & 0xf, depth)?;
        }
    }

    fn list(&mut self, depth: u8) -> Result<(), Stop> {
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => self.number()?,
            count => count.into(),
        };
        self.elements(count, &[header & 0xf], depth)
    }

    fn map(&mut self, depth: u8) -> Result<(), Stop> {
        let count = self.number()?;
        if count == 0 {
            return Ok(());
        }
        let kinds = self.byte()?;
        self.elements(count, &[kinds >> 4, kinds & 0xf], depth)
    }

    /// So many elements, each of values of these kinds.
    fn elements(&mut self, count: u64, kinds: &[u8], depth: u8) -> Result<(), Stop> {
        let too_many = Stop::TooMany { count, left: self.rest.len() };
        if kinds.iter().all(|kind| matches!(kind, 1 | 2)) {
            self.flags = self.flags.checked_sub(count).ok_or(too_many)?;
            return Ok(());
        }
        if count > self.rest.len() as u64 {
            return Err(too_many);
        }
        (0..count).try_for_each(|_| kinds.iter().try_for_each(|&kind| self.value(kind, depth)))
    }

    fn value(&mut self, kind: u8, depth: u8) -> Result<(), Stop> {
        let depth = depth.checked_sub(1).ok_or(Stop::Lost)?;
        match kind {
            // A flag is in its field's header.
            1 | 2 => Ok(()),
            3 => self.skip(1),
            4..=6 => self.number().map(|_| ()),
            7 => self.skip(8),
            8 => self.number().and_then(|length| self.skip(length)),
            9 | 10 => self.list(depth),
            11 => self.map(depth),
            12 => self.structure(depth),
            13 => self.skip(16),
            _ => Err(Stop::Lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_of_a_page_are_read() {
        // Type 0, 300 bytes unpacked, 20 packed; a data page's header of 10 values.
        let header = [0x15, 0, 0x15, 0xd8, 4, 0x15, 40, 0x2c, 0x15, 20, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0];
        let read = PageHeader { length: 18, packed: 20, unpacked: 300 };
        assert_eq!(PageHeader::read(&header), Ok(read));
        for cut in 0..header.len() {
            assert_eq!(PageHeader::read(&header[..cut]), Err(Stop::Lost));
        }
    }

    #[test]
    fn sizes_of_another_type_or_below_zero_are_not_followed() {
        // A size that is a text; one of -1; a number of values that is a list; a page of an index.
        for header in [
            &[0x15, 0, 0x18, 1, b'x', 0x15, 2, 0][..],
            &[0x15, 0, 0x15, 1, 0x15, 2, 0],
            &[0x15, 0, 0x15, 2, 0x15, 2, 0x2c, 0x19, 0x05, 0, 0],
            &[0x15, 2, 0x15, 2, 0x15, 2, 0],
        ] {
            assert_eq!(PageHeader::read(header), Err(Stop::Lost), "{header:?}");
        }
    }

    #[test]
    fn flags_that_take_no_bytes_are_counted() {
        // A list of 2³¹ - 1 flags in a field that nobody knows.
        let mut header = vec![0xf9, 0xf1, 0xff, 0xff, 0xff, 0xff, 7];
        let left = 0;
        assert_eq!(PageHeader::read(&header), Err(Stop::TooMany { count: 2_147_483_647, left }));
        // Ten lists of as many as there are bytes.
        header = [0x99, 0xf1, 20].repeat(10);
        assert!(matches!(PageHeader::read(&header), Err(Stop::TooMany { count: 20, .. })));
    }
}
