use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use scaletot_chain::{Corpus, CorpusWriter, Verdict};
use scaletot_teacher::openai::OpenAi;
use scaletot_teacher::{Reasoner, Retry, RetryPolicy, RunSummary, prompt_key};

use crate::common::{chain_schema, prompter, table};
use crate::server::{Ability, Asked, Reaction, Server, answer};

/// One request in five goes wrong, in any of the ways; twice asked, not the same way.
fn faulty(asked: &Asked) -> Reaction {
    let key = prompt_key("fault", asked.prompt(), &[asked.number.to_string()]);
    let raw = |status, headers, body: &str| Reaction::Raw(status, headers, body.to_owned());
    if key.bytes()[0] >= 51 {
        return Reaction::Json(answer(asked, Ability::Classic));
    }
    match key.bytes()[1] % 9 {
        0 => raw(429, "retry-after: 0.02\r\n", "slow down"),
        1 => raw(503, "", "overloaded"),
        2 => Reaction::Reset,
        3 => Reaction::Cut(answer(asked, Ability::Classic)),
        4 => raw(200, "", r#"{"choices":[{"text":" lo"#),
        5 => raw(200, "", "<html>Bad gateway</html>"),
        6 => raw(200, "", r#"{"choices":[]}"#),
        7 => raw(
            200,
            "",
            r#"{"choices":[{"text":"","logprobs":{"content":[{"token":" low","logprob":NaN,"top_logprobs":[]}]}}]}"#,
        ),
        _ => Reaction::Hang(Duration::from_millis(2_500)),
    }
}

fn run(url: &str, users: usize, path: &Path, attempts: u32, workers: usize) -> RunSummary {
    let mut policy = RetryPolicy::default();
    (policy.base, policy.max_wait) = (Duration::from_millis(2), Duration::from_millis(20));
    (policy.attempts, policy.reserve, policy.ratio) = (attempts, 10_000, 1.0);
    policy.breaker_pause = Duration::from_millis(50);
    let model = OpenAi::builder(url, "m")
        .with_name("scripted")
        .with_timeout(Duration::from_millis(1_500))
        .build()
        .unwrap();
    let table = table(users);
    let reasoner = Reasoner::builder(Retry::new(model, policy).unwrap(), prompter(&table))
        .with_max_failed_share(1.0)
        .build()
        .unwrap();
    let header = reasoner.header(&table, 1).unwrap();
    let mut corpus = match path.exists() {
        true => CorpusWriter::resume_without_failed(path, &header).unwrap().0,
        false => CorpusWriter::create(path, &header).unwrap(),
    };
    let rows: Vec<usize> = (0..users).collect();
    reasoner.run(&table, &rows, &mut corpus, workers, &()).unwrap()
}

#[test]
fn two_thousand_users_and_a_fifth_of_faults_lose_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.jsonl");
    let server = Server::start(faulty);
    let summary = run(&server.url(), 2_000, &path, 12, 16);
    let corpus = Corpus::read(&path, &chain_schema()).unwrap();
    let records = corpus.records();
    let users: HashSet<_> = records.iter().map(|record| record.user.clone()).collect();
    assert_eq!((records.len(), users.len(), summary.users()), (2_000, 2_000, 2_000));
    assert_eq!(summary.failed, 0, "twelve attempts are enough: {summary:?}");
    // A server without faults gives the same corpus.
    let sound = Server::start(|asked| Reaction::Json(answer(asked, Ability::Classic)));
    let whole = folder.path().join("whole.jsonl");
    run(&sound.url(), 2_000, &whole, 12, 4);
    assert!(std::fs::read(&path).unwrap() == std::fs::read(&whole).unwrap(), "the corpora differ");
}

#[test]
fn a_resumed_run_takes_up_the_failed_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.jsonl");
    let server = Server::start(faulty);
    let first = run(&server.url(), 300, &path, 1, 4);
    assert!(first.failed > 10, "one attempt is not enough: {first:?}");
    let corpus = Corpus::read(&path, &chain_schema()).unwrap();
    let records = corpus.records();
    let failed = records.iter().filter(|record| matches!(record.verdict, Verdict::Failed { .. })).count();
    assert_eq!(failed as u64, first.failed);
    let second = run(&server.url(), 300, &path, 12, 4);
    assert_eq!((second.users(), second.skipped), (first.failed, 300 - first.failed));
    assert_eq!(second.failed, 0);
    let corpus = Corpus::read(&path, &chain_schema()).unwrap();
    let records = corpus.records();
    let users: HashSet<_> = records.iter().map(|record| record.user.clone()).collect();
    assert_eq!((records.len(), users.len()), (300, 300));
}

