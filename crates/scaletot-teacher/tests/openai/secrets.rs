use std::error::Error as _;

use scaletot_chain::CorpusWriter;
use scaletot_teacher::openai::OpenAi;
use scaletot_teacher::{Error, Fault, Question, Reasoner, Retry, RetryPolicy, Teacher};
use serde_json::json;

use crate::common::{chain_schema, prompter, table};
use crate::server::{Ability, Asked, Reaction, Server, answer};

const KEY: &str = "sk-test-Zx81/Qw+72_kkPLm~9";

/// Everything that can be seen of an error: its messages, those of its causes, and its fields.
fn seen(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    text
}

fn assert_no_part_of_the_key(text: &str) {
    for part in KEY.as_bytes().windows(8) {
        let part = std::str::from_utf8(part).unwrap();
        assert!(!text.contains(part), "{part} in {text}");
    }
}

fn ask(teacher: &OpenAi) -> Error {
    let (table, chain) = (table(1), chain_schema());
    teacher.answer(&Question::new(&chain, 0, &[], &table, 0).with_prompt("He is")).unwrap_err()
}

/// Ways to send back what was sent.
fn echo(way: usize, asked: &Asked) -> Reaction {
    let sent = asked.authorization.clone().unwrap_or_default();
    let body = |status, body: String| Reaction::Raw(status, "", body);
    match way {
        0 => body(401, json!({ "error": { "message": format!("Incorrect API key: {sent}") } }).to_string()),
        1 => body(500, format!("request headers: authorization: {sent}\u{1b}[2J")),
        2 => body(200, json!({ "error": { "message": sent, "code": sent } }).to_string()),
        3 => body(200, format!("auth={sent} oops")),
        4 => body(
            200,
            json!({ "choices": [{ "text": "", "logprobs": { "content": [{ "token": "a", "logprob": 0.5, "top_logprobs": [{ "token": sent, "logprob": 0.5 }] }] } }] })
                .to_string(),
        ),
        5 => body(200, json!({ "choices": [{ "text": "", "logprobs": { "top_logprobs": [{ &sent: "x" }] } }] }).to_string()),
        6 => body(200, json!({ "choices": sent }).to_string()),
        7 => body(404, json!({ "error": format!("model {sent} not found") }).to_string()),
        8 => body(429, json!({ "detail": [sent.replace('/', "%2F"), sent.replace("sk-", "sk-\u{200b}")] }).to_string()),
        9 => body(403, format!("{} and {}", &sent[..18], &sent[20..])),
        10 => body(402, sent),
        _ => body(302, sent),
    }
}

#[test]
fn a_server_that_echoes_the_key_shows_it_to_nobody() {
    for way in 0..12 {
        let server = Server::start(move |asked| echo(way, asked));
        let teacher = OpenAi::builder(server.url(), "m").with_key(KEY).build().unwrap();
        let error = ask(&teacher);
        assert_eq!(server.asked()[0].authorization.as_deref(), Some(format!("Bearer {KEY}").as_str()));
        let seen = format!("{} {teacher:?} {}", seen(&error), teacher.model());
        assert_no_part_of_the_key(&seen);
        assert!(!seen.contains(['\u{1b}', '\u{200b}']), "{seen}");
    }
}

#[test]
fn a_corpus_holds_no_key_when_a_server_echoes_it() {
    // Good at first, then every way in turn.
    let server = Server::start(|asked| match asked.number {
        0..6 => Reaction::Json(answer(asked, Ability::Classic)),
        number => echo(number % 12, asked),
    });
    let teacher = OpenAi::builder(server.url(), "m").with_key(KEY).build().unwrap();
    let teacher = Retry::new(teacher, RetryPolicy::default().with_attempts(1)).unwrap();
    let table = table(30);
    let reasoner = Reasoner::builder(teacher, prompter(&table)).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.jsonl");
    let mut corpus = CorpusWriter::create(&path, &reasoner.header(&table, 1).unwrap()).unwrap();
    let rows: Vec<usize> = (0..30).collect();
    match reasoner.run(&table, &rows, &mut corpus, 1, &()) {
        Ok(summary) => assert!(summary.failed > 0),
        Err(error) => assert_no_part_of_the_key(&seen(&error)),
    }
    drop(corpus);
    assert_no_part_of_the_key(&std::fs::read_to_string(&path).unwrap());
}

