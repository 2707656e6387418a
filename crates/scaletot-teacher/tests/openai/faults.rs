use std::time::{Duration, Instant};

use scaletot_teacher::openai::OpenAi;
use scaletot_teacher::{Error, Fault, LabelAnswer, Question, Result, Retry, RetryPolicy, Teacher};
use serde_json::json;

use crate::common::{chain_schema, table};
use crate::server::{Ability, Reaction, Server, answer};

fn ask(teacher: &dyn Teacher, prompt: &str) -> Result<LabelAnswer> {
    ask_until(teacher, prompt, None)
}

fn ask_until(teacher: &dyn Teacher, prompt: &str, deadline: Option<Instant>) -> Result<LabelAnswer> {
    let (table, chain) = (table(1), chain_schema());
    teacher.answer(&Question::new(&chain, 0, &[], &table, 0).with_prompt(prompt).with_deadline(deadline))
}

fn quick() -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    (policy.base, policy.max_wait) = (Duration::from_millis(4), Duration::from_millis(20));
    policy.deadline = Duration::from_secs(5);
    policy
}

fn fault_of(reaction: Reaction) -> Fault {
    let server = Server::start(move |_| reaction.clone());
    let teacher =
        OpenAi::builder(server.url(), "m").with_timeout(Duration::from_millis(300)).build().unwrap();
    match ask(&teacher, "He is").unwrap_err() {
        Error::Server { fault, .. } => fault,
        other => panic!("expected a server's fault, found {other}"),
    }
}

