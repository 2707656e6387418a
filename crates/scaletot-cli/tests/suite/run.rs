//! From a table to scores, and what becomes of a run that is stopped.

use std::fs;

use scaletot_profile::{ProfileSchema, ReadOptions, read, write};

use crate::common::{Ran, USERS, scaletot, users};
use crate::inspect::looks_into_a_run;

#[test]
fn a_drafted_task_runs_as_it_is_and_is_looked_into_and_serves() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    users(dir);
    scaletot(dir, "init users.csv").done();
    let run = "run --task users.task.toml --coverage 0.4 --out out";
    let out = scaletot(dir, run).done();
    assert!(out.contains("Written under out: corpus.jsonl, "), "{out}");
    assert!(out.contains("scaletot score --artifact out/artifact "), "{out}");
    // The rules that were drafted about the interests and the channel are blanks, but others are not.
    assert!(!out.contains("`engagement`, `spending_capacity`"), "{out}");
    for name in ["corpus.jsonl", "student", "artifact", "scores.parquet", "summary.json"] {
        assert!(dir.join("out").join(name).exists(), "{name}");
    }

    // A run that is done is not run again.
    let again = scaletot(dir, run);
    assert!(again.err.contains("not run again"), "{}", again.err);
    assert!(again.done().contains("Written under out: corpus.jsonl, "));
    let summary = scaletot(dir, &format!("{run} --json")).json();
    assert_eq!((&summary["users"]["table"], &summary["seed"]), (&USERS.into(), &1.into()));
    looks_into_a_run(dir);
    let other = scaletot(dir, "run --task users.task.toml --coverage 0.3 --out out").failed();
    assert!(other.contains("coverage: 0.4 there, 0.3 here") && other.contains("--fresh"), "{other}");

    // An artifact that does not reach what was asked of it is no success, and serves nobody.
    let refused = scaletot(dir, &format!("{run} --min-agreement 1"));
    assert_eq!(refused.code, 4, "{}\n{}", refused.out, refused.err);
    let last = refused.out.lines().last().unwrap();
    assert!(last.contains("not ready to serve") && last.contains("--min-agreement"), "{last}");
    scaletot(dir, run).done();

    // The artifact scores users from Parquet files; a file that is none is left out and said so.
    let schema = ProfileSchema::load(dir.join("users.profile.toml")).unwrap();
    let loaded = read(dir.join("users.csv"), &schema, &ReadOptions::new()).unwrap();
    fs::create_dir(dir.join("users")).unwrap();
    let file = dir.join("users/a.parquet");
    write(&file, "user", loaded.profiles.ids(), Some(&loaded.profiles), &Default::default()).unwrap();
    let score = "score --artifact out/artifact --input users/*.parquet";
    let out = scaletot(dir, &format!("{score} --output scores")).done();
    assert!(out.contains(&format!("{USERS} users in 1 file are scored")), "{out}");
    // A table in CSV, with a value that nobody had, is scored too.
    let csv = fs::read_to_string(dir.join("users.csv")).unwrap().replace(",web,", ",kiosk,");
    fs::write(dir.join("later.csv"), csv).unwrap();
    let later = "score --artifact out/artifact --input later.csv --output later";
    assert!(scaletot(dir, later).done().contains(" channel ("));
    let other = scaletot(dir, &format!("{later} --columns q50")).failed();
    assert!(other.contains("columns: value there, q50 here") && other.contains("--fresh"), "{other}");
    scaletot(dir, &format!("{later} --columns q50 --fresh --id user")).done();
    let run = scaletot(dir, "score --artifact out --input later.csv --output later").failed();
    assert!(run.contains("its artifact is out/artifact"), "{run}");
    fs::write(dir.join("users/b.parquet"), "no table").unwrap();
    let stopped = scaletot(dir, &format!("{score} --output others"));
    assert_eq!(stopped.code, 1, "{}", stopped.err);
    let left_out = scaletot(dir, &format!("{score} --output others --on-error quarantine"));
    assert_eq!(left_out.code, 4, "{}\n{}", left_out.out, left_out.err);
    let last = left_out.out.lines().last().unwrap();
    assert!(last.starts_with("left out: 1 ") && last.contains("quarantine.json"), "{last}");
}

#[cfg(unix)]
#[test]
fn a_run_that_is_stopped_by_any_signal_says_how_to_resume() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    for signal in ["-INT", "-TERM", "-HUP"] {
        let child = begun(dir, "");
        send(&child, &[signal]);
        let ran = Ran::of(&child.wait_with_output().unwrap());
        assert_eq!(ran.code, 3, "{signal}: {}\n{}", ran.out, ran.err);
        assert!(ran.err.contains("run the same command again to resume"), "{signal}: {}", ran.err);
        assert!(!dir.join("out/summary.json").exists());
    }
}