/// A server that hangs takes a user's time, not more: the users fail, and are resumed when it is well again.
#[test]
fn a_user_has_so_much_time_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.jsonl");
    let hanging = Server::start(|asked| match asked.number {
        0..3 => Reaction::Json(answer(asked, Ability::Classic)),
        _ => Reaction::Hang(Duration::from_secs(20)),
    });
    let table = table(7);
    let reasoner = |url: &str| {
        let model = OpenAi::builder(url, "m")
            .with_name("scripted")
            .with_timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let teacher = Retry::new(model, RetryPolicy::default()).unwrap();
        let most = Duration::from_millis(400);
        Reasoner::builder(teacher, prompter(&table))
            .with_user_deadline(most)
            .with_max_failed_share(1.0)
            .build()
            .unwrap()
    };
    let first = reasoner(&hanging.url());
    let header = first.header(&table, 1).unwrap();
    let rows: Vec<usize> = (0..7).collect();
    let began = Instant::now();
    let mut corpus = CorpusWriter::create(&path, &header).unwrap();
    let summary = first.run(&table, &rows, &mut corpus, 1, &()).unwrap();
    // One of the seven has no profile.
    assert_eq!((summary.failed, summary.abstained), (6, 1));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    drop(corpus);
    let sound = Server::start(|asked| Reaction::Json(answer(asked, Ability::Classic)));
    let mut corpus = CorpusWriter::resume_without_failed(&path, &header).unwrap().0;
    let summary = reasoner(&sound.url()).run(&table, &rows, &mut corpus, 1, &()).unwrap();
    assert_eq!((summary.failed, summary.skipped), (0, 1));
}

/// A worker process of the next test; does nothing on its own.
#[test]
fn child() {
    if let (Ok(url), Ok(path)) = (std::env::var("SCALETOT_URL"), std::env::var("SCALETOT_CORPUS")) {
        run(&url, 400, Path::new(&path), 12, 3);
    }
}

/// Killed at fifty moments and resumed each time, a run ends with the bytes of one that nobody disturbed.
#[test]
#[cfg(unix)]
fn a_run_that_is_killed_fifty_times_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, path) = (folder.path().join("whole.jsonl"), folder.path().join("killed.jsonl"));
    // Slow enough that fifty kills fall within the run.
    let server = Server::start(|asked| {
        std::thread::sleep(Duration::from_millis(4));
        Reaction::Json(answer(asked, Ability::Classic))
    });
    run(&server.url(), 400, &whole, 12, 3);
    let mut kills = 0;
    for round in 0..400_u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "runs::child"])
            .env("SCALETOT_URL", server.url())
            .env("SCALETOT_CORPUS", &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Moments that differ, from before the corpus exists to well within the run.
        let moment = Duration::from_millis(if kills < 50 { 3 + round * 7919 % 60 } else { 60_000 });
        let began = Instant::now();
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if began.elapsed() >= moment {
                break None;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        match ended {
            Some(status) => {
                assert!(status.success());
                break;
            }
            None => {
                // SIGKILL.
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
            }
        }
    }
    assert!(kills >= 50, "the run was over after {kills} kills");
    assert!(std::fs::read(&path).unwrap() == std::fs::read(&whole).unwrap(), "the corpora differ");
}
