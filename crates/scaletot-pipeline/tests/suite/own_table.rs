//! The pipeline on a table that is not the embedded one: every kind of field, text ids, missing outcomes, a categorical state.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::Parser;
use scaletot_pipeline::options::PipelineOptions;
use scaletot_pipeline::pipeline;
use scaletot_pipeline::report::Summary;
use scaletot_profile::{ProfileSchema, ReadOptions, UserId, read};

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

/// Writes the table and its schemas; one user in ten is blank, one in seven has no known outcome.
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
    for (name, text) in
        [("users.csv", csv.as_str()), ("profile.toml", PROFILE), ("chain.toml", CHAIN), ("rules.toml", RULES)]
    {
        fs::write(dir.join(name), text).unwrap();
    }
}

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: PipelineOptions,
}

fn options(dir: &Path, out: &str, more: &[&str]) -> PipelineOptions {
    let path = |name: &str| dir.join(name).display().to_string();
    let mut arguments = vec!["test".to_owned()];
    for (flag, value) in [
        ("--data", path("users.csv")),
        ("--profile-schema", path("profile.toml")),
        ("--chain-schema", path("chain.toml")),
        ("--teacher", format!("rules:{}", path("rules.toml"))),
        ("--outcome", "ltv".to_owned()),
        ("--segment", "tier".to_owned()),
        ("--coverage", "0.4".to_owned()),
        ("--out", path(out)),
    ] {
        arguments.extend([flag.to_owned(), value]);
    }
    arguments.extend(more.iter().map(ToString::to_string));
    Arguments::try_parse_from(arguments).unwrap().options
}

fn run(options: &PipelineOptions) -> (Summary, Vec<String>) {
    let said = RefCell::new(Vec::new());
    let summary = pipeline::run(options, &(), &|line| said.borrow_mut().push(line.to_owned()))
        .map_err(|error| scaletot_pipeline::causes(&error))
        .unwrap();
    (summary, said.into_inner())
}

/// Everything in `summary.json` but wall time.
fn figures(dir: &Path, out: &str) -> String {
    let text = fs::read_to_string(dir.join(out).join("summary.json")).unwrap();
    text.lines().filter(|line| !line.contains("\"seconds\"")).collect::<Vec<_>>().join("\n")
}

#[test]
fn runs_resumes_and_repairs_to_the_same_figures() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    let (summary, _) = run(&options(dir, "whole", &[]));
    assert_eq!((summary.users.table, summary.users.abstained), (USERS, 12));
    assert_eq!(summary.evaluation.arms.len(), 4);
    assert!(!summary.evaluation.comparisons.is_empty());

    // Every user has a row under the id as it came, and the blank ones no value.
    let schema = ProfileSchema::from_toml(SCORES).unwrap();
    let columns = ReadOptions::new().with_number("value").with_flag("abstained").with_text("style");
    let scores = read(dir.join("whole").join("scores.parquet"), &schema, &columns).unwrap();
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

    // A finished run is taken up without running anything.
    let (again, said) = run(&options(dir, "whole", &[]));
    assert_eq!(said.iter().filter(|line| line.contains("not run again")).count(), 8, "{said:?}");
    assert_eq!(again.evaluation.comparisons.len(), summary.evaluation.comparisons.len());

    // A run that was killed while it wrote the corpus: the last line is cut, the stages after it never happened.
    let before = figures(dir, "whole");
    let corpus = dir.join("whole").join("corpus.jsonl");
    let bytes = fs::read(&corpus).unwrap();
    fs::write(&corpus, &bytes[..bytes.len() - 20]).unwrap();
    let record = dir.join("whole").join("stages.json");
    let mut stages: serde_json::Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
    stages["done"].as_object_mut().unwrap().retain(|name, _| name == "calibrate");
    fs::write(&record, stages.to_string()).unwrap();
    run(&options(dir, "whole", &[]));
    assert_eq!(fs::read(&corpus).unwrap(), bytes);
    let after = figures(dir, "whole");
    // The teacher was asked about the repaired user only, which the ledger says; all else is the same.
    let without_ledger = |text: &str| {
        let ledger = ["\"calls\"", "\"cache_hits\"", "\"tokens\""];
        text.lines()
            .filter(|line| !ledger.iter().any(|name| line.contains(name)))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(without_ledger(&before), without_ledger(&after));
}

#[test]
fn other_settings_and_leaking_columns_are_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    let refused = |options: &PipelineOptions| pipeline::run(options, &(), &|_| {}).unwrap_err().to_string();
    let mut leaking = options(dir, "out", &[]);
    leaking.outcome = "income".to_owned();
    assert!(refused(&leaking).starts_with("outcome: expected a column that is no field of the profile"));
    let mut everybody = options(dir, "out", &[]);
    everybody.coverage = 1.5;
    assert!(refused(&everybody).contains("--coverage"));
    let fresh = options(dir, ".", &["--fresh"]);
    assert!(refused(&fresh).contains("holds no run"), "a directory of the user's is not removed");
    assert!(dir.join("users.csv").exists());
}
