//! The pipeline on a table that is not the embedded one: every kind of field, text ids, missing outcomes, a categorical state.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use scaletot_chain::ChainSchema;
use scaletot_core::Progress;
use scaletot_pipeline::{Pipeline, PipelineConfig, Stage, Summary, causes};
use scaletot_profile::{Dataset, DatasetSpec, ProfileSchema, ReadOptions, UserId, read};
use scaletot_teacher::Rules;

const USERS: usize = 120;

const PROFILE: &str = r#"
name = "shop"
subject = "A customer"
id = "user"

[[field]]
name = "age"
kind = "ordinal"
values = ["18-34", "35-54", "55+"]
phrase = "aged {}"

[[field]]
name = "income"
kind = "numeric"
unit = "EUR"
min = 0
phrase = "with a {} income"

[[field]]
name = "member"
kind = "boolean"

[[field]]
name = "interests"
kind = "multi"
values = ["garden", "sports", "books"]
separator = ";"

[[field]]
name = "channel"
kind = "categorical"
values = ["web", "store"]
unknown = "bucket"
"#;

const CHAIN: &str = r#"
name = "shopper"

[[state]]
name = "style"
kind = "categorical"
values = ["planner", "browser"]

[[state]]
name = "capacity"
kind = "ordinal"
values = ["low", "moderate", "high"]

[[state]]
name = "spend"
kind = "ordinal"
values = ["low", "moderate", "high"]
depends_on = ["capacity"]
"#;

const RULES: &str = r#"
name = "shop-expert"

[[rule]]
state = "style"
when = { channel = "web" }
add = { browser = 1.0 }

[[rule]]
state = "capacity"
when = { age = "55+" }
add = { high = 1.2 }

[[rule]]
state = "spend"
after = { capacity = "high" }
add = { high = 1.5 }
"#;

/// `scores.parquet` read as profiles of one field.
const SCORES: &str = r#"
name = "scores"
id = "user"

[[field]]
name = "p_positive"
kind = "numeric"
"#;

/// Writes the table; one user in ten is blank, one in seven has no known outcome.
fn write_inputs(dir: &Path) {
    let mut csv = String::from("user,age,income,member,interests,channel,ltv,tier\n");
    for i in 0..USERS {
        let outcome = if i % 7 == 3 { String::new() } else { format!("{}", (i % 3) * (i % 5)) };
        if i % 10 == 9 {
            writeln!(csv, "{i:04},,,,,,{outcome},a").unwrap();
            continue;
        }
        let age = ["18-34", "35-54", "55+"][i % 3];
        let income = if i % 4 == 0 { String::new() } else { format!("{}", 1000 + 37 * (i % 29)) };
        let interests = ["garden;books", "sports", ""][i % 3];
        let channel = ["web", "store", "market"][i % 3];
        writeln!(
            csv,
            "{i:04},{age},{income},{},{interests},{channel},{outcome},{}",
            i % 2 == 0,
            ["a", "b"][i % 2]
        )
        .unwrap();
    }
    fs::write(dir.join("users.csv"), csv).unwrap();
}

/// Keeps what is noted.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn note(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

/// A run on the table in a directory.
struct Case<'a> {
    dir: &'a Path,
    rules: &'a str,
    coverage: f64,
    seed: u64,
}

impl Case<'_> {
    fn pipeline(&self, out: &str) -> scaletot_pipeline::Result<Pipeline> {
        let schema = ProfileSchema::from_toml(PROFILE)?;
        let chain = ChainSchema::from_toml(CHAIN)?;
        let spec = DatasetSpec::new().with_outcome("ltv").with_segment("tier");
        let dataset = Dataset::read(self.dir.join("users.csv"), &schema, &spec)?;
        let rules = Rules::from_toml(self.rules, &schema, &chain)?;
        let mut config = PipelineConfig::default();
        config.coverage = self.coverage;
        Pipeline::builder(dataset, chain)
            .with_teacher(rules)
            .with_config(config)
            .with_seed(self.seed)
            .with_out(self.dir.join(out))
            .build()
    }

    fn run(&self, out: &str) -> (Summary, Vec<String>) {
        let notes = Notes::default();
        let summary = self.pipeline(out).unwrap().run(&notes).map_err(|error| causes(&error)).unwrap();
        (summary, notes.0.into_inner().unwrap())
    }
}

fn case(dir: &Path) -> Case<'_> {
    Case { dir, rules: RULES, coverage: 0.4, seed: 1 }
}

/// Everything in `summary.json` but wall time and what the teacher was asked in this run.
fn figures(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join("summary.json")).unwrap();
    let changing = ["\"seconds\"", "\"calls\"", "\"cache_hits\"", "\"tokens\""];
    text.lines()
        .filter(|line| !changing.iter().any(|name| line.contains(name)))
        .collect::<Vec<_>>()
        .join("\n")
}

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
    let before = figures(&out);
    let (_, notes) = case(dir).run("whole");
    assert_eq!(not_run_again(&notes), Stage::ALL.len(), "{notes:?}");
    assert_eq!(figures(&out), before);

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
    assert_eq!(figures(&out), before);
    // The corpus came out the same, so what was made of it still holds.
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
        assert_eq!(figures(&out), before);
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
    assert!(message.contains("another run is writing"), "{message}");
}

#[test]
fn bad_settings_and_directories_of_others_are_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    let everybody = Case { coverage: 1.5, ..case(dir) };
    assert!(everybody.pipeline("out").unwrap_err().to_string().starts_with("`coverage`: expected a share"));
    // What lies in a directory under the name of an output is not ours to replace.
    fs::create_dir(dir.join("mine")).unwrap();
    fs::write(dir.join("mine/calibration.json"), "mine").unwrap();
    let pipeline = case(dir).pipeline("mine").unwrap();
    assert!(pipeline.start_over().unwrap_err().to_string().contains("no run"));
    assert!(causes(&pipeline.run(&()).unwrap_err()).contains("does not say what it was made of"));
    assert_eq!(fs::read_to_string(dir.join("mine/calibration.json")).unwrap(), "mine");
}
