//! Reading corpus files.

use std::collections::HashMap;
use std::io::{self, BufRead, Read as _};
use std::path::Path;

use scaletot_core::checksum::unseal;
use scaletot_core::text::printable;
use scaletot_profile::UserId;

use super::damage::{pieces, user_of, whole};
use super::{CorpusHeader, DamagedLine};
use crate::ChainRecord;
use crate::error::{Error, Result};
use crate::record::shown;

/// What a corpus file holds.
pub(crate) struct Scan {
    /// None if the file ends before the first line does, or that is damaged.
    pub(crate) header: Option<CorpusHeader>,
    /// The first line, if it is a damaged header.
    pub(crate) damaged_header: Option<Vec<u8>>,
    pub(crate) records: Vec<ChainRecord>,
    /// The line of each record, ascending.
    lines: Vec<u64>,
    /// Line of each user's record.
    pub(crate) users: HashMap<UserId, u64>,
    /// Lines whose checksum does not fit.
    pub(crate) damaged: Vec<DamagedLine>,
    /// Bytes of the whole lines, with their line ends.
    pub(crate) whole: u64,
    /// A last line without its line end that is not whole.
    pub(crate) cut: Option<CutLine>,
    /// The last line is whole but for its line end, and counted in `whole`.
    pub(crate) unended: bool,
}

/// A last line that was cut short.
pub(crate) struct CutLine {
    pub(crate) line: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Bytes of the longest line that is read: a file without line ends must not fill the memory.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// An error for a line that is too long to be read again.
pub(crate) fn expect_short(line: &[u8], path: &Path) -> Result<()> {
    let found = line.len();
    if (found as u64) < MAX_LINE_BYTES {
        return Ok(());
    }
    let message = format!("expected a line of less than {MAX_LINE_BYTES} bytes, found {found}");
    Err(Error::io("write", path, io::Error::new(io::ErrorKind::FileTooLarge, message)))
}

/// Reads lines to the end of the file. `accept` sees the header before any record.
pub(crate) fn scan(
    path: &Path,
    mut input: impl BufRead,
    accept: impl Fn(&CorpusHeader) -> Result<()>,
) -> Result<Scan> {
    let mut scan = Scan {
        header: None,
        damaged_header: None,
        records: Vec::new(),
        lines: Vec::new(),
        users: HashMap::new(),
        damaged: Vec::new(),
        whole: 0,
        cut: None,
        unended: false,
    };
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let read = (&mut input).take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut bytes);
        let read = read.map_err(|e| Error::io("read", path, e))? as u64;
        if read == 0 {
            break;
        }
        if read > MAX_LINE_BYTES {
            let message = format!("expected at most {MAX_LINE_BYTES} bytes, found more");
            return Err(Error::CorruptLine { path: path.to_path_buf(), line, message, source: None });
        }
        let ended = bytes.last() == Some(&b'\n');
        // A copy may have the line ends of another system, which no checksum is of.
        let line_ends = [&b"\r\n"[..], b"\n"];
        let text = line_ends.iter().find_map(|end| bytes.strip_suffix(*end)).unwrap_or(&bytes);
        // A line is one JSON object, and no proper beginning of an object is itself JSON: so a line that was cut never
        // reads as a whole one, and one that reads is whole even if its line end was cut.
        if !ended && whole(text).is_none() && is_cut(text) {
            scan.cut = Some(CutLine { line, bytes: std::mem::take(&mut bytes) });
            break;
        }
        scan.take(path, line, text, &accept)?;
        scan.whole += read;
        scan.unended = !ended;
    }
    Ok(scan)
}

