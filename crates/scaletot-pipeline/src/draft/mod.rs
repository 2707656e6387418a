//! First drafts of a profile schema, a chain schema, rules and a task, from a table.
//!
//! The schemas of a table are a person's to write: which columns are a profile, in what order their values stand, how a field is rendered
//! in a prompt, and above all which states of a user bear on the outcome. Yet most of the typing can be done from the table: kinds,
//! levels in order, marks for missing values, a phrase for each field. So a draft is a set of files to be edited, which run as they
//! are; every column that is left out is named with the reason, and what is a guess says so.
//!
//! ```
//! use scaletot_pipeline::draft::{Draft, DraftOptions, RawTable};
//! use scaletot_profile::ProfileSchema;
//!
//! let mut csv = "user,age,member,ltv_30d\n".to_owned();
//! for i in 0..40 {
//!     csv += &format!("u{i},{},{},{}\n", ["18-34", "35-54", "55+"][i % 3], ["yes", "no"][i % 2], i % 7);
//! }
//! let table = RawTable::from_csv(csv.as_bytes())?;
//! let draft = Draft::of(&table, &DraftOptions::new("shop"))?;
//! assert_eq!((draft.id(), draft.outcome()), (Some("user"), "ltv_30d"));
//! let schema = ProfileSchema::from_toml(draft.profile_schema())?;
//! assert_eq!(schema.fields()[0].phrase(), Some("aged {}"));
//! # Ok::<(), scaletot_pipeline::Error>(())
//! ```

mod chain;
mod column;
mod id;
mod missing;
mod names;
mod order;
mod phrase;
mod profile;
mod rules;
mod table;
mod task;
#[cfg(test)]
mod tests;
mod text;

pub use column::{ColumnUse, FieldDraft, FieldKind};
pub use table::{Declared, LIST_SEPARATOR, MAX_ROWS, RawColumn, RawTable};

use std::collections::BTreeMap;

use scaletot_core::config;
use scaletot_core::text::printable;
use scaletot_profile::MISSING_NUMBERS;

use crate::error::{Result, bail, ensure};
use column::classify;
use id::UserId;
use names::Hint;

/// Characters of a name or cell that a message shows.
const MAX_SHOWN: usize = 60;

/// What is known beforehand of a table to draft for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DraftOptions {
    /// Name of the schemas and the task.
    pub name: String,
    /// Whom a row describes, as a sentence begins; "A user" unless set.
    pub subject: String,
    /// Column of the user ids; found by its values unless set.
    pub id: Option<String>,
    /// Column of the outcome; found by its name unless set.
    pub outcome: Option<String>,
    /// Column of the user segments; none unless set.
    pub segment: Option<String>,
    /// Columns that are left out in any case.
    pub excluded: Vec<String>,
    /// The table's path as the task file says it, relative to the task file.
    pub table: String,
}

impl DraftOptions {
    /// Everything is found in the table; the schemas have that name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            table: format!("{name}.csv"),
            name,
            subject: "A user".to_owned(),
            id: None,
            outcome: None,
            segment: None,
            excluded: Vec::new(),
        }
    }

    /// Sets whom a row describes, as a sentence begins: "A customer".
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// Sets the column of the user ids.
    #[must_use]
    pub fn with_id(mut self, column: impl Into<String>) -> Self {
        self.id = Some(column.into());
        self
    }

    /// Sets the column of the outcome.
    #[must_use]
    pub fn with_outcome(mut self, column: impl Into<String>) -> Self {
        self.outcome = Some(column.into());
        self
    }

    /// Sets the column of the user segments.
    #[must_use]
    pub fn with_segment(mut self, column: impl Into<String>) -> Self {
        self.segment = Some(column.into());
        self
    }

    /// Leaves a column out of the profile.
    #[must_use]
    pub fn with_excluded(mut self, column: impl Into<String>) -> Self {
        self.excluded.push(column.into());
        self
    }

    /// Sets the table's path as the task file says it.
    #[must_use]
    pub fn with_table(mut self, path: impl Into<String>) -> Self {
        self.table = path.into();
        self
    }

    /// The subject without its article, as a cue says it: "customer".
    fn noun(&self) -> &str {
        let subject = self.subject.trim();
        let noun = subject
            .split_once(' ')
            .filter(|(first, _)| ["a", "an", "the"].contains(&first.to_lowercase().as_str()));
        noun.map_or(subject, |(_, noun)| noun.trim())
    }
}

/// A first draft: what each column is, and four files.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    columns: Vec<(String, ColumnUse)>,
    id: UserId,
    outcome: String,
    profile_schema: String,
    chain_schema: String,
    rules: String,
    task: String,
}

