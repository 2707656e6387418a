use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// A file for the decoder, in which reading past the end is an error, and errors of the system are told from damage.
///
/// A page's header may have fields that the decoder (59.3) skips. If one is a list of 2³¹ numbers, it skips as many, though the
/// file has ended, with a call to the system for each: half an hour for a file of a kilobyte.
#[derive(Debug)]
pub(super) struct Chunks {
    file: File,
    io_error: IoErrorSlot,
}

/// The system's error when it could not read. The decoder makes a text of it, as of everything that is wrong with a file.
#[derive(Debug, Clone, Default)]
pub(super) struct IoErrorSlot(Arc<Mutex<Option<io::Error>>>);

impl IoErrorSlot {
    /// The last error, once.
    pub(super) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps the system's error, unless it asks to try again.
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
        Self { file, io_error: IoErrorSlot::default() }
    }

    /// Where the system's errors are kept.
    pub(super) fn io_error(&self) -> IoErrorSlot {
        self.io_error.clone()
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
        let file = self.file.try_clone().and_then(at).map_err(|error| self.io_error.keep(error))?;
        Ok(Ending { reader: BufReader::new(file), io_error: self.io_error() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // Before room is made for them.
        let left = self.len().saturating_sub(start);
        if length as u64 > left {
            return Err(ParquetError::EOF(format!("expected {length} bytes at {start}, found {left}")));
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
    io_error: IoErrorSlot,
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer).map_err(|error| self.io_error.keep(error))? {
            0 if !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_an_error_of_the_file() {
        let mut reader = Ending { reader: &b"abc"[..], io_error: IoErrorSlot::default() };
        assert_eq!(io::copy(&mut Read::by_ref(&mut reader).take(3), &mut io::sink()).unwrap(), 3);
        assert_eq!(reader.read(&mut []).unwrap(), 0);
        assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(reader.io_error.take().is_none());
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
    fn errors_of_the_system_are_kept() {
        let io_error = IoErrorSlot::default();
        let mut reader = Ending { reader: Unsteady(0), io_error: io_error.clone() };
        assert_eq!(reader.read_exact(&mut [0]).unwrap_err().kind(), io::ErrorKind::Other);
        assert_eq!(io_error.take().unwrap().to_string(), "the cable is out");
        assert!(io_error.take().is_none());
    }

    #[test]
    fn a_directory_in_place_of_a_file_is_an_io_error() {
        let dir = tempfile::tempdir().unwrap();
        let Ok(file) = File::open(dir.path()) else { return };
        let chunks = Chunks::new(file);
        assert!(chunks.get_bytes(0, 1).is_err());
        assert!(chunks.io_error().take().is_some());
    }
}
