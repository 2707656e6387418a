//! What is tried again of a batch, and what each model behind a teacher of several cost.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use scaletot_chain::CorpusWriter;
use scaletot_core::causes;
use scaletot_teacher::{
    Cached, Ensemble, Error, Fallback, Fault, LabelAnswer, Prices, Question, Reasoner, Result, Retry,
    RetryPolicy, Teacher,
};

use crate::common::{Arbitrary, prompter, table};

/// Fails the rows whose number ends in 3 once, those that end in 7 for ever, and refuses those that end in 9.
#[derive(Default)]
struct Moody {
    asked: Mutex<Vec<Vec<usize>>>,
}

impl Teacher for Moody {
    fn model(&self) -> &str {
        "moody"
    }
    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        self.answer_batch(std::slice::from_ref(question)).remove(0)
    }
    fn answer_batch(&self, questions: &[Question<'_>]) -> Vec<Result<LabelAnswer>> {
        let mut asked = self.asked.lock().unwrap();
        let times = |row| asked.iter().flatten().filter(|&&before: &&usize| before == row).count();
        let server = |fault| Err(Error::Server { model: "moody".to_owned(), fault });
        let answers = questions.iter().map(|question| match (question.row % 10, times(question.row)) {
            (3, 0) | (7, _) => server(Fault::RateLimited { retry_after: None, message: String::new() }),
            (9, _) => server(Fault::Refused { status: 401, message: "no".to_owned() }),
            _ => Arbitrary::default().answer(question),
        });
        let answers = answers.collect();
        asked.push(questions.iter().map(|question| question.row).collect());
        answers
    }
}

fn policy() -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    (policy.attempts, policy.base, policy.max_wait) = (3, Duration::from_millis(1), Duration::from_millis(2));
    policy
}

/// Asks the first state of the first `users` users.
fn ask(teacher: &dyn Teacher, users: usize, deadline: Option<Instant>) -> Vec<Result<LabelAnswer>> {
    let table = table(users);
    let prompter = prompter(&table);
    let questions: Vec<Question<'_>> =
        (0..users).map(|row| prompter.question(&table, row, 0, &[]).with_deadline(deadline)).collect();
    teacher.answer_batch(&questions)
}

#[test]
fn each_question_of_a_batch_has_its_own_attempts() {
    let teacher = Retry::new(Moody::default(), policy()).unwrap();
    let answers = ask(&teacher, 20, None);
    for (row, answer) in answers.iter().enumerate() {
        match row % 10 {
            7 => assert!(matches!(answer, Err(Error::GaveUp { attempts: 3, .. })), "{row}: {answer:?}"),
            9 => assert!(
                matches!(answer, Err(Error::Server { fault: Fault::Refused { .. }, .. })),
                "{row}: {answer:?}"
            ),
            _ => assert_eq!(
                answer.as_ref().unwrap(),
                ask(&Arbitrary::default(), 20, None)[row].as_ref().unwrap()
            ),
        }
    }
    // What fails is tried again before the next is asked: a server in trouble is not asked the rest of a batch meanwhile.
    let asked: Vec<usize> = teacher.inner().asked.lock().unwrap().concat();
    assert_eq!(asked[..10], [0, 1, 2, 3, 3, 4, 5, 6, 7, 7]);
    assert_eq!((asked.len(), teacher.retries()), (26, 6));
}

#[test]
fn nothing_is_asked_again_when_nobody_waits_any_more() {
    let teacher = Retry::new(Moody::default(), policy()).unwrap();
    let answers = ask(&teacher, 8, Some(Instant::now()));
    assert!(matches!(answers[3], Err(Error::GaveUp { attempts: 1, .. })), "{:?}", answers[3]);
    assert_eq!((teacher.inner().asked.lock().unwrap().len(), teacher.retries()), (8, 0));
}

/// Answers a few questions, and none after them.
struct Gone {
    asked: Mutex<usize>,
    answers: usize,
}

