//! What can go wrong here.

use crate::files::FileError;

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
    #[error(transparent)]
    File(#[from] FileError),
}
