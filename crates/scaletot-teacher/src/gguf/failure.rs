//! Why a file or a question cannot be used, inside this module.

use std::error::Error as StdError;
use std::sync::Arc;

use crate::error::Cause;

/// What was expected and found; the caller knows the file or the question. What a library says of it is the source, and not in the message.
/// Several questions may fail for one reason, so it can be cloned.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) source: Option<Cause>,
}

impl Failure {
    /// For `map_err`.
    pub(super) fn of<E: StdError + Send + Sync + 'static>(
        message: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        let message = message.into();
        move |error| Self { message, source: Some(Arc::new(error)) }
    }

    /// As [`of`](Self::of), for the boxed errors of `tokenizers`.
    pub(super) fn of_boxed(
        message: impl Into<String>,
    ) -> impl FnOnce(Box<dyn StdError + Send + Sync>) -> Self {
        let message = message.into();
        move |error| Self { message, source: Some(Arc::from(error)) }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message, source: None }
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}
