//! A teacher that answers nobody, or too few, ends the run with its reason, and what was reasoned is kept.

use std::sync::atomic::{AtomicUsize, Ordering};

use scaletot_chain::{Corpus, CorpusWriter, Verdict};
use scaletot_core::causes;
use scaletot_teacher::{
    Calibration, Error, Fault, LabelAnswer, Question, Reasoner, Result, Retry, RetryPolicy, RunSummary,
    Teacher,
};

use crate::common::{Arbitrary, Silent, StopAt, chain_schema, prompter, table};

/// Fails what the function picks, by the number of the question and the user's row.
struct Flaky<F> {
    asked: AtomicUsize,
    fault: F,
}

impl<F: Fn(usize, usize) -> Option<Fault> + Send + Sync> Flaky<F> {
    fn new(fault: F) -> Self {
        Self { asked: AtomicUsize::new(0), fault }
    }
}

impl<F: Fn(usize, usize) -> Option<Fault> + Send + Sync> Teacher for Flaky<F> {
    fn model(&self) -> &str {
        "arbitrary"
    }
    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        match (self.fault)(number, question.row) {
            Some(fault) => Err(Error::Server { model: "arbitrary".to_owned(), fault }),
            None => Arbitrary::default().answer(question),
        }
    }
}

fn away() -> Fault {
    Fault::Failed { status: 503, retry_after: None, message: "no room in the inn".to_owned() }
}

const USERS: usize = 200;

struct Ran {
    outcome: Result<RunSummary>,
    records: usize,
    failed: usize,
    accepted: usize,
}

fn run(teacher: impl Teacher, workers: usize, max_failed_share: f64) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let (path, table) = (folder.path().join("corpus.jsonl"), table(USERS));
    let rows: Vec<usize> = (0..USERS).collect();
    let reasoner = Reasoner::builder(teacher, prompter(&table))
        .with_max_failed_share(max_failed_share)
        .with_cache_capacity(0)
        .build()
        .unwrap();
    let mut corpus = CorpusWriter::create(&path, &reasoner.header(&table, 1).unwrap()).unwrap();
    let outcome = reasoner.run(&table, &rows, &mut corpus, workers, &());
    drop(corpus);
    let corpus = Corpus::read(&path, &chain_schema()).unwrap();
    let failed = |verdict: &Verdict| matches!(verdict, Verdict::Failed { .. });
    let failed = corpus.records().iter().filter(|record| failed(&record.verdict)).count();
    let accepted = corpus.records().iter().filter(|record| record.verdict.is_accepted()).count();
    Ran { outcome, records: corpus.records().len(), failed, accepted }
}

fn calibrate(teacher: impl Teacher, workers: usize) -> Result<Calibration> {
    let table = table(USERS);
    let reasoner = Reasoner::builder(teacher, prompter(&table)).build().unwrap();
    reasoner.fit_calibration(&table, &(0..USERS).collect::<Vec<_>>(), workers, &())
}

#[test]
fn a_server_that_answers_nobody_ends_the_run_with_its_fault() {
    for workers in [1, 4] {
        let teacher = Flaky::new(|_, _| Some(away()));
        let ran = run(&teacher, workers, 1.0);
        let error = ran.outcome.unwrap_err();
        assert!(matches!(error, Error::NoAnswers { .. }), "{error:?}");
        assert!(causes(&error).contains("status 503: no room in the inn"), "{}", causes(&error));
        assert!(ran.records < 30, "{} users were marked", ran.records);
        assert!(teacher.asked.into_inner() < 20);
        let teacher = Flaky::new(|_, _| Some(away()));
        let error = calibrate(&teacher, workers).unwrap_err();
        assert!(causes(&error).contains("no room in the inn"), "{error:?}");
        assert!(teacher.asked.into_inner() < 20);
    }
}

/// Each question is tried again and again, so fewer of them tell.
#[test]
fn a_server_that_answers_nobody_is_not_asked_about_many_users() {
    let policy = RetryPolicy::default().with_base(std::time::Duration::from_millis(1)).with_attempts(6);
    let teacher = Retry::new(Flaky::new(|_, _| Some(away())), policy).unwrap();
    let ran = run(&teacher, 1, 1.0);
    assert!(matches!(ran.outcome, Err(Error::NoAnswers { .. })), "{:?}", ran.outcome);
    assert_eq!((ran.records, teacher.inner().asked.load(Ordering::SeqCst)), (1, 12));
}

