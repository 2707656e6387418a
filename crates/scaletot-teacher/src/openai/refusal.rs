//! What a server means that does not answer.
//!
//! What ends a run, because every question will meet it, is taken from the status and from codes. Words tell of it with those
//! statuses alone that servers have for it: with others a refusal is mostly about one prompt, and may be in any words.

use serde_json::Value;

use super::said::Said;
use super::transport::Answered;
use crate::fault::Fault;

/// The fault of an answer to `request` that is none.
pub(super) fn fault(answered: &Answered, request: &Value) -> Fault {
    let (status, location) = (answered.status, answered.location.clone());
    match location {
        Some(location) if matches!(status, 301..=303 | 307 | 308) => Fault::Redirected { status, location },
        _ => of_status(answered, Said::read(&answered.text, request), request),
    }
}

/// The fault of an error in an answer whose status is good. It can be read, so that it is no sign of another kind of server.
pub(super) fn fault_in_answer(text: &str, request: &Value) -> Fault {
    let said = Said::read(text, request);
    let status = said.status.unwrap_or(200);
    of_status(&Answered { status, ..Answered::default() }, said, request)
}

fn of_status(answered: &Answered, said: Said, request: &Value) -> Fault {
    let (status, retry_after) = (answered.status, answered.retry_after);
    let is_prompt = is_about_the_prompt(status, &said);
    let is_ended = is_about_quota(answered, &said);
    let is_unknown = is_about_the_model(status, &said, request["model"].as_str().unwrap_or_default());
    let is_invalid = said.has_code(&INVALID_CODES);
    let message = said.message;
    match status {
        _ if is_prompt => Fault::PromptRefused { status, message },
        _ if is_ended => Fault::Quota { status, message },
        429 => Fault::RateLimited { retry_after, message },
        408 => Fault::Timeout { message: format!("status 408: {message}") },
        // Not implemented, and a version that is not: no wait brings it.
        501 | 505 => Fault::Refused { status, message },
        // A conflict of requests, one that came too early, or what says itself when to come again.
        402 | 409 | 425 | 500.. => Fault::Failed { status, retry_after, message },
        200 if is_invalid => Fault::Refused { status, message },
        200 => Fault::Failed { status, retry_after, message: format!("the error: {message}") },
        _ if is_unknown => Fault::UnknownModel { status, message },
        _ => Fault::Refused { status, message },
    }
}

/// Codes of a refusal where no status tells it.
const INVALID_CODES: [&str; 4] = ["validation", "invalid_request", "bad_request", "badrequest"];

/// Codes of a prompt that is too long, or not allowed. Some servers fail with them (5xx).
const PROMPT_CODES: [&str; 8] = [
    "context_length",
    "exceed_context",
    "string_above_max_length",
    "content_filter",
    "content_policy",
    "moderation",
    "responsibleaipolicy",
    "invalid_prompt",
];

/// Words for a prompt that is not allowed, with the status that a wrong key has too.
const MODERATED: [&str; 5] =
    ["moderation", "flagged", "content filter", "content policy", "content management policy"];

/// Whether the prompt is refused, and another would be taken.
fn is_about_the_prompt(status: u16, said: &Said) -> bool {
    said.has_code(&PROMPT_CODES) || status == 403 && said.has_words(&MODERATED)
}

/// Codes of an account that is at its end.
const ENDED_CODES: [&str; 11] = [
    "insufficient_quota",
    "insufficient_credit",
    "insufficient_balance",
    "insufficient_fund",
    "billing_hard_limit",
    "billing_not_active",
    "access_terminated",
    "exceeded_current_quota",
    "budget_exceeded",
    "spending-limit",
    "arrearage",
];

/// Words for it.
const ENDED: [&str; 10] = [
    "insufficient quota",
    "insufficient credit",
    "insufficient fund",
    "insufficient balance",
    "credit balance",
    "no credits",
    "available credits",
    "spending limit",
    "billing",
    "payment required",
];

/// Words for a limit that ends with time, which is called by some of the same.
const FOR_A_TIME: [&str; 8] =
    ["rate_limit", "try again in", "retry in", "retry after", "per min", "per second", "per hour", "per day"];

