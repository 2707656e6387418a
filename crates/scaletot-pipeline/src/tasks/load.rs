//! A task's table, its users chosen and its columns told apart.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::error::{Context, Result, bail, ensure};
use scaletot_chain::ChainSchema;
use scaletot_profile::{Attributes, Dataset, Loaded, ProfileTable, ReadOptions, Segments, Value};

use super::{ExperimentSpec, Keep, Task, TaskFile, Wanted};
use crate::teachers::Opened;

/// The users of a task, and who may reason about them.
#[derive(Debug)]
#[non_exhaustive]
pub struct Population {
    /// The users that are kept, with outcomes, segments, groups and arm.
    pub dataset: Dataset,
    /// Further outcomes of the experiment by column: the same users, each dataset with that column's outcomes.
    pub further_outcomes: BTreeMap<String, Dataset>,
    /// Chain schema.
    pub chain: ChainSchema,
    /// Expert rules.
    pub rules: Option<TaskFile>,
    /// Recorded answers of a language model.
    pub answers: Option<TaskFile>,
}

impl Population {
    /// The teacher that the task comes with: its recorded answers, or else its rules.
    ///
    /// # Errors
    /// If it has neither, or the file cannot be read or does not fit the schemas.
    pub fn teacher(&self) -> Result<Opened> {
        if let Some(answers) = &self.answers {
            let replay = answers.answers().context("the recorded answers")?;
            return Ok(Opened {
                seconds_per_answer: replay.seconds_per_answer(),
                version: Some(answers.content_hash()?),
                teacher: Box::new(replay),
            });
        }
        let rules = self.rules.as_ref().context(
            "expected a teacher, and the task names neither recorded answers (`answers`) nor rules (`rules`)",
        )?;
        let version = Some(rules.content_hash()?);
        let rules = rules.rules(self.dataset.table().schema(), &self.chain).context("the expert rules")?;
        Ok(Opened { teacher: Box::new(rules), seconds_per_answer: None, version })
    }
}

impl Task {
    /// Reads the schemas and the table, and keeps the users that the task is about.
    ///
    /// `data` is a prepared table (`.parquet`, `.csv`, `.csv.gz`) or a directory with the publisher's files; it may be left out for
    /// a task whose table comes with it.
    ///
    /// # Errors
    /// If a file is missing (the message says which, and where its publisher offers it), cannot be read or does not fit its schema; the
    /// profile schema has a column that it must not have; an outcome is negative or not finite; nobody is kept.
    pub fn load(&self, data: Option<&Path>) -> Result<Population> {
        let schema = self.profile_schema()?;
        let chain = self.chain_schema()?;
        let (numbers, texts) = self.columns();
        let options = numbers.iter().fold(ReadOptions::new(), |options, &column| options.with_number(column));
        let mut options = texts.iter().fold(options, |options, &column| options.with_text(column));
        options = options.with_missing(&self.missing);
        if self.source.numbered {
            options = options.with_numbered_ids();
        }
        let loaded = self.read_table(data, &schema, &options)?;
        let table = self.source.table.as_ref().map(TaskFile::path);
        let origin = data.or(table).unwrap_or(Path::new("the table"));
        self.population(chain, &loaded).with_context(|| origin.display().to_string())
    }

    fn population(&self, chain: ChainSchema, loaded: &Loaded) -> Result<Population> {
        check_codes(&loaded.profiles)?;
        let kept = self.kept(&loaded.profiles, &loaded.attributes)?;
        let profiles = loaded.profiles.select(&kept)?;
        let table = Columns { attributes: &loaded.attributes, kept };
        let mut builder = Dataset::builder(profiles).with_outcomes(table.outcomes(&self.outcome)?);
        if let Some(column) = &self.segment {
            builder = builder.with_segments(Segments::from_column(&table.texts(column)?));
        }
        if let Some(column) = &self.group {
            builder = builder.with_groups(numbered(&table.texts(column)?));
        }
        if let Some(experiment) = &self.experiment {
            builder = builder.with_arm(table.arm(experiment)?);
        }
        let dataset = builder.build()?;
        let further = self.experiment.iter().flat_map(|experiment| &experiment.outcomes);
        let with_outcomes = |column: &String| -> Result<(String, Dataset)> {
            let builder = dataset.clone().into_builder().with_outcomes(table.outcomes(column)?);
            Ok((column.clone(), builder.build()?))
        };
        Ok(Population {
            further_outcomes: further.map(with_outcomes).collect::<Result<_>>()?,
            dataset,
            chain,
            rules: self.rules.clone(),
            answers: self.answers.clone(),
        })
    }

