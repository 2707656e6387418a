//! Profiles with what came of their users, aligned by construction.
//!
//! A table, the users' outcomes, their segments, their groups and their arms in an experiment are five things of one length that every
//! stage of a pipeline needs together. Passed side by side, one of them is in another order some day: a segment of user 7 with the
//! outcome of user 8 trains as well as the right one. A [`Dataset`] is checked once, when it is built, and every subset of it takes all
//! five along.

#[cfg(feature = "arrow")]
mod arrow;
mod builder;
mod hash;
mod read;
mod spec;

use std::sync::Arc;

pub use builder::DatasetBuilder;
pub use spec::{ArmSpec, DatasetSpec};

use crate::error::{Error, Result};
use crate::segments::Segments;
use crate::table::ProfileTable;

/// Profiles of users with their outcomes, segments, groups and arms, row by row.
///
/// Cloning, and taking outcomes away, is cheap: the table is shared.
///
/// ```
/// use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, Segments, TableBuilder};
///
/// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"])).build()?;
/// let mut rows = TableBuilder::new(schema);
/// rows.push_text(1001, &["35-54"])?;
/// rows.push_text(1002, &["18-34"])?;
/// rows.push_text(1003, &["55+"])?;
///
/// let dataset = Dataset::builder(rows.finish())
///     .with_outcomes(vec![Some(12.5), None, Some(0.0)])
///     .with_segments(Segments::from_labels(&[Some("gold".to_owned()), None, Some("basic".to_owned())]))
///     .build()?;
/// assert_eq!(dataset.len(), 3);
/// assert_eq!(dataset.labelled().collect::<Vec<_>>(), [0, 2]);
///
/// // The users of a fold, and a draw of labels among all users.
/// assert_eq!(dataset.select(&[2, 1])?.outcomes(), [Some(0.0), None]);
/// assert_eq!(dataset.with_outcomes_of(&[2])?.outcomes(), [None, None, Some(0.0)]);
///
/// let error = Dataset::builder(dataset.table().clone()).with_outcomes(vec![None, Some(-1.0), None]).build().unwrap_err();
/// assert_eq!(error.to_string(), r#"row 2, column "outcome": expected a finite number of at least 0, found -1"#);
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    table: Arc<ProfileTable>,
    outcomes: Vec<Option<f64>>,
    segments: Segments,
    groups: Option<Vec<usize>>,
    arm: Option<Vec<Option<bool>>>,
}

impl Dataset {
    /// A dataset of that table; see [`DatasetBuilder`].
    pub fn builder(table: impl Into<Arc<ProfileTable>>) -> DatasetBuilder {
        DatasetBuilder::new(table.into())
    }

    /// A builder that holds all of this, for the same users with another part: other segments, say, or another column's outcomes.
    ///
    /// ```
    /// use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};
    ///
    /// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::numeric("age")).build()?;
    /// let mut rows = TableBuilder::new(schema);
    /// rows.push_text(1001, &["34"])?;
    /// let spend = Dataset::builder(rows.finish()).with_outcomes(vec![Some(12.5)]).with_groups(vec![7]).build()?;
    ///
    /// let visits = spend.clone().into_builder().with_outcomes(vec![Some(3.0)]).build()?;
    /// assert_eq!((visits.outcome(0), visits.groups()), (Some(3.0), spend.groups()));
    /// # Ok::<(), scaletot_profile::Error>(())
    /// ```
    pub fn into_builder(self) -> DatasetBuilder {
        DatasetBuilder::of(self)
    }

    /// The profiles.
    #[must_use]
    pub fn table(&self) -> &ProfileTable {
        &self.table
    }

    /// The profiles, shared: for whoever keeps them without the rest, or makes another dataset of them.
    #[must_use]
    pub fn shared_table(&self) -> Arc<ProfileTable> {
        Arc::clone(&self.table)
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// What came of the user in `row`, finite and at least 0; `None` where it is not known, or there is no such row.
    #[must_use]
    pub fn outcome(&self, row: usize) -> Option<f64> {
        self.outcomes.get(row).copied().flatten()
    }

    /// What came of the users, in row order; `None` where it is not known.
    #[must_use]
    pub fn outcomes(&self) -> &[Option<f64>] {
        &self.outcomes
    }

    /// Checks that the outcomes are in a unit that values can be told in: of those above 0 the largest is at least 0.01.
    ///
    /// # Errors
    /// [`Error::Cell`] with the largest.
    pub fn check_unit(&self) -> Result<()> {
        builder::check_unit(&self.outcomes, "outcome")
    }

    /// The rows whose outcome is known, ascending.
    pub fn labelled(&self) -> impl Iterator<Item = usize> + '_ {
        self.outcomes.iter().enumerate().filter_map(|(row, outcome)| outcome.map(|_| row))
    }

    /// The user segments; one of everybody, "all", if none were given.
    #[must_use]
    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Which users belong together, such as those of one household: users with the same number must stay in one fold. `None` if
    /// every user stands alone.
    #[must_use]
    pub fn groups(&self) -> Option<&[usize]> {
        self.groups.as_deref()
    }

    /// Who was treated in a randomised experiment; `None` of a user who took no part.
    #[must_use]
    pub fn arm(&self) -> Option<&[Option<bool>]> {
        self.arm.as_deref()
    }

    /// The users of `rows`, in that order, with all that is known of them. Segments keep their names and numbers, so that one of
    /// them may have no users.
    ///
    /// # Errors
    /// [`Error::Row`] for a row that is not there, [`Error::DuplicateId`] for one that is named twice.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        Ok(Self {
            table: Arc::new(self.table.select(rows)?),
            outcomes: rows.iter().map(|&row| self.outcomes[row]).collect(),
            segments: self.segments.select(rows)?,
            groups: self.groups.as_ref().map(|groups| rows.iter().map(|&row| groups[row]).collect()),
            arm: self.arm.as_ref().map(|arm| rows.iter().map(|&row| arm[row]).collect()),
        })
    }

    /// The same users, of whom only those in `rows` keep their outcome: a draw of labels, or users held out. The order of `rows`
    /// and repetitions among them play no part.
    ///
    /// # Errors
    /// [`Error::Row`] for a row that is not there.
    pub fn with_outcomes_of(&self, rows: &[usize]) -> Result<Self> {
        let mut outcomes = vec![None; self.len()];
        for &row in rows {
            let kept = outcomes.get_mut(row).ok_or(Error::Row { index: row, rows: self.len() })?;
            *kept = self.outcomes[row];
        }
        Ok(Self { outcomes, ..self.clone() })
    }
}

impl From<ProfileTable> for Dataset {
    /// Users of whom no outcome is known, all in one segment.
    fn from(table: ProfileTable) -> Self {
        Arc::new(table).into()
    }
}

impl From<Arc<ProfileTable>> for Dataset {
    /// Users of whom no outcome is known, all in one segment.
    fn from(table: Arc<ProfileTable>) -> Self {
        let rows = table.len();
        Self { table, outcomes: vec![None; rows], segments: Segments::all(rows), groups: None, arm: None }
    }
}
