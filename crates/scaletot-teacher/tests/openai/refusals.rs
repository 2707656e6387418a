//! Refusals as servers in use write them: one that is about a user costs that user, and one that is about all of them the run.

use std::time::Duration;

use scaletot_chain::{ChainSchema, CorpusWriter, StateDef};
use scaletot_profile::{FieldSpec, ProfileSchema, ProfileTable, TableBuilder, Verbaliser};
use scaletot_teacher::openai::{Endpoint, OpenAi, OpenAiBuilder, Scoring};
use scaletot_teacher::{
    Error, Fault, LabelAnswer, PromptKey, Prompter, Question, Reasoner, Result, Retry, RetryPolicy,
    RunSummary, Teacher,
};
use serde_json::{Value, json};

use crate::common::{chain_schema, table};
use crate::server::{Ability, Asked, Reaction, Server, answer};

/// What a profile says that a server does not like: in the words in which servers speak of accounts, models and parameters.
const BAD: &str =
    "a town whose credit balance and model m are unknown, no billing, temperature 0, n = 1, logprobs";

/// Every eighth of the users is from there.
fn users(count: usize) -> ProfileTable {
    let towns: Vec<String> = (0..count)
        .map(|user| if user % 8 == 0 { format!("{BAD} {user}") } else { format!("town {user}") })
        .collect();
    let field = FieldSpec::categorical("town", towns.clone()).with_phrase("from {}");
    let mut builder = TableBuilder::new(ProfileSchema::builder("towns").with_field(field).build().unwrap());
    for (user, town) in towns.iter().enumerate() {
        builder.push_text(user as i64, &[town]).unwrap();
    }
    builder.finish()
}

fn is_bad(asked: &Asked) -> bool {
    asked.prompt().contains("credit balance")
}