    /// The rows of the users that the task is about.
    fn kept(&self, profiles: &ProfileTable, attributes: &Attributes) -> Result<Vec<usize>> {
        let Some(keep) = &self.keep else { return Ok((0..profiles.len()).collect()) };
        let cells = attributes.text(&keep.column).context("the filter's column was read")?;
        let kept: Vec<usize> = (0..cells.len())
            .filter(|&row| cells[row].as_deref().is_some_and(|cell| keep.takes(cell)))
            .collect();
        ensure!(!kept.is_empty(), "task `{}`: none of {} users has {keep}", self.name, cells.len());
        Ok(kept)
    }
}

impl Keep {
    fn takes(&self, cell: &str) -> bool {
        match &self.equals {
            Wanted::Number(wanted) => cell.trim().parse::<f64>().is_ok_and(|number| number == *wanted),
            Wanted::Text(wanted) => cell == wanted,
        }
    }
}

/// The columns beside the profile, for the users that are kept.
struct Columns<'a> {
    attributes: &'a Attributes,
    /// Rows of the file, ascending.
    kept: Vec<usize>,
}

impl Columns<'_> {
    fn texts(&self, column: &str) -> Result<Vec<Option<String>>> {
        let cells =
            self.attributes.text(column).with_context(|| format!("column `{column}` was read as text"))?;
        Ok(self.kept.iter().map(|&row| cells[row].clone()).collect())
    }

    fn outcomes(&self, column: &str) -> Result<Vec<Option<f64>>> {
        let cells = self
            .attributes
            .number(column)
            .with_context(|| format!("column `{column}` was read as number"))?;
        for &row in &self.kept {
            if let Some(value) = cells[row]
                && value < 0.0
            {
                bail!("row {}, column `{column}`: expected an outcome of at least 0, found {value}", row + 1);
            }
        }
        Ok(self.kept.iter().map(|&row| cells[row]).collect())
    }

    /// Who was treated; `None` of a user whose arm takes no part or is missing.
    fn arm(&self, spec: &ExperimentSpec) -> Result<Vec<Option<bool>>> {
        let arms = self.texts(&spec.arm)?;
        let is_treated = |arm: &String| {
            let is_control = *arm == spec.control;
            let takes_part = spec.treated.is_empty() || spec.treated.contains(arm) || is_control;
            takes_part.then_some(!is_control)
        };
        let treated: Vec<Option<bool>> = arms.iter().map(|arm| arm.as_ref().and_then(is_treated)).collect();
        for (wanted, who) in [(false, "control"), (true, "treated arm")] {
            ensure!(
                treated.contains(&Some(wanted)),
                "column `{}`: no user in the {who}; the control is `{}`, and the first arm is {:?}",
                spec.arm,
                spec.control,
                arms.iter().flatten().next()
            );
        }
        Ok(treated)
    }
}

/// Refuses an outcome of an experiment that is not known of anybody in one of its arms, among some rows: there is nothing to compare it with.
pub(crate) fn check_arms(column: &str, users: &Dataset, rows: &[usize]) -> Result<()> {
    let arms = users.arm().unwrap_or_default();
    for (wanted, who) in [(false, "control"), (true, "treated arm")] {
        let known = |row: &&usize| arms.get(**row) == Some(&Some(wanted)) && users.outcome(**row).is_some();
        ensure!(
            rows.iter().any(|row| known(&row)),
            "column `{column}`, an outcome of the experiment: it is known of no user in the {who}, out of {}; without the outcome, or without \
             `[experiment]`, the task can be evaluated",
            rows.len()
        );
    }
    Ok(())
}

/// A number for each label, counted from 0 in the order of first appearance; one of its own for each row without a label.
fn numbered(labels: &[Option<String>]) -> Vec<usize> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut next = 0;
    let mut groups = Vec::with_capacity(labels.len());
    for label in labels {
        let group = match label {
            Some(label) => *seen.entry(label).or_insert(next),
            None => next,
        };
        next = next.max(group + 1);
        groups.push(group);
    }
    groups
}

/// Fewer values than this may all be rare ones.
const TELLING: usize = 20;

/// Refuses a table in which no value of a field is among those that its schema lists, though a bucket takes them all: most likely
/// they are written in another way, such as `1.0` for `1`, and all users would seem alike.
fn check_codes(profiles: &ProfileTable) -> Result<()> {
    for (index, field) in profiles.schema().fields().iter().enumerate() {
        let Some(bucket) = field.kind().domain().and_then(|domain| domain.bucket()) else { continue };
        let codes = (0..profiles.len()).filter_map(|row| match profiles.value(row, index) {
            Some(Value::Code(code)) => Some(code),
            _ => None,
        });
        let (mut listed, mut other) = (0usize, 0usize);
        codes.for_each(|code| if code == bucket { other += 1 } else { listed += 1 });
        ensure!(
            listed > 0 || other < TELLING,
            "column `{}`: none of {other} values is among those that the profile schema lists; are they written in another way?",
            field.name()
        );
    }
    Ok(())
}
