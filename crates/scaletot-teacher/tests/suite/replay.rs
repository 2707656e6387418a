use std::path::Path;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use scaletot_profile::ProfileTable;
use scaletot_teacher::{
    Cached, Error, LabelAnswer, Question, Reasoner, Recorder, Replay, Result, Rules, Teacher,
};

use crate::common::{Arbitrary, StopAfter, chain_schema, profile_schema, prompter, table};

fn reasoner<'t>(teacher: impl Teacher + 't, table: &ProfileTable) -> Reasoner<'t> {
    Reasoner::builder(teacher, prompter(table)).build().unwrap()
}

#[test]
fn a_replay_gives_what_the_recording_run_saw() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(40);
    let rows: Vec<usize> = (0..40).collect();
    for name in ["answers.jsonl", "answers.jsonl.gz"] {
        let path = folder.path().join(name);
        let recorder = Recorder::open(Arbitrary::default(), &path).unwrap();
        let mut live = reasoner(&recorder, &table);
        live.set_calibration(live.fit_calibration(&table, &rows, 2, &()).unwrap()).unwrap();
        let seen: Vec<_> = rows.iter().map(|&row| live.reason(&table, row, 1).unwrap()).collect();
        drop(live);
        let asked = recorder.len();
        let teacher = recorder.finish().unwrap();
        assert_eq!(teacher.calls.load(Ordering::Relaxed), asked, "each prompt is asked once");

        let replay = Replay::open(&path).unwrap();
        assert_eq!((replay.model(), replay.len()), ("arbitrary", asked));
        let mut again = reasoner(replay, &table);
        again.set_calibration(again.fit_calibration(&table, &rows, 2, &()).unwrap()).unwrap();
        let replayed: Vec<_> = rows.iter().map(|&row| again.reason(&table, row, 1).unwrap()).collect();
        assert_eq!(replayed, seen, "{name}");
        assert_eq!(again.ledger().snapshot().calls, 0, "nothing is computed");
    }
}

#[test]
fn a_miss_says_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let table = table(12);
    let recorder = Recorder::open(Arbitrary::default(), &path).unwrap();
    let full = reasoner(&recorder, &table);
    full.reason(&table, 0, 1).unwrap();
    let question = full.all_questions(&table, 1).unwrap().swap_remove(0);
    assert!(!recorder.contains(&question));
    recorder.checkpoint().unwrap();

    let replay = Replay::open(&path).unwrap();
    assert!(!replay.contains(&question));
    let message = replay.answer(&question).unwrap_err().to_string();
    for part in [&question.prompt, "low, moderate, high", "arbitrary", "answers.jsonl", "scaletot record"] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    assert!(message.contains(&question.key("arbitrary").short()));
    // A run with it fails the user and says the same.
    let record = reasoner(replay, &table).reason(&table, 1, 1).unwrap();
    assert!(record.verdict.reason().unwrap().to_string().contains("no recorded answer in"));
}

#[test]
fn recording_everything_covers_any_search() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.jsonl.gz");
    let table = table(30);
    let rows: Vec<usize> = (0..30).collect();
    let recorder = Recorder::open(Arbitrary::default(), &path).unwrap();
    let mut live = reasoner(&recorder, &table);
    let summary = live.record_all(&table, &rows, &recorder, 3, &()).unwrap();
    assert_eq!((summary.skipped, summary.users, summary.stopped), (4, 26, false));
    assert_eq!((summary.prompts, summary.asked), (recorder.len(), recorder.len()));
    // need 1, capacity 3, channel 1, spend 9 situations of (need, capacity).
    assert!(live.all_questions(&table, 0).unwrap().len() == 14 && summary.prompts <= 26 * 14);

    // A calibration changes the search's way, but not beyond what is recorded.
    live.set_calibration(live.fit_calibration(&table, &rows, 2, &()).unwrap()).unwrap();
    rows.iter().for_each(|&row| drop(live.reason(&table, row, 1).unwrap()));
    assert_eq!(recorder.len(), summary.prompts);
    // A second time, nothing is left to ask.
    let second = live.record_all(&table, &rows, &recorder, 2, &()).unwrap();
    assert_eq!((second.asked, second.prompts), (0, summary.prompts));
}