impl Draft {
    /// Drafts for a table.
    ///
    /// # Errors
    /// If an option names a column that is not there, there is no column that can be the outcome, or none that can be a field; the
    /// message says which columns there are.
    pub fn of(table: &RawTable, options: &DraftOptions) -> Result<Self> {
        check(options, table)?;
        let outcome = outcome(table, options)?;
        let id = UserId::of(table, options, &outcome);
        let columns: Vec<(String, ColumnUse)> = table
            .columns
            .iter()
            .map(|column| {
                let name = column.name.clone();
                let found = match &name {
                    name if *name == outcome => ColumnUse::Outcome,
                    name if Some(name.as_str()) == id.column() => ColumnUse::Id,
                    name if options.excluded.contains(name) => ColumnUse::left_out("excluded on request"),
                    _ => match classify(column) {
                        ColumnUse::Field(_)
                            if names::share_span(&names::words(&column.name), &names::words(&outcome)) =>
                        {
                            let reason = "measured over the outcome's span, by its name: add it if it is known beforehand";
                            ColumnUse::LeftOut { reason: reason.to_owned(), is_leak: true }
                        }
                        found => found,
                    },
                };
                (name, found)
            })
            .collect();
        let fields = || {
            columns.iter().filter_map(|(_, found)| match found {
                ColumnUse::Field(field) => Some(field),
                _ => None,
            })
        };
        if fields().next().is_none() {
            let reasons: Vec<String> = columns
                .iter()
                .filter_map(|(name, found)| match found {
                    ColumnUse::LeftOut { reason, .. } => Some(format!("`{name}` ({reason})")),
                    _ => None,
                })
                .collect();
            bail!(
                "expected at least one column that can be a profile field, found {}",
                text::list(&reasons, "none")
            );
        }
        let fields: Vec<FieldDraft> = fields().cloned().collect();
        Ok(Self {
            profile_schema: profile::render(options, &id, &columns, table),
            chain_schema: chain::render(options, &outcome),
            rules: rules::render(options, &fields),
            task: task::render(options, &id, &outcome, &columns, &missing_of(table, options)),
            columns,
            id,
            outcome,
        })
    }

    /// What each column is, in the table's order.
    #[must_use]
    pub fn columns(&self) -> &[(String, ColumnUse)] {
        &self.columns
    }

    /// The fields of the profile, in the table's order.
    pub fn fields(&self) -> impl Iterator<Item = &FieldDraft> {
        self.columns
            .iter()
            .filter_map(|(_, found)| if let ColumnUse::Field(field) = found { Some(field) } else { None })
    }

    /// Whether there are so many fields that prompts are long.
    #[must_use]
    pub fn has_many_fields(&self) -> bool {
        self.fields().count() > profile::MANY_FIELDS
    }

    /// The column of the user ids; `None` if the rows are numbered.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.column()
    }

    /// Why the rows are numbered, if they are; names a column that looks like the id and has a value twice.
    #[must_use]
    pub fn why_numbered(&self) -> Option<&str> {
        match &self.id {
            UserId::Column(_) => None,
            UserId::Rows { why } => Some(why),
        }
    }

    /// The column of the outcome.
    #[must_use]
    pub fn outcome(&self) -> &str {
        &self.outcome
    }

    /// The profile schema, as TOML with comments.
    #[must_use]
    pub fn profile_schema(&self) -> &str {
        &self.profile_schema
    }

    /// The chain schema, as TOML with comments.
    #[must_use]
    pub fn chain_schema(&self) -> &str {
        &self.chain_schema
    }

    /// The rules, as TOML with comments.
    #[must_use]
    pub fn rules(&self) -> &str {
        &self.rules
    }

    /// The task, as TOML with comments, which names the other three as `NAME.profile.toml`, `NAME.chain.toml` and `NAME.rules.toml`.
    #[must_use]
    pub fn task(&self) -> &str {
        &self.task
    }
}

/// Texts that mean "missing" in the column of the segments.
fn missing_of(table: &RawTable, options: &DraftOptions) -> Vec<String> {
    let column = options.segment.as_deref().and_then(|name| table.column(name));
    let mut counts = BTreeMap::new();
    let cells = column.into_iter().flat_map(|column| column.cells.iter().flatten());
    cells.for_each(|cell| *counts.entry(cell.as_str()).or_insert(0) += 1);
    missing::marks(&counts)
}

