//! The form of a server's answers, as far as it is read.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::lenient::{Bytes, Count, First, List, OrNone, Present, Text};
use super::repair;
use super::reply::unusable;
use crate::fault::Fault;

/// Choices of one answer that are read: more than are ever asked for at once.
pub(super) const MAX_CHOICES: usize = 1 << 10;
/// Tokens of one list that are read: as many as the largest vocabularies have.
pub(super) const MAX_TOKENS: usize = 1 << 18;

#[derive(Deserialize)]
#[serde(expecting = "an object with `choices`")]
pub(super) struct Body {
    #[serde(default)]
    pub(super) choices: First<OrNone<Choice>, OrNone<Words>, MAX_CHOICES>,
    #[serde(default)]
    pub(super) usage: OrNone<Usage>,
    #[serde(default)]
    pub(super) error: Present,
}

#[derive(Deserialize)]
pub(super) struct Usage {
    #[serde(default)]
    pub(super) prompt_tokens: Count,
    #[serde(default)]
    pub(super) completion_tokens: Count,
}

/// The first choice.
#[derive(Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    pub(super) text: Text,
    #[serde(default)]
    pub(super) message: OrNone<Message>,
    #[serde(default)]
    pub(super) logprobs: OrNone<LogProbs>,
    #[serde(default)]
    pub(super) finish_reason: Text,
    #[serde(default)]
    pub(super) error: Present,
}

/// A choice after the first, of which the text alone is read.
#[derive(Deserialize)]
pub(super) struct Words {
    #[serde(default)]
    pub(super) text: Text,
    #[serde(default)]
    pub(super) message: OrNone<Message>,
}

#[derive(Deserialize)]
pub(super) struct Message {
    #[serde(default)]
    pub(super) content: Text,
}

/// Both shapes in one: that of completions has `tokens`, that of chat has `content`. Some servers give the latter for
/// completions, too.
#[derive(Deserialize)]
pub(super) struct LogProbs {
    #[serde(default)]
    tokens: List<Text, MAX_TOKENS>,
    #[serde(default)]
    token_logprobs: List<Option<f64>, MAX_TOKENS>,
    #[serde(default)]
    top_logprobs: First<Top, IgnoredAny, MAX_TOKENS>,
    #[serde(default)]
    content: First<OrNone<Chosen>, OrNone<Token>, MAX_TOKENS>,
}

/// The first token, with those that might have been in its place.
#[derive(Deserialize)]
struct Chosen {
    #[serde(default)]
    token: Text,
    logprob: Option<f64>,
    #[serde(default)]
    top_logprobs: List<OrNone<Token>, MAX_TOKENS>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: Text,
    logprob: Option<f64>,
    #[serde(default)]
    bytes: Bytes,
}

impl Token {
    /// The token with its log-probability; `None` if it lacks either.
    fn pair(self) -> Option<(String, f64)> {
        let text = self.token.0?;
        // A token that is no text by itself is given by its bytes alone.
        let text = match text.is_empty() && !self.bytes.0.is_empty() {
            true => String::from_utf8_lossy(&self.bytes.0).into_owned(),
            false => text,
        };
        Some((text, repair::log_prob(self.logprob?)))
    }
}

/// Tokens with their log-probabilities: an object by token, or a list.
#[derive(Default)]
struct Top(Vec<(String, f64)>);

impl<'de> Deserialize<'de> for Top {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tokens;
        impl<'de> Visitor<'de> for Tokens {
            type Value = Top;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_TOKENS} tokens with their log-probabilities")
            }
            fn visit_unit<E>(self) -> Result<Top, E> {
                Ok(Top::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Top, A::Error> {
                let mut all = Vec::new();
                while let Some((token, log_prob)) = object.next_entry::<String, Option<f64>>()? {
                    if all.len() == MAX_TOKENS {
                        return Err(A::Error::custom(format!("more than {MAX_TOKENS} tokens")));
                    }
                    all.extend(log_prob.map(|log_prob| (token, repair::log_prob(log_prob))));
                }
                // The members of an object have no order that sums could depend on.
                all.sort_by(|a, b| a.0.cmp(&b.0));
                Ok(Top(all))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Top, A::Error> {
                let list = serde::de::value::SeqAccessDeserializer::new(list);
                let all = List::<OrNone<Token>, MAX_TOKENS>::deserialize(list)?;
                Ok(Top(all.0.into_iter().filter_map(|token| token.0?.pair()).collect()))
            }
        }
        deserializer.deserialize_any(Tokens)
    }
}

impl LogProbs {
    /// The first token's alternatives, and every token.
    #[allow(clippy::type_complexity, reason = "two lists of what their names say")]
    pub(super) fn into_lists(self) -> (Option<Vec<(String, f64)>>, Vec<(String, Option<f64>)>) {
        let Some(first) = self.content.first else {
            let log_probs = self.token_logprobs.0.into_iter().map(|log_prob| log_prob.map(repair::log_prob));
            let tokens = self.tokens.0.into_iter().map(|token| token.0.unwrap_or_default());
            return (self.top_logprobs.first.map(|top| top.0), tokens.zip(log_probs).collect());
        };
        let mut given = Vec::with_capacity(1 + self.content.rest.len());
        let top = first.0.map(|chosen| {
            given.push((chosen.token.0.unwrap_or_default(), chosen.logprob.map(repair::log_prob)));
            chosen.top_logprobs.0.into_iter().filter_map(|token| token.0?.pair()).collect()
        });
        given.extend(self.content.rest.into_iter().filter_map(|token| {
            let token = token.0?;
            Some((token.token.0.unwrap_or_default(), token.logprob.map(repair::log_prob)))
        }));
        (top, given)
    }
}

/// Reads the parts of a body, or tells at which key it cannot.
pub(super) fn read(text: &str) -> Result<Body, Fault> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut deserializer);
    let failed = match read {
        Ok(body) => match deserializer.end() {
            Ok(()) => return Ok(body),
            Err(error) => (String::new(), error),
        },
        Err(error) => (error.path().to_string(), error.into_inner()),
    };
    let (path, error) = failed;
    if error.classify() == Category::Data {
        let at = if path == "." { String::new() } else { format!(" at `{path}`") };
        return Err(unusable(format!("expected an answer in the API's form, found{at}: {error}")));
    }
    let start: String = text.chars().take(60).collect();
    let message = match start.as_str() {
        "" => "an empty body".to_owned(),
        page if page.starts_with('<') => format!("a page: `{page}`"),
        stream if stream.starts_with("data:") => {
            format!("a stream of events, which was not asked for: `{stream}`")
        }
        other => format!("`{other}` ({error})"),
    };
    Err(Fault::Malformed { message })
}
