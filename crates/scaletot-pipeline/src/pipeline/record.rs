//! Which stages of a run are done, with which inputs.
//!
//! `stages.json` in the output directory holds, for every stage that was started, the inputs that decide its result (the data by content
//! hash, settings by value, earlier stages' outputs by content hash) and, once it is done, the hash of what it wrote and its report. A
//! stage counts as done only if both still hold: its inputs are the ones it was done with, and its files are those that it wrote. So a
//! truncated file, another teacher or a changed setting runs the stage and everything after it again, and nothing else. A stage in which
//! the teacher failed about some users is not done: what follows may use what there is, and the next run asks about them again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use scaletot_core::files::{self, read_to_string, write_json};
use scaletot_core::{ContentHash, ContentHasher};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::owned::Found;
use crate::error::{Context, Result, causes, ensure};

/// The name of the record.
pub(crate) const STAGES: &str = "stages.json";

/// Version of the record's form.
const FORMAT: u32 = 3;

/// Bytes of a record at most.
const MAX_RECORD: u64 = 1 << 28;

/// The figure of a report: users about whom the teacher failed.
pub(crate) const FAILED: &str = "failed";

/// What the stages of a directory belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Whole {
    /// A run of the whole method.
    Run,
    /// An evaluation over folds.
    Evaluation,
}

impl std::fmt::Display for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Run => "a run",
            Self::Evaluation => "an evaluation",
        })
    }
}

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

    /// Users of a stage that asks the teacher about whom it failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.figures.get(FAILED).map_or(0, |&failed| failed as u64)
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
    /// Whether the teacher failed about some users, so that the stage has to be run once more.
    incomplete: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    of: Whole,
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
    /// Gone through with the same inputs, but for some users about whom the teacher failed; its files are as it wrote them.
    Incomplete(u64),
    /// Started or done with other inputs; those that differ, in words.
    Stale(Vec<String>),
    /// Gone through with the same inputs, but its files are not what it wrote; the reason in words.
    Damaged(String),
}

/// The stages of one output directory.
#[derive(Debug)]
pub(crate) struct Record {
    directory: PathBuf,
    file: File,
    /// Why nothing is known of the stages although there is a record of ours, damaged or of another version.
    unreadable: Option<String>,
}

impl Record {
    /// A record of no stage.
    pub(crate) fn empty(directory: &Path, of: Whole) -> Self {
        let file = File { format: FORMAT, of, stages: BTreeMap::new() };
        Self { directory: directory.to_owned(), file, unreadable: None }
    }

    /// As [`open`](Self::open), but one of ours that is damaged or of another version is opened as [unreadable](Self::unreadable), so that it can
    /// be thrown away on request.
    pub(crate) fn open_or_remains(directory: &Path, of: Whole) -> Result<Self> {
        Self::open(directory, of).or_else(|error| {
            let bytes = files::read(directory.join(STAGES), MAX_RECORD)?;
            let text = String::from_utf8_lossy(&bytes);
            // What is left of a record after a crash of the disk is zeros, or nothing.
            let ours = bytes.iter().all(|byte| *byte == 0)
                || ["\"format\"", "\"stages\""].iter().any(|key| text.contains(key));
            let others = [Whole::Run, Whole::Evaluation].into_iter().filter(|other| *other != of);
            if !ours || others.map(kind_of).any(|other| text.contains(&other)) {
                return Err(error);
            }
            Ok(Self { unreadable: Some(causes(&error)), ..Self::empty(directory, of) })
        })
    }

    /// Why nothing is known of the stages, if there is a record that cannot be read.
    pub(crate) fn unreadable(&self) -> Option<&str> {
        self.unreadable.as_deref()
    }

    /// Opens the record in a directory, or begins one; nothing is written yet.
    pub(crate) fn open(directory: &Path, of: Whole) -> Result<Self> {
        let path = directory.join(STAGES);
        if !is_there(&path) {
            return Ok(Self::empty(directory, of));
        }
        let failed = || format!("{} is not a record of stages", path.display());
        let text = read_to_string(&path, MAX_RECORD)?;
        let version: Version = serde_json::from_str(&text).with_context(failed)?;
        ensure!(
            version.format == FORMAT,
            "{}: expected format {FORMAT}, found {}",
            path.display(),
            version.format
        );
        let file: File = serde_json::from_str(&text).with_context(failed)?;
        ensure!(
            file.of == of,
            "{}: expected the record of {of}, found that of {}; --out names another directory",
            path.display(),
            file.of
        );
        Ok(Self { directory: directory.to_owned(), file, unreadable: None })
    }

