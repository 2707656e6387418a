//! What a run was made with and where, and how it is started over.

use std::fs;
use std::path::Path;

use crate::error::{Context, Result};

use scaletot_core::ContentHash;

use super::fold::CORPUS;
use super::options::EvaluateOptions;
use crate::pipeline::record::{Inputs, STAGES};
use crate::pipeline::settings;
use crate::tasks::Task;

/// Removes the record of the folds, after which none counts as done, and the folds' own files; nothing else that may lie there.
///
/// # Errors
/// If a file cannot be removed.
pub(super) fn start_over(out: &Path) -> Result<()> {
    let record = out.join(STAGES);
    if !record.exists() {
        return Ok(());
    }
    fs::remove_file(&record).with_context(|| format!("cannot remove {}", record.display()))?;
    for entry in fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))? {
        let path = entry?.path();
        if path.join(CORPUS).exists() {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// What every stage depends on: population, teacher, folds and seed; settings by value, files by content. `fields` are the profile's.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn identity(options: &EvaluateOptions, task: Option<&Task>, fields: usize) -> Result<Inputs> {
    let mut inputs = Inputs::new();
    let mut set = |name: &str, value: String| inputs.insert(name.to_owned(), value);
    set("version", env!("CARGO_PKG_VERSION").to_owned());
    set("task", options.source.task.clone());
    if let Some(task) = task {
        // The outcome, who is kept, the levels, and all else that the task's file says.
        set("task's settings", ContentHash::of(format!("{task:?}")).short());
        set("profile-schema", task.profile.content_hash()?.short());
        set("chain-schema", task.chain.content_hash()?.short());
        for (at, table) in task.tables(options.source.data.as_deref())?.iter().enumerate() {
            set(&format!("table {}", at + 1), table.content_hash()?.short());
        }
        if let Some(teacher) = task.answers.as_ref().or(task.rules.as_ref()) {
            set("task's teacher", teacher.content_hash()?.short());
        }
    }
    if let Some(teacher) = &options.source.teacher {
        let named = teacher.path().map_or_else(
            || Ok(teacher.to_string()),
            |path| ContentHash::of_file(path).map(|hash| hash.short()),
        )?;
        set("teacher", named);
    }
    set("quick", options.quick.to_string());
    set("folds", options.folds.to_string());
    set("min-populated", options.source.min_populated(fields).to_string());
    set("noise", options.source.noise.to_string());
    set("seed", options.source.seed.to_string());
    Ok(inputs)
}

/// What a corpus depends on.
///
/// # Errors
/// If the strategy cannot be written down.
pub(super) fn reasoned(identity: &Inputs, options: &EvaluateOptions, coverage: f64) -> Result<Inputs> {
    let mut inputs = identity.clone();
    inputs.insert("coverage".to_owned(), coverage.to_string());
    inputs.insert("strategy".to_owned(), settings(&options.strategy())?);
    Ok(inputs)
}

/// What a fold's figures depend on, beside its corpora.
pub(super) fn measured(identity: &Inputs, options: &EvaluateOptions) -> Inputs {
    let mut inputs = identity.clone();
    inputs.extend(
        [
            ("labels", format!("{:?}", options.label_sizes())),
            ("draws", options.draws.to_string()),
            ("replicates", options.replicates.to_string()),
            ("device", options.device.name().to_owned()),
            ("ablations", options.ablations.names().join(" ")),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    inputs
}

/// Processor and threads.
pub(super) fn machine(workers: usize) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    format!("{}, {cores} cores, {workers} threads used", model.unwrap_or(std::env::consts::ARCH))
}

/// Commit of the checkout that the program is run in, with `-dirty` if files differ from it; outside a checkout `None`.
pub(super) fn commit() -> Option<String> {
    let output = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty", "--exclude", "*"])
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_over_removes_folds_and_nothing_else() {
        let out = tempfile::tempdir().unwrap();
        let fold = out.path().join("repeat-1-fold-1");
        fs::create_dir(&fold).unwrap();
        fs::write(fold.join("corpus.jsonl"), "").unwrap();
        fs::write(out.path().join("notes.txt"), "mine").unwrap();
        start_over(out.path()).unwrap();
        assert!(fold.exists(), "without a record it is no run of ours");
        fs::write(out.path().join(STAGES), "{}").unwrap();
        start_over(out.path()).unwrap();
        assert!(!fold.exists() && !out.path().join(STAGES).exists());
        assert!(out.path().join("notes.txt").exists());
    }
}
