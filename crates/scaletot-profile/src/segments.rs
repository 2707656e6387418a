//! User segments: groups of users that are judged against themselves.

use std::collections::BTreeSet;

use scaletot_core::config::{ConfigError, check};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::field::UNKNOWN;
use crate::quantiles::Quantiles;

/// Numeric columns with more distinct values than this are cut into tertiles; others are taken as labels.
const MAX_LABELS: usize = 12;

/// A partition of the rows of a table.
///
/// ```
/// use scaletot_profile::Segments;
///
/// let tiers = Segments::from_labels(&[Some("gold".to_owned()), None, Some("basic".to_owned()), Some("gold".to_owned())]);
/// assert_eq!(tiers.names(), ["basic", "gold", "unknown"]);
/// assert_eq!(tiers.counts(), [1, 2, 1]);
/// assert_eq!(tiers.names()[tiers.of(0)], "gold");
///
/// let activity = Segments::from_quantiles(&[Some(0.0), Some(0.0), Some(4.0), Some(9.0), None], 2)?;
/// assert_eq!(activity.names(), ["q1", "q2", "unknown"]);
/// assert_eq!(activity.counts(), [2, 2, 1]);
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Segments {
    names: Vec<String>,
    of: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    names: Vec<String>,
    of: Vec<u32>,
}

impl TryFrom<Unchecked> for Segments {
    type Error = Error;

    fn try_from(Unchecked { names, of }: Unchecked) -> Result<Self> {
        match of.iter().find(|&&segment| segment as usize >= names.len()) {
            None => Ok(Self { names, of }),
            Some(segment) => {
                Err(ConfigError::new("of", format!("segments under {}", names.len()), segment).into())
            }
        }
    }
}

impl Segments {
    /// One segment, "all", with that many rows.
    #[must_use]
    pub fn all(rows: usize) -> Self {
        Self { names: vec!["all".to_owned()], of: vec![0; rows] }
    }

    /// One segment per label, in the labels' alphabetical order; rows without a label form the segment "unknown",
    /// which comes last.
    #[must_use]
    pub fn from_labels(labels: &[Option<String>]) -> Self {
        let label =
            |label: &Option<String>| label.as_deref().filter(|label| *label != UNKNOWN).map(str::to_owned);
        let known: BTreeSet<String> = labels.iter().filter_map(label).collect();
        let mut names: Vec<String> = known.into_iter().collect();
        let unknown = names.len();
        let of = labels
            .iter()
            .map(|l| label(l).and_then(|l| names.binary_search(&l).ok()).unwrap_or(unknown) as u32)
            .collect::<Vec<_>>();
        if of.contains(&(unknown as u32)) {
            names.push(UNKNOWN.to_owned());
        }
        Self { names, of }
    }

    /// The segments of a column of whatever kind, whose cells were read as texts: tertiles (see [`Self::from_quantiles`]) of a number with
    /// more than 12 distinct values, else one segment per label (see [`Self::from_labels`]).
    ///
    /// ```
    /// use scaletot_profile::Segments;
    ///
    /// let spend: Vec<Option<String>> = (0..90).map(|i| Some(format!("{i}.5"))).collect();
    /// assert_eq!(Segments::from_column(&spend).counts(), [30, 30, 30]);
    /// let tiers: Vec<Option<String>> = ["1", "2", "1"].map(|tier| Some(tier.to_owned())).to_vec();
    /// assert_eq!(Segments::from_column(&tiers).names(), ["1", "2"]);
    /// ```
    #[must_use]
    pub fn from_column(cells: &[Option<String>]) -> Self {
        let number = |cell: &Option<String>| cell.as_ref().map(|text| text.trim().parse::<f64>().ok());
        // The outer `None` is a missing cell, the inner one a text that is no number.
        let numbers: Vec<Option<Option<f64>>> = cells.iter().map(number).collect();
        let distinct: BTreeSet<&String> = cells.iter().flatten().collect();
        if distinct.len() <= MAX_LABELS || numbers.contains(&Some(None)) {
            return Self::from_labels(cells);
        }
        let numbers: Vec<Option<f64>> = numbers.into_iter().map(Option::flatten).collect();
        Self::from_quantiles(&numbers, 3).unwrap_or_else(|_| Self::from_labels(cells))
    }

    /// At most `n` segments "q1", "q2" … of about equal size by the quantiles of a number (see [`Quantiles`]), and
    /// "unknown" for rows where it is missing or not finite.
    ///
    /// # Errors
    /// [`Error::Config`] if `n` is 0.
    pub fn from_quantiles(values: &[Option<f64>], n: usize) -> Result<Self> {
        check(n > 0, "n", "at least 1", n)?;
        let finite = |value: &Option<f64>| value.filter(|x| x.is_finite());
        if values.iter().all(|value| finite(value).is_none()) {
            let names = if values.is_empty() { Vec::new() } else { vec![UNKNOWN.to_owned()] };
            return Ok(Self { names, of: vec![0; values.len()] });
        }
        let quantiles = Quantiles::fit(values.iter().filter_map(finite), n)?;
        let unknown = quantiles.bins();
        let of: Vec<u32> =
            values.iter().map(|value| finite(value).map_or(unknown, |x| quantiles.bin(x)) as u32).collect();
        let mut names: Vec<String> = (1..=unknown).map(|i| format!("q{i}")).collect();
        if of.contains(&(unknown as u32)) {
            names.push(UNKNOWN.to_owned());
        }
        Ok(Self { names, of })
    }

    /// The segments' names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The segment of a row: an index into [`Self::names`].
    ///
    /// # Panics
    /// If there is no such row, as indexing a slice does.
    #[must_use]
    pub fn of(&self, row: usize) -> usize {
        self.of[row] as usize
    }

    /// The name of a row's segment.
    ///
    /// # Panics
    /// As [`Segments::of`].
    #[must_use]
    pub fn name_of(&self, row: usize) -> &str {
        &self.names[self.of(row)]
    }

    /// How many segments there are. The number of rows is [`Self::rows`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no segment, which is so for no rows only.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The segments of the rows in `rows`, in that order. Names and numbers stay as they are, so that a segment may have no rows.
    ///
    /// # Errors
    /// [`Error::Row`] for a row that is not there.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        let of = |&row: &usize| self.of.get(row).copied().ok_or(Error::Row { index: row, rows: self.rows() });
        Ok(Self { names: self.names.clone(), of: rows.iter().map(of).collect::<Result<_>>()? })
    }

    /// How many rows are partitioned.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.of.len()
    }

    /// How many rows each segment has.
    #[must_use]
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.names.len()];
        self.of.iter().for_each(|&segment| counts[segment as usize] += 1);
        counts
    }
}
