//! Corpus files that were changed after they were written: every change is noticed, and costs the records that it hit.

use std::fs;

use proptest::prelude::*;
use scaletot_chain::{ChainRecord, Corpus, CorpusWriter, DamagedLine, Error};

use crate::corpus::{Folder, header, line_starts, records, schema};

const RECORDS: i64 = 3;

/// A copy with one byte changed.
fn flipped(bytes: &[u8], at: usize, by: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= by;
    bytes
}

fn damaged(folder: &Folder) -> Vec<DamagedLine> {
    match Corpus::read(folder.path(), &schema()).unwrap_err() {
        Error::Damaged { lines, .. } => lines,
        other => panic!("{other}"),
    }
}

/// Resumes the corpus, does what is missing, and checks that it is whole again, whatever the order.
fn finish(folder: &Folder) {
    let (mut corpus, done, _) = CorpusWriter::resume(folder.path(), &header()).unwrap();
    for record in records(RECORDS) {
        assert_eq!(corpus.contains(&record.user), done.contains(&record));
        if !corpus.contains(&record.user) {
            corpus.append(&record).unwrap();
        }
    }
    drop(corpus);
    let mut found = Corpus::read(folder.path(), &schema()).unwrap().records().to_vec();
    found.sort_by_key(|record| records(RECORDS).iter().position(|other| other == record));
    assert_eq!(found, records(RECORDS));
}

#[test]
fn every_flip_of_a_bit_is_noticed_and_costs_one_record_at_most() {
    let folder = Folder::new();
    let whole = folder.write(RECORDS);
    let ends = line_starts(&whole);
    let written = records(RECORDS);
    let near_an_end = |at: usize| ends.iter().any(|end| at.abs_diff(*end) < 30);
    for at in (0..whole.len()).filter(|at| near_an_end(*at) || at % 13 == 0) {
        // One bit of each byte, another from byte to byte.
        fs::write(folder.path(), flipped(&whole, at, 1 << (at % 8))).unwrap();
        let line = ends.iter().rposition(|start| *start <= at).unwrap() as u64 + 1;
        let last_end = at == whole.len() - 1;
        let lines = damaged(&folder);
        assert!(
            lines.iter().all(|found| found.line == line || found.line == line + 1),
            "byte {at}: {lines:?}"
        );
        let undamaged = Corpus::read_undamaged(folder.path(), &schema()).unwrap();
        assert_eq!(undamaged.damaged, lines, "byte {at}");
        assert_eq!(undamaged.header, (line > 1 || at + 1 == ends[1]).then(header), "byte {at}");
        let end = last_end || ends.contains(&(at + 1));
        let lost = usize::from(line > 1 && !end);
        assert_eq!(undamaged.records.len(), RECORDS as usize - lost, "byte {at}: {lines:?}");
        assert!(undamaged.records.iter().all(|record| written.contains(record)), "byte {at}");
    }
}

#[test]
fn a_run_asks_about_the_damaged_again_and_keeps_the_others() {
    let folder = Folder::new();
    let whole = folder.write(RECORDS);
    for at in (0..whole.len()).step_by(331).chain(line_starts(&whole).into_iter().skip(1).map(|end| end - 1))
    {
        fs::write(folder.path(), flipped(&whole, at, 128)).unwrap();
        finish(&folder);
    }
    // A corpus of which only the last end of line went is the same file again.
    fs::write(folder.path(), flipped(&whole, whole.len() - 1, 1)).unwrap();
    let (_, done, repaired) = CorpusWriter::resume(folder.path(), &header()).unwrap();
    assert_eq!((done, repaired.damaged.len()), (records(RECORDS), 1));
    assert_eq!(fs::read(folder.path()).unwrap(), whole);
}

