//! Reading corpus files.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;

use scaletot_profile::UserId;

use super::CorpusHeader;
use crate::ChainRecord;
use crate::error::{Error, Result};

/// What a corpus file holds.
pub(crate) struct Scan {
    /// None if the file ends before the first line does.
    pub(crate) header: Option<CorpusHeader>,
    pub(crate) records: Vec<ChainRecord>,
    /// Line of each user's record.
    pub(crate) users: HashMap<UserId, u64>,
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

/// Reads lines to the end of the file. `accept` sees the header before any record.
pub(crate) fn scan(
    path: &Path,
    mut input: impl BufRead,
    accept: impl Fn(&CorpusHeader) -> Result<()>,
) -> Result<Scan> {
    let mut scan = Scan {
        header: None,
        records: Vec::new(),
        users: HashMap::new(),
        whole: 0,
        cut: None,
        unended: false,
    };
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let read = input.read_until(b'\n', &mut bytes).map_err(|e| Error::io("read", path, e))? as u64;
        if read == 0 {
            break;
        }
        let ended = bytes.last() == Some(&b'\n');
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        // A line is one JSON object, and no proper beginning of an object is itself JSON: so a line that was cut never
        // reads as a whole one, and one that reads is whole even if its line end was cut.
        if line == 1 {
            match CorpusHeader::from_line(text, path) {
                Ok(header) => {
                    accept(&header)?;
                    scan.header = Some(header);
                }
                Err(Error::NotACorpus { .. }) if !ended && is_cut(text) => {
                    scan.cut = Some(CutLine { line, bytes: std::mem::take(&mut bytes) });
                    break;
                }
                Err(e) => return Err(e),
            }
        } else {
            match serde_json::from_slice::<ChainRecord>(text) {
                Ok(record) => {
                    record.check_numbers().map_err(|e| in_line(path, line, e))?;
                    if let Some(first) = scan.users.insert(record.user.clone(), line) {
                        let (path, user) = (path.to_path_buf(), record.user.to_string());
                        return Err(Error::DuplicateUser { path, user, first, second: line });
                    }
                    scan.records.push(record);
                }
                Err(e) if !ended && stops_early(&e, text) => {
                    scan.cut = Some(CutLine { line, bytes: std::mem::take(&mut bytes) });
                    break;
                }
                Err(e) => return Err(corrupt(path, line, format!("not a chain record: {}", describe(&e)))),
            }
        }
        scan.whole += read;
        scan.unended = !ended;
    }
    Ok(scan)
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

fn corrupt(path: &Path, line: u64, message: String) -> Error {
    Error::CorruptLine { path: path.to_path_buf(), line, message }
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