    /// The stages that were started, whose files are ours.
    pub(crate) fn started(&self) -> impl Iterator<Item = &str> {
        self.file.stages.keys().map(String::as_str)
    }

    /// Whether a stage has come to its end, with whatever inputs and whatever became of its files.
    pub(crate) fn is_done(&self, stage: &str) -> bool {
        self.file.stages.get(stage).is_some_and(|entry| entry.done.is_some())
    }

    /// How a stage that writes `outputs` (names in the directory) stands.
    pub(crate) fn standing(&self, stage: &str, inputs: &Inputs, outputs: &[&str]) -> Result<Standing> {
        let Some(entry) = self.file.stages.get(stage) else { return Ok(Standing::New) };
        let differing = differences(&entry.inputs, inputs);
        if !differing.is_empty() {
            return Ok(Standing::Stale(differing));
        }
        let Some(done) = &entry.done else { return Ok(Standing::Started) };
        Ok(match self.damage(stage, outputs)? {
            Some(why) => Standing::Damaged(why),
            None if done.incomplete => Standing::Incomplete(done.report.failed()),
            None => Standing::Done(done.outputs, done.report.clone()),
        })
    }

    /// How the files of a stage differ from those that it wrote, in words; nothing if it never came to its end.
    pub(crate) fn damage(&self, stage: &str, outputs: &[&str]) -> Result<Option<String>> {
        let Some(done) = self.file.stages.get(stage).and_then(|entry| entry.done.as_ref()) else {
            return Ok(None);
        };
        Ok(match hash_outputs(&self.directory, outputs)? {
            Some(found) if found == done.outputs => None,
            Some(_) => Some(format!("{} is not what the stage wrote", outputs.join(", "))),
            None => Some(format!("{} is not there", outputs.join(", "))),
        })
    }

    /// How these inputs, but for one, differ from those that a stage was started or done with, in words; nothing if it never was.
    pub(crate) fn differences_but_for(
        &self,
        stage: &str,
        inputs: &Inputs,
        left_out: Option<&str>,
    ) -> Vec<String> {
        let Some(entry) = self.file.stages.get(stage) else { return vec![] };
        let mut old = entry.inputs.clone();
        old.retain(|name, _| Some(name.as_str()) != left_out);
        differences(&old, inputs)
    }

    /// Notes that a stage begins: what it leaves half done belongs to these inputs.
    pub(crate) fn begin(&mut self, stage: &str, inputs: Inputs) -> Result<()> {
        self.file.stages.insert(stage.to_owned(), Entry { inputs, done: None });
        self.write()
    }

    /// Notes a stage as done, its files being in place, or as incomplete if its report tells of users about whom the teacher failed; gives
    /// the hash of its files.
    pub(crate) fn finish(
        &mut self,
        stage: &str,
        outputs: &[&str],
        report: StageReport,
    ) -> Result<ContentHash> {
        let hash = hash_outputs(&self.directory, outputs)?
            .with_context(|| format!("stage `{stage}` did not write {}", outputs.join(", ")))?;
        if let Some(entry) = self.file.stages.get_mut(stage) {
            let incomplete = report.failed() > 0;
            entry.done = Some(Finished { outputs: hash, report, incomplete });
        }
        self.write()?;
        Ok(hash)
    }

    fn write(&self) -> Result<()> {
        Ok(write_json(self.directory.join(STAGES), &self.file)?)
    }
}

