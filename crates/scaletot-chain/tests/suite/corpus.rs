//! Corpus files: growing, resuming, repairing.

use std::fs;
use std::path::PathBuf;

use crate::common;
use proptest::prelude::*;
use scaletot_chain::{
    ChainRecord, ChainSchema, Constraint, Corpus, CorpusHeader, CorpusWriter, Error, Reason, Repaired,
    StateDef, Verdict,
};
use scaletot_core::ContentHash;
use scaletot_profile::UserId;
use serde_json::json;

pub(crate) fn schema() -> ChainSchema {
    ChainSchema::builder("shopper")
        .with_state(StateDef::ordinal("need", ["low", "high"]))
        .with_state(StateDef::ordinal("spend", ["low", "moderate", "high"]))
        .with_constraint(Constraint::new([("need", "low")], "spend", ["high"]))
        .build()
        .unwrap()
}

pub(crate) fn header() -> CorpusHeader {
    CorpusHeader::new(ContentHash::of(b"profile"), &schema(), "smol \"é\" model", u64::MAX)
        .with_settings(json!({"tau": 0.1, "budget": {"queries": 40, "rounds": 3}}))
}

pub(crate) fn records(n: i64) -> Vec<ChainRecord> {
    let numbers =
        |i: i64| (0..12).map(|j| ((i * 12 + j) as f64 * 0.618_033_988_7).fract()).collect::<Vec<_>>();
    let user = |i: i64| if i % 2 == 0 { UserId::Int(i) } else { UserId::Text(format!("ü{i}")) };
    (0..n).map(|i| common::record_from(&schema(), user(i), &numbers(i))).collect()
}

pub(crate) struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("corpus.jsonl")
    }

    /// A corpus of `n` records, as bytes.
    pub(crate) fn write(&self, n: i64) -> Vec<u8> {
        let mut corpus = CorpusWriter::create(self.path(), &header()).unwrap();
        records(n).iter().for_each(|r| corpus.append(r).unwrap());
        drop(corpus);
        fs::read(self.path()).unwrap()
    }
}

/// Byte positions at which the lines begin, and the end.
pub(crate) fn line_starts(bytes: &[u8]) -> Vec<usize> {
    let ends = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1);
    std::iter::once(0).chain(ends).collect()
}

#[test]
fn what_was_appended_is_read() {
    let folder = Folder::new();
    folder.write(5);
    assert_eq!(
        Corpus::read(folder.path(), &schema()).unwrap(),
        Corpus::new(header(), records(5), &schema()).unwrap()
    );
    let (corpus, done, repaired) = CorpusWriter::resume(folder.path(), &header()).unwrap();
    assert_eq!((done, repaired, corpus.len()), (records(5), Repaired::default(), 5));
    assert!(corpus.contains(&UserId::Int(2)) && !corpus.contains(&UserId::Text("2".into())));
}

#[test]
fn every_record_is_on_file_as_soon_as_it_is_appended() {
    let folder = Folder::new();
    let mut corpus = CorpusWriter::create(folder.path(), &header()).unwrap();
    assert!(corpus.is_empty());
    for (i, record) in records(4).iter().enumerate() {
        corpus.append(record).unwrap();
        corpus.sync().unwrap();
        assert_eq!(Corpus::read(folder.path(), &schema()).unwrap().records(), &records(4)[..=i]);
    }
}

#[test]
fn a_resumed_corpus_is_byte_for_byte_that_of_one_run() {
    let folder = Folder::new();
    let whole = folder.write(6);
    for stop in 0..=6 {
        fs::remove_file(folder.path()).unwrap();
        folder.write(stop);
        let (mut corpus, done, _) = CorpusWriter::open(folder.path(), &header()).unwrap();
        records(6)[done.len()..].iter().for_each(|r| corpus.append(r).unwrap());
        assert_eq!(fs::read(folder.path()).unwrap(), whole);
    }
}

/// Cuts a corpus of `n` records at every byte of its last two lines, resumes it, and finishes it.
fn cut_everywhere(n: i64) {
    let folder = Folder::new();
    let whole = folder.write(n);
    let (starts, schema, header, expected) = (line_starts(&whole), schema(), header(), records(n));
    for cut in starts[starts.len() - 3]..=whole.len() {
        // The file is whole again after every turn.
        let file = fs::OpenOptions::new().write(true).open(folder.path()).unwrap();
        file.set_len(cut as u64).unwrap();
        let kept = starts.iter().rposition(|&s| s <= cut).unwrap();
        let (left, line) = (cut - starts[kept], starts.get(kept + 1).map_or(0, |next| next - starts[kept]));
        // All of the line but its line end is a whole line.
        let unended = line > 0 && left == line - 1;
        let lines = kept + usize::from(unended);

        let read = Corpus::read(folder.path(), &schema);
        match &read {
            Ok(corpus) => assert_eq!(corpus.len() + 1, lines, "cut at {cut}"),
            Err(Error::CutLine { line, bytes, .. }) => {
                assert_eq!((*line, *bytes), (kept as u64 + 1, left as u64), "cut at {cut}");
            }
            Err(e @ Error::NotACorpus { .. }) => {
                assert_eq!(cut, 0, "{e}");
            }
            Err(other) => panic!("cut at {cut}: {other}"),
        }
        assert_eq!(read.is_ok(), lines > 0 && (left == 0 || unended), "cut at {cut}");

        let (mut corpus, done, repaired) = CorpusWriter::resume(folder.path(), &header).unwrap();
        assert_eq!(done, expected[..lines.saturating_sub(1)], "cut at {cut}");
        let dropped = if unended { 0 } else { left as u64 };
        assert_eq!(repaired.dropped_bytes, dropped, "cut at {cut}");
        assert_eq!(repaired.ended_line, unended, "cut at {cut}");
        assert_eq!(repaired.rewrote_header, lines == 0, "cut at {cut}");
        assert_eq!(repaired.anything(), left > 0 || cut == 0, "cut at {cut}");
        expected[done.len()..].iter().for_each(|r| corpus.append(r).unwrap());
        drop(corpus);
        assert_eq!(fs::read(folder.path()).unwrap(), whole, "cut at {cut}");
    }
}

