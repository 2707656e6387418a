//! Reading files, and writing several that belong together.

use std::fs;
use std::io::Write;
use std::path::Path;

use scaletot_core::files::{AtomicFile, FileError, create_dir_all};

use crate::error::Result;

/// Writes files to a directory, which is created if it is not there. All are whole beside their places before the first takes
/// its name, and they take their names in their order.
pub(crate) fn write_together<'a>(
    dir: &Path,
    contents: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<()> {
    create_dir_all(dir)?;
    let write = |(name, bytes): (&str, &[u8])| -> Result<AtomicFile> {
        let mut file = AtomicFile::create(dir.join(name))?;
        file.write_all(bytes).map_err(|e| file.error(e))?;
        file.sync()?;
        Ok(file)
    };
    let written = contents.into_iter().map(write).collect::<Result<Vec<_>>>()?;
    written.into_iter().try_for_each(|file| Ok(file.commit()?))
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    Ok(fs::read(path).map_err(|e| FileError::new("read", path, e))?)
}
