use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// A file for the decoder, in which nobody reads on behind the end, and whose trouble with the system is told from damage.
///
/// A page's header may have fields that the decoder (59.3) passes over. If one is a list of 2³¹ numbers, it passes over as many, though the
/// file has ended, with a call to the system for each: half an hour for a file of a kilobyte.
#[derive(Debug)]
pub(super) struct Chunks {
    file: File,
    trouble: Trouble,
}

/// What the system said when it could not read. The decoder makes text of it, like of all that is wrong with a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<io::Error>>>);

impl Trouble {
    /// What was said last, once.
    pub(super) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps what the system says, unless it asks to try again.
    fn keep(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        if kind == io::ErrorKind::Interrupted {
            return error;
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        kind.into()
    }
}

impl Chunks {
    pub(super) fn new(file: File) -> Self {
        Self { file, trouble: Trouble::default() }
    }

    /// Where trouble is noted.
    pub(super) fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Chunks {
    type T = Ending<BufReader<File>>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let at = |mut file: File| file.seek(SeekFrom::Start(start)).map(|_| file);
        let file = self.file.try_clone().and_then(at).map_err(|error| self.trouble.keep(error))?;
        Ok(Ending { reader: BufReader::new(file), trouble: self.trouble() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // Before room is made for them.
        let left = self.len().saturating_sub(start);
        if length as u64 > left {
            return Err(ParquetError::EOF(format!("expected {length} bytes at {start}, got {left}")));
        }
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// A reader whose end is an error.
#[derive(Debug)]
pub(super) struct Ending<R> {
    reader: R,
    trouble: Trouble,
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer).map_err(|error| self.trouble.keep(error))? {
            0 if !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_an_error_and_no_trouble() {
        let mut reader = Ending { reader: &b"abc"[..], trouble: Trouble::default() };
        assert_eq!(io::copy(&mut Read::by_ref(&mut reader).take(3), &mut io::sink()).unwrap(), 3);
        assert_eq!(reader.read(&mut []).unwrap(), 0);
        assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(reader.trouble.take().is_none());
    }

    /// First asked to try again, then cut off.
    struct Unsteady(usize);

    impl Read for Unsteady {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 => Err(io::ErrorKind::Interrupted.into()),
                _ => Err(io::Error::other("the cable is out")),
            }
        }
    }

    #[test]
    fn what_the_system_says_is_kept() {
        let trouble = Trouble::default();
        let mut reader = Ending { reader: Unsteady(0), trouble: trouble.clone() };
        assert_eq!(reader.read_exact(&mut [0]).unwrap_err().kind(), io::ErrorKind::Other);
        assert_eq!(trouble.take().unwrap().to_string(), "the cable is out");
        assert!(trouble.take().is_none());
    }

    #[test]
    fn a_directory_in_place_of_a_file_is_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let Ok(file) = File::open(dir.path()) else { return };
        let chunks = Chunks::new(file);
        assert!(chunks.get_bytes(0, 1).is_err());
        assert!(chunks.trouble().take().is_some());
    }
}
