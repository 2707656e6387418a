//! What can go wrong here.

use crate::files::FileError;

/// Short for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is not a hash.
    #[error("expected 64 hexadecimal digits, found {found:?}")]
    Hash {
        /// The text, cut after 80 characters.
        found: String,
    },
    /// The system refused something about a file or directory.
    #[error(transparent)]
    File(#[from] FileError),
}

/// An error and its causes in one line, but for causes whose message the line has already. Errors of this workspace name
/// their causes in `source()` alone; this is for where only a text can go, such as a terminal or a record.
///
/// ```
/// use scaletot_core::causes;
/// use scaletot_core::files::FileError;
///
/// let full = std::io::Error::other("disk full");
/// assert_eq!(causes(&FileError::new("write", "a.json", full)), "cannot write a.json: disk full");
/// ```
#[must_use]
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if !line.contains(&message) {
            line.push_str(": ");
            line.push_str(&message);
        }
        next = cause.source();
    }
    line
}
