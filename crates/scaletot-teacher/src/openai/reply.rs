//! What a server answers, in both shapes of log-probabilities.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::refusal;
use crate::fault::Fault;

/// The parts of an answer that are read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    /// The texts of the choices.
    pub(super) texts: Vec<String>,
    /// The most probable first tokens of the first choice; `None` if there are no log-probabilities.
    pub(super) top: Option<Vec<(String, f64)>>,
    /// Every token of the first choice with its log-probability, where it has one.
    given: Vec<(String, Option<f64>)>,
    /// Tokens of the prompt and of the reply.
    pub(super) tokens: u64,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct Choice {
    text: Option<String>,
    message: Option<Message>,
    logprobs: Option<LogProbs>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

/// Both shapes in one: that of completions has `tokens`, that of chat has `content`. Some servers give the latter for
/// completions, too.
#[derive(Deserialize)]
struct LogProbs {
    #[serde(default)]
    tokens: Vec<String>,
    #[serde(default)]
    token_logprobs: Vec<Option<f64>>,
    top_logprobs: Option<Vec<Option<Top>>>,
    content: Option<Vec<Token>>,
}

/// Tokens with their log-probabilities.
type Top = BTreeMap<String, Option<f64>>;

#[derive(Deserialize)]
struct Token {
    token: String,
    logprob: Option<f64>,
    #[serde(default)]
    top_logprobs: Vec<Token>,
}

impl Reply {
    /// Reads the body of an answer.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let body: Body = serde_json::from_str(text).map_err(|error| {
            let start: String = text.trim_start().chars().take(60).collect();
            let message = match start.starts_with('<') {
                true => format!("a page: `{start}`"),
                false => format!("`{start}` ({error})"),
            };
            Fault::Malformed { message }
        })?;
        let unusable = |message: String| Fault::Unusable { message };
        if body.error.is_some() {
            return Err(refusal::fault_in_answer(text));
        }
        let tokens = body.usage.map_or(0, |usage| usage.prompt_tokens + usage.completion_tokens);
        let Some(first) = body.choices.first() else {
            return Err(unusable("expected at least one choice, found none".to_owned()));
        };
        let (mut top, mut given) = (None, Vec::new());
        if let Some(found) = &first.logprobs {
            if let Some(content) = &found.content {
                let pairs = |tokens: &[Token]| {
                    tokens.iter().filter_map(|t| Some((t.token.clone(), t.logprob?))).collect::<Vec<_>>()
                };
                top = content.first().map(|token| match token.top_logprobs.is_empty() {
                    true => pairs(std::slice::from_ref(token)),
                    false => pairs(&token.top_logprobs),
                });
                given = content.iter().map(|token| (token.token.clone(), token.logprob)).collect();
            } else {
                let first_of = |all: &Vec<Option<Top>>| {
                    let first = all.first()?.as_ref()?;
                    Some(first.iter().filter_map(|(token, lp)| Some((token.clone(), (*lp)?))).collect())
                };
                top = found.top_logprobs.as_ref().and_then(first_of);
                given = found.tokens.iter().cloned().zip(found.token_logprobs.iter().copied()).collect();
            }
        }
        let of = |choice: &Choice| {
            let chat = choice.message.as_ref().and_then(|message| message.content.clone());
            choice.text.clone().or(chat).unwrap_or_default()
        };
        let reply = Reply { texts: body.choices.iter().map(of).collect(), top, given, tokens };
        let read = reply.top.iter().flatten().map(|(token, lp)| (token, *lp));
        let all = read.chain(reply.given.iter().filter_map(|(token, lp)| Some((token, (*lp)?))));
        for (token, lp) in all {
            // Rounding may leave a certain token a little above 0.
            if lp.is_nan() || lp > 1e-3 {
                return Err(unusable(format!(
                    "expected log-probabilities of at most 0, found {lp} for `{token}`"
                )));
            }
        }
        Ok(reply)
    }

    /// `ln p(label | prompt)` from an echo of the prompt and the label: the sum over the tokens that begin in the label.
    /// `None` if the server did not echo, or its tokens are not the text.
    pub(super) fn echoed(&self, prompt: &str, label: &str) -> Option<f64> {
        let whole = format!("{prompt} {label}");
        // Some servers list a token that begins the text and is no part of it.
        let begin = (0..self.given.len().min(2)).find(|&skip| {
            let text: String = self.given[skip..].iter().map(|(token, _)| token.as_str()).collect();
            text.starts_with(&whole)
        })?;
        let (mut at, mut sum) = (0, 0.0);
        for (token, log_prob) in &self.given[begin..] {
            if at >= whole.len() {
                break;
            }
            let end = at + token.len();
            // The token that holds the space before the label belongs to the label.
            if at >= prompt.len() {
                sum += (*log_prob)?;
            } else if end > prompt.len() {
                // A token across the border: the label cannot be separated from the prompt.
                return None;
            }
            at = end;
        }
        Some(sum.min(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_are_read() {
        let classic = r#"{"choices":[{"text":" low","logprobs":{"tokens":[" low"],"token_logprobs":[-0.2],
            "top_logprobs":[{" low":-0.2," high":-1.9}],"text_offset":[10]}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}"#;
        let chat = r#"{"choices":[{"text":" low","logprobs":{"content":[{"token":" low","logprob":-0.2,
            "top_logprobs":[{"token":" high","logprob":-1.9},{"token":" low","logprob":-0.2}]}]}}],
            "usage":{"prompt_tokens":9,"completion_tokens":1}}"#;
        let (classic, chat) = (Reply::parse(classic).unwrap(), Reply::parse(chat).unwrap());
        let expected = vec![(" high".to_owned(), -1.9), (" low".to_owned(), -0.2)];
        assert_eq!(classic.top, Some(expected.clone()));
        assert_eq!(chat.top, Some(expected));
        assert_eq!((classic.tokens, classic.texts), (10, vec![" low".to_owned()]));
        let message = r#"{"choices":[{"message":{"content":"high"},"logprobs":null}]}"#;
        assert_eq!(Reply::parse(message).unwrap().texts, ["high"]);
        assert_eq!(Reply::parse(message).unwrap().top, None);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let fault = |text: &str| Reply::parse(text).unwrap_err().to_string();
        assert!(fault("<html>Bad gateway").contains("found a page: `<html>Bad gateway`"));
        assert!(fault(r#"{"choices":[{"te"#).contains("EOF while parsing"));
        assert!(fault(r#"{"choices":[]}"#).contains("at least one choice"));
        assert!(fault(r#"{"error":{"message":"boom"}}"#).contains("boom"));
        let nan = r#"{"choices":[{"text":"","logprobs":{"content":[{"token":"a","logprob":NaN}]}}]}"#;
        assert!(fault(nan).contains("in JSON"), "{}", fault(nan));
        let positive = r#"{"choices":[{"text":"","logprobs":{"content":[{"token":"a","logprob":0.5}]}}]}"#;
        assert!(fault(positive).contains("at most 0, found 0.5 for `a`"));
    }

    #[test]
    fn an_echo_gives_the_labels_tokens_alone() {
        let echo = |tokens: &str, lps: &str| {
            let text = r#"{"choices":[{"text":"He is very low!","logprobs":{"tokens":TOKENS,"token_logprobs":LPS}}]}"#;
            Reply::parse(&text.replace("TOKENS", tokens).replace("LPS", lps)).unwrap()
        };
        let whole = echo(r#"["He"," is"," very"," low","!"]"#, "[null,-1.0,-0.5,-0.25,-9.0]");
        assert_eq!(whole.echoed("He is", "very low"), Some(-0.75));
        assert_eq!(whole.echoed("She is", "very low"), None);
        let begun = echo(r#"["<s>","He"," is"," very"," low","!"]"#, "[null,-3.0,-1.0,-0.5,-0.25,-9.0]");
        assert_eq!(begun.echoed("He is", "very low"), Some(-0.75));
        let across = echo(r#"["He"," is very"," low"]"#, "[null,-1.0,-0.5]");
        assert_eq!(across.echoed("He is", "very low"), None);
        let silent = echo(r#"["!"]"#, "[-9.0]");
        assert_eq!(silent.echoed("He is", "very low"), None);
    }
}
