//! The first line of a corpus.

use std::path::Path;

use scaletot_core::ContentHash;
use scaletot_core::checksum::{KEY, SEAL_LENGTH, seal, unseal};
use scaletot_core::text::printable;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::read::expect_short;
use crate::ChainSchema;
use crate::error::{Error, Result};

/// The corpus format that this version reads and writes.
pub const CORPUS_FORMAT: u32 = 2;

/// What a corpus was made under; two runs may share a corpus only if their headers are equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CorpusHeader {
    /// Version of the file format: [`CORPUS_FORMAT`].
    pub format: u32,
    /// Hash of the profile schema.
    pub profile_schema: ContentHash,
    /// Hash of the chain schema.
    pub chain_schema: ContentHash,
    /// Name of the teacher's model.
    pub teacher: String,
    /// Seed of the run.
    pub seed: u64,
    /// Every other setting that the records depend on: strategy, budget, calibration …
    #[serde(default)]
    pub settings: Value,
}

impl CorpusHeader {
    /// A header in the current format, without further settings.
    pub fn new(
        profile_schema: ContentHash,
        chain_schema: &ChainSchema,
        teacher: impl Into<String>,
        seed: u64,
    ) -> Self {
        let chain_schema = chain_schema.hash();
        Self {
            format: CORPUS_FORMAT,
            profile_schema,
            chain_schema,
            teacher: teacher.into(),
            seed,
            settings: Value::Null,
        }
    }

    /// Sets [`settings`](Self::settings).
    #[must_use]
    pub fn with_settings(mut self, settings: Value) -> Self {
        self.settings = settings;
        self
    }

    /// Checks that the corpus is of that chain schema.
    ///
    /// # Errors
    /// [`Error::OtherChainSchema`].
    pub fn check_chain_schema(&self, schema: &ChainSchema) -> Result<()> {
        let (expected, found) = (schema.hash(), self.chain_schema);
        if expected == found {
            return Ok(());
        }
        Err(Error::OtherChainSchema { schema: schema.name().to_owned(), expected, found })
    }

    /// The header line, without its line end.
    pub(crate) fn to_line(&self, path: &Path) -> Result<Vec<u8>> {
        let Self { format, profile_schema, chain_schema, teacher, seed, settings } = self.clone();
        let kind = KIND.to_owned();
        let mut line =
            serde_json::to_vec(&Line { kind, format, profile_schema, chain_schema, teacher, seed, settings })
                .map_err(|e| Error::io("write the header of", path, e.into()))?;
        seal(&mut line);
        expect_short(&line, path)?;
        Ok(line)
    }

    /// Whether a damaged first line was this header before.
    pub(crate) fn was(&self, damaged: &[u8], path: &Path) -> Result<bool> {
        let line = self.to_line(path)?;
        let (body, checksum) = line.split_at(line.len() - SEAL_LENGTH);
        Ok(damaged.ends_with(checksum) || damaged.starts_with(body) || line.starts_with(damaged))
    }

    /// Reads the header line, `None` if it is a damaged one. The format version is looked at before anything else in it.
    pub(crate) fn from_line(line: &[u8], path: &Path) -> Result<Option<Self>> {
        let Some(json) = unseal(line) else { return damaged(line, path).map(|()| None) };
        let line = json.as_slice();
        let format = format_of(line).ok_or_else(|| not_a_corpus(line, path))?;
        if format != u64::from(CORPUS_FORMAT) {
            return Err(unknown_format(format, path));
        }
        // From the bytes again, not from `value`: the error then names a column.
        let Line { format, profile_schema, chain_schema, teacher, seed, settings, .. } =
            serde_json::from_slice(line).map_err(|e| Error::NotACorpus {
                path: path.to_path_buf(),
                found: "another one".to_owned(),
                source: Some(e),
            })?;
        Ok(Some(Self { format, profile_schema, chain_schema, teacher, seed, settings }))
    }

    /// How the header of a corpus differs from that of this run, one line for each difference, and for each of the first ones at most.
    pub(crate) fn differences(corpus: &Self, run: &Self) -> Vec<String> {
        const SHOWN: usize = 20;
        let mut out = Vec::new();
        let mut differ = |what: &str, corpus: String, run: String| {
            if corpus != run {
                out.push(difference(what, &corpus, &run));
            }
        };
        differ("format", corpus.format.to_string(), run.format.to_string());
        differ("profile schema", corpus.profile_schema.to_string(), run.profile_schema.to_string());
        differ("chain schema", corpus.chain_schema.to_string(), run.chain_schema.to_string());
        differ("teacher", format!("{:?}", corpus.teacher), format!("{:?}", run.teacher));
        differ("seed", corpus.seed.to_string(), run.seed.to_string());
        compare("settings", Some(&corpus.settings), Some(&run.settings), &mut out);
        if out.len() > SHOWN {
            let more = out.len() - SHOWN;
            out.truncate(SHOWN);
            out.push(format!("and {more} more"));
        }
        out
    }
}

/// Marks the file as a corpus.
const KIND: &str = "scaletot-corpus";

/// A header as it stands in a corpus.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    kind: String,
    format: u32,
    profile_schema: ContentHash,
    chain_schema: ContentHash,
    teacher: String,
    seed: u64,
    #[serde(default)]
    settings: Value,
}

/// The format of a corpus of whatever version, by its first line.
fn format_of(line: &[u8]) -> Option<u64> {
    let value: Value = serde_json::from_slice(line).ok()?;
    value.get("format")?.as_u64().filter(|_| value.get("kind").is_some_and(|kind| kind == KIND))
}

/// An error unless a line without a checksum that fits is a damaged header of the current format.
fn damaged(line: &[u8], path: &Path) -> Result<()> {
    let contains = |part: &[u8]| line.windows(part.len()).any(|window| window == part);
    match format_of(line) {
        // The first format had no checksums.
        Some(found) if found != u64::from(CORPUS_FORMAT) && !contains(KEY) => {
            Err(unknown_format(found, path))
        }
        _ if contains(KEY) || contains(KIND.as_bytes()) => Ok(()),
        _ => Err(not_a_corpus(line, path)),
    }
}

fn unknown_format(found: u64, path: &Path) -> Error {
    Error::UnknownFormat { path: path.to_path_buf(), found, supported: CORPUS_FORMAT }
}

fn not_a_corpus(line: &[u8], path: &Path) -> Error {
    Error::NotACorpus { path: path.to_path_buf(), found: excerpt(line), source: None }
}

/// The beginning of a line that is not what it should be.
pub(crate) fn excerpt(line: &[u8]) -> String {
    const SHOWN: usize = 60;
    let text = String::from_utf8_lossy(line);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?} …", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Lists the paths at which two JSON values differ.
fn compare(at: &str, corpus: Option<&Value>, run: Option<&Value>, out: &mut Vec<String>) {
    if corpus == run {
        return;
    }
    if let (Some(Value::Object(a)), Some(Value::Object(b))) = (corpus, run) {
        let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for key in keys {
            compare(&format!("{at}.{key}"), a.get(key), b.get(key), out);
        }
        return;
    }
    let show = |v: Option<&Value>| v.map_or_else(|| "nothing".to_owned(), Value::to_string);
    out.push(difference(at, &show(corpus), &show(run)));
}

fn difference(what: &str, corpus: &str, run: &str) -> String {
    const SHOWN: usize = 200;
    let [what, corpus, run] = [what, corpus, run].map(|text| printable(text, SHOWN));
    format!("{what}: the corpus has {corpus}, this run has {run}")
}
