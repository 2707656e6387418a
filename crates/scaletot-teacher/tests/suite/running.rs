use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use scaletot_chain::{Corpus, CorpusWriter};
use scaletot_core::Progress;
use scaletot_profile::ProfileTable;
use scaletot_teacher::{Reasoner, RunSummary};

use crate::common::{Arbitrary, StopAfter, chain_schema, prompter, table};

fn run(table: &ProfileTable, path: &Path, workers: usize, progress: &dyn Progress) -> RunSummary {
    let rows: Vec<usize> = (0..table.len()).collect();
    let reasoner = Reasoner::builder(Arbitrary::default(), prompter(table)).build().unwrap();
    let (mut corpus, ..) = CorpusWriter::open(path, &reasoner.header(table, 3).unwrap()).unwrap();
    reasoner.run(table, &rows, &mut corpus, workers, progress).unwrap()
}

#[test]
fn any_number_of_workers_writes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(150);
    let write = |workers| {
        let path = folder.path().join(format!("{workers}.jsonl"));
        let summary = run(&table, &path, workers, &());
        assert_eq!((summary.users(), summary.abstained, summary.failed), (150, 21, 0));
        assert_eq!((summary.skipped, summary.stopped), (0, false));
        (std::fs::read(&path).unwrap(), summary.ledger.calls, summary.ledger.questions)
    };
    let one = write(1);
    assert_eq!(write(4), one);
    assert_eq!(write(0), one, "no worker is one worker");
    let corpus = Corpus::read(folder.path().join("1.jsonl"), &chain_schema()).unwrap();
    assert!(
        corpus.records().iter().enumerate().all(|(row, record)| record.user == table.id(row)),
        "in the order of the rows"
    );
    // Equal profiles ask equal prompts: fewer calls than questions.
    assert!(one.1 < one.2);
}

#[test]
fn a_stopped_run_resumes_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(200);
    let (whole, parts) = (folder.path().join("whole.jsonl"), folder.path().join("parts.jsonl"));
    run(&table, &whole, 2, &());
    let mut done = 0;
    for (workers, stop) in [(1, 17), (3, 40), (2, 90)] {
        let summary = run(&table, &parts, workers, &StopAfter::new(stop));
        assert!(summary.stopped && summary.skipped == done, "{summary:?}");
        done += summary.users();
        assert!(done >= stop && done < 200, "{done}");
    }
    // As a kill would leave it: half a line more.
    let mut bytes = std::fs::read(&parts).unwrap();
    bytes.extend_from_slice(b"{\"user\":199,\"verd");
    std::fs::write(&parts, bytes).unwrap();
    let last = run(&table, &parts, 4, &());
    assert_eq!((last.stopped, last.skipped, last.users()), (false, done, 200 - done));
    assert_eq!(std::fs::read(&whole).unwrap(), std::fs::read(&parts).unwrap());
    // And once more: nothing is left to do.
    let nothing = run(&table, &parts, 2, &());
    assert_eq!((nothing.users(), nothing.skipped, nothing.ledger.questions), (0, 200, 0));
}

#[test]
fn progress_is_told_of_every_user() {
    #[derive(Default)]
    struct Recorded {
        total: AtomicU64,
        done: AtomicU64,
        ended: AtomicU64,
    }
    impl Progress for Recorded {
        fn start(&self, _: &str, total: u64) {
            self.total.fetch_add(total, Ordering::Relaxed);
        }
        fn advance(&self, n: u64) {
            self.done.fetch_add(n, Ordering::Relaxed);
        }
        fn finish(&self) {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let table = table(30);
    let path = folder.path().join("corpus.jsonl");
    run(&table, &path, 2, &StopAfter::new(10));
    let told = Recorded::default();
    run(&table, &path, 2, &told);
    let [total, done, ended] = [told.total, told.done, told.ended].map(AtomicU64::into_inner);
    assert_eq!((total, done, ended), (30, 30, 1), "those that were there are told, too");
}

#[test]
fn a_run_to_be_stopped_at_once_begins_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let summary = run(&table(20), &folder.path().join("c.jsonl"), 3, &StopAfter::new(0));
    assert!(summary.stopped && summary.users() == 0);
}

#[test]
fn wrong_rows_and_tables_are_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(9);
    let reasoner = Reasoner::builder(Arbitrary::default(), prompter(&table)).build().unwrap();
    let header = reasoner.header(&table, 1).unwrap();
    let mut corpus = CorpusWriter::create(folder.path().join("c.jsonl"), &header).unwrap();
    let mut message =
        |rows: &[usize]| reasoner.run(&table, rows, &mut corpus, 2, &()).unwrap_err().to_string();
    assert_eq!(message(&[0, 3, 0]), "`rows`: expected each row once, found row 0 again");
    assert_eq!(message(&[0, 9]), "`row`: expected a row of 9 users, from 0, found 9");
    assert_eq!(reasoner.ledger().snapshot().questions, 0);
}

/// A summary is part of what a program prints and saves.
#[test]
fn summaries_are_saved() {
    let folder = tempfile::tempdir().unwrap();
    let summary = run(&table(9), &folder.path().join("c.jsonl"), 1, &());
    let text = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<RunSummary>(&text).unwrap(), summary);
}
