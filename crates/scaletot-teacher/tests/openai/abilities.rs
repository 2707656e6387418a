//! What a server can do is found out by what it says of it, and by nothing else.

use scaletot_teacher::openai::{Endpoint, OpenAi, Scoring};
use scaletot_teacher::{
    Cached, DiskCached, Error, Fault, LabelAnswer, PromptKey, Question, Recorder, Result, Teacher,
};
use serde_json::json;

use crate::common::{chain_schema, table};
use crate::server::{Ability, Asked, Reaction, Server, answer};

fn with<T>(teacher: &dyn Teacher, prompt: &str, use_it: impl FnOnce(&dyn Teacher, &Question<'_>) -> T) -> T {
    let (table, chain) = (table(1), chain_schema());
    use_it(teacher, &Question::new(&chain, 0, &[], &table, 0).with_prompt(prompt))
}

fn ask(teacher: &dyn Teacher, prompt: &str) -> Result<LabelAnswer> {
    with(teacher, prompt, |teacher, question| teacher.answer(question))
}

fn key(teacher: &dyn Teacher, prompt: &str) -> Option<PromptKey> {
    with(teacher, prompt, |teacher, question| teacher.cache_key(question))
}

fn refused(status: u16, message: &str) -> Reaction {
    Reaction::Raw(status, "", json!({ "error": { "message": message } }).to_string())
}

fn is_guided(asked: &Asked) -> bool {
    asked.body.get("structured_outputs").is_some()
}

fn is_echo(asked: &Asked) -> bool {
    asked.body["echo"] == true
}

/// Refusals that are about a prompt, a key or a moment.
const UNRELATED: [(u16, &str); 7] = [
    (400, "This model's maximum context length is 128 tokens, however you requested 130"),
    (413, "prompt too long"),
    (401, "the key was revoked"),
    (403, "not from here"),
    (429, "slow down"),
    (500, "a worker died"),
    (503, "loading"),
];

#[test]
fn a_refused_prompt_turns_no_ability_off() {
    for (ability, scoring) in [
        (Ability::Classic, Scoring::TopTokens { top: 20 }),
        (Ability::Echo, Scoring::Echo),
        (Ability::Text, Scoring::Sample { samples: 20, guided: true }),
    ] {
        for (status, message) in UNRELATED {
            // The request that the ability is about is refused, and not those that find it.
            let is_about = move |asked: &Asked| match ability {
                Ability::Echo => is_echo(asked),
                Ability::Text => is_guided(asked),
                Ability::Classic | Ability::Content => true,
            };
            let server =
                Server::start(move |asked| match asked.prompt().starts_with("bad") && is_about(asked) {
                    true => refused(status, message),
                    false => Reaction::Json(answer(asked, ability)),
                });
            let teacher = OpenAi::builder(server.url(), "m").build().unwrap();
            // As the first question, and in the midst of others.
            for prompt in ["bad one", "good", "bad again", "good, too"] {
                let answered = ask(&teacher, prompt);
                match prompt.starts_with("bad") {
                    true => assert!(answered.is_err(), "{ability:?} {status}"),
                    false => assert_eq!(answered.unwrap().samples.is_some(), ability == Ability::Text),
                }
            }
            assert_eq!(teacher.scoring(), Some(scoring), "{status} {message}");
        }
    }
}

#[test]
fn what_a_server_says_it_lacks_is_not_asked_for_again() {
    for (way, message) in [
        ("guided", "Unrecognized request argument supplied: structured_outputs"),
        ("guided", "Extra inputs are not permitted"),
        ("echo", "Setting 'echo' and 'logprobs' at the same time is not supported"),
    ] {
        let server = Server::start(move |asked| match way {
            "guided" if is_guided(asked) => refused(422, message),
            "echo" if is_echo(asked) => refused(400, message),
            _ => Reaction::Json(answer(asked, Ability::Text)),
        });
        let teacher = OpenAi::builder(server.url(), "m").build().unwrap();
        ask(&teacher, "He is").unwrap();
        let guided = way != "guided";
        assert_eq!(teacher.scoring(), Some(Scoring::Sample { samples: 20, guided }), "{message}");
        let before = server.asked().len();
        ask(&teacher, "She is").unwrap();
        let after: Vec<Asked> = server.asked().split_off(before);
        assert!(after.len() == 1 && is_guided(&after[0]) == guided);
    }
}

/// A vague refusal is no word of an ability: a prompt of ours tells whether the server or the prompt is meant.
#[test]
fn a_vague_refusal_is_put_to_the_test() {
    for status in [400, 422, 500] {
        // Of every prompt.
        let server = Server::start(move |asked| match is_echo(asked) {
            true => refused(status, "2326"),
            false => Reaction::Json(answer(asked, Ability::Text)),
        });
        let teacher = OpenAi::builder(server.url(), "m").build().unwrap();
        assert!(ask(&teacher, "He is").unwrap().samples.is_some(), "an echo that fails is sampled");
        assert!(!server.asked().iter().rev().take(1).any(is_echo));
        // Of one prompt.
        let server = Server::start(move |asked| match is_echo(asked) && asked.prompt().starts_with("bad") {
            true => refused(status, "2326"),
            false => Reaction::Json(answer(asked, Ability::Echo)),
        });
        let teacher = OpenAi::builder(server.url(), "m").build().unwrap();
        assert!(ask(&teacher, "bad").is_err());
        ask(&teacher, "good").unwrap();
        assert_eq!(teacher.scoring(), Some(Scoring::Echo));
    }
}

#[test]
fn fewer_top_tokens_are_asked_for_whatever_the_words_of_the_refusal() {
    for message in ["logprobs must be at most 5", "Input should be less than or equal to 5"] {
        for endpoint in [Endpoint::Completions, Endpoint::Chat] {
            let server = Server::start(move |asked| {
                let top = asked.body["logprobs"].as_u64().or(asked.body["top_logprobs"].as_u64());
                match top.is_some_and(|top| top > 5) {
                    true => refused(422, message),
                    false => Reaction::Json(answer(asked, Ability::Classic)),
                }
            });
            let teacher = OpenAi::builder(server.url(), "m").with_endpoint(endpoint).build().unwrap();
            ask(&teacher, "He is").unwrap();
            assert_eq!(teacher.scoring(), Some(Scoring::TopTokens { top: 5 }));
        }
    }
}

#[test]
fn requests_are_written_as_the_server_wants_them() {
    let server = Server::start(|asked| {
        let body = &asked.body;
        if body.get("max_tokens").is_some() {
            refused(
                400,
                "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            )
        } else if body["max_completion_tokens"].as_u64() < Some(16) {
            refused(
                400,
                "Invalid 'max_completion_tokens': integer below minimum value. Expected a value >= 16.",
            )
        } else if body["temperature"] == 0 {
            refused(
                400,
                "'temperature' does not support 0 with this model. Only the default (1) value is supported.",
            )
        } else if body["n"].as_u64() > Some(1) {
            refused(400, "'n' : number must be at most 1")
        } else {
            Reaction::Json(answer(asked, Ability::Text))
        }
    });
    let teacher = OpenAi::builder(server.url(), "m").with_samples(7).build().unwrap();
    assert!(ask(&teacher, "He is").is_ok());
    let before = server.asked().len();
    assert!(before <= 4 + 1 + 1 + 7 + 3, "what is learned is kept: {before}");
    ask(&teacher, "She is").unwrap();
    assert_eq!(server.asked().len() - before, 7, "one sample a request");
    // The caller may know it before.
    let server = Server::start(|asked| Reaction::Json(answer(asked, Ability::Text)));
    let scoring = Scoring::Sample { samples: 5, guided: false };
    let teacher =
        OpenAi::builder(server.url(), "m").with_scoring(scoring).with_samples_per_request(2).build().unwrap();
    ask(&teacher, "He is").unwrap();
    let asked: Vec<Option<u64>> = server.asked().iter().map(|asked| asked.body["n"].as_u64()).collect();
    assert_eq!(asked, [Some(2), Some(2), None]);
}

/// As servers in use refuse more than one choice.
#[test]
fn one_choice_is_asked_for_where_several_are_refused_in_whatever_form() {
    let fields = json!([{ "type": "extra_forbidden", "loc": ["body", "n"], "msg": "Extra inputs are not permitted", "input": 20 }]);
    for (status, body) in [
        (
            400,
            json!({ "error": { "code": 400, "message": "Only one completion choice is allowed", "type": "invalid_request_error" } }),
        ),
        (
            500,
            json!({ "error": { "code": 500, "message": "Only one completion choice is allowed", "type": "server_error" } }),
        ),
        (
            400,
            json!({ "error": { "message": "'n' : number must be at most 1", "type": "invalid_request_error" } }),
        ),
        (
            422,
            json!({ "object": "error", "message": { "detail": fields }, "type": "invalid_request_error", "code": null }),
        ),
        (
            422,
            json!({ "object": "error", "message": json!({ "detail": fields }).to_string(), "code": "1000" }),
        ),
        (422, json!({ "detail": fields })),
        (
            400,
            json!({ "object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'n'), 'msg': 'Extra inputs are not permitted', \
            'input': 20}]", "code": 400 }),
        ),
        (200, json!({ "error": { "message": "n must be 1", "code": 400 } })),
    ] {
        let text = body.to_string();
        let server = Server::start(move |asked| match asked.body["n"].as_u64() > Some(1) {
            true => Reaction::Raw(status, "", text.clone()),
            false => Reaction::Json(answer(asked, Ability::Text)),
        });
        let scoring = Scoring::Sample { samples: 3, guided: false };
        let teacher = OpenAi::builder(server.url(), "m").with_scoring(scoring).build().unwrap();
        for prompt in ["He is", "She is"] {
            assert_eq!(
                ask(&teacher, prompt).unwrap_or_else(|error| panic!("{body}: {error:?}")).samples,
                Some(3)
            );
        }
        assert_eq!(server.asked().len(), 1 + 3 + 3, "{body}");
    }
}

fn server_that(guides: bool, ability: Ability) -> Server {
    Server::start(move |asked| match is_guided(asked) && !guides {
        true => refused(400, "structured_outputs is not supported"),
        false => Reaction::Json(answer(asked, ability)),
    })
}

fn teacher(server: &Server) -> OpenAi {
    OpenAi::builder(server.url(), "m").with_name("the same").build().unwrap()
}

#[test]
fn how_an_answer_was_obtained_is_part_of_its_key() {
    let mut keys = Vec::new();
    for (guides, ability) in [
        (true, Ability::Text),
        (false, Ability::Text),
        (true, Ability::Echo),
        (true, Ability::Classic),
        (false, Ability::Classic),
    ] {
        let server = server_that(guides, ability);
        let teacher = teacher(&server);
        assert_eq!(key(&teacher, "He is"), None, "nothing is known yet");
        ask(&teacher, "He is").unwrap();
        let found = key(&teacher, "He is").unwrap();
        ask(&teacher, "She is").unwrap();
        assert_eq!(key(&teacher, "He is"), Some(found), "no question changes it");
        let plain = with(&teacher, "He is", |teacher, question| question.key(teacher.model()));
        assert!(found.has_question_of(&plain) && found != plain);
        keys.push(found);
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 5);
}

#[test]
fn an_answer_of_a_server_that_could_more_is_not_taken_for_one_that_can_less() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let run = |guides: bool| {
        let server = server_that(guides, Ability::Text);
        let teacher = Cached::new(DiskCached::open(teacher(&server), &path).unwrap());
        ["a", "b", "c"].map(|prompt| ask(&teacher, prompt).unwrap().cached)
    };
    assert_eq!(run(true), [false, false, false]);
    // The first question finds out what the server can do.
    assert_eq!(run(true), [false, true, true]);
    assert_eq!(run(false), [false, false, false]);
    assert_eq!(run(false), [false, true, true]);
}

#[test]
fn answers_are_recorded_however_they_are_obtained() {
    for ability in [Ability::Classic, Ability::Echo, Ability::Text] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let server = server_that(true, ability);
        let recorder = Recorder::open(teacher(&server), &path).unwrap();
        let first = ask(&recorder, "He is").unwrap();
        assert!(ask(&recorder, "He is").unwrap().cached);
        recorder.finish().unwrap();
        let replay = scaletot_teacher::Replay::open(&path).unwrap();
        assert_eq!(ask(&replay, "He is").unwrap().samples, first.samples);
    }
}

#[test]
fn a_wrong_endpoint_is_named() {
    let server = Server::start(|_| {
        refused(404, "This is a chat model and not supported in the v1/completions endpoint.")
    });
    let error = ask(&OpenAi::builder(server.url(), "m").build().unwrap(), "He is").unwrap_err();
    let Error::Server { fault, .. } = error else { panic!("expected a fault") };
    assert!(
        matches!(&fault, Fault::Refused { .. })
            && fault.to_string().contains("with_endpoint(Endpoint::Chat)"),
        "{fault}"
    );
}
