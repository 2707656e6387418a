//! Columns beside the profile: outcomes, segments, scores.

use crate::error::{Error, Result};
use crate::place::Place;

/// The values of one attribute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    Number(Vec<Option<f64>>),
    Text(Vec<Option<String>>),
    Flag(Vec<Option<bool>>),
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Number(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Flag(values) => values.len(),
        }
    }

    /// Drops the rows from that index on.
    #[cfg(feature = "csv")]
    pub(crate) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Number(values) => values.truncate(rows),
            Self::Text(values) => values.truncate(rows),
            Self::Flag(values) => values.truncate(rows),
        }
    }

    /// Appends a missing value.
    #[cfg(feature = "arrow")]
    pub(crate) fn push_missing(&mut self) {
        match self {
            Self::Number(values) => values.push(None),
            Self::Text(values) => values.push(None),
            Self::Flag(values) => values.push(None),
        }
    }

    /// The values of `rows`, in that order. Rows must exist.
    #[cfg(feature = "arrow")]
    fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Number(values) => Self::Number(rows.iter().map(|&row| values[row]).collect()),
            Self::Text(values) => Self::Text(rows.iter().map(|&row| values[row].clone()).collect()),
            Self::Flag(values) => Self::Flag(rows.iter().map(|&row| values[row]).collect()),
        }
    }

    /// Appends values of the same type; of another they would be a bug of this crate and are left out.
    #[cfg(feature = "arrow")]
    fn append(&mut self, other: Self) {
        match (self, other) {
            (Self::Number(values), Self::Number(more)) => values.extend(more),
            (Self::Text(values), Self::Text(more)) => values.extend(more),
            (Self::Flag(values), Self::Flag(more)) => values.extend(more),
            _ => {}
        }
    }
}

/// Named columns that are not part of the profile, row by row beside a table: what came of a user (outcome), which group
/// a user is in (segment), what was computed about a user (scores). `None` is missing.
///
/// ```
/// use scaletot_profile::Attributes;
///
/// let mut attributes = Attributes::new();
/// attributes.insert_number("spend", vec![Some(3.5), None])?;
/// attributes.insert_text("tier", vec![Some("gold".to_owned()), Some("basic".to_owned())])?;
/// assert_eq!(attributes.number("spend"), Some(&[Some(3.5), None][..]));
/// assert_eq!(attributes.number("tier"), None);
/// assert_eq!(attributes.names().collect::<Vec<_>>(), ["spend", "tier"]);
/// assert!(attributes.insert_flag("active", vec![Some(true)]).is_err()); // one row, the others have two
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes {
    columns: Vec<(String, Values)>,
}

impl Attributes {
    /// No columns yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The column names, in the order of insertion.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// How many columns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is no column.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// How many rows the columns have; `None` as long as there is no column.
    #[must_use]
    pub fn rows(&self) -> Option<usize> {
        self.columns.first().map(|(_, values)| values.len())
    }

    /// The numbers of that name, all finite, if there is a column of numbers so called.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<&[Option<f64>]> {
        if let Values::Number(values) = self.get(name)? { Some(values) } else { None }
    }

    /// The texts of that name, if there is a column of texts so called.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&[Option<String>]> {
        if let Values::Text(values) = self.get(name)? { Some(values) } else { None }
    }

    /// The flags of that name, if there is a column of flags so called.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<&[Option<bool>]> {
        if let Values::Flag(values) = self.get(name)? { Some(values) } else { None }
    }

    /// Adds a column of numbers, or replaces the column of that name.
    ///
    /// # Errors
    /// [`Error::Length`] if other columns have another number of rows, [`Error::Cell`] for a number that is not finite.
    pub fn insert_number(&mut self, name: impl Into<String>, values: Vec<Option<f64>>) -> Result<()> {
        let name = name.into();
        if let Some((row, x)) =
            values.iter().enumerate().find_map(|(row, x)| x.filter(|x| !x.is_finite()).map(|x| (row, x)))
        {
            return Err(Error::Cell {
                place: Place::row(row + 1),
                column: name,
                expected: "a finite number or none".to_owned(),
                found: x.to_string(),
            });
        }
        self.insert(name, Values::Number(values))
    }

    /// Adds a column of texts, or replaces the column of that name.
    ///
    /// # Errors
    /// [`Error::Length`] if other columns have another number of rows.
    pub fn insert_text(&mut self, name: impl Into<String>, values: Vec<Option<String>>) -> Result<()> {
        self.insert(name.into(), Values::Text(values))
    }

    /// Adds a column of flags, or replaces the column of that name.
    ///
    /// # Errors
    /// [`Error::Length`] if other columns have another number of rows.
    pub fn insert_flag(&mut self, name: impl Into<String>, values: Vec<Option<bool>>) -> Result<()> {
        self.insert(name.into(), Values::Flag(values))
    }

    #[cfg(any(feature = "csv", feature = "arrow"))]
    pub(crate) fn columns(&self) -> impl ExactSizeIterator<Item = (&str, &Values)> {
        self.columns.iter().map(|(name, values)| (name.as_str(), values))
    }

    fn get(&self, name: &str) -> Option<&Values> {
        self.columns.iter().find(|(other, _)| other == name).map(|(_, values)| values)
    }

    /// Bytes that they take in memory, about.
    #[cfg(feature = "arrow")]
    pub(crate) fn bytes(&self) -> u64 {
        let of = |values: &Values| match values {
            Values::Number(values) => size_of_val(&**values),
            Values::Flag(values) => size_of_val(&**values),
            Values::Text(values) => {
                size_of_val(&**values) + values.iter().flatten().map(String::len).sum::<usize>()
            }
        };
        self.columns.iter().map(|(_, values)| of(values) as u64).sum()
    }

    /// The values of `rows`, in that order. Rows must exist.
    #[cfg(feature = "arrow")]
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let columns = self.columns.iter().map(|(name, values)| (name.clone(), values.select(rows)));
        Self { columns: columns.collect() }
    }

    /// Appends the rows of attributes with the same columns.
    #[cfg(feature = "arrow")]
    pub(crate) fn append(&mut self, other: Self) {
        self.columns.iter_mut().zip(other.columns).for_each(|((_, values), (_, more))| values.append(more));
    }

    pub(crate) fn insert(&mut self, name: String, values: Values) -> Result<()> {
        let others = self.columns.iter().find(|(other, _)| *other != name);
        if let Some((_, other)) = others
            && other.len() != values.len()
        {
            return Err(Error::Length {
                what: format!("rows of attribute {name:?}"),
                expected: other.len(),
                found: values.len(),
            });
        }
        match self.columns.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = values,
            None => self.columns.push((name, values)),
        }
        Ok(())
    }
}
