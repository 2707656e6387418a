//! Which stages of a run are done, with which inputs.
//!
//! `stages.json` in the output directory holds, for every stage that was started, the inputs that decide its result (the data by content
//! hash, settings by value, earlier stages' outputs by content hash) and, once it is done, the hash of what it wrote and its report. A
//! stage counts as done only if both still hold: its inputs are the ones it was done with, and its files are those that it wrote. So a
//! truncated file, another teacher or a changed setting runs the stage and everything after it again, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use scaletot_core::files::write_json;
use scaletot_core::{ContentHash, ContentHasher};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Context, Result};

/// The name of the record.
pub(crate) const STAGES: &str = "stages.json";

/// Version of the record's form.
const FORMAT: u32 = 2;

/// What decides a stage's result, by name: hashes and settings.
pub(crate) type Inputs = BTreeMap<String, String>;

/// What a finished stage reports; a row of the table that the program prints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StageReport {
    /// Users the stage worked on.
    pub users: u64,
    /// Questions that a model computed.
    pub calls: u64,
    /// Tokens of all questions, those answered from a cache or a recording among them.
    pub tokens: u64,
    /// Questions answered from memory or from recorded answers.
    pub cache_hits: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Further figures of the stage, by name.
    pub figures: BTreeMap<String, f64>,
}

impl StageReport {
    /// A report about so many users.
    #[must_use]
    pub fn of_users(users: usize) -> Self {
        Self { users: users as u64, ..Self::default() }
    }
}

/// One stage in the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    inputs: Inputs,
    /// Hash of the stage's files and its report; absent while it is not done.
    done: Option<Finished>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Finished {
    outputs: ContentHash,
    report: StageReport,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    stages: BTreeMap<String, Entry>,
}

/// How a stage of an earlier run stands to the inputs of this one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    /// Never started.
    New,
    /// Started with the same inputs: what it left half done may be resumed.
    Started,
    /// Done with the same inputs, and its files are as it wrote them.
    Done(ContentHash, StageReport),
    /// Started or done with other inputs; the reasons in words.
    Stale(Vec<String>),
    /// Done with the same inputs, but its files are not what it wrote; the reasons in words.
    Damaged(Vec<String>),
}

/// The stages of one output directory.
#[derive(Debug)]
pub(crate) struct Record {
    directory: PathBuf,
    file: File,
}

