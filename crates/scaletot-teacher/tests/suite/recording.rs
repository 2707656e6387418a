//! Recordings that are killed, begun twice, pointed at something else, or refused a prompt.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use scaletot_core::causes;
use scaletot_teacher::{
    Error, Fault, LabelAnswer, Question, Reasoner, RecordSummary, Recorder, Replay, Result, Teacher,
};

use crate::common::{Arbitrary, prompter, table};

const USERS: usize = 60;

/// Records everything about the users.
fn record<T: Teacher>(teacher: T, path: &Path) -> (Result<RecordSummary>, T) {
    let table = table(USERS);
    let recorder = Recorder::open(teacher, path).unwrap();
    let reasoner = Reasoner::builder(&recorder, prompter(&table)).build().unwrap();
    let summary = reasoner.record_all(&table, &(0..USERS).collect::<Vec<_>>(), &recorder, 2, &());
    drop(reasoner);
    (summary, recorder.into_inner())
}

/// The lines of a recording but for the header, which holds the time.
fn answers(path: &Path) -> String {
    fs::read_to_string(path).unwrap().split_once('\n').unwrap().1.to_owned()
}

fn names(directory: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into()).collect()
}

#[test]
fn a_killed_recording_loses_no_answer_that_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let (path, table) = (folder.path().join("answers.jsonl.gz"), table(30));
    let recorder = Recorder::open(Arbitrary::default(), &path).unwrap();
    let reasoner = Reasoner::builder(&recorder, prompter(&table)).build().unwrap();
    (0..15).for_each(|row| drop(reasoner.reason(&table, row, 1).unwrap()));
    recorder.checkpoint().unwrap();
    (15..30).for_each(|row| drop(reasoner.reason(&table, row, 1).unwrap()));
    let given = recorder.len();
    let in_file = Replay::open(&path).unwrap().len();
    assert!(in_file < given);
    // What is on disk now is what a kill leaves, its last line perhaps cut; of a power loss a header, zeros or nothing.
    let part = fs::read(folder.path().join("answers.jsonl.gz.part.jsonl")).unwrap();
    let header = part.iter().position(|byte| *byte == b'\n').unwrap();
    for (left, kept) in [
        (part.clone(), given),
        (part[..part.len() - 9].to_vec(), given - 1),
        (part[..=header].to_vec(), in_file),
        (part[..header / 2].to_vec(), in_file),
        (vec![0; 50], in_file),
        (Vec::new(), in_file),
    ] {
        let place = tempfile::tempdir().unwrap();
        let again = place.path().join("answers.jsonl.gz");
        fs::copy(&path, &again).unwrap();
        fs::write(place.path().join("answers.jsonl.gz.part.jsonl"), left).unwrap();
        let recorder = Recorder::open(Arbitrary::default(), &again).unwrap();
        assert_eq!(recorder.len(), kept);
        let reasoner = Reasoner::builder(&recorder, prompter(&table)).build().unwrap();
        (0..30).for_each(|row| drop(reasoner.reason(&table, row, 1).unwrap()));
        assert_eq!(recorder.inner().calls.load(Ordering::Relaxed), given - kept);
        drop(reasoner);
        recorder.finish().unwrap();
        assert_eq!(Replay::open(&again).unwrap().len(), given);
        assert_eq!(names(place.path()), BTreeSet::from(["answers.jsonl.gz".into()]));
    }
}

#[test]
fn a_second_recorder_of_a_file_is_told_who_the_first_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/answers.jsonl");
    let first = Recorder::open(Arbitrary::default(), &path).unwrap();
    let error = Recorder::open(Arbitrary::default(), &path).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::InUse(_)));
    assert!(message.contains("answers.jsonl is in use by another run (process "), "{message}");
    Recorder::open(Arbitrary::default(), path.with_file_name("others.jsonl")).unwrap();
    drop(first);
    Recorder::open(Arbitrary::default(), &path).unwrap();
    assert!(names(&folder.path().join("new")).is_empty(), "nothing was answered");
}

