use std::path::Path;
use std::sync::atomic::Ordering;

use scaletot_chain::CorpusWriter;
use scaletot_teacher::{DiskCached, Error, Reasoner, RunSummary, Teacher};

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
