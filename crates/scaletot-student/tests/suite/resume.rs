//! Training that is interrupted, and what is left of it.

use std::path::Path;

use crate::common::{self, Listener, batches_of, quick, records, sft, student, table};
use scaletot_core::Progress;
use scaletot_student::{Checkpoints, Error, LoraConfig, SftConfig, SftLog, Stop, Student};

const USERS: usize = 60;

/// Everything random is on: order, fields and elements dropped, early stopping.
fn config(path: &Path) -> SftConfig {
    let mut config = quick();
    (config.epochs, config.dropout, config.field_dropout) = (3, 0.1, 0.1);
    (config.patience, config.validation_share) = (1, 0.1);
    config.checkpoints = Some(Checkpoints::at(path).with_every(2));
    config
}

fn run(config: &SftConfig, progress: &dyn Progress) -> Result<(Student, SftLog), Error> {
    let all = table(USERS, 3);
    sft(&student(&all, 1), &all, &records(&all), config, 7, progress)
}

fn on_a_gpu() -> bool {
    std::env::var("BURN_DEVICE").is_ok_and(|device| device == "wgpu")
}

fn same(a: &(Student, SftLog), b: &(Student, SftLog)) -> bool {
    let inference =
        |student: &Student| student.infer(&table(USERS, 3), &[0, 1, 2, 3], &batches_of(4)).unwrap();
    // A GPU adds up in an order of its own.
    let (of_a, of_b) = (inference(&a.0), inference(&b.0));
    if on_a_gpu() {
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-2;
        let [a, b] = [&of_a, &of_b].map(|inference| inference.signals().representation_values());
        return a.iter().zip(b).all(near);
    }
    a.1 == b.1 && of_a == of_b
}

#[test]
fn an_interrupted_run_gives_what_an_uninterrupted_one_gives() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deeper/sft.checkpoint");
    let mut plain = config(&path);
    plain.checkpoints = None;
    let whole = run(&plain, &()).unwrap();
    // Four steps an epoch: within the first, at its end, within the second, and in the last.
    for stop_after in [1, 4, 7, 11] {
        let listener = Listener { stop_after, ..Listener::default() };
        let error = run(&config(&path), &listener).unwrap_err();
        assert!(error.to_string().contains("sft.checkpoint"), "{error}");
        assert_eq!(listener.steps.into_inner(), stop_after);
    }
    let listener = Listener::default();
    let resumed = run(&config(&path), &listener).unwrap();
    assert!(same(&whole, &resumed), "{:?} {:?}", whole.1, resumed.1);
    assert_eq!(listener.steps.into_inner(), 12);
    // What is over is not done again.
    let stopped_at_once = Listener { stop_after: 1, ..Listener::default() };
    assert!(same(&whole, &run(&config(&path), &stopped_at_once).unwrap()));
}

#[test]
fn another_run_is_told_so_and_leaves_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sft.checkpoint");
    run(&config(&path), &Listener { stop_after: 3, ..Listener::default() }).unwrap_err();
    let before = std::fs::read(&path).unwrap();
    let all = table(USERS, 3);
    let wrong = |what: &str, result: Result<(Student, SftLog), Error>| {
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::OtherRun { what: found, .. } if found == what), "{error}");
    };
    let good = config(&path);
    let mut settings = good.clone();
    settings.learning_rate *= 2.0;
    wrong("settings", run(&settings, &()));
    wrong("seed", sft(&student(&all, 1), &all, &records(&all), &good, 8, &()));
    wrong("student", sft(&student(&all, 2), &all, &records(&all), &good, 7, &()));
    let mut other = common::tiny();
    other.rope_theta *= 2.0;
    let other = Student::new(&other, &all, &common::chain_schema(), 1, &Default::default()).unwrap();
    wrong("student", sft(&other, &all, &records(&all), &good, 7, &()));
    let adapted = student(&all, 1).with_lora(&LoraConfig::default(), 1).unwrap();
    wrong("student", sft(&adapted, &all, &records(&all), &good, 7, &()));
    wrong("users", sft(&student(&all, 1), &all, &records(&all)[1..], &good, 7, &()));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    // Torn files are told from checkpoints.
    for end in [0, 7, before.len() / 2] {
        std::fs::write(&path, &before[..end]).unwrap();
        let error = run(&good, &()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }
    std::fs::write(&path, &before).unwrap();
    run(&good, &()).unwrap();
}

#[test]
fn every_change_of_a_byte_of_a_checkpoint_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sft.checkpoint");
    run(&config(&path), &Listener { stop_after: 3, ..Listener::default() }).unwrap_err();
    let whole = std::fs::read(&path).unwrap();
    let first_line = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for at in (0..first_line).step_by(3).chain((first_line..whole.len()).step_by(whole.len() / 20)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, bytes).unwrap();
        let error = run(&config(&path), &()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. } | Error::Format { .. }), "byte {at}: {error}");
    }
    // A file that grew, up to the size of a disk, is not read; nor is what is no file.
    std::fs::write(&path, &whole).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let error = run(&config(&path), &()).unwrap_err();
    assert!(error.to_string().contains("bytes behind the first line, found"), "{error}");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(run(&config(&path), &()).unwrap_err(), Error::File(_)));
}

/// The adapters' weights and moments come back, too, and patience goes on counting.
#[test]
fn adapters_resume_and_patience_counts_on() {
    if on_a_gpu() {
        println!("skipped: at this rate the order of additions decides when patience ends");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sft.checkpoint");
    let all = table(USERS, 3);
    let mut wild = config(&path);
    // So high a rate that the held-out loss soon rises.
    (wild.epochs, wild.learning_rate, wild.explosion) = (30, 0.3, 1e6);
    let adapted = student(&all, 1).with_lora(&LoraConfig::default(), 1).unwrap();
    let run = |config: &SftConfig, progress: &dyn Progress| {
        sft(&adapted, &all, &records(&all), config, 7, progress)
    };
    let mut plain = wild.clone();
    plain.checkpoints = None;
    let whole = run(&plain, &()).unwrap();
    assert_eq!(whole.1.stop, Stop::Patience);
    let stop_after = 4 * whole.1.epochs.len() as u64 - 2;
    run(&wild, &Listener { stop_after, ..Listener::default() }).unwrap_err();
    assert!(same(&whole, &run(&wild, &()).unwrap()));
}

#[test]
fn a_run_that_diverges_leaves_its_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sft.checkpoint");
    let mut wild = config(&path);
    (wild.learning_rate, wild.clip_norm, wild.warmup, wild.epochs) = (1e-2, None, 0.0, 4);
    wild.checkpoints = Some(Checkpoints::at(&path).with_every(1));
    // The second batch's loss is many times the first's, or no number.
    wild.learning_rate = 1e3;
    let error = run(&wild, &()).unwrap_err();
    let Error::Diverged { checkpoint: Some(left), step, .. } = &error else { unreachable!("{error}") };
    assert_eq!((left, *step > 1), (&path, true));
    assert!(error.to_string().contains("sft.checkpoint"), "{error}");
    // It is there and whole: the same run comes to the same end from it.
    let again = run(&wild, &()).unwrap_err();
    assert!(matches!(again, Error::Diverged { step: at, .. } if at == *step), "{again}");
}
