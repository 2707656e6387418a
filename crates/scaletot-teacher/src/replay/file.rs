//! The file of recorded answers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use scaletot_core::causes;
use scaletot_core::checksum::{seal, unseal};
use scaletot_core::config::ConfigError;
use scaletot_core::files::{self, AtomicFile, create_dir_all};
use scaletot_core::text::printable;
use serde::{Deserialize, Serialize};

use super::REPLAY_VERSION;
use crate::answer::{LabelAnswer, missing_of};
use crate::error::{Error, Result};
use crate::key::PromptKey;
use crate::prompter::PROMPT_FORMAT;

const FORMAT: &str = "scaletot-replay";

/// The first bytes of a prompt key.
pub(super) type ShortKey = [u8; PromptKey::SHORT];

/// One recorded answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Log-probabilities, rounded; negative infinity where missing.
    pub(super) log_probs: Vec<f64>,
    pub(super) tokens: u64,
    pub(super) evidence: Option<Vec<String>>,
    pub(super) samples: Option<u32>,
}

impl Entry {
    /// The answer with its log-probabilities rounded to 1e-4.
    pub(super) fn rounded(answer: &LabelAnswer) -> Self {
        // `+ 0.0` turns -0 into 0, which JSON readers disagree about.
        let log_probs = answer.log_probs.iter().map(|lp| (lp * 1e4).round() / 1e4 + 0.0).collect();
        let (evidence, samples) = (answer.evidence.clone(), answer.samples);
        Self { log_probs, tokens: answer.tokens, evidence, samples }
    }

    pub(super) fn answer(&self, cached: bool) -> LabelAnswer {
        LabelAnswer {
            log_probs: self.log_probs.clone(),
            missing: missing_of(&self.log_probs),
            tokens: self.tokens,
            cached,
            evidence: self.evidence.clone(),
            samples: self.samples,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    prompt_format: u32,
    model: String,
    answers: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timing: Option<Timing>,
}

/// How long the model took, over all recordings to a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Timing {
    /// Answers whose time was taken.
    pub(super) answers: u64,
    /// Seconds of wall time in which at least one of them was computed.
    pub(super) seconds: f64,
}

impl Timing {
    /// Mean seconds of one answer.
    pub(super) fn per_answer(self) -> Option<f64> {
        (self.answers > 0).then(|| self.seconds / self.answers as f64)
    }
}

/// What a file holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Recording {
    pub(super) model: String,
    pub(super) timing: Timing,
    pub(super) entries: BTreeMap<ShortKey, Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    k: String,
    p: Vec<Option<f64>>,
    #[serde(default)]
    t: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<u32>,
}

pub(super) fn short(key: &PromptKey) -> ShortKey {
    let mut short = [0; PromptKey::SHORT];
    short.copy_from_slice(&key.bytes()[..PromptKey::SHORT]);
    short
}

/// Whether the file is compressed, by its name.
pub(super) fn compressed(path: &Path) -> Result<bool> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name.ends_with(".jsonl.gz") {
        Ok(true)
    } else if name.ends_with(".jsonl") {
        Ok(false)
    } else {
        Err(ConfigError::new("path", "a name ending in .jsonl or .jsonl.gz", path.display()).into())
    }
}

/// Bytes of the longest line that is read: one answer takes thousands at most.
const MAX_LINE_BYTES: u64 = 4 << 20;

/// The version from which on every line has a checksum.
const SEALED: u32 = 2;

/// What to do about lines that are not as they were written.
pub(super) enum Damage<'a> {
    /// The first is an error.
    Refuse,
    /// They are skipped, and their numbers, from 1, noted here: 1 is the header, and the last may stand for all that follow.
    Skip(&'a mut Vec<usize>),
}

impl Damage<'_> {
    fn at(&mut self, line: usize, error: Error) -> Result<()> {
        match self {
            Self::Refuse => Err(error),
            Self::Skip(lines) => {
                tracing::warn!(error = causes(&error), "a damaged line among recorded answers is skipped");
                lines.push(line);
                Ok(())
            }
        }
    }
}

