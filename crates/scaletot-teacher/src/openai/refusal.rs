//! What a server means that does not answer.

use std::time::Duration;

use serde_json::Value;

use crate::fault::Fault;

/// What a server says of an error, whatever form it says it in.
struct Said {
    /// Its words, and the codes with them.
    message: String,
    /// Status in the body, where the answer itself has another.
    status: Option<u16>,
}

/// The fault of an answer that is none.
pub(super) fn fault(
    status: u16,
    retry_after: Option<Duration>,
    location: Option<String>,
    body: &str,
) -> Fault {
    let message = said(body).message;
    match (status, location) {
        (301..=303 | 307 | 308, Some(location)) => Fault::Redirected { status, location },
        _ => of_status(status, retry_after, message),
    }
}

/// The fault of an error in an answer whose status is good.
pub(super) fn fault_in_answer(body: &str) -> Fault {
    let Said { message, status } = said(body);
    match status {
        Some(status) => of_status(status, None, message),
        None if is_about_quota(&message, None) => Fault::Quota { status: 200, message },
        None => Fault::Unusable { message: format!("expected an answer, found the error: {message}") },
    }
}

fn of_status(status: u16, retry_after: Option<Duration>, message: String) -> Fault {
    match status {
        402 => Fault::Quota { status, message },
        400..500 if is_about_quota(&message, retry_after) => Fault::Quota { status, message },
        429 => Fault::RateLimited { retry_after, message },
        408 => Fault::Timeout { message: format!("status 408: {message}") },
        // Not implemented, and a version that is not: no wait brings it.
        501 | 505 => Fault::Refused { status, message },
        500.. => Fault::Failed { status, retry_after, message },
        _ if is_about_the_model(status, &message) => Fault::UnknownModel { status, message },
        _ => Fault::Refused { status, message },
    }
}

/// Codes of an account that is at its end.
const ENDED_CODES: [&str; 7] = [
    "insufficient_quota",
    "insufficient_credit",
    "insufficient_balance",
    "insufficient_fund",
    "billing_hard_limit",
    "billing_not_active",
    "access_terminated",
];

/// Words for it.
const ENDED: [&str; 8] = [
    "insufficient quota",
    "insufficient credit",
    "insufficient fund",
    "insufficient balance",
    "credit balance",
    "no credits",
    "billing",
    "payment required",
];

/// Words for a limit that ends with time, which is called by some of the same.
const FOR_A_TIME: [&str; 7] =
    ["try again in", "retry in", "retry after", "per minute", "per second", "per hour", "per day"];

/// Whether the account is at its end, which no wait mends: a limit for a time tells when to come again.
fn is_about_quota(message: &str, retry_after: Option<Duration>) -> bool {
    let message = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|words| message.contains(words));
    has(&ENDED_CODES) || has(&ENDED) && retry_after.is_none() && !has(&FOR_A_TIME)
}

/// Whether a refusal means that there is no such model, and not that a model has no such parameter.
fn is_about_the_model(status: u16, message: &str) -> bool {
    let message = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|words| message.contains(words));
    let unknown = ["not found", "does not exist", "not_found", "unknown", "no such", "invalid model"];
    (status == 404 || status == 400)
        && message.contains("model")
        && has(&unknown)
        && (message.contains("model_not_found") || !has(&["parameter", "argument", "field", "property"]))
}