#[test]
fn every_fault_has_its_name() {
    let text = |status, text: &str| Reaction::Raw(status, "", text.to_owned());
    let raw = |body: &str| Reaction::Raw(200, "", body.to_owned());
    let limited = fault_of(Reaction::Raw(429, "retry-after: 7\r\n", "slow down".to_owned()));
    let message = "slow down".to_owned();
    assert_eq!(limited, Fault::RateLimited { retry_after: Some(Duration::from_secs(7)), message });
    let down = fault_of(text(503, "warming up"));
    assert_eq!(down, Fault::Failed { status: 503, retry_after: None, message: "warming up".to_owned() });
    assert!(matches!(fault_of(Reaction::Hang(Duration::from_secs(1))), Fault::Timeout { .. }));
    assert!(matches!(fault_of(Reaction::Reset), Fault::Connection { .. }));
    let good = json!({ "choices": [{ "text": " low", "logprobs": null }] });
    let cut = fault_of(Reaction::Cut(good));
    assert!(matches!(cut, Fault::Connection { .. } | Fault::Malformed { .. }), "{cut:?}");
    assert!(matches!(fault_of(raw(r#"{"choices":[{"text":" l"#)), Fault::Malformed { .. }));
    assert!(matches!(fault_of(raw("<!doctype html><title>Gateway")), Fault::Malformed { .. }));
    let log_prob = |lp: &str| {
        raw(&format!(
            r#"{{"choices":[{{"text":" low","logprobs":{{"content":[{{"token":" low","logprob":{lp},"top_logprobs":[]}}]}}}}]}}"#
        ))
    };
    assert!(matches!(fault_of(log_prob("NaN")), Fault::Malformed { .. }));
    assert!(matches!(fault_of(log_prob("0.7")), Fault::Unusable { .. }));
    assert!(matches!(fault_of(raw(r#"{"choices":[]}"#)), Fault::Unusable { .. }));
    let unknown = fault_of(text(404, r#"{"error":{"message":"The model `m` does not exist"}}"#));
    assert!(matches!(unknown, Fault::UnknownModel { status: 404, .. }) && !unknown.is_transient());
    assert!(matches!(fault_of(text(401, "bad key")), Fault::Refused { status: 401, .. }));
    let nobody = OpenAi::builder("http://127.0.0.1:1/v1", "m").build().unwrap();
    let refused = ask(&nobody, "He is").unwrap_err();
    assert!(matches!(&refused, Error::Server { fault: Fault::Connection { .. }, .. }), "{refused}");
}

#[test]
fn faults_that_pass_are_tried_again_and_others_are_not() {
    let server = Server::start(|asked| match asked.number {
        0 => Reaction::Raw(503, "", String::new()),
        1 => Reaction::Reset,
        2 => Reaction::Raw(200, "", "<html>".to_owned()),
        _ => Reaction::Json(answer(asked, Ability::Classic)),
    });
    let teacher = Retry::new(OpenAi::builder(server.url(), "m").build().unwrap(), quick()).unwrap();
    ask(&teacher, "He is").unwrap();
    assert_eq!((server.asked().len(), teacher.retries()), (4, 3));

    let refusing = Server::start(|_| Reaction::Raw(401, "", "bad key".to_owned()));
    let teacher = Retry::new(OpenAi::builder(refusing.url(), "m").build().unwrap(), quick()).unwrap();
    assert!(matches!(ask(&teacher, "He is").unwrap_err(), Error::Server { .. }));
    assert_eq!(refusing.asked().len(), 1);
}

#[test]
fn retry_after_is_honoured() {
    let server = Server::start(|asked| match asked.number {
        0 => Reaction::Raw(429, "retry-after: 0.4\r\n", String::new()),
        _ => Reaction::Json(answer(asked, Ability::Classic)),
    });
    let teacher = Retry::new(OpenAi::builder(server.url(), "m").build().unwrap(), quick()).unwrap();
    let began = Instant::now();
    ask(&teacher, "He is").unwrap();
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    // A wait beyond the deadline is not begun.
    let server = Server::start(|_| Reaction::Raw(429, "retry-after: 60\r\n", String::new()));
    let teacher = Retry::new(OpenAi::builder(server.url(), "m").build().unwrap(), quick()).unwrap();
    let began = Instant::now();
    assert!(matches!(ask(&teacher, "He is").unwrap_err(), Error::GaveUp { attempts: 1, .. }));
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(teacher.retries(), 0, "what is not done is not counted");
    // Nonsense is not waited for, and breaks nothing.
    let server = Server::start(|_| Reaction::Raw(429, "retry-after: 1e19\r\n", String::new()));
    let teacher = Retry::new(OpenAi::builder(server.url(), "m").build().unwrap(), quick()).unwrap();
    assert!(matches!(ask(&teacher, "He is").unwrap_err(), Error::GaveUp { attempts: 1, .. }));
}

#[test]
fn the_budget_keeps_retries_to_a_share_of_the_traffic() {
    let server = Server::start(|_| Reaction::Raw(500, "", String::new()));
    let mut policy = quick();
    (policy.reserve, policy.ratio, policy.attempts, policy.breaker_failures) = (5, 0.1, 10, u32::MAX);
    let teacher = Retry::new(OpenAi::builder(server.url(), "m").build().unwrap(), policy).unwrap();
    for _ in 0..100 {
        assert!(matches!(ask(&teacher, "He is").unwrap_err(), Error::GaveUp { .. }));
    }
    // 5 in reserve and a tenth of 100 questions.
    assert!(teacher.retries() <= 15, "{}", teacher.retries());
    assert_eq!(server.asked().len() as u64, 100 + teacher.retries());
}

#[test]
fn the_breaker_leaves_a_failing_server_alone_and_tries_it_again() {
    let server = Server::start(|asked| match asked.number {
        0..5 => Reaction::Raw(500, "", String::new()),
        _ => Reaction::Json(answer(asked, Ability::Classic)),
    });
    let mut policy = quick();
    (policy.attempts, policy.breaker_failures, policy.breaker_pause) = (1, 5, Duration::from_millis(400));
    let teacher = Retry::new(OpenAi::builder(server.url(), "m").build().unwrap(), policy).unwrap();
    for _ in 0..5 {
        assert!(ask(&teacher, "He is").is_err());
    }
    let began = Instant::now();
    ask(&teacher, "He is").unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300), "it waited for the breaker");
    let began = Instant::now();
    ask(&teacher, "She is").unwrap();
    assert!(began.elapsed() < Duration::from_millis(300), "the breaker is closed again");
    // A question that cannot wait so long is told so.
    let broken = Server::start(|_| Reaction::Raw(500, "", String::new()));
    (policy.deadline, policy.breaker_pause) = (Duration::from_millis(200), Duration::from_secs(60));
    let teacher = Retry::new(OpenAi::builder(broken.url(), "m").build().unwrap(), policy).unwrap();
    let errors: Vec<Error> = (0..6).map(|_| ask(&teacher, "He is").unwrap_err()).collect();
    let last = errors.last().unwrap();
    assert!(matches!(last, Error::Server { fault: Fault::CircuitOpen { failures: 5 }, .. }), "{last}");
    assert_eq!(broken.asked().len(), 5);
}

/// Users whose time is over do not make a healthy server look like a failing one.
#[test]
fn a_late_question_is_no_failure_of_the_server() {
    let server = Server::start(|asked| match asked.prompt() {
        "slow" => Reaction::Hang(Duration::from_millis(400)),
        _ => Reaction::Json(answer(asked, Ability::Classic)),
    });
    let mut policy = quick();
    (policy.breaker_failures, policy.breaker_pause) = (3, Duration::from_secs(60));
    let teacher = Retry::new(OpenAi::builder(server.url(), "m").build().unwrap(), policy).unwrap();
    for (prompt, left) in [("He is", 0), ("slow", 50), ("He is", 0), ("slow", 50)] {
        let late =
            ask_until(&teacher, prompt, Some(Instant::now() + Duration::from_millis(left))).unwrap_err();
        assert!(matches!(late, Error::Server { fault: Fault::Late, .. }), "{prompt}: {late}");
    }
    ask(&teacher, "He is").unwrap();
    assert_eq!((server.asked().len(), teacher.retries()), (3, 0));
}

#[test]
fn a_policy_is_checked() {
    let policy = |change: fn(&mut RetryPolicy)| {
        let mut policy = quick();
        change(&mut policy);
        Retry::new(OpenAi::builder("http://x", "m").build().unwrap(), policy).map(|_| ())
    };
    assert!(policy(|p| p.attempts = 0).is_err() && policy(|p| p.breaker_failures = 0).is_err());
    assert!(policy(|p| p.deadline = Duration::MAX).is_err());
    assert!(policy(|p| p.ratio = f64::NAN).is_err() && policy(|_| {}).is_ok());
}