fn run(model: OpenAi, count: usize, workers: usize) -> (Result<RunSummary>, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let (path, table) = (folder.path().join("corpus.jsonl"), users(count));
    let policy = RetryPolicy::default().with_base(Duration::from_millis(1));
    let values = ["low", "moderate", "high"];
    let chain = ChainSchema::builder("shopper")
        .with_state(StateDef::ordinal("need", values).with_cue("this customer's need is"))
        .with_state(
            StateDef::ordinal("spend", values)
                .with_cue("this customer's spending is")
                .with_depends_on(["need"]),
        )
        .build()
        .unwrap();
    let prompter = Prompter::new(table.schema(), chain, Verbaliser::fit(&table, 5).unwrap()).unwrap();
    let reasoner = Reasoner::builder(Retry::new(model, policy).unwrap(), prompter)
        .with_max_failed_share(0.5)
        .build()
        .unwrap();
    let rows: Vec<usize> = (0..count).collect();
    let mut corpus = CorpusWriter::create(&path, &reasoner.header(&table, 1).unwrap()).unwrap();
    let outcome = reasoner.run(&table, &rows, &mut corpus, workers, &());
    drop(corpus);
    let lines = std::fs::read_to_string(&path).unwrap();
    (outcome, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn builder(server: &Server) -> OpenAiBuilder {
    OpenAi::builder(server.url(), "m").with_name("the same")
}

fn with<T>(prompt: &str, use_it: impl FnOnce(&Question<'_>) -> T) -> T {
    let (table, chain) = (table(1), chain_schema());
    use_it(&Question::new(&chain, 0, &[], &table, 0).with_prompt(prompt))
}

fn ask(teacher: &dyn Teacher, prompt: &str) -> Result<LabelAnswer> {
    with(prompt, |question| teacher.answer(question))
}

fn key(teacher: &dyn Teacher, prompt: &str) -> Option<PromptKey> {
    with(prompt, |question| teacher.cache_key(question))
}

/// Refusals of one prompt, as servers in use write them, with what they were sent in them.
fn of_a_prompt(kind: usize, asked: &Asked) -> (u16, String) {
    let (prompt, body) = (asked.prompt(), &asked.body);
    let python = body.to_string().replace('"', "'").replace("':", "': ").replace(",'", ", '");
    let error = |status: u16, error: Value| (status, json!({ "error": error }).to_string());
    match kind {
        0 => error(403, json!({ "code": 403, "message": "Your chosen model requires moderation and your input was flagged for \"violence\". No credits were charged.",
            "metadata": { "reasons": ["violence"], "flagged_input": prompt, "provider_name": "acme", "model_slug": "m" } })),
        1 => (403, format!("forbidden by the gateway: {prompt}")),
        2 => error(400, json!({ "message": format!("This model's maximum context length is 10 tokens, found more in: {prompt}"),
            "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded" })),
        3 => (400, json!({ "object": "error", "type": "BadRequestError", "param": null, "code": 400,
            "message": format!("[{{'type': 'value_error', 'loc': ('body',), 'msg': 'Value error', 'input': {python}}}]") }).to_string()),
        4 => (422, json!({ "detail": [{ "type": "value_error", "loc": ["body"], "msg": "Value error", "input": body,
            "ctx": { "error": { "prompt": prompt, "n": 1 } } }] }).to_string()),
        5 => (400, json!({ "object": "error", "message": "max_tokens must be at least 1, got -186.", "type": "BadRequestError",
            "param": null, "code": 400 }).to_string()),
        6 => error(400, json!({ "message": "The response was filtered due to the prompt triggering the content management policy.",
            "type": null, "param": "prompt", "code": "content_filter", "status": 400,
            "innererror": { "code": "ResponsibleAIPolicyViolation", "content_filter_result": { "hate": { "filtered": true } } } })),
        7 => error(500, json!({ "code": 500, "message": "the request exceeds the available context size", "n_prompt_tokens": 99,
            "n_ctx": 9, "type": "exceed_context_size_error" })),
        8 => (413, json!({ "error": { "message": "Request too large on tokens per minute (TPM): Limit 6000, Requested 12328. Need more tokens? \
            Upgrade at settings/billing", "type": "tokens", "code": "rate_limit_exceeded" } }).to_string()),
        9 => (422, json!({ "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 9", "error_type": "validation" })
            .to_string()),
        10 => (200, json!({ "error": { "code": 400, "message": format!("too long: {body}"), "type": "exceed_context_size_error" } })
            .to_string()),
        11 => (404, format!("no route takes {}", body)),
        _ => (200, json!({ "choices": [{ "text": "", "finish_reason": "content_filter", "logprobs": null }] }).to_string()),
    }
}

#[test]
fn a_prompt_that_is_refused_costs_its_user_and_teaches_nothing_else() {
    for kind in 0..=12 {
        for (ability, endpoint) in
            [(Ability::Classic, Endpoint::Completions), (Ability::Text, Endpoint::Chat)]
        {
            let server = Server::start(move |asked| match is_bad(asked) {
                true => {
                    let (status, body) = of_a_prompt(kind, asked);
                    Reaction::Raw(status, "", body)
                }
                false => Reaction::Json(answer(asked, ability)),
            });
            let (outcome, records) = run(builder(&server).with_endpoint(endpoint).build().unwrap(), 16, 2);
            let summary = outcome.unwrap_or_else(|error| panic!("{kind} {endpoint:?}: {error:?}"));
            assert_eq!((summary.failed, summary.users()), (2, 16), "{kind} {endpoint:?}");
            assert_eq!(records.len(), 17);
            // The others are asked as they were before: with the same numbers, in the best way that the server has.
            for asked in server.asked().iter().rev().filter(|asked| !is_bad(asked)).take(20) {
                let body = &asked.body;
                assert_eq!(body.get("max_completion_tokens"), None, "{kind}");
                match ability {
                    Ability::Classic => {
                        assert_eq!(
                            (&body["temperature"], &body["logprobs"]),
                            (&json!(0), &json!(20)),
                            "{kind}"
                        );
                        assert_eq!(body["max_tokens"], 1, "{kind}");
                    }
                    _ => {
                        assert!(
                            body["n"] == 20 && body.get("structured_outputs").is_some(),
                            "{kind}: {body}"
                        );
                    }
                }
            }
        }
    }
}

/// A wrong key may have the status of a prompt that is not allowed; it meets everybody.
#[test]
fn a_status_of_403_ends_a_run_where_many_users_in_a_row_meet_it() {
    for (first, most) in [(0, 5), (40, 13)] {
        let server = Server::start(move |asked| match asked.number < first {
            true => Reaction::Json(answer(asked, Ability::Classic)),
            false => Reaction::Raw(403, "", "this key may not".to_owned()),
        });
        let (outcome, _) = run(builder(&server).build().unwrap(), 100, 1);
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::NoAnswers { .. }), "{error:?}");
        assert!(scaletot_core::causes(&error).contains("this key may not"));
        let refused = server.asked().len() - first;
        assert!((3..=most).contains(&refused), "{refused} were asked");
    }
}

#[test]
fn a_way_to_write_requests_is_kept_once_a_request_was_taken_in_it() {
    let refused =
        |message: &str| Reaction::Raw(400, "", json!({ "error": { "message": message } }).to_string());
    // Whatever is changed, this prompt is refused.
    let words = "max_tokens at least 16, temperature must be 1, use max_completion_tokens";
    let server = Server::start(move |asked| match asked.prompt().starts_with("bad") {
        true => refused(words),
        false => Reaction::Json(answer(asked, Ability::Classic)),
    });
    let teacher = builder(&server).build().unwrap();
    for prompt in ["good", "bad", "good, too"] {
        assert_eq!(ask(&teacher, prompt).is_err(), prompt == "bad");
    }
    let last = server.asked().pop().unwrap().body;
    assert_eq!((&last["max_tokens"], &last["temperature"]), (&json!(1), &json!(0)));
    assert!(server.asked().len() < 12);
}

#[test]
fn a_temperature_that_is_not_taken_is_part_of_the_key() {
    for ability in [Ability::Classic, Ability::Echo, Ability::Text] {
        let keys = [true, false].map(|takes| {
            let server =
                Server::start(move |asked| match asked.body.get("temperature").is_some() && !takes {
                    true => Reaction::Raw(400, "", "`temperature` is deprecated for this model".to_owned()),
                    false => Reaction::Json(answer(asked, ability)),
                });
            let teacher = builder(&server).build().unwrap();
            let answered = ask(&teacher, "He is").unwrap();
            assert_eq!(answered.samples.is_some(), ability == Ability::Text);
            let before = server.asked().len();
            let found = key(&teacher, "He is").unwrap();
            ask(&teacher, "She is").unwrap();
            assert_eq!(key(&teacher, "He is"), Some(found), "{ability:?}");
            assert!(
                server.asked()[before..]
                    .iter()
                    .filter(|asked| asked.body.get("temperature").is_some())
                    .count()
                    <= 3
            );
            found
        });
        assert_ne!(keys[0], keys[1], "{ability:?}");
    }
}

#[test]
fn a_server_that_is_busy_when_it_is_tried_has_the_same_key() {
    let keys = [0, 3].map(|busy| {
        let refusals = std::sync::atomic::AtomicU32::new(0);
        let server = Server::start(move |asked| {
            let is_probe = asked.prompt() != "He is";
            match is_probe && refusals.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < busy {
                true => Reaction::Raw(429, "retry-after: 0.02\r\n", "slow down".to_owned()),
                false => Reaction::Json(answer(asked, Ability::Classic)),
            }
        });
        let teacher = builder(&server).build().unwrap();
        ask(&teacher, "He is").unwrap();
        let found = key(&teacher, "He is").unwrap();
        let asked = server.asked().len();
        key(&teacher, "She is").unwrap();
        assert_eq!(server.asked().len(), asked, "what is known is not asked again");
        found
    });
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn an_error_that_is_told_in_an_answer_is_no_sign_of_another_kind_of_server() {
    for body in [
        r#"{"error":{"message":"upstream is busy"}}"#,
        r#"{"choices":[{"error":{"message":"upstream is busy"}}]}"#,
    ] {
        let server = Server::start(move |asked| match asked.number {
            0..5 => Reaction::Raw(200, "", body.to_owned()),
            _ => Reaction::Json(answer(asked, Ability::Classic)),
        });
        let teacher = builder(&server).build().unwrap();
        for _ in 0..5 {
            let error = ask(&teacher, "He is").unwrap_err();
            let Error::Server { fault, .. } = &error else { panic!("{error:?}") };
            assert!(matches!(fault, Fault::Failed { status: 200, .. }) && fault.is_transient(), "{fault:?}");
            assert!(fault.to_string().contains("upstream is busy"), "{fault}");
        }
        ask(&teacher, "He is").unwrap();
    }
}

#[test]
fn a_wait_beyond_the_time_for_a_question_is_told() {
    let server = Server::start(|_| Reaction::Raw(429, "retry-after: 3600\r\n", "come back".to_owned()));
    let teacher = Retry::new(builder(&server).build().unwrap(), RetryPolicy::default()).unwrap();
    let error = ask(&teacher, "He is").unwrap_err();
    assert!(error.to_string().contains("asks for a wait of 3600 s, which goes beyond the time"), "{error}");
    assert!(matches!(error, Error::GaveUp { wait: Some(wait), .. } if wait == Duration::from_secs(3600)));
}

/// A model that ends one text at once gives no tokens for it, and them for all others.
#[test]
fn an_answer_of_no_token_turns_top_tokens_off_for_nobody() {
    let server =
        Server::start(|asked| match asked.prompt().starts_with("done") && asked.body.get("n").is_none() {
            true => Reaction::Json(json!({ "choices": [{ "text": "", "logprobs": { "content": [] } }] })),
            false => Reaction::Json(answer(asked, Ability::Classic)),
        });
    let teacher = builder(&server).build().unwrap();
    assert!(ask(&teacher, "done").unwrap().samples.is_some());
    assert_eq!(teacher.scoring(), Some(Scoring::TopTokens { top: 20 }));
    assert_eq!(ask(&teacher, "He is").unwrap().samples, None);
}

/// Answers as a server gives them that tells of the chosen token alone, and fills the list up.
fn filled_up(asked: &Asked, chosen: f64, pad: f64) -> Value {
    let mut all = answer(asked, Ability::Text);
    if asked.body.get("n").is_none() {
        let mut top = vec![json!({ "token": " low", "logprob": chosen })];
        top.extend((0..19).map(|i| json!({ "token": format!("<pad>{i}"), "logprob": pad })));
        let token = json!({ "token": " low", "logprob": chosen, "top_logprobs": top });
        all["choices"][0]["logprobs"] = json!({ "content": [token] });
    }
    all
}

#[test]
fn a_list_that_is_filled_up_is_no_distribution() {
    for pad in [-9999.0, -100.0] {
        // Also where the first answer is sure, or all of them, as at a temperature of 0.
        for (first, others) in [(-0.9, -0.9), (-1e-5, -0.9), (0.0, 0.0)] {
            let server = Server::start(move |asked| {
                Reaction::Json(filled_up(asked, if asked.number == 0 { first } else { others }, pad))
            });
            let teacher = builder(&server).build().unwrap();
            for prompt in ["He is", "She is"] {
                let answered = ask(&teacher, prompt).unwrap();
                let is_spread = answered.log_probs.iter().all(|log_prob| log_prob.exp() < 0.9);
                assert!(answered.samples.is_some() && is_spread, "{pad} {first}: {answered:?}");
            }
        }
    }
    // A server that tells of others is believed when it is sure.
    let server = Server::start(|asked| {
        let sure = json!({ "content": [{ "token": " low", "top_logprobs": [{ "token": " low", "logprob": -1e-8 }] }] });
        match asked.prompt() == "He is" {
            true => Reaction::Json(json!({ "choices": [{ "text": " low", "logprobs": sure }] })),
            false => Reaction::Json(answer(asked, Ability::Classic)),
        }
    });
    let teacher = builder(&server).build().unwrap();
    assert!(ask(&teacher, "He is").unwrap().log_probs[0] > -1e-7);
    assert_eq!(teacher.scoring(), Some(Scoring::TopTokens { top: 20 }));
}

#[test]
fn a_short_key_leaves_messages_readable() {
    let words = "expected less: the quick brown fox jumps over the lazy dog";
    for key in ["x", "-", "EM"] {
        let server = Server::start(move |_| Reaction::Raw(401, "", format!("{words}; key: {key}!")));
        let error = ask(&builder(&server).with_key(key).build().unwrap(), "He is").unwrap_err();
        let Error::Server { fault, .. } = &error else { panic!("{error:?}") };
        let shown = fault.to_string();
        assert!(shown.contains(words) && shown.contains("key: [secret]!"), "{shown}");
    }
}
