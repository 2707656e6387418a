//! Files that appear whole or not at all.

use std::io::Write as _;
use std::path::Path;

use crate::error::{Error, Result};

/// Writes `bytes` to a temporary file beside `path` and renames it there. With `replace` false, an existing file is an
/// error of kind `AlreadyExists`.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8], replace: bool) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let failed = |e| Error::io("write", path, e);
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        // Temporary files are private; what they become is an ordinary file, under the user's umask.
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    if replace { file.persist(path) } else { file.persist_noclobber(path) }.map_err(|e| failed(e.error))?;
    Ok(())
}
