use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use super::super::collect::{empty, push_value, user_id};
use super::super::{LeftOut, Loaded, ReadOptions, check_left_out};
use crate::attributes::{Attributes, Values};
use crate::builder::TableBuilder;
use crate::cell::{self, Raw};
use crate::error::Result;
use crate::schema::ProfileSchema;

/// Rows on their way into a table and its attributes.
pub(super) struct Collector<'a> {
    path: &'a Path,
    builder: TableBuilder,
    options: &'a ReadOptions,
    attributes: Vec<Values>,
    /// Whether a text id that is the plain form of an integer is one.
    parse_ids: bool,
    left_out: Vec<LeftOut>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(
        path: &'a Path,
        schema: &ProfileSchema,
        options: &'a ReadOptions,
        parse_ids: bool,
    ) -> Self {
        let mut builder = TableBuilder::new(schema.clone());
        builder.set_file(Arc::from(path));
        let attributes = options.wanted.iter().map(|(_, wanted)| empty(*wanted)).collect();
        Self { path, builder, attributes, options, parse_ids, left_out: Vec::new() }
    }

    /// The next row begins on that line.
    pub(super) fn set_line(&mut self, line: Option<NonZeroU64>) {
        self.builder.set_line(line);
    }

    /// Takes the next row; `field` and `attribute` give its cells. Without an id it gets its number.
    pub(super) fn push<'r>(
        &mut self,
        id: Option<Raw<'_>>,
        field: impl Fn(usize) -> Raw<'r>,
        attribute: impl Fn(usize) -> Raw<'r>,
    ) -> Result<()> {
        match self.try_push(id, field, attribute) {
            Err(error) if self.options.leave_out => self.leave_out(LeftOut::of(error)?),
            pushed => pushed,
        }
    }

    /// Leaves out the next row.
    pub(super) fn leave_out(&mut self, row: LeftOut) -> Result<()> {
        self.attributes.iter_mut().for_each(|values| values.truncate(self.builder.len()));
        self.builder.leave_out([row.place.row]);
        self.left_out.push(row);
        check_left_out(self.path, &self.left_out, self.builder.len())
    }

    fn try_push<'r>(
        &mut self,
        id: Option<Raw<'_>>,
        field: impl Fn(usize) -> Raw<'r>,
        attribute: impl Fn(usize) -> Raw<'r>,
    ) -> Result<()> {
        let id = id.unwrap_or_else(|| Raw::Int(self.builder.place().row as i128));
        let id = user_id(id, self.parse_ids, self.builder.schema().id_column(), || self.builder.place())?;
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
        Ok(Loaded { profiles: self.builder.finish(), attributes, left_out: self.left_out })
    }
}