/// How the text of a record says what it is of.
fn kind_of(whole: Whole) -> String {
    let name = serde_json::to_string(&whole).unwrap_or_default();
    format!("\"of\": {name}")
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// Whether there is anything at a path, a link that leads nowhere among it.
pub(crate) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// One hash of a stage's files by their names and contents; `None` if one of the outputs is not there. What somebody else has put into its
/// directories does not count, nor does a signature. Links, pipes and the like count by their names alone: a stage writes none.
fn hash_outputs(directory: &Path, outputs: &[&str]) -> Result<Option<ContentHash>> {
    let mut hasher = ContentHasher::new();
    for output in outputs {
        if !is_there(&directory.join(output)) {
            return Ok(None);
        }
        for (file, is_regular) in Found::at(directory, output)?.own {
            let name = file.strip_prefix(directory)?.to_string_lossy();
            hasher.update_part(name.as_bytes());
            if is_regular {
                hasher.update_part(ContentHash::of_file(&file)?.as_bytes());
            }
        }
    }
    Ok(Some(hasher.finish()))
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
        let mut record = Record::open(directory, Whole::Run).unwrap();
        record.begin("sft", inputs("1")).unwrap();
        fs::create_dir_all(directory.join("student")).unwrap();
        fs::write(directory.join("student/model.safetensors"), "0123").unwrap();
        record.finish("sft", &["student"], StageReport::of_users(3)).unwrap();
        record
    }

    #[test]
    fn a_stage_is_done_with_its_inputs_and_its_files_only() {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path());
        let standing = |seed| {
            let record = Record::open(dir.path(), Whole::Run).unwrap();
            record.standing("sft", &inputs(seed), &["student"]).unwrap()
        };
        assert!(matches!(standing("1"), Standing::Done(_, report) if report.users == 3));
        assert_eq!(standing("2"), Standing::Stale(vec!["seed: 1 there, 2 here".to_owned()]));
        fs::write(dir.path().join("student/model.safetensors"), "012").unwrap();
        assert!(matches!(standing("1"), Standing::Damaged(why) if why.contains("not what the stage wrote")));
        fs::remove_dir_all(dir.path().join("student")).unwrap();
        assert!(matches!(standing("1"), Standing::Damaged(why) if why.contains("is not there")));
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
        let mut record = Record::open(dir.path(), Whole::Run).unwrap();
        assert_eq!(record.standing("sft", &inputs("1"), &["student"]).unwrap(), Standing::New);
        record.begin("sft", inputs("1")).unwrap();
        let record = Record::open(dir.path(), Whole::Run).unwrap();
        assert_eq!(record.standing("sft", &inputs("1"), &["student"]).unwrap(), Standing::Started);
        assert!(matches!(record.standing("sft", &inputs("2"), &["student"]).unwrap(), Standing::Stale(_)));
    }

    #[test]
    fn records_of_other_formats_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(STAGES), r#"{"fingerprint": {}, "done": {}}"#).unwrap();
        assert!(Record::open(dir.path(), Whole::Run).unwrap_err().to_string().contains("is not a record"));
        fs::write(dir.path().join(STAGES), r#"{"format": 7, "new": {}}"#).unwrap();
        assert!(
            Record::open(dir.path(), Whole::Run)
                .unwrap_err()
                .to_string()
                .contains("expected format 3, found 7")
        );
    }

    #[test]
    fn a_stage_with_failed_users_is_not_done() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = run(dir.path());
        let mut report = StageReport::of_users(3);
        report.figures.insert(FAILED.to_owned(), 2.0);
        record.begin("sft", inputs("1")).unwrap();
        record.finish("sft", &["student"], report).unwrap();
        let record = Record::open(dir.path(), Whole::Run).unwrap();
        let standing = || record.standing("sft", &inputs("1"), &["student"]).unwrap();
        assert_eq!(standing(), Standing::Incomplete(2));
        fs::write(dir.path().join("student/model.safetensors"), "").unwrap();
        assert!(matches!(standing(), Standing::Damaged(_)));
    }

    #[test]
    fn a_record_of_another_kind_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path());
        let message = Record::open(dir.path(), Whole::Evaluation).unwrap_err().to_string();
        assert!(message.contains("expected the record of an evaluation, found that of a run"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn links_and_pipes_in_the_place_of_files_are_damage_and_are_not_read() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let record = run(dir.path());
        let weights = dir.path().join("student/model.safetensors");
        let damaged =
            || matches!(record.standing("sft", &inputs("1"), &["student"]).unwrap(), Standing::Damaged(_));
        fs::rename(&weights, dir.path().join("weights")).unwrap();
        symlink(dir.path().join("weights"), &weights).unwrap();
        assert!(damaged());
        fs::remove_file(&weights).unwrap();
        symlink(dir.path(), &weights).unwrap();
        assert!(damaged(), "a circle of links ends");
        fs::remove_file(&weights).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&weights).status().unwrap().success());
        assert!(damaged());
    }

    #[test]
    fn unknown_keys_of_a_report_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path());
        let path = dir.path().join(STAGES);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"users\"", "\"usres\": 3, \"users\"")).unwrap();
        let error = Record::open(dir.path(), Whole::Run).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("unknown field `usres`"), "{error}: {cause}");
    }
}