#[test]
fn a_corpus_cut_anywhere_in_its_last_two_lines_resumes() {
    cut_everywhere(4);
}

#[test]
fn a_corpus_cut_anywhere_in_its_header_resumes() {
    cut_everywhere(1);
}

#[test]
fn an_empty_file_becomes_a_corpus() {
    let folder = Folder::new();
    fs::write(folder.path(), "").unwrap();
    let error = Corpus::read(folder.path(), &schema()).unwrap_err();
    assert!(error.to_string().ends_with("line 1: expected a corpus header, found an empty file"), "{error}");
    let (_, done, repaired) = CorpusWriter::resume(folder.path(), &header()).unwrap();
    assert!(done.is_empty() && repaired.rewrote_header && repaired.dropped_bytes == 0);
    assert!(Corpus::read(folder.path(), &schema()).unwrap().is_empty());
}

#[test]
fn a_corpus_is_not_overwritten() {
    let folder = Folder::new();
    let before = folder.write(2);
    assert!(matches!(CorpusWriter::create(folder.path(), &header()), Err(Error::CorpusExists { .. })));
    assert_eq!(fs::read(folder.path()).unwrap(), before);
    let none = folder.path().with_file_name("none.jsonl");
    assert!(matches!(CorpusWriter::resume(&none, &header()), Err(Error::Io { action: "open", .. })));
    assert!(!none.exists());
    let (corpus, ..) = CorpusWriter::open(&none, &header()).unwrap();
    assert_eq!(corpus.path(), none);
}

#[test]
fn two_writers_cannot_share_a_corpus() {
    let folder = Folder::new();
    let first = CorpusWriter::create(folder.path(), &header()).unwrap();
    let error = CorpusWriter::resume(folder.path(), &header()).unwrap_err();
    assert!(matches!(error, Error::CorpusLocked { .. }), "{error}");
    drop(first);
    CorpusWriter::resume(folder.path(), &header()).unwrap();
}

#[test]
fn what_json_cannot_hold_is_not_appended() {
    let folder = Folder::new();
    let mut corpus = CorpusWriter::create(folder.path(), &header()).unwrap();
    let before = fs::read(folder.path()).unwrap();
    let reason = Reason::LowScore { score: f64::INFINITY, bar: 0.0 };
    let bad = ChainRecord::new(UserId::Int(1), Verdict::Rejected { reason });
    assert!(matches!(corpus.append(&bad), Err(Error::InRecord { .. })));
    let bad = ChainRecord::new(UserId::Int(1), Verdict::Accepted);
    assert!(matches!(corpus.append(&bad), Err(Error::InRecord { .. })));
    assert_eq!(fs::read(folder.path()).unwrap(), before);
    assert!(!corpus.contains(&UserId::Int(1)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_corpus_comes_back_to_the_bit(
        schema in common::schema(),
        rows in prop::collection::btree_map(any::<i64>(), common::numbers(), 0..6),
        teacher in "\\PC{0,12}",
        seed in any::<u64>(),
        tau in any::<f64>().prop_filter("finite", |x| x.is_finite()),
        cut in 0.0..1.0f64,
    ) {
        let folder = Folder::new();
        let header = CorpusHeader::new(ContentHash::of(b"p"), &schema, teacher, seed).with_settings(json!({"tau": tau}));
        let records: Vec<_> =
            rows.iter().map(|(id, numbers)| common::record_from(&schema, UserId::Int(*id), numbers)).collect();
        let mut corpus = CorpusWriter::create(folder.path(), &header).unwrap();
        records.iter().for_each(|r| corpus.append(r).unwrap());
        drop(corpus);
        let corpus = Corpus::read(folder.path(), &schema).unwrap();
        let (read_header, read) = (corpus.header(), corpus.records());
        prop_assert_eq!(read_header, &header);
        prop_assert_eq!(read, &records);
        let bits = |rs: &[ChainRecord]| -> Vec<u64> {
            let steps = rs.iter().flat_map(|r| r.chains()).flat_map(|c| c.steps());
            steps.flat_map(|s| s.distribution.iter().chain([&s.entropy, &s.covered_mass])).map(|x| x.to_bits()).collect()
        };
        prop_assert_eq!(bits(read), bits(&records));

        // Cut anywhere at all, it goes on as if nothing had happened.
        let whole = fs::read(folder.path()).unwrap();
        fs::write(folder.path(), &whole[..(cut * whole.len() as f64) as usize]).unwrap();
        let (mut corpus, done, _) = CorpusWriter::resume(folder.path(), &header).unwrap();
        prop_assert_eq!(&done, &records[..done.len()]);
        records[done.len()..].iter().for_each(|r| corpus.append(r).unwrap());
        prop_assert_eq!(fs::read(folder.path()).unwrap(), whole);
    }
}
