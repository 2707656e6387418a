//! What can go wrong here.

use std::io;
use std::path::{Path, PathBuf};

/// Short for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is not a hash.
    #[error("expected 64 hexadecimal digits, got {found:?}")]
    Hash {
        /// The text, cut after 80 characters.
        found: String,
    },
    /// The system refused something about a file or directory.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: a verb such as "read".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: the system refused to `action` what is at `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