/// Starts a demo that ignores a signal, or none, and gives its process when it holds its directory, before which it listens to signals.
#[cfg(unix)]
fn begun(dir: &std::path::Path, ignored: &str) -> std::process::Child {
    // The tests themselves may run in the background, where a shell has them ignore signals.
    let reset = if cfg!(target_os = "linux") { "env --default-signal=HUP,INT,TERM" } else { "" };
    let trap = if ignored.is_empty() { String::new() } else { format!("trap '' {ignored};") };
    let child = std::process::Command::new("sh")
        .args([
            "-c",
            &format!("exec {reset} sh -c '{}exec \"$0\" demo --out out' \"$0\"", trap.replace('\'', "\"")),
            env!("CARGO_BIN_EXE_scaletot"),
        ])
        .current_dir(dir)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let began = std::time::Instant::now();
    let holder = || fs::read_to_string(dir.join("out/.lock")).unwrap_or_default();
    let process = format!("process {},", child.id());
    while !holder().starts_with(&process) && began.elapsed().as_secs() < 120 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child
}

#[cfg(unix)]
fn send(child: &std::process::Child, signals: &[&str]) {
    for signal in signals {
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, id.as_str()]).status().unwrap().success());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_is_ignored_when_the_program_starts_stays_ignored() {
    for (ignored, heard) in [("HUP", "-TERM"), ("INT", "-HUP")] {
        let temporary = tempfile::tempdir().unwrap();
        let mut child = begun(temporary.path(), ignored);
        send(&child, &[&format!("-{ignored}")]);
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none(), "{ignored} ended it");
        send(&child, &[heard]);
        let ran = Ran::of(&child.wait_with_output().unwrap());
        assert_eq!(ran.code, 3, "{ignored}: {}\n{}", ran.out, ran.err);
        assert_eq!(ran.err.matches("stopping at the next safe point").count(), 1, "{ignored}: {}", ran.err);
    }
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_the_program_at_once_and_the_run_is_resumed() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let child = begun(dir, "");
    // Both come while it stands still, so that no stage can end in between.
    send(&child, &["-STOP", "-INT", "-TERM", "-CONT"]);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, 130, "{}\n{}", ran.out, ran.err);
    let child = begun(dir, "");
    send(&child, &["-INT"]);
    assert_eq!(Ran::of(&child.wait_with_output().unwrap()).code, 3, "the directory is taken again");
}

/// Two processes: this one holds the directory, the program wants it.
#[test]
fn a_directory_that_another_process_holds_is_refused_with_its_holder() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    users(dir);
    scaletot(dir, "init users.csv").done();
    let lock = scaletot_core::files::DirLock::acquire(dir.join("out")).unwrap();
    for command in [
        "demo --out out",
        "run --task users.task.toml --out out",
        "evaluate --quick --out out",
        "init users.csv --name other --out out",
    ] {
        let error = scaletot(dir, command).failed();
        let holder = format!("in use by another run (process {}, host ", std::process::id());
        assert!(error.contains(&holder), "{command}: {error}");
    }
    drop(lock);
    assert_eq!(fs::read_dir(dir.join("out")).unwrap().count(), 1, "nothing but the lock file");
}

#[test]
fn answers_are_recorded_once_and_replayed() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let answers =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../scaletot-pipeline/data/complete_journey.smollm2.jsonl.gz");
    let record = format!("record --task complete-journey --teacher replay:{answers} --to copy.jsonl --json");
    let first = scaletot(dir, &record).json();
    assert_eq!(
        (&first["prompts"], &first["asked"], &first["users"]),
        (&14_186.into(), &14_186.into(), &801.into())
    );
    assert_eq!(scaletot(dir, &record).json()["asked"], 0, "what is recorded is not asked again");
    let found = scaletot(dir, "inspect copy.jsonl").done();
    assert!(found.contains("14,186 answers of SmolLM2-135M"), "{found}");
    users(dir);
    scaletot(dir, "init users.csv").done();
    let rules =
        scaletot(dir, "record --task users.task.toml --teacher rules:users.rules.toml --to r.jsonl").failed();
    assert!(rules.contains("expected gguf:FILE or openai:URL#MODEL"), "{rules}");
}

#[test]
fn a_table_without_ids_is_run_and_scored_and_told_what_it_lacks() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let towns = ["Ulm", "Bath", "Lyon"];
    let row = |i: usize| format!("{},{},{}\n", towns[i % 3], ["red", "blue"][i / 2 % 2], i * 7 % 5);
    let csv: String = (0..120).map(row).collect();
    fs::write(dir.join("shop.csv"), format!("town,colour,ltv\n{csv}")).unwrap();
    let init = scaletot(dir, "init shop.csv").done();
    assert!(init.contains("Rows are numbered: no column has a value of its own in every row"), "{init}");
    let run = scaletot(dir, "run --task shop.task.toml").done();
    // Every rule is a blank, and the directory has the task's name.
    assert!(run.contains("warning: the teacher's answers about `engagement`, `spending_capacity`"), "{run}");
    assert!(dir.join("scaletot-out/shop/summary.json").exists());
    scaletot(dir, "score --artifact scaletot-out/shop/artifact --input shop.csv --output scores").done();
    let scores = scaletot(dir, "inspect scores/shop.parquet").done();
    assert!(scores.contains("120 rows") && scores.contains("row number"), "{scores}");
}
