//! The pipeline on a table of one's own: stages that resume, are made again and refuse.

use std::fs;
use std::path::Path;

use scaletot_pipeline::{Stage, causes};
use scaletot_profile::{ProfileSchema, ReadOptions, UserId, read};

use super::shop::{Case, RULES, USERS, case, figures, write_inputs};

/// `scores.parquet` read as profiles of one field.
const SCORES: &str = r#"
name = "scores"
id = "user"

[[field]]
name = "p_positive"
kind = "numeric"
"#;

fn not_run_again(notes: &[String]) -> usize {
    notes.iter().filter(|line| line.contains("not run again")).count()
}

#[test]
fn runs_resumes_and_repairs_to_the_same_figures() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    let (summary, _) = case(dir).run("whole");
    let out = dir.join("whole");
    let summary_file = out.join("summary.json");
    assert_eq!((summary.users.table, summary.users.abstained), (USERS, 12));
    let arms: Vec<&str> = summary.evaluation.arms.iter().map(|arm| arm.name.as_str()).collect();
    assert_eq!(arms, ["ridge, profile", "networks, profile", "stack, profile", "scaletot", "served"]);
    assert!(!summary.headline().is_empty());
    served_is_what_was_measured(&out);

    // Every user has a row under the id as it came, and the blank ones no value.
    let schema = ProfileSchema::from_toml(SCORES).unwrap();
    let columns = ReadOptions::new().with_number("value").with_flag("abstained").with_text("style");
    let scores = read(out.join("scores.parquet"), &schema, &columns).unwrap();
    assert_eq!(scores.profiles.id(7), UserId::Text("0007".to_owned()));
    let (value, abstained) =
        (scores.attributes.number("value").unwrap(), scores.attributes.flag("abstained").unwrap());
    let style = scores.attributes.text("style").unwrap();
    for row in 0..USERS {
        let blank = row % 10 == 9;
        assert_eq!(
            (value[row].is_none(), abstained[row], style[row].is_none()),
            (blank, Some(blank), blank),
            "{row}"
        );
    }

    // A finished run is resumed without running anything.
    let before = figures(&summary_file);
    let (_, notes) = case(dir).run("whole");
    assert_eq!(not_run_again(&notes), Stage::ALL.len(), "{notes:?}");
    assert_eq!(figures(&summary_file), before);

    // A run that was killed while it wrote the corpus: the last line is cut, the stages after it never happened.
    let corpus = out.join("corpus.jsonl");
    let bytes = fs::read(&corpus).unwrap();
    fs::write(&corpus, &bytes[..bytes.len() - 20]).unwrap();
    let record = out.join("stages.json");
    let mut stages: serde_json::Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
    stages["stages"]["reason"]["done"] = serde_json::Value::Null;
    fs::write(&record, stages.to_string()).unwrap();
    let (_, notes) = case(dir).run("whole");
    assert_eq!(fs::read(&corpus).unwrap(), bytes);
    assert_eq!(figures(&summary_file), before);
    // The corpus came out the same, so what was made of it still holds.
    assert_eq!(not_run_again(&notes), Stage::ALL.len() - 1, "{notes:?}");

    // A byte of it changed after all was done: the user of that line is asked about again, and nobody else.
    let mut damaged = bytes.clone();
    let near_the_end = damaged.len() - 60;
    damaged[near_the_end] ^= 1;
    fs::write(&corpus, damaged).unwrap();
    let (_, notes) = case(dir).run("whole");
    assert!(notes.iter().any(|note| note.contains("1 whose lines are damaged are asked")), "{notes:?}");
    assert_eq!(fs::read(&corpus).unwrap(), bytes);
    assert_eq!(not_run_again(&notes), Stage::ALL.len() - 1, "{notes:?}");

    // Whatever a stage wrote and is not what it wrote any more is made again, and nothing else.
    for (output, again) in
        [("student/model.safetensors", 1), ("artifact/manifest.json", 1), ("scores.parquet", 1)]
    {
        let path = fs::read_dir(out.join(output).parent().unwrap()).unwrap();
        assert!(path.flatten().any(|entry| entry.path() == out.join(output)), "{output} is not there");
        let bytes = fs::read(out.join(output)).unwrap();
        fs::write(out.join(output), &bytes[..bytes.len() / 2]).unwrap();
        let (_, notes) = case(dir).run("whole");
        assert_eq!(not_run_again(&notes), Stage::ALL.len() - again, "{output}: {notes:?}");
        assert_eq!(fs::read(out.join(output)).unwrap(), bytes, "{output}");
        assert_eq!(figures(&summary_file), before);
    }
}

