//! What a server answers, in both shapes of log-probabilities.

use std::collections::HashSet;

use serde_json::Value;

use super::lenient::{OrNone, Text};
use super::shape::{LogProbs, Message, read};
use super::{refusal, repair};
use crate::fault::Fault;

/// The rest of the probability that a single token leaves, where it tells of all others: so little that they do not matter.
const NEGLIGIBLE: f64 = 0.01;
/// What all others have together where a list of them is padded, with tokens that are none or log-probabilities that are none.
const PADDING: f64 = 1e-6;
/// Less than any model leaves to all other tokens.
const NOTHING: f64 = 1e-30;
/// The end of a prompt by which it is recognised, in bytes, at least.
const MIN_TAIL: usize = 12;
/// Probabilities of different tokens may sum to more than 1 where a server rounds them, or adds another to its list; not to so much more.
const MAX_SUM: f64 = 1.5;

/// The parts of an answer that are read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    /// The texts of the choices.
    pub(super) texts: Vec<String>,
    /// The most probable first tokens of the first choice, each once; `None` if there are no log-probabilities, or that of the chosen
    /// token alone, which tells nothing of the others.
    pub(super) top: Option<Vec<(String, f64)>>,
    /// Every token of the first choice with its log-probability, where it has one.
    given: Vec<(String, Option<f64>)>,
    /// Tokens of the prompt and of the reply.
    pub(super) tokens: u64,
    /// Whether the model answered nothing, as one does that ends the text at once.
    pub(super) is_empty: bool,
    /// Whether its first token leaves nothing at all to others, as no model has it: the server does not tell of them, or it alone is listed.
    pub(super) is_sure: bool,
}

impl Reply {
    /// Reads the body of an answer to `request`.
    pub(super) fn parse(text: &str, request: &Value) -> Result<Self, Fault> {
        let text = repair::without_comments(text);
        let body = match read(text) {
            Ok(body) => body,
            Err(fault) => match repair::repaired(text) {
                Some(repaired) => read(&repaired)?,
                None => return Err(fault),
            },
        };
        let first_choice = body.choices.first.as_ref().and_then(|first| first.0.as_ref());
        if body.error.0 || first_choice.is_some_and(|first| first.error.0) {
            return Err(refusal::fault_in_answer(text, request));
        }
        let is_withheld =
            first_choice.is_some_and(|first| first.finish_reason.0.as_deref() == Some("content_filter"));
        let tokens =
            body.usage.0.map_or(0, |usage| usage.prompt_tokens.0.saturating_add(usage.completion_tokens.0));
        let Some(first) = body.choices.first else {
            return Err(unusable("expected at least one choice, found none".to_owned()));
        };
        let words = |text: Text, message: OrNone<Message>| {
            text.0.or_else(|| message.0?.content.0).unwrap_or_default()
        };
        let (mut texts, mut top, mut given) =
            (Vec::with_capacity(1 + body.choices.rest.len()), None, Vec::new());
        match first.0 {
            Some(first) => {
                texts.push(words(first.text, first.message));
                (top, given) = first.logprobs.0.map_or((None, Vec::new()), LogProbs::into_lists);
            }
            None => texts.push(String::new()),
        }
        let rest = body.choices.rest.into_iter();
        texts.extend(
            rest.map(|other| other.0.map_or_else(String::new, |other| words(other.text, other.message))),
        );
        if is_withheld && top.is_none() && texts.iter().all(|text| text.trim().is_empty()) {
            let message = "its content filter withheld the answer".to_owned();
            return Err(Fault::PromptRefused { status: 200, message });
        }
        let top = top.map(checked).transpose()?;
        for (token, log_prob) in &given {
            at_most_zero(token, log_prob.unwrap_or(0.0))?;
        }
        let is_empty = given.is_empty() && texts.iter().all(String::is_empty);
        let (largest, others) = largest_and_others(top.as_deref().unwrap_or_default());
        let is_sure = largest >= 1.0 - NEGLIGIBLE && others < NOTHING;
        // The chosen token leaves nothing to others, or they have something of what it leaves.
        let top = top.filter(|_| largest >= 1.0 - NEGLIGIBLE || others >= PADDING);
        Ok(Self { texts, top, given, tokens, is_empty, is_sure })
    }

