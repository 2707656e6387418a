//! What the readers of all formats share: which columns are wanted, and what ids and further columns are made of.

use std::path::Path;

use super::options::{ReadOptions, Wanted};
use crate::attributes::Values;
use crate::cell::{Mismatch, Raw};
use crate::error::{Error, Result};
use crate::id::{UserId, canonical_int};
use crate::place::Place;
use crate::schema::ProfileSchema;

/// The positions of the wanted columns in a file.
#[derive(Debug)]
pub(super) struct Layout {
    /// `None` if the rows are numbered.
    pub(super) id: Option<usize>,
    /// In the schema's order.
    pub(super) fields: Vec<usize>,
    /// In the options' order.
    pub(super) attributes: Vec<usize>,
}

impl Layout {
    /// Finds the wanted columns among those that are there.
    pub(super) fn find(
        path: Option<&Path>,
        there: &[&str],
        schema: &ProfileSchema,
        options: &ReadOptions,
    ) -> Result<Self> {
        let find = |column, wanted_as| find(path, there, column, wanted_as);
        Ok(Self {
            id: if options.numbered_ids { None } else { Some(find(schema.id_column(), "the user id")?) },
            fields: schema
                .fields()
                .iter()
                .map(|field| find(field.name(), "a profile field"))
                .collect::<Result<_>>()?,
            attributes: Self::attributes(path, there, options)?,
        })
    }

    /// The positions of all wanted columns, ascending.
    #[cfg(feature = "parquet")]
    pub(super) fn positions(&self) -> Vec<usize> {
        let all = self.id.iter().chain(&self.fields).chain(&self.attributes);
        let mut positions: Vec<usize> = all.copied().collect();
        positions.sort_unstable();
        positions.dedup();
        positions
    }

    /// Finds the further columns alone, in the options' order.
    pub(super) fn attributes(
        path: Option<&Path>,
        there: &[&str],
        options: &ReadOptions,
    ) -> Result<Vec<usize>> {
        let wanted_as = |wanted: Wanted| match wanted {
            Wanted::Number => "a number",
            Wanted::Text => "a text",
            Wanted::Flag => "a flag",
        };
        options.wanted.iter().map(|(name, wanted)| find(path, there, name, wanted_as(*wanted))).collect()
    }
}

/// The position of a column. One whose name occurs twice is refused: which of the two is meant cannot be known.
fn find(path: Option<&Path>, there: &[&str], column: &str, wanted_as: &'static str) -> Result<usize> {
    let mut positions = there.iter().enumerate().filter(|(_, name)| **name == column);
    match (positions.next(), positions.next()) {
        (Some((position, _)), None) => Ok(position),
        (Some((first, _)), Some((second, _))) => Err(Error::DuplicateColumn {
            path: path.map(Path::to_owned),
            column: column.to_owned(),
            first: first + 1,
            second: second + 1,
        }),
        (None, _) => Err(Error::MissingColumn {
            path: path.map(Path::to_owned),
            column: column.to_owned(),
            wanted_as,
            there: there.iter().map(|&name| name.to_owned()).collect(),
        }),
    }
}

/// Refuses two columns of one name in what is written.
pub(super) fn check_unique(path: Option<&Path>, names: &[&str]) -> Result<()> {
    let mut sorted: Vec<(&str, usize)> = names.iter().copied().zip(1..).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        None => Ok(()),
        Some(pair) => Err(Error::DuplicateColumn {
            path: path.map(Path::to_owned),
            column: pair[0].0.to_owned(),
            first: pair[0].1,
            second: pair[1].1,
        }),
    }
}

/// No values yet.
pub(super) fn empty(wanted: Wanted) -> Values {
    match wanted {
        Wanted::Number => Values::Number(Vec::new()),
        Wanted::Text => Values::Text(Vec::new()),
        Wanted::Flag => Values::Flag(Vec::new()),
    }
}

/// The id in a cell of the id column `column`; `parse` says whether a text that is the plain form of an integer is one.
pub(super) fn user_id(
    raw: Raw<'_>,
    parse: bool,
    column: &str,
    place: impl FnOnce() -> Place,
) -> Result<UserId> {
    let mismatch = |place: Place, Mismatch { expected, found }: Mismatch| {
        Err(Error::Cell { place, column: column.to_owned(), expected, found })
    };
    match raw {
        Raw::Null => Err(Error::EmptyId { place: place(), column: column.to_owned() }),
        Raw::Text(text) if text.trim().is_empty() => {
            Err(Error::EmptyId { place: place(), column: column.to_owned() })
        }
        Raw::Text(text) if parse => {
            Ok(canonical_int(text).map_or_else(|| UserId::Text(text.to_owned()), UserId::Int))
        }
        Raw::Text(text) => Ok(UserId::Text(text.to_owned())),
        Raw::Int(int) => i64::try_from(int).map(UserId::Int).or_else(|_| {
            let expected = "a user id within signed 64 bits (larger ones can be stored as text)";
            mismatch(place(), Mismatch::new(expected, int.to_string()))
        }),
        other => mismatch(place(), other.mismatch("a user id, an integer or a text")),
    }
}

pub(super) fn push_value(values: &mut Values, raw: Raw<'_>, missing: &[String]) -> Result<(), Mismatch> {
    let is_missing = raw.is_missing(missing);
    match values {
        Values::Number(values) => {
            values.push(if is_missing || raw.is_no_number() { None } else { Some(raw.number()?) });
        }
        Values::Flag(values) => values.push(if is_missing { None } else { Some(raw.flag()?) }),
        Values::Text(values) => {
            let text = match (&raw, raw.as_text()) {
                _ if is_missing => None,
                // As it came: these texts are handed on, not looked up.
                (Raw::Text(text), _) => Some((*text).to_owned()),
                (_, Some(text)) => Some(text.into_owned()),
                (_, None) => return Err(raw.mismatch("a text")),
            };
            values.push(text);
        }
    }
    Ok(())
}