/// Whether the account is at its end, which no wait mends: a limit for a time tells when to come again.
fn is_about_quota(answered: &Answered, said: &Said) -> bool {
    let waits = answered.retry_after.is_some();
    match answered.status {
        402 => !waits,
        // Proxies quote the codes of others in their words.
        403 | 429 => {
            said.has_words(&ENDED_CODES) || said.has_words(&ENDED) && !waits && !said.has_words(&FOR_A_TIME)
        }
        _ => said.has_code(&ENDED_CODES),
    }
}

/// Codes of a model that is not known.
const UNKNOWN_CODES: [&str; 4] = ["model_not_found", "modelnotfound", "deploymentnotfound", "unknown_model"];

/// Words for it, beside its name.
const UNKNOWN: [&str; 8] = [
    "not found",
    "not_found",
    "does not exist",
    "unknown",
    "no such",
    "invalid model",
    "not a valid model",
    "no endpoints found",
];

/// Whether a refusal means that there is no such model, and not that a model has no such parameter.
fn is_about_the_model(status: u16, said: &Said, model: &str) -> bool {
    let names_it = || {
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        said.message.match_indices(model).any(|(at, _)| {
            !said.message[..at].ends_with(is_part) && !said.message[at + model.len()..].starts_with(is_part)
        })
    };
    matches!(status, 400 | 404 | 422)
        && (said.has_words(&UNKNOWN_CODES)
            || status != 422
                && said.has_words(&["model", "endpoints"])
                && said.has_words(&UNKNOWN)
                && !said.has_words(&["parameter", "argument", "field", "property"])
                && !model.is_empty()
                && names_it())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn request() -> Value {
        json!({ "model": "acme/m-1", "prompt": "The man has no credits and his model is unknown: acme/m-1", "max_tokens": 1 })
    }

    fn of(status: u16, seconds: Option<u64>, text: &str) -> Fault {
        let retry_after = seconds.map(Duration::from_secs);
        fault(&Answered { status, retry_after, text: text.to_owned(), ..Answered::default() }, &request())
    }

    fn in_answer(text: &str) -> Fault {
        fault_in_answer(text, &request())
    }

    #[test]
    fn an_unknown_model_is_told_from_other_refusals() {
        for (status, text) in [
            (404, r#"{"error":{"message":"The model `acme/m-1` does not exist"}}"#),
            (
                404,
                r#"{"error":{"message":"model \"acme/m-1\" not found, try pulling it first","type":"api_error","param":null,"code":null}}"#,
            ),
            (
                404,
                r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
            ),
            (404, r#"{"error":{"message":"No endpoints found for acme/m-1.","code":404}}"#),
            (400, "model 'acme/m-1' not found"),
            (400, r#"{"error":{"message":"acme/m-1 is not a valid model ID","code":400}}"#),
            (
                400,
                r#"{"error":{"message":"Invalid model name passed in model=acme/m-1. Call `/v1/models`","type":"None","code":"400"}}"#,
            ),
            (404, "no such argument of a path (code model_not_found)"),
        ] {
            let fault = of(status, None, text);
            assert!(matches!(fault, Fault::UnknownModel { .. }) && fault.is_permanent(), "{fault}");
        }
        for (status, text) in [
            (404, "no such route"),
            (404, "no such route for this model"),
            (401, "unknown key for this model acme/m-1"),
            (400, "Unknown parameter: 'structured_outputs' with this model acme/m-1"),
            (
                400,
                "The model's context is too short for: The man has no credits and his model is unknown: acme/m-1",
            ),
        ] {
            let fault = of(status, None, text);
            assert!(matches!(fault, Fault::Refused { .. }), "{fault:?}");
        }
    }

    #[test]
    fn an_account_at_its_end_is_told_from_a_limit_for_a_time() {
        let quota = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
        let budget = r#"{"error":{"message":"Budget has been exceeded! Current cost: 2, Max budget: 1","type":"budget_exceeded","code":"400"}}"#;
        for ended in [
            of(429, None, quota),
            of(402, None, "pay"),
            of(403, None, r#"{"message":"Your credit balance is too low"}"#),
            of(400, None, quota),
            of(400, None, budget),
            in_answer(
                r#"{"error":{"message":"Provider returned error","code":402,"metadata":{"raw":"out"}}}"#,
            ),
            in_answer(quota),
            // Whatever a proxy adds to it.
            of(429, Some(3), quota),
            of(429, Some(3), "RateLimitError: {'code': 'insufficient_quota'}"),
        ] {
            assert!(
                matches!(ended, Fault::Quota { .. }) && !ended.is_transient() && ended.is_permanent(),
                "{ended}"
            );
        }
        for passing in [
            of(429, None, "slow down"),
            of(429, Some(3), "over your quota, see billing"),
            of(429, None, "Quota exceeded, see your billing page. Please retry in 31 s"),
            of(
                429,
                None,
                r#"{"error":{"message":"Limit: 3. Add a payment method at account/billing","code":"rate_limit_exceeded"}}"#,
            ),
            in_answer(r#"{"error":{"message":"busy","code":"429"}}"#),
        ] {
            assert!(matches!(passing, Fault::RateLimited { .. }) && passing.is_transient(), "{passing}");
        }
        // Credit that is bound by requests under way.
        let bound = of(402, Some(2), r#"{"error":{"message":"insufficient credits","code":402}}"#);
        assert!(bound.is_transient() && bound.retry_after() == Some(Duration::from_secs(2)), "{bound}");
        assert!(
            of(429, None, quota)
                .to_string()
                .contains("You exceeded your current quota (code insufficient_quota)")
        );
    }

    /// What a prompt is refused with may be in any words, its own among them.
    #[test]
    fn a_refused_prompt_is_no_end_of_an_account() {
        for (status, text) in [
            (400, "no credits"),
            (400, "too long: The man has no credits and his model is unknown: acme/m-1"),
            (
                422,
                r#"{"detail":[{"loc":["body","prompt"],"msg":"bad","input":"billing: insufficient_quota"}]}"#,
            ),
            (404, "not here: his credit balance"),
            (
                413,
                r#"{"error":{"message":"Request too large. Need more tokens? See settings/billing","type":"tokens","code":"rate_limit_exceeded"}}"#,
            ),
            (403, "not from here"),
        ] {
            let fault = of(status, None, text);
            assert!(matches!(fault, Fault::Refused { .. }) && !fault.is_permanent(), "{fault:?}");
        }
        for (status, text) in [
            (
                403,
                r#"{"error":{"code":403,"message":"Your chosen model requires moderation and your input was flagged for \"violence\". No credits were charged.","metadata":{"reasons":["violence"],"flagged_input":"his model is unknown"}}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"The response was filtered due to the prompt triggering the content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ),
            (
                400,
                r#"{"error":{"message":"see billing for more","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            ),
            (
                500,
                r#"{"error":{"code":500,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_ctx":256}}"#,
            ),
        ] {
            let fault = of(status, None, text);
            let is_prompt = matches!(fault, Fault::PromptRefused { .. });
            assert!(is_prompt && !fault.is_permanent() && !fault.is_transient(), "{fault:?}");
        }
    }

    #[test]
    fn an_error_in_an_answer_has_the_status_that_it_tells() {
        for (text, status) in [
            (r#"{"error":{"message":"boom","code":502}}"#, 502),
            (r#"{"error":"boom"}"#, 200),
            (r#"{"choices":[{"error":{"message":"boom","code":502}}]}"#, 502),
        ] {
            let fault = in_answer(text);
            assert!(matches!(&fault, Fault::Failed { status: found, .. } if *found == status), "{fault:?}");
            assert!(fault.is_transient() && fault.to_string().contains("boom"));
        }
        for (text, status) in [
            (r#"{"error":{"message":"Input validation error","http_status_code":422}}"#, 422),
            (r#"{"error":"Input validation error","error_type":"validation"}"#, 200),
        ] {
            let refused = in_answer(text);
            assert!(
                matches!(refused, Fault::Refused { status: found, .. } if found == status),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn redirects_and_what_is_not_there_are_told() {
        let location = Some("http://elsewhere/v1".to_owned());
        let moved = fault(&Answered { status: 307, location, ..Answered::default() }, &request());
        assert!(matches!(&moved, Fault::Redirected { status: 307, .. }) && moved.is_permanent(), "{moved}");
        assert!(matches!(of(304, None, ""), Fault::Refused { status: 304, .. }));
        assert!(matches!(of(501, None, ""), Fault::Refused { .. }));
        assert!(of(409, None, "").is_transient() && of(425, None, "").is_transient());
    }
}
