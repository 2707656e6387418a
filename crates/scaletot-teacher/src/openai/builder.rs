//! Sets up a model behind a server.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use scaletot_core::config::ConfigError;

use super::OpenAi;
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

    /// Sets the number of samples where nothing else can be had, at least 1; by default 20.
    #[must_use]
    pub fn with_samples(mut self, samples: u32) -> Self {
        self.samples = samples;
        self
    }

    /// Sets the time limit of one request; by default 60 s.
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
        let wanted = match self.scoring {
            Some(Scoring::TopTokens { top }) => ("top", top),
            Some(Scoring::Sample { samples, .. }) => ("samples", samples),
            _ => ("top, samples", self.top.min(self.samples)),
        };
        if wanted.1 == 0 {
            return Err(ConfigError::new(wanted.0, "at least 1", 0).into());
        }
        if self.endpoint == Endpoint::Chat && self.scoring == Some(Scoring::Echo) {
            return Err(ConfigError::new("scoring", "one that a chat endpoint has", "echo").into());
        }
        let key = self.key.key(&address, self.unencrypted_key)?;
        let path = match self.endpoint {
            Endpoint::Completions => "completions",
            Endpoint::Chat => "chat/completions",
        };
        // Whatever answers depend on is in the name, under which they are kept.
        let (top, samples) = (self.top, self.samples);
        let how = match self.scoring {
            None => format!("top {top} or {samples} samples"),
            Some(Scoring::TopTokens { top }) => format!("top {top}"),
            Some(Scoring::Echo) => "echo".to_owned(),
            Some(Scoring::Sample { samples, guided: true }) => format!("{samples} guided samples"),
            Some(Scoring::Sample { samples, guided: false }) => format!("{samples} samples"),
        };
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
            scoring: Mutex::new(self.scoring),
            no_echo: AtomicBool::new(false),
            unguided: AtomicBool::new(false),
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
