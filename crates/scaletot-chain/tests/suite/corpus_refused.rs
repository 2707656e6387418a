//! Corpus files that are refused, and left as they were.

use std::fs;
use std::path::Path;

use crate::corpus::{Folder, header, line_starts, records, schema};
use scaletot_chain::{ChainSchema, Corpus, CorpusHeader, CorpusWriter, Error, StateDef};
use scaletot_core::checksum::seal;
use scaletot_core::{ContentHash, causes};
use serde_json::json;

/// Lines whose checksums fit, whatever they were before.
fn resealed(lines: &str) -> String {
    let reseal = |line: &str| {
        let object =
            line.rsplit_once(",\"checksum\":\"").map_or(line.to_owned(), |(object, _)| format!("{object}}}"));
        let mut line = object.into_bytes();
        seal(&mut line);
        String::from_utf8(line).unwrap() + "\n"
    };
    lines.lines().map(reseal).collect()
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
    // The first format had no checksums.
    for (format, sealed) in [(3, true), (1, false), (1, true)] {
        let line = format!("{{\"kind\":\"scaletot-corpus\",\"format\":{format},\"users\":[]}}\n");
        let line = if sealed { resealed(&line) } else { line };
        fs::write(folder.path(), line + "something new\n").unwrap();
        let expected = format!(
            "line 1: expected corpus format 2, found {format}; read it with the version that wrote it"
        );
        let message = refused(&folder.path(), &header());
        assert!(message.ends_with(&expected), "{message}");
        let message = causes(&Corpus::read(folder.path(), &schema()).unwrap_err());
        assert!(message.ends_with(&expected), "{message}");
    }
    let mut future = header();
    future.format = 3;
    let new = folder.path().with_file_name("new.jsonl");
    assert!(matches!(CorpusWriter::create(new, &future), Err(Error::UnknownFormat { found: 3, .. })));
}

#[test]
fn other_files_are_refused_and_left_alone() {
    let folder = Folder::new();
    for text in [
        "household_id,age\n1,45-54\n",
        "household_id,age",
        "{\"kind\":\"something else\",\"format\":1}\n",
        &resealed("{\"kind\":\"scaletot-corpus\"}\n"),
        &resealed("{\"kind\":\"scaletot-corpus\",\"format\":2,\"seed\":2}\n"),
        "{\"kind\":\"something else",
        "\n",
        "[",
    ] {
        fs::write(folder.path(), text).unwrap();
        let message = refused(&folder.path(), &header());
        assert!(message.contains("line 1: expected a corpus header, found "), "{message}");
    }
    // A corpus, but nobody knows whose.
    fs::write(folder.path(), "{\"kind\":\"scaletot-corpus\"}\n").unwrap();
    assert!(refused(&folder.path(), &header()).contains("line 1: the corpus header is damaged"));
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
        (cut, "not a chain record: "),
        ("{\"reason\":null}", "not a chain record: missing field `user` at column "),
        (&no_user, "not a chain record: unknown field `usr`, expected one of `user`, `verdict`"),
        (&wrong_sum, "not a chain record: state `#1`: distribution: sum of the probabilities: expected 1"),
    ] {
        let mut changed = lines.clone();
        let bad = resealed(&format!("{bad}\n"));
        changed[2] = bad.trim_end();
        fs::write(folder.path(), changed.join("\n") + "\n").unwrap();
        let expected = format!("corpus.jsonl: line 3: {why}");
        let message = refused(&folder.path(), &header());
        assert!(message.contains(&expected), "{message}");
        let message = causes(&Corpus::read(folder.path(), &schema()).unwrap_err());
        assert!(message.contains(&expected), "{message}");
    }
    // The last line, ended but not whole, was not cut by a kill; nor was an unended one that is no beginning of a record.
    for last in [&format!("{}\n", &lines[4][..40]), "rubbish"] {
        fs::write(folder.path(), [&lines[..4], &[last]].concat().join("\n")).unwrap();
        let error = Corpus::read(folder.path(), &schema()).unwrap_err();
        assert!(matches!(&error, Error::Damaged { lines, .. } if lines[0].line == 5), "{error}");
    }
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
        fs::write(folder.path(), resealed(&changed)).unwrap();
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
        let record = resealed(&format!("{{\"user\":1,\"verdict\":{verdict}}}\n"));
        fs::write(folder.path(), format!("{text}{record}")).unwrap();
        let message = causes(&Corpus::read(folder.path(), &schema()).unwrap_err());
        assert!(message.contains(&format!("reason of the verdict: {expected}")), "{message}");
    }
    let line = format!(r#"{{"user":1,"verdict":"accepted","best":{{"steps":[{steps}],"score":0.0}}}}"#);
    fs::write(folder.path(), text + &resealed(&line)).unwrap();
    let message = causes(&Corpus::read(folder.path(), &schema()).unwrap_err());
    let expected = "line 2 is not valid: the record of user 1 is not valid: state `spend`: `high` is forbidden by constraint 1";
    assert!(message.contains(expected), "{message}");
}

/// A file is not quoted whole, and not raw, at a terminal.
#[test]
fn messages_about_long_and_wild_files_are_short_and_printable() {
    let folder = Folder::new();
    let wild = "\u{1b}[2J".repeat(20_000);
    let text = String::from_utf8(folder.write(1)).unwrap();
    let (first, record) = text.split_once('\n').unwrap();
    let changed = |record: &str| record.replacen("\"queries\":", "\"queries\":1", 1);
    let json = |text: &str| serde_json::to_string(text).unwrap();
    let mut settings: serde_json::Map<String, serde_json::Value> = serde_json::Map::new();
    (0..1000).for_each(|k| drop(settings.insert(format!("{k}{wild:.100}"), format!("{wild:.1000}").into())));
    let mut header_of = header();
    header_of.settings = settings.into();
    let other = folder.path().with_file_name("other.jsonl");
    drop(CorpusWriter::create(&other, &header_of).unwrap());
    let twice = record.replacen("\"user\":0", &format!("\"user\":{}", json(&wild)), 1);
    let unknown = record.replacen("\"user\":0", &format!("{}:1,\"user\":0", json(&wild)), 1);
    let mut messages = vec![refused(&other, &header())];
    for records in [format!("{twice}\n{}", changed(&twice)), unknown] {
        fs::write(folder.path(), format!("{first}\n{}", resealed(&records))).unwrap();
        messages.push(refused(&folder.path(), &header()));
    }
    fs::write(folder.path(), &wild).unwrap();
    messages.push(refused(&folder.path(), &header()));
    for message in messages {
        assert!(message.len() < 20_000 && !message.contains(char::is_control), "{message:.200}");
    }
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
    // Another one of the same user, as it stands in the corpus of another run.
    let other = resealed(&String::from_utf8_lossy(again).replacen("\"queries\":", "\"queries\":1", 1));
    assert_ne!(other.as_bytes(), again);
    fs::write(folder.path(), [&whole, other.as_bytes()].concat()).unwrap();
    let expected = "corpus.jsonl: user ü1 has a record on line 3 and again on line 6";
    assert!(refused(&folder.path(), &header()).ends_with(expected));
    assert!(causes(&Corpus::read(folder.path(), &schema()).unwrap_err()).ends_with(expected));
}
