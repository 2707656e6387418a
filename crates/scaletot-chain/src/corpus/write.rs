//! Writing corpus files.

use std::collections::HashMap;
use std::io::{BufReader, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use scaletot_core::checksum::seal;
use scaletot_core::files::{AtomicFile, FileError, LockedFile, append_locked};
use scaletot_profile::UserId;

use super::read::{Scan, expect_short, scan};
use super::{CorpusHeader, DamagedLine};
use crate::error::{Error, Result};
use crate::record::shown;
use crate::{ChainRecord, Verdict};

/// What resuming a corpus had to repair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// Bytes of a cut last line that were removed. The user of that line has no record and is to be done again.
    pub dropped_bytes: u64,
    /// The last line was whole but for its line end, which was added; nothing was lost.
    pub ended_line: bool,
    /// The header itself was damaged, cut, or missing from an empty file, and was written again.
    pub rewrote_header: bool,
    /// Lines that were not what had been written, and were removed. Their users have no record and are to be done again.
    pub damaged: Vec<DamagedLine>,
    /// Records of users for whom it had failed, which were removed ([`CorpusWriter::resume_without_failed`]).
    pub failed: u64,
}

impl Repaired {
    /// Whether anything was repaired.
    pub fn anything(&self) -> bool {
        *self != Self::default()
    }
}

/// Appends records to a corpus file, one whole line each.
///
/// A line is handed to the operating system in one write as soon as its record is appended, so a kill of the process
/// loses nothing that was appended; [`sync`](Self::sync) also guards against a power cut. While a writer lives it holds
/// a lock on the file, where the file system has locks, so that two runs cannot write one corpus.
///
/// ```
/// use scaletot_chain::{ChainRecord, ChainSchema, CorpusHeader, CorpusWriter, Reason, StateDef, Verdict, Corpus};
/// use scaletot_core::ContentHash;
/// use scaletot_profile::UserId;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("corpus.jsonl");
/// let schema = ChainSchema::builder("customer").with_state(StateDef::ordinal("spend", ["low", "high"])).build()?;
/// let header = CorpusHeader::new(ContentHash::of(b"profile schema"), &schema, "rules", 7);
///
/// let mut corpus = CorpusWriter::create(&path, &header)?;
/// corpus.append(&ChainRecord::new(UserId::Int(1), Verdict::Abstained { reason: Reason::NoEvidence }))?;
/// drop(corpus);
///
/// let (corpus, done, repaired) = CorpusWriter::resume(&path, &header)?;
/// assert!(corpus.contains(&UserId::Int(1)) && !repaired.anything());
/// assert_eq!(Corpus::read(&path, &schema)?.records(), done);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CorpusWriter {
    path: PathBuf,
    header: CorpusHeader,
    file: LockedFile,
    /// Line of each user's record.
    users: HashMap<UserId, u64>,
    /// Bytes of whole lines: where the next one begins.
    end: u64,
    broken: bool,
}

