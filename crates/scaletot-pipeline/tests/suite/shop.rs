//! A table that is not the embedded one: every kind of field, text ids, missing outcomes, a categorical state; and runs on it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use scaletot_chain::ChainSchema;
use scaletot_core::Progress;
use scaletot_pipeline::{Pipeline, PipelineConfig, Summary, causes};
use scaletot_profile::{Dataset, DatasetSpec, ProfileSchema};
use scaletot_teacher::Rules;

/// Users of the table.
pub(super) const USERS: usize = 120;

pub(super) const PROFILE: &str = r#"
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

pub(super) const CHAIN: &str = r#"
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

pub(super) const RULES: &str = r#"
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

/// Writes the table; one user in ten is blank, one in seven has no known outcome.
pub(super) fn write_inputs(dir: &Path) {
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
pub(super) struct Notes(Mutex<Vec<String>>);

impl Notes {
    pub(super) fn lines(self) -> Vec<String> {
        self.0.into_inner().unwrap()
    }
}

impl Progress for Notes {
    fn note(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

/// A run on the table in a directory.
pub(super) struct Case<'a> {
    pub(super) dir: &'a Path,
    pub(super) rules: &'a str,
    pub(super) config: PipelineConfig,
    pub(super) seed: u64,
}

impl Case<'_> {
    pub(super) fn pipeline(&self, out: &str) -> scaletot_pipeline::Result<Pipeline> {
        let schema = ProfileSchema::from_toml(PROFILE)?;
        let chain = ChainSchema::from_toml(CHAIN)?;
        let spec = DatasetSpec::new().with_outcome("ltv").with_segment("tier");
        let dataset = Dataset::read(self.dir.join("users.csv"), &schema, &spec)?;
        let rules = Rules::from_toml(self.rules, &schema, &chain)?;
        Pipeline::builder(dataset, chain)
            .with_teacher(rules)
            .with_config(self.config.clone())
            .with_seed(self.seed)
            .with_out(self.dir.join(out))
            .build()
    }

    pub(super) fn run(&self, out: &str) -> (Summary, Vec<String>) {
        let notes = Notes::default();
        let summary = self.pipeline(out).unwrap().run(&notes).map_err(|error| causes(&error)).unwrap();
        (summary, notes.lines())
    }
}

/// The run that most tests make.
pub(super) fn case(dir: &Path) -> Case<'_> {
    let mut config = PipelineConfig::default();
    config.coverage = 0.4;
    Case { dir, rules: RULES, config, seed: 1 }
}

/// Everything in a summary or record of stages but wall time and what the teacher was asked in this run.
pub(super) fn figures(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let changing = ["\"seconds\"", "\"calls\"", "\"cache_hits\"", "\"tokens\""];
    text.lines()
        .filter(|line| !changing.iter().any(|name| line.contains(name)))
        .collect::<Vec<_>>()
        .join("\n")
}
