//! The first line of a corpus.

use std::path::Path;

use scaletot_core::ContentHash;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ChainSchema;
use crate::error::{Error, Result};

/// The corpus format that this version reads and writes.
pub const CORPUS_FORMAT: u32 = 1;

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
        serde_json::to_vec(&Line { kind, format, profile_schema, chain_schema, teacher, seed, settings })
            .map_err(|e| Error::io("write the header of", path, e.into()))
    }

    /// Reads the header line; the format version is looked at before anything else in it.
    pub(crate) fn from_line(line: &[u8], path: &Path) -> Result<Self> {
        let not_a_corpus =
            |found: String| Error::NotACorpus { path: path.to_path_buf(), found, source: None };
        let value: Value = serde_json::from_slice(line).map_err(|_| not_a_corpus(excerpt(line)))?;
        if value.get("kind").and_then(Value::as_str) != Some(KIND) {
            return Err(not_a_corpus(excerpt(line)));
        }
        let found = value.get("format").and_then(Value::as_u64).ok_or_else(|| not_a_corpus(excerpt(line)))?;
        if found != u64::from(CORPUS_FORMAT) {
            return Err(Error::UnknownFormat { path: path.to_path_buf(), found, supported: CORPUS_FORMAT });
        }
        // From the bytes again, not from `value`: the error then names a column.
        let Line { format, profile_schema, chain_schema, teacher, seed, settings, .. } =
            serde_json::from_slice(line).map_err(|e| Error::NotACorpus {
                path: path.to_path_buf(),
                found: "another one".to_owned(),
                source: Some(e),
            })?;
        Ok(Self { format, profile_schema, chain_schema, teacher, seed, settings })
    }

    /// How the header of a corpus differs from that of this run, one line for each difference.
    pub(crate) fn differences(corpus: &Self, run: &Self) -> Vec<String> {
        let mut out = Vec::new();
        let mut differ = |what: &str, corpus: String, run: String| {
            if corpus != run {
                out.push(format!("{what}: the corpus has {corpus}, this run has {run}"));
            }
        };
        differ("format", corpus.format.to_string(), run.format.to_string());
        differ("profile schema", corpus.profile_schema.to_string(), run.profile_schema.to_string());
        differ("chain schema", corpus.chain_schema.to_string(), run.chain_schema.to_string());
        differ("teacher", format!("{:?}", corpus.teacher), format!("{:?}", run.teacher));
        differ("seed", corpus.seed.to_string(), run.seed.to_string());
        compare("settings", Some(&corpus.settings), Some(&run.settings), &mut out);
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
    out.push(format!("{at}: the corpus has {}, this run has {}", show(corpus), show(run)));
}
