//! Outputs that are cut, emptied, swapped, edited or somebody else's.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use scaletot_core::Progress;
use scaletot_pipeline::{PipelineConfig, Stage, causes};

use super::population::bytes;
use super::shop::{self, figures, write_inputs};

/// A run of seconds.
fn tiny(dir: &Path) -> shop::Case<'_> {
    let mut config = PipelineConfig::default();
    (config.coverage, config.calibration_users) = (0.4, 60);
    (config.student.d_model, config.student.n_layers, config.student.d_ff) = (16, 1, 32);
    (config.sft.epochs, config.osipo.epochs, config.distil.epochs) = (2, 1, 2);
    config.gate.min_agreement = None;
    shop::Case { config, ..shop::case(dir) }
}

/// Files of a finished run that count, but for its records.
fn outputs(out: &Path) -> Vec<PathBuf> {
    let kept = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        // Of a corpus the undamaged answers are kept, which is a test of its own.
        !matches!(name, "stages.json" | "summary.json" | ".lock" | "corpus.jsonl")
            && !name.ends_with(".checkpoint")
    };
    bytes(out).into_keys().filter(kept).collect()
}

#[test]
fn every_output_that_changes_is_rebuilt_or_refused_and_answers_are_kept() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    tiny(dir).run("out");
    let out = dir.join("out");
    let whole = bytes(&out);
    let figures_before = figures(&out.join("summary.json"));
    let files = outputs(&out);
    assert!(files.len() >= 15, "{files:?}");
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 8,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let changes = (0..files.len(), 0..1000_usize, 0..4);
    let check = |path: &Path, share: usize, how: i32| {
        let good = &whole[path];
        let mut bad = good.clone();
        let at = share * bad.len() / 1000;
        match how {
            0 => bad.truncate(at),
            1 => bad.clear(),
            2 => bad.push(b' '),
            _ => bad.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 4),
        }
        if bad == *good {
            return;
        }
        fs::write(path, &bad).unwrap();
        let paid = path == out.join("calibration.json");
        match tiny(dir).pipeline("out").unwrap().run(&()) {
            Err(error) => {
                let message = causes(&error);
                assert!(paid && message.contains("is not what the stage wrote"), "{path:?}: {message}");
                assert!(fs::read(path).unwrap() == bad, "{path:?} is left as it is");
                fs::write(path, good).unwrap();
            }
            Ok(_) => {
                assert!(!paid, "{path:?}");
                assert!(fs::read(path).unwrap() == *good, "{path:?} is made again");
            }
        }
    };
    runner
        .run(&changes, |(file, at, how)| {
            check(&files[file], at, how);
            Ok(())
        })
        .unwrap();
    check(&out.join("calibration.json"), 500, 0);
    // Two that are swapped are none of both.
    for (one, two) in [("student", "student-sft"), ("artifact", "encoder")] {
        let (one, two, aside) = (out.join(one), out.join(two), out.join("aside"));
        fs::rename(&one, &aside).unwrap();
        fs::rename(&two, &one).unwrap();
        fs::rename(&aside, &two).unwrap();
        tiny(dir).run("out");
    }
    for (path, good) in bytes(&out).iter().filter(|(path, _)| files.contains(path)) {
        assert!(whole[path] == *good, "{path:?}");
    }
    // The summary is written by every run.
    fs::write(out.join("summary.json"), "edited").unwrap();
    tiny(dir).run("out");
    assert_eq!(figures(&out.join("summary.json")), figures_before);
}

