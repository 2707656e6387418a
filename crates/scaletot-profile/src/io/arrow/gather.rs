//! Batches one after the other into a table.

use std::path::Path;
use std::sync::Arc;

use super::super::collect::empty;
use super::super::{Loaded, ReadOptions};
use crate::attributes::Attributes;
use crate::builder::TableBuilder;
use crate::error::Result;
use crate::schema::ProfileSchema;

/// Profiles and attributes of the batches so far; no id occurs twice.
#[derive(Debug)]
pub(crate) struct Gather {
    profiles: TableBuilder,
    attributes: Attributes,
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
        Ok(Self { profiles, attributes, bytes: 0 })
    }

    /// How many rows there are so far.
    pub(crate) fn rows(&self) -> usize {
        self.profiles.len()
    }

    /// Bytes that they take so far, about.
    #[cfg(feature = "parquet")]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn push(&mut self, batch: Loaded) -> Result<()> {
        self.bytes += batch.profiles.bytes() + batch.attributes.bytes();
        self.profiles.append(batch.profiles)?;
        self.attributes.append(batch.attributes);
        Ok(())
    }

    pub(crate) fn finish(self) -> Loaded {
        Loaded { profiles: self.profiles.finish(), attributes: self.attributes }
    }
}