impl Teacher for Gone {
    fn model(&self) -> &str {
        "gone"
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        if *asked <= self.answers {
            return Arbitrary::default().answer(question);
        }
        let fault = Fault::Failed { status: 500, retry_after: None, message: "boom".to_owned() };
        Err(Error::Server { model: "gone".to_owned(), fault })
    }
}

#[test]
fn nobody_waits_for_a_server_that_went_away_for_longer_than_the_time_of_a_question() {
    let mut policy = policy().with_deadline(Duration::from_millis(200));
    (policy.breaker_failures, policy.breaker_pause) = (2, Duration::from_millis(60));
    let teacher = Retry::new(Gone { asked: Mutex::new(0), answers: 5 }, policy).unwrap();
    let began = Instant::now();
    let answers = ask(&teacher, 60, None);
    // The first to meet it waits its time out, and those after it do not: one by one they would take 11 s.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(answers[..5].iter().all(Result::is_ok));
    assert!(answers[5..].iter().all(Result::is_err));
    assert!(causes(answers[59].as_ref().unwrap_err()).contains("boom"), "{:?}", answers[59]);
}

#[test]
fn each_model_of_several_is_counted() {
    let fallback = Fallback::new(Moody::default(), Arbitrary::default());
    assert!(ask(&fallback, 20, None).iter().all(Result::is_ok));
    assert_eq!(*fallback.first().asked.lock().unwrap(), [(0..20).collect::<Vec<_>>()]);
    let spent = fallback.spent_by_model();
    let of = |model: &str| (spent[model].questions, spent[model].failures);
    assert_eq!((of("moody"), of("arbitrary")), ((20, 6), (6, 0)));
    // Through wrappers, and with a member that is itself several.
    let other = Fallback::new(Moody::default(), Arbitrary::default());
    let members: Vec<(Box<dyn Teacher>, f64)> =
        vec![(Box::new(other), 1.0), (Box::new(Arbitrary::default()), 1.0)];
    let ensemble = Cached::new(Retry::new(Ensemble::new(members).unwrap(), policy()).unwrap());
    assert!(ask(&ensemble, 20, None).iter().all(Result::is_ok));
    let spent = ensemble.spent_by_model();
    assert_eq!((spent["moody"].questions, spent["arbitrary"].questions), (20, 26));
    assert!(Arbitrary::default().spent_by_model().is_empty());
}

#[test]
fn a_run_says_what_each_model_cost() {
    let table = table(40);
    let run = |teacher: &dyn Teacher| {
        let reasoner = Reasoner::builder(teacher, prompter(&table)).build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.jsonl");
        let mut corpus = CorpusWriter::create(&path, &reasoner.header(&table, 1).unwrap()).unwrap();
        reasoner.run(&table, &(0..40).collect::<Vec<_>>(), &mut corpus, 3, &()).unwrap()
    };
    let alone = run(&Arbitrary::default());
    assert_eq!(alone.models.keys().collect::<Vec<_>>(), ["arbitrary"]);
    assert_eq!(alone.models["arbitrary"], alone.ledger);
    let fallback = Fallback::new(Moody::default(), Arbitrary::default());
    let (first, second) = (run(&fallback), run(&fallback));
    let (moody, arbitrary) = (&first.models["moody"], &first.models["arbitrary"]);
    assert_eq!(moody.questions, first.ledger.questions);
    assert_eq!(arbitrary.questions, moody.failures);
    assert!(moody.failures > 0 && arbitrary.failures == 0);
    // Of the run alone, not of all that the teacher was ever asked.
    assert_eq!(second.models["arbitrary"].questions, second.models["moody"].failures);
    let prices = Prices::from_toml(
        "currency = \"EUR\"\n[models.moody]\nper_call = 1.0\n[models.arbitrary]\nper_call = 0.5\n",
    );
    let cost = prices.unwrap().cost(&first, 1_000).unwrap();
    assert_eq!(cost.run, moody.calls as f64 + 0.5 * arbitrary.calls as f64);
    assert_eq!(cost.models["arbitrary"], 0.5 * arbitrary.calls as f64);
}
