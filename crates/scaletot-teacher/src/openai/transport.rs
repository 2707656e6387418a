//! One request over HTTP, and what became of it.

use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use ureq::Agent;

use crate::fault::Fault;

/// Answers are far smaller; a server that sends more is not what it should be.
const MAX_BYTES: u64 = 16 << 20;

/// Sends requests to one address. Connections are kept and shared between threads.
pub(super) struct Transport {
    agent: Agent,
    url: String,
    key: Option<String>,
    timeout: Duration,
}

impl Transport {
    pub(super) fn new(url: String, key: Option<String>, timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // As many as a pool of workers has threads.
            .max_idle_connections(256)
            .max_idle_connections_per_host(256)
            .user_agent(concat!("scaletot-teacher/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), url, key, timeout }
    }

    /// The body of a good answer; anything else is a fault. No request lasts beyond the `deadline`.
    pub(super) fn post(&self, body: &Value, deadline: Option<Instant>) -> Result<String, Fault> {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Fault::Late);
        }
        let timeout = left.map_or(self.timeout, |left| left.min(self.timeout));
        // A server that was given less than its time has not failed.
        let broken = |error| match broken(error) {
            Fault::Timeout { .. } if timeout < self.timeout => Fault::Late,
            fault => fault,
        };
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut response =
            request.config().timeout_global(Some(timeout)).build().send(body.to_string()).map_err(broken)?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()).and_then(wait);
        let text = response.body_mut().with_config().limit(MAX_BYTES).read_to_string().map_err(broken)?;
        if (200..300).contains(&status) {
            return Ok(text);
        }
        let message: String = text.trim().chars().take(200).collect();
        Err(match status {
            429 => Fault::RateLimited { retry_after },
            408 => Fault::Timeout { message: format!("status 408: {message}") },
            500.. => Fault::Failed { status, retry_after, message },
            _ if is_about_the_model(status, &message) => Fault::UnknownModel { status, message },
            _ => Fault::Refused { status, message },
        })
    }
}

/// Whether a refusal means that there is no such model.
fn is_about_the_model(status: u16, message: &str) -> bool {
    let message = message.to_lowercase();
    let unknown = ["not found", "does not exist", "not_found", "unknown", "no such", "invalid model"];
    (status == 404 || status == 400)
        && message.contains("model")
        && unknown.iter().any(|text| message.contains(text))
}

fn broken(error: ureq::Error) -> Fault {
    match error {
        ureq::Error::Timeout(which) => Fault::Timeout { message: which.to_string() },
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            Fault::Timeout { message: error.to_string() }
        }
        ureq::Error::BodyExceedsLimit(limit) => {
            Fault::Malformed { message: format!("more than {limit} bytes") }
        }
        other => Fault::Connection { message: other.to_string() },
    }
}

/// `Retry-After`: seconds, or a date.
fn wait(value: &str) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_say_how_long_to_wait() {
        assert_eq!(wait("3"), Some(Duration::from_secs(3)));
        assert_eq!(wait("0.5"), Some(Duration::from_millis(500)));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        assert!((25..=30).contains(&wait(&soon).unwrap().as_secs()));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!((wait("soon"), wait("-1")), (None, None));
    }

    #[test]
    fn an_unknown_model_is_told_from_other_refusals() {
        assert!(is_about_the_model(404, r#"{"error":{"message":"The model `x` does not exist"}}"#));
        assert!(is_about_the_model(400, "model 'x' not found"));
        assert!(!is_about_the_model(404, "no such route"));
        assert!(!is_about_the_model(401, "unknown key for this model"));
    }
}
