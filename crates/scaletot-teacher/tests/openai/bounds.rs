//! A question ends in bounded time and memory, whatever a server does.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use scaletot_chain::{ChainSchema, StateDef};
use scaletot_teacher::openai::OpenAi;
use scaletot_teacher::{Error, Fault, LabelAnswer, Question, Result, Retry, RetryPolicy, Teacher};
use serde_json::json;

use crate::common::{chain_schema, table};
use crate::server::{Ability, Reaction, Server, answer};

fn ask(teacher: &dyn Teacher, labels: &[&str]) -> Result<LabelAnswer> {
    let table = table(1);
    let chain =
        ChainSchema::builder("c").with_state(StateDef::ordinal("s", labels.to_vec())).build().unwrap();
    teacher.answer(&Question::new(&chain, 0, &[], &table, 0).with_prompt("He is"))
}

fn fault(reaction: Reaction) -> (Fault, Duration) {
    let server = Server::start(move |_| reaction.clone());
    let teacher =
        OpenAi::builder(server.url(), "m").with_timeout(Duration::from_millis(1_500)).build().unwrap();
    let began = Instant::now();
    match ask(&teacher, &["low", "high"]).unwrap_err() {
        Error::Server { fault, .. } => (fault, began.elapsed()),
        other => panic!("expected a server's fault, found {other}"),
    }
}

#[test]
fn floods_end_with_a_clear_fault() {
    let good = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let long: &'static str = format!("{good}transfer-encoding: chunked\r\n\r\n").leak();
    let promised: &'static str = format!("{good}content-length: 1099511627776\r\n\r\n").leak();
    let chunk: &'static [u8] = format!("10000\r\n{}\r\n", " ".repeat(1 << 16)).leak().as_bytes();
    let spaces: &'static [u8] = " ".repeat(1 << 16).leak().as_bytes();
    let refusal = "HTTP/1.1 403 No\r\ncontent-length: 1099511627776\r\n\r\n";
    let malformed = |fault: &Fault, what: &str| {
        matches!(fault, Fault::Malformed { message } if message.contains(what))
            || matches!(fault, Fault::Timeout { .. })
    };
    for (head, again, what) in [
        (long, chunk, "more than 16777216 bytes"),
        (promised, spaces, "more than 16777216 bytes"),
        (
            "HTTP/1.1 200 OK\r\n",
            b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
            "headers",
        ),
        ("", b"HTTP/1.1 100 Continue\r\n\r\n", ""),
        ("", b"HTTP/1.1 103 Early\r\nx: y\r\n\r\n", ""),
        ("", b"x", ""),
    ] {
        let (fault, took) = fault(Reaction::Flood(head, again));
        assert!(malformed(&fault, what), "{what}: {fault}");
        assert!(took < Duration::from_secs(4), "{what}: {took:?}");
    }
    let (refused, took) = fault(Reaction::Flood(refusal, spaces));
    assert!(
        matches!(refused, Fault::Refused { status: 403, .. }) && took < Duration::from_secs(2),
        "{refused}"
    );
}

#[test]
fn what_unpacks_to_more_than_an_answer_is_refused() {
    // Members of a megabyte, one after the other.
    let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    member.write_all(&vec![b' '; 1 << 20]).unwrap();
    let bomb = Reaction::Bytes("content-encoding: gzip\r\n", member.finish().unwrap().repeat(1_000));
    let server = Server::start(move |_| bomb.clone());
    let error = ask(&OpenAi::builder(server.url(), "m").build().unwrap(), &["low", "high"]).unwrap_err();
    assert!(
        matches!(&error, Error::Server { fault: Fault::Malformed { message }, .. } if message.contains("more than")),
        "{error:?}"
    );
}

