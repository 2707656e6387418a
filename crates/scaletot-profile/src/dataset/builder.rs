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
    /// [`Error::Length`] if a part has another number of rows than the table, [`Error::Cell`] for an outcome that is negative, not
    /// finite or above 1e30, which names the row.
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

/// The largest outcome: values are served as 32-bit floats, which hold a hundred million times as much.
const MAX_OUTCOME: f64 = 1e30;

/// Refuses an outcome that is negative, not finite or too large; `column` is what the message calls it.
pub(super) fn check_outcomes(outcomes: &[Option<f64>], column: &str) -> Result<()> {
    let refused = |value: f64| match value {
        _ if !value.is_finite() || value < 0.0 => Some("a finite number of at least 0"),
        _ if value > MAX_OUTCOME => Some("an outcome of at most 1e30: use a larger unit"),
        _ => None,
    };
    let mut found = outcomes.iter().enumerate().filter_map(|(row, outcome)| Some((row, (*outcome)?)));
    match found.find_map(|(row, value)| Some((row, value, refused(value)?))) {
        None => Ok(()),
        Some((row, value, expected)) => Err(cell(row, column, expected.to_owned(), value)),
    }
}

/// The largest outcome of a table must be as much, if any is above 0: value models are of `ln(1 + outcome)`, and among outcomes that are all
/// far below 1 they tell hardly any difference.
const MIN_LARGEST: f64 = 0.01;

/// Refuses outcomes in a unit so large that values would all be about the same.
pub(super) fn check_unit(outcomes: &[Option<f64>], column: &str) -> Result<()> {
    let known = outcomes.iter().enumerate().filter_map(|(row, outcome)| Some((row, (*outcome)?)));
    match known.max_by(|(_, a), (_, b)| a.total_cmp(b)) {
        Some((row, largest)) if largest > 0.0 && largest < MIN_LARGEST => {
            let expected = format!(
                "some outcome of at least {MIN_LARGEST}: use a smaller unit, such as cents in place of millions"
            );
            Err(cell(row, column, expected, largest))
        }
        _ => Ok(()),
    }
}

fn cell(row: usize, column: &str, expected: String, found: f64) -> Error {
    // Hundreds of digits tell less.
    let found = match found.abs() {
        1e-9..1e15 | 0.0 => found.to_string(),
        _ => format!("{found:e}"),
    };
    Error::Cell { place: Place::row(row + 1), column: column.to_owned(), expected, found }
}
