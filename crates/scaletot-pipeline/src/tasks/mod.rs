//! Tasks: what is predicted for whom, from which table.
//!
//! A task is a TOML file, because everything that decides what a result means belongs in one place that can be read without reading
//! code: the outcome and its unit, who is kept, which columns would give the outcome away, under which licence the table is offered
//! and by whom. `docs/task-file.md` lists every key. The tables themselves are not part of the repository, but for the embedded one.
//! [`Task::find`] reads a shipped task by name or anybody's by path, [`Task::load`] its table, as a prepared file or from the publisher's
//! own files.
//!
//! ```
//! use std::path::Path;
//! use scaletot_pipeline::tasks::Task;
//!
//! let task = Task::from_toml(
//!     r#"
//!     name = "shop-spend"
//!     title = "Spending of the shop's customers in the next 30 days"
//!     outcome = "spend_30d"
//!     profile = "shop.profile.toml"
//!     chain = "shop.chain.toml"
//!     source = { table = "customers.parquet" }
//!     "#,
//!     Path::new("shop"),
//! )?;
//! assert_eq!(task.profile.path(), Path::new("shop/shop.profile.toml"));
//! # Ok::<(), scaletot_pipeline::Error>(())
//! ```

mod check;
mod embedded;
mod file;
mod files;
mod load;
mod raw;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use crate::error::{Context, Result, bail};
use scaletot_profile::{LevelConfig, LevelRule};
use serde::Deserialize;

use file::Base;
pub use file::TaskFile;
pub(crate) use files::read_prepared;
pub use load::Population;
pub(crate) use load::check_arms;

/// The tasks that come with this crate.
pub const SHIPPED: [&str; 6] = [
    "complete-journey",
    "kuairand-days",
    "kuairand-play",
    "hillstrom-visit",
    "hillstrom-spend",
    "bank-deposit",
];

/// The id column of profile schemas where no column of the table holds an id: the rows are numbered, from 1.
pub const ROW_NUMBER: &str = "row number";

/// Where they are among the embedded files.
const DIRECTORY: &str = "tasks";

/// Bytes of a task file at most.
const MAX_TASK: u64 = 16 << 20;

/// What is predicted for whom, from which table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Task {
    /// Name, as given on the command line.
    pub name: String,
    /// One line that says what is predicted for whom.
    pub title: String,
    /// Where the table is from, and as which files.
    pub source: Source,
    /// Column with the realised value, at least 0.
    pub outcome: String,
    /// Unit of the outcome.
    #[serde(default = "default_unit")]
    pub unit: String,
    /// Who is kept; everybody if there is none.
    #[serde(default)]
    pub keep: Option<Keep>,
    /// Column with the user segment, which may be a profile field; everybody is in one segment if there is none.
    #[serde(default)]
    pub segment: Option<String>,
    /// Profile schema.
    pub profile: TaskFile,
    /// Chain schema.
    pub chain: TaskFile,
    /// Expert rules.
    #[serde(default)]
    pub rules: Option<TaskFile>,
    /// Recorded answers of a language model.
    #[serde(default)]
    pub answers: Option<TaskFile>,
    /// Words that a number is rendered by. Recorded answers hold for one number of levels only.
    #[serde(default = "default_levels")]
    pub levels: usize,
    /// Which number has which of these words. Recorded answers hold for one rule only.
    #[serde(default)]
    pub level_rule: LevelRule,
    /// Column whose equal values mark users that must stay in one fold.
    #[serde(default)]
    pub group: Option<String>,
    /// The randomised experiment that the table comes from.
    #[serde(default)]
    pub experiment: Option<ExperimentSpec>,
    /// Cell texts that are missing in the columns named here, besides the empty one; profile fields have their own.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Columns that give the outcome away or are no static profile: a profile schema that has one is refused.
    #[serde(default)]
    pub leaks: Vec<String>,
    /// Limits that a reader of the results must know.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Where a table is from, and as which files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Source {
    /// Who publishes it, where it is published.
    #[serde(default)]
    pub publisher: Option<String>,
    /// Where it is offered.
    #[serde(default)]
    pub offered: Option<String>,
    /// Under which licence.
    #[serde(default)]
    pub licence: Option<String>,
    /// The table, where it comes with the task.
    #[serde(default)]
    pub table: Option<TaskFile>,
    /// The published files that are needed, each plain or gzipped.
    #[serde(default)]
    pub files: Vec<String>,
    /// What these files are.
    #[serde(default)]
    pub form: Form,
    /// Whether the table has no id column, so that its rows are numbered, from 1; the profile schema's id column is then [`ROW_NUMBER`].
    #[serde(default)]
    pub numbered: bool,
}

