//! What a server says of an error, whatever form it says it in, and without what it was sent.
//!
//! Many servers quote the request in a refusal: the prompt, the value that they do not like, the whole body. A word of a profile
//! or the name of a parameter in it is not the server's, and nothing may be concluded from it.

use serde_json::{Map, Value};

use super::sanitise::Sanitiser;

/// Characters of a server's words that are looked at: far more than any error has.
const READ: usize = 8 << 10;
/// What stands for a part of a prompt.
const PROMPT: &str = "[prompt]";
/// What stands for the body of a request.
const REQUEST: &str = "[request]";

/// What a server says of an error.
pub(super) struct Said {
    /// Its words, and the codes with them.
    pub(super) message: String,
    /// What it gives as codes, kinds and reasons, in lower case.
    codes: Vec<String>,
    /// Status in the body, where the answer itself may have another.
    pub(super) status: Option<u16>,
}

impl Said {
    /// Reads the forms in use: `{"error": {"message", "type", "code", "param"}}`, `{"error": "…"}`, `{"message": "…"}`, `{"detail": …}`, an
    /// error in a choice, plain text. What is a copy of `request` is left out.
    pub(super) fn read(body: &str, request: &Value) -> Self {
        let plain =
            || Self { message: without_request(body.trim(), request), codes: Vec::new(), status: None };
        // Far longer than any error, and not worth the memory of its parts.
        if body.len() > 64 << 10 {
            return plain();
        }
        let top = match serde_json::from_str::<Value>(body) {
            Ok(Value::Object(top)) => top,
            // Some list the one error that they have.
            Ok(Value::Array(list)) => match list.into_iter().next() {
                Some(Value::Object(top)) => top,
                _ => return plain(),
            },
            _ => return plain(),
        };
        let is_error = |error: &&Value| !error.is_null();
        let error = top.get("error").filter(is_error);
        let error = error.or_else(|| top.get("choices")?.get(0)?.get("error").filter(is_error));
        let inner = error.and_then(Value::as_object).unwrap_or(&top);
        let words = error
            .filter(|error| error.is_string())
            .or_else(|| ["message", "detail", "msg"].iter().find_map(|key| inner.get(*key)))
            .filter(|words| !words.is_null());
        let codes = [codes(&top), codes(inner)].concat();
        let Some(words) = words else { return Self { codes, ..plain() } };
        let message = without_request(&with_codes(text(words), inner), request);
        let status = ["code", "status", "http_status_code"].iter().find_map(|key| status(inner.get(*key)?));
        Self { message, codes, status }
    }

    /// Whether one of the codes holds one of these.
    pub(super) fn has_code(&self, parts: &[&str]) -> bool {
        self.codes.iter().any(|code| parts.iter().any(|part| code.contains(part)))
    }

    /// Whether the words, or a code with them, hold one of these.
    pub(super) fn has_words(&self, parts: &[&str]) -> bool {
        let message = self.message.to_lowercase();
        self.has_code(parts) || parts.iter().any(|part| message.contains(part))
    }
}

/// Everything in an error that is there to be compared, and not to be read.
fn codes(error: &Map<String, Value>) -> Vec<String> {
    let own = ["code", "type", "status", "error_type", "reason"].map(|key| error.get(key)?.as_str());
    let inner = ["innererror", "inner_error"].map(|key| error.get(key)?.get("code")?.as_str());
    own.into_iter().chain(inner).flatten().map(str::to_lowercase).collect()
}

fn status(code: &Value) -> Option<u16> {
    let code = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
    u16::try_from(code).ok().filter(|code| (400..600).contains(code))
}

