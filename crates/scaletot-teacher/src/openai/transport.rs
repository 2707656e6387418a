//! One request over HTTP, and what became of it.

use std::io::Read;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use flate2::read::MultiGzDecoder;
use ureq::{Agent, Proxy};

use super::address::{Address, Secret};
use crate::fault::Fault;
use crate::question::Question;

/// Answers are far smaller; a server that sends more, or what unpacks to more, is not what it should be.
const MAX_BYTES: u64 = 16 << 20;
/// Of a refusal so much is read, and the rest left.
const MAX_REFUSAL: u64 = 64 << 10;
/// How much longer than its time limit a request is waited for, before it is left to itself.
const GRACE: Duration = Duration::from_secs(1);

/// What a server answered, whether it is an answer or a refusal.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) status: u16,
    /// How long the server asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// Where the request is sent elsewhere.
    pub(super) location: Option<String>,
    /// The body, as it came.
    pub(super) text: String,
}

impl Answered {
    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Sends requests to one address. Connections are kept and shared between threads.
pub(super) struct Transport {
    agent: Agent,
    url: String,
    key: Option<Secret>,
    timeout: Duration,
}

impl Transport {
    /// To the endpoint at `path` below an address.
    pub(super) fn new(address: &Address, path: &str, key: Option<Secret>, timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A key goes to the address it was given for: where else to is told, and not followed.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // As many as a pool of workers has threads.
            .max_idle_connections(256)
            .max_idle_connections_per_host(256)
            // What goes to this machine need not leave it.
            .proxy(if address.is_local() { None } else { Proxy::try_from_env() })
            .user_agent(concat!("scaletot-teacher/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), url: format!("{}/{path}", address.url()), key, timeout }
    }

    /// What a server may echo and nobody should see: the key, and the password of a proxy on the way.
    pub(super) fn secrets(&self) -> Vec<String> {
        let proxy = self.agent.config().proxy().and_then(|proxy| proxy.password().map(str::to_owned));
        self.key.iter().map(|key| key.text().to_owned()).chain(proxy).collect()
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// What the server answers; a fault if it does not. No request lasts beyond the question's deadline, or after it was stopped.
    pub(super) fn post(&self, body: String, question: &Question<'_>) -> Result<Answered, Fault> {
        let left = question.deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Fault::Late);
        }
        if question.stopped() {
            return Err(Fault::Stopped);
        }
        let timeout = left.map_or(self.timeout, |left| left.min(self.timeout));
        let (agent, url, key) = (self.agent.clone(), self.url.clone(), self.key.clone());
        let (sender, receiver) = sync_channel(1);
        // On a thread of its own, since a read from a socket cannot be called off: one whose answer nobody waits for any more ends
        // with its time limit.
        std::thread::Builder::new()
            .name("scaletot-request".to_owned())
            .spawn(move || {
                // Nobody may wait for it any more.
                let _ = sender.send(exchange(&agent, &url, key.as_ref(), body, timeout));
            })
            .map_err(|error| Fault::Connection { message: format!("no thread for a request: {error}") })?;
        let began = Instant::now();
        let exchanged = loop {
            match receiver.recv_timeout(Question::STOP_INTERVAL.min(timeout)) {
                Ok(exchanged) => break exchanged,
                Err(RecvTimeoutError::Timeout) if question.stopped() => return Err(Fault::Stopped),
                Err(RecvTimeoutError::Timeout) if began.elapsed() <= timeout.saturating_add(GRACE) => {}
                Err(RecvTimeoutError::Timeout) => break Err(in_time()),
                Err(RecvTimeoutError::Disconnected) => {
                    break Err(Fault::Connection { message: "the HTTP client panicked".to_owned() });
                }
            }
        };
        match exchanged {
            // A server that was given less than its time has not failed.
            Err(Fault::Timeout { .. }) if timeout < self.timeout => Err(Fault::Late),
            Err(Fault::Timeout { message }) if message.is_empty() => {
                Err(Fault::Timeout { message: format!("{} s for a request", timeout.as_secs_f32()) })
            }
            exchanged => exchanged,
        }
    }
}

/// Sends a request and reads what comes.
fn exchange(
    agent: &Agent,
    url: &str,
    key: Option<&Secret>,
    body: String,
    timeout: Duration,
) -> Result<Answered, Fault> {
    let mut request = agent.post(url).header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {}", key.text()));
    }
    let mut response = request.config().timeout_global(Some(timeout)).build().send(body).map_err(broken)?;
    let status = response.status().as_u16();
    let header = |name: &str| {
        response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let retry_after = header("retry-after-ms")
        .and_then(|value| wait_of(&value, 1e-3))
        .or_else(|| header("retry-after").and_then(|value| wait_of(&value, 1.0)));
    let (location, encoding) = (header("location"), header("content-encoding").unwrap_or_default());
    let good = (200..300).contains(&status);
    let most = if good { MAX_BYTES } else { MAX_REFUSAL };
    let (bytes, read) = read_up_to(response.body_mut().with_config().reader(), most);
    // A refusal that is cut is a refusal.
    if good {
        read?;
    }
    let text = match unpacked(bytes, &encoding, most) {
        // The status of a refusal tells more than what is wrong with its body.
        Err(fault) if !good => fault.to_string(),
        text => text?,
    };
    Ok(Answered { status, retry_after, location, text })
}

/// At most so many bytes, and how reading ended.
fn read_up_to(mut body: impl Read, most: u64) -> (Vec<u8>, Result<(), Fault>) {
    let mut bytes = Vec::new();
    let read = body.by_ref().take(most + 1).read_to_end(&mut bytes);
    let ended = match read {
        Err(error) => Err(broken(error.into())),
        Ok(_) if bytes.len() as u64 > most => Err(too_long(most)),
        Ok(_) => Ok(()),
    };
    (bytes, ended)
}

fn too_long(most: u64) -> Fault {
    Fault::Malformed { message: format!("more than {most} bytes") }
}

/// The text of a body, unpacked if a server sends it packed unasked. What is no UTF-8 becomes U+FFFD.
fn unpacked(bytes: Vec<u8>, encoding: &str, most: u64) -> Result<String, Fault> {
    let is_gzip = encoding.to_lowercase().contains("gzip") || bytes.starts_with(&[0x1f, 0x8b]);
    let plain = encoding.is_empty() || encoding.eq_ignore_ascii_case("identity");
    let bytes = match (is_gzip, plain) {
        (true, _) => {
            let mut whole = Vec::new();
            let read = MultiGzDecoder::new(bytes.as_slice()).take(most + 1).read_to_end(&mut whole);
            read.map_err(|error| Fault::Malformed { message: format!("damaged gzip ({error})") })?;
            if whole.len() as u64 > most {
                return Err(too_long(most));
            }
            whole
        }
        (false, true) => bytes,
        (false, false) => {
            return Err(Fault::Malformed {
                message: format!("the encoding `{encoding}`, which was not asked for"),
            });
        }
    };
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The limit is the caller's, who adds it.
fn in_time() -> Fault {
    Fault::Timeout { message: String::new() }
}

fn broken(error: ureq::Error) -> Fault {
    match error {
        ureq::Error::Timeout(_) => in_time(),
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => in_time(),
        ureq::Error::Protocol(error) => Fault::Malformed { message: format!("no HTTP ({error})") },
        ureq::Error::LargeResponseHeader(found, most) => {
            Fault::Malformed { message: format!("{found} bytes of headers, where at most {most} are read") }
        }
        other => Fault::Connection { message: other.to_string() },
    }
}

/// `Retry-After`: a number, of so many seconds each, or a date.
fn wait_of(value: &str, unit: f64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(number) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(number * unit).ok();
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn servers_say_how_long_to_wait() {
        let wait = |value| wait_of(value, 1.0);
        assert_eq!(wait("3"), Some(Duration::from_secs(3)));
        assert_eq!(wait("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(wait_of("1500", 1e-3), Some(Duration::from_millis(1500)));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        assert!((25..=30).contains(&wait(&soon).unwrap().as_secs()));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        for nonsense in ["soon", "-1", "NaN", "inf", "1e30"] {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn packed_answers_are_read_and_bombs_are_not_unpacked() {
        let pack = |bytes: &[u8]| {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(bytes).unwrap();
            packed.finish().unwrap()
        };
        assert_eq!(unpacked(pack(b"{}"), "gzip", 10), Ok("{}".to_owned()));
        assert_eq!(unpacked(pack(b"{}"), "", 10), Ok("{}".to_owned()));
        assert_eq!(unpacked(b"{}".to_vec(), "identity", 10), Ok("{}".to_owned()));
        assert_eq!(unpacked(b"a\xf0\x9fb".to_vec(), "", 10), Ok("a\u{fffd}b".to_owned()));
        let bomb = pack(&vec![b' '; 1 << 20]);
        assert!(
            matches!(unpacked(bomb, "gzip", 1000), Err(Fault::Malformed { message }) if message == "more than 1000 bytes")
        );
        assert!(matches!(unpacked(b"{}".to_vec(), "gzip", 10), Err(Fault::Malformed { .. })));
        assert!(
            matches!(unpacked(b"{}".to_vec(), "br", 10), Err(Fault::Malformed { message }) if message.contains("`br`"))
        );
    }
}