    /// `ln p(label | prompt)` from an echo of the prompt and the label: the sum over the tokens that begin in the label.
    /// `None` if the server did not echo, or its tokens are not the text.
    pub(super) fn echoed(&self, prompt: &str, label: &str) -> Option<f64> {
        let text: String = self.given.iter().map(|(token, _)| token.as_str()).collect();
        // A character of several bytes may be split between tokens, none of which is text then: what is behind the last such one is
        // enough to find the label by.
        let is_long = |tail: &&str| tail.len() >= MIN_TAIL;
        let tail = prompt.rsplit(|c: char| !c.is_ascii()).next().filter(is_long).unwrap_or(prompt);
        let begin = text.rfind(&format!("{tail} {label}"))? + tail.len();
        let end = begin + 1 + label.len();
        let (mut at, mut sum) = (0, 0.0);
        for (token, log_prob) in &self.given {
            if at >= end {
                break;
            }
            // The token that holds the space before the label belongs to the label.
            if at >= begin {
                sum += (*log_prob)?;
            } else if at + token.len() > begin {
                // A token across the border: the label cannot be separated from the prompt.
                return None;
            }
            at += token.len();
        }
        Some(sum.min(0.0))
    }
}

pub(super) fn unusable(message: String) -> Fault {
    Fault::Unusable { message }
}

fn at_most_zero(token: &str, log_prob: f64) -> Result<(), Fault> {
    let token = || token.chars().take(100).collect::<String>();
    if log_prob.is_nan() {
        return Err(Fault::Malformed { message: format!("no number for `{}`", token()) });
    }
    // Rounding may leave a certain token a little above 0.
    if log_prob > 1e-3 {
        let token = token();
        return Err(unusable(format!(
            "expected log-probabilities of at most 0, found {log_prob} for `{token}`"
        )));
    }
    Ok(())
}

/// The tokens, each listed once for each of its log-probabilities: some servers repeat a token, and different tokens may have the
/// same text.
fn checked(top: Vec<(String, f64)>) -> Result<Vec<(String, f64)>, Fault> {
    let mut seen = HashSet::new();
    let mut sum = 0.0;
    let mut kept = Vec::with_capacity(top.len());
    for (token, log_prob) in top {
        at_most_zero(&token, log_prob)?;
        if seen.insert((token.clone(), log_prob.to_bits())) {
            sum += log_prob.exp();
            kept.push((token, log_prob));
        }
    }
    match sum <= MAX_SUM {
        true => Ok(kept),
        false => {
            Err(unusable(format!("expected probabilities of tokens that sum to at most 1, found {sum}")))
        }
    }
}

/// The largest probability of tokens, and that of all others.
fn largest_and_others(top: &[(String, f64)]) -> (f64, f64) {
    top.iter()
        .map(|(_, log_prob)| log_prob.exp())
        .fold((0.0, 0.0), |(largest, others), p| (f64::max(largest, p), others + f64::min(largest, p)))
}

#[cfg(test)]
mod tests {
    use super::super::shape::{MAX_CHOICES, MAX_TOKENS};
    use super::*;

    fn parse(text: &str) -> Result<Reply, Fault> {
        Reply::parse(text, &Value::Null)
    }

