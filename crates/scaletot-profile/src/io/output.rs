//! What the writers of all formats share.

use std::path::Path;

use super::collect::check_unique;
use crate::attributes::Attributes;
use crate::error::{Error, Result, in_file};
use crate::field::Field;
use crate::id::UserIds;
use crate::table::ProfileTable;

/// Columns that fit each other.
pub(super) struct Output<'a> {
    pub(super) id_column: &'a str,
    pub(super) profiles: Option<&'a ProfileTable>,
    pub(super) attributes: &'a Attributes,
}

impl<'a> Output<'a> {
    pub(super) fn check(
        path: Option<&Path>,
        id_column: &'a str,
        ids: &UserIds,
        profiles: Option<&'a ProfileTable>,
        attributes: &'a Attributes,
    ) -> Result<Self> {
        let rows = ids.len();
        let fits = |what: &str, found: usize| {
            if found == rows {
                return Ok(());
            }
            Err(Error::Length { what: format!("{}rows of the {what}", in_file(path)), expected: rows, found })
        };
        fits("profiles", profiles.map_or(rows, ProfileTable::len))?;
        fits("attributes", attributes.rows().unwrap_or(rows))?;
        let output = Self { id_column, profiles, attributes };
        check_unique(path, &output.names())?;
        Ok(output)
    }

    pub(super) fn fields(&self) -> &'a [Field] {
        self.profiles.map_or(&[], |profiles| profiles.schema().fields())
    }

    /// All columns' names: id, fields, attributes.
    pub(super) fn names(&self) -> Vec<&'a str> {
        let fields = self.fields().iter().map(Field::name);
        std::iter::once(self.id_column).chain(fields).chain(self.attributes.names()).collect()
    }
}
