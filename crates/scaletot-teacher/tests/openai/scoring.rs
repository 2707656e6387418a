use scaletot_chain::{ChainSchema, StateDef};
use scaletot_profile::ProfileTable;
use scaletot_teacher::openai::{Endpoint, OpenAi, Scoring};
use scaletot_teacher::{LabelAnswer, Question, Teacher};

use crate::common::{chain_schema, prompter, table};
use crate::server::{Ability, Reaction, Server, answer, probability};

fn question<'a>(table: &'a ProfileTable, chain: &'a ChainSchema, prompt: &str) -> Question<'a> {
    Question::new(chain, 0, &[], table, 0).with_prompt(prompt)
}

/// Asks a server of some ability about one user; says what was asked, too.
fn ask(
    ability: Ability,
    endpoint: Endpoint,
    labels: &[&str],
) -> (LabelAnswer, Option<Scoring>, Server, String) {
    let server = Server::start(move |asked| Reaction::Json(answer(asked, ability)));
    let teacher = OpenAi::builder(server.url(), "m").with_endpoint(endpoint).build().unwrap();
    let table = table(3);
    let chain =
        ChainSchema::builder("c").with_state(StateDef::ordinal("s", labels.to_vec())).build().unwrap();
    let prompt = prompter(&table).prompt(&table, 0, 0, &[]);
    let answered = teacher.answer(&question(&table, &chain, &prompt)).unwrap();
    (answered, teacher.scoring(), server, prompt)
}

const LABELS: [&str; 3] = ["low", "moderate", "high"];

#[test]
fn both_shapes_of_top_tokens_give_the_models_probabilities() {
    for ability in [Ability::Classic, Ability::Content] {
        let (answered, scoring, server, prompt) = ask(ability, Endpoint::Completions, &LABELS);
        assert_eq!(scoring, Some(Scoring::TopTokens { top: 20 }));
        for (label, lp) in LABELS.iter().zip(&answered.log_probs) {
            assert!((lp.exp() - probability(&prompt, &format!(" {label}"))).abs() < 1e-9);
        }
        let asked = server.asked();
        assert_eq!((asked.len(), asked[0].path.as_str()), (1, "/v1/completions"));
        assert_eq!((&asked[0].body["logprobs"], &asked[0].body["max_tokens"]), (&20.into(), &1.into()));
        assert!(answered.tokens > 5 && answered.missing.is_empty() && answered.samples.is_none());
    }
    let (answered, _, server, prompt) = ask(Ability::Classic, Endpoint::Chat, &LABELS);
    assert!((answered.log_probs[0].exp() - probability(&prompt, " low")).abs() < 1e-9);
    let asked = &server.asked()[0];
    assert_eq!((asked.path.as_str(), &asked.body["top_logprobs"]), ("/v1/chat/completions", &20.into()));
    let task = asked.body["messages"][0]["content"].as_str().unwrap();
    assert!(task.contains("low, moderate, high") && !task.contains(&prompt), "the profile is data");
}

#[test]
fn labels_that_begin_alike_are_asked_on() {
    let labels = ["very low", "very high", "web"];
    let (answered, _, server, prompt) = ask(Ability::Content, Endpoint::Completions, &labels);
    let very = probability(&prompt, " very");
    let on = format!("{prompt} very");
    let expected =
        [very * probability(&on, " low"), very * probability(&on, " high"), probability(&prompt, " web")];
    for (lp, p) in answered.log_probs.iter().zip(expected) {
        assert!((lp.exp() - p).abs() < 1e-9);
    }
    assert_eq!(server.asked().len(), 2);
    // In a chat one cannot go on from half an answer: sampled instead.
    let (answered, ..) =
        ask(Ability::Classic, Endpoint::Chat, &["very low", "very high", "low", "moderate", "high"]);
    assert_eq!(answered.samples, Some(20));
}

#[test]
fn labels_that_are_not_among_the_tokens_are_missing() {
    let (answered, ..) = ask(Ability::Classic, Endpoint::Completions, &["low", "enormous"]);
    assert_eq!(answered.missing, [1]);
    assert!(answered.covered_mass() < 0.2);
}

#[test]
fn without_top_tokens_an_echo_is_scored() {
    let (answered, scoring, server, prompt) =
        ask(Ability::Echo, Endpoint::Completions, &["low", "very high"]);
    assert_eq!(scoring, Some(Scoring::Echo));
    assert!((answered.log_probs[0].exp() - probability(&prompt, " low")).abs() < 1e-9);
    let very = probability(&prompt, " very") * probability(&format!("{prompt} very"), " high");
    assert!((answered.log_probs[1].exp() - very).abs() < 1e-12);
    assert_eq!(server.asked().len(), 1 + 2);
}

