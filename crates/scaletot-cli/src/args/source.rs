//! Which users: a task file, or a table with its schemas.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use scaletot_pipeline::options::default_min_populated;
use scaletot_pipeline::tasks::{Population, Task, TaskFile};

/// A task, or what a task says in options.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArgs {
    /// Task file, as `scaletot init` drafts one, or the name of a shipped task; the options below say the same piece by piece
    #[arg(help_heading = "Users", long, value_name = "TASK", required_unless_present = "data")]
    pub(crate) task: Option<String>,
    /// Table of users: .parquet, .csv or .csv.gz; with --task, instead of the task's own, or the directory with its publisher's files
    #[arg(help_heading = "Users", long, value_name = "FILE", requires_all = ["profile_schema", "chain_schema", "outcome"])]
    pub(crate) data: Option<PathBuf>,
    /// Profile schema: .toml or .json
    #[arg(help_heading = "Users", long, value_name = "FILE", conflicts_with = "task")]
    profile_schema: Option<PathBuf>,
    /// Chain schema: .toml or .json
    #[arg(help_heading = "Users", long, value_name = "FILE", conflicts_with = "task")]
    chain_schema: Option<PathBuf>,
    /// Column with the realised value, at least 0; empty where it is not known
    #[arg(help_heading = "Users", long, value_name = "COL", conflicts_with = "task")]
    outcome: Option<String>,
    /// Column with the user segment, which may be a profile field; a number is cut into three by quantile; everybody is in one without it
    #[arg(help_heading = "Users", long, value_name = "COL", conflicts_with = "task")]
    segment: Option<String>,
    /// Level words that a number is rendered by, 2 to 5 (5 unless given)
    #[arg(help_heading = "Users", long, value_name = "N", conflicts_with = "task")]
    levels: Option<usize>,
}

impl SourceArgs {
    /// The task that was named, or the one that the options make.
    pub(crate) fn task(&self) -> Result<Task> {
        if let Some(task) = &self.task {
            return Ok(Task::find(task)?);
        }
        let (Some(data), Some(profile), Some(chain), Some(outcome)) =
            (&self.data, &self.profile_schema, &self.chain_schema, &self.outcome)
        else {
            bail!("expected --task, or --data, --profile-schema, --chain-schema and --outcome");
        };
        let name =
            data.file_stem().map_or_else(|| "table".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let mut task =
            Task::of_table(name, outcome, TaskFile::at(profile), TaskFile::at(chain), TaskFile::at(data));
        task.segment.clone_from(&self.segment);
        if let Some(levels) = self.levels {
            task.levels = levels;
        }
        task.check()?;
        Ok(task)
    }

    /// The task with its users.
    pub(crate) fn load(&self) -> Result<(Task, Population)> {
        let task = self.task()?;
        // Of a task the table may be replaced; otherwise it is the task's own.
        let data = self.task.as_ref().and(self.data.as_deref());
        let population = task.load(data)?;
        Ok((task, population))
    }

    /// The options as they were given, to be told in a command.
    pub(crate) fn as_given(&self) -> String {
        let path = |path: &PathBuf| shell_word(&path.to_string_lossy());
        let options = [
            ("--task", self.task.as_deref().map(shell_word)),
            ("--data", self.data.as_ref().map(path)),
            ("--profile-schema", self.profile_schema.as_ref().map(path)),
            ("--chain-schema", self.chain_schema.as_ref().map(path)),
            ("--outcome", self.outcome.as_deref().map(shell_word)),
            ("--segment", self.segment.as_deref().map(shell_word)),
            ("--levels", self.levels.map(|levels| levels.to_string())),
        ];
        let given = options.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
        given.collect::<Vec<_>>().join(" ")
    }
}

/// The fewest populated fields: as asked for, or the default of a profile with that many fields.
pub(crate) fn min_populated(asked: Option<usize>, fields: usize) -> usize {
    asked.unwrap_or_else(|| default_min_populated(fields))
}

/// A word as a shell takes it.
pub(crate) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(shell_word("users.task.toml"), "users.task.toml");
        assert_eq!(shell_word("my users.csv"), "'my users.csv'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!((min_populated(None, 2), min_populated(None, 9), min_populated(Some(5), 2)), (2, 3, 5));
    }
}
