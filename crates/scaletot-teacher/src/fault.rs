//! What can go wrong between a teacher and its server.

use std::time::Duration;

/// Why a server gave no usable answer.
///
/// Faults that pass are worth another try ([`is_transient`](Self::is_transient)); [`Retry`](crate::Retry) makes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Too many requests (429).
    #[error("expected an answer, found status 429, too many requests{}", wait(.retry_after))]
    RateLimited {
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
    /// The server failed (5xx).
    #[error("expected an answer, found status {status}{}: {message}", wait(.retry_after))]
    Failed {
        /// The status.
        status: u16,
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
        /// Its message, cut short.
        message: String,
    },
    /// No answer came in time.
    #[error("expected an answer within the time limit, found none ({message})")]
    Timeout {
        /// Which limit.
        message: String,
    },
    /// The connection could not be made, or broke.
    #[error("expected a connection, found: {message}")]
    Connection {
        /// The system's message.
        message: String,
    },
    /// The answer is not whole JSON: cut short, a page in HTML, a bare `NaN`.
    #[error("expected an answer in JSON, found {message}")]
    Malformed {
        /// What came.
        message: String,
    },
    /// The answer is JSON and cannot be used: no choice, a log-probability that is none, no label among the tokens.
    #[error("{message}")]
    Unusable {
        /// What was expected and what came.
        message: String,
    },
    /// The server does not know the model.
    #[error("expected the server to know the model, found status {status}: {message}")]
    UnknownModel {
        /// The status.
        status: u16,
        /// Its message, cut short.
        message: String,
    },
    /// The server refused the request (4xx): a wrong key, a parameter that it does not take.
    #[error("expected the request to be taken, found status {status}: {message}")]
    Refused {
        /// The status.
        status: u16,
        /// Its message, cut short.
        message: String,
    },
    /// The question's time is over ([`Question::deadline`](crate::Question::deadline)); it tells nothing about the server.
    #[error("expected an answer within the time for this user, found none")]
    Late,
    /// Nobody waits for the answer any more ([`Question::stopped`](crate::Question::stopped)); it tells nothing about the server.
    #[error("expected an answer, found that the run is to stop")]
    Stopped,
    /// The circuit breaker is open: the server failed too often in a row, and was not asked.
    #[error(
        "expected a server that answers, but it failed {failures} times in a row and is left alone for a while"
    )]
    CircuitOpen {
        /// Failures in a row.
        failures: u32,
    },
}

impl Fault {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        !matches!(
            self,
            Fault::UnknownModel { .. }
                | Fault::Refused { .. }
                | Fault::Late
                | Fault::Stopped
                | Fault::CircuitOpen { .. }
        )
    }

    /// Whether every other question will meet it too, however long is waited: the key is wrong, or the model unknown. A run
    /// ends at the first of these.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Fault::UnknownModel { .. } | Fault::Refused { status: 401..=403, .. })
    }

    /// How long the server asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Fault::RateLimited { retry_after } | Fault::Failed { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

fn wait(retry_after: &Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| format!(", to be tried again in {} s", wait.as_secs()))
}