impl CorpusWriter {
    /// Begins a corpus. The file appears with its header whole, or not at all.
    ///
    /// # Errors
    /// [`Error::CorpusExists`] if there is a file already; [`Error::UnknownFormat`] if the header is not in the current
    /// format; [`Error::Io`].
    pub fn create(path: impl AsRef<Path>, header: &CorpusHeader) -> Result<Self> {
        let path = path.as_ref();
        check_format(path, header)?;
        let mut line = header.to_line(path)?;
        line.push(b'\n');
        let mut begun = AtomicFile::create(path)?;
        begun.write_all(&line).map_err(|e| begun.error(e))?;
        match begun.commit_new() {
            Err(FileError { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::CorpusExists { path: path.to_path_buf() });
            }
            other => other?,
        }
        let file = open_locked(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            header: header.clone(),
            file,
            users: HashMap::new(),
            end: line.len() as u64,
            broken: false,
        })
    }

    /// Goes on with a corpus: returns the writer, the records that are there, and what was repaired.
    ///
    /// A last line that was cut short is removed, and so are lines that are not what was written: their users are done again. Where lines
    /// are damaged, the file is replaced by one without them, whole or not at all; the others keep their order.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no such file, or it is a symbolic link; [`Error::CorpusLocked`]; [`Error::NotACorpus`] or [`Error::UnknownFormat`]
    /// for a file of another kind, which is left as it is; [`Error::HeaderDiffers`] if it was made by another run, with
    /// what differs, or [`Error::OtherHeaderDamaged`]; [`Error::CorruptLine`], [`Error::InLine`] or [`Error::DuplicateUser`] for
    /// a bad record, with its line.
    pub fn resume(
        path: impl AsRef<Path>,
        header: &CorpusHeader,
    ) -> Result<(Self, Vec<ChainRecord>, Repaired)> {
        Self::resume_keeping(path.as_ref(), header, |_| true)
    }

    /// As [`resume`](Self::resume), without the records of users for whom it failed ([`Verdict::Failed`]), so that they are
    /// done again; [`Repaired::failed`] counts them.
    ///
    /// # Errors
    /// As [`resume`](Self::resume).
    pub fn resume_without_failed(
        path: impl AsRef<Path>,
        header: &CorpusHeader,
    ) -> Result<(Self, Vec<ChainRecord>, Repaired)> {
        let failed = |record: &ChainRecord| matches!(record.verdict, Verdict::Failed { .. });
        Self::resume_keeping(path.as_ref(), header, |record| !failed(record))
    }

    fn resume_keeping(
        path: &Path,
        header: &CorpusHeader,
        keep: impl Fn(&ChainRecord) -> bool,
    ) -> Result<(Self, Vec<ChainRecord>, Repaired)> {
        check_format(path, header)?;
        let file = open_locked(path)?;
        let mut found = scan(path, BufReader::new(&*file), |there| {
            let differences = CorpusHeader::differences(there, header);
            if differences.is_empty() {
                return Ok(());
            }
            Err(Error::HeaderDiffers { path: path.to_path_buf(), differences })
        })?;
        if let Some(damaged) = &found.damaged_header
            && !header.was(damaged, path)?
        {
            return Err(Error::OtherHeaderDamaged { path: path.to_path_buf() });
        }
        let there = found.records.len();
        found.records.retain(keep);
        let failed = (there - found.records.len()) as u64;
        let mut writer = Self {
            path: path.to_path_buf(),
            header: header.clone(),
            file,
            users: HashMap::new(),
            end: found.whole,
            broken: false,
        };
        let repaired = if failed == 0 && found.damaged.is_empty() {
            writer.users = std::mem::take(&mut found.users);
            writer.repair(&found)?
        } else {
            writer.rewrite(&found.records)?;
            Repaired {
                dropped_bytes: found.cut.map_or(0, |cut| cut.bytes.len() as u64),
                ended_line: false,
                rewrote_header: found.damaged_header.is_some(),
                damaged: found.damaged,
                failed,
            }
        };
        if repaired.anything() {
            tracing::warn!(path = %path.display(), ?repaired, "repaired a corpus; users whose records went are done again");
        }
        Ok((writer, found.records, repaired))
    }

    /// Replaces the file by one of these records.
    fn rewrite(&mut self, records: &[ChainRecord]) -> Result<()> {
        let mut next = AtomicFile::create(&self.path)?;
        let mut line = self.header.to_line(&self.path)?;
        self.end = 0;
        for (number, record) in (2..).zip(records) {
            line.push(b'\n');
            self.end += line.len() as u64;
            next.write_all(&line).map_err(|e| next.error(e))?;
            line = to_line(record, &self.path)?;
            self.users.insert(record.user.clone(), number);
        }
        line.push(b'\n');
        self.end += line.len() as u64;
        next.write_all(&line).map_err(|e| next.error(e))?;
        // The old file stays locked until the new one is.
        next.commit()?;
        self.file = open_locked(&self.path)?;
        Ok(())
    }

    /// Resumes the corpus at `path`, or creates it if no file is there.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`resume`](Self::resume).
    pub fn open(path: impl AsRef<Path>, header: &CorpusHeader) -> Result<(Self, Vec<ChainRecord>, Repaired)> {
        let path = path.as_ref();
        match Self::resume(path, header) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok((Self::create(path, header)?, Vec::new(), Repaired::default()))
            }
            other => other,
        }
    }

    /// Repairs the file's end.
    fn repair(&mut self, found: &Scan) -> Result<Repaired> {
        let mut repaired = Repaired::default();
        if found.header.is_none() {
            // Only what this very header would have begun with may be written over: nothing else was ours.
            let line = self.header.to_line(&self.path)?;
            let there = found.cut.as_ref().map_or(&[][..], |c| &c.bytes);
            if !line.starts_with(there) {
                let found = super::header::excerpt(there);
                return Err(Error::NotACorpus { path: self.path.clone(), found, source: None });
            }
            repaired.rewrote_header = true;
        }
        if let Some(cut) = &found.cut {
            repaired.dropped_bytes = cut.bytes.len() as u64;
            self.file.set_len(found.whole).map_err(|e| Error::io("repair", &self.path, e))?;
        }
        if repaired.rewrote_header {
            let mut line = self.header.to_line(&self.path)?;
            line.push(b'\n');
            self.write(&line)?;
        } else if found.unended && found.cut.is_none() {
            repaired.ended_line = true;
            self.write(b"\n")?;
        }
        Ok(repaired)
    }

    /// Appends a record as one line.
    ///
    /// # Errors
    /// [`Error::DuplicateUser`] if the user has a record already; [`Error::InRecord`] if the record cannot be kept, such
    /// as a posterior that is no distribution ([`ChainRecord::check_numbers`]); [`Error::Io`], after which the file is as
    /// it was before, or, if that could not be brought about, [`Error::CorpusBroken`] from then on.
    pub fn append(&mut self, record: &ChainRecord) -> Result<()> {
        record.check_numbers()?;
        let second = self.users.len() as u64 + 2;
        if let Some(&first) = self.users.get(&record.user) {
            let (path, user) = (self.path.clone(), shown(&record.user));
            return Err(Error::DuplicateUser { path, user, first, second });
        }
        let mut line = to_line(record, &self.path)?;
        line.push(b'\n');
        self.write(&line)?;
        self.users.insert(record.user.clone(), second);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.broken {
            return Err(Error::CorpusBroken { path: self.path.clone() });
        }
        match self.file.write_all(bytes).and_then(|()| self.file.flush()) {
            Ok(()) => {
                self.end += bytes.len() as u64;
                Ok(())
            }
            Err(e) => {
                // A full disk may have taken half of the line; the next one must not be glued to it.
                self.broken = self.file.set_len(self.end).is_err();
                Err(Error::io("append to", &self.path, e))
            }
        }
    }

    /// Waits until everything appended is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io("sync", &self.path, e))
    }

    /// Whether the user has a record.
    pub fn contains(&self, user: &UserId) -> bool {
        self.users.contains_key(user)
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The header: what the corpus was made with.
    pub fn header(&self) -> &CorpusHeader {
        &self.header
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn check_format(path: &Path, header: &CorpusHeader) -> Result<()> {
    if header.format == super::CORPUS_FORMAT {
        return Ok(());
    }
    let (found, supported) = (u64::from(header.format), super::CORPUS_FORMAT);
    Err(Error::UnknownFormat { path: path.to_path_buf(), found, supported })
}

/// A record's line, without its line end.
fn to_line(record: &ChainRecord, path: &Path) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record).map_err(|e| Error::io("write a record to", path, e.into()))?;
    seal(&mut line);
    expect_short(&line, path)?;
    Ok(line)
}

