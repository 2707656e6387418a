//! Columnar profiles.

use std::collections::HashSet;
use std::sync::Arc;

use crate::cell::Value;
use crate::column::Column;
use crate::error::{Error, Result};
use crate::hash::{Canonical, ProfileKey};
use crate::id::{UserId, UserIds};
use crate::schema::ProfileSchema;

/// Profiles of many users, stored by column. Every value fits the schema, and no id occurs twice.
///
/// ```
/// use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder, UserId, Value};
///
/// let schema = ProfileSchema::builder("shop")
///     .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
///     .with_field(FieldSpec::numeric("income"))
///     .build()?;
/// let mut builder = TableBuilder::new(schema);
/// builder.push_text(17, &["35-54", "42000"])?;
/// builder.push_text(18, &["", "9500.5"])?;
/// let table = builder.finish();
///
/// assert_eq!(table.len(), 2);
/// assert_eq!(table.id(1), UserId::Int(18));
/// assert_eq!(table.value(0, 0), Some(Value::Code(1)));
/// assert_eq!(table.value(1, 0), None);
/// assert_eq!(table.populated(1), 1);
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ProfileTable {
    pub(crate) schema: Arc<ProfileSchema>,
    pub(crate) ids: UserIds,
    pub(crate) columns: Vec<Column>,
}

impl PartialEq for ProfileTable {
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.ids == other.ids
            && (0..self.columns.len())
                .all(|field| (0..self.len()).all(|row| self.value(row, field) == other.value(row, field)))
    }
}

/// The values of one field for all rows, as they are stored: for work on whole columns.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum FieldValues<'a> {
    /// Codes of a categorical or ordinal field, [`u32::MAX`] where missing.
    Codes(&'a [u32]),
    /// Finite numbers, NaN where missing.
    Numbers(&'a [f64]),
    /// Flags, `None` where missing.
    Flags(&'a [Option<bool>]),
    /// Sets of codes of a multi-valued field, increasing; that of row `i` is `codes[ends[i - 1]..ends[i]]`, from 0 for the first row.
    Sets {
        /// The sets, one after the other.
        codes: &'a [u32],
        /// Where each row's set ends.
        ends: &'a [usize],
        /// Whether the row has a set at all, be it empty.
        present: &'a [bool],
    },
}

impl ProfileTable {
    /// The schema that every profile fits.
    #[must_use]
    pub fn schema(&self) -> &Arc<ProfileSchema> {
        &self.schema
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The users' ids, in row order.
    #[must_use]
    pub fn ids(&self) -> &UserIds {
        &self.ids
    }

    /// The id of the user in `row`.
    ///
    /// # Panics
    /// If there is no such row, as indexing a slice does.
    #[must_use]
    pub fn id(&self, row: usize) -> UserId {
        self.ids.get(row)
    }

    /// The value of the field with that index for the user in `row`; `None` if it is missing.
    ///
    /// # Panics
    /// If there is no such row or field, as indexing a slice does.
    #[must_use]
    pub fn value(&self, row: usize, field: usize) -> Option<Value<'_>> {
        self.columns[field].value(row)
    }

    /// The values of a field for all rows; `None` if there is no such field.
    #[must_use]
    pub fn column(&self, field: usize) -> Option<FieldValues<'_>> {
        Some(match self.columns.get(field)? {
            Column::Codes(codes) => FieldValues::Codes(codes),
            Column::Numbers(numbers) => FieldValues::Numbers(numbers),
            Column::Flags(flags) => FieldValues::Flags(flags),
            Column::Lists { codes, ends, present } => FieldValues::Sets { codes, ends, present },
        })
    }

    /// How many fields of the user in `row` are not missing.
    ///
    /// # Panics
    /// If there is no such row, as indexing a slice does.
    #[must_use]
    pub fn populated(&self, row: usize) -> usize {
        assert!(row < self.len(), "row {row} of a table of {}", self.len());
        self.columns.iter().filter(|column| column.value(row).is_some()).count()
    }

    /// The table of `rows`, in that order.
    ///
    /// # Errors
    /// [`Error::Row`] for a row that is not there, [`Error::DuplicateId`] for one that is named twice.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        if let Some(&index) = rows.iter().find(|&&row| row >= self.len()) {
            return Err(Error::Row { index, rows: self.len() });
        }
        let mut seen = HashSet::with_capacity(rows.len());
        for (position, &row) in rows.iter().enumerate() {
            if !seen.insert(row) {
                return Err(Error::DuplicateId {
                    place: crate::Place::row(position + 1),
                    column: self.schema.id_column().to_owned(),
                    id: self.id(row),
                    first: rows.iter().position(|&other| other == row).unwrap_or(position) + 1,
                });
            }
        }
        Ok(Self {
            schema: Arc::clone(&self.schema),
            ids: self.ids.select(rows),
            columns: self.columns.iter().map(|column| column.select(rows)).collect(),
        })
    }

    /// Bytes that it takes in memory, about.
    #[cfg(feature = "arrow")]
    pub(crate) fn bytes(&self) -> u64 {
        let ids = match &self.ids {
            UserIds::Int(ids) => 8 * ids.len(),
            UserIds::Text(ids) => ids.iter().map(|id| id.len() + size_of::<String>()).sum(),
        };
        (ids + self.columns.iter().map(Column::bytes).sum::<usize>()) as u64
    }

    /// The key of the profile in `row`: equal for equal profiles of the same schema, whatever the ids. It is the
    /// SHA-256 of the schema's hash and the values, and the same on every machine and in every run.
    ///
    /// # Panics
    /// If there is no such row, as indexing a slice does.
    #[must_use]
    pub fn profile_key(&self, row: usize) -> ProfileKey {
        let mut out = Canonical::default();
        out.text("scaletot profile 1");
        out.text(&self.schema.hash().to_string());
        for column in &self.columns {
            match column.value(row) {
                None => out.tag(0),
                Some(Value::Code(code)) => {
                    out.tag(1);
                    out.code(code);
                }
                Some(Value::Number(number)) => {
                    out.tag(2);
                    out.number(number);
                }
                Some(Value::Flag(flag)) => {
                    out.tag(3);
                    out.tag(u8::from(flag));
                }
                Some(Value::Codes(codes)) => {
                    out.tag(4);
                    out.count(codes.len());
                    codes.iter().for_each(|&code| out.code(code));
                }
            }
        }
        ProfileKey::of(&out)
    }
}
