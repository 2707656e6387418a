//! Tasks: what is predicted for whom, from which table.
//!
//! A task is a TOML file, because everything that decides what a result means belongs in one place that can be read without reading
//! code: the outcome and its unit, who is kept, which columns would give the outcome away, under which licence the table is offered
//! and by whom. The tables themselves are not part of the repository, but for the embedded one. [`Task::find`] reads a shipped task by
//! name or anybody's by path, [`Task::load`] its table, as a prepared file or from the publisher's own files.
//!
//! ```toml
//! name = "shop-spend"
//! title = "Spending of the shop's customers in the next 30 days"
//! outcome = "spend_30d"                  # finite and at least 0; an empty cell is not known
//! unit = "EUR"
//! segment = "tier"                       # a number with many values is cut into tertiles
//! profile = "shop.profile.toml"          # paths are relative to this file
//! chain = "shop.chain.toml"
//! rules = "shop.rules.toml"
//! answers = "shop.answers.jsonl.gz"      # recorded answers of a language model, if there are any
//! levels = 5                             # words a number is said by, 2 to 5; 5 if left out
//! group = "household"                    # users that must stay in one fold, if there are such
//! leaks = ["spend_60d"]                  # columns that no profile schema of this task may have
//! notes = ["Prices of 2024."]            # limits that a reader of the results must know
//!
//! [keep]                                 # who is kept; everybody if left out
//! column = "active"
//! equals = 0
//!
//! [source]
//! publisher = "the shop"
//! offered = "https://shop.example/data"
//! licence = "CC BY 4.0"
//! files = ["customers.csv"]              # what the publisher calls it; `table = FILE` if it lies beside the task
//! numbered = true                        # the table has no id column: its rows are numbered
//!
//! [experiment]                           # if the table comes from a randomised experiment
//! arm = "arm"
//! control = "no e-mail"
//! treatment = "an e-mail"
//! treated = ["e-mail"]                   # all other arms if left out
//! outcomes = ["visit"]                   # further outcomes
//! ```

mod check;
mod files;
mod load;
mod raw;
pub mod segments;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result, bail};
use serde::Deserialize;

pub use load::{Experiment, Population};

/// The tasks that come with the examples.
pub const SHIPPED: [&str; 5] =
    ["complete-journey", "kuairand-days", "kuairand-play", "hillstrom-visit", "hillstrom-spend"];

/// Where they are.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tasks");

/// What is predicted for whom, from which table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Name, as given on the command line.
    pub name: String,
    /// One line that says what is predicted for whom.
    pub title: String,
    /// Who publishes the table, and as which files.
    pub source: Source,
    /// Column with the realised value, at least 0.
    pub outcome: String,
    /// Unit of the outcome.
    pub unit: String,
    /// Who is kept; everybody if there is none.
    #[serde(default)]
    pub keep: Option<Keep>,
    /// Column with the user segment.
    pub segment: String,
    /// Profile schema.
    pub profile: PathBuf,
    /// Chain schema.
    pub chain: PathBuf,
    /// Expert rules.
    pub rules: PathBuf,
    /// Recorded answers of a language model.
    #[serde(default)]
    pub answers: Option<PathBuf>,
    /// Words that a number is said by. Recorded answers hold for one number of levels only.
    #[serde(default = "default_levels")]
    pub levels: usize,
    /// Column whose equal values mark users that must stay in one fold.
    #[serde(default)]
    pub group: Option<String>,
    /// The randomised experiment that the table comes from.
    #[serde(default)]
    pub experiment: Option<ExperimentSpec>,
    /// Columns that give the outcome away or are no static profile: a profile schema that has one is refused.
    pub leaks: Vec<String>,
    /// Limits that a reader of the results must know.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Who publishes a table, and as which files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Who publishes it.
    pub publisher: String,
    /// Where it is offered.
    pub offered: String,
    /// Under which licence.
    pub licence: String,
    /// The table, where it comes with the task.
    #[serde(default)]
    pub table: Option<PathBuf>,
    /// The published files that are needed, each plain or gzipped.
    #[serde(default)]
    pub files: Vec<String>,
    /// What these files are.
    #[serde(default)]
    pub form: Form,
    /// Whether the table has no id column, so that its rows are numbered, from 1.
    #[serde(default)]
    pub numbered: bool,
}

/// What the published files are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// One file, which is the table.
    #[default]
    Table,
    /// The user table of `KuaiRand`, then its standard logs, from which the outcomes are derived.
    KuairandPure,
}

/// Keeps the users with one value in a column.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// The column.
    pub column: String,
    /// The value.
    pub equals: Wanted,
}

/// A value that a cell is compared with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a number or a text")]
pub enum Wanted {
    /// A number, however it is written.
    Number(f64),
    /// A text, exactly.
    Text(String),
}

/// A randomised experiment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentSpec {
    /// Column with the arm that a user was put in by lot.
    pub arm: String,
    /// Its label for users who were not treated.
    pub control: String,
    /// What the treatment is.
    pub treatment: String,
    /// The labels of treated users; all but the control's if empty. Users of other arms take no part.
    #[serde(default)]
    pub treated: Vec<String>,
    /// Columns with further outcomes, besides the task's own.
    #[serde(default)]
    pub outcomes: Vec<String>,
}

fn default_levels() -> usize {
    5
}

impl Task {
    /// The shipped task of that name, or the one in the `.toml` file of that path.
    ///
    /// # Errors
    /// If there is no such task (the message lists those that there are), or its file cannot be read or contradicts itself.
    pub fn find(name_or_path: &str) -> Result<Self> {
        if SHIPPED.contains(&name_or_path) {
            return Self::read(Path::new(DIRECTORY).join(format!("{name_or_path}.toml")));
        }
        let path = Path::new(name_or_path);
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
            return Self::read(path);
        }
        bail!(
            "expected the name of a task ({}) or the path of a task's .toml file, got `{name_or_path}`",
            SHIPPED.join(", ")
        )
    }

    /// Reads a task file. Paths in it are relative to its directory.
    ///
    /// # Errors
    /// If it cannot be read, is not of a task's form, or contradicts itself.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text =
            std::fs::read_to_string(path).with_context(|| format!("{}: cannot read", path.display()))?;
        let base = path.parent().unwrap_or(Path::new(""));
        Self::from_toml(&text, base).with_context(|| path.display().to_string())
    }

    /// The task in that text, whose paths are relative to `base`.
    ///
    /// # Errors
    /// If the text is not of a task's form or contradicts itself.
    pub fn from_toml(text: &str, base: &Path) -> Result<Self> {
        let mut task: Self = toml::from_str(text).context("expected a task in TOML")?;
        task.check()?;
        let paths = [&mut task.profile, &mut task.chain, &mut task.rules];
        for path in paths.into_iter().chain(&mut task.answers).chain(&mut task.source.table) {
            *path = base.join(&*path);
        }
        Ok(task)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; offered at {}; licence: {}", self.publisher, self.offered, self.licence)
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.equals {
            Wanted::Number(number) => write!(f, "{} = {number}", self.column),
            Wanted::Text(text) => write!(f, "{} = {text:?}", self.column),
        }
    }
}
