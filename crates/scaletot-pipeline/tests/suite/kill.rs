//! Runs that are killed again and again, each in a process of its own, and end with the files of one that nobody disturbed.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use scaletot_pipeline::{FileJob, PipelineConfig, ScoreSummary, Scorer, Stage, Summary};

use super::population::{Case, bytes, finished_parts};
use super::shop::{self, write_inputs};

/// Names the directory that a child process writes to, beside its inputs.
pub(super) const PLACE: &str = "SCALETOT_KILLED_RUN";

/// The record of stages in an output directory.
const STAGES: &str = "stages.json";

/// The number of the signal that cannot be caught.
const SIGKILL: i32 = 9;

/// How a child process ended.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    Killed,
    Finished,
}

/// Starts one of the tests below that work in a child process, and kills it at a moment, which is asked for with the process's number,
/// unless it ended before.
pub(super) fn child(test: &str, place: &Path, mut moment: impl FnMut(u32) -> bool) -> End {
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(PLACE, place)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while child.try_wait().unwrap().is_none() && !moment(child.id()) {
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    // One that ended just before the signal came was not killed.
    let status = child.wait().unwrap();
    match status.signal() {
        Some(SIGKILL) => End::Killed,
        _ => {
            assert!(status.success(), "{test}: {status}");
            End::Finished
        }
    }
}

/// A run of seconds, on two threads.
fn tiny(dir: &Path) -> shop::Case<'_> {
    let mut config = PipelineConfig::default();
    (config.coverage, config.calibration_users) = (0.4, 60);
    (config.student.d_model, config.student.n_layers, config.student.d_ff) = (16, 1, 32);
    (config.sft.epochs, config.osipo.epochs, config.distil.epochs) = (6, 3, 8);
    shop::Case { config, ..shop::case(dir) }
}

/// The pipeline of the next test; nothing if it is run as a test.
#[test]
fn pipeline_child() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let place = Path::new(&place);
    tiny(place.parent().unwrap()).run(place.file_name().unwrap().to_str().unwrap());
}

/// The stage that a run is in, or was in when it was killed, if it was in one.
fn stage_under_way(out: &Path) -> Option<Stage> {
    let text = fs::read_to_string(out.join(STAGES)).ok()?;
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let begun =
        |stage: &Stage| record["stages"].get(stage.name()).is_some_and(|entry| entry["done"].is_null());
    Stage::ALL.into_iter().find(begun)
}

/// Kills a run three times in every stage, early and late, then lets it end; counts the kills by the stage that each was in, or between two.
fn kill_in_every_stage(dir: &Path, out: &str, whole: &Summary) -> BTreeMap<Option<Stage>, usize> {
    let place = dir.join(out);
    let written = || fs::metadata(place.join(STAGES)).and_then(|record| record.modified()).ok();
    let mut kills = BTreeMap::new();
    for stage in Stage::ALL {
        for share in [0.0, 0.4, 0.8] {
            let wait = Duration::from_secs_f64(share * seconds(whole, stage));
            let (before, mut since) = (written(), None);
            let end = child("kill::pipeline_child", &place, |_| {
                // The record tells of the run before until this one begins a stage.
                if written() == before {
                    return false;
                }
                let at = stage_under_way(&place);
                if since.is_none() && at >= Some(stage) {
                    since = Some(Instant::now());
                }
                at > Some(stage) || since.is_some_and(|since| since.elapsed() >= wait)
            });
            if end == End::Killed {
                *kills.entry(stage_under_way(&place)).or_default() += 1;
            }
        }
    }
    tiny(dir).run(out);
    kills
}

#[test]
fn a_pipeline_killed_in_every_stage_ends_with_the_same_files() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    let (whole, _) = tiny(dir).run("whole");
    let mut kills: BTreeMap<Option<Stage>, usize> = BTreeMap::new();
    // The shortest stages take milliseconds: on a busy machine one may be over before it is seen.
    for round in 0..3 {
        let out = format!("killed {round}");
        for (stage, more) in kill_in_every_stage(dir, &out, &whole) {
            *kills.entry(stage).or_default() += more;
        }
        assert_same_files(&dir.join(&out), &dir.join("whole"));
        if Stage::ALL.iter().all(|&stage| kills.contains_key(&Some(stage))) {
            break;
        }
    }
    assert!(Stage::ALL.iter().all(|&stage| kills.contains_key(&Some(stage))), "{kills:?}");
    assert!(kills.values().sum::<usize>() >= 16, "{kills:?}");
}

