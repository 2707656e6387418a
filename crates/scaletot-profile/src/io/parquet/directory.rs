//! A look at a file's directory before the decoder sees it.
//!
//! The decoder (59.3) makes room for as many row groups as the directory says there are before it reads the first one. A count of 2³¹,
//! which is written in six bytes, asks for hundreds of gigabytes; where they are refused the process ends, since that is no panic that could
//! be caught. The directory is written in [Thrift's compact protocol](https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md),
//! in which every element of a list takes a byte or more.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::thrift::{Stop, Walk};

/// Bytes behind the directory: its length and the magic number.
const TAIL: u64 = 8;

/// Says what is wrong if a list of the directory claims more elements than bytes are left. Everything else is left to the decoder.
pub(super) fn check(mut file: &File) -> io::Result<Result<(), String>> {
    let length = file.metadata()?.len();
    if length < TAIL {
        return Ok(Ok(()));
    }
    let mut size = [0; 4];
    file.seek(SeekFrom::Start(length - TAIL))?;
    file.read_exact(&mut size)?;
    let size = u32::from_le_bytes(size);
    let Some(start) = (length - TAIL).checked_sub(size.into()) else { return Ok(Ok(())) };
    let mut directory = vec![0; size as usize];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut directory)?;
    Ok(check_bytes(&directory))
}

fn check_bytes(directory: &[u8]) -> Result<(), String> {
    match Walk::new(directory).skip_structure() {
        Err(Stop::TooMany { count, left }) => {
            Err(format!("the directory has a list of {count} elements in {left} bytes"))
        }
        Ok(()) | Err(Stop::Lost) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_longer_than_what_is_left_are_refused_wherever_they_are() {
        // A version, three row groups that are empty structures, the end.
        let sound = [0x15, 2, 0x39, 0x3c, 0, 0, 0, 0];
        assert_eq!(check_bytes(&sound), Ok(()));
        // Cut off in a list: too long for what is there.
        assert!(check_bytes(&sound[..6]).unwrap_err().contains("3 elements in 2 bytes"));
        let long = [0x15, 2, 0x39, 0xfc, 0xff, 0xff, 0xff, 0xff, 7, 0, 0];
        assert!(check_bytes(&long).unwrap_err().contains("2147483647 elements in 2 bytes"));
        // In a structure of a map's value; behind a field with a number of its own.
        let map = [0x1b, 1, 0x5c, 9, 0x19, 0xfc, 0xff, 1, 0];
        assert!(check_bytes(&map).unwrap_err().contains("255 elements in 1 bytes"));
        let own = [0x08, 200, 1, 2, b'a', b'b', 0x19, 0xf1, 100, 0];
        assert!(check_bytes(&own).unwrap_err().contains("100 elements in 1 bytes"));
    }

    #[test]
    fn what_cannot_be_followed_is_left_to_the_decoder() {
        for lost in [&[][..], &[0x1f], &[0x15, 0xff], &[0x18, 9, 1], &[0x1c; 200], &[0x17, 0]] {
            assert_eq!(check_bytes(lost), Ok(()), "{lost:?}");
        }
    }
}
