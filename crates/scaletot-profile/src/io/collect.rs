//! What the readers of all formats share: which columns are wanted, and rows into tables.

use std::path::Path;
use std::sync::Arc;

use super::Loaded;
use super::options::{ReadOptions, Wanted};
use crate::attributes::{Attributes, Values};
use crate::builder::TableBuilder;
use crate::cell::{self, Mismatch, Raw};
use crate::error::{Error, Result};
use crate::id::{UserId, canonical_int};
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
        path: &Path,
        there: &[&str],
        schema: &ProfileSchema,
        options: &ReadOptions,
    ) -> Result<Self> {
        check_unique(path, there)?;
        let find = |column: &str, wanted_as: &'static str| {
            there.iter().position(|name| *name == column).ok_or_else(|| Error::MissingColumn {
                path: path.to_owned(),
                column: column.to_owned(),
                wanted_as,
                there: there.iter().map(|&name| name.to_owned()).collect(),
            })
        };
        let wanted_as = |wanted: Wanted| match wanted {
            Wanted::Number => "a number",
            Wanted::Text => "a text",
            Wanted::Flag => "a flag",
        };
        Ok(Self {
            id: if options.numbered_ids { None } else { Some(find(schema.id_column(), "the user id")?) },
            fields: schema
                .fields()
                .iter()
                .map(|field| find(field.name(), "a profile field"))
                .collect::<Result<_>>()?,
            attributes: options
                .wanted
                .iter()
                .map(|(name, wanted)| find(name, wanted_as(*wanted)))
                .collect::<Result<_>>()?,
        })
    }
}

/// Refuses two columns of one name: which of them is meant cannot be known.
pub(super) fn check_unique(path: &Path, names: &[&str]) -> Result<()> {
    let mut sorted: Vec<(&str, usize)> = names.iter().copied().zip(1..).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        None => Ok(()),
        Some(pair) => Err(Error::DuplicateColumn {
            path: path.to_owned(),
            column: pair[0].0.to_owned(),
            first: pair[0].1,
            second: pair[1].1,
        }),
    }
}

/// Rows on their way into a table and its attributes.
pub(super) struct Collector<'a> {
    builder: TableBuilder,
    options: &'a ReadOptions,
    attributes: Vec<Values>,
    /// Whether a text id that is the plain form of an integer is one.
    parse_ids: bool,
}

impl<'a> Collector<'a> {
    pub(super) fn new(
        path: &Path,
        schema: &ProfileSchema,
        options: &'a ReadOptions,
        parse_ids: bool,
    ) -> Self {
        let mut builder = TableBuilder::new(schema.clone());
        builder.set_file(Arc::from(path));
        let empty = |(_, wanted): &(String, Wanted)| match wanted {
            Wanted::Number => Values::Number(Vec::new()),
            Wanted::Text => Values::Text(Vec::new()),
            Wanted::Flag => Values::Flag(Vec::new()),
        };
        Self { builder, attributes: options.wanted.iter().map(empty).collect(), options, parse_ids }
    }

    /// Where the next row stands.
    pub(super) fn place(&self) -> crate::Place {
        self.builder.place()
    }

    /// The next row begins on that line.
    #[cfg(feature = "csv")]
    pub(super) fn set_line(&mut self, line: u64) {
        self.builder.set_line(std::num::NonZeroU64::new(line));
    }

    /// Takes the next row; `field` and `attribute` give its cells. Without an id it gets its number.
    pub(super) fn push<'r>(
        &mut self,
        id: Option<Raw<'_>>,
        field: impl Fn(usize) -> Raw<'r>,
        attribute: impl Fn(usize) -> Raw<'r>,
    ) -> Result<()> {
        let id = self.id(id.unwrap_or(Raw::Int(self.builder.len() as i128 + 1)))?;
        // Before the row is in the table, whose length the place is taken from.
        for index in 0..self.attributes.len() {
            let (name, _) = &self.options.wanted[index];
            push_value(&mut self.attributes[index], attribute(index), &self.options.missing)
                .map_err(|mismatch| self.builder.mismatch(name, mismatch))?;
        }
        self.builder.push_with(id, |index, spec| cell::read(spec, field(index)))
    }

    pub(super) fn finish(self) -> Result<Loaded> {
        let mut attributes = Attributes::new();
        for ((name, _), values) in self.options.wanted.iter().zip(self.attributes) {
            attributes.insert(name.clone(), values)?;
        }
        Ok(Loaded { profiles: self.builder.finish(), attributes })
    }

    fn id(&self, raw: Raw<'_>) -> Result<UserId> {
        let column = self.builder.schema().id_column();
        match raw {
            Raw::Text(text) if self.parse_ids => {
                Ok(canonical_int(text).map_or_else(|| UserId::Text(text.to_owned()), UserId::Int))
            }
            Raw::Text(text) => Ok(UserId::Text(text.to_owned())),
            Raw::Int(int) => i64::try_from(int).map(UserId::Int).map_err(|_| {
                let expected = "a user id within signed 64 bits (larger ones can be stored as text)";
                self.builder.mismatch(column, Mismatch::new(expected, int.to_string()))
            }),
            Raw::Null => Err(Error::EmptyId { place: self.place(), column: column.to_owned() }),
            other => Err(self.builder.mismatch(column, other.mismatch("a user id, an integer or a text"))),
        }
    }
}

fn push_value(values: &mut Values, raw: Raw<'_>, missing: &[String]) -> Result<(), Mismatch> {
    let is_missing = raw.is_missing(missing);
    match values {
        Values::Number(values) => values.push(if is_missing { None } else { Some(raw.number()?) }),
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