/// Reads a whole file.
pub(super) fn read(path: &Path, damage: Damage<'_>) -> Result<Recording> {
    compressed(path)?;
    read_from(files::open(path)?, path, damage)
}

/// Reads all of `source`, whose name is `path`. A recording whose header was skipped has no model.
pub(super) fn read_from(source: impl Read, path: &Path, mut damage: Damage<'_>) -> Result<Recording> {
    let reader: Box<dyn Read + '_> =
        if compressed(path)? { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) };
    let mut lines = Lines { reader: BufReader::new(reader), path, number: 0 };
    let first =
        lines.next()?.ok_or_else(|| Error::format(path, 1, "expected a header, found an empty file"))?;
    let mut recording = Recording::default();
    let mut expected = None;
    let mut version = SEALED;
    match header(&first, path) {
        Ok(header) => {
            version = header.version;
            expected = Some(header.answers);
            (recording.model, recording.timing) = (header.model, header.timing.unwrap_or_default());
        }
        // Of another kind or version, and not damaged.
        Err(error)
            if unseal(&first).is_some()
                || serde_json::from_slice::<Header>(&first).is_ok_and(|header| header.version < SEALED) =>
        {
            return Err(error);
        }
        Err(error) => damage.at(1, error)?,
    }
    loop {
        let line = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) => {
                // Nothing behind a break in compressed data can be read.
                damage.at(lines.number + 1, error)?;
                break;
            }
        };
        // A header that claims fewer bounds what a small compressed file can grow to.
        if expected.is_some_and(|expected| recording.entries.len() > expected) {
            break;
        }
        match answer(&line, version, path, lines.number) {
            Ok((key, entry)) => {
                if recording.entries.insert(key, entry).is_some() {
                    let key = scaletot_core::hash::hex(&key);
                    let message = format!(
                        "expected each key once, found {key} again: two prompts clash, or the file was edited"
                    );
                    return Err(Error::format(path, lines.number, message));
                }
            }
            Err(error) => damage.at(lines.number, error)?,
        }
    }
    let found = recording.entries.len();
    if let (Damage::Refuse, Some(expected)) = (&damage, expected)
        && found != expected
    {
        let what = if found < expected { "the file is cut" } else { "the file was edited" };
        let message = format!("expected {expected} answers, by its header, found {found}: {what}");
        return Err(Error::format(path, found + 1, message));
    }
    Ok(recording)
}

/// Lines of bounded length.
struct Lines<'a, R> {
    reader: BufReader<R>,
    path: &'a Path,
    /// Of the line that was read last, from 1.
    number: usize,
}

impl<R: Read> Lines<'_, R> {
    /// The next line without its end.
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let read = self.reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        if read.map_err(|source| Error::io("read", self.path, source))? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.len() as u64 == MAX_LINE_BYTES {
            let message = format!("expected a line of less than {MAX_LINE_BYTES} bytes, found a longer one");
            return Err(Error::format(self.path, self.number, message));
        }
        line.pop_if(|last| *last == b'\n');
        line.pop_if(|last| *last == b'\r');
        Ok(Some(line))
    }
}

fn unparsed(path: &Path, line: usize, expected: &str, error: serde_json::Error) -> Error {
    let message = format!("expected {expected}");
    Error::Format { path: path.to_owned(), line, message, source: Some(error) }
}

fn damaged(path: &Path, line: usize) -> Error {
    let message = "expected a line as it was written, found another checksum: it is damaged or was edited; a recording that goes on with \
                   this file (the program: `scaletot record … --to FILE`) keeps the other answers and asks for this one again";
    Error::format(path, line, message)
}

