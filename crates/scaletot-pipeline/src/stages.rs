//! Which stages of a run are done, so that an interrupted run goes on where it stopped.
//!
//! `stages.json` in the output directory holds a fingerprint of everything that decides the results (data, schemas, options) and the
//! report of every finished stage. A stage is written there only after its own files are in place, so a kill at any moment costs at
//! most the stage that was under way, of the reasoning stage at most the user in flight, and of the student's training the epoch.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result, bail};
use scaletot_core::files::write_json;
use serde::{Deserialize, Serialize};

/// The name of the record.
pub const STAGES: &str = "stages.json";

/// What a finished stage reports; a row of the table that the example prints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// Users the stage worked on.
    pub users: u64,
    /// Questions that a model computed.
    pub calls: u64,
    /// Tokens of all questions, those answered from a cache or a record among them.
    pub tokens: u64,
    /// Questions answered from memory or from recorded answers.
    pub cache_hits: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Further figures of the stage, by name.
    pub figures: BTreeMap<String, f64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    fingerprint: BTreeMap<String, String>,
    done: BTreeMap<String, StageReport>,
}

/// The finished stages of one output directory.
#[derive(Debug)]
pub struct Stages {
    path: PathBuf,
    state: State,
}

impl Stages {
    /// Opens the record in `out`, or begins one.
    ///
    /// # Errors
    /// If the directory holds a run with another fingerprint: the message names the settings that differ.
    pub fn open(out: &Path, fingerprint: BTreeMap<String, String>) -> Result<Self> {
        fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
        let path = out.join(STAGES);
        let state = if path.exists() {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let state: State = serde_json::from_str(&text).with_context(|| {
                format!("{} is not a record of stages; use another --out or --fresh", path.display())
            })?;
            let differing = differences(&state.fingerprint, &fingerprint);
            if !differing.is_empty() {
                bail!(
                    "{} holds a run with other settings ({}); use another --out, or --fresh to start it over",
                    out.display(),
                    differing.join(", ")
                );
            }
            state
        } else {
            // Written at once: what a first stage leaves half done belongs to these settings too.
            let state = State { fingerprint, done: BTreeMap::new() };
            write_json(&path, &state)?;
            state
        };
        Ok(Self { path, state })
    }

    /// The report of a stage that an earlier run finished.
    #[must_use]
    pub fn finished(&self, stage: &str) -> Option<&StageReport> {
        self.state.done.get(stage)
    }

    /// Notes a stage as finished.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub fn finish(&mut self, stage: &str, report: StageReport) -> Result<()> {
        self.state.done.insert(stage.to_owned(), report);
        Ok(write_json(&self.path, &self.state)?)
    }
}

/// What differs between two lists of settings, in words.
pub(crate) fn differences(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let none = "none".to_owned();
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| {
            format!(
                "{name}: {} there, {} here",
                old.get(name).unwrap_or(&none),
                new.get(name).unwrap_or(&none)
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(seed: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("seed".to_owned(), seed.to_owned())])
    }

    #[test]
    fn finished_stages_are_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let report = StageReport { users: 3, seconds: 0.5, ..StageReport::default() };
        let mut stages = Stages::open(dir.path(), settings("1")).unwrap();
        assert!(stages.finished("sft").is_none());
        stages.finish("sft", report.clone()).unwrap();
        assert_eq!(Stages::open(dir.path(), settings("1")).unwrap().finished("sft"), Some(&report));
    }

    #[test]
    fn other_settings_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        // Before any stage is finished, too: what it left half done is of these settings.
        Stages::open(dir.path(), settings("1")).unwrap();
        let message = Stages::open(dir.path(), settings("2")).unwrap_err().to_string();
        assert!(message.contains("seed: 1 there, 2 here"), "{message}");
    }
}