#[test]
fn a_stopped_recording_goes_on_to_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole.jsonl"), folder.path().join("parts.jsonl"));
    let table = table(80);
    let rows: Vec<usize> = (0..80).collect();
    let record = |path: &Path, progress: &dyn scaletot_core::Progress| {
        let recorder = Recorder::open(Arbitrary::default(), path).unwrap();
        let summary = reasoner(&recorder, &table).record_all(&table, &rows, &recorder, 2, progress).unwrap();
        (summary, recorder.finish().unwrap().calls.into_inner())
    };
    let (_, calls) = record(&whole, &());
    let (first, calls_1) = record(&parts, &StopAfter::new(10));
    assert!(first.stopped && first.users < 69);
    let (second, calls_2) = record(&parts, &());
    assert!(!second.stopped);
    assert_eq!(calls_1 + calls_2, calls, "nothing is asked twice");
    let answers = |path: &Path| std::fs::read_to_string(path).unwrap().split_once('\n').unwrap().1.to_owned();
    assert!(answers(&whole) == answers(&parts), "the same but for the header, which holds the time");
    for path in [whole, parts] {
        let text = std::fs::read_to_string(&path).unwrap();
        let header: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(header["timing"]["answers"], calls, "both sittings count");
        assert!(Replay::open(&path).unwrap().seconds_per_answer().unwrap() >= 0.0);
    }
}

#[test]
fn threads_record_each_prompt_once() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(20);
    let recorder = Recorder::open(Arbitrary::default(), folder.path().join("a.jsonl")).unwrap();
    let plain = reasoner(Arbitrary::default(), &table);
    std::thread::scope(|scope| {
        for shift in 0..4 {
            let (table, plain, recorder) = (&table, &plain, &recorder);
            scope.spawn(move || {
                for i in 0..20 {
                    let questions = plain.all_questions(table, (i + shift * 5) % 20).unwrap();
                    assert!(recorder.answer_batch(&questions).iter().all(Result::is_ok));
                }
            });
        }
    });
    assert_eq!(recorder.inner().calls.load(Ordering::Relaxed), recorder.len());
}

/// A label that the model did not give, and fields that it named.
struct Partial;

impl Teacher for Partial {
    fn model(&self) -> &str {
        "partial"
    }
    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let mut answer = Arbitrary::default().answer(question)?;
        answer.log_probs[0] = f64::NEG_INFINITY;
        answer.missing = vec![0];
        answer.evidence = Some(vec!["income".to_owned()]);
        Ok(answer)
    }
}

#[test]
fn missing_labels_and_evidence_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let table = table(3);
    let recorder = Recorder::open(Partial, &path).unwrap();
    let live = reasoner(&recorder, &table);
    let question = &live.all_questions(&table, 0).unwrap()[0];
    let seen = recorder.answer(question).unwrap();
    recorder.checkpoint().unwrap();
    let replayed = Replay::open(&path).unwrap().answer(question).unwrap();
    assert_eq!(replayed, seen.into_cached());
    assert_eq!((replayed.missing.as_slice(), replayed.log_probs[0]), (&[0][..], f64::NEG_INFINITY));
    assert_eq!(replayed.evidence.unwrap(), ["income"]);
}

#[test]
fn rules_are_not_recorded_by_prompt() {
    let folder = tempfile::tempdir().unwrap();
    let rules = Rules::from_toml("name = \"x\"", &profile_schema(), &chain_schema()).unwrap();
    let recorder = Recorder::open(rules, folder.path().join("a.jsonl")).unwrap();
    let table = table(3);
    let live = reasoner(&recorder, &table);
    let question = live.all_questions(&table, 0).unwrap().swap_remove(0);
    let error = recorder.answer(&question).unwrap_err();
    assert!(error.to_string().contains("cannot be recorded"), "{error}");
    assert!(!recorder.contains(&question));
    live.record_all(&table, &[0, 1, 2], &recorder, 1, &()).unwrap_err();
    assert!(!recorder.path().exists(), "no file without an answer");
}

