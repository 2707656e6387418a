//! The address of a server, and which key goes to it.

use std::fmt;
use std::net::IpAddr;

use scaletot_core::config::ConfigError;
use scaletot_core::text::printable;
use ureq::http::Uri;

use crate::credentials::without_credentials;

/// The variable whose key is meant for [`OPENAI_HOST`].
const OPENAI_VARIABLE: &str = "OPENAI_API_KEY";
const OPENAI_HOST: &str = "api.openai.com";

/// A server's address, without credentials.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// Without a `/` at its end.
    url: String,
    /// In lower case, an IPv6 address without its brackets.
    host: String,
    encrypted: bool,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let fail = |expected: &'static str| {
            let found = format!("`{}`", printable(&without_credentials(text), 200));
            Err(ConfigError::new("url", expected, found))
        };
        // Anywhere: what a parser takes for a port or a path may be the beginning of a password.
        if text.contains('@') {
            return fail(
                "an address without a user name and a password (a key is given by itself; `@` in a path is written %40)",
            );
        }
        if text.contains(['?', '#']) {
            return fail("an address without `?` and `#`, to which the endpoint's path can be added");
        }
        let Ok(uri) = text.parse::<Uri>() else { return fail("an http or https address") };
        let (Some(scheme @ ("http" | "https")), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return fail("an http or https address");
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
        if host.is_empty() {
            return fail("an http or https address that names a host");
        }
        let url = text.trim_end_matches('/').to_owned();
        Ok(Self { url, host, encrypted: scheme == "https" })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is on this machine, so that nobody listens on the way.
    pub(super) fn is_local(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            // To the unspecified address, which servers print as theirs, systems connect locally.
            Ok(ip) => ip.to_canonical().is_loopback() || ip.is_unspecified(),
            Err(_) => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }
}

/// An API key; not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where a key comes from.
#[derive(Debug, Clone)]
pub(super) enum KeySource {
    /// `OPENAI_API_KEY`, for [`OPENAI_HOST`] alone.
    OpenAi,
    /// A variable that the caller names for this server.
    Variable(String),
    /// A key that the caller gives for this server.
    Given(Secret),
}

impl KeySource {
    pub(super) fn given(key: impl Into<String>) -> Self {
        Self::Given(Secret(key.into()))
    }

    /// The key for the server at `address`, if it is to have one.
    pub(super) fn key(&self, address: &Address, unencrypted: bool) -> Result<Option<Secret>, ConfigError> {
        let (name, key) = match self {
            Self::OpenAi if address.host != OPENAI_HOST => return Ok(None),
            Self::OpenAi => (OPENAI_VARIABLE, std::env::var_os(OPENAI_VARIABLE)),
            Self::Variable(name) => (name.as_str(), std::env::var_os(name)),
            Self::Given(key) => ("key", Some(key.0.clone().into())),
        };
        let Some(key) = key.filter(|key| !key.is_empty()) else { return Ok(None) };
        let printable = key.into_string().ok().filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
        let Some(key) = printable else {
            let expected = "an API key of printable ASCII without spaces";
            return Err(ConfigError::new(name.to_owned(), expected, "something else"));
        };
        if !address.encrypted && !address.is_local() && !unencrypted {
            return Err(ConfigError::new(
                "url",
                "https for a server on another machine that is sent a key, or leave to send it unencrypted (`with_unencrypted_key(true)`; on a \
                 command line `,unencrypted-key` after the model)",
                format!("`{}`", address.url),
            ));
        }
        Ok(Some(Secret(key)))
    }

    /// Why no key was sent to a server that wants one.
    pub(super) fn absence(&self) -> String {
        match self {
            Self::OpenAi => format!(
                "no key was sent: that of {OPENAI_VARIABLE} goes to {OPENAI_HOST} alone unless the variable is named for this server (`with_key_variable`; on a \
                 command line `,key={OPENAI_VARIABLE}` after the model)"
            ),
            Self::Variable(name) => format!("no key was sent: {name} is not set"),
            Self::Given(_) => "no key was sent: the one given is empty".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_credentials_are_refused_without_showing_them() {
        for address in [
            "http://user:hunter2hunter2@host/v1",
            "https://hunter2hunter2@host",
            "http://user:hunter2/hunter2@host/v1",
            "http://user:1/hunter2@host/v1",
            "http://u:hunter2#hunter2@host",
            "ftp://u:hunter2@host",
            "hunter2:hunter2@host",
        ] {
            let error = Address::parse(address).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
            assert!(error.to_string().contains("without a user name"), "{error}");
        }
    }

    #[test]
    fn hosts_are_told_apart() {
        let local = |text: &str| Address::parse(text).unwrap().is_local();
        for here in [
            "http://127.0.0.1:8080/v1",
            "http://localhost",
            "http://[::1]:80/v1",
            "http://0.0.0.0:1",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(local(here), "{here}");
        }
        for there in [
            "http://192.168.0.2/v1",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "http://[fe80::1]",
        ] {
            assert!(!local(there), "{there}");
        }
        for bad in [
            "",
            "x",
            "ftp://x",
            "http://",
            "http:///v1",
            "http://x/v1?key=1",
            "http://x/v1#m",
            "http://a b",
            "file:///x",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Address::parse("http://x/v1//").unwrap().url(), "http://x/v1");
    }

    #[test]
    fn a_key_goes_only_where_it_is_meant_for() {
        let at = |source: &KeySource, text: &str, unencrypted| {
            source.key(&Address::parse(text).unwrap(), unencrypted).map(|key| key.is_some())
        };
        // A variable that is set wherever the tests run.
        let set = KeySource::Variable("CARGO_PKG_NAME".to_owned());
        for source in [set, KeySource::given("secret")] {
            for good in ["https://x.org/v1", "http://127.0.0.1/v1", "http://localhost:80/v1"] {
                assert_eq!(at(&source, good, false), Ok(true), "{good}");
            }
            let refused = at(&source, "http://192.168.0.2/v1", false).unwrap_err().to_string();
            assert!(refused.contains("with_unencrypted_key") && !refused.contains("secret"), "{refused}");
            assert_eq!(at(&source, "http://192.168.0.2/v1", true), Ok(true));
        }
        for other in [
            "https://x.org",
            "http://127.0.0.1",
            "https://api.openai.com.x.org",
            "https://x.org/api.openai.com",
        ] {
            assert_eq!(at(&KeySource::OpenAi, other, false), Ok(false), "{other}");
        }
        assert_eq!(at(&KeySource::Variable("SCALETOT_NO_SUCH_KEY".into()), "http://x.org", false), Ok(false));
        assert!(at(&KeySource::given("a b"), "https://x.org", false).is_err());
        assert_eq!(format!("{:?}", KeySource::given("hunter2")), "Given([secret])");
    }
}
