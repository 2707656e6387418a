//! A wish to stop is heard at once, whatever the teacher waits for, and makes nobody a failure.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use scaletot_chain::CorpusWriter;
use scaletot_core::Progress;
use scaletot_teacher::{
    Cached, Error, Fallback, Fault, LabelAnswer, Question, Reasoner, Recorder, Result, Retry, RetryPolicy,
    Teacher,
};

use crate::common::{Arbitrary, Silent, StopAfter, StopAt, prompter, table};

/// Far below what the teachers here wait, and far above what a busy machine needs to notice.
const SOON: Duration = Duration::from_secs(2);

/// Fails each question with a fault that passes.
struct Away(Fault);

impl Teacher for Away {
    fn model(&self) -> &str {
        "away"
    }
    fn answer(&self, _: &Question<'_>) -> Result<LabelAnswer> {
        Err(Error::Server { model: "away".to_owned(), fault: self.0.clone() })
    }
}

#[test]
fn a_run_whose_server_is_silent_stops_at_once_and_fails_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (path, table) = (folder.path().join("corpus.jsonl"), table(40));
    let rows: Vec<usize> = (0..40).collect();
    let reasoner = Reasoner::builder(Silent::default(), prompter(&table)).build().unwrap();
    let mut corpus = CorpusWriter::create(&path, &reasoner.header(&table, 1).unwrap()).unwrap();
    let stop = StopAt::in_ms(30);
    let summary = reasoner.run(&table, &rows, &mut corpus, 3, &stop).unwrap();
    stop.heard_within(SOON);
    assert_eq!((summary.stopped, summary.users(), summary.failed), (true, 0, 0));
    assert_eq!(summary.ledger.failures, 0, "nor is a question that was given up a failure");
}

/// The third question about a user never comes; nobody behind that user is written.
#[test]
fn a_run_stopped_within_a_user_resumes_to_the_same_bytes() {
    struct Stuck;
    impl Teacher for Stuck {
        fn model(&self) -> &str {
            "arbitrary"
        }
        fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
            if question.row == 5 && question.state == 2 {
                return Silent::default().answer(question);
            }
            Arbitrary::default().answer(question)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let table = table(40);
    let rows: Vec<usize> = (0..40).collect();
    let run = |teacher: &dyn Teacher, name: &str, progress: &dyn Progress| {
        let path = folder.path().join(name);
        let reasoner = Reasoner::builder(teacher, prompter(&table)).build().unwrap();
        let (mut corpus, ..) = CorpusWriter::open(&path, &reasoner.header(&table, 1).unwrap()).unwrap();
        let summary = reasoner.run(&table, &rows, &mut corpus, 3, progress).unwrap();
        (summary, std::fs::read(path).unwrap())
    };
    let (_, whole) = run(&Arbitrary::default(), "whole.jsonl", &());
    let (stopped, part) = run(&Stuck, "part.jsonl", &StopAfter::new(5));
    assert_eq!((stopped.stopped, stopped.users(), stopped.failed), (true, 5, 0));
    assert!(whole.starts_with(&part));
    assert_eq!(run(&Arbitrary::default(), "part.jsonl", &()).1, whole);
}

#[test]
fn a_wait_for_another_attempt_ends_with_the_run() {
    let policy =
        RetryPolicy::default().with_base(Duration::from_secs(60)).with_breaker_pause(Duration::from_secs(60));
    let faults = [
        Fault::RateLimited { retry_after: Some(Duration::from_secs(60)), message: String::new() },
        Fault::Failed { status: 503, retry_after: Some(Duration::from_secs(60)), message: String::new() },
    ];
    // The breaker's wait, too: it opens at the first failure.
    for (fault, failures) in faults.into_iter().flat_map(|fault| [(fault.clone(), 20), (fault, 1)]) {
        let teacher = Retry::new(Away(fault), policy.with_breaker_failures(failures)).unwrap();
        let table = table(2);
        let prompter = prompter(&table);
        let stop = StopAt::in_ms(30);
        let stopped = || stop.stopped();
        let question = prompter.question(&table, 0, 0, &[]).with_stop(&stopped);
        assert!(matches!(teacher.answer(&question), Err(Error::Stopped)));
        stop.heard_within(SOON);
        // Nothing is asked of a question that is stopped already.
        assert!(matches!(teacher.answer(&question), Err(Error::Stopped)));
    }
}

#[test]
fn a_stopped_question_is_not_asked_of_the_second_teacher() {
    let table = table(2);
    let prompter = prompter(&table);
    let stop = StopAt(Instant::now());
    let stopped = || stop.stopped();
    let question = prompter.question(&table, 0, 0, &[]).with_stop(&stopped);
    let both = Fallback::new(Silent::default(), Arbitrary::default());
    assert!(matches!(both.answer(&question), Err(Error::Stopped)));
    assert_eq!(both.second().calls.load(Ordering::Relaxed), 0);
}

#[test]
fn a_recording_whose_server_is_silent_stops_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(12);
    let recorder = Recorder::open(Silent::default(), folder.path().join("answers.jsonl")).unwrap();
    let reasoner = Reasoner::builder(&recorder, prompter(&table)).build().unwrap();
    let stop = StopAt::in_ms(30);
    let summary = reasoner.record_all(&table, &(0..12).collect::<Vec<_>>(), &recorder, 3, &stop).unwrap();
    stop.heard_within(SOON);
    assert_eq!((summary.stopped, summary.users, summary.asked), (true, 0, 0));
}

/// Whoever waits for an answer that another asks for looks at its own stop.
#[test]
fn a_stop_is_heard_by_whoever_waits_for_anothers_answer() {
    let table = table(2);
    let prompter = prompter(&table);
    let cached = Cached::new(Silent::default());
    let release = AtomicBool::new(false);
    let released = || release.load(Ordering::SeqCst);
    let first = prompter.question(&table, 0, 0, &[]).with_stop(&released);
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| cached.answer(&first));
        while cached.inner().asked.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        let stop = StopAt::in_ms(30);
        let stopped = || stop.stopped();
        let second = prompter.question(&table, 0, 0, &[]).with_stop(&stopped);
        assert!(matches!(cached.answer(&second), Err(Error::Stopped)));
        stop.heard_within(SOON);
        release.store(true, Ordering::SeqCst);
        assert!(matches!(asks.join().unwrap(), Err(Error::Stopped)));
    });
    assert_eq!(cached.inner().asked.load(Ordering::SeqCst), 1);
}