/// Reads the forms in use: `{"error": {"message", "type", "code", "param"}}`, `{"error": "…"}`, `{"message": "…"}`, `{"detail": …}`, plain text.
fn said(body: &str) -> Said {
    let plain = || Said { message: body.trim().to_owned(), status: None };
    // Far longer than any error, and not worth the memory of its parts.
    if body.len() > 64 << 10 {
        return plain();
    }
    let Ok(Value::Object(top)) = serde_json::from_str::<Value>(body) else { return plain() };
    let error = top.get("error").filter(|error| !error.is_null());
    let inner = error.and_then(Value::as_object).unwrap_or(&top);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let words = error
        .filter(|error| error.is_string())
        .or_else(|| ["message", "detail", "msg"].iter().find_map(|key| inner.get(*key)))
        .filter(|words| !words.is_null());
    let Some(words) = words else { return plain() };
    let mut message = text(words);
    let mut codes: Vec<String> = Vec::new();
    for key in ["code", "type", "param", "metadata"] {
        match inner.get(key) {
            None | Some(Value::Null) => {}
            Some(code) => {
                let code = text(code);
                if !message.contains(&code) && !codes.iter().any(|other| other.ends_with(&code)) {
                    codes.push(format!("{key} {code}"));
                }
            }
        }
    }
    if !codes.is_empty() {
        message = format!("{message} ({})", codes.join(", "));
    }
    let status = inner.get("code").and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
    let status = status.and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code));
    Said { message, status }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_model_is_told_from_other_refusals() {
        assert!(is_about_the_model(404, r#"{"error":{"message":"The model `x` does not exist"}}"#));
        assert!(is_about_the_model(400, "model 'x' not found"));
        assert!(!is_about_the_model(404, "no such route"));
        assert!(!is_about_the_model(401, "unknown key for this model"));
        assert!(!is_about_the_model(400, "Unknown parameter: 'structured_outputs' with this model"));
        assert!(is_about_the_model(404, "no such argument of a path (code model_not_found)"));
    }

    #[test]
    fn an_account_at_its_end_is_told_from_a_limit_for_a_time() {
        let quota = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
        let of = |status, wait, body: &str| fault(status, wait, None, body);
        for ended in [
            of(429, None, quota),
            of(402, None, "pay"),
            of(403, None, r#"{"message":"Your credit balance is too low"}"#),
            of(400, None, "no credits"),
            fault_in_answer(
                r#"{"error":{"message":"Provider returned error","code":402,"metadata":{"raw":"out"}}}"#,
            ),
            fault_in_answer(quota),
            // Whatever a proxy adds to it.
            of(429, Some(Duration::from_secs(3)), quota),
        ] {
            assert!(
                matches!(ended, Fault::Quota { .. }) && !ended.is_transient() && ended.is_permanent(),
                "{ended}"
            );
        }
        for passing in [
            of(429, None, "slow down"),
            of(429, Some(Duration::from_secs(3)), "over your quota, see billing"),
            of(429, None, "Quota exceeded, see your billing page. Please retry in 31 s"),
            fault_in_answer(r#"{"error":{"message":"busy","code":"429"}}"#),
        ] {
            assert!(matches!(passing, Fault::RateLimited { .. }) && passing.is_transient(), "{passing}");
        }
        assert!(
            of(429, None, quota)
                .to_string()
                .contains("You exceeded your current quota (code insufficient_quota)")
        );
    }

    #[test]
    fn a_servers_words_are_found_in_every_form() {
        let message = |body: &str| said(body).message;
        assert_eq!(message(r#"{"error":"boom"}"#), "boom");
        assert_eq!(message(r#"{"detail":"Not Found"}"#), "Not Found");
        assert_eq!(message(r#"{"detail":[{"loc":["body","n"]}]}"#), r#"[{"loc":["body","n"]}]"#);
        assert_eq!(
            message(r#"{"error":{"message":"must be 1","param":"n","type":"bad"}}"#),
            "must be 1 (type bad, param n)"
        );
        assert_eq!(message(" <html> "), "<html>");
        assert_eq!(message(r#"{"error":{"reason":"x"}}"#), r#"{"error":{"reason":"x"}}"#);
        assert!(matches!(
            fault_in_answer(r#"{"error":{"message":"boom","code":502}}"#),
            Fault::Failed { status: 502, .. }
        ));
        let moved = fault(307, None, Some("http://elsewhere/v1".to_owned()), "");
        assert!(matches!(&moved, Fault::Redirected { status: 307, .. }) && moved.is_permanent(), "{moved}");
        assert!(matches!(fault(304, None, None, ""), Fault::Refused { status: 304, .. }));
        assert!(matches!(fault(501, None, None, ""), Fault::Refused { .. }));
    }
}