/// Words as text. Of errors that a validator lists, each with the field it is about: what stands beside is a copy of the input.
fn text(words: &Value) -> String {
    let one = |error: &Value| {
        let message = error.get("msg")?.as_str()?;
        let parts = error.get("loc").and_then(Value::as_array).into_iter().flatten();
        let parts = parts.map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned));
        let field: Vec<String> = parts.filter(|part| part != "body").collect();
        let kind =
            error.get("type").and_then(Value::as_str).map_or_else(String::new, |kind| format!(" ({kind})"));
        Some(match field.is_empty() {
            true => format!("{message}{kind}"),
            false => format!("`{}`: {message}{kind}", field.join(".")),
        })
    };
    match words {
        Value::String(words) => words.clone(),
        Value::Array(errors) => {
            let read: Option<Vec<String>> = errors.iter().map(one).collect();
            read.map_or_else(|| words.to_string(), |errors| errors.join("; "))
        }
        Value::Object(words) if words.contains_key("detail") => text(&words["detail"]),
        other => other.to_string(),
    }
}

/// The message with the codes that it does not tell itself.
fn with_codes(message: String, error: &Map<String, Value>) -> String {
    let mut codes: Vec<String> = Vec::new();
    for key in ["code", "type", "param", "metadata"] {
        let Some(code) = error.get(key).filter(|code| !code.is_null()).map(text) else { continue };
        // As Python prints what is not there.
        if code != "None" && !message.contains(&code) && !codes.iter().any(|other| other.ends_with(&code)) {
            codes.push(format!("{key} {code}"));
        }
    }
    if codes.is_empty() { message } else { format!("{message} ({})", codes.join(", ")) }
}

/// A text without parts of the request's prompt, and without copies of its body.
fn without_request(text: &str, request: &Value) -> String {
    let end = text.char_indices().nth(READ).map_or(text.len(), |(at, _)| at);
    let messages = request["messages"].as_array().into_iter().flatten();
    let prompts =
        request["prompt"].as_str().into_iter().chain(messages.filter_map(|one| one["content"].as_str()));
    let text = Sanitiser::of_texts(prompts).without(&text[..end], PROMPT);
    let names: Vec<&str> = request.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    without_bodies(&text, &names)
}

/// A text without what stands in brackets and gives values to two or more of these names, as JSON, Python and others print a
/// request. One that is cut off goes on to the end.
fn without_bodies(text: &str, names: &[&str]) -> String {
    let bytes = text.as_bytes();
    // Brackets that are open, where they begin, and the names given in each.
    let mut open: Vec<(u8, usize, Vec<&str>)> = Vec::new();
    let mut bodies: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' | b'(' => open.push((*byte, at, Vec::new())),
            b'}' | b')' => {
                let begins = if *byte == b'}' { b'{' } else { b'(' };
                let Some(group) = open.iter().rposition(|group| group.0 == begins) else { continue };
                let begin = open[group].1;
                let mut named: Vec<&str> = open.drain(group..).flat_map(|group| group.2).collect();
                named.sort_unstable();
                named.dedup();
                if named.len() > 1 {
                    bodies.push(begin..at + 1);
                }
            }
            _ => {
                let name = names.iter().find(|name| gives_value(bytes, at, name));
                if let (Some(name), Some((.., named))) = (name, open.last_mut())
                    && !named.contains(name)
                {
                    named.push(name);
                }
            }
        }
    }
    bodies.extend(open.iter().filter(|group| group.2.len() > 1).map(|group| group.1..text.len()));
    bodies.sort_by_key(|body| body.start);
    let (mut left, mut at) = (String::with_capacity(text.len()), 0);
    for body in bodies {
        if body.start >= at {
            left.extend([&text[at..body.start], REQUEST]);
        }
        at = at.max(body.end);
    }
    left + &text[at..]
}