#[test]
fn a_fault_that_every_question_will_meet_ends_the_run_at_once() {
    let faults = [
        Fault::Refused { status: 401, message: "Incorrect API key".to_owned() },
        Fault::UnknownModel { status: 404, message: "no such model".to_owned() },
    ];
    for fault in faults {
        // In the middle of a run, too: a key expires.
        for first in [0, 50] {
            let teacher = Flaky::new(|number, _| (number >= first).then(|| fault.clone()));
            let ran = run(&teacher, 1, 1.0);
            let error = ran.outcome.unwrap_err();
            assert!(matches!(error, Error::NoAnswers { failures: 1, .. }), "{error:?}");
            assert!(causes(&error).contains(&fault.to_string()), "{}", causes(&error));
            assert_eq!((ran.failed, teacher.asked.into_inner()), (0, first + 1));
        }
    }
}

/// A status of 403 may be that of a prompt that is not allowed: one user, or several of many, end no run.
#[test]
fn users_whose_prompts_are_not_allowed_do_not_end_a_run() {
    let forbidden = || Fault::Refused { status: 403, message: "not this".to_owned() };
    for (refused, ends) in [(0..1, false), (0..4, false), (0..5, true), (50..58, false), (50..64, true)] {
        let teacher = Flaky::new(|_, row| refused.contains(&row).then(forbidden));
        let ran = run(&teacher, 1, 0.2);
        assert_eq!(ran.outcome.is_err(), ends, "{refused:?}: {:?}", ran.outcome);
        assert_eq!(ran.records == USERS, !ends, "{refused:?}");
    }
}

#[test]
fn a_server_that_goes_away_for_good_ends_the_run_and_what_was_reasoned_is_kept() {
    let teacher = Flaky::new(|number, _| (number >= 300).then(away));
    let ran = run(&teacher, 1, 1.0);
    assert!(matches!(ran.outcome, Err(Error::NoAnswers { .. })), "{:?}", ran.outcome);
    assert!(ran.records - ran.failed > 20, "{} of {}", ran.failed, ran.records);
    // One of them at a later state, of the user in hand.
    assert_eq!((ran.failed, teacher.asked.into_inner()), (50, 351));
}

#[test]
fn a_run_of_which_too_many_users_fail_is_an_error_that_counts_them() {
    // Every eighth user, never many in a row.
    let eighth = || Flaky::new(|_, row| (row % 8 == 0).then(away));
    let ran = run(eighth(), 3, 0.05);
    let error = ran.outcome.unwrap_err().to_string();
    assert_eq!((ran.records, ran.failed), (USERS, 22));
    assert!(error.contains("at most 5.0 % of the users to fail, found 22 of 200"), "{error}");
    assert!(error.contains("no room in the inn"), "{error}");
    let summary = run(eighth(), 3, 0.2).outcome.unwrap();
    let failure = summary.failure.as_ref().unwrap();
    assert_eq!((summary.failed, failure.users, summary.users()), (22, 22, USERS as u64));
    assert!(failure.reason.contains("no room in the inn"), "{failure:?}");
}

#[test]
fn a_share_that_is_none_is_refused() {
    let table = table(2);
    for share in [-0.1, 1.1, f64::NAN] {
        let built =
            Reasoner::builder(Arbitrary::default(), prompter(&table)).with_max_failed_share(share).build();
        assert!(built.unwrap_err().to_string().contains("`max_failed_share`: expected a number in [0, 1]"));
    }
}

#[test]
fn calibrations_are_the_same_whatever_the_number_of_workers() {
    let one = calibrate(Arbitrary::default(), 1).unwrap();
    for workers in [2, 3, 7, 0] {
        assert_eq!(calibrate(Arbitrary::default(), workers).unwrap(), one);
    }
}

#[test]
fn a_calibration_whose_server_is_silent_stops_at_once() {
    let table = table(40);
    let reasoner = Reasoner::builder(Silent::default(), prompter(&table)).build().unwrap();
    let stop = StopAt::in_ms(30);
    let error = reasoner.fit_calibration(&table, &(0..40).collect::<Vec<_>>(), 3, &stop).unwrap_err();
    stop.heard_within(std::time::Duration::from_secs(2));
    assert!(matches!(error, Error::Stopped), "{error:?}");
}

/// Gives its labels so much of the probability, all to the first where the others are missing.
struct Thinks {
    mass: f64,
    one_label: bool,
}

