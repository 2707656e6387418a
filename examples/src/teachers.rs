//! The teacher that was asked for, behind one type.

use std::path::Path;

use anyhow::{Context, Result};
use scaletot::chain::ChainSchema;
use scaletot::profile::ProfileSchema;
use scaletot::teacher::{Replay, Rules, Teacher};

use crate::options::TeacherChoice;

/// Opens the teacher.
///
/// # Errors
/// If its file cannot be read or does not fit the schemas, or it needs a feature that this build lacks.
pub fn open(choice: &TeacherChoice, schema: &ProfileSchema, chain: &ChainSchema) -> Result<Box<dyn Teacher>> {
    Ok(match choice {
        TeacherChoice::Replay(path) => Box::new(Replay::open(path).context("the recorded answers")?),
        TeacherChoice::Rules(path) => Box::new(Rules::load(path, schema, chain).context("the expert rules")?),
        TeacherChoice::Gguf(path) => gguf(path)?,
    })
}

#[cfg(feature = "gguf")]
fn gguf(path: &Path) -> Result<Box<dyn Teacher>> {
    use scaletot::teacher::gguf::{Gguf, GgufOptions};
    Ok(Box::new(Gguf::open(path, GgufOptions::default()).context("the GGUF model")?))
}

#[cfg(not(feature = "gguf"))]
fn gguf(path: &Path) -> Result<Box<dyn Teacher>> {
    anyhow::bail!(
        "{}: this build has no GGUF teacher: run again with `--features gguf` before the `--`",
        path.display()
    )
}
