//! Which columns of a table a dataset is made of.

use scaletot_core::config::ConfigError;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::io::ReadOptions;
use crate::schema::ProfileSchema;

/// The columns beside the profile that a [`Dataset`](crate::Dataset) is read from; all may be left out.
///
/// A specification is data, too: in TOML it is `outcome = "spend_30d"`, `segment = "tier"`, `group = "household"`, and a table `[arm]`
/// with `column`, `control` and `treated`.
///
/// ```
/// # #[cfg(feature = "csv")] {
/// use scaletot_profile::{ArmSpec, Dataset, DatasetSpec, FieldSpec, ProfileSchema};
///
/// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"])).build()?;
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("customers.csv");
/// # std::fs::write(&path, "id,age,spend_30d,mail\n1,55+,12.5,women\n2,,0,men\n3,55+,,none\n").unwrap();
///
/// // id,age,spend_30d,mail
/// // 1,55+,12.5,women
/// // 2,,0,men
/// // 3,55+,,none
/// let spec = DatasetSpec::new()
///     .with_outcome("spend_30d")
///     .with_segment("age")
///     .with_arm(ArmSpec::new("mail", "none").with_treated(["women"]));
/// let dataset = Dataset::read(&path, &schema, &spec)?;
/// assert_eq!(dataset.outcomes(), [Some(12.5), Some(0.0), None]);
/// assert_eq!(dataset.segments().names(), ["55+", "unknown"]);
/// assert_eq!(dataset.arm(), Some(&[Some(true), None, Some(false)][..]));
/// # }
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arm: Option<ArmSpec>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    text_ids: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    numbered_ids: bool,
}

impl DatasetSpec {
    /// Profiles alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The column of the outcomes: numbers from 0 to 1e30, some of them at least 0.01 if any is above 0; an empty cell, `NA` and alike
    /// ([`MISSING_NUMBERS`](crate::MISSING_NUMBERS)) are not known. It may not be a profile field, for
    /// then the outcome would be known beforehand.
    #[must_use]
    pub fn with_outcome(mut self, column: impl Into<String>) -> Self {
        self.outcome = Some(column.into());
        self
    }

    /// The column of the user segments; see [`Segments::from_column`](crate::Segments::from_column). It may be a profile field.
    #[must_use]
    pub fn with_segment(mut self, column: impl Into<String>) -> Self {
        self.segment = Some(column.into());
        self
    }

    /// The column whose equal values mark users that must stay in one fold; a user without a value stands alone. It may not be a profile
    /// field.
    #[must_use]
    pub fn with_group(mut self, column: impl Into<String>) -> Self {
        self.group = Some(column.into());
        self
    }

    /// The column that says who was treated in a randomised experiment. It may not be a profile field.
    #[must_use]
    pub fn with_arm(mut self, arm: ArmSpec) -> Self {
        self.arm = Some(arm);
        self
    }

    /// Cell texts of these columns that are missing, besides the empty one; in a segment's column `NA` may be a label. (Profile fields have
    /// their own.)
    #[must_use]
    pub fn with_missing<T: Into<String>>(mut self, tokens: impl IntoIterator<Item = T>) -> Self {
        self.missing.extend(tokens.into_iter().map(Into::into));
        self
    }

    /// See [`ReadOptions::with_text_ids`].
    #[must_use]
    pub fn with_text_ids(mut self) -> Self {
        self.text_ids = true;
        self
    }

    /// See [`ReadOptions::with_numbered_ids`].
    #[must_use]
    pub fn with_numbered_ids(mut self) -> Self {
        self.numbered_ids = true;
        self
    }

    /// The column of the outcomes.
    #[must_use]
    pub fn outcome(&self) -> Option<&str> {
        self.outcome.as_deref()
    }

    /// The column of the user segments.
    #[must_use]
    pub fn segment(&self) -> Option<&str> {
        self.segment.as_deref()
    }

    /// The column of the groups.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// The column of the arms.
    #[must_use]
    pub fn arm(&self) -> Option<&ArmSpec> {
        self.arm.as_ref()
    }

    /// How a table with these columns is read, for a source that [`Dataset::read`](crate::Dataset::read) does not know; the dataset is then made
    /// with [`Dataset::from_loaded`](crate::Dataset::from_loaded).
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if a column that must not be a field of `schema` is one, the outcome's column has a second role, or the control
    /// is among the treated.
    pub fn read_options(&self, schema: &ProfileSchema) -> Result<ReadOptions> {
        self.check(schema)?;
        let mut options = ReadOptions::new().with_missing(&self.missing);
        options.text_ids = self.text_ids;
        options.numbered_ids = self.numbered_ids;
        let segment = self.segment.as_ref().filter(|column| schema.field_index(column).is_none());
        let texts = segment.into_iter().chain(&self.group).chain(self.arm.as_ref().map(|arm| &arm.column));
        let options = texts.fold(options, |options, column| options.with_text(column));
        Ok(self.outcome.iter().fold(options, |options, column| options.with_number(column)))
    }

    fn check(&self, schema: &ProfileSchema) -> Result<()> {
        let arm = self.arm.as_ref().map(|arm| &arm.column);
        for (field, column) in
            [("outcome", self.outcome.as_ref()), ("group", self.group.as_ref()), ("arm.column", arm)]
        {
            if let Some(column) = column.filter(|column| schema.field_index(column).is_some()) {
                let expected = "a column that is no field of the profile";
                return Err(ConfigError::new(field, expected, format!("the field {column:?}")).into());
            }
        }
        let others =
            [("segment", self.segment.as_ref()), ("group", self.group.as_ref()), ("arm.column", arm)];
        if let Some(outcome) = &self.outcome
            && let Some((field, _)) = others.iter().find(|(_, column)| *column == Some(outcome))
        {
            let expected = "another column than the outcome's";
            return Err(ConfigError::new(*field, expected, format!("{outcome:?}")).into());
        }
        match &self.arm {
            Some(arm) if arm.treated.contains(&arm.control) => Err(ConfigError::new(
                "arm.treated",
                "other arms than the control",
                format!("{:?}", arm.control),
            )
            .into()),
            _ => Ok(()),
        }
    }
}

/// The column of a randomised experiment, and which of its labels mean treated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmSpec {
    column: String,
    control: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    treated: Vec<String>,
}

impl ArmSpec {
    /// Users with the label `control` in `column` were not treated; those with any other label were. A user without a label took no part.
    pub fn new(column: impl Into<String>, control: impl Into<String>) -> Self {
        Self { column: column.into(), control: control.into(), treated: Vec::new() }
    }

    /// Only users with these labels were treated; those with yet another label took no part.
    #[must_use]
    pub fn with_treated<T: Into<String>>(mut self, labels: impl IntoIterator<Item = T>) -> Self {
        self.treated = labels.into_iter().map(Into::into).collect();
        self
    }

    /// The column.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The label of users who were not treated.
    #[must_use]
    pub fn control(&self) -> &str {
        &self.control
    }

    /// The labels of users who were treated; empty for all but the control's.
    #[must_use]
    pub fn treated(&self) -> &[String] {
        &self.treated
    }

    /// Whether a user with that label was treated; `None` if the user took no part.
    #[must_use]
    pub fn is_treated(&self, label: &str) -> Option<bool> {
        let control = label == self.control;
        let part = control || self.treated.is_empty() || self.treated.iter().any(|treated| treated == label);
        part.then_some(!control)
    }
}
