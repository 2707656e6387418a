//! Corpus files: growing, resuming, repairing, refusing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common;
use proptest::prelude::*;
use scaletot_chain::{
    ChainRecord, ChainSchema, Constraint, Corpus, CorpusHeader, CorpusWriter, Error, Reason, Repaired,
    StateDef, Verdict,
};
use scaletot_core::ContentHash;
use scaletot_core::causes;
use scaletot_profile::UserId;
use serde_json::json;

fn schema() -> ChainSchema {
    ChainSchema::builder("shopper")
        .with_state(StateDef::ordinal("need", ["low", "high"]))
        .with_state(StateDef::ordinal("spend", ["low", "moderate", "high"]))
        .with_constraint(Constraint::new([("need", "low")], "spend", ["high"]))
        .build()
        .unwrap()
}

fn header() -> CorpusHeader {
    CorpusHeader::new(ContentHash::of(b"profile"), &schema(), "smol \"é\" model", u64::MAX)
        .with_settings(json!({"tau": 0.1, "budget": {"queries": 40, "rounds": 3}}))
}

fn records(n: i64) -> Vec<ChainRecord> {
    let numbers =
        |i: i64| (0..12).map(|j| ((i * 12 + j) as f64 * 0.618_033_988_7).fract()).collect::<Vec<_>>();
    let user = |i: i64| if i % 2 == 0 { UserId::Int(i) } else { UserId::Text(format!("ü{i}")) };
    (0..n).map(|i| common::record_from(&schema(), user(i), &numbers(i))).collect()
}

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("corpus.jsonl")
    }

    /// A corpus of `n` records, as bytes.
    fn write(&self, n: i64) -> Vec<u8> {
        let mut corpus = CorpusWriter::create(self.path(), &header()).unwrap();
        records(n).iter().for_each(|r| corpus.append(r).unwrap());
        drop(corpus);
        fs::read(self.path()).unwrap()
    }
}