impl Record {
    /// Opens the record in a directory, or begins one; nothing is written yet.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(STAGES);
        let file = match fs::read_to_string(&path) {
            Ok(text) => {
                let version: Version = serde_json::from_str(&text)
                    .with_context(|| format!("{} is not a record of stages", path.display()))?;
                crate::error::ensure!(
                    version.format == FORMAT,
                    "{}: expected format {FORMAT}, found {}; use another output directory",
                    path.display(),
                    version.format
                );
                serde_json::from_str(&text)
                    .with_context(|| format!("{} is not a record of stages", path.display()))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                File { format: FORMAT, stages: BTreeMap::new() }
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(Self { directory: directory.to_owned(), file })
    }

    /// How a stage that writes `outputs` (names in the directory) stands.
    pub(crate) fn standing(&self, stage: &str, inputs: &Inputs, outputs: &[&str]) -> Result<Standing> {
        let Some(entry) = self.file.stages.get(stage) else { return Ok(Standing::New) };
        let differing = differences(&entry.inputs, inputs);
        if !differing.is_empty() {
            return Ok(Standing::Stale(differing));
        }
        let Some(done) = &entry.done else { return Ok(Standing::Started) };
        Ok(match hash_outputs(&self.directory, outputs)? {
            Some(found) if found == done.outputs => Standing::Done(found, done.report.clone()),
            Some(_) => Standing::Damaged(vec![format!("{} is not what the stage wrote", outputs.join(", "))]),
            None => Standing::Damaged(vec![format!("{} is not there", outputs.join(", "))]),
        })
    }

    /// How these inputs, but for one, differ from those that a stage was started or done with, in words; nothing if it never was.
    pub(crate) fn differences_but_for(&self, stage: &str, inputs: &Inputs, left_out: &str) -> Vec<String> {
        let Some(entry) = self.file.stages.get(stage) else { return vec![] };
        let mut old = entry.inputs.clone();
        old.remove(left_out);
        differences(&old, inputs)
    }

    /// Notes that a stage begins: what it leaves half done belongs to these inputs.
    pub(crate) fn begin(&mut self, stage: &str, inputs: Inputs) -> Result<()> {
        self.file.stages.insert(stage.to_owned(), Entry { inputs, done: None });
        self.write()
    }

    /// Notes a stage as done, its files being in place; gives their hash.
    pub(crate) fn finish(
        &mut self,
        stage: &str,
        outputs: &[&str],
        report: StageReport,
    ) -> Result<ContentHash> {
        let hash = hash_outputs(&self.directory, outputs)?
            .with_context(|| format!("stage `{stage}` did not write {}", outputs.join(", ")))?;
        if let Some(entry) = self.file.stages.get_mut(stage) {
            entry.done = Some(Finished { outputs: hash, report });
        }
        self.write()?;
        Ok(hash)
    }

    fn write(&self) -> Result<()> {
        Ok(write_json(self.directory.join(STAGES), &self.file)?)
    }
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// One hash of files and directories by their names and contents; `None` if one is not there.
fn hash_outputs(directory: &Path, outputs: &[&str]) -> Result<Option<ContentHash>> {
    let mut hasher = ContentHasher::new();
    for name in outputs {
        let path = directory.join(name);
        let Ok(found) = fs::metadata(&path) else { return Ok(None) };
        let mut files = vec![];
        if found.is_dir() {
            list(&path, &mut files)?;
        } else {
            files.push(path.clone());
        }
        files.sort();
        for file in files {
            let name = file.strip_prefix(directory)?.to_string_lossy();
            hasher.update_part(name.as_bytes());
            hasher.update_part(ContentHash::of_file(&file)?.as_bytes());
        }
    }
    Ok(Some(hasher.finish()))
}

fn list(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = || format!("cannot read {}", directory.display());
    for entry in fs::read_dir(directory).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.is_dir() { list(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

/// What differs between two lists of inputs, in words; of settings in JSON, those that differ.
pub(crate) fn differences(old: &Inputs, new: &Inputs) -> Vec<String> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut found = vec![];
    for name in names {
        let (old, new) = (old.get(name).map(|text| value(text)), new.get(name).map(|text| value(text)));
        compare(name, old.as_ref(), new.as_ref(), &mut found);
    }
    found
}

/// An input is a text; settings are objects in JSON.
fn value(text: &str) -> Value {
    let settings = serde_json::from_str(text).ok().filter(Value::is_object);
    settings.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn compare(name: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<String>) {
    if old == new {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new) {
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        keys.into_iter().for_each(|key| compare(&format!("{name}.{key}"), old.get(key), new.get(key), found));
        return;
    }
    let text = |value: Option<&Value>| match value {
        None => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    found.push(format!("{name}: {} there, {} here", text(old), text(new)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(seed: &str) -> Inputs {
        Inputs::from([("seed".to_owned(), seed.to_owned())])
    }

    fn run(directory: &Path) -> Record {
        let mut record = Record::open(directory).unwrap();
        record.begin("sft", inputs("1")).unwrap();
        fs::create_dir_all(directory.join("student")).unwrap();
        fs::write(directory.join("student/weights"), "0123").unwrap();
        record.finish("sft", &["student"], StageReport::of_users(3)).unwrap();
        record
    }

    #[test]
    fn a_stage_is_done_with_its_inputs_and_its_files_only() {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path());
        let standing = |seed| {
            let record = Record::open(dir.path()).unwrap();
            record.standing("sft", &inputs(seed), &["student"]).unwrap()
        };
        assert!(matches!(standing("1"), Standing::Done(_, report) if report.users == 3));
        assert_eq!(standing("2"), Standing::Stale(vec!["seed: 1 there, 2 here".to_owned()]));
        fs::write(dir.path().join("student/weights"), "012").unwrap();
        assert!(
            matches!(standing("1"), Standing::Damaged(why) if why[0].contains("not what the stage wrote"))
        );
        fs::remove_dir_all(dir.path().join("student")).unwrap();
        assert!(matches!(standing("1"), Standing::Damaged(why) if why[0].contains("is not there")));
    }

    #[test]
    fn of_settings_those_that_differ_are_named() {
        let inputs = |sft: &str| Inputs::from([("sft".to_owned(), sft.to_owned())]);
        let old = inputs(r#"{"epochs":3,"strategy":{"refine":{"rounds":6}},"seed":null}"#);
        let new = inputs(r#"{"epochs":2,"strategy":{"refine":{"rounds":8}},"seed":null}"#);
        let expected = ["sft.epochs: 3 there, 2 here", "sft.strategy.refine.rounds: 6 there, 8 here"];
        assert_eq!(differences(&old, &new), expected);
        assert_eq!(differences(&old, &Inputs::new()).len(), 1);
        // Texts that read as the same number are two texts.
        assert_eq!(differences(&inputs("1"), &inputs("1.0")), ["sft: 1 there, 1.0 here"]);
        assert!(differences(&new, &new).is_empty());
    }

    #[test]
    fn what_was_started_may_be_resumed_with_the_same_inputs_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = Record::open(dir.path()).unwrap();
        assert_eq!(record.standing("sft", &inputs("1"), &["student"]).unwrap(), Standing::New);
        record.begin("sft", inputs("1")).unwrap();
        let record = Record::open(dir.path()).unwrap();
        assert_eq!(record.standing("sft", &inputs("1"), &["student"]).unwrap(), Standing::Started);
        assert!(matches!(record.standing("sft", &inputs("2"), &["student"]).unwrap(), Standing::Stale(_)));
    }

    #[test]
    fn records_of_other_formats_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(STAGES), r#"{"fingerprint": {}, "done": {}}"#).unwrap();
        assert!(Record::open(dir.path()).unwrap_err().to_string().contains("is not a record"));
        fs::write(dir.path().join(STAGES), r#"{"format": 7, "new": {}}"#).unwrap();
        assert!(Record::open(dir.path()).unwrap_err().to_string().contains("expected format 2, found 7"));
    }

    #[test]
    fn unknown_keys_of_a_report_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path());
        let path = dir.path().join(STAGES);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"users\"", "\"usres\": 3, \"users\"")).unwrap();
        let error = Record::open(dir.path()).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("unknown field `usres`"), "{error}: {cause}");
    }
}
