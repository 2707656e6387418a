//! What a server can do, as it is found out by what the server says.
//!
//! An ability belongs to the server and not to a question: a prompt that is too long, a key that was revoked or a moment of trouble
//! tells nothing of it. A refusal that may is put to the test with a prompt of ours, whatever its words: they may be those of a
//! prompt that it quotes. Likewise, how a server wants requests to be written is known when it took one.

use serde_json::Value;

use super::scoring::Scoring;

/// Words in which servers refuse more than one choice.
const ABOUT_N: [&str; 11] = [
    "'n'",
    "`n`",
    "\"n\"",
    "param n",
    "n > 1",
    "n>1",
    "n must be",
    "n=1",
    "n = 1",
    "one choice",
    "completion choice",
];

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
    /// A temperature of 1 is refused, too: none is sent where tokens are sampled.
    pub(super) own_sampling: bool,
    /// One choice alone is given to a request.
    pub(super) one_choice: bool,
}

impl Dialect {
    /// The lowest limit of tokens that servers with such a bound take.
    pub(super) const MIN_LIMIT: usize = 16;

    /// What was learned of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            completion_tokens: self.completion_tokens || other.completion_tokens,
            high_limit: self.high_limit || other.high_limit,
            own_temperature: self.own_temperature || other.own_temperature,
            own_sampling: self.own_sampling || other.own_sampling,
            one_choice: self.one_choice || other.one_choice,
        }
    }

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
        } else if request["temperature"] == 1 && has(&["temperature"]) {
            self.own_sampling = true;
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

impl Way {
    /// Whether a refusal with this status and these words may mean that the server lacks it.
    pub(super) fn may_lack(self, status: u16, message: &str) -> bool {
        let message = message.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|words| message.contains(words));
        let names: &[&str] = match self {
            Way::Top => &["logprob"],
            Way::Echo => &["echo", "logprob"],
            Way::Guided => &["structured_output", "structured output", "guided"],
        };
        match status {
            _ if has(&TOO_LONG) => false,
            400 | 405 | 415 | 422 | 501 => true,
            // Mostly an address that is none.
            404 => has(names),
            // What is no use without an answer before it, and fails inside: an engine without that part.
            500 => self != Way::Top,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_that_may_be_about_an_ability_are_told_from_others() {
        for (way, status, message, may) in [
            (Way::Top, 400, "logprobs must be at most 5", true),
            (Way::Top, 422, "Input should be less than or equal to 5", true),
            (Way::Top, 500, "boom", false),
            (Way::Top, 404, "no such route", false),
            (Way::Echo, 400, "Setting 'echo' is not supported", true),
            (Way::Echo, 400, "This model's maximum context length is 10 tokens", false),
            (Way::Echo, 400, "bad request", true),
            (Way::Echo, 500, "2326", true),
            (Way::Echo, 401, "bad key; echo", false),
            (Way::Echo, 503, "loading", false),
            (Way::Guided, 400, "Unrecognized request argument supplied: structured_outputs", true),
            (Way::Guided, 422, "Extra inputs are not permitted", true),
            (Way::Guided, 404, "no provider has structured_outputs", true),
            (Way::Guided, 403, "forbidden", false),
            (Way::Guided, 404, "no such route", false),
        ] {
            assert_eq!(way.may_lack(status, message), may, "{way:?} {status} {message}");
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
