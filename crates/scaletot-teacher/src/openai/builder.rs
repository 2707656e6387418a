//! Sets up a model behind a server.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use scaletot_core::config::ConfigError;

use super::OpenAi;
use super::scoring::{Endpoint, Scoring};
use super::transport::Transport;
use crate::error::Result;

/// Sets up an [`OpenAi`].
#[derive(Debug, Clone)]
pub struct OpenAiBuilder {
    url: String,
    model: String,
    name: Option<String>,
    endpoint: Endpoint,
    scoring: Option<Scoring>,
    top: u32,
    samples: u32,
    timeout: Duration,
    key_variable: String,
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

    /// Sets the environment variable that holds the API key, if there is one; by default `OPENAI_API_KEY`.
    #[must_use]
    pub fn with_key_variable(mut self, variable: impl Into<String>) -> Self {
        self.key_variable = variable.into();
        self
    }

    /// The teacher. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if the address is no `http` or `https` one, a number is 0, the key is not printable ASCII, or echo is
    /// wanted of a chat endpoint.
    pub fn build(self) -> Result<OpenAi> {
        let url = self.url.trim_end_matches('/').to_owned();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(ConfigError::new("url", "an http or https address", format!("`{url}`")).into());
        }
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
        let key = std::env::var(&self.key_variable).ok().filter(|key| !key.is_empty());
        if key.as_ref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            let expected = "an API key of printable ASCII without spaces";
            return Err(ConfigError::new(self.key_variable, expected, "something else").into());
        }
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
        let name = self.name.unwrap_or_else(|| format!("{}, {path} of {url}, {how}", self.model));
        Ok(OpenAi {
            transport: Transport::new(format!("{url}/{path}"), key, self.timeout),
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
            key_variable: "OPENAI_API_KEY".to_owned(),
        }
    }
}
