//! Batches one after the other into a table.

use std::path::Path;
use std::sync::Arc;

use super::super::collect::empty;
use super::super::{LeftOut, Loaded, ReadOptions, check_left_out};
use crate::attributes::Attributes;
use crate::builder::TableBuilder;
use crate::error::Result;
use crate::schema::ProfileSchema;

/// Profiles and attributes of the batches so far; no id occurs twice.
#[derive(Debug)]
pub(crate) struct Gather {
    file: Option<Arc<Path>>,
    profiles: TableBuilder,
    attributes: Attributes,
    left_out: Vec<LeftOut>,
    /// Bytes of both.
    bytes: u64,
    /// Whether a row with an id that was there before is left out.
    leave_out: bool,
}

impl Gather {
    /// No batch yet. `file` is where errors say that rows come from.
    pub(crate) fn new(
        file: Option<Arc<Path>>,
        schema: Arc<ProfileSchema>,
        options: &ReadOptions,
    ) -> Result<Self> {
        let mut profiles = TableBuilder::new(schema);
        if let Some(file) = &file {
            profiles.set_file(Arc::clone(file));
        }
        let mut attributes = Attributes::new();
        for (name, wanted) in &options.wanted {
            attributes.insert(name.clone(), empty(*wanted))?;
        }
        Ok(Self { file, profiles, attributes, left_out: Vec::new(), bytes: 0, leave_out: options.leave_out })
    }

    /// How many rows there were so far, with those that were left out.
    pub(crate) fn rows(&self) -> usize {
        self.profiles.rows_seen()
    }

    /// Bytes that they take so far, about.
    #[cfg(feature = "parquet")]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn push(&mut self, batch: Loaded) -> Result<()> {
        self.bytes += batch.profiles.bytes() + batch.attributes.bytes();
        let Loaded { profiles, attributes, mut left_out } = batch;
        let rows = profiles.len();
        self.profiles.leave_out(left_out.iter().map(|row| row.place.row));
        let mut repeated = vec![];
        let kept = self.profiles.append(profiles, |error| match self.leave_out {
            true => LeftOut::of(error).map(|row| repeated.push(row)),
            false => Err(error),
        })?;
        self.attributes.append(if kept.len() < rows { attributes.select(&kept) } else { attributes });
        left_out.append(&mut repeated);
        left_out.sort_by_key(|row| row.place.row);
        self.left_out.append(&mut left_out);
        match &self.file {
            Some(file) => check_left_out(file, &self.left_out, self.profiles.len()),
            None => Ok(()),
        }
    }

    pub(crate) fn finish(self) -> Loaded {
        Loaded { profiles: self.profiles.finish(), attributes: self.attributes, left_out: self.left_out }
    }
}