impl Scan {
    /// Takes a line that was not cut.
    fn take(
        &mut self,
        path: &Path,
        line: u64,
        text: &[u8],
        accept: &impl Fn(&CorpusHeader) -> Result<()>,
    ) -> Result<()> {
        if line > 1
            && let Some(json) = unseal(text)
        {
            return self.record(path, line, &json);
        }
        let known = self.damaged.len();
        for (k, piece) in pieces(text).into_iter().enumerate() {
            let written = whole(piece);
            if line == 1 && k == 0 {
                self.header = CorpusHeader::from_line(written.unwrap_or(piece), path)?;
                match &self.header {
                    Some(header) => accept(header)?,
                    None => {
                        self.damaged_header = Some(piece.to_vec());
                        self.damaged.push(DamagedLine { line, user: None });
                    }
                }
            } else if let Some(json) = written.and_then(unseal) {
                self.record(path, line, &json)?;
            } else {
                self.damaged.push(DamagedLine { line, user: user_of(piece) });
            }
        }
        // Nothing in the line is damaged but the line itself.
        if self.damaged.len() == known && unseal(text).is_none() {
            self.damaged.push(DamagedLine { line, user: None });
        }
        Ok(())
    }

    /// Takes a record as it was written.
    fn record(&mut self, path: &Path, line: u64, json: &[u8]) -> Result<()> {
        let record: ChainRecord = serde_json::from_slice(json).map_err(|e| no_record(path, line, &e))?;
        record.check_numbers().map_err(|e| in_line(path, line, e))?;
        let Some(&first) = self.users.get(&record.user) else {
            self.users.insert(record.user.clone(), line);
            self.records.push(record);
            self.lines.push(line);
            return Ok(());
        };
        // A line that is there twice, as a copy that was broken off and taken up again leaves it, says nothing new.
        let of_line = self.lines.partition_point(|line| *line < first)..;
        if self.records[of_line].iter().find(|there| there.user == record.user) == Some(&record) {
            return Ok(());
        }
        let (path, user) = (path.to_path_buf(), shown(&record.user));
        Err(Error::DuplicateUser { path, user, first, second: line })
    }
}

/// Whether `text` did not parse because it stops too early.
///
/// `serde_json` mostly reports so itself, but calls "0." at the end of the input an invalid number: so an error at the very
/// end counts too.
fn stops_early(error: &serde_json::Error, text: &[u8]) -> bool {
    error.is_eof() || (error.is_syntax() && error.column() >= text.len())
}

/// Whether `text` is the beginning of JSON, but not whole.
fn is_cut(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_err_and(|e| stops_early(&e, text))
}

/// `serde_json` counts lines within the text it is given, which is always one line: only the column is of use.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line 1 column ") {
        Some((message, column)) => format!("{message} at column {column}"),
        None => text,
    }
}

fn no_record(path: &Path, line: u64, error: &serde_json::Error) -> Error {
    const SHOWN: usize = 400;
    let (message, source) = ("not a chain record".to_owned(), printable(&describe(error), SHOWN));
    Error::CorruptLine { path: path.to_path_buf(), line, message, source: Some(source.into()) }
}

pub(crate) fn in_line(path: &Path, line: u64, error: Error) -> Error {
    Error::InLine { path: path.to_path_buf(), line, source: Box::new(error) }
}

pub(crate) fn no_header(path: &Path) -> Error {
    Error::NotACorpus { path: path.to_path_buf(), found: "an empty file".to_owned(), source: None }
}

#[cfg(test)]
mod tests {
    use super::is_cut;

    #[test]
    fn every_beginning_of_json_is_cut() {
        let text =
            r#"{"a":-0.5,"b":[1e-7,1E+300,true,false,null],"c":{"d":"\u00e9\n\ud83d\ude00é"}}"#.as_bytes();
        assert!(!is_cut(text));
        for end in 1..text.len() {
            assert!(is_cut(&text[..end]), "{}", String::from_utf8_lossy(&text[..end]));
        }
        for other in [&b"rubbish"[..], b"{\"a\" 12", b"a,b,c", b"{} {}"] {
            assert!(!is_cut(other), "{}", String::from_utf8_lossy(other));
        }
    }
}
