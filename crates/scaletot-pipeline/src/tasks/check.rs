//! What a task must not contradict: itself, and its profile schema.

use crate::error::{Context, Result, bail, ensure};
use scaletot_chain::ChainSchema;
use scaletot_core::config::{ConfigError, check};
use scaletot_profile::{ProfileSchema, SchemaBuilder};

use super::{Form, ROW_NUMBER, Task};

/// What the column of the user segments is.
const SEGMENT: &str = "user segment";

impl Task {
    /// Checks what can be checked without a table.
    ///
    /// # Errors
    /// If the task contradicts itself.
    pub fn check(&self) -> Result<()> {
        let texts =
            [("name", &self.name), ("title", &self.title), ("outcome", &self.outcome), ("unit", &self.unit)];
        let optional = [
            ("segment", &self.segment),
            ("group", &self.group),
            ("source.publisher", &self.source.publisher),
            ("source.offered", &self.source.offered),
            ("source.licence", &self.source.licence),
        ];
        let given = optional.iter().filter_map(|(key, text)| Some((*key, text.as_ref()?)));
        if let Some((key, _)) = texts.into_iter().chain(given).find(|(_, text)| text.trim().is_empty()) {
            return Err(ConfigError::new(key, "a text", "an empty one").into());
        }
        check((2..=5).contains(&self.levels), "levels", "2 to 5", self.levels)?;

        let (files, form) = (self.source.files.len(), self.source.form);
        let enough = match form {
            Form::Table => files == 1 || (files == 0 && self.source.table.is_some()),
            Form::KuairandPure => files >= 2,
        };
        let expected = match form {
            Form::Table => "one file, which is the table, or none if `source.table` is given",
            Form::KuairandPure => "the user table and at least one log",
        };
        check(enough, "source.files", expected, files)?;
        if let Some(experiment) = &self.experiment {
            let control = &experiment.control;
            let apart = !experiment.treated.contains(control);
            check(
                apart,
                "experiment.treated",
                "arms beside the control",
                format!("the control, `{control}`"),
            )?;
        }

        // A column is read either as numbers or as texts, and an outcome that also sorts users would be known beforehand.
        let outcomes: Vec<(&str, &str)> = self.outcome_columns().collect();
        for (i, (what, column)) in outcomes.iter().enumerate() {
            let others = outcomes[..i].iter().copied().chain(self.sorting_columns());
            if let Some((other, _)) = others.into_iter().find(|(_, name)| name == column) {
                bail!("column `{column}` is the {what}, so it cannot be the {other} as well");
            }
        }
        Ok(())
    }

    /// The profile schema, if it has none of the columns that it must not have. Its id column is [`ROW_NUMBER`] where rows are numbered, so
    /// that whoever has it, and be it from an artifact, knows.
    ///
    /// # Errors
    /// If the file cannot be read, or one of its fields is an outcome, a column that sorts users, or among the task's leaks.
    pub fn profile_schema(&self) -> Result<ProfileSchema> {
        let schema = self.profile.profile_schema().context("the profile schema")?;
        // A segment of a profile field tells nothing that the profile does not.
        let sorting = self.sorting_columns().filter(|(what, _)| *what != SEGMENT);
        let roles: Vec<(&str, &str)> = self.outcome_columns().chain(sorting).collect();
        if let Some((what, id)) =
            self.outcome_columns().find(|(_, column)| *column == schema.id_column() && !self.source.numbered)
        {
            bail!(
                "{}: `id` names column `{id}`, which is the {what} of task `{}`: name the column of the user ids",
                self.profile,
                self.name
            );
        }
        for field in schema.fields() {
            let (path, name) = (&self.profile, field.name());
            if let Some((what, _)) = roles.iter().find(|(_, column)| *column == name) {
                bail!(
                    "{path}: field `{name}` is the {what} of task `{}`, so it cannot be in a profile",
                    self.name
                );
            }
            ensure!(
                self.leaks.iter().all(|leak| leak != name),
                "{path}: field `{name}` is among the leaks of task `{}`: it is no static profile or tells of the outcome; take it out \
                 of the schema",
                self.name
            );
        }
        match self.source.numbered {
            true => Ok(SchemaBuilder::from(&schema).with_id_column(ROW_NUMBER).build()?),
            false => Ok(schema),
        }
    }

    /// The chain schema, if something can be reasoned about each of its states.
    ///
    /// # Errors
    /// If the file cannot be read, or a state has one value alone.
    pub fn chain_schema(&self) -> Result<ChainSchema> {
        let schema = self.chain.chain_schema().context("the chain schema")?;
        if let Some(state) = schema.states().iter().find(|state| state.values().len() < 2) {
            bail!(
                "{}: state `{}`: expected two values or more, found `{}` alone, of which nothing can be asked; give it more, or take it out",
                self.chain,
                state.name(),
                state.values().join("")
            );
        }
        Ok(schema)
    }

    /// Columns with an outcome, and what each is.
    fn outcome_columns(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let further = self.experiment.iter().flat_map(|experiment| &experiment.outcomes);
        [("outcome", self.outcome.as_str())]
            .into_iter()
            .chain(further.map(|column| ("further outcome", column.as_str())))
    }

    /// Columns that say which users belong together, and what each is.
    fn sorting_columns(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let segment = self.segment.iter().map(|segment| (SEGMENT, segment.as_str()));
        segment
            .chain(self.keep.iter().map(|keep| ("user filter", keep.column.as_str())))
            .chain(self.group.iter().map(|group| ("group", group.as_str())))
            .chain(self.experiment.iter().map(|experiment| ("experiment's arm", experiment.arm.as_str())))
    }

    /// Columns that are read beside the profile: as numbers, and as texts.
    pub(super) fn columns(&self) -> (Vec<&str>, Vec<&str>) {
        let names = |(_, column)| column;
        (self.outcome_columns().map(names).collect(), self.sorting_columns().map(names).collect())
    }
}