/// Tokens that are repeated, and every one a beginning of two labels.
#[test]
fn repeated_tokens_are_asked_on_from_once() {
    let server = Server::start(|asked| {
        let said = asked.prompt().strip_prefix("He is").unwrap();
        let next = if said.is_empty() { " very" } else { " low" };
        let token = json!({ "token": next, "logprob": -0.1 });
        let top: Vec<_> = std::iter::repeat_n(token, 500).collect();
        Reaction::Json(
            json!({ "choices": [{ "logprobs": { "content": [{ "token": next, "logprob": -0.1, "top_logprobs": top }] } }] }),
        )
    });
    let teacher = OpenAi::builder(server.url(), "m").build().unwrap();
    // A single token that leaves much to others tells of none of them.
    assert!(ask(&teacher, &["very low", "very high"]).is_err());
    let server = Server::start(|asked| {
        let said = asked.prompt().strip_prefix("He is").unwrap();
        let next = if said.is_empty() { " very" } else { " low" };
        let mut top = vec![json!({ "token": next, "logprob": -0.1 }); 500];
        top.push(json!({ "token": " the", "logprob": -3 }));
        Reaction::Json(
            json!({ "choices": [{ "logprobs": { "content": [{ "token": next, "top_logprobs": top }] } }] }),
        )
    });
    let teacher = OpenAi::builder(server.url(), "m").build().unwrap();
    let answered = ask(&teacher, &["very low", "very high"]).unwrap();
    assert!((answered.log_probs[0] + 0.2).abs() < 1e-12, "{answered:?}");
    assert_eq!(server.asked().len(), 2);
}

/// A letter at a time, and every beginning as probable as the next.
#[test]
fn a_question_takes_so_many_requests_and_no_more() {
    let labels: Vec<String> =
        (0..200).map(|i| format!("{:08b}", i).replace('0', "a").replace('1', "b")).collect();
    let server = Server::start(|_| {
        let top: Vec<_> =
            ["a", "b", " a", " b"].iter().map(|t| json!({ "token": t, "logprob": 0.25_f64.ln() })).collect();
        Reaction::Json(
            json!({ "choices": [{ "logprobs": { "content": [{ "token": "a", "top_logprobs": top }] } }] }),
        )
    });
    let teacher = OpenAi::builder(server.url(), "m").build().unwrap();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let error = ask(&teacher, &labels).unwrap_err();
    assert!(
        matches!(&error, Error::Server { fault: Fault::Unusable { message }, .. } if message.contains("64 requests")),
        "{error:?}"
    );
    assert_eq!(server.asked().len(), 64);
}

#[test]
fn nonsense_usage_is_ignored_and_sums_do_not_wrap() {
    for usage in [
        json!({ "prompt_tokens": u64::MAX, "completion_tokens": u64::MAX }),
        json!({ "prompt_tokens": -3, "completion_tokens": 1e300 }),
        json!({ "prompt_tokens": [], "completion_tokens": "x" }),
        json!("none"),
    ] {
        let server = Server::start(move |asked| {
            let mut body = answer(asked, Ability::Classic);
            body["usage"] = usage.clone();
            Reaction::Json(body)
        });
        let answered =
            ask(&OpenAi::builder(server.url(), "m").build().unwrap(), &["very low", "very high", "low"])
                .unwrap();
        assert_eq!(answered.tokens, 0);
    }
}

/// Whoever has been told to stop does not wait for a silent server.
#[test]
fn a_stopped_question_ends_during_its_request() {
    let server = Server::start(|_| Reaction::Hang(Duration::from_secs(20)));
    let teacher =
        Retry::new(OpenAi::builder(server.url(), "m").build().unwrap(), RetryPolicy::default()).unwrap();
    let (table, chain, stop) = (table(1), chain_schema(), AtomicBool::new(false));
    let stopped = || stop.load(Ordering::Relaxed);
    let began = Instant::now();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            stop.store(true, Ordering::Relaxed);
        });
        let question = Question::new(&chain, 0, &[], &table, 0).with_prompt("He is").with_stop(&stopped);
        teacher.answer(&question).unwrap_err()
    });
    assert!(matches!(error, Error::Stopped), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(server.asked().len(), 1);
}