impl Teacher for Thinks {
    fn model(&self) -> &str {
        "thinks"
    }
    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let labels = question.labels.len();
        let share = |label: usize| match self.one_label {
            true if label > 0 => 0.0,
            true => self.mass,
            false => self.mass * (label + 1) as f64 / (labels * (labels + 1) / 2) as f64,
        };
        Ok(LabelAnswer::new((0..labels).map(|label| share(label).ln()).collect(), 9))
    }
}

#[test]
fn answers_that_hardly_cover_the_labels_are_no_reasoning() {
    for (mass, one_label) in [(3e-6, false), (6e-6, true), (0.99e-4, false), (0.04, true)] {
        let ran = run(Thinks { mass, one_label }, 2, 1.0);
        let error = causes(&ran.outcome.unwrap_err());
        assert!(error.contains("of the probability on the labels"), "{error}");
        assert!(error.contains("thinks first"), "{error}");
        assert_eq!(ran.accepted, 0);
        let error = causes(&calibrate(Thinks { mass, one_label }, 2).unwrap_err());
        assert!(error.contains("thinks first"), "{error}");
    }
}

#[test]
fn summaries_and_calibrations_tell_the_mean_covered_mass_and_warn_where_it_is_low() {
    struct Notes(std::sync::Mutex<Vec<String>>);
    impl scaletot_core::Progress for Notes {
        fn note(&self, line: &str) {
            self.0.lock().unwrap().push(line.to_owned());
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let table = table(30);
    let rows: Vec<usize> = (0..30).collect();
    for (mass, warns) in [(0.002, true), (0.5, false)] {
        let notes = Notes(std::sync::Mutex::default());
        let path = folder.path().join(format!("{mass}.jsonl"));
        let mut reasoner =
            Reasoner::builder(Thinks { mass, one_label: false }, prompter(&table)).build().unwrap();
        let calibration = reasoner.fit_calibration(&table, &rows, 2, &notes).unwrap();
        assert!((calibration.covered_mass().unwrap() - mass).abs() < 1e-9);
        let text = serde_json::to_string(&calibration).unwrap();
        assert_eq!(serde_json::from_str::<Calibration>(&text).unwrap(), calibration);
        reasoner.set_calibration(calibration).unwrap();
        let mut corpus = CorpusWriter::create(&path, &reasoner.header(&table, 1).unwrap()).unwrap();
        let summary = reasoner.run(&table, &rows, &mut corpus, 2, &notes).unwrap();
        assert!((summary.covered_mass.unwrap() - mass).abs() < 1e-9);
        let notes = notes.0.into_inner().unwrap();
        let warnings = notes.iter().filter(|note| note.contains("thinks first")).count();
        assert_eq!(warnings, if warns { 2 } else { 0 }, "{notes:?}");
    }
}

/// The answers stay: they were paid for, and tell what is wrong.
#[test]
fn a_recording_of_a_model_that_thinks_first_ends_early() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(60);
    let path = folder.path().join("answers.jsonl");
    let recorder = scaletot_teacher::Recorder::open(Thinks { mass: 1e-6, one_label: false }, &path).unwrap();
    let reasoner = Reasoner::builder(&recorder, prompter(&table)).build().unwrap();
    let rows: Vec<usize> = (0..60).collect();
    let error = causes(&reasoner.record_all(&table, &rows, &recorder, 1, &()).unwrap_err());
    assert!(error.contains("thinks first"), "{error}");
    assert!(recorder.len() < 50 && scaletot_teacher::Replay::open(&path).unwrap().len() == recorder.len());
}

#[test]
fn a_second_teacher_is_asked_where_the_first_hardly_covers_the_labels() {
    let both = scaletot_teacher::Fallback::new(Thinks { mass: 1e-6, one_label: false }, Arbitrary::default());
    let table = table(2);
    let prompter = prompter(&table);
    let answer = both.answer(&prompter.question(&table, 0, 0, &[])).unwrap();
    assert!(answer.covered_mass() > 0.5);
}

#[test]
fn a_user_whose_time_is_over_fails_with_the_limit() {
    struct Slow;
    impl Teacher for Slow {
        fn model(&self) -> &str {
            "slow"
        }
        fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
            std::thread::sleep(std::time::Duration::from_millis(30));
            Arbitrary::default().answer(question)
        }
    }
    let table = table(1);
    let limit = std::time::Duration::from_millis(20);
    let reasoner = Reasoner::builder(Slow, prompter(&table)).with_user_deadline(limit).build().unwrap();
    let reason = reasoner.reason(&table, 0, 1).unwrap().verdict.reason().unwrap().to_string();
    assert!(reason.contains("expected a chain of the user within 20ms"), "{reason}");
}

