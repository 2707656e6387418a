//! The answers of a recording under way, each written as it comes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use scaletot_core::files::{append, append_or_create};

use super::file::{self, Damage, Entry, Recording, ShortKey};
use crate::error::{Error, Result};

/// How often the file is forced to disk while it grows.
const INTERVAL: Duration = Duration::from_secs(1);

/// A file `NAME.part.jsonl` beside a recording, of its form but for the number of answers, which its header cannot know. It is there while it
/// holds what the recording does not.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    model: String,
    file: Option<File>,
    /// Bytes of whole lines in the file.
    length: u64,
    /// Lines that could not be written yet.
    unwritten: Vec<u8>,
    synced: Instant,
}

impl Journal {
    /// That of the recording at `path`; no file is begun yet.
    pub(super) fn of(path: &Path, model: &str) -> Self {
        let mut name = path.file_name().map(OsString::from).unwrap_or_default();
        name.push(".part.jsonl");
        Self {
            path: path.with_file_name(name),
            model: model.to_owned(),
            file: None,
            length: 0,
            unwritten: Vec::new(),
            synced: Instant::now(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What a recording has left here that was killed, if there is any, and the lines of it that are damaged.
    pub(super) fn left(&self) -> Result<Option<(Recording, Vec<usize>)>> {
        if self.path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let mut file = append(&self.path)?;
        if self.is_begun_only(&mut file).map_err(|source| Error::io("read", &self.path, source))? {
            return Ok(None);
        }
        let mut damaged = Vec::new();
        let left = file::read_from(&file, &self.path, Damage::Skip(&mut damaged))?;
        Ok(Some((left, damaged)))
    }

    /// Whether there is nothing, or what a power loss leaves of a header: a part of it, or zeros.
    fn is_begun_only(&self, file: &mut File) -> io::Result<bool> {
        let header = self.header()?;
        let mut bytes = Vec::new();
        file.take(header.len() as u64 + 1).read_to_end(&mut bytes)?;
        file.rewind()?;
        let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Ok(bytes.len() <= header.len() && header.starts_with(&bytes[..written]))
    }

    fn header(&self) -> io::Result<Vec<u8>> {
        let mut header = Vec::new();
        file::write_header(&mut header, &self.model, usize::MAX, None)?;
        Ok(header)
    }

    /// Writes answers; those that cannot be written are with the next ones.
    pub(super) fn add<'e>(&mut self, entries: impl Iterator<Item = (&'e ShortKey, &'e Entry)>) -> Result<()> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::io("write", &path, source)
        };
        for (key, entry) in entries {
            file::write_entry(&mut self.unwritten, key, entry).map_err(failed(&self.path))?;
        }
        if self.unwritten.is_empty() {
            return Ok(());
        }
        self.write().map_err(failed(&self.path))
    }

    fn write(&mut self) -> io::Result<()> {
        let (header, mut lines) = (self.header()?, self.unwritten.clone());
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(append_or_create(&self.path).map_err(|error| error.source)?),
        };
        if self.length == 0 {
            // What a power loss has left of one.
            file.set_len(0)?;
            lines.splice(0..0, header);
        }
        (&*file).write_all(&lines).inspect_err(|_| {
            // If this fails too, what was written is a damaged line.
            let _ = file.set_len(self.length);
        })?;
        self.length += lines.len() as u64;
        self.unwritten.clear();
        if self.synced.elapsed() >= INTERVAL {
            file.sync_data()?;
            self.synced = Instant::now();
        }
        Ok(())
    }

    /// Removes the file, as the recording holds all of it.
    pub(super) fn remove(&mut self) -> Result<()> {
        (self.file, self.length) = (None, 0);
        self.unwritten.clear();
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &self.path, error))
            }
            _ => Ok(()),
        }
    }
}
