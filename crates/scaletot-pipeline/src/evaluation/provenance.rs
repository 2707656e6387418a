//! What a run was made with and where, and how it is started over.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Context, Result, bail};

use scaletot_core::ContentHash;
use scaletot_eval::planted::FieldErrors;

use super::fold::CORPUS;
use super::options::EvaluateOptions;
use super::run::FOLD;
use super::{REPORT, RESULTS, peers};
use crate::pipeline::record::{Inputs, STAGES, is_there};
use crate::pipeline::stages::Stages;
use crate::pipeline::{ANSWERS, settings};
use crate::tasks::Task;

/// Removes the files that runs have written, and the record of the folds; nothing else that may lie there. Where the record cannot be read, what
/// has the names of folds and of their files is taken for theirs.
///
/// # Errors
/// If there are results or folds, but no record of them, or a file cannot be removed.
pub(super) fn start_over(stages: &Stages, out: &Path) -> Result<()> {
    let started = match stages.is_unreadable() {
        true => found(out)?,
        false => {
            check_foreign(stages, out)?;
            stages.started()
        }
    };
    let mut directories = BTreeSet::new();
    for (fold, stage) in started.iter().filter_map(|name| name.split_once(": ")) {
        let mut directory = fold.replace(' ', "-");
        directories.insert(directory.clone());
        let names: &[&str] = match stage.strip_prefix("reason at coverage ") {
            None if stage == "measure" => &[FOLD, peers::USERS, peers::DRAWS, peers::PEERS],
            None => &[CORPUS],
            Some(share) => {
                directory = format!("{directory}/coverage-{share}");
                directories.insert(directory.clone());
                &[CORPUS]
            }
        };
        names.iter().try_for_each(|name| stages.remove(&format!("{directory}/{name}")))?;
    }
    // The deeper ones first; one that holds what is not ours stays.
    for directory in directories.iter().rev().map(|name| out.join(name)) {
        match fs::remove_dir(&directory) {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
                return Err(error).with_context(|| format!("cannot remove {}", directory.display()));
            }
            _ => {}
        }
    }
    [RESULTS, REPORT, ANSWERS].iter().try_for_each(|name| stages.remove(name))?;
    // The record goes last: killed on the way, the next evaluation knows what is left for its own.
    stages.clear()
}

/// The stages whose directories are there.
fn found(out: &Path) -> Result<Vec<String>> {
    let mut stages = vec![];
    for fold in directories(out)?.iter().filter(|name| is_fold(name)) {
        let name = fold.replace('-', " ");
        stages.extend([format!("{name}: reason"), format!("{name}: measure")]);
        let further = directories(&out.join(fold))?;
        let shares = further.iter().filter_map(|name| name.strip_prefix("coverage-"));
        stages.extend(shares.map(|share| format!("{name}: reason at coverage {share}")));
    }
    Ok(stages)
}

/// Whether a directory has the name of a fold's: `repeat-1-fold-2`.
fn is_fold(name: &str) -> bool {
    let numbers = name.strip_prefix("repeat-").and_then(|rest| rest.split_once("-fold-"));
    numbers.is_some_and(|(repeat, fold)| [repeat, fold].iter().all(|number| number.parse::<usize>().is_ok()))
}

/// The names of the directories in one.
fn directories(directory: &Path) -> Result<Vec<String>> {
    let failed = || format!("cannot read {}", directory.display());
    let mut names = vec![];
    for entry in fs::read_dir(directory).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        if entry.file_type().with_context(failed)?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// Refuses to write over results that no evaluation has written here.
pub(super) fn check_foreign(stages: &Stages, out: &Path) -> Result<()> {
    stages.check_readable()?;
    let there = [RESULTS, REPORT, ANSWERS].map(|name| out.join(name)).into_iter().find(|path| is_there(path));
    match there.filter(|_| stages.is_new()) {
        None => Ok(()),
        Some(path) => bail!(
            "{} is there, but no evaluation (there is no {STAGES}), so it is not written over: --out names another directory",
            path.display()
        ),
    }
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
    if options.source.field_errors != FieldErrors::None {
        set("field-errors", options.source.field_errors.to_string());
    }
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
    use crate::pipeline::record::{Record, Whole};

    #[test]
    fn a_teacher_that_errs_by_field_has_answers_of_its_own() {
        let mut options = EvaluateOptions::default();
        options.source.task = super::super::PLANTED.to_owned();
        let exact = identity(&options, None, 10).unwrap();
        let of = |errors: FieldErrors| {
            let mut options = options.clone();
            options.source.field_errors = errors;
            identity(&options, None, 10).unwrap()
        };
        // What was evaluated before teachers could err by field is what is evaluated now.
        assert!(!exact.contains_key("field-errors"));
        assert_eq!(of(FieldErrors::None), exact);
        let (mixed, hard) = (of(FieldErrors::Mixed), of(FieldErrors::Hard));
        assert!(mixed != exact && hard != exact && mixed != hard);
    }

    #[test]
    fn starting_over_removes_what_was_written_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path();
        let put = |name: &str| {
            let path = out.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        let stages = || Stages::open(out, Whole::Evaluation).unwrap();
        let foreign = ["notes.txt", "mine/corpus.jsonl", "repeat-1-fold-2/corpus.jsonl"].map(put);
        let corpora = ["repeat-1-fold-1/corpus.jsonl", "repeat-1-fold-1/coverage-0.2/corpus.jsonl"].map(put);
        start_over(&stages(), out).unwrap();
        assert!(corpora.iter().all(|path| path.exists()), "without a record it is no evaluation of ours");
        let mut record = Record::open(out, Whole::Evaluation).unwrap();
        for stage in ["reason", "reason at coverage 0.2", "measure"] {
            record.begin(&format!("repeat 1 fold 1: {stage}"), Inputs::new()).unwrap();
        }
        let written = [
            "results.json",
            "report.html",
            "answers.jsonl",
            "repeat-1-fold-1/fold.json",
            "repeat-1-fold-1/.fold.json.part",
        ]
        .map(put);
        start_over(&stages(), out).unwrap();
        assert!(corpora.iter().chain(&written).all(|path| !path.exists()));
        assert!(!out.join(STAGES).exists() && !out.join("repeat-1-fold-1").exists());
        assert!(foreign.iter().all(|path| path.exists()));

        // Where the record cannot be read, the names tell.
        let again = ["repeat-1-fold-3/fold.json", "repeat-1-fold-3/coverage-0.2/corpus.jsonl"].map(put);
        fs::write(out.join(STAGES), "{\"format\": 2}").unwrap();
        assert!(check_foreign(&stages(), out).unwrap_err().to_string().contains("--fresh"));
        start_over(&stages(), out).unwrap();
        assert!(!out.join(STAGES).exists() && again.iter().all(|path| !path.exists()));
        assert!(foreign[..2].iter().all(|path| path.exists()));

        put("report.html");
        let message = start_over(&stages(), out).unwrap_err().to_string();
        assert!(message.contains("report.html is there, but no evaluation"), "{message}");
    }
}