#[test]
fn bad_files_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let header = r#"{"format":"scaletot-replay","version":1,"prompt_format":1,"model":"m","answers":1}"#;
    let line = r#"{"k":"00112233445566778899aabbccddeeff","p":[-1.5,null],"t":3}"#;
    let open = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Replay::open(&path).map(|replay| replay.len())
    };
    assert_eq!(open(&format!("{header}\n{line}\n")).unwrap(), 1);
    for (text, place, message) in [
        (String::new(), 1, "empty file"),
        ("{}\n".to_owned(), 1, "replay header"),
        (header.replace("scaletot-replay", "other"), 1, "found other version 1"),
        (header.replace("\"version\":1", "\"version\":3"), 1, "version 3"),
        (header.replace("\"prompt_format\":1", "\"prompt_format\":9"), 1, "record again"),
        (format!("{header}\n"), 1, "the file is cut"),
        (format!("{header}\n{line}\n{line}\n"), 3, "each key once"),
        (format!("{header}\n{}\n", &line[..30]), 2, "expected an answer"),
        (format!("{header}\n{}\n", line.replace("ff\"", "fg\"")), 2, "32 hexadecimal digits"),
        (format!("{header}\n{}\n", line.replace("ff\"", "é\"")), 2, "32 hexadecimal digits"),
        (format!("{header}\n{}\n", line.replace("-1.5", "1.5")), 2, "at most 0"),
    ] {
        match open(&text) {
            Err(Error::Format { line, message: found, .. }) => {
                assert_eq!(line, place, "{text}: {found}");
                assert!(found.contains(message), "{text}: {found}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(matches!(Replay::open(folder.path().join("none.jsonl")), Err(Error::Io { .. })));
    assert!(matches!(Replay::open(folder.path().join("a.csv")), Err(Error::Config(_))));

    // A compressed file that is cut within.
    let table = table(10);
    let gz = folder.path().join("a.jsonl.gz");
    let recorder = Recorder::open(Arbitrary::default(), &gz).unwrap();
    reasoner(&recorder, &table).reason(&table, 0, 1).unwrap();
    recorder.finish().unwrap();
    let bytes = std::fs::read(&gz).unwrap();
    std::fs::write(&gz, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(Replay::open(&gz), Err(Error::Io { .. } | Error::Format { .. })));
}

#[test]
fn another_models_file_is_not_extended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    Recorder::open(Arbitrary::default(), &path).unwrap().finish().unwrap();
    let error = Recorder::open(Partial, &path).unwrap_err();
    assert!(
        error.to_string().contains("expected answers of model `partial`, found answers of `arbitrary`"),
        "{error}"
    );
    assert!(Recorder::open(Arbitrary::default(), &path).unwrap().is_empty());
}

#[test]
fn the_cache_asks_equal_prompts_once_and_the_ledger_counts() {
    let table = table(8);
    let cached = Cached::new(Arbitrary::default());
    let plain = reasoner(Arbitrary::default(), &table);
    let questions = plain.all_questions(&table, 0).unwrap();
    let first: Vec<LabelAnswer> = cached.answer_batch(&questions).into_iter().map(Result::unwrap).collect();
    let second: Vec<LabelAnswer> = cached.answer_batch(&questions).into_iter().map(Result::unwrap).collect();
    let n = questions.len() as u64;
    assert!(first.iter().all(|answer| !answer.cached) && second.iter().all(|answer| answer.cached));
    assert!(first.iter().zip(&second).all(|(a, b)| a.log_probs == b.log_probs && a.tokens == b.tokens));
    let snapshot = cached.ledger().snapshot();
    assert_eq!((snapshot.questions, snapshot.calls, snapshot.cache_hits), (2 * n, n, n));
    assert_eq!(snapshot.tokens, snapshot.tokens_saved);

    let small = Cached::with_capacity(Arbitrary::default(), 3);
    small.answer_batch(&questions).into_iter().for_each(|answer| drop(answer.unwrap()));
    assert_eq!(small.len(), 3);
    assert_eq!(small.answer(&questions[9]).unwrap().log_probs, first[9].log_probs);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Recording and replaying is the identity on what the recorder gave, whatever the numbers.
    #[test]
    fn recorded_is_replayed(lps in prop::collection::vec(prop_oneof![-50.0..0.0_f64, Just(f64::NEG_INFINITY), Just(-1e-9)], 3)) {
        struct Fixed(Vec<f64>);
        impl Teacher for Fixed {
            fn model(&self) -> &str {
                "fixed"
            }
            fn answer(&self, _: &Question<'_>) -> Result<LabelAnswer> {
                Ok(LabelAnswer::new(self.0.clone(), 7))
            }
        }
        prop_assume!(lps.iter().any(|lp| lp.is_finite()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl.gz");
        let table = table(2);
        let recorder = Recorder::open(Fixed(lps.clone()), &path).unwrap();
        let live = reasoner(&recorder, &table);
        let question = &live.all_questions(&table, 0).unwrap()[0];
        let given = recorder.answer(question).unwrap();
        for (a, b) in given.log_probs.iter().zip(&lps) {
            prop_assert!(a == b || (a - b).abs() <= 0.5e-4 + 1e-12);
        }
        recorder.checkpoint().unwrap();
        prop_assert_eq!(Replay::open(&path).unwrap().answer(question).unwrap(), given.into_cached());
    }
}

/// A model that computes one call after the other, however many threads ask.
struct OneAtATime(std::sync::Mutex<()>);

impl Teacher for OneAtATime {
    fn model(&self) -> &str {
        "one-at-a-time"
    }

    fn answer(&self, question: &Question<'_>) -> scaletot_teacher::Result<LabelAnswer> {
        let _computing = self.0.lock().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5));
        Ok(LabelAnswer::new(vec![-1.0; question.labels.len()], 1))
    }
}

#[test]
fn seconds_per_call_do_not_grow_with_the_workers() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(12);
    let rows: Vec<usize> = (0..12).collect();
    let measured = |workers: usize| {
        let path = folder.path().join(format!("{workers}.jsonl"));
        let recorder = Recorder::open(OneAtATime(std::sync::Mutex::new(())), &path).unwrap();
        let reasoner = Reasoner::builder(&recorder, prompter(&table)).build().unwrap();
        let began = std::time::Instant::now();
        let summary = reasoner.record_all(&table, &rows, &recorder, workers, &()).unwrap();
        let wall = began.elapsed().as_secs_f64() / summary.asked as f64;
        recorder.checkpoint().unwrap();
        let recorded = Replay::open(&path).unwrap().seconds_per_answer().unwrap();
        assert!((recorded - recorder.seconds_per_answer().unwrap()).abs() < 1e-9);
        (recorded, wall)
    };
    for workers in [1, 4] {
        let (recorded, wall) = measured(workers);
        // Summed over threads it would be four times the wall time of an answer.
        assert!((0.005..=1.001 * wall).contains(&recorded), "{workers} workers: {recorded} of {wall}");
    }
}

/// Records everything about some users; gives the file's lines.
fn recording(path: &Path) -> Vec<String> {
    let table = table(12);
    let recorder = Recorder::open(Arbitrary::default(), path).unwrap();
    reasoner(&recorder, &table).record_all(&table, &(0..12).collect::<Vec<_>>(), &recorder, 2, &()).unwrap();
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_damaged_answer_is_named_the_others_stay_readable_and_it_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let lines = recording(&path);
    let whole = Replay::open(&path).unwrap().len();
    // A digit, a sign, a value that would still be one, the key, the checksum itself, half a line.
    let edits: [&dyn Fn(&str) -> String; 5] = [
        &|line| line.replacen("\"p\":[-", "\"p\":[-1", 1),
        &|line| line.replacen("\"t\":", "\"t\":1", 1),
        &|line| line.replacen(&line[6..8], "zz", 1),
        &|line| line.replacen(&line[line.len() - 4..line.len() - 2], "zz", 1),
        &|line| line[..line.len() / 2].to_owned(),
    ];
    for (n, edit) in edits.iter().enumerate() {
        let at = 4 + n;
        let mut edited = lines.clone();
        edited[at] = edit(&lines[at]);
        assert_ne!(edited[at], lines[at]);
        std::fs::write(&path, edited.join("\n") + "\n").unwrap();
        let error = Replay::open(&path).unwrap_err();
        assert!(matches!(&error, Error::Format { line, .. } if *line == at + 1), "{error}");
        let (rest, damaged) = Replay::open_undamaged(&path).unwrap();
        assert_eq!((rest.len(), damaged), (whole - 1, vec![at + 1]));
        let recorder = Recorder::open(Arbitrary::default(), &path).unwrap();
        assert_eq!(recorder.len(), whole - 1);
        drop(recorder);
        assert_eq!(recording(&path)[1..], lines[1..], "as if nothing had been");
    }
}

#[test]
fn a_damaged_header_takes_no_answers_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let lines = recording(&path);
    for header in [lines[0].replacen("arbitrary", "arbitrarz", 1), lines[0][..20].to_owned(), String::new()] {
        std::fs::write(&path, format!("{header}\n{}\n", lines[1..].join("\n"))).unwrap();
        assert!(Replay::open(&path).is_err());
        assert!(Replay::open_undamaged(&path).is_err(), "whose answers they are is not known");
        let recorder = Recorder::open(Arbitrary::default(), &path).unwrap();
        assert_eq!(recorder.len(), lines.len() - 1);
        recorder.finish().unwrap();
        assert_eq!(Replay::open(&path).unwrap().len(), lines.len() - 1);
    }
}

