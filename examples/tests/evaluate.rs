//! `evaluate` on the embedded table, with few folds and labels.
#![allow(clippy::unwrap_used, reason = "test code, which clippy only sees inside of tests")]

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use clap::Parser;
use scaletot::eval::Metric;
use scaletot_examples::evaluation::options::EvaluateOptions;
use scaletot_examples::evaluation::results::{Labels, Results};
use scaletot_examples::evaluation::{self, REPORT, RESULTS};

#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    evaluation: EvaluateOptions,
}

fn options(out: &Path, more: &[&str]) -> EvaluateOptions {
    let out = out.to_str().unwrap();
    let given = ["evaluate", "--coverage", "0.06", "--folds", "2", "--labels", "0,200", "--draws", "1"];
    let rest = ["--replicates", "20", "--out", out];
    Arguments::parse_from(given.iter().chain(&rest).chain(more)).evaluation
}

/// Everything but what the clock says.
fn figures(mut results: Results) -> Results {
    results.run.seconds = 0.0;
    results.run.date.clear();
    results.ledger.encoder_seconds_per_million = 0.0;
    results.ledger.seconds_per_call = None;
    results
}

#[test]
fn a_task_is_evaluated_and_taken_up_again() {
    let temporary = tempfile::tempdir().unwrap();
    let out = temporary.path();
    let said = RefCell::new(Vec::new());
    let say = |line: &str| said.borrow_mut().push(line.to_owned());
    let results = evaluation::run(&options(out, &[]), &(), &say).unwrap();

    // Two folds of every labelled user; no labels leave the reasoning arms alone.
    assert_eq!(results.transfer.len(), 2);
    let arms = |labels: Labels| -> Vec<&str> {
        let of = results.cells.iter().filter(|cell| cell.labels == labels && cell.fold == 0);
        of.map(|cell| cell.arm.as_str()).collect()
    };
    assert_eq!(arms(Labels::Count(0)), ["scaletot", "student", "teacher"]);
    assert_eq!(arms(Labels::Count(200)), ["profile", "ridge", "scaletot", "student", "teacher"]);
    assert_eq!(arms(Labels::All).len(), 5);
    let point = results
        .curves
        .iter()
        .find(|point| {
            point.arm == "scaletot" && point.labels == Labels::All && point.metric == Metric::Spearman
        })
        .unwrap();
    let paired = point.against("profile").unwrap();
    assert!(paired.interval.low <= paired.interval.high && paired.error > 0.0);
    assert_eq!(results.task.labelled, 801);
    assert!(results.ledger.reasoned > 250 && results.ledger.saved == results.ledger.questions);
    let tree = results.searches.first().unwrap();
    assert!(tree.chosen.is_some() && tree.questions.len() >= 5);

    // What is written is what was returned.
    let written: Results = serde_json::from_str(&fs::read_to_string(out.join(RESULTS)).unwrap()).unwrap();
    assert_eq!(figures(written), figures(results.clone()));
    assert!(fs::read_to_string(out.join(REPORT)).unwrap().contains("<h1>By Spearman, "));

    // A fold that a kill left half done is run again, its finished neighbour is not, and nothing changes.
    let record = out.join("stages.json");
    let mut stages: serde_json::Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
    stages["done"].as_object_mut().unwrap().remove("repeat 1 fold 2").unwrap();
    fs::write(&record, stages.to_string()).unwrap();
    fs::remove_file(out.join("repeat-1-fold-2/fold.json")).unwrap();
    said.borrow_mut().clear();
    let again = evaluation::run(&options(out, &[]), &(), &say).unwrap();
    assert_eq!(
        said.borrow().as_slice(),
        ["repeat 1 fold 1: done by an earlier run, not run again", "repeat 1 fold 2"]
    );
    // The corpus of the second fold was whole, so its teacher was asked for nothing but the calibration.
    assert_eq!(figures(again), figures(results));

    // Other settings do not mix with it.
    let error = evaluation::run(&options(out, &["--seed", "2"]), &(), &say).unwrap_err();
    assert!(error.to_string().contains("seed: 1 there, 2 here"), "{error}");
}

#[test]
fn options_out_of_range_are_named() {
    let temporary = tempfile::tempdir().unwrap();
    let refused = |more: &[&str]| {
        evaluation::run(&options(temporary.path(), more), &(), &|_| {}).unwrap_err().to_string()
    };
    assert!(refused(&["--task", "nothing"]).contains("complete-journey"));
    let parse = |more: &[&str]| {
        Arguments::try_parse_from(["evaluate"].iter().chain(more)).unwrap().evaluation.checked()
    };
    for (name, value) in [("--coverage", "1.5"), ("--folds", "1"), ("--repeats", "0"), ("--labels", "7")] {
        let error = parse(&[name, value]).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}