#[test]
fn a_server_may_claim_any_number_of_tokens() {
    struct Vain(&'static str);
    impl Teacher for Vain {
        fn model(&self) -> &str {
            self.0
        }
        fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
            let answer = Arbitrary::default().answer(question)?;
            Ok(LabelAnswer::new(answer.log_probs, u64::MAX - 1))
        }
    }
    let members: Vec<(Box<dyn Teacher>, f64)> = vec![(Box::new(Vain("a")), 1.0), (Box::new(Vain("b")), 1.0)];
    let ran = run(scaletot_teacher::Ensemble::new(members).unwrap(), 2, 0.0);
    let summary = ran.outcome.unwrap();
    assert_eq!((summary.ledger.tokens, summary.failed), (u64::MAX, 0));
    assert_eq!(summary.models["a"].tokens, u64::MAX);
}

/// The first states are answered, the last never is.
#[test]
fn a_state_that_fails_for_everybody_ends_the_run_early() {
    struct Stumbles;
    impl Teacher for Stumbles {
        fn model(&self) -> &str {
            "stumbles"
        }
        fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
            match question.state {
                3 => Thinks { mass: 1e-6, one_label: false }.answer(question),
                _ => Arbitrary::default().answer(question),
            }
        }
    }
    for workers in [1, 3] {
        let ran = run(Stumbles, workers, 1.0);
        let error = causes(&ran.outcome.unwrap_err());
        assert!(error.contains("50 failures in a row") && error.contains("state `spend`"), "{error}");
        assert!(ran.accepted == 0 && ran.failed < 50, "{} users were marked", ran.failed);
    }
    let error = causes(&calibrate(Stumbles, 2).unwrap_err());
    assert!(error.contains("state `spend`"), "{error}");
}

#[test]
fn each_cause_is_a_source_and_told_once() {
    use std::error::Error as _;

    let policy = RetryPolicy::default().with_base(std::time::Duration::from_millis(1)).with_attempts(2);
    let teacher = Retry::new(Flaky::new(|_, _| Some(away())), policy).unwrap();
    let error = run(&teacher, 1, 1.0).outcome.unwrap_err();
    let mut chain = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        chain.push(error.to_string());
        cause = error.source();
    }
    // The run, the attempts, the server, what it did.
    assert_eq!(chain.len(), 4, "{chain:?}");
    for (at, message) in chain.iter().enumerate() {
        assert!(
            chain.iter().enumerate().all(|(other, text)| at == other || !text.contains(message.as_str())),
            "{chain:?}"
        );
    }
}

/// More workers than the breaker lets attempts through: each question has few, and would wait for minutes.
#[test]
fn a_server_that_never_answers_ends_the_run_early_whatever_the_number_of_workers() {
    let policy = RetryPolicy::default()
        .with_base(std::time::Duration::from_millis(1))
        .with_breaker_pause(std::time::Duration::from_millis(20));
    let teacher = Retry::new(Flaky::new(|_, _| Some(away())), policy).unwrap();
    let began = std::time::Instant::now();
    let error = run(&teacher, 16, 1.0).outcome.unwrap_err();
    assert!(causes(&error).contains("no room in the inn"), "{}", causes(&error));
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(teacher.inner().asked.load(Ordering::SeqCst) < 60);
}

/// A run that goes on asks those first about whom the teacher failed before: that they fail again is no outage.
#[test]
fn users_who_fail_again_do_not_end_a_resumed_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.jsonl");
    let table = table(USERS);
    let rows: Vec<usize> = (0..USERS).collect();
    // Too long for the server, say, and all of them at the beginning but for the first two.
    let refused = || Fault::Refused { status: 400, message: "too long".to_owned() };
    let teacher = Flaky::new(move |_, row| (2..24).contains(&row).then(refused));
    let reasoner = Reasoner::builder(&teacher, prompter(&table))
        .with_max_failed_share(0.2)
        .with_cache_capacity(0)
        .build()
        .unwrap();
    let header = reasoner.header(&table, 1).unwrap();
    let mut corpus = CorpusWriter::create(&path, &header).unwrap();
    let first = reasoner.run(&table, &rows[..100], &mut corpus, 2, &()).unwrap();
    drop(corpus);
    let mut corpus = CorpusWriter::resume_without_failed(&path, &header).unwrap().0;
    let second = reasoner.run(&table, &rows, &mut corpus, 2, &()).unwrap();
    assert_eq!((first.failed, second.failed, second.skipped), (19, 19, 81));
    assert_eq!(second.failure.unwrap().users, 19);
}