#[test]
fn what_stands_before_a_break_in_compressed_data_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("answers.jsonl");
    let lines = recording(&plain);
    let path = folder.path().join("answers.jsonl.gz");
    let table = table(12);
    let recorder = Recorder::open(Arbitrary::default(), &path).unwrap();
    reasoner(&recorder, &table).record_all(&table, &(0..12).collect::<Vec<_>>(), &recorder, 2, &()).unwrap();
    drop(recorder);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
    assert!(Replay::open(&path).is_err());
    let (rest, damaged) = Replay::open_undamaged(&path).unwrap();
    assert!(rest.len() > lines.len() / 3 && rest.len() < lines.len() - 1, "{}", rest.len());
    assert!(damaged.last().is_some_and(|last| *last >= rest.len()));
    let recorder = Recorder::open(Arbitrary::default(), &path).unwrap();
    reasoner(&recorder, &table).record_all(&table, &(0..12).collect::<Vec<_>>(), &recorder, 2, &()).unwrap();
    drop(recorder);
    assert_eq!(Replay::open(&path).unwrap().len(), lines.len() - 1);
}

/// Small files that would fill the memory, or never end.
#[test]
fn a_recording_is_read_no_further_than_its_header_and_a_line_allow() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl.gz");
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    bomb.write_all(&vec![b' '; 1 << 20]).unwrap();
    std::fs::write(&path, bomb.finish().unwrap().repeat(1_000)).unwrap();
    let error = Replay::open(&path).unwrap_err();
    assert!(error.to_string().contains("expected a line of less than"), "{error}");
    #[cfg(unix)]
    {
        let link = folder.path().join("zero.jsonl");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        assert!(matches!(Replay::open(&link), Err(Error::Io(_))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever happens to the bytes: what is read is what was recorded, and damage is seen.
    #[test]
    fn no_changed_byte_of_a_recording_passes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        compressed in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(if compressed { "answers.jsonl.gz" } else { "answers.jsonl" });
        let table = table(2);
        let recorder = Recorder::open(Arbitrary::default(), &path).unwrap();
        let live = reasoner(&recorder, &table);
        let questions = live.all_questions(&table, 0).unwrap();
        let recorded: Vec<LabelAnswer> =
            recorder.answer_batch(&questions).into_iter().map(|answer| answer.unwrap().into_cached()).collect();
        recorder.checkpoint().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let before = bytes.clone();
        for (at, flip) in changes {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        prop_assume!(bytes != before);
        std::fs::write(&path, &bytes).unwrap();
        // Names and times in the header of compressed data are of no account.
        prop_assert!(compressed || Replay::open(&path).is_err());
        let read = [Replay::open(&path).ok(), Replay::open_undamaged(&path).ok().map(|(replay, _)| replay)];
        for replay in read.into_iter().flatten() {
            for (question, recorded) in questions.iter().zip(&recorded) {
                if replay.holds(question) {
                    prop_assert_eq!(&replay.answer(question).unwrap(), recorded);
                }
            }
        }
    }
}
