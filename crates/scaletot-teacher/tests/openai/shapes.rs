//! Answers as servers in use give them: lenient in what is not needed, exact about what is.

use std::io::Write;

use scaletot_chain::{ChainSchema, StateDef};
use scaletot_teacher::openai::{Endpoint, OpenAi, Scoring};
use scaletot_teacher::{Error, Fault, LabelAnswer, Question, Result, Retry, RetryPolicy, Teacher};
use serde_json::{Value, json};

use crate::common::table;
use crate::server::{Asked, Reaction, Server};

const LABELS: [&str; 3] = ["low", "moderate", "high"];

fn ask(teacher: &dyn Teacher, labels: &[&str]) -> Result<LabelAnswer> {
    let table = table(1);
    let chain =
        ChainSchema::builder("c").with_state(StateDef::ordinal("s", labels.to_vec())).build().unwrap();
    teacher.answer(&Question::new(&chain, 0, &[], &table, 0).with_prompt("He is"))
}

fn teacher(server: &Server) -> OpenAi {
    OpenAi::builder(server.url(), "m").build().unwrap()
}

/// An answer of three labels in the shape of chat, as text.
fn good() -> String {
    r#"{"id":null,"choices":[{"index":0,"text":" low","finish_reason":null,"logprobs":{"content":[{"token":" low","logprob":-0.7,"bytes":null,
       "top_logprobs":[{"token":" low","logprob":-0.7},{"token":" moderate","logprob":-1.2},{"token":" high","logprob":-2.0},{"token":" the","logprob":-4.0}]}]}}],
       "usage":{"prompt_tokens":10,"completion_tokens":1}}"#
        .to_owned()
}

fn assert_is_good(answered: &LabelAnswer) {
    for (found, expected) in answered.log_probs.iter().zip([-0.7, -1.2, -2.0]) {
        assert!((found - expected).abs() < 1e-12, "{answered:?}");
    }
}

