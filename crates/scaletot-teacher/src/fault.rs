//! What can go wrong between a teacher and its server.

use std::time::Duration;

/// Why a server gave no usable answer.
///
/// Faults that pass are worth another try ([`is_transient`](Self::is_transient)); [`Retry`](crate::Retry) makes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Too many requests (429).
    #[error("expected an answer, found status 429, too many requests{}: {message}", wait(.retry_after))]
    RateLimited {
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
        /// Its message, cut short.
        message: String,
    },
    /// The account is at its end: no credit, or a quota that no wait brings back.
    #[error("expected an account that is in credit, found status {status}: {message}")]
    Quota {
        /// The status.
        status: u16,
        /// Its message, cut short.
        message: String,
    },
    /// The server sends requests elsewhere. They are not followed, so that a key goes to the address it was given for.
    #[error(
        "expected an answer, found status {status}, a redirect to `{location}`: give that address if it is the server that is meant"
    )]
    Redirected {
        /// The status.
        status: u16,
        /// Where to.
        location: String,
    },
    /// The server failed (5xx), or says when to come again.
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
    /// The server never gave an answer that could be read, and is probably none of the kind that is asked.
    #[error(
        "expected a server that answers in the form of OpenAI's API, found no such answer in {answers}, the last of them: {message}"
    )]
    Incompatible {
        /// Answers, none of which could be read.
        answers: u32,
        /// What was wrong with the last.
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
    /// The server refused this prompt, and says so: it is too long, or not allowed.
    #[error("expected the prompt to be taken, found status {status}: {message}")]
    PromptRefused {
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
        match self {
            Fault::RateLimited { .. }
            | Fault::Failed { .. }
            | Fault::Timeout { .. }
            | Fault::Connection { .. }
            | Fault::Malformed { .. }
            | Fault::Unusable { .. } => true,
            Fault::Quota { .. }
            | Fault::Redirected { .. }
            | Fault::Incompatible { .. }
            | Fault::UnknownModel { .. }
            | Fault::Refused { .. }
            | Fault::PromptRefused { .. }
            | Fault::Late
            | Fault::Stopped
            | Fault::CircuitOpen { .. } => false,
        }
    }

    /// Whether every other question will meet it too, however long is waited: the key is wrong, the account at its end, the model
    /// unknown, or the address that of something else. A run ends at the first of these. A status of 403 is none of them: a server has it
    /// for a wrong key, and for a prompt that it does not allow.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Fault::Quota { .. }
                | Fault::Redirected { .. }
                | Fault::Incompatible { .. }
                | Fault::UnknownModel { .. }
                | Fault::Refused { status: 401, .. }
        )
    }

    /// How long the server asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Fault::RateLimited { retry_after, .. } | Fault::Failed { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The text of the server in it, if it holds any.
    #[cfg(feature = "openai")]
    pub(crate) fn text_mut(&mut self) -> Option<&mut String> {
        match self {
            Fault::RateLimited { message, .. }
            | Fault::Quota { message, .. }
            | Fault::Redirected { location: message, .. }
            | Fault::Failed { message, .. }
            | Fault::Timeout { message }
            | Fault::Connection { message }
            | Fault::Malformed { message }
            | Fault::Unusable { message }
            | Fault::Incompatible { message, .. }
            | Fault::UnknownModel { message, .. }
            | Fault::Refused { message, .. }
            | Fault::PromptRefused { message, .. } => Some(message),
            Fault::Late | Fault::Stopped | Fault::CircuitOpen { .. } => None,
        }
    }
}

fn wait(retry_after: &Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| format!(", to be tried again in {} s", wait.as_secs()))
}