/// Byte positions at which the lines begin, and the end.
fn line_starts(bytes: &[u8]) -> Vec<usize> {
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

/// The message of resuming a corpus that this run did not make; it must be left as it was.
fn refused(path: &Path, header: &CorpusHeader) -> String {
    let before = fs::read(path).unwrap();
    let error = CorpusWriter::resume(path, header).unwrap_err();
    assert_eq!(fs::read(path).unwrap(), before);
    causes(&error)
}

#[test]
fn another_header_is_refused_with_what_differs() {
    let folder = Folder::new();
    folder.write(2);
    let mut other = header();
    other.seed = 3;
    other.teacher = "rules".into();
    other.settings = json!({"tau": 0.2, "budget": {"queries": 40, "tokens": 9}});
    let message = refused(&folder.path(), &other);
    let differences = [
        "teacher: the corpus has \"smol \\\"é\\\" model\", this run has \"rules\"",
        "seed: the corpus has 18446744073709551615, this run has 3",
        "settings.budget.rounds: the corpus has 3, this run has nothing",
        "settings.budget.tokens: the corpus has nothing, this run has 9",
        "settings.tau: the corpus has 0.1, this run has 0.2",
    ];
    assert!(
        message.ends_with(&format!("this corpus was made by another run: {}", differences.join("; "))),
        "{message}"
    );

    let mut other = header();
    (other.profile_schema, other.chain_schema) = (ContentHash::of(b"p"), ContentHash::of(b"c"));
    let message = refused(&folder.path(), &other);
    let (there, here) = (schema().hash(), ContentHash::of(b"c"));
    assert!(
        message.contains(&format!("chain schema: the corpus has {there}, this run has {here}")),
        "{message}"
    );
    assert!(message.contains("profile schema: the corpus has"), "{message}");
}

#[test]
fn another_chain_schema_cannot_read_it() {
    let folder = Folder::new();
    folder.write(2);
    let other = ChainSchema::builder("other").with_state(StateDef::ordinal("a", ["x", "y"])).build().unwrap();
    let message = causes(&Corpus::read(folder.path(), &other).unwrap_err());
    let (found, expected) = (schema().hash(), other.hash());
    let differ = format!("the corpus has chain schema {found}, expected `other`, which is {expected}");
    assert!(message.ends_with(&format!("corpus.jsonl: {differ}")), "{message}");
    assert_eq!(Corpus::new(header(), records(2), &other).unwrap_err().to_string(), differ);
}

#[test]
fn an_unknown_format_is_refused_whatever_else_it_holds() {
    let folder = Folder::new();
    fs::write(folder.path(), "{\"kind\":\"scaletot-corpus\",\"format\":2,\"users\":[]}\nsomething new\n")
        .unwrap();
    let expected = "line 1: expected corpus format 1, found 2; read it with the version that wrote it";
    let message = refused(&folder.path(), &header());
    assert!(message.ends_with(expected), "{message}");
    let message = causes(&Corpus::read(folder.path(), &schema()).unwrap_err());
    assert!(message.ends_with(expected), "{message}");
    let mut future = header();
    future.format = 2;
    let new = folder.path().with_file_name("new.jsonl");
    assert!(matches!(CorpusWriter::create(new, &future), Err(Error::UnknownFormat { found: 2, .. })));
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let folder = Folder::new();
    for text in [
        "household_id,age\n1,45-54\n",
        "household_id,age",
        "{\"kind\":\"something else\",\"format\":1}\n",
        "{\"kind\":\"scaletot-corpus\"}\n",
        "{\"kind\":\"scaletot-corpus\",\"format\":1,\"seed\":2}\n",
        "{\"kind\":\"something else",
        "\n",
        "[",
    ] {
        fs::write(folder.path(), text).unwrap();
        let message = refused(&folder.path(), &header());
        assert!(message.contains("line 1: expected a corpus header, found "), "{message}");
    }
}

#[test]
fn a_corrupt_line_is_named() {
    let folder = Folder::new();
    let whole = folder.write(4);
    let text = String::from_utf8(whole).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let cut = &lines[2][..lines[2].len() / 2];
    let wrong_sum = lines[2].replacen("\"distribution\":[", "\"distribution\":[1.0,", 1);
    let no_user = lines[2].replacen("\"user\"", "\"usr\"", 1);
    for (bad, why) in [
        (cut, "not a chain record: EOF while parsing"),
        ("", "not a chain record: EOF while parsing a value at column 0"),
        ("{}", "not a chain record: missing field `user` at column 2"),
        (&no_user, "not a chain record: unknown field `usr`, expected one of `user`, `verdict`"),
        (&wrong_sum, "not a chain record: state `#1`: distribution: sum of the probabilities: expected 1"),
    ] {
        let mut changed = lines.clone();
        changed[2] = bad;
        fs::write(folder.path(), changed.join("\n") + "\n").unwrap();
        let expected = format!("corpus.jsonl: line 3: {why}");
        let message = refused(&folder.path(), &header());
        assert!(message.contains(&expected), "{message}");
        let message = causes(&Corpus::read(folder.path(), &schema()).unwrap_err());
        assert!(message.contains(&expected), "{message}");
    }
    // The last line, ended but not whole, was not cut by a kill.
    fs::write(folder.path(), [&lines[..4], &[&lines[4][..40]]].concat().join("\n") + "\n").unwrap();
    assert!(refused(&folder.path(), &header()).contains("corpus.jsonl: line 5: not a chain record"));
    // Nor was an unended one that is no beginning of a record.
    fs::write(folder.path(), [&lines[..4], &["rubbish"]].concat().join("\n")).unwrap();
    assert!(refused(&folder.path(), &header()).contains("corpus.jsonl: line 5: not a chain record"));
}

#[test]
fn unknown_keys_are_refused_with_their_name() {
    let folder = Folder::new();
    let text = String::from_utf8(folder.write(1)).unwrap();
    for (from, to) in [
        ("\"seed\":", "\"sede\":1,\"seed\":"),
        ("\"cost\":{\"queries\":", "\"cost\":{\"calls\":3,\"queries\":"),
        ("\"posterior\":", "\"prior\":[],\"posterior\":"),
        ("{\"steps\":", "{\"stesp\":[],\"steps\":"),
        ("{\"value\":", "{\"vlaue\":0,\"value\":"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        fs::write(folder.path(), changed).unwrap();
        let key = to.split('"').find(|part| part.len() > 1 && !from.contains(part)).unwrap();
        let message = refused(&folder.path(), &header());
        assert!(message.contains(&format!("unknown field `{key}`")), "{message}");
    }
}

#[test]
fn a_record_that_breaks_the_schema_is_named() {
    let folder = Folder::new();
    let text = String::from_utf8(folder.write(0)).unwrap();
    let step = |v: u16, p: &str| {
        format!(
            r#"{{"value":{v},"distribution":{p},"entropy":0.0,"entropy_source":{{"kind":"exact"}},"covered_mass":1.0}}"#
        )
    };
    let steps = format!("{},{}", step(0, "[1.0,0.0]"), step(2, "[0.0,0.0,1.0]"));
    for (verdict, expected) in [
        (
            r#""accepted","reason":{"kind":"dead_end"}"#,
            "expected none, as the verdict is accepted, found one",
        ),
        (r#""rejected""#, "expected one, as the verdict is not accepted, found none"),
    ] {
        fs::write(folder.path(), format!("{text}{{\"user\":1,\"verdict\":{verdict}}}\n")).unwrap();
        let message = causes(&Corpus::read(folder.path(), &schema()).unwrap_err());
        assert!(message.contains(&format!("reason of the verdict: {expected}")), "{message}");
    }
    let line = format!(r#"{{"user":1,"verdict":"accepted","best":{{"steps":[{steps}],"score":0.0}}}}"#);
    fs::write(folder.path(), format!("{text}{line}\n")).unwrap();
    let message = causes(&Corpus::read(folder.path(), &schema()).unwrap_err());
    let expected = "line 2 is not valid: the record of user 1 is not valid: state `spend`: `high` is forbidden by constraint 1";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_user_has_one_record() {
    let folder = Folder::new();
    let whole = folder.write(4);
    let (mut corpus, ..) = CorpusWriter::resume(folder.path(), &header()).unwrap();
    let message = corpus.append(&records(4)[1]).unwrap_err().to_string();
    assert!(
        message.ends_with("corpus.jsonl: user ü1 has a record on line 3 and again on line 6"),
        "{message}"
    );
    assert_eq!(fs::read(folder.path()).unwrap(), whole);
    drop(corpus);
    let again = &whole[line_starts(&whole)[2]..line_starts(&whole)[3]];
    fs::write(folder.path(), [&whole, again].concat()).unwrap();
    let expected = "corpus.jsonl: user ü1 has a record on line 3 and again on line 6";
    assert!(refused(&folder.path(), &header()).ends_with(expected));
    assert!(causes(&Corpus::read(folder.path(), &schema()).unwrap_err()).ends_with(expected));
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