    #[test]
    fn both_shapes_are_read() {
        let classic = r#"{"choices":[{"text":" low","logprobs":{"tokens":[" low"],"token_logprobs":[-0.2],
            "top_logprobs":[{" low":-0.2," high":-1.9}],"text_offset":[10]}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}"#;
        let chat = r#"{"choices":[{"text":" low","logprobs":{"content":[{"token":" low","logprob":-0.2,
            "top_logprobs":[{"token":" high","logprob":-1.9},{"token":" low","logprob":-0.2}]}]}}],
            "usage":{"prompt_tokens":9,"completion_tokens":1}}"#;
        let (classic, chat) = (parse(classic).unwrap(), parse(chat).unwrap());
        let expected = vec![(" high".to_owned(), -1.9), (" low".to_owned(), -0.2)];
        assert_eq!(classic.top, Some(expected.clone()));
        assert_eq!(chat.top, Some(expected));
        assert_eq!((classic.tokens, classic.texts), (10, vec![" low".to_owned()]));
        let message = r#"{"choices":[{"message":{"content":"high"},"logprobs":null}]}"#;
        assert_eq!(parse(message).unwrap().texts, ["high"]);
        assert_eq!(parse(message).unwrap().top, None);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let fault = |text: &str| parse(text).unwrap_err().to_string();
        assert!(fault("<html>Bad gateway").contains("found a page: `<html>Bad gateway`"));
        assert!(fault(r#"{"choices":[{"te"#).contains("EOF while parsing"));
        assert!(fault(r#"{"choices":[]}"#).contains("at least one choice"));
        assert!(fault(r#"{"error":{"message":"boom"}}"#).contains("boom"));
        let nan = r#"{"choices":[{"text":"","logprobs":{"content":[{"token":"a","logprob":NaN}]}}]}"#;
        assert!(fault(nan).contains("in JSON"), "{}", fault(nan));
        let positive = r#"{"choices":[{"text":"","logprobs":{"content":[{"token":"a","logprob":0.5}]}}]}"#;
        assert!(fault(positive).contains("at most 0, found 0.5 for `a`"));
        let text = r#"{"choices":[{"logprobs":{"content":[{"token":"a","logprob":"-0.5"}]}}]}"#;
        assert!(fault(text).contains("found at `choices[0].logprobs.content[0].logprob`"), "{}", fault(text));
        let number = r#"{"choices":[{"logprobs":{"top_logprobs":[{"a":{}}]}}]}"#;
        assert!(fault(number).contains("`choices[0].logprobs.top_logprobs[0].a`"), "{}", fault(number));
        assert!(fault("").contains("an empty body") && fault("null").contains("an object with `choices`"));
        assert!(fault("data: {}").contains("a stream of events"));
        assert!(fault(r#"{"choices":[{}]} x"#).contains("trailing characters"));
    }

    #[test]
    fn what_is_not_used_may_be_anything() {
        let log_probs = r#"{"content":[{"token":" low","logprob":-0.7,"bytes":"x","top_logprobs":[
            {"token":" low","logprob":-0.7},{"token":null,"logprob":-1},{"token":" high","logprob":-0.9,"bytes":null},{"token":" no"},null,7,
            {"token":"","bytes":[32,108],"logprob":-3},{"token":"\ud83d","logprob":-4},{"token":"!","logprob":-Infinity}]}]}"#;
        let usages = [
            "null",
            "7",
            "[]",
            r#"{"prompt_tokens":null}"#,
            r#"{"prompt_tokens":3.0,"completion_tokens":-1,"x":[]}"#,
        ];
        for usage in usages {
            let text = format!(
                r#"{{"id":null,"error":null,"choices":[{{"index":"?","text":null,"logprobs":{log_probs}}}],"usage":{usage}}}"#
            );
            let reply = parse(&text).unwrap();
            let top = reply.top.unwrap();
            let tokens: Vec<&str> = top.iter().map(|(token, _)| token.as_str()).collect();
            assert_eq!(tokens, [" low", " high", " l", "\u{fffd}", "!"]);
            assert_eq!(top[4].1, f64::NEG_INFINITY);
            assert_eq!(reply.tokens, if usage.contains("3.0") { 3 } else { 0 });
        }
        for log_probs in [
            "null",
            "{}",
            "[]",
            "[{}]",
            "3",
            r#"{"content":null}"#,
            r#"{"content":[]}"#,
            r#"{"content":[null]}"#,
        ] {
            let reply = parse(&format!(r#"{{"choices":[{{"text":"x","logprobs":{log_probs}}}]}}"#)).unwrap();
            assert_eq!((reply.top, reply.texts), (None, vec!["x".to_owned()]), "{log_probs}");
        }
        let lists = r#"{"choices":[{"text":" low","logprobs":{"tokens":null,"token_logprobs":null,"top_logprobs":[{" low":-0.7," high":-1}]}}]}"#;
        assert_eq!(parse(lists).unwrap().top.unwrap().len(), 2);
    }

    #[test]
    fn the_chosen_token_alone_is_no_distribution() {
        let reply = |top: &str| {
            let text = r#"{"choices":[{"logprobs":{"content":[{"token":" low","logprob":-0.9TOP}]}}]}"#;
            parse(&text.replace("TOP", top)).unwrap().top
        };
        let one = r#","top_logprobs":[{"token":" low","logprob":-0.9}]"#;
        for alone in ["", r#","top_logprobs":null"#, r#","top_logprobs":[]"#, one] {
            assert_eq!(reply(alone), None, "{alone}");
        }
        assert_eq!(reply(r#","top_logprobs":[{"token":" low","logprob":-1e-7}]"#).unwrap().len(), 1);
        // Lists that are filled up.
        let padded = |other: &str| {
            let pads: Vec<String> =
                (0..19).map(|i| other.replace("TOKEN", &format!("t{i}")).replace("PAD", "<pad>")).collect();
            format!(r#","top_logprobs":[{{"token":" low","logprob":-0.9}},{}]"#, pads.join(","))
        };
        for pad in [
            r#"{"token":"TOKEN","logprob":-9999.0}"#,
            r#"{"token":"PAD","logprob":-100}"#,
            r#"{"token":"TOKEN","logprob":-Infinity}"#,
            r#"{"token":"","logprob":-1e9}"#,
        ] {
            assert_eq!(reply(&padded(pad)), None, "{pad}");
        }
        assert_eq!(reply(&padded(r#"{"token":"TOKEN","logprob":-9}"#)).unwrap().len(), 20);
        let sure = r#","top_logprobs":[{"token":" low","logprob":-0.001},{"token":" high","logprob":-9999}]"#;
        assert_eq!(reply(sure).unwrap().len(), 2);
        let chosen =
            r#"{"choices":[{"logprobs":{"tokens":[" low"],"token_logprobs":[-0.9],"top_logprobs":null}}]}"#;
        assert_eq!(parse(chosen).unwrap().top, None);
    }

    #[test]
    fn tokens_that_are_repeated_count_once_and_impossible_ones_not_at_all() {
        let top = |list: &str| {
            parse(&format!(
                r#"{{"choices":[{{"logprobs":{{"content":[{{"token":"a","top_logprobs":[{list}]}}]}}}}]}}"#
            ))
        };
        let twice = r#"{"token":"a","logprob":-0.5},{"token":"a","logprob":-0.5},{"token":"a","logprob":-3}"#;
        assert_eq!(top(twice).unwrap().top.unwrap().len(), 2);
        let many: Vec<String> = (0..30).map(|i| format!(r#"{{"token":"t{i}","logprob":-0.1}}"#)).collect();
        assert!(top(&many.join(",")).unwrap_err().to_string().contains("sum to at most 1"));
    }

    #[test]
    fn choices_and_tokens_are_bounded() {
        let choices = format!(r#"{{"choices":[{{}}{}]}}"#, ",{}".repeat(MAX_CHOICES));
        assert!(parse(&choices).unwrap_err().to_string().contains("more than 1024 elements"));
        let tokens = format!(r#"{{"choices":[{{"logprobs":{{"tokens":[1{}]}}}}]}}"#, ",1".repeat(MAX_TOKENS));
        assert!(parse(&tokens).unwrap_err().to_string().contains("choices[0].logprobs.tokens"));
        assert!(parse(&"[".repeat(1 << 20)).is_err());
        let huge = r#"{"choices":[{}],"usage":{"prompt_tokens":18446744073709551615,"completion_tokens":5}}"#;
        assert_eq!(parse(huge).unwrap().tokens, 5);
    }

    #[test]
    fn an_echo_gives_the_labels_tokens_alone() {
        let echo = |tokens: &str, lps: &str| {
            let text = r#"{"choices":[{"text":"He is very low!","logprobs":{"tokens":TOKENS,"token_logprobs":LPS}}]}"#;
            parse(&text.replace("TOKENS", tokens).replace("LPS", lps)).unwrap()
        };
        let whole = echo(r#"["He"," is"," very"," low","!"]"#, "[null,-1.0,-0.5,-0.25,-9.0]");
        assert_eq!(whole.echoed("He is", "very low"), Some(-0.75));
        assert_eq!(whole.echoed("She is", "very low"), None);
        let begun = echo(r#"["<s>","He"," is"," very"," low","!"]"#, "[null,-3.0,-1.0,-0.5,-0.25,-9.0]");
        assert_eq!(begun.echoed("He is", "very low"), Some(-0.75));
        let across = echo(r#"["He"," is very"," low"]"#, "[null,-1.0,-0.5]");
        assert_eq!(across.echoed("He is", "very low"), None);
        // The bytes of an emoji, each a token.
        let split = echo(
            r#"["He","\ufffd","\ufffd"," who buys: he"," is"," low","!"]"#,
            "[null,-1,-1,-1.0,-0.5,-0.25,-9.0]",
        );
        assert_eq!(split.echoed("He 🙂 who buys: he is", "low"), Some(-0.25));
        assert_eq!(split.echoed("He 🙂 he is", "low"), None, "too little to know it by");
        let silent = echo(r#"["!"]"#, "[-9.0]");
        assert_eq!(silent.echoed("He is", "very low"), None);
    }

    #[test]
    fn an_error_in_a_choice_and_a_withheld_answer_are_no_answers() {
        let failed =
            r#"{"choices":[{"text":"","finish_reason":"error","error":{"code":502,"message":"upstream"}}]}"#;
        assert!(matches!(parse(failed), Err(Fault::Failed { status: 502, .. })));
        let withheld =
            r#"{"choices":[{"message":{"content":null},"finish_reason":"content_filter","logprobs":null}]}"#;
        assert!(matches!(parse(withheld), Err(Fault::PromptRefused { .. })));
        let whole = r#"{"choices":[{"text":" low","finish_reason":"content_filter","error":null}]}"#;
        assert_eq!(parse(whole).unwrap().texts, [" low"]);
    }
}
