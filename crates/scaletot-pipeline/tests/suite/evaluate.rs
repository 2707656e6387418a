//! `evaluate` on the embedded table, with few folds and labels.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use scaletot_core::Progress;
use scaletot_eval::Metric;
use scaletot_pipeline::evaluation::options::EvaluateOptions;
use scaletot_pipeline::evaluation::results::{CurvePoint, Labels, Results};
use scaletot_pipeline::evaluation::{self, RESULTS};
use scaletot_profile::{ProfileSchema, ReadOptions};

fn options(out: &Path, change: impl FnOnce(&mut EvaluateOptions)) -> EvaluateOptions {
    let mut options = EvaluateOptions::default();
    (options.coverage, options.folds, options.draws, options.replicates) = (0.06, 2, 1, 20);
    options.labels = Some(vec![0, 200]);
    options.out = Some(out.to_owned());
    change(&mut options);
    options
}

/// Keeps what is noted, and stops the run at the first stage that is not done.
#[derive(Default)]
struct Notes {
    lines: Mutex<Vec<String>>,
    stopping: bool,
}

impl Progress for Notes {
    fn note(&self, line: &str) {
        self.lines.lock().unwrap().push(line.to_owned());
    }

    fn stopped(&self) -> bool {
        let runs = |line: &String| line.contains("fold") && !line.contains("done by an earlier run");
        self.stopping && self.lines.lock().unwrap().iter().any(runs)
    }
}

impl Notes {
    fn stopping() -> Self {
        Self { stopping: true, ..Self::default() }
    }

    fn lines(self) -> Vec<String> {
        self.lines.into_inner().unwrap()
    }
}

fn curve(options: &mut EvaluateOptions) {
    options.coverage_curve = vec![0.04];
}

fn schema() -> ProfileSchema {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/complete_journey.profile.toml");
    let text = fs::read_to_string(path).unwrap();
    // The exported table has row numbers for ids.
    ProfileSchema::from_toml(&text.replacen("id = \"household_id\"", "id = \"row\"", 1)).unwrap()
}

fn outcome() -> ReadOptions {
    ReadOptions::new().with_number("outcome")
}

fn point<'a>(results: &'a Results, arm: &str) -> &'a CurvePoint {
    let wanted = |point: &&CurvePoint| {
        point.arm == arm && point.labels == Labels::All && point.metric == Metric::Spearman
    };
    results.curves.iter().find(wanted).unwrap()
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
fn a_task_is_evaluated_and_resumed() {
    let temporary = tempfile::tempdir().unwrap();
    let out = temporary.path();
    let results = evaluation::run(&options(out, curve), &()).unwrap();

    // Two folds of every labelled user; no labels leave the reasoning arms alone.
    assert_eq!(results.transfer.len(), 2);
    let arms = |labels: Labels| -> Vec<&str> {
        let of = results.cells.iter().filter(|cell| cell.labels == labels && cell.fold == 0);
        of.map(|cell| cell.arm.as_str()).collect()
    };
    assert_eq!(arms(Labels::Count(0)), ["scaletot", "served", "student", "teacher"]);
    assert_eq!(
        arms(Labels::Count(200)),
        ["profile", "ridge", "scaletot", "served", "stack", "student", "teacher"]
    );
    assert_eq!(arms(Labels::All).len(), 7);
    // The further share of reasoned users beside the run's own, at every number of labels.
    let shares: Vec<(f64, Labels)> =
        results.coverage.iter().map(|point| ((point.coverage * 1e3).round() / 1e3, point.labels)).collect();
    let sizes = [Labels::Count(0), Labels::Count(200), Labels::All];
    assert_eq!(shares, [0.04, 0.06].map(|share| sizes.map(|labels| (share, labels))).concat());
    let paired = point(&results, "scaletot").against("profile").unwrap();
    assert!(paired.interval.low <= paired.interval.high && paired.error > 0.0);
    assert_eq!(results.task.labelled, 801);
    assert!(results.ledger.reasoned > 250 && results.ledger.saved == results.ledger.questions);
    let tree = results.searches.first().unwrap();
    assert!(tree.chosen.is_some() && tree.questions.len() >= 5);

    // What is written is what was returned.
    let written: Results = serde_json::from_str(&fs::read_to_string(out.join(RESULTS)).unwrap()).unwrap();
    assert_eq!(figures(written), figures(results.clone()));
    #[cfg(feature = "report")]
    {
        use scaletot_pipeline::evaluation::report::{self, REPORT};
        report::write(&results, out).unwrap();
        assert!(fs::read_to_string(out.join(REPORT)).unwrap().contains("<h1>By Spearman, "));
    }

    // A fold that a kill left half done is run again, its finished neighbour is not, and nothing changes.
    let record = out.join("stages.json");
    let mut stages: serde_json::Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
    stages["stages"]["repeat 1 fold 2: measure"]["done"] = serde_json::Value::Null;
    fs::write(&record, stages.to_string()).unwrap();
    fs::remove_file(out.join("repeat-1-fold-2/fold.json")).unwrap();
    let notes = Notes::default();
    let again = evaluation::run(&options(out, curve), &notes).unwrap();
    let done = |stage: &str| format!("repeat 1 {stage}: done by an earlier run, not run again");
    let expected = [
        done("fold 1: reason"),
        done("fold 1: reason at coverage 0.04"),
        done("fold 1: measure"),
        done("fold 2: reason"),
        done("fold 2: reason at coverage 0.04"),
        "repeat 1 fold 2: measure".to_owned(),
    ];
    assert_eq!(notes.lines(), expected);
    // The second fold's corpora were whole, so its teacher was asked for nothing but the calibration.
    assert_eq!(figures(again), figures(results.clone()));

    peers_are_measured(out, &results);
    other_inputs_run_what_depends_on_them(out);
}

