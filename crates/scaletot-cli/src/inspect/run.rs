//! The output directory of a run.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::report::Report;
use super::results::evaluation;
use super::{Inspected, read_json};

/// What a run writes, and what each is.
const FILES: [(&str, &str); 10] = [
    ("corpus.jsonl", "what the teacher found out, user by user"),
    ("student-sft", "the student after supervised fine-tuning"),
    ("student", "the student"),
    ("encoder", "the encoder as it was distilled"),
    ("value-model", "the value model"),
    ("artifact", "the encoder with the value model folded in, to be served"),
    ("scores.parquet", "every user's scores"),
    ("transfer.json", "how much of the student the encoder has learned"),
    ("evaluation.json", "models on the held-out users"),
    ("summary.json", "every figure of the run"),
];

/// What there is of a run, and its figures if it is done.
pub(crate) fn run(path: &Path) -> Result<Inspected> {
    let summary = path.join("summary.json");
    let there: Vec<(&str, &str)> = FILES.into_iter().filter(|(name, _)| path.join(name).exists()).collect();
    let mut inspected = if summary.exists() {
        evaluation(&summary)?
    } else {
        let mut report = Report::new(format!("{}: a run that is not finished", path.display()));
        report.line("Run its command again to resume it.");
        Inspected { report, json: json!({ "kind": "run", "finished": false }) }
    };
    let report = &mut inspected.report;
    report.heading("Files, to be looked into with `scaletot inspect`");
    let rows =
        there.iter().map(|(name, what)| vec![path.join(name).display().to_string(), (*what).to_owned()]);
    report.table(["file", "is"], rows.collect(), false);
    if path.join("answers.jsonl").exists() {
        report.line(
            "answers.jsonl: every answer that the teacher computed, as it came; no run in this directory asks for one again, and --fresh removes them.",
        );
    }
    if let Some(object) = inspected.json.as_object_mut() {
        object.insert("files".to_owned(), there.iter().map(|(name, _)| *name).collect());
        if let Ok(stages) = read_json(&path.join("stages.json")) {
            object.insert("record".to_owned(), stages);
        }
    }
    Ok(inspected)
}
