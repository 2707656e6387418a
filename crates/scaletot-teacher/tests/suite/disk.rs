use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use scaletot_chain::CorpusWriter;
use scaletot_teacher::{
    DiskCached, Error, LabelAnswer, PromptKey, Question, Reasoner, Recorder, Result, RunSummary, Teacher,
};

use crate::common::{Arbitrary, prompter, table};

/// Reasons about users with answers kept at `cache`; gives the corpus too.
fn run(cache: &Path, users: usize) -> (RunSummary, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corpus.jsonl");
    let table = table(users);
    let teacher = DiskCached::open(Arbitrary::default(), cache).unwrap();
    let reasoner = Reasoner::builder(teacher, prompter(&table)).build().unwrap();
    let mut corpus = CorpusWriter::create(&path, &reasoner.header(&table, 1).unwrap()).unwrap();
    let rows: Vec<usize> = (0..users).collect();
    let summary = reasoner.run(&table, &rows, &mut corpus, 2, &()).unwrap();
    (summary, std::fs::read(&path).unwrap())
}

#[test]
fn a_second_run_asks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("deep/answers.jsonl");
    let (first, corpus) = run(&cache, 100);
    assert!(first.ledger.calls > 50);
    let (second, again) = run(&cache, 100);
    assert_eq!((second.ledger.calls, second.ledger.cache_hits), (0, first.ledger.questions));
    assert_eq!(corpus, again, "kept answers are the very same");
    // More users ask what is new.
    let (third, _) = run(&cache, 150);
    assert!(third.ledger.calls < first.ledger.calls);
}

#[test]
fn processes_share_what_either_asks() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("answers.jsonl");
    let table = table(60);
    let prompter = prompter(&table);
    // Two handles on one file are what two processes have.
    let one = DiskCached::open(Arbitrary::default(), &cache).unwrap();
    let other = DiskCached::open(Arbitrary::default(), &cache).unwrap();
    let counting = Arbitrary::default();
    let third = DiskCached::open(&counting, &cache).unwrap();
    let reasoner = Reasoner::builder(Arbitrary::default(), prompter).build().unwrap();
    let rows: Vec<usize> = (0..60).collect();
    std::thread::scope(|scope| {
        for (cached, at) in [(&one, 0), (&other, 1)] {
            let (reasoner, table, rows) = (&reasoner, &table, &rows);
            scope.spawn(move || {
                for &row in rows.iter().filter(|&&row| row % 2 == at) {
                    for question in reasoner.all_questions(table, row).unwrap() {
                        cached.answer(&question).unwrap();
                    }
                }
            });
        }
    });
    for &row in &rows {
        for question in reasoner.all_questions(&table, row).unwrap() {
            let answer = third.answer(&question).unwrap();
            assert!(answer.cached);
            assert_eq!(answer.log_probs, Arbitrary::default().answer(&question).unwrap().log_probs);
        }
    }
    assert_eq!(counting.calls.load(Ordering::Relaxed), 0);
    let text = std::fs::read_to_string(&cache).unwrap();
    let keys: Vec<&str> = text.lines().skip(1).map(|line| &line[..80]).collect();
    let distinct: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!((keys.len(), distinct.len()), (third.len(), third.len()), "each answer is kept once");
}

#[test]
fn a_cut_line_is_asked_again_and_another_file_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("answers.jsonl");
    let (first, corpus) = run(&cache, 40);
    let bytes = std::fs::read(&cache).unwrap();
    std::fs::write(&cache, &bytes[..bytes.len() - 30]).unwrap();
    let (second, again) = run(&cache, 40);
    assert_eq!((second.ledger.calls, corpus == again), (1, true));
    let (third, _) = run(&cache, 40);
    assert_eq!((third.ledger.calls, first.ledger.calls > 1), (0, true));
    std::fs::write(&cache, "{\"format\":\"other\",\"version\":1}\n").unwrap();
    let error = DiskCached::open(Arbitrary::default(), &cache).unwrap_err();
    assert!(matches!(&error, Error::Format { line: 1, .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&cache).unwrap(), "{\"format\":\"other\",\"version\":1}\n");
}

