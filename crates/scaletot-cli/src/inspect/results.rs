//! Results of evaluations and runs, and recorded answers.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use scaletot_eval::Metric;
use scaletot_pipeline::compare::Evaluation;
use scaletot_pipeline::evaluation;
use scaletot_pipeline::evaluation::results::{FORMAT, Results};
use scaletot_teacher::{Replay, Teacher};
use serde::Deserialize;
use serde_json::{Value, json};

use super::report::Report;
use super::{Inspected, read_json};
use crate::format::{count, duration};

/// `results.json`.
pub(crate) fn results(path: &Path) -> Result<Inspected> {
    let value = read_json(path)?;
    let format = value.get("format").and_then(Value::as_u64);
    ensure!(
        format == Some(u64::from(FORMAT)),
        "{}: expected results of format {FORMAT}, found {}",
        path.display(),
        format.map_or_else(|| "none".to_owned(), |format| format.to_string())
    );
    let results: Results =
        serde_json::from_value(value).with_context(|| format!("{} is no results file", path.display()))?;
    let (task, run) = (&results.task, &results.run);
    let mut report = Report::new(format!("{}: {}", path.display(), task.title));
    report.line(format!(
        "task {}, {} labelled users of {}, {:.1} % with outcome 0; teacher {}, coverage {:.4}",
        task.name,
        count(task.labelled as u64),
        count(task.users as u64),
        100.0 * task.zero_share,
        run.teacher,
        run.coverage
    ));
    report.line(format!(
        "{} folds, {} repeats, seed {}, {}; {} on {}{}",
        run.folds,
        run.repeats,
        run.seed,
        duration(run.seconds),
        run.version,
        run.date,
        run.commit.as_ref().map_or_else(String::new, |commit| format!(", commit {commit}"))
    ));
    report.heading("Against the strongest arm on the profile alone");
    report.drawing(lines(&evaluation::headline(&results)));
    for metric in [Metric::Spearman, Metric::NormalisedGini] {
        report.heading(format!("{} of every arm by labelled users, mean over folds", metric.name()));
        report.drawing(lines(&evaluation::table(&results, metric)));
    }
    report.heading("Arms");
    let rows = results.arms.iter().map(|arm| vec![arm.name.clone(), arm.description.clone()]);
    report.table(["arm", "is"], rows.collect(), false);
    results.notes.iter().for_each(|note| report.line(note));
    // The whole file is there to be read; this is what is told of it.
    let json = json!({
        "kind": "results", "task": task, "run": run, "arms": results.arms, "curves": results.curves, "ledger": results.ledger,
    });
    Ok(Inspected { report, json })
}

/// `summary.json` or `evaluation.json` of a run.
pub(crate) fn evaluation(path: &Path) -> Result<Inspected> {
    let mut value = read_json(path)?;
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_f64);
    let mut report = Report::new(format!("{}: what a run found", path.display()));
    if let Some(users) = value.get("users") {
        let of = |key: &str| users.get(key).and_then(Value::as_u64).map_or_else(|| "?".to_owned(), count);
        report.line(format!(
            "{} users, {} with a profile; {} trained on, {} held out; teacher {}, seed {}",
            of("table"),
            of("with_profile"),
            of("train"),
            of("held_out"),
            text(&value, "teacher"),
            value.get("seed").map_or_else(String::new, ToString::to_string)
        ));
    }
    let stages = list(&value, "stages");
    if !stages.is_empty() {
        report.heading("Stages");
        let rows = stages.iter().map(|stage| {
            let whole = |key: &str| stage.get(key).and_then(Value::as_u64).map_or_else(String::new, count);
            let seconds =
                number(stage, "seconds").map_or_else(String::new, |seconds| format!("{seconds:.1}"));
            vec![text(stage, "name"), whole("users"), whole("calls"), whole("tokens"), seconds]
        });
        report.table(["stage", "users", "calls", "tokens", "seconds"], rows.collect(), true);
    }
    report.heading("Models on the held-out users, with 95 % intervals");
    // A summary has further keys, which an evaluation by itself may not have.
    let found = Evaluation::deserialize(
        json!({ "arms": value.get("arms"), "comparisons": value.get("comparisons") }),
    )
    .with_context(|| format!("{} holds no evaluation of a run", path.display()))?;
    report.drawing(lines(&found.metrics_table()));
    report.heading("Against the strongest model of the profile alone");
    report.drawing(lines(&found.headline()));
    if let Some(object) = value.as_object_mut() {
        object.insert("kind".to_owned(), "run".into());
    }
    Ok(Inspected { report, json: value })
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Recorded answers.
pub(crate) fn recording(path: &Path) -> Result<Inspected> {
    let replay = Replay::open(path)?;
    let mut report = Report::new(format!("{}: recorded answers of a teacher", path.display()));
    report.line(format!("{} answers of {}", count(replay.len() as u64), replay.model()));
    if let Some(seconds) = replay.seconds_per_answer() {
        report.line(format!("{seconds:.3} s an answer when it was recorded"));
    }
    report.line(format!("Use it: --teacher replay:{}", path.display()));
    let json = json!({
        "kind": "recording",
        "model": replay.model(),
        "answers": replay.len(),
        "seconds_per_answer": replay.seconds_per_answer(),
    });
    Ok(Inspected { report, json })
}