/// What the published files are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
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
#[non_exhaustive]
pub struct Keep {
    /// The column.
    pub column: String,
    /// The value.
    pub equals: Wanted,
}

/// A value that a cell is compared with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a number or a text")]
#[non_exhaustive]
pub enum Wanted {
    /// A number, however it is written.
    Number(f64),
    /// A text, exactly.
    Text(String),
}

/// A randomised experiment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
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

fn default_unit() -> String {
    "units".to_owned()
}

impl Task {
    /// How a number is rendered in words.
    #[must_use]
    pub fn level_config(&self) -> LevelConfig {
        LevelConfig::new(self.levels).with_rule(self.level_rule)
    }

    /// A task of a table of one's own, with an outcome and nothing else: no segments, no filter, no rules. Further fields may be set; then
    /// [`check`](Self::check) looks for contradictions.
    #[must_use]
    pub fn of_table(
        name: impl Into<String>,
        outcome: impl Into<String>,
        profile: TaskFile,
        chain: TaskFile,
        table: TaskFile,
    ) -> Self {
        let (name, outcome) = (name.into(), outcome.into());
        Self {
            title: format!("{outcome} of {name}"),
            name,
            source: Source { table: Some(table), ..Source::default() },
            outcome,
            unit: default_unit(),
            keep: None,
            segment: None,
            profile,
            chain,
            rules: None,
            answers: None,
            levels: default_levels(),
            level_rule: LevelRule::default(),
            group: None,
            experiment: None,
            missing: Vec::new(),
            leaks: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The shipped task of that name, or the one in the `.toml` file of that path.
    ///
    /// # Errors
    /// If there is no such task (the message lists those that there are), or its file cannot be read or contradicts itself.
    pub fn find(name_or_path: &str) -> Result<Self> {
        if SHIPPED.contains(&name_or_path) {
            let file = format!("{DIRECTORY}/{name_or_path}.toml");
            let bytes =
                TaskFile::embedded(&file).with_context(|| format!("{file} is not embedded"))?.read()?;
            return Self::parse(&String::from_utf8_lossy(&bytes), Base::Embedded(DIRECTORY)).context(file);
        }
        let path = Path::new(name_or_path);
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
            return Self::read(path);
        }
        bail!(
            "expected the name of a task ({}) or the path of a task's .toml file, found `{name_or_path}`",
            SHIPPED.join(", ")
        )
    }

    /// Reads a task file. Paths in it are relative to its directory.
    ///
    /// # Errors
    /// If it cannot be read, is no regular file of at most 16 MiB, is not of a task's form, or contradicts itself.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = scaletot_core::files::read_to_string(path, MAX_TASK)?;
        let base = path.parent().unwrap_or(Path::new(""));
        Self::from_toml(&text, base).with_context(|| path.display().to_string())
    }

    /// The task in that text, whose paths are relative to `base`.
    ///
    /// # Errors
    /// If the text is not of a task's form or contradicts itself.
    pub fn from_toml(text: &str, base: &Path) -> Result<Self> {
        Self::parse(text, Base::Directory(base))
    }

    fn parse(text: &str, base: Base<'_>) -> Result<Self> {
        let mut task: Self = toml::from_str(text).context("expected a task in TOML")?;
        task.check()?;
        let files = [&mut task.profile, &mut task.chain];
        let optional = task.rules.iter_mut().chain(&mut task.answers).chain(&mut task.source.table);
        for file in files.into_iter().chain(optional) {
            *file = file.below(base)?;
        }
        Ok(task)
    }
}

impl Keep {
    /// Keeps the users whose cell in a column is that value.
    #[must_use]
    pub fn new(column: impl Into<String>, equals: Wanted) -> Self {
        Self { column: column.into(), equals }
    }
}

impl ExperimentSpec {
    /// An experiment whose arm stands in a column: everybody but those with the control's label was treated. Further fields may be set.
    #[must_use]
    pub fn new(arm: impl Into<String>, control: impl Into<String>, treatment: impl Into<String>) -> Self {
        Self {
            arm: arm.into(),
            control: control.into(),
            treatment: treatment.into(),
            treated: Vec::new(),
            outcomes: Vec::new(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let licence = self.licence.as_ref().map(|licence| format!("licence: {licence}"));
        let offered = self.offered.as_ref().map(|address| format!("offered at {address}"));
        let known: Vec<String> = self.publisher.clone().into_iter().chain(offered).chain(licence).collect();
        if known.is_empty() { f.write_str("a table of one's own") } else { f.write_str(&known.join("; ")) }
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
