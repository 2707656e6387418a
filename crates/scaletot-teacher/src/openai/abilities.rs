//! What a server can do, as it is found out by what the server says.
//!
//! An ability belongs to the server and not to a question: a prompt that is too long, a key that was revoked or a moment of trouble
//! tells nothing of it. A refusal that names the parameter does; one that is vague is put to the test with a prompt of ours.

use serde_json::Value;

use super::scoring::Scoring;

/// Words in which servers refuse a parameter that they do not know.
const UNKNOWN_PARAMETER: [&str; 7] = [
    "extra input",
    "extra field",
    "extra_forbidden",
    "unrecognized",
    "unknown parameter",
    "unknown field",
    "additional propert",
];

/// Words in which servers refuse more than one choice.
const ABOUT_N: [&str; 10] =
    ["'n'", "`n`", "\"n\"", "param n", "n > 1", "n>1", "n must be", "n=1", "n = 1", "one choice"];

/// Words about a prompt, not about the server.
const TOO_LONG: [&str; 8] = [
    "context length",
    "context_length",
    "context window",
    "context size",
    "maximum context",
    "too long",
    "too many tokens",
    "reduce the length",
];

/// What is known of a server.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Abilities {
    /// How distributions are obtained, once it is known.
    pub(super) scoring: Option<Scoring>,
    /// Whether it echoes prompts with log-probabilities.
    pub(super) echo: Option<bool>,
    /// Whether it guides samples to the labels.
    pub(super) guided: Option<bool>,
    /// How it wants to be asked.
    pub(super) dialect: Dialect,
}

/// How a request is written for a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dialect {
    /// The limit is called `max_completion_tokens`.
    pub(super) completion_tokens: bool,
    /// Limits below [`Self::MIN_LIMIT`] are refused.
    pub(super) high_limit: bool,
    /// A temperature of 0 is refused: none is sent where tokens are not sampled.
    pub(super) own_temperature: bool,
    /// One choice alone is given to a request.
    pub(super) one_choice: bool,
}

impl Dialect {
    /// The lowest limit of tokens that servers with such a bound take.
    pub(super) const MIN_LIMIT: usize = 16;

    /// The dialect in which `request` may be taken that was refused with these words, if there is one.
    pub(super) fn adapted(mut self, refusal: &str, request: &Value) -> Option<Self> {
        let refusal = refusal.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|words| refusal.contains(words));
        let about_limit = has(&["max_tokens", "max_completion_tokens", "max_output_tokens"]);
        if request.get("max_tokens").is_some() && has(&["max_completion_tokens"]) {
            self.completion_tokens = true;
        } else if !self.high_limit && about_limit && has(&["minimum", "at least", ">=", "greater than"]) {
            self.high_limit = true;
        } else if request["temperature"] == 0 && has(&["temperature"]) {
            self.own_temperature = true;
        } else if request.get("n").is_some() && has(&ABOUT_N) {
            self.one_choice = true;
        } else {
            return None;
        }
        Some(self)
    }
}

/// A way of obtaining a distribution that a server may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Top,
    Echo,
    Guided,
}

/// What a refusal tells of an ability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The server lacks it.
    Lacks,
    /// Nothing, since it is about something else.
    Unrelated,
    /// Not said: to be tried.
    Vague,
}

impl Way {
    /// What a refusal with this status and these words tells.
    pub(super) fn verdict(self, status: u16, message: &str) -> Verdict {
        let message = message.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|words| message.contains(words));
        let names: &[&str] = match self {
            Way::Top => &["logprob"],
            Way::Echo => &["echo", "logprob"],
            Way::Guided => &["structured_output", "structured output", "guided"],
        };
        let refusal = matches!(status, 400 | 404 | 405 | 415 | 422 | 501);
        match () {
            () if has(&TOO_LONG) => Verdict::Unrelated,
            () if refusal && (has(names) || self != Way::Top && has(&UNKNOWN_PARAMETER)) => Verdict::Lacks,
            () if matches!(status, 400 | 405 | 415 | 422 | 501) => Verdict::Vague,
            // What is no use without an answer before it, and fails inside: an engine without that part.
            () if status == 500 && self != Way::Top => Verdict::Vague,
            () => Verdict::Unrelated,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_refusal_tells_of_an_ability_and_what_it_does_not() {
        use Verdict::{Lacks, Unrelated, Vague};
        for (way, status, message, verdict) in [
            (Way::Top, 400, "logprobs must be at most 5", Lacks),
            (Way::Top, 422, "Input should be less than or equal to 5", Vague),
            (Way::Top, 500, "boom", Unrelated),
            (Way::Echo, 400, "Setting 'echo' is not supported", Lacks),
            (Way::Echo, 400, "This model's maximum context length is 10 tokens", Unrelated),
            (Way::Echo, 400, "bad request", Vague),
            (Way::Echo, 500, "2326", Vague),
            (Way::Echo, 401, "bad key; echo", Unrelated),
            (Way::Echo, 503, "loading", Unrelated),
            (Way::Guided, 400, "Unrecognized request argument supplied: structured_outputs", Lacks),
            (Way::Guided, 422, "Extra inputs are not permitted", Lacks),
            (Way::Guided, 403, "forbidden", Unrelated),
            (Way::Guided, 404, "no such route", Unrelated),
        ] {
            assert_eq!(way.verdict(status, message), verdict, "{way:?} {status} {message}");
        }
    }

    #[test]
    fn a_dialect_is_learned_word_by_word() {
        let plain = Dialect::default();
        let request = json!({ "max_tokens": 1, "temperature": 0, "n": 20 });
        let limit = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        assert!(plain.adapted(limit, &request).unwrap().completion_tokens);
        let high = "Invalid 'max_tokens': integer below minimum value. Expected a value >= 16, but got 1";
        let learned = plain.adapted(high, &request).unwrap();
        assert!(learned.high_limit && !learned.completion_tokens);
        assert_eq!(learned.adapted(high, &request), None, "nothing is learned twice");
        assert!(plain.adapted("'temperature' does not support 0", &request).unwrap().own_temperature);
        for one in
            ["'n' : number must be at most 1", "must be 1 (type bad, param n)", "only n=1 is supported"]
        {
            assert!(plain.adapted(one, &request).unwrap().one_choice, "{one}");
            assert_eq!(plain.adapted(one, &json!({ "max_tokens": 1 })), None, "it was not asked for");
        }
        for other in ["context length is 10 tokens", "bad key", "logprobs must be at most 5", "unknown model"]
        {
            assert_eq!(plain.adapted(other, &request), None, "{other}");
        }
    }
}