/// Stops each run at the first stage that is not done: what it says is why.
fn other_inputs_run_what_depends_on_them(out: &Path) {
    // Another seed asks other questions: the answers that are there stay, and the results of them.
    let written = |name: &str| fs::read(out.join(name)).unwrap();
    let before = [written(RESULTS), written("repeat-1-fold-1/corpus.jsonl")];
    let error = evaluation::run(&options(out, |o| (curve(o), o.source.seed = 2).1), &()).unwrap_err();
    let message = scaletot_pipeline::causes(&error);
    assert!(message.contains("seed: 1 there, 2 here") && message.contains("--fresh"), "{message}");
    assert!([written(RESULTS), written("repeat-1-fold-1/corpus.jsonl")] == before);
    let first_run = |change: &dyn Fn(&mut EvaluateOptions)| {
        let notes = Notes::stopping();
        let error = evaluation::run(&options(out, |o| (curve(o), change(o)).1), &notes).unwrap_err();
        assert!(scaletot_pipeline::causes(&error).contains("stopped"), "{error}");
        notes.lines()
    };
    // Corpora do not depend on the numbers of labels.
    let lines = first_run(&|o| o.labels = Some(vec![0, 300]));
    assert_eq!(lines[0], "repeat 1 fold 1: reason: done by an earlier run, not run again");
    assert_eq!(
        lines.last().unwrap(),
        "repeat 1 fold 1: measure: runs again (labels: [0, 200] there, [0, 300] here)"
    );
    assert!(out.join("repeat-1-fold-1/corpus.jsonl").exists());
    assert!(!out.join("repeat-1-fold-1/fold.json").exists());
}

