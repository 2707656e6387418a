//! A model behind a server, as on a command line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use scaletot_core::text::printable;
use scaletot_teacher::without_credentials;

/// A model behind an OpenAI-compatible server: `URL#MODEL`, with options after the model, each after a comma.
///
/// | option | means |
/// | --- | --- |
/// | `chat` | the chat endpoint is asked, and not that of completions |
/// | `timeout=SECONDS` | the time limit of one request, 60 s unless given |
/// | `n=COUNT` | so many samples are asked for in one request, where answers are sampled; all unless given |
/// | `key=VARIABLE` | the environment variable that holds the API key for this server |
/// | `unencrypted-key` | the key may be sent by `http` to another machine |
///
/// A key itself is never written here. Shown without a user name and a password in the address, with which no server is asked.
///
/// ```
/// use scaletot_pipeline::options::ServerChoice;
///
/// let server: ServerChoice = "https://openrouter.ai/api/v1#a/model,chat,timeout=120,key=OPENROUTER_API_KEY".parse()?;
/// assert!(server.chat && server.model == "a/model");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerChoice {
    /// The server's address.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// Whether the chat endpoint is asked.
    pub chat: bool,
    /// The time limit of one request.
    pub timeout: Option<Duration>,
    /// Samples that are asked for in one request.
    pub samples_per_request: Option<u32>,
    /// The environment variable that holds the key for this server.
    pub key_variable: Option<String>,
    /// Whether the key may be sent unencrypted to another machine.
    pub unencrypted_key: bool,
}

/// What a server is written as.
const FORM: &str = "openai:URL#MODEL, and after the model any of ,chat ,timeout=SECONDS ,n=COUNT ,key=VARIABLE ,unencrypted-key";

impl FromStr for ServerChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown = || printable(&without_credentials(text), 200);
        let fail = || format!("expected {FORM}, found `openai:{}`", shown());
        let (url, rest) = text.rsplit_once('#').ok_or_else(fail)?;
        let mut options = rest.split(',');
        let model = options.next().unwrap_or_default();
        if url.is_empty() || model.is_empty() {
            return Err(fail());
        }
        let mut server = Self {
            url: url.to_owned(),
            model: model.to_owned(),
            chat: false,
            timeout: None,
            samples_per_request: None,
            key_variable: None,
            unencrypted_key: false,
        };
        for option in options {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match (name, value) {
                ("chat", "") => server.chat = true,
                ("unencrypted-key", "") => server.unencrypted_key = true,
                ("timeout", seconds) => {
                    let timeout =
                        seconds.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                    let timeout = timeout.filter(|timeout| !timeout.is_zero());
                    let expected = || {
                        format!(
                            "expected seconds above 0 after `timeout=`, found `{}`",
                            printable(seconds, 40)
                        )
                    };
                    server.timeout = Some(timeout.ok_or_else(expected)?);
                }
                ("n", count) => {
                    let count: Option<u32> = count.parse().ok().filter(|count| *count > 0);
                    let expected = || {
                        format!(
                            "expected a number of at least 1 after `n=`, found `{}`",
                            printable(value, 40)
                        )
                    };
                    server.samples_per_request = Some(count.ok_or_else(expected)?);
                }
                // What stands there may be the key itself, so it is not shown.
                ("key", variable) if is_variable(variable) => server.key_variable = Some(variable.to_owned()),
                ("key", _) => {
                    return Err("expected the name of an environment variable after `key=` (letters, digits and `_`), found something else: the key \
                                itself is given by that variable"
                        .to_owned());
                }
                _ => return Err(format!("{}: the option `{}` is not known", fail(), printable(name, 40))),
            }
        }
        Ok(server)
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl fmt::Display for ServerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", without_credentials(&self.url), self.model)?;
        if self.chat {
            f.write_str(",chat")?;
        }
        if let Some(timeout) = self.timeout {
            write!(f, ",timeout={}", timeout.as_secs_f64())?;
        }
        if let Some(samples) = self.samples_per_request {
            write!(f, ",n={samples}")?;
        }
        if let Some(variable) = &self.key_variable {
            write!(f, ",key={variable}")?;
        }
        if self.unencrypted_key {
            f.write_str(",unencrypted-key")?;
        }
        Ok(())
    }
}

/// As it is displayed.
impl fmt::Debug for ServerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerChoice({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_parse_and_print() {
        for text in [
            "http://localhost:8080/v1#m",
            "https://x/v1#a/b:c@d,chat",
            "http://x#m,chat,timeout=0.5,n=1,key=MY_KEY,unencrypted-key",
        ] {
            assert_eq!(text.parse::<ServerChoice>().unwrap().to_string(), text);
        }
        let server: ServerChoice = "http://x#m,timeout=120,n=8".parse().unwrap();
        assert_eq!((server.timeout, server.samples_per_request), (Some(Duration::from_secs(120)), Some(8)));
        for (text, why) in [
            ("http://x", "URL#MODEL"),
            ("#m", "URL#MODEL"),
            ("http://x#,chat", "URL#MODEL"),
            ("http://x#m,caht", "`caht` is not known"),
            ("http://x#m,chat=1", "`chat` is not known"),
            ("http://x#m,timeout=0", "above 0"),
            ("http://x#m,timeout=NaN", "above 0"),
            ("http://x#m,n=0", "at least 1"),
            ("http://x#m,key=sk-hunter2", "the name of an environment variable"),
        ] {
            let error = text.parse::<ServerChoice>().unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_shown_nowhere() {
        let server: ServerChoice = "http://bob:hunter2@x/v1#m".parse().unwrap();
        assert_eq!(server.to_string(), "http://[credentials]@x/v1#m");
        assert!(!format!("{server:?}").contains("hunter2"));
        assert!(!"http://bob:hunter2@x".parse::<ServerChoice>().unwrap_err().contains("hunter2"));
    }
}