#[test]
fn a_header_that_was_cut_by_a_power_loss_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("answers.jsonl");
    run(&cache, 10);
    let bytes = std::fs::read(&cache).unwrap();
    let header = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut left = vec![vec![0; 4096], [&bytes[..header], &[0; 100]].concat(), [&bytes[..7], b"\n"].concat()];
    left.extend((0..header).map(|cut| bytes[..cut].to_vec()));
    for left in left {
        std::fs::write(&cache, &left).unwrap();
        assert!(DiskCached::open(Arbitrary::default(), &cache).unwrap().is_empty());
        assert_eq!(std::fs::read(&cache).unwrap(), bytes[..header], "after {left:?}");
    }
    // What was kept behind one that is damaged is not lost.
    let whole = DiskCached::open(Arbitrary::default(), {
        std::fs::write(&cache, &bytes).unwrap();
        &cache
    })
    .unwrap()
    .len();
    for damaged in [[b"\n", &bytes[header..]].concat(), [&bytes[..9], b"\n", &bytes[header..]].concat()] {
        std::fs::write(&cache, damaged).unwrap();
        assert_eq!(DiskCached::open(Arbitrary::default(), &cache).unwrap().len(), whole);
        assert_eq!(run(&cache, 10).0.ledger.calls, 0);
    }
}

#[test]
fn damaged_and_edited_answers_are_asked_again_and_the_others_given() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("answers.jsonl");
    let (_, corpus) = run(&cache, 40);
    let text = std::fs::read_to_string(&cache).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let edits: [&dyn Fn(&str) -> String; 4] = [
        &|line| line.replacen("\"log_probs\":[-", "\"log_probs\":[-1", 1),
        &|line| line.replacen("\"tokens\":", "\"tokens\":1", 1),
        &|line| format!("{}{}", &line[..30], "\u{0}".repeat(20)),
        &|line| line[..line.len() - 1].to_owned(),
    ];
    for (n, edit) in edits.iter().enumerate() {
        let at = 3 + n;
        let mut edited: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        edited[at] = edit(lines[at]);
        std::fs::write(&cache, edited.join("\n") + "\n").unwrap();
        let (again, same) = run(&cache, 40);
        assert_eq!((again.ledger.calls, same == corpus), (1, true), "{}", edited[at]);
        assert_eq!(run(&cache, 40).0.ledger.calls, 0);
    }
}

/// Whole lines of a file to whose questions they are no answers: of another number of labels, and of probabilities above 1.
#[test]
fn kept_answers_that_cannot_be_the_teachers_are_asked_again() {
    struct Odd(Vec<f64>);
    impl Teacher for Odd {
        fn model(&self) -> &str {
            "arbitrary"
        }
        fn answer(&self, _: &Question<'_>) -> Result<LabelAnswer> {
            Ok(LabelAnswer::new(self.0.clone(), 3))
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("answers.jsonl");
    let table = table(1);
    let prompter = prompter(&table);
    let question = prompter.question(&table, 0, 0, &[]);
    let two = ["low".to_owned(), "high".to_owned()];
    // Under the key of the question with three labels, as if the file had been put together by hand.
    struct Renamed<'a>(Odd, Question<'a>);
    impl Teacher for Renamed<'_> {
        fn model(&self) -> &str {
            "arbitrary"
        }
        fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
            self.0.answer(question)
        }
        fn cache_key(&self, _: &Question<'_>) -> Option<PromptKey> {
            Some(self.1.key("arbitrary"))
        }
    }
    let odd = DiskCached::open(Renamed(Odd(vec![-1.0, -1.0]), question.clone()), &cache).unwrap();
    odd.answer(&question.clone().with_labels(&two)).unwrap();
    drop(odd);
    let cached = DiskCached::open(Arbitrary::default(), &cache).unwrap();
    assert_eq!((cached.len(), cached.holds(&question)), (1, false));
    let answer = cached.answer(&question).unwrap();
    assert_eq!((answer.log_probs.len(), answer.cached), (3, false));
    // The later line holds.
    let again = DiskCached::open(Arbitrary::default(), &cache).unwrap();
    assert!(again.answer(&question).unwrap().cached);
}

const CACHE: &str = "SCALETOT_TEST_FULL_DISK";

