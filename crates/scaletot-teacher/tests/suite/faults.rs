use std::collections::HashSet;

use scaletot_chain::{Corpus, CorpusWriter, Reason, Verdict};
use scaletot_teacher::{Error, LabelAnswer, Question, Reasoner, Result, Teacher};

use crate::common::{Arbitrary, chain_schema, prompter, table};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Error,
    NotANumber,
    Positive,
    NothingAnswered,
    TooFewLabels,
    Panic,
}

const FAULTS: [Fault; 6] = [
    Fault::Error,
    Fault::NotANumber,
    Fault::Positive,
    Fault::NothingAnswered,
    Fault::TooFewLabels,
    Fault::Panic,
];

/// Fails about every third user, each in one of the ways.
struct Faulty;

fn fault(question: &Question<'_>) -> Option<Fault> {
    let user = question.row;
    // Not at the first state only: some users fail half-way.
    (user % 3 == 1 && question.state >= user % 4).then(|| FAULTS[user / 3 % FAULTS.len()])
}

impl Teacher for Faulty {
    fn model(&self) -> &str {
        "faulty"
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let answer = Arbitrary::default().answer(question)?;
        let with = |change: &dyn Fn(&mut Vec<f64>)| {
            let mut log_probs = answer.log_probs.clone();
            change(&mut log_probs);
            Ok(LabelAnswer::new(log_probs, answer.tokens))
        };
        match fault(question) {
            None => Ok(answer),
            Some(Fault::Error) => Err(Error::Model {
                model: "faulty".to_owned(),
                message: "the line is dead".to_owned(),
                source: None,
            }),
            Some(Fault::NotANumber) => with(&|lps| lps[1] = f64::NAN),
            Some(Fault::Positive) => with(&|lps| lps[0] = 0.5),
            Some(Fault::NothingAnswered) => with(&|lps| lps.fill(f64::NEG_INFINITY)),
            Some(Fault::TooFewLabels) => with(&|lps| lps.truncate(1)),
            Some(Fault::Panic) => panic!("out of cheese"),
        }
    }

    /// Users with equal profiles fail differently here, so their answers must not be shared.
    fn cache_key(&self, _: &Question<'_>) -> Option<scaletot_teacher::PromptKey> {
        None
    }
}

#[test]
fn no_fault_loses_a_user() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(180);
    let rows: Vec<usize> = (0..180).collect();
    let mut bytes = Vec::new();
    for workers in [1, 4] {
        let path = folder.path().join(format!("{workers}.jsonl"));
        let reasoner =
            Reasoner::builder(Faulty, prompter(&table)).with_max_failed_share(1.0).build().unwrap();
        let mut corpus = CorpusWriter::create(&path, &reasoner.header(&table, 1).unwrap()).unwrap();
        let summary = reasoner.run(&table, &rows, &mut corpus, workers, &()).unwrap();
        drop(corpus);
        assert_eq!(summary.users(), 180);

        let corpus = Corpus::read(&path, &chain_schema()).unwrap();
        let records = corpus.records();
        let users: HashSet<String> = records.iter().map(|record| record.user.to_string()).collect();
        assert_eq!((records.len(), users.len()), (180, 180), "everybody once");
        let mut seen = HashSet::new();
        for (row, record) in records.iter().enumerate() {
            let faulty = row % 3 == 1 && table.populated(row) > 0;
            assert_eq!(
                matches!(record.verdict, Verdict::Failed { .. }),
                faulty,
                "row {row}: {:?}",
                record.verdict
            );
            let Verdict::Failed { reason: Reason::TeacherFailed { message } } = &record.verdict else {
                continue;
            };
            let kind = FAULTS[row / 3 % FAULTS.len()];
            let says = match kind {
                Fault::Error => "the line is dead",
                Fault::NotANumber => "at most 0 for label",
                Fault::Positive => "found 0.5",
                Fault::NothingAnswered => "found none",
                Fault::TooFewLabels => "one per label, found 1",
                Fault::Panic => "it panicked: out of cheese",
            };
            assert!(message.contains(says), "row {row}: {message}");
            seen.insert(format!("{kind:?}"));
        }
        assert_eq!(seen.len(), FAULTS.len());
        assert_eq!(
            summary.failed,
            records.iter().filter(|r| matches!(r.verdict, Verdict::Failed { .. })).count() as u64
        );
        bytes.push(std::fs::read(&path).unwrap());
    }
    assert_eq!(bytes[0], bytes[1], "failures come out in the same order, too");
}

/// A teacher whose batches lose answers.
struct Forgetful;

impl Teacher for Forgetful {
    fn model(&self) -> &str {
        "forgetful"
    }
    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        Arbitrary::default().answer(question)
    }
    fn answer_batch(&self, questions: &[Question<'_>]) -> Vec<Result<LabelAnswer>> {
        questions.iter().skip(1).map(|question| self.answer(question)).collect()
    }
}

#[test]
fn an_answer_that_never_comes_is_a_failure() {
    let table = table(3);
    let reasoner = Reasoner::builder(Forgetful, prompter(&table)).build().unwrap();
    let record = reasoner.reason(&table, 0, 1).unwrap();
    let reason = record.verdict.reason().unwrap().to_string();
    assert!(reason.contains("found fewer"), "{reason}");
}

/// A teacher that is down for some: the calibration is fitted on the others, and says nothing if there are none.
#[test]
fn calibration_leaves_failures_out() {
    struct Down(fn(&Question<'_>) -> bool);
    impl Teacher for Down {
        fn model(&self) -> &str {
            "down"
        }
        fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
            if (self.0)(question) {
                return Err(Error::Model {
                    model: "down".to_owned(),
                    message: "no answer".to_owned(),
                    source: None,
                });
            }
            Arbitrary::default().answer(question)
        }
    }
    let table = table(30);
    let rows: Vec<usize> = (0..30).collect();
    let fit = |teacher| {
        let builder = Reasoner::builder(teacher, prompter(&table)).with_max_failed_share(0.5);
        builder.build().unwrap().fit_calibration(&table, &rows, 2, &())
    };
    let some = fit(Down(|question| question.row % 2 == 0)).unwrap();
    assert!(some.prior(3).unwrap().iter().all(|p| *p > 0.0));
    assert!(fit(Down(|question| question.state == 2)).unwrap_err().to_string().contains("no answer"));
}