#[test]
fn odd_answers_that_hold_what_is_needed_are_read() {
    let packed = || {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(good().as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    let changed = |from: &str, to: &str| good().replace(from, to).into_bytes();
    let the = r#"{"token":" the","logprob":-4.0}"#;
    let broken = changed(" the", "\u{1}");
    let mut bytes = Vec::new();
    for byte in &broken {
        if *byte == 1 { bytes.extend(*b" \xf0\x9f") } else { bytes.push(*byte) }
    }
    for (what, headers, body) in [
        ("gzip", "content-encoding: gzip\r\n", packed()),
        ("gzip that is not told", "", packed()),
        ("a byte-order mark", "", [b"\xef\xbb\xbf", good().as_bytes()].concat()),
        ("comments to keep the connection", "", format!(": WAIT\n\n: WAIT\n\n\n{}", good()).into_bytes()),
        ("no usage", "", changed(r#","usage""#, r#","used""#)),
        ("usage null", "", changed(r#"{"prompt_tokens":10,"completion_tokens":1}"#, "null")),
        ("usage in floats", "", changed("10", "10.0")),
        ("minus infinity", "", changed("-4.0", "-Infinity")),
        ("a token that is null", "", changed(r#"" the""#, "null")),
        ("a log-probability that is null", "", changed("-4.0", "null")),
        ("a lone surrogate", "", changed(" the", "\\ud83d")),
        ("a null among tokens", "", changed(the, "null")),
        ("no UTF-8", "", bytes),
        ("no number where none is needed", "", changed(r#""index":0"#, r#""index":NaN"#)),
        ("an error that is null", "", changed(r#"{"id""#, r#"{"error":null,"id""#)),
    ] {
        let reaction = Reaction::Bytes(headers, body);
        let server = Server::start(move |_| reaction.clone());
        let answered = ask(&teacher(&server), &LABELS).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_is_good(&answered);
        assert_eq!(server.asked().len(), 1, "{what}");
    }
}

/// The log-probabilities that are not there, in every way of not being there.
#[test]
fn answers_without_log_probabilities_are_sampled() {
    let chosen = json!({ "token": " low", "logprob": -0.9 });
    let with = |value: Value| {
        let mut token = chosen.clone();
        token["top_logprobs"] = value;
        json!({ "content": [token] })
    };
    for log_probs in [
        Value::Null,
        json!({}),
        json!([]),
        json!([chosen]),
        json!({ "content": null }),
        json!({ "content": [] }),
        json!({ "content": [{ "token": null, "token_id": 5, "logprob": -0.7 }] }),
        json!({ "tokens": [" low"], "token_logprobs": [-0.9], "top_logprobs": null }),
        json!({ "content": [chosen] }),
        with(Value::Null),
        with(json!([])),
        with(json!([chosen])),
    ] {
        let shown = log_probs.to_string();
        let server = Server::start(move |asked| {
            let words = ["low", "high", "low", "moderate"];
            let choices: Vec<Value> = match asked.body["n"].as_u64() {
                Some(n) => (0..n as usize).map(|i| json!({ "text": format!(" {}", words[i % 4]) })).collect(),
                None => vec![json!({ "text": " low", "logprobs": log_probs })],
            };
            Reaction::Json(json!({ "choices": choices }))
        });
        let teacher = teacher(&server);
        let answered = ask(&teacher, &LABELS).unwrap();
        assert_eq!(teacher.scoring(), Some(Scoring::Sample { samples: 20, guided: true }), "{shown}");
        assert!(
            (answered.log_probs[0].exp() - 0.5).abs() < 1e-12 && answered.missing.is_empty(),
            "{shown}: no one-hot"
        );
    }
}

#[test]
fn the_key_of_what_cannot_be_used_is_named() {
    for (log_probs, path) in [
        (
            json!({ "content": [{ "token": "a", "logprob": "-0.7" }] }),
            "choices[0].logprobs.content[0].logprob",
        ),
        (json!({ "top_logprobs": [{ " low": {} }] }), "choices[0].logprobs.top_logprobs[0]. low"),
        (json!({ "tokens": "low" }), "choices[0].logprobs.tokens"),
    ] {
        let server = Server::start(move |_| {
            Reaction::Json(json!({ "choices": [{ "text": "x", "logprobs": log_probs }] }))
        });
        let error = ask(&teacher(&server), &LABELS).unwrap_err();
        let Error::Server { fault: Fault::Unusable { message }, .. } = &error else { panic!("{error:?}") };
        assert!(message.contains(path), "{message}");
    }
}

#[test]
fn sampled_labels_count_with_quotes_and_marks_around_them() {
    let server = Server::start(|asked| {
        let words = [
            "\"low\"",
            "**low**",
            "Low.",
            "`low`",
            "Answer: low",
            "<think>\nhm, high\n</think>\n\nlow",
            " _low_ it is",
            "“low”",
        ];
        let content = |word: &str| json!([{ "type": "text", "text": word }]);
        let choices: Vec<Value> = match asked.body["n"].as_u64() {
            Some(n) => {
                (0..n as usize).map(|i| json!({ "message": { "content": content(words[i % 8]) } })).collect()
            }
            None => vec![json!({ "message": { "content": "low" }, "logprobs": null })],
        };
        Reaction::Json(json!({ "choices": choices }))
    });
    let teacher =
        OpenAi::builder(server.url(), "m").with_endpoint(Endpoint::Chat).with_samples(16).build().unwrap();
    assert_eq!(ask(&teacher, &LABELS).unwrap().samples, Some(16));
}

/// The next tokens, of which a given share begins labels.
fn beginning(asked: &Asked, share: f64) -> Value {
    let at = |token: &str, p: f64| json!({ "token": token, "logprob": p.ln() });
    let top = match asked.prompt().ends_with(" very") {
        true => vec![at(" high", 0.9), at(" low", 0.09)],
        false => vec![
            at(" it", 1.0 - share),
            at(" very", 0.84 * share),
            at(" low", 0.1 * share),
            at(" high", 0.06 * share),
        ],
    };
    json!({ "choices": [{ "logprobs": { "content": [{ "token": " it", "top_logprobs": top }] } }] })
}

#[test]
fn labels_that_begin_alike_count_in_any_share_of_the_probability() {
    for share in [0.9, 1e-3, 1e-6, 1e-12] {
        let server = Server::start(move |asked| Reaction::Json(beginning(asked, share)));
        let answered = ask(&teacher(&server), &["very low", "low", "high", "very high"]).unwrap();
        let total: f64 = 0.84 * 0.99 + 0.16;
        for (found, expected) in
            answered.distribution().unwrap().iter().zip([0.84 * 0.09, 0.1, 0.06, 0.84 * 0.9])
        {
            assert!((found - expected / total).abs() < 1e-9, "{share}: {answered:?}");
        }
        assert!(
            (answered.covered_mass() / (share * total) - 1.0).abs() < 1e-6,
            "the little that was found is told"
        );
        assert_eq!(server.asked().len(), 2);
        // In a chat, where one cannot go on from a word, it is sampled.
        let chat = Server::start(move |asked| match asked.body["n"].as_u64() {
            Some(n) => Reaction::Json(
                json!({ "choices": vec![json!({ "message": { "content": "Very high" } }); n as usize] }),
            ),
            None => Reaction::Json(beginning(asked, share)),
        });
        let teacher = OpenAi::builder(chat.url(), "m").with_endpoint(Endpoint::Chat).build().unwrap();
        assert_eq!(ask(&teacher, &["very low", "low", "high", "very high"]).unwrap().samples, Some(20));
    }
}

#[test]
fn a_server_that_never_answers_in_the_apis_form_is_not_asked_for_ever() {
    for body in [
        "<!doctype html><title>Sign in",
        "null",
        "[]",
        "",
        r#"{"Choices":[]}"#,
        r#"{"choices":null}"#,
        "data: {}",
    ] {
        let server = Server::start(move |_| Reaction::Raw(200, "", body.to_owned()));
        let policy = RetryPolicy::default().with_base(std::time::Duration::from_millis(1));
        let teacher = Retry::new(teacher(&server), policy).unwrap();
        let error = ask(&teacher, &LABELS).unwrap_err();
        let Error::Server { fault, .. } = &error else { panic!("{error:?}") };
        assert!(matches!(fault, Fault::Incompatible { answers: 3, .. }) && fault.is_permanent(), "{fault}");
        assert_eq!(server.asked().len(), 3, "{body}");
    }
}

#[test]
fn an_account_at_its_end_is_not_waited_for() {
    let quota = r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","code":"insufficient_quota"}}"#;
    for (status, body) in [
        (429, quota),
        (402, r#"{"error":{"message":"Insufficient credits"}}"#),
        (200, r#"{"error":{"message":"no","code":402}}"#),
    ] {
        let server = Server::start(move |_| Reaction::Raw(status, "", body.to_owned()));
        let teacher = Retry::new(teacher(&server), RetryPolicy::default()).unwrap();
        let error = ask(&teacher, &LABELS).unwrap_err();
        let Error::Server { fault, .. } = &error else { panic!("{error:?}") };
        assert!(matches!(fault, Fault::Quota { .. }) && fault.is_permanent(), "{fault}");
        assert_eq!(server.asked().len(), 1);
    }
    let server = Server::start(|_| {
        Reaction::Raw(429, "retry-after: 7\r\n", quota.replace("insufficient_quota", "limited"))
    });
    let error = ask(&teacher(&server), &LABELS).unwrap_err();
    let Error::Server { fault, .. } = &error else { panic!("{error:?}") };
    assert!(
        fault.is_transient() && fault.to_string().contains("billing details"),
        "its words are kept: {fault}"
    );
}
