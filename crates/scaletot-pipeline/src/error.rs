//! What can go wrong in a run.

use std::error::Error as StdError;

pub use scaletot_core::causes;

use scaletot_core::config::ConfigError;
use scaletot_core::files::{FileError, LockError};

/// Errors of this crate. A message says what was expected, what came and where; its cause is in `source()`, and
/// [`causes`] puts both into one line for a terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of range or contradicts another.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or table does not hold what the run needs.
    #[error("{0}")]
    Input(String),
    /// The run was stopped on request. What is finished is kept, and the same call resumes it.
    #[error("stopped on request; the same call resumes")]
    Stopped,
    /// A feature of this crate is needed that it was compiled without.
    #[error("{what} is not compiled in: it needs the feature `{feature}`")]
    MissingFeature {
        /// What was asked for.
        what: String,
        /// The feature.
        feature: &'static str,
    },
    /// Another run is writing to the same directory.
    #[error(transparent)]
    InUse(LockError),
    /// Something failed while the run did what the message says.
    #[error("{context}")]
    Context {
        /// What was done, to what.
        context: String,
        /// Why it failed.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The system refused something about a file or directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// A profile table, its schema or a file of profiles.
    #[error(transparent)]
    Profile(#[from] scaletot_profile::Error),
    /// A chain, its schema or a corpus.
    #[error(transparent)]
    Chain(#[from] scaletot_chain::Error),
    /// A search.
    #[error(transparent)]
    Search(#[from] scaletot_search::Error),
    /// A teacher.
    #[error(transparent)]
    Teacher(scaletot_teacher::Error),
    /// A student or its training.
    #[error(transparent)]
    Student(scaletot_student::Error),
    /// A profile encoder, its training or its artifact.
    #[error(transparent)]
    Encoder(scaletot_encoder::Error),
    /// A value model.
    #[error(transparent)]
    Value(scaletot_ltv::Error),
    /// A metric.
    #[error(transparent)]
    Eval(#[from] scaletot_eval::Error),
    /// An error of a library that reads, writes or draws; mostly the source of a [`Context`](Self::Context), which names the file.
    #[error(transparent)]
    Library(Box<dyn StdError + Send + Sync>),
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        match error {
            LockError::File(error) => Self::File(error),
            held => Self::InUse(held),
        }
    }
}

macro_rules! errors_or_stops {
    ($($error:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                if is_stop(&error) { Self::Stopped } else { Self::$variant(error) }
            }
        }
    )+};
}

// However deep the work was that heard the wish to stop, it is no failure of it.
errors_or_stops!(
    scaletot_teacher::Error => Teacher,
    scaletot_student::Error => Student,
    scaletot_encoder::Error => Encoder,
    scaletot_ltv::Error => Value,
);

/// Whether an error, or what caused it, is a wish to stop that was heard, and no failure.
#[must_use]
pub fn is_stop(error: &(dyn StdError + 'static)) -> bool {
    let heard = |error: &(dyn StdError + 'static)| {
        matches!(error.downcast_ref(), Some(Error::Stopped))
            || matches!(error.downcast_ref(), Some(scaletot_teacher::Error::Stopped))
            || matches!(error.downcast_ref(), Some(scaletot_student::Error::Stopped { .. }))
            || matches!(error.downcast_ref(), Some(scaletot_encoder::Error::Stopped { .. }))
            || matches!(error.downcast_ref(), Some(scaletot_ltv::Error::Stopped))
    };
    let mut cause = Some(error);
    while let Some(error) = cause {
        if heard(error) {
            return true;
        }
        cause = error.source();
    }
    false
}

macro_rules! library_errors {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Library(Box::new(error))
            }
        }
    )+};
}

library_errors!(
    std::io::Error,
    std::path::StripPrefixError,
    std::num::TryFromIntError,
    serde_json::Error,
    csv::Error,
    arrow_schema::ArrowError,
    parquet::errors::ParquetError,
    glob::PatternError,
    glob::GlobError,
    ndarray::ShapeError,
);

#[cfg(feature = "report")]
impl<E: StdError + Send + Sync + 'static> From<plotters::drawing::DrawingAreaErrorKind<E>> for Error {
    fn from(error: plotters::drawing::DrawingAreaErrorKind<E>) -> Self {
        Self::Library(Box::new(error))
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was done when an error came.
pub(crate) trait Context<T> {
    fn context(self, context: impl Into<String>) -> Result<T>;
    fn with_context<S: Into<String>>(self, context: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn context(self, context: impl Into<String>) -> Result<T> {
        self.with_context(|| context)
    }

    fn with_context<S: Into<String>>(self, context: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|source| Error::Context { context: context().into(), source: source.into() })
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, context: impl Into<String>) -> Result<T> {
        self.ok_or_else(|| Error::Input(context.into()))
    }

    fn with_context<S: Into<String>>(self, context: impl FnOnce() -> S) -> Result<T> {
        self.ok_or_else(|| Error::Input(context().into()))
    }
}

/// Returns [`Error::Input`] with a formatted message.
macro_rules! bail {
    ($($message:tt)*) => {
        return Err($crate::error::Error::Input(format!($($message)*)))
    };
}

/// Returns [`Error::Input`] with a formatted message unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err($crate::error::Error::Input(format!($($message)*)));
        }
    };
}

pub(crate) use {bail, ensure};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let io = std::io::Error::other("disk full");
        let inner = Error::Context { context: "cannot write a.json".to_owned(), source: Box::new(io) };
        let outer = Err::<(), _>(inner).context("stage `reason`").unwrap_err();
        assert_eq!(outer.to_string(), "stage `reason`");
        assert_eq!(causes(&outer), "stage `reason`: cannot write a.json: disk full");
        assert_eq!(causes(&Error::Stopped), Error::Stopped.to_string());
    }

    #[test]
    fn a_wish_to_stop_that_was_heard_deep_down_is_no_failure() {
        let deep = scaletot_encoder::Error::Stopped { epochs: 3 };
        let within = Err::<(), _>(Error::from(deep)).context("stage `value model`").unwrap_err();
        assert!(is_stop(&within));
        assert!(is_stop(&scaletot_ltv::Error::Stopped));
        let failed = Err::<(), _>(std::io::Error::other("disk full")).context("stage `reason`").unwrap_err();
        assert!(!is_stop(&failed));
    }
}