fn header(line: &[u8], path: &Path) -> Result<Header> {
    let object = unseal(line);
    let header: Header = serde_json::from_slice(object.as_deref().unwrap_or(line))
        .map_err(|error| unparsed(path, 1, "a replay header", error))?;
    let (format, version) = (&header.format, header.version);
    if format != FORMAT || version == 0 || version > REPLAY_VERSION {
        let expected = format!("expected {FORMAT} up to version {REPLAY_VERSION}");
        return Err(Error::format(path, 1, format!("{expected}, found {format} version {version}")));
    }
    if version >= SEALED && object.is_none() {
        return Err(damaged(path, 1));
    }
    if header.prompt_format != PROMPT_FORMAT {
        let found = header.prompt_format;
        let message = format!(
            "expected answers to prompts of format {PROMPT_FORMAT}, found format {found}: record again"
        );
        return Err(Error::format(path, 1, message));
    }
    Ok(header)
}

fn answer(line: &[u8], version: u32, path: &Path, number: usize) -> Result<(ShortKey, Entry)> {
    let object = match version {
        SEALED.. => &unseal(line).ok_or_else(|| damaged(path, number))?,
        _ => line,
    };
    let Line { k, p, t, e, n } =
        serde_json::from_slice(object).map_err(|error| unparsed(path, number, "an answer", error))?;
    let key = parse_key(&k).ok_or_else(|| {
        let digits = 2 * PromptKey::SHORT;
        let message = format!("expected a key of {digits} hexadecimal digits, found `{}`", printable(&k, 80));
        Error::format(path, number, message)
    })?;
    let log_probs: Vec<f64> = p.into_iter().map(|lp| lp.unwrap_or(f64::NEG_INFINITY)).collect();
    if let Some(lp) = log_probs.iter().find(|lp| **lp > 1e-3) {
        let message = format!("expected log-probabilities of at most 0, found {lp}");
        return Err(Error::format(path, number, message));
    }
    Ok((key, Entry { log_probs, tokens: t, evidence: e, samples: n }))
}

/// Replaces the file as a whole, so that a reader never sees half of it.
pub(super) fn write(path: &Path, recording: &Recording) -> Result<()> {
    let gz = compressed(path)?;
    create_dir_all(path.parent().unwrap_or(Path::new("")))?;
    let mut file = AtomicFile::create(path)?;
    let written = if gz {
        let mut encoder = GzEncoder::new(&mut file, Compression::best());
        write_lines(&mut encoder, recording).and_then(|()| encoder.finish().map(|_| ()))
    } else {
        write_lines(&mut file, recording)
    };
    written.map_err(|error| file.error(error))?;
    Ok(file.commit()?)
}

fn write_lines(writer: &mut impl Write, recording: &Recording) -> std::io::Result<()> {
    let timing = Some(recording.timing).filter(|timing| timing.answers > 0);
    write_header(writer, &recording.model, recording.entries.len(), timing)?;
    recording.entries.iter().try_for_each(|(key, entry)| write_entry(writer, key, entry))
}

pub(super) fn write_header(
    writer: &mut impl Write,
    model: &str,
    answers: usize,
    timing: Option<Timing>,
) -> std::io::Result<()> {
    let header = Header {
        format: FORMAT.to_owned(),
        version: REPLAY_VERSION,
        prompt_format: PROMPT_FORMAT,
        model: model.to_owned(),
        answers,
        timing,
    };
    write_line(writer, &header)
}

pub(super) fn write_entry(writer: &mut impl Write, key: &ShortKey, entry: &Entry) -> std::io::Result<()> {
    let line = Line {
        k: scaletot_core::hash::hex(key),
        p: entry.log_probs.iter().map(|lp| lp.is_finite().then_some(*lp)).collect(),
        t: entry.tokens,
        e: entry.evidence.clone(),
        n: entry.samples,
    };
    write_line(writer, &line)
}

fn write_line(writer: &mut impl Write, value: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    seal(&mut line);
    line.push(b'\n');
    writer.write_all(&line)
}

fn parse_key(text: &str) -> Option<ShortKey> {
    if text.len() != 2 * PromptKey::SHORT || !text.is_ascii() {
        return None;
    }
    let mut key = [0; PromptKey::SHORT];
    for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |c: u8| (c as char).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(key)
}
