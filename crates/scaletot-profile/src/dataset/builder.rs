//! A dataset from its parts.

use std::sync::Arc;

use super::Dataset;
use crate::error::{Error, Result};
use crate::place::Place;
use crate::segments::Segments;
use crate::table::ProfileTable;

/// Collects what is known of a table's users; from [`Dataset::builder`] or [`Dataset::into_builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct DatasetBuilder {
    table: Arc<ProfileTable>,
    outcomes: Option<Vec<Option<f64>>>,
    segments: Option<Segments>,
    groups: Option<Vec<usize>>,
    arm: Option<Vec<Option<bool>>>,
}

impl DatasetBuilder {
    pub(super) fn new(table: Arc<ProfileTable>) -> Self {
        Self { table, outcomes: None, segments: None, groups: None, arm: None }
    }

    pub(super) fn of(dataset: Dataset) -> Self {
        let Dataset { table, outcomes, segments, groups, arm } = dataset;
        Self { table, outcomes: Some(outcomes), segments: Some(segments), groups, arm }
    }

    pub(super) fn table(&self) -> &ProfileTable {
        &self.table
    }

    /// What came of each user, finite and at least 0; `None` where it is not known. Without outcomes none is known.
    pub fn with_outcomes(mut self, outcomes: Vec<Option<f64>>) -> Self {
        self.outcomes = Some(outcomes);
        self
    }

    /// The user segments. Without them everybody is in one, "all".
    pub fn with_segments(mut self, segments: Segments) -> Self {
        self.segments = Some(segments);
        self
    }

    /// The number of each user's group, whose users must stay in one fold; the numbers have no other meaning.
    pub fn with_groups(mut self, groups: Vec<usize>) -> Self {
        self.groups = Some(groups);
        self
    }

    /// Whether each user was treated in a randomised experiment; `None` for one who took no part.
    pub fn with_arm(mut self, arm: Vec<Option<bool>>) -> Self {
        self.arm = Some(arm);
        self
    }

    /// The dataset.
    ///
    /// # Errors
    /// [`Error::Length`] if a part has another number of rows than the table, [`Error::Cell`] for an outcome that is negative or not
    /// finite, which names the row.
    pub fn build(self) -> Result<Dataset> {
        let Self { table, outcomes, segments, groups, arm } = self;
        let rows = table.len();
        let fits = |what: &str, found: Option<usize>| match found {
            Some(found) if found != rows => {
                Err(Error::Length { what: format!("rows of the {what}"), expected: rows, found })
            }
            _ => Ok(()),
        };
        fits("outcomes", outcomes.as_ref().map(Vec::len))?;
        fits("segments", segments.as_ref().map(Segments::rows))?;
        fits("groups", groups.as_ref().map(Vec::len))?;
        fits("arm", arm.as_ref().map(Vec::len))?;
        if let Some(outcomes) = &outcomes {
            check_outcomes(outcomes, "outcome")?;
        }
        Ok(Dataset {
            outcomes: outcomes.unwrap_or_else(|| vec![None; rows]),
            segments: segments.unwrap_or_else(|| Segments::all(rows)),
            groups,
            arm,
            table,
        })
    }
}

/// Refuses an outcome that is negative or not finite; `column` is what the message calls it.
pub(super) fn check_outcomes(outcomes: &[Option<f64>], column: &str) -> Result<()> {
    let bad = |outcome: &Option<f64>| outcome.is_some_and(|value| !value.is_finite() || value < 0.0);
    match outcomes.iter().position(bad) {
        None => Ok(()),
        Some(row) => Err(Error::Cell {
            place: Place::row(row + 1),
            column: column.to_owned(),
            expected: "a finite number of at least 0".to_owned(),
            found: outcomes[row].map_or_else(|| "none".to_owned(), |value| value.to_string()),
        }),
    }
}