#[test]
fn files_of_somebody_else_are_found_before_anybody_is_asked_and_outlive_a_fresh_start() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    for name in ["student", "scores.parquet", "summary.json", "student-sft.checkpoint"] {
        let out = dir.join(format!("out of {name}"));
        let mine = if name == "student" { out.join("student/notes.txt") } else { out.join(name) };
        fs::create_dir_all(mine.parent().unwrap()).unwrap();
        fs::write(&mine, "mine").unwrap();
        let refused = || {
            let pipeline = tiny(dir).pipeline(out.file_name().unwrap().to_str().unwrap()).unwrap();
            let run = causes(&pipeline.run(&()).unwrap_err());
            (run, causes(&pipeline.start_over().unwrap_err()))
        };
        let (run, fresh) = refused();
        assert!(
            run.contains("is not written over") && fresh.contains("is not written over"),
            "{run}\n{fresh}"
        );
        assert!(!out.join("stages.json").exists(), "nothing was begun");
        assert_eq!(fs::read(&mine).unwrap(), b"mine");
    }
    // A run of ours, in which somebody has put something under the name of a stage that was not begun.
    let stop = StopAt("reason", AtomicBool::new(false));
    let pipeline = tiny(dir).pipeline("ours").unwrap();
    assert!(pipeline.run(&stop).is_err());
    let ours = dir.join("ours");
    fs::create_dir(ours.join("student")).unwrap();
    fs::write(ours.join("student/notes.txt"), "mine").unwrap();
    fs::write(ours.join("notes.txt"), "mine").unwrap();
    fs::write(ours.join(".corpus.jsonl.part"), "what a kill left").unwrap();
    assert!(causes(&pipeline.run(&()).unwrap_err()).contains("is not written over"));
    pipeline.start_over().unwrap();
    let left: Vec<PathBuf> = bytes(&ours).into_keys().collect();
    assert_eq!(left, [".lock", "notes.txt", "student/notes.txt"].map(|name| ours.join(name)));
}

#[cfg(unix)]
#[test]
fn a_fresh_start_removes_nothing_through_a_link() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    let pipeline = tiny(dir).pipeline("out").unwrap();
    pipeline.run(&()).unwrap();
    let (student, elsewhere) = (dir.join("out/student"), dir.join("elsewhere"));
    fs::rename(&student, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &student).unwrap();
    let before = bytes(&elsewhere);
    pipeline.start_over().unwrap();
    assert!(bytes(&elsewhere) == before && fs::symlink_metadata(&student).is_err());
}

/// Stops a run when a line is noted, or, without one, when its work is about to end.
struct StopAt(&'static str, AtomicBool);

impl Progress for StopAt {
    fn note(&self, line: &str) {
        if line == self.0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn stopped(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }
}

/// Asked to stop when a stage has begun that does not listen, it is recorded as done, and the next is not begun.
#[test]
fn a_wish_to_stop_at_the_end_of_a_stage_does_not_discard_it() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    let pipeline = tiny(dir).pipeline("out").unwrap();
    let error = pipeline.run(&StopAt("score everybody", AtomicBool::new(false))).unwrap_err();
    assert!(scaletot_pipeline::is_stop(&error), "{error}");
    assert!(dir.join("out/scores.parquet").exists() && !dir.join("out/evaluation.json").exists());
    let notes = shop::Notes::default();
    pipeline.run(&notes).unwrap();
    let lines = notes.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("not run again")).count(), Stage::ALL.len() - 1);
    assert!(lines.iter().all(|line| !line.contains("resumed")), "{lines:?}");
    // The last stage of all leaves nothing to stop.
    fs::remove_file(dir.join("out/evaluation.json")).unwrap();
    pipeline.run(&StopAt("evaluate", AtomicBool::new(false))).unwrap();
}