#[test]
fn without_log_probabilities_answers_are_sampled_and_counted() {
    for endpoint in [Endpoint::Completions, Endpoint::Chat] {
        let (answered, scoring, server, prompt) = ask(Ability::Text, endpoint, &LABELS);
        assert_eq!(scoring, Some(Scoring::Sample { samples: 20, guided: true }));
        assert_eq!(answered.samples, Some(20));
        let all: f64 = LABELS.iter().map(|label| probability(&prompt, &format!(" {label}"))).sum();
        for (label, lp) in LABELS.iter().zip(&answered.log_probs) {
            assert!((lp.exp() - probability(&prompt, &format!(" {label}")) / all).abs() <= 0.1 + 1e-9);
        }
        let last = server.asked().pop().unwrap();
        assert!(last.body["structured_outputs"]["choice"].is_array());
        assert!(last.body["max_tokens"].as_u64().unwrap() >= 9);
    }
}

/// A search takes sampled answers with a bias-corrected entropy, and its chain says so.
#[test]
fn a_chain_says_that_its_entropy_is_estimated() {
    use scaletot_chain::EntropySource;
    let server = Server::start(|asked| Reaction::Json(answer(asked, Ability::Text)));
    let teacher = OpenAi::builder(server.url(), "m").with_samples(10).build().unwrap();
    let table = table(12);
    let chain =
        ChainSchema::builder("c").with_state(StateDef::ordinal("s", LABELS.to_vec())).build().unwrap();
    let verbaliser = scaletot_profile::Verbaliser::fit(&table, 5).unwrap();
    let prompter = scaletot_teacher::Prompter::new(table.schema(), chain, verbaliser).unwrap();
    let reasoner = scaletot_teacher::Reasoner::builder(teacher, prompter).build().unwrap();
    let best = reasoner.reason(&table, 0, 1).unwrap().best.unwrap();
    let step = &best.steps()[0];
    assert_eq!(step.entropy_source, EntropySource::MillerMadow { samples: 10 });
    assert!(step.entropy > scaletot_core::numeric::normalised_entropy(&step.distribution, 0));
}

#[test]
fn a_server_that_takes_five_at_most_is_asked_for_five() {
    let server = Server::start(|asked| match asked.body["logprobs"].as_u64() {
        Some(n) if n > 5 => {
            Reaction::Raw(400, "", r#"{"error":{"message":"logprobs must be at most 5"}}"#.to_owned())
        }
        _ => Reaction::Json(answer(asked, Ability::Classic)),
    });
    let teacher = OpenAi::builder(server.url(), "m").build().unwrap();
    let (table, chain) = (table(1), chain_schema());
    teacher.answer(&question(&table, &chain, "He is")).unwrap();
    assert_eq!(teacher.scoring(), Some(Scoring::TopTokens { top: 5 }));
    teacher.answer(&question(&table, &chain, "She is")).unwrap();
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn the_key_goes_to_the_server_and_nowhere_else() {
    let server = Server::start(|asked| match asked.number {
        0 => Reaction::Json(answer(asked, Ability::Classic)),
        _ => Reaction::Raw(401, "", "no".to_owned()),
    });
    // A variable that is set wherever the tests run.
    let secret = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let teacher = OpenAi::builder(server.url(), "m").with_key_variable("CARGO_MANIFEST_DIR").build().unwrap();
    let (table, chain) = (table(1), chain_schema());
    teacher.answer(&question(&table, &chain, "He is")).unwrap();
    let error = teacher.answer(&question(&table, &chain, "She is")).unwrap_err();
    assert_eq!(server.asked()[0].authorization.as_deref(), Some(format!("Bearer {secret}").as_str()));
    for shown in
        [format!("{teacher:?}"), format!("{error}"), format!("{error:?}"), teacher.model().to_owned()]
    {
        assert!(!shown.contains(&secret), "{shown}");
    }
}

#[test]
fn settings_are_checked() {
    assert!(OpenAi::builder("ftp://x", "m").build().is_err());
    assert!(OpenAi::builder("http://x", "m").with_top(0).build().is_err());
    let chat = OpenAi::builder("http://x", "m").with_endpoint(Endpoint::Chat);
    assert!(chat.with_scoring(Scoring::Echo).build().is_err());
    assert!(OpenAi::builder("http://x/v1/", "m").build().unwrap().model().contains("of http://x/v1, top 20"));
}