#[test]
fn nothing_is_recorded_over_a_foreign_file() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.jsonl");
    record(Arbitrary::default(), &own).0.unwrap();
    for foreign in [
        "",
        "notes of mine\nmore of them\n",
        "{\"id\":1}\n{\"id\":2}\n",
        "{\"format\":\"other\",\"version\":1}\n",
    ] {
        let path = folder.path().join("mine.jsonl");
        fs::write(&path, foreign).unwrap();
        let error = Recorder::open(Arbitrary::default(), &path).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{foreign}: {error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), foreign);
    }
    // Nor is what lies where the next answers are written down.
    let part = folder.path().join("own.jsonl.part.jsonl");
    let before = fs::read(&own).unwrap();
    fs::write(
        &part,
        "notes of mine\nmore of them\nand more, longer than any header that a recording begins with: "
            .repeat(9),
    )
    .unwrap();
    let error = Recorder::open(Arbitrary::default(), &own).unwrap_err();
    assert!(error.to_string().contains("own.jsonl.part.jsonl"), "{error}");
    assert!(part.exists() && fs::read(&own).unwrap() == before);
}

/// Refuses every question about some users for good, as a server does whose filter they meet.
struct Refuses(Vec<usize>, Mutex<BTreeSet<usize>>);

impl Teacher for Refuses {
    fn model(&self) -> &str {
        "arbitrary"
    }
    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        self.1.lock().unwrap().insert(question.row);
        if self.0.contains(&question.row) {
            let fault = Fault::Refused { status: 400, message: "our policy has no room for it".to_owned() };
            return Err(Error::Server { model: "arbitrary".to_owned(), fault });
        }
        Arbitrary::default().answer(question)
    }
}

#[test]
fn a_refused_prompt_does_not_end_a_recording_and_is_asked_again_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole) = (folder.path().join("answers.jsonl"), folder.path().join("whole.jsonl"));
    let refuses = |users: &[usize]| Refuses(users.to_vec(), Mutex::default());
    // Whose questions are nobody else's.
    let users = table(USERS);
    let words = prompter(&users);
    let like = |row: usize| {
        (0..USERS).filter(|&other| words.profile(&users, other) == words.profile(&users, row)).count()
    };
    let lone = (20..USERS).find(|&row| row % 7 != 6 && like(row) == 1).unwrap();
    let only_lone = BTreeSet::from([lone]);
    let (all, _) = record(Arbitrary::default(), &whole);
    let all = all.unwrap();
    assert_eq!((all.failed, &all.failure), (0, &None));
    let (first, _) = record(refuses(&[lone]), &path);
    let first = first.unwrap();
    assert_eq!((first.users, first.failed, first.stopped), (all.users - 1, 1, false));
    assert!(first.failure.unwrap().reason.contains("no room for it"));
    assert!(Replay::open(&path).unwrap().len() < all.prompts);
    // Refused again, and then no more.
    let (second, asked) = record(refuses(&[lone]), &path);
    assert_eq!((second.unwrap().failed, asked.1.into_inner().unwrap()), (1, only_lone.clone()));
    let (third, asked) = record(refuses(&[]), &path);
    assert_eq!((third.unwrap().failed, asked.1.into_inner().unwrap()), (0, only_lone));
    assert!(answers(&path) == answers(&whole), "as one that nobody refused");
}

#[test]
fn a_recording_of_which_too_many_users_fail_is_an_error_that_keeps_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let (outcome, _) = record(Refuses((0..USERS).step_by(9).collect(), Mutex::default()), &path);
    let error = causes(&outcome.unwrap_err());
    for part in ["at most 5.0 % of the users to fail", "no room for it", "what was done is kept"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(Replay::open(&path).unwrap().len() > 100);
    // A teacher that refuses everybody leaves nothing.
    let none = folder.path().join("none.jsonl");
    let (outcome, asked) = record(Refuses((0..USERS).collect(), Mutex::default()), &none);
    assert!(matches!(outcome, Err(Error::NoAnswers { .. })));
    assert!(asked.1.into_inner().unwrap().len() < 15 && !none.exists());
}