/// Opens an existing file to read and append, and locks it where the file system can.
fn open_locked(path: &Path) -> Result<LockedFile> {
    append_locked(path)?.ok_or_else(|| Error::CorpusLocked { path: path.to_path_buf() })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use scaletot_core::ContentHash;

    use super::*;
    use crate::{ChainSchema, Corpus, Reason, StateDef};

    #[test]
    fn a_writer_whose_file_fails_says_so_and_stops() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.jsonl");
        let schema =
            ChainSchema::builder("s").with_state(StateDef::ordinal("a", ["x", "y"])).build().unwrap();
        let header = CorpusHeader::new(ContentHash::of(b"p"), &schema, "t", 1);
        let record =
            |id| ChainRecord::new(UserId::Int(id), Verdict::Abstained { reason: Reason::NoEvidence });
        let mut corpus = CorpusWriter::create(&path, &header).unwrap();
        corpus.append(&record(1)).unwrap();
        // A handle that can neither write nor shorten the file: the worst case.
        let writable = std::mem::replace(&mut *corpus.file, File::open(&path).unwrap());
        assert!(matches!(corpus.append(&record(2)), Err(Error::Io { action: "append to", .. })));
        assert!(!corpus.contains(&UserId::Int(2)));
        *corpus.file = writable;
        assert!(matches!(corpus.append(&record(2)), Err(Error::CorpusBroken { .. })));
        drop(corpus);
        let (mut corpus, done, _) = CorpusWriter::resume(&path, &header).unwrap();
        assert_eq!(done, [record(1)]);
        corpus.append(&record(2)).unwrap();
        assert_eq!(Corpus::read(&path, &schema).unwrap().records(), [record(1), record(2)]);
    }

    #[test]
    fn failed_records_are_removed_and_can_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.jsonl");
        let schema =
            ChainSchema::builder("s").with_state(StateDef::ordinal("a", ["x", "y"])).build().unwrap();
        let header = CorpusHeader::new(ContentHash::of(b"p"), &schema, "t", 1);
        let abstained =
            |id| ChainRecord::new(UserId::Int(id), Verdict::Abstained { reason: Reason::NoEvidence });
        let failed = |id| {
            let reason = Reason::TeacherFailed { message: "a\nline".to_owned() };
            ChainRecord::new(UserId::Int(id), Verdict::Failed { reason })
        };
        let mut corpus = CorpusWriter::create(&path, &header).unwrap();
        for record in [failed(1), abstained(2), failed(3), abstained(4)] {
            corpus.append(&record).unwrap();
        }
        drop(corpus);
        let (mut corpus, done, removed) = CorpusWriter::resume_without_failed(&path, &header).unwrap();
        assert_eq!((done, removed.failed), (vec![abstained(2), abstained(4)], 2));
        corpus.append(&abstained(3)).unwrap();
        assert!(matches!(corpus.append(&abstained(4)), Err(Error::DuplicateUser { first: 3, .. })));
        drop(corpus);
        let (_, _, removed) = CorpusWriter::resume_without_failed(&path, &header).unwrap();
        assert!(!removed.anything());
        assert_eq!(
            Corpus::read(&path, &schema).unwrap().records(),
            [abstained(2), abstained(4), abstained(3)]
        );
    }
}