#[test]
fn an_address_with_credentials_is_refused_and_its_password_not_shown() {
    for address in
        ["http://bob:hunter2!hunter2@127.0.0.1:1/v1", "https://hunter2:x@h/v1", "http://u:h/hunter2@h"]
    {
        let builder = OpenAi::builder(address, "m");
        let shown = format!("{builder:?}");
        let error = builder.build().unwrap_err();
        assert!(!format!("{shown}{}", seen(&error)).contains("hunter2"), "{shown} {error}");
        assert!(error.to_string().contains("without a user name and a password"), "{error}");
    }
    let given = OpenAi::builder("http://127.0.0.1:1/v1", "m").with_key(KEY);
    assert_no_part_of_the_key(&format!("{given:?} {:?}", given.clone().build().unwrap()));
}

#[test]
fn a_redirect_is_not_followed_and_told_where_to() {
    let other = Server::start(|asked| Reaction::Json(answer(asked, Ability::Classic)));
    for status in [301, 302, 303, 307, 308] {
        let headers: &'static str = format!("location: {}/completions\r\n", other.url()).leak();
        let server = Server::start(move |_| Reaction::Raw(status, headers, String::new()));
        let teacher = OpenAi::builder(server.url(), "m").with_key(KEY).build().unwrap();
        let Error::Server { fault, .. } = ask(&teacher) else { panic!("expected a fault") };
        assert!(matches!(&fault, Fault::Redirected { .. }) && !fault.is_transient(), "{fault}");
        assert!(fault.to_string().contains(&other.url()), "{fault}");
        assert_eq!(server.asked().len(), 1);
    }
    assert!(other.asked().is_empty());
}

/// A process of the next test; does nothing on its own.
#[test]
fn child() {
    if let Ok(url) = std::env::var("SCALETOT_KEY_URL") {
        ask(&OpenAi::builder(&url, "default").build().unwrap());
        ask(&OpenAi::builder(&url, "named").with_key_variable("OPENAI_API_KEY").build().unwrap());
    }
}

/// Whoever has the variable set for one server does not give its key to every other.
#[test]
fn openais_key_goes_to_no_other_server_unless_its_variable_is_named() {
    let server = Server::start(|_| Reaction::Raw(401, "", "who are you?".to_owned()));
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "secrets::child"])
        .env("OPENAI_API_KEY", KEY)
        .env("SCALETOT_KEY_URL", server.url())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let sent: Vec<(String, bool)> = server
        .asked()
        .iter()
        .map(|asked| (asked.body["model"].as_str().unwrap().to_owned(), asked.authorization.is_some()))
        .collect();
    assert_eq!(sent, [("default".to_owned(), false), ("named".to_owned(), true)]);
    let refused = ask(&OpenAi::builder(server.url(), "m").build().unwrap());
    assert!(seen(&refused).contains("`with_key_variable`"), "{}", seen(&refused));
}

#[test]
fn a_key_crosses_no_network_unencrypted_unless_it_may() {
    let build = |unencrypted: bool| {
        OpenAi::builder("http://192.0.2.1/v1", "m").with_key(KEY).with_unencrypted_key(unencrypted).build()
    };
    let refused = build(false).unwrap_err();
    assert!(refused.to_string().contains("with_unencrypted_key(true)"), "{refused}");
    assert_no_part_of_the_key(&seen(&refused));
    assert!(build(true).is_ok());
    assert!(
        OpenAi::builder("http://192.0.2.1/v1", "m").build().is_ok(),
        "without a key there is nothing to see"
    );
}