/// The artifact gives the values that the run measured, to the rounding of 32 bits, in any process.
fn served_is_what_was_measured(out: &Path) {
    let text = fs::read_to_string(out.join("value-model.held-out.json")).unwrap();
    let held_out: serde_json::Value = serde_json::from_str(&text).unwrap();
    let values = |model: &str| -> Vec<f64> {
        held_out["predictions"][model]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_f64().unwrap())
            .collect()
    };
    let (fitted, served) = (values("scaletot"), values("served"));
    let difference = |(fitted, served): (&f64, &f64)| (fitted - served).abs() / fitted.max(1e-9);
    let mean = fitted.iter().zip(&served).map(difference).sum::<f64>() / fitted.len() as f64;
    assert!(mean < 0.1, "the committee is distilled, the rest is exact: {mean}");
    let manifest = fs::read_to_string(out.join("artifact/manifest.json")).unwrap();
    assert!(manifest.contains("served: rank correlation with the value model"), "{manifest}");
}

#[test]
fn other_inputs_run_what_depends_on_them_and_never_write_over_answers() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    case(dir).run("out");
    let out = dir.join("out");
    let (corpus, student) = (
        fs::read(out.join("corpus.jsonl")).unwrap(),
        fs::read(out.join("student/model.safetensors")).unwrap(),
    );

    // Another teacher: its answers do not replace those that are there.
    let other = RULES.replace("high = 1.2", "low = 2.0");
    let other = Case { rules: &other, ..case(dir) };
    let refused = causes(&other.pipeline("out").unwrap().run(&()).unwrap_err());
    assert!(refused.contains("reasoned with other inputs") && refused.contains("teacher: "), "{refused}");
    assert_eq!(fs::read(out.join("corpus.jsonl")).unwrap(), corpus);
    // Once they are deleted, everything after them runs again.
    fs::remove_file(out.join("corpus.jsonl")).unwrap();
    let (_, notes) = other.run("out");
    assert_eq!(not_run_again(&notes), 0, "{notes:?}");
    assert_ne!(fs::read(out.join("corpus.jsonl")).unwrap(), corpus);
    assert_ne!(fs::read(out.join("student/model.safetensors")).unwrap(), student);
}

#[test]
fn without_users_for_osipo_the_student_is_that_of_sft() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    // One user is reasoned about, who has no outcome above 0.
    let mut one = case(dir);
    one.config.coverage = 1e-9;
    let (summary, notes) = one.run("out");
    assert!(notes.iter().any(|note| note.contains("the student stays as it is after SFT")), "{notes:?}");
    assert!(
        summary.warnings.iter().any(|warning| warning.contains("OSIPO had nobody")),
        "{:?}",
        summary.warnings
    );
    let weights = |name: &str| fs::read(dir.join("out").join(name).join("model.safetensors")).unwrap();
    assert_eq!(weights("student"), weights("student-sft"));
    let (again, notes) = one.run("out");
    assert_eq!((not_run_again(&notes), again.warnings), (8, summary.warnings));
}

#[test]
fn stages_can_be_called_one_by_one() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    let pipeline = case(dir).pipeline("out").unwrap();
    let calibration = pipeline.calibrate(&()).unwrap();
    let corpus = pipeline.reason(&calibration, &()).unwrap();
    assert!(!corpus.resumed && corpus.value.len() == corpus.report.users as usize);
    assert!(pipeline.reason(&calibration, &()).unwrap().resumed);
    // Nobody else may write there meanwhile.
    let message = case(dir).pipeline("out").unwrap_err().to_string();
    assert!(message.contains("in use by another run (process "), "{message}");
}

#[test]
fn bad_settings_and_directories_of_others_are_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    let mut everybody = case(dir);
    everybody.config.coverage = 1.5;
    assert!(everybody.pipeline("out").unwrap_err().to_string().starts_with("`coverage`: expected a share"));
    // What lies in a directory under the name of an output is not ours to replace.
    fs::create_dir(dir.join("mine")).unwrap();
    fs::write(dir.join("mine/calibration.json"), "mine").unwrap();
    let pipeline = case(dir).pipeline("mine").unwrap();
    assert!(pipeline.start_over().unwrap_err().to_string().contains("is not written over"));
    assert!(causes(&pipeline.run(&()).unwrap_err()).contains("does not say what it was made of"));
    assert_eq!(fs::read_to_string(dir.join("mine/calibration.json")).unwrap(), "mine");
}