/// Whether a value is given to a name there: `"name": …`, `'name': …`, `\"name\":…`, `name=…`.
fn gives_value(bytes: &[u8], at: usize, name: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if at > 0 && is_word(&bytes[at - 1]) {
        return false;
    }
    let Some(rest) = bytes[at..].strip_prefix(name.as_bytes()) else { return false };
    let mut rest = rest.iter().skip_while(|byte| matches!(byte, b'\\' | b'"' | b'\'' | b' '));
    matches!(rest.next(), Some(b':' | b'='))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn request() -> Value {
        json!({ "model": "m", "prompt": "A client whose credit balance is unknown, and who (says: {he}", "max_tokens": 1,
            "temperature": 0, "logprobs": 20 })
    }

    fn message(body: &str) -> String {
        Said::read(body, &request()).message
    }

    #[test]
    fn a_servers_words_are_found_in_every_form() {
        assert_eq!(message(r#"{"error":"boom"}"#), "boom");
        assert_eq!(message(r#"{"detail":"Not Found"}"#), "Not Found");
        assert_eq!(message(r#"{"detail":[{"loc":["body","n"]}]}"#), r#"[{"loc":["body","n"]}]"#);
        assert_eq!(
            message(r#"{"error":{"message":"must be 1","param":"n","type":"bad"}}"#),
            "must be 1 (type bad, param n)"
        );
        assert_eq!(message(" <html> "), "<html>");
        assert_eq!(message(r#"{"error":{"reason":"x"}}"#), r#"{"error":{"reason":"x"}}"#);
        assert_eq!(message(r#"{"choices":[{"error":{"message":"boom","code":502}}]}"#), "boom (code 502)");
        let none = r#"{"error":{"message":"boom","type":"None","param":"None","code":"400"}}"#;
        assert_eq!(message(none), "boom (code 400)");
        let listed = json!({ "detail": [
            { "type": "less_than_equal", "loc": ["body", "n"], "msg": "Input should be at most 1", "input": 20, "ctx": { "le": 1 } },
            { "type": "missing", "loc": ["body"], "msg": "Field required", "input": request() },
        ]});
        assert_eq!(
            message(&listed.to_string()),
            "`n`: Input should be at most 1 (less_than_equal); Field required (missing)"
        );
        let within =
            json!({ "object": "error", "message": listed, "type": "invalid_request_error", "code": null });
        assert!(
            message(&within.to_string()).starts_with("`n`: Input should be at most 1 (less_than_equal);")
        );
        let list = r#"[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}]"#;
        assert_eq!(message(list), "API key not valid (code 400)");
        let status = |body: &str| Said::read(body, &request()).status;
        assert_eq!(status(r#"{"error":{"message":"too long","http_status_code":422}}"#), Some(422));
        assert_eq!(status(r#"{"error":{"message":"x","code":"7"}}"#), None);
    }

    #[test]
    fn what_a_server_quotes_of_a_request_is_not_its_word() {
        let body = request().to_string();
        let prompt = request()["prompt"].as_str().unwrap().to_owned();
        let python = body.replace('"', "'").replace(":", ": ");
        let repr =
            format!("CompletionRequest(model='m', prompt='{prompt}', max_tokens=1, temperature=0.0, n=1)");
        for quoted in [
            prompt.clone(),
            format!("{}…{}", &prompt[..30], &prompt[30..]),
            body.clone(),
            serde_json::to_string(&body).unwrap(),
            python.clone(),
            repr,
            body[..body.len() - 9].to_owned(),
            format!(
                "[{{'type': 'missing', 'loc': ('body', 'x'), 'msg': 'Field required', 'input': {python}}}]"
            ),
        ] {
            for told in
                [json!({ "error": { "message": format!("not this: {quoted}") } }).to_string(), quoted.clone()]
            {
                let message = message(&told);
                for other in ["credit balance", "unknown", "temperature", "logprobs"] {
                    assert!(!message.contains(other), "{other} in {message} of {told}");
                }
            }
        }
    }

    #[test]
    fn what_a_server_says_of_a_parameter_is_its_word() {
        for own in [
            "'temperature' does not support 0 with this model. Only the default (1) value is supported.",
            "Invalid 'max_tokens': integer below minimum value. Expected a value >= 16, but got 1 instead.",
            "`logprobs`: Input should be less than or equal to 5",
            "{\"temperature\": [\"must be 1\"]}",
            "use another client (its credit balance is low)",
        ] {
            assert_eq!(message(own), own);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in any::<String>(), odd in "[(){}a-n=:'\"\\\\ ]{0,80}") {
            message(&text);
            let left = without_bodies(&odd, &["a", "b", "n"]);
            // Nothing is cut but whole brackets.
            prop_assert!(left == odd || left.contains(REQUEST));
            message(&json!({ "error": { "message": text, "code": odd } }).to_string());
        }
    }
}
