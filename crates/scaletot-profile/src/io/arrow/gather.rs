//! Batches one after the other into a table.

use std::path::Path;
use std::sync::Arc;

use super::super::collect::empty;
use super::super::{LeftOut, Loaded, ReadOptions};
use crate::attributes::Attributes;
use crate::builder::TableBuilder;
use crate::error::Result;
use crate::schema::ProfileSchema;

/// Profiles and attributes of the batches so far; no id occurs twice.
#[derive(Debug)]
pub(crate) struct Gather {
    profiles: TableBuilder,
    attributes: Attributes,
    left_out: Vec<LeftOut>,
    /// Bytes of both.
    bytes: u64,
}

impl Gather {
    /// No batch yet. `file` is where errors say that rows come from.
    pub(crate) fn new(
        file: Option<Arc<Path>>,
        schema: Arc<ProfileSchema>,
        options: &ReadOptions,
    ) -> Result<Self> {
        let mut profiles = TableBuilder::new(schema);
        if let Some(file) = file {
            profiles.set_file(file);
        }
        let mut attributes = Attributes::new();
        for (name, wanted) in &options.wanted {
            attributes.insert(name.clone(), empty(*wanted))?;
        }
        Ok(Self { profiles, attributes, left_out: Vec::new(), bytes: 0 })
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
        self.profiles.leave_out(batch.left_out.iter().map(|row| row.place.row));
        self.profiles.append(batch.profiles)?;
        self.attributes.append(batch.attributes);
        self.left_out.extend(batch.left_out);
        Ok(())
    }

    pub(crate) fn finish(self) -> Loaded {
        Loaded { profiles: self.profiles.finish(), attributes: self.attributes, left_out: self.left_out }
    }
}