/// The other side of the test below, in a process whose files may not grow beyond 4 KB.
#[test]
#[ignore = "run by the next test in a process of its own"]
fn within_four_kilobytes() {
    let Some(cache) = std::env::var_os(CACHE).map(PathBuf::from) else { return };
    let table = table(60);
    let rows: Vec<usize> = (0..60).collect();
    let teacher = DiskCached::open(Arbitrary::default(), &cache).unwrap();
    let reasoner = Reasoner::builder(&teacher, prompter(&table)).build().unwrap();
    for &row in &rows {
        let record = reasoner.reason(&table, row, 1).unwrap();
        assert!(!matches!(record.verdict, scaletot_chain::Verdict::Failed { .. }), "{:?}", record.verdict);
    }
    assert!(teacher.unsaved() > 50 && teacher.len() == teacher.unsaved() + saved(&cache));
    assert!(matches!(teacher.checkpoint(), Err(Error::Io(_))));
    // Nothing is asked twice for it.
    let calls = teacher.inner().calls.load(Ordering::Relaxed);
    let again = Reasoner::builder(&teacher, prompter(&table)).build().unwrap();
    rows.iter().for_each(|&row| drop(again.reason(&table, row, 1).unwrap()));
    assert_eq!(teacher.inner().calls.load(Ordering::Relaxed), calls);

    let recorder = Recorder::open(Arbitrary::default(), cache.with_file_name("recorded.jsonl")).unwrap();
    let recording = Reasoner::builder(&recorder, prompter(&table)).build().unwrap();
    for &row in &rows {
        for question in recording.all_questions(&table, row).unwrap() {
            recorder.answer(&question).unwrap();
        }
    }
    drop(recording);
    assert!(matches!(recorder.finish(), Err(Error::Io(_))));
}

fn saved(cache: &Path) -> usize {
    std::fs::read_to_string(cache).unwrap().lines().count() - 1
}

#[cfg(unix)]
#[test]
fn a_full_disk_costs_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("answers.jsonl");
    // Blocks of half a kilobyte, or of one in some shells; the signal would end the process.
    let done = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["disk::within_four_kilobytes", "--exact", "--ignored"])
        .env(CACHE, &cache)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    // What there was room for is whole, and found again.
    let there = DiskCached::open(Arbitrary::default(), &cache).unwrap().len();
    assert!(there >= 5 && there == saved(&cache), "{there}");
    let (rest, _) = run(&cache, 60);
    assert!(rest.ledger.calls > 50 && rest.ledger.calls < rest.ledger.questions);
    assert_eq!(run(&cache, 60).0.ledger.calls, 0);
}

#[cfg(unix)]
#[test]
fn no_pipe_device_or_link_is_taken_for_a_file_of_answers() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link.jsonl");
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &link).unwrap();
    for path in [Path::new("/dev/zero"), folder.path(), &link] {
        assert!(
            matches!(DiskCached::open(Arbitrary::default(), path), Err(Error::Io(_))),
            "{}",
            path.display()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens to the bytes, a kept answer is the teacher's.
    #[test]
    fn no_changed_byte_of_kept_answers_passes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("answers.jsonl");
        let table = table(2);
        let reasoner = Reasoner::builder(Arbitrary::default(), prompter(&table)).build().unwrap();
        let questions = reasoner.all_questions(&table, 0).unwrap();
        let teacher = DiskCached::open(Arbitrary::default(), &cache).unwrap();
        teacher.answer_batch(&questions).into_iter().for_each(|answer| drop(answer.unwrap()));
        drop(teacher);
        let mut bytes = std::fs::read(&cache).unwrap();
        for (at, flip) in changes {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        bytes.truncate(cut.index(2 * bytes.len()).max(1));
        std::fs::write(&cache, &bytes).unwrap();
        // Two changes of the header may make it another's.
        let Ok(teacher) = DiskCached::open(Arbitrary::default(), &cache) else { return Ok(()) };
        for question in &questions {
            let answer = teacher.answer(question).unwrap();
            prop_assert_eq!(answer.log_probs, Arbitrary::default().answer(question).unwrap().log_probs);
        }
        drop(teacher);
        let again = DiskCached::open(Arbitrary::default(), &cache).unwrap();
        prop_assert!(questions.iter().all(|question| again.holds(question)));
    }
}