/// Names of columns, to choose from.
fn names_of<'a>(columns: impl IntoIterator<Item = &'a RawColumn>) -> String {
    const MAX_LISTED: usize = 20;
    let mut names: Vec<String> =
        columns.into_iter().map(|column| format!("`{}`", printable(&column.name, MAX_SHOWN))).collect();
    if names.len() > MAX_LISTED {
        let more = names.len() - MAX_LISTED;
        names.truncate(MAX_LISTED);
        names.push(format!("and {more} more"));
    }
    text::list(&names, "none")
}

fn check(options: &DraftOptions, table: &RawTable) -> Result<()> {
    let is_name = |name: &str| !name.trim().is_empty() && !name.contains(char::is_control);
    let quoted = |text: &str| format!("{text:?}");
    config::check(is_name(&options.name), "name", "a name on one line", quoted(&options.name))?;
    let subject = is_name(&options.subject) && !options.noun().is_empty();
    config::check(subject, "subject", "a subject such as \"A customer\"", quoted(&options.subject))?;
    let named = [("id", &options.id), ("outcome", &options.outcome), ("segment", &options.segment)];
    let named = named.into_iter().filter_map(|(what, column)| Some((what, column.as_ref()?)));
    for (what, column) in named.chain(options.excluded.iter().map(|column| ("excluded", column))) {
        ensure!(
            table.column(column).is_some(),
            "{what}: there is no column `{column}`; the columns are {}",
            names_of(&table.columns)
        );
        ensure!(
            table.column(column).is_none_or(|column| column.declared != Declared::Ambiguous),
            "{what}: there are several columns `{column}`: rename all but one of them"
        );
    }
    if let (Some(id), Some(outcome)) = (&options.id, &options.outcome) {
        ensure!(id != outcome, "column `{id}` cannot be both the id and the outcome");
    }
    Ok(())
}

/// The column of the outcome: the one that was named, or the one whose name says it most plainly.
fn outcome(table: &RawTable, options: &DraftOptions) -> Result<String> {
    if let Some(column) = options.outcome.as_deref().and_then(|name| table.column(name)) {
        if let Some(cell) = column.cells.iter().flatten().find(|cell| !is_outcome(cell)) {
            let cell = printable(cell, MAX_SHOWN);
            bail!(
                "column `{}`: an outcome must be a finite number of at least 0 or empty, found {cell:?}; write a number for it, or leave the \
                 cell empty",
                column.name
            );
        }
        return Ok(column.name.clone());
    }
    let fits = |column: &&RawColumn| {
        let cells = || column.cells.iter().flatten();
        let is_free =
            Some(&column.name) != options.id.as_ref() && Some(&column.name) != options.segment.as_ref();
        is_free
            && !column.name.is_empty()
            && cells().any(|cell| is_value(cell))
            && cells().all(|cell| is_outcome(cell))
    };
    let hint = |column: &RawColumn| names::hint(&names::words(&column.name));
    let mut best: Option<(&RawColumn, Hint)> = None;
    for column in table.columns.iter().filter(fits) {
        let found = hint(column);
        if found > best.map_or(Hint::Loss, |(_, best)| best) {
            best = Some((column, found));
        }
    }
    // A column that says it more plainly, but for some of its cells, must not lose to another one without a word.
    let least = best.map_or(Hint::Loss, |(_, best)| best);
    let plainer = table.columns.iter().filter(|column| hint(column) > least);
    if let Some((column, row, cell)) = plainer.filter_map(first_misfit).find(|(column, ..)| {
        best.is_none() || column.cells.iter().flatten().filter(|cell| is_value(cell)).count() * 2 > table.rows
    }) {
        bail!(
            "column `{}` is an outcome by its name, but row {row} has {cell:?}: expected a finite number of at least 0, such as 1 and 0 for yes \
             and no, or an empty cell; write it so, or name the column of the outcome",
            column.name
        );
    }
    match best {
        Some((column, _)) => Ok(column.name.clone()),
        None => bail!(
            "no column looks like an outcome: name it; columns of numbers of at least 0 are {}",
            names_of(table.columns.iter().filter(fits))
        ),
    }
}

/// The first cell that is no outcome, with its row from 1.
fn first_misfit(column: &RawColumn) -> Option<(&RawColumn, usize, &str)> {
    let mut cells = (1..).zip(&column.cells).filter_map(|(row, cell)| Some((row, cell.as_deref()?)));
    cells.find(|(_, cell)| !is_outcome(cell)).map(|(row, cell)| (column, row, cell))
}

/// Whether it is an outcome, or says that it is not known.
fn is_outcome(cell: &str) -> bool {
    is_value(cell) || MISSING_NUMBERS.contains(&cell)
}

fn is_value(cell: &str) -> bool {
    cell.parse::<f64>().is_ok_and(|value| value.is_finite() && value >= 0.0)
}
