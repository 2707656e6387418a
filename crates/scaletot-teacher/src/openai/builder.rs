//! Sets up a model behind a server.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;

use scaletot_core::config::{ConfigError, check};

use super::OpenAi;
use super::abilities::Abilities;
use super::address::{Address, KeySource};
use super::sanitise::Sanitiser;
use super::scoring::{Endpoint, Scoring};
use super::transport::Transport;
use crate::credentials::without_credentials;
use crate::error::Result;

/// Sets up an [`OpenAi`].
#[derive(Clone)]
pub struct OpenAiBuilder {
    url: String,
    model: String,
    name: Option<String>,
    endpoint: Endpoint,
    scoring: Option<Scoring>,
    top: u32,
    samples: u32,
    samples_per_request: u32,
    timeout: Duration,
    key: KeySource,
    unencrypted_key: bool,
}

impl OpenAiBuilder {
    /// Sets the name in prompt keys, replay files and corpus headers; by default the model, the endpoint, the server's
    /// address and how distributions are obtained.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the endpoint; by default completions.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// Sets how distributions are obtained; by default whatever the server can do, in the order of [`Scoring`].
    #[must_use]
    pub fn with_scoring(mut self, scoring: Scoring) -> Self {
        self.scoring = Some(scoring);
        self
    }

    /// Sets the number of most probable tokens to ask for, at least 1; by default 20. Where a server refuses so many, 5 are asked for.
    #[must_use]
    pub fn with_top(mut self, top: u32) -> Self {
        self.top = top;
        self
    }

    /// Sets the number of samples where nothing else can be had, from 1 to 10,000; by default 20.
    #[must_use]
    pub fn with_samples(mut self, samples: u32) -> Self {
        self.samples = samples;
        self
    }

    /// Sets how many of the samples are asked for in one request (`n`), at least 1; by default all, and one by one of a server that
    /// refuses several.
    #[must_use]
    pub fn with_samples_per_request(mut self, samples: u32) -> Self {
        self.samples_per_request = samples;
        self
    }

    /// Sets the time limit of one request, above 0 and at most seven days; by default 60 s.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the API key. It is sent to this server and nowhere else; an empty one is none.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = KeySource::given(key);
        self
    }

    /// Sets the environment variable that holds the API key for this server; one that is not set, or empty, is no key. By default
    /// `OPENAI_API_KEY` is sent to api.openai.com, and no other server is sent a key.
    #[must_use]
    pub fn with_key_variable(mut self, variable: impl Into<String>) -> Self {
        self.key = KeySource::Variable(variable.into());
        self
    }

    /// Sets whether a key may be sent unencrypted, by `http`, to a server on another machine; by default it may not. To this
    /// machine it always may.
    #[must_use]
    pub fn with_unencrypted_key(mut self, unencrypted: bool) -> Self {
        self.unencrypted_key = unencrypted;
        self
    }

    /// The teacher. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if the address is no `http` or `https` one or holds a user name and a password, a number is 0, the
    /// key is not printable ASCII or would be sent unencrypted to another machine, or echo is wanted of a chat endpoint.
    pub fn build(self) -> Result<OpenAi> {
        let address = Address::parse(&self.url)?;
        let (top, samples) = match self.scoring {
            Some(Scoring::TopTokens { top }) => (top, self.samples),
            Some(Scoring::Sample { samples, .. }) => (self.top, samples),
            _ => (self.top, self.samples),
        };
        check(top > 0, "top", "at least 1", top)?;
        check((1..=10_000).contains(&samples), "samples", "from 1 to 10,000", samples)?;
        check(self.samples_per_request > 0, "samples_per_request", "at least 1", 0)?;
        let longest = Duration::from_secs(7 * 24 * 3600);
        let in_range = !self.timeout.is_zero() && self.timeout <= longest;
        check(in_range, "timeout", "above 0 and at most seven days", format!("{:?}", self.timeout))?;
        if self.endpoint == Endpoint::Chat && self.scoring == Some(Scoring::Echo) {
            return Err(ConfigError::new("scoring", "one that a chat endpoint has", "echo").into());
        }
        let key = self.key.key(&address, self.unencrypted_key)?;
        let path = match self.endpoint {
            Endpoint::Completions => "completions",
            Endpoint::Chat => "chat/completions",
        };
        // Whatever answers depend on is in the name, under which they are kept.
        let how = self
            .scoring
            .map_or_else(|| format!("top {top} or {samples} samples"), |scoring| scoring.to_string());
        let name = self.name.unwrap_or_else(|| format!("{}, {path} of {}, {how}", self.model, address.url()));
        let transport = Transport::new(&address, path, key, self.timeout);
        let sanitiser = Sanitiser::new(transport.secrets().iter().map(String::as_str));
        Ok(OpenAi {
            transport,
            sanitiser,
            key: self.key,
            model: name,
            served: self.model,
            endpoint: self.endpoint,
            top: self.top,
            samples: self.samples,
            samples_per_request: self.samples_per_request,
            abilities: Mutex::new(Abilities { scoring: self.scoring, ..Abilities::default() }),
            readable: AtomicBool::new(false),
            unreadable: AtomicU32::new(0),
            unknown: Mutex::new(None),
        })
    }
}

impl OpenAi {
    /// A model behind the server at `url`, the address that ends in `/v1` for most.
    #[must_use]
    pub fn builder(url: impl Into<String>, model: impl Into<String>) -> OpenAiBuilder {
        OpenAiBuilder {
            url: url.into(),
            model: model.into(),
            name: None,
            endpoint: Endpoint::default(),
            scoring: None,
            top: 20,
            samples: 20,
            samples_per_request: u32::MAX,
            timeout: Duration::from_secs(60),
            key: KeySource::OpenAi,
            unencrypted_key: false,
        }
    }
}

impl fmt::Debug for OpenAiBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiBuilder")
            .field("url", &without_credentials(&self.url))
            .field("model", &self.model)
            .field("endpoint", &self.endpoint)
            .field("scoring", &self.scoring)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
