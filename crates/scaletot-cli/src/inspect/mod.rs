//! Looks into what was written, whatever it is: told by its content, not by its name.

mod artifact;
mod corpus;
mod record;
mod report;
mod results;
mod run;
mod scores;
mod student;
mod tree;
mod value_model;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use scaletot_core::files;
use serde_json::Value;

pub(crate) use artifact::{artifact, transfer};
pub(crate) use corpus::{chain_schema, corpus, undamaged};
pub(crate) use record::record;
pub(crate) use report::Report;
pub(crate) use results::{evaluation, recording, results};
pub(crate) use run::run;
pub(crate) use scores::scores;
pub(crate) use student::student;
pub(crate) use tree::tree;
pub(crate) use value_model::value_model;

/// What is told of a thing, for people and for programs.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) report: Report,
    pub(crate) json: Value,
}

/// What there is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A corpus of chains.
    Corpus(PathBuf),
    /// An encoder's artifact.
    Artifact(PathBuf),
    /// A student.
    Student(PathBuf),
    /// A value model.
    ValueModel(PathBuf),
    /// `results.json` of an evaluation over folds.
    Results(PathBuf),
    /// `summary.json` or `evaluation.json` of a run.
    Evaluation(PathBuf),
    /// Recorded answers of a teacher.
    Recording(PathBuf),
    /// `transfer.json` of a run.
    Transfer(PathBuf),
    /// A Parquet file, of scores most likely.
    Scores(PathBuf),
    /// The output directory of a run.
    Run(PathBuf),
}

/// What there is.
///
/// # Errors
/// If there is nothing at the path, or nothing that this program writes.
pub(crate) fn recognise(path: &Path) -> Result<Kind> {
    let unknown = "expected a corpus, an artifact, a student, a value model, results.json, summary.json, evaluation.json, transfer.json, recorded answers, \
                   scores in Parquet, or the output directory of a run or an evaluation";
    let there =
        std::fs::metadata(path).with_context(|| format!("cannot find {}: {unknown}", path.display()))?;
    if there.is_dir() {
        return match directory(path) {
            Some(kind) => Ok(kind),
            None => bail!("{}: {unknown}; this directory is none of them", path.display()),
        };
    }
    let mut file = BufReader::new(files::open(path)?);
    let begin = file.fill_buf().with_context(|| format!("cannot read {}", path.display()))?;
    if begin.starts_with(&[0x1f, 0x8b]) {
        return Ok(Kind::Recording(path.to_owned()));
    }
    if begin.starts_with(b"PAR1") {
        return Ok(Kind::Scores(path.to_owned()));
    }
    // The first line of a corpus or a recording is an object by itself; results are one object in all.
    let mut line = String::new();
    let read = file.by_ref().take(1 << 20).read_line(&mut line);
    let first: Option<Value> = read.ok().and_then(|_| serde_json::from_str(line.trim_end()).ok());
    let text_of = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let path = path.to_owned();
    match first {
        Some(header) if text_of(&header, "kind").is_some_and(|kind| kind.contains("corpus")) => {
            return Ok(Kind::Corpus(path));
        }
        Some(header) if text_of(&header, "format").is_some_and(|format| format == "scaletot-replay") => {
            return Ok(Kind::Recording(path));
        }
        _ => {}
    }
    let value = read_json(&path).ok();
    let has =
        |keys: &[&str]| value.as_ref().is_some_and(|value| keys.iter().all(|key| value.get(key).is_some()));
    if has(&["cells", "curves", "task"]) {
        Ok(Kind::Results(path))
    } else if has(&["arms", "comparisons"]) {
        Ok(Kind::Evaluation(path))
    } else if has(&["agreement", "cosine", "cka"]) {
        Ok(Kind::Transfer(path))
    } else {
        bail!("{}: {unknown}; this file is none of them", path.display())
    }
}

fn directory(path: &Path) -> Option<Kind> {
    let has = |name: &str| path.join(name).exists();
    let at = |name: &str| path.join(name);
    // One that lacks another of its files is told so when it is loaded.
    if has("manifest.json") {
        Some(Kind::Artifact(path.to_owned()))
    } else if has("config.json") && has("chain_schema.json") {
        Some(Kind::Student(path.to_owned()))
    } else if has("value-model.json") {
        Some(Kind::ValueModel(path.to_owned()))
    } else if has("results.json") {
        Some(Kind::Results(at("results.json")))
    } else if has("stages.json") || has("corpus.jsonl") {
        Some(Kind::Run(path.to_owned()))
    } else {
        None
    }
}

/// A file as JSON.
fn read_json(path: &Path) -> Result<Value> {
    let file = files::open(path)?;
    serde_json::from_reader(BufReader::new(file))
        .with_context(|| format!("{}: expected JSON", path.display()))
}

/// A number with three decimals.
fn fixed(number: f64) -> String {
    format!("{number:.3}")
}