#[test]
fn files_of_somebody_else_within_a_stages_directories_outlive_every_run() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    tiny(dir).run("out");
    let out = dir.join("out");
    let put = |name: &str| {
        fs::create_dir_all(out.join(name).parent().unwrap()).unwrap();
        fs::write(out.join(name), "mine").unwrap();
        out.join(name)
    };
    let foreign =
        ["encoder/mine/notes.txt", "encoder/.notes", "student/notes.txt", "value-model/learners/notes.txt"]
            .map(put);
    let other = || {
        let mut case = tiny(dir);
        case.config.distil.epochs = 3;
        case.pipeline("out").unwrap()
    };
    let before = bytes(&out);
    let refused = |pipeline: &scaletot_pipeline::Pipeline| causes(&pipeline.run(&()).unwrap_err());
    let message = refused(&other());
    assert!(message.contains("encoder/") && message.contains("move it away"), "{message}");
    let after = bytes(&out);
    let changed = |path: &&PathBuf| !path.ends_with(".lock") && after.get(*path) != before.get(*path);
    assert_eq!(before.keys().find(changed), None, "nothing was written or removed");
    // Where the teacher would have to be asked, that is known before.
    let (record, corpus) = (out.join("stages.json"), out.join("corpus.jsonl"));
    let text = fs::read_to_string(&record).unwrap();
    let (begin, end) = (text.find("\"reason\"").unwrap(), text.find("\"score everybody\"").unwrap());
    fs::write(&record, format!("{}{}", &text[..begin], &text[end..])).unwrap();
    fs::remove_file(&corpus).unwrap();
    let notes = shop::Notes::default();
    let message = causes(&tiny(dir).pipeline("out").unwrap().run(&notes).unwrap_err());
    assert!(message.contains("move it away") && notes.lines().is_empty(), "{message}");
    fs::write(&record, text).unwrap();
    // A fresh start removes what is ours.
    tiny(dir).pipeline("out").unwrap().start_over().unwrap();
    let mut expected = foreign.to_vec();
    expected.push(out.join(".lock"));
    expected.sort();
    assert_eq!(bytes(&out).into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn what_comes_beside_an_output_later_does_not_undo_its_stage() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    tiny(dir).run("out");
    let out = dir.join("out");
    let beside = [
        "artifact/SHA256SUMS.sig",
        "artifact/.DS_Store",
        "artifact/.notes",
        "value-model/Thumbs.db",
        "value-model/learners/.DS_Store",
        "student/.DS_Store",
        "encoder/._manifest.json",
        ".DS_Store",
    ]
    .map(|name| out.join(name));
    beside.iter().for_each(|path| fs::write(path, "later").unwrap());
    let (_, notes) = tiny(dir).run("out");
    assert_eq!(
        notes.iter().filter(|line| line.contains("not run again")).count(),
        Stage::ALL.len(),
        "{notes:?}"
    );
    assert!(beside.iter().all(|path| path.exists()));
    // Run again with other settings, what file managers leave is in nobody's way, and a signature goes with what it was of.
    fs::remove_file(out.join("artifact/.notes")).unwrap();
    let mut case = tiny(dir);
    case.config.distil.epochs = 3;
    case.run("out");
    assert!(!out.join("artifact/SHA256SUMS.sig").exists());
}

#[test]
fn a_fresh_start_helps_where_the_record_of_stages_is_old_or_damaged() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    tiny(dir).run("out");
    let (out, record) = (dir.join("out"), dir.join("out/stages.json"));
    let whole = bytes(&out);
    let good = fs::read_to_string(&record).unwrap();
    let restore = || {
        whole.iter().for_each(|(path, bytes)| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        });
    };
    fs::write(out.join("notes.txt"), "mine").unwrap();
    for bad in [
        good.replacen("\"format\": 3", "\"format\": 2", 1),
        good.replacen("\"stages\"", "\"stagez\"", 1),
        good[..good.len() / 2].to_owned(),
        String::new(),
        "\0".repeat(good.len()),
    ] {
        restore();
        fs::write(&record, &bad).unwrap();
        let pipeline = tiny(dir).pipeline("out").unwrap();
        let message = causes(&pipeline.run(&()).unwrap_err());
        assert!(message.contains("stages.json") && message.contains("--fresh"), "{message}");
        pipeline.start_over().unwrap();
        let left: Vec<PathBuf> = bytes(&out).into_keys().collect();
        assert_eq!(left, [".lock", "notes.txt"].map(|name| out.join(name)));
        assert!(pipeline.covered(&()).is_ok());
    }
    // That of an evaluation, and what is none of ours, are left alone.
    for other in [good.replacen("\"run\"", "\"evaluation\"", 1), "{\"tennis\": [6, 4]}".to_owned()] {
        restore();
        fs::write(&record, &other).unwrap();
        assert!(tiny(dir).pipeline("out").is_err());
        assert_eq!(fs::read_to_string(&record).unwrap(), other);
    }
}