fn seconds(summary: &Summary, stage: Stage) -> f64 {
    let of_stage = summary.stages.iter().find(|done| done.name == stage.name());
    of_stage.map(|done| done.report.seconds).unwrap()
}

/// The same files with the same bytes; of the summary and the record of stages all but wall time and what the teacher was asked in a run.
fn assert_same_files(killed: &Path, whole: &Path) {
    let files = |out: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
        let file = |(path, bytes): (PathBuf, Vec<u8>)| {
            let name = path.strip_prefix(out).unwrap().to_owned();
            let counts = ["summary.json", STAGES].map(Path::new).contains(&name.as_path());
            (name, if counts { shop::figures(&path).into_bytes() } else { bytes })
        };
        // A checkpoint names weights by numbers that are drawn anew in every process.
        let kept = |(path, _): &(PathBuf, _)| path.extension().is_none_or(|kind| kind != "checkpoint");
        bytes(out).into_iter().filter(kept).map(file).collect()
    };
    let (killed, whole) = (files(killed), files(whole));
    assert!(killed.keys().eq(whole.keys()), "{:?} after kills, else {:?}", killed.keys(), whole.keys());
    let differing: Vec<_> =
        whole.iter().filter(|&(name, bytes)| killed[name] != *bytes).map(|(name, _)| name).collect();
    assert!(differing.is_empty(), "{differing:?} differ after kills");
}

/// The fresh start of the next test; nothing if it is run as a test.
#[test]
fn fresh_child() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let place = Path::new(&place);
    let pipeline =
        tiny(place.parent().unwrap()).pipeline(place.file_name().unwrap().to_str().unwrap()).unwrap();
    pipeline.start_over().unwrap();
}

#[test]
fn a_fresh_start_that_is_killed_leaves_a_directory_that_the_next_run_takes() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    tiny(dir).run("whole");
    let (whole, killed) = (bytes(&dir.join("whole")), dir.join("killed"));
    let mut kills = 0;
    for gone in ["evaluation.json", "artifact/manifest.json", "student-sft.log.json", "stages.json"] {
        for (path, bytes) in &whole {
            let path = killed.join(path.strip_prefix(dir.join("whole")).unwrap());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let end = child("kill::fresh_child", &killed, |_| !killed.join(gone).exists());
        kills += usize::from(end == End::Killed);
        tiny(dir).run("killed");
        assert_same_files(&killed, &dir.join("whole"));
    }
    assert!(kills > 0, "every fresh start came to its end");
}

/// The scoring run of the next test; nothing if it is run as a test.
#[test]
fn scoring_child() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    score(Path::new(&place));
}

/// Scores the users beside an output directory, on two threads.
fn score(output: &Path) -> ScoreSummary {
    let inputs = output.parent().unwrap();
    let job =
        FileJob::new([inputs.join("users").to_str().unwrap()], output).with_threads(2.try_into().unwrap());
    Scorer::open(inputs.join("artifact")).unwrap().score_files(&job, &()).unwrap()
}

#[test]
fn scoring_killed_again_and_again_ends_with_the_same_files() {
    let case = Case::new();
    for (file, name) in (0..).zip(["a.parquet", "b.parquet", "c.parquet"]) {
        case.users(name, file * 40_000, 40_000, 1000);
    }
    let (whole, killed) = (case.path("whole"), case.path("killed"));
    score(&whole);
    let (parts, mut kills) = (killed.join(".parts"), 0);
    for round in 0..16 {
        // A few row groups further, and at any moment of the next ones.
        let (wanted, mut since) = (finished_parts(&parts) + round % 5, None);
        let wait = Duration::from_micros(round as u64 * 7919 % 6000);
        let end = child("kill::scoring_child", &killed, |process| {
            let holder = fs::read_to_string(killed.join(".lock")).unwrap_or_default();
            let begun = holder.starts_with(&format!("process {process},"));
            if since.is_none() && begun && finished_parts(&parts) >= wanted {
                since = Some(Instant::now());
            }
            since.is_some_and(|since| since.elapsed() >= wait)
        });
        kills += usize::from(end == End::Killed);
    }
    let last = score(&killed);
    assert!(kills >= 12, "{kills} of 16 runs were killed");
    assert_eq!(last.users, 120_000);
    assert_same_files(&killed, &whole);
}
