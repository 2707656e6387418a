//! The file of recorded answers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use scaletot_core::config::ConfigError;
use scaletot_core::files::{AtomicFile, create_dir_all};
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

/// Reads a whole file.
pub(super) fn read(path: &Path) -> Result<Recording> {
    compressed(path)?;
    read_from(File::open(path).map_err(|source| Error::io("read", path, source))?, path)
}

/// Reads all of `source`, whose name is `path`.
pub(super) fn read_from(source: impl Read, path: &Path) -> Result<Recording> {
    let reader: Box<dyn Read + '_> =
        if compressed(path)? { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) };
    let mut lines = BufReader::new(reader).lines().enumerate();
    let at = |index: usize, message: String| Error::format(path, index + 1, message);
    let unparsed = |index: usize, expected: &str, error: serde_json::Error| {
        let message = format!("expected {expected}");
        Error::Format { path: path.to_owned(), line: index + 1, message, source: Some(error) }
    };

    let (_, first) =
        lines.next().ok_or_else(|| at(0, "expected a header, found an empty file".to_owned()))?;
    let first = first.map_err(|source| Error::io("read", path, source))?;
    let header: Header =
        serde_json::from_str(&first).map_err(|error| unparsed(0, "a replay header", error))?;
    if header.format != FORMAT || header.version == 0 || header.version > REPLAY_VERSION {
        let (format, version) = (header.format, header.version);
        return Err(at(
            0,
            format!("expected {FORMAT} up to version {REPLAY_VERSION}, found {format} version {version}"),
        ));
    }
    if header.prompt_format != PROMPT_FORMAT {
        let found = header.prompt_format;
        return Err(at(
            0,
            format!(
                "expected answers to prompts of format {PROMPT_FORMAT}, found format {found}: record again"
            ),
        ));
    }

    let mut entries = BTreeMap::new();
    for (index, line) in lines {
        let line = line.map_err(|source| Error::io("read", path, source))?;
        let Line { k, p, t, e, n } =
            serde_json::from_str(&line).map_err(|error| unparsed(index, "an answer", error))?;
        let key = parse_key(&k).ok_or_else(|| {
            at(index, format!("expected a key of {} hexadecimal digits, found `{k}`", 2 * PromptKey::SHORT))
        })?;
        let log_probs: Vec<f64> = p.into_iter().map(|lp| lp.unwrap_or(f64::NEG_INFINITY)).collect();
        if let Some(lp) = log_probs.iter().find(|lp| **lp > 1e-3) {
            return Err(at(index, format!("expected log-probabilities of at most 0, found {lp}")));
        }
        if entries.insert(key, Entry { log_probs, tokens: t, evidence: e, samples: n }).is_some() {
            return Err(at(
                index,
                format!("expected each key once, found {k} again: two prompts clash, or the file was edited"),
            ));
        }
    }
    if entries.len() != header.answers {
        let (want, found) = (header.answers, entries.len());
        return Err(at(
            found,
            format!("expected {want} answers, by its header, found {found}: the file is cut"),
        ));
    }
    Ok(Recording { model: header.model, timing: header.timing.unwrap_or_default(), entries })
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
    let header = Header {
        format: FORMAT.to_owned(),
        version: REPLAY_VERSION,
        prompt_format: PROMPT_FORMAT,
        model: recording.model.clone(),
        answers: recording.entries.len(),
        timing: Some(recording.timing).filter(|timing| timing.answers > 0),
    };
    serde_json::to_writer(&mut *writer, &header)?;
    writeln!(writer)?;
    for (key, entry) in &recording.entries {
        let line = Line {
            k: scaletot_core::hash::hex(key),
            p: entry.log_probs.iter().map(|lp| lp.is_finite().then_some(*lp)).collect(),
            t: entry.tokens,
            e: entry.evidence.clone(),
            n: entry.samples,
        };
        serde_json::to_writer(&mut *writer, &line)?;
        writeln!(writer)?;
    }
    Ok(())
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
