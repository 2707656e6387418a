//! Directories that are written whole, with checksums, and files of them that are checked before they are used.

use std::io::{self, Read};
use std::path::Path;

use safetensors::{SafeTensorError, SafeTensors};
use scaletot_core::ContentHash;
use scaletot_core::files::{self, AtomicDir, ChecksumError, Checksums, FileError, create_dir_all};

use crate::error::{Error, Result};

/// Bytes of the longest file of settings, schemas or words that is read; tokenizers of large vocabularies have some 40 MB.
const MAX_TEXT_BYTES: u64 = 512 << 20;

/// Bytes of the longest `config.json` that is read.
pub(crate) const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// How the names of files of weights end.
const WEIGHTS: &str = "safetensors";

/// Bytes of the longest header of a file of weights, which is the format's own bound.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Bytes in which a file of weights says how long its header is.
const HEADER_LENGTH: usize = 8;

/// Writes a directory whole, with the checksums of its files; those above it are created if they are not there. One that is there is
/// replaced if it holds the first of `names` and no other name.
pub(crate) fn write_dir(
    dir: &Path,
    names: &'static [&'static str],
    contents: &[(&str, Vec<u8>)],
) -> Result<()> {
    create_dir_all(dir.parent().unwrap_or(Path::new("")))?;
    let next = AtomicDir::create(dir, names)?;
    let sum = |(name, bytes): &(&str, Vec<u8>)| ((*name).to_owned(), ContentHash::of(bytes));
    let sums: Checksums = contents.iter().map(sum).collect();
    contents.iter().try_for_each(|(name, bytes)| next.write(name, bytes))?;
    next.write(Checksums::NAME, sums.to_text())?;
    Ok(next.commit()?)
}

/// The files of a directory, each compared with its checksum when it is read; of directories without checksums, which others have written,
/// as they are.
#[derive(Debug)]
pub(crate) struct Checked(Option<Checksums>);

impl Checked {
    /// Files of a directory that has checksums.
    pub(crate) fn with_checksums(dir: &Path) -> Result<Self> {
        let path = dir.join(Checksums::NAME);
        Checksums::read(dir).map(|sums| Self(Some(sums))).map_err(of(&path))
    }

    /// Files of a directory that may have checksums.
    pub(crate) fn maybe(dir: &Path) -> Result<Self> {
        match dir.join(Checksums::NAME).symlink_metadata() {
            Ok(_) => Self::with_checksums(dir),
            Err(_) => Ok(Self(None)),
        }
    }

    /// The content of a file in the directory.
    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let bytes = if path.extension().is_some_and(|extension| extension == WEIGHTS) {
            read_weights(path)?
        } else {
            files::read(path, MAX_TEXT_BYTES)?
        };
        self.check(path, &bytes)?;
        Ok(bytes)
    }

    /// Compares what was read of a file in the directory with its checksum.
    pub(crate) fn check(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let (Some(sums), Some(dir)) = (&self.0, path.parent()) else { return Ok(()) };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        sums.check_bytes(dir, &name, bytes).map_err(of(path))
    }
}

/// A misfit as one of a file.
fn of(path: &Path) -> impl FnOnce(ChecksumError) -> Error {
    |error| match error {
        ChecksumError::File(error) => error.into(),
        other => Error::unusable(path)(other),
    }
}

/// An error unless a file has a length.
pub(crate) fn expect_length(path: &Path, expected: u64) -> Result<()> {
    let found = files::open(path)?.metadata().map_err(|e| FileError::new("read", path, e))?.len();
    if found == expected {
        return Ok(());
    }
    Err(Error::corrupt(
        path,
        format!("expected {expected} bytes, found {found}; the file was changed or cut"),
    ))
}

/// Reads a file of weights, if it is as long as its header says: what was cut or grew, up to the size of a disk, is not read.
fn read_weights(path: &Path) -> Result<Vec<u8>> {
    let refused = |source| Error::from(FileError::new("read", path, source));
    let mut file = files::open(path)?;
    let length = file.metadata().map_err(refused)?.len();
    let mut bytes = Vec::new();
    (&mut file).take(HEADER_LENGTH as u64).read_to_end(&mut bytes).map_err(refused)?;
    let header = bytes.first_chunk().map_or(0, |header| u64::from_le_bytes(*header));
    // A header that is too long for the format is refused by its length alone.
    (&mut file).take(header.min(MAX_HEADER_BYTES)).read_to_end(&mut bytes).map_err(refused)?;
    match SafeTensors::read_metadata(&bytes) {
        // The tensors are not there yet.
        Err(SafeTensorError::MetadataIncompleteBuffer) | Ok(_) => {}
        Err(error) => return Err(Error::unusable(path)(error)),
    }
    let stated = bytes.len() as u64 + tensor_bytes(&bytes[HEADER_LENGTH..]).map_err(Error::unusable(path))?;
    if stated != length {
        let message = format!("expected the {stated} bytes of its header, found {length}");
        return Err(Error::corrupt(path, message));
    }
    let rest = length - bytes.len() as u64;
    // Not twice the size, as of a buffer that grows; and an error where there is no such memory.
    let room = bytes.try_reserve_exact(usize::try_from(rest).unwrap_or(usize::MAX));
    room.map_err(|e| refused(io::Error::new(io::ErrorKind::OutOfMemory, e)))?;
    (&mut file).take(rest).read_to_end(&mut bytes).map_err(refused)?;
    Ok(bytes)
}

/// Bytes of the tensors that a header names.
fn tensor_bytes(header: &[u8]) -> serde_json::Result<u64> {
    #[derive(serde::Deserialize)]
    struct Tensor {
        data_offsets: [u64; 2],
    }
    let header: std::collections::BTreeMap<String, serde_json::Value> = serde_json::from_slice(header)?;
    let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__");
    let ends = tensors.map(|(_, value)| Ok(serde_json::from_value::<Tensor>(value)?.data_offsets[1]));
    Ok(ends.collect::<serde_json::Result<Vec<_>>>()?.into_iter().max().unwrap_or(0))
}
