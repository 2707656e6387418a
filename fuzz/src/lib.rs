//! What the targets read, shared with the program that writes the seeds: a chain schema and a problem here.

pub mod artifact;
pub mod profiles;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use scaletot_chain::{ChainSchema, StateDef};
use scaletot_search::Problem;

/// Two states.
#[must_use]
pub fn schema() -> ChainSchema {
    ChainSchema::builder("shopper")
        .with_state(StateDef::ordinal("need", ["low", "high"]))
        .with_state(StateDef::ordinal("spend", ["low", "moderate", "high"]).with_depends_on(["need"]))
        .build()
        .expect("a valid schema")
}

/// Three steps; a path that ends in 0 twice is complete.
#[derive(Debug, Clone, Copy)]
pub struct Steps;

impl Problem for Steps {
    type Thought = u8;

    fn depth(&self) -> usize {
        3
    }

    fn is_complete(&self, path: &[u8]) -> bool {
        path.len() == 3 || path.ends_with(&[0, 0])
    }

    fn admissible(&self, path: &[u8], thought: &u8) -> bool {
        path.last() != Some(&1) || *thought != 1
    }

    fn evaluates(&self) -> bool {
        true
    }

    fn state(&self, path: &[u8]) -> Option<u128> {
        (path.len() == 2).then(|| path.iter().map(|t| u128::from(*t)).sum())
    }
}

/// Overwrites a file. One that is cut to nothing first is written to the disk at once by some file systems, which takes most of the time.
pub fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}