#[test]
fn the_damaged_are_named_with_line_and_user() {
    let folder = Folder::new();
    let whole = folder.write(RECORDS);
    let mut bytes = flipped(&whole, line_starts(&whole)[3] - 40, 2);
    bytes[line_starts(&whole)[1] + 60] ^= 2;
    fs::write(folder.path(), &bytes).unwrap();
    let message = Corpus::read(folder.path(), &schema()).unwrap_err().to_string();
    let expected = "corpus.jsonl: 2 lines are not what was written: line 2 (user 0), line 3 (user ü1); resume the corpus";
    assert!(message.contains(expected), "{message}");
    let (_, done, repaired) = CorpusWriter::resume(folder.path(), &header()).unwrap();
    assert_eq!(done, [records(RECORDS)[2].clone()]);
    assert_eq!(repaired.damaged.iter().map(|found| found.line).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_damaged_header_is_rewritten_by_its_own_run_and_by_no_other() {
    let folder = Folder::new();
    let whole = folder.write(RECORDS);
    let mut other = header();
    other.seed = 4;
    for at in [20, 60, line_starts(&whole)[1] - 10] {
        let bytes = flipped(&whole, at, 1);
        fs::write(folder.path(), &bytes).unwrap();
        let error = CorpusWriter::resume(folder.path(), &other).unwrap_err();
        assert!(matches!(error, Error::OtherHeaderDamaged { .. }), "{error}");
        assert_eq!(fs::read(folder.path()).unwrap(), bytes);
        let (_, done, repaired) = CorpusWriter::resume(folder.path(), &header()).unwrap();
        assert!(repaired.rewrote_header && done == records(RECORDS));
        assert_eq!(fs::read(folder.path()).unwrap(), whole);
    }
}

#[test]
fn a_line_that_is_there_twice_and_line_ends_of_another_system_cost_nothing() {
    let folder = Folder::new();
    let whole = folder.write(RECORDS);
    let starts = line_starts(&whole);
    let last = &whole[starts[RECORDS as usize]..];
    let crlf = String::from_utf8(whole.clone()).unwrap().replace('\n', "\r\n").into_bytes();
    let unended = &crlf[..crlf.len() - 2];
    for copy in
        [[&whole, last].concat(), [&whole, &whole[starts[1]..]].concat(), crlf.clone(), unended.to_vec()]
    {
        fs::write(folder.path(), &copy).unwrap();
        assert_eq!(Corpus::read(folder.path(), &schema()).unwrap().records(), records(RECORDS));
        assert!(Corpus::read_undamaged(folder.path(), &schema()).unwrap().damaged.is_empty());
        let (mut corpus, done, repaired) = CorpusWriter::resume(folder.path(), &header()).unwrap();
        assert_eq!((done, repaired.damaged.len(), repaired.failed), (records(RECORDS), 0, 0));
        // What is appended is read with it.
        corpus.append(&records(RECORDS + 1)[RECORDS as usize]).unwrap();
        drop(corpus);
        assert_eq!(Corpus::read(folder.path(), &schema()).unwrap().records(), records(RECORDS + 1));
    }
    // A line of such a copy that was changed is damaged as it would be otherwise.
    fs::write(folder.path(), flipped(&crlf, starts[2] + 40, 1)).unwrap();
    assert_eq!(damaged(&folder).len(), 1);
    finish(&folder);
}

#[test]
fn only_regular_files_are_read_and_none_without_line_ends_is_held_whole() {
    let folder = Folder::new();
    let read = || Corpus::read(folder.path(), &schema()).unwrap_err();
    let resume = || CorpusWriter::open(folder.path(), &header()).unwrap_err();
    fs::create_dir(folder.path()).unwrap();
    assert!(matches!((read(), resume()), (Error::Io { .. }, Error::Io { .. })));
    fs::remove_dir(folder.path()).unwrap();
    // Eight gigabytes that take no room.
    fs::File::create(folder.path()).unwrap().set_len(8 << 30).unwrap();
    assert!(read().to_string().contains("line 1: expected at most"));
    #[cfg(unix)]
    {
        fs::remove_file(folder.path()).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(folder.path()).status().unwrap().success());
        assert!(matches!((read(), resume()), (Error::Io { .. }, Error::Io { .. })));
        fs::remove_file(folder.path()).unwrap();
        let elsewhere = folder.path().with_file_name("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, folder.path()).unwrap();
        assert!(matches!(resume(), Error::Io { .. }));
        assert!(!elsewhere.exists());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_happened_to_a_file_nothing_is_read_that_was_not_written(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 1..200usize), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let folder = Folder::new();
        let mut bytes = folder.write(RECORDS);
        let whole = bytes.clone();
        for (at, byte, length) in changes {
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            bytes[at..end].fill(byte);
        }
        bytes.truncate(cut.index(bytes.len()).max(bytes.len() / 2));
        fs::write(folder.path(), &bytes).unwrap();
        let known = |found: &[ChainRecord]| found.iter().all(|record| records(RECORDS).contains(record));
        if let Ok(undamaged) = Corpus::read_undamaged(folder.path(), &schema()) {
            prop_assert!(known(&undamaged.records));
            prop_assert!(undamaged.header.is_none_or(|found| found == header()));
            prop_assert!(!undamaged.damaged.is_empty() || whole.starts_with(&bytes));
        }
        match CorpusWriter::resume(folder.path(), &header()).map(|(_, done, _)| done) {
            Ok(done) => {
                prop_assert!(known(&done));
                finish(&folder);
            }
            Err(_) => prop_assert_eq!(fs::read(folder.path()).unwrap(), bytes),
        }
    }
}