/// Chains of one teacher under the figures of another would be of no teacher at all.
#[test]
fn another_teachers_answers_run_every_part_that_depends_on_them() {
    let temporary = tempfile::tempdir().unwrap();
    let (out, rules) = (temporary.path().join("out"), temporary.path().join("rules.toml"));
    let text = |strength: &str| {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/complete_journey.rules.toml");
        fs::read_to_string(shipped).unwrap().replace("= 0.8", strength)
    };
    let by_rules = |o: &mut EvaluateOptions| {
        o.source.teacher = Some(format!("rules:{}", rules.display()).parse().unwrap());
        (o.labels, o.ablations.sft_only) = (Some(vec![0]), true);
    };
    fs::write(&rules, text("= 0.8")).unwrap();
    let corpus = out.join("repeat-1-fold-1/corpus.jsonl");
    let first = evaluation::run(&options(&out, by_rules), &()).unwrap();
    let chains = fs::read_to_string(&corpus).unwrap();

    // The same file by name, with other rules in it: nothing is replaced unless that is asked for.
    fs::write(&rules, text("= 2.5")).unwrap();
    let refused = evaluation::run(&options(&out, by_rules), &()).unwrap_err();
    let message = scaletot_pipeline::causes(&refused);
    assert!(message.contains("reasoned with other inputs (teacher: "), "{message}");
    assert_eq!(fs::read_to_string(&corpus).unwrap(), chains);
    let notes = Notes::default();
    let second = evaluation::run(&options(&out, |o| (by_rules(o), o.fresh = true).1), &notes).unwrap();
    let lines = notes.lines();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("not run again")), "{lines:?}");
    assert_ne!(fs::read_to_string(&corpus).unwrap(), chains);
    assert_ne!(point(&second, "scaletot").mean, point(&first, "scaletot").mean);
    assert_eq!(point(&second, "ridge").mean, point(&first, "ridge").mean, "it knows no teacher");
}

/// Predictions of another library, found beside the folds, become an arm that is compared with.
fn peers_are_measured(out: &Path, before: &Results) {
    for fold in 1..=2 {
        let dir = out.join(format!("repeat-1-fold-{fold}"));
        let draws: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(dir.join("draws.json")).unwrap()).unwrap();
        let users = scaletot_profile::read(dir.join("users.parquet"), &schema(), &outcome()).unwrap();
        let truth = users.attributes.number("outcome").unwrap();
        let test: Vec<usize> =
            draws["test"].as_array().unwrap().iter().map(|row| row.as_u64().unwrap() as usize).collect();
        // A peer that knows the outcomes: every figure of it must be the best there is.
        let scores: Vec<f64> = test.iter().map(|&row| truth[row].unwrap()).collect();
        let predictions: Vec<_> = draws["draws"].as_array().unwrap().iter().map(|draw| {
            serde_json::json!({ "labels": draw["labels"], "draw": draw["draw"], "scores": scores })
        }).collect();
        let digest = scaletot_core::ContentHash::of_file(dir.join("draws.json")).unwrap().short();
        let peers = |name: &str| serde_json::json!({ "draws": digest, "arms": [{ "name": name, "description": "knows", "predictions": predictions }] });
        fs::write(dir.join("peers.json"), peers("ridge").to_string()).unwrap();
        let error = evaluation::run(&options(out, curve), &()).unwrap_err();
        assert!(scaletot_pipeline::causes(&error).contains("`ridge` is the name of an arm"), "{error}");
        fs::write(dir.join("peers.json"), peers("knowing").to_string()).unwrap();
    }
    let after = evaluation::run(&options(out, curve), &()).unwrap();
    assert_eq!(after.arms.len(), before.arms.len() + 1);
    let at = |arm: &str| point(&after, arm);
    assert!((at("knowing").mean - 1.0).abs() < 1e-12, "{}", at("knowing").mean);
    assert!(at("scaletot").against("knowing").unwrap().interval.high < 0.0);
    assert_eq!(at("scaletot").against("profile"), point(before, "scaletot").against("profile"));
}

#[test]
fn options_out_of_range_are_named() {
    let temporary = tempfile::tempdir().unwrap();
    let refused = |change: fn(&mut EvaluateOptions)| {
        evaluation::run(&options(temporary.path(), change), &()).unwrap_err().to_string()
    };
    assert!(refused(|o| o.source.task = "nothing".to_owned()).contains("complete-journey"));
    assert!(refused(|o| o.coverage = 1.5).contains("coverage"));
    assert!(refused(|o| o.folds = 1).contains("folds"));
    assert!(refused(|o| o.repeats = 0).contains("repeats"));
    assert!(refused(|o| o.labels = Some(vec![7])).contains("labels"));
    assert!(refused(|o| o.workers = 4_000_000.try_into().unwrap()).contains("`workers`: expected 1 to 1024"));
    assert!(refused(|o| o.replicates = usize::MAX).contains("replicates"));
    assert!(refused(|o| o.max_failed_share = 1.5).contains("max_failed_share"));
}
