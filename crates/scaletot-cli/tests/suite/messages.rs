//! Exit codes, and messages that say what to do.

use crate::common::{scaletot, users};

#[test]
fn a_command_line_that_is_not_valid_ends_with_2() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    for arguments in [
        "",
        "nothing",
        "run",
        "plan --task a.toml --outcome b",
        "inspect",
        "inspect a --html b --json",
        "score --artifact a",
        "run --task a.toml --teacher smollm",
        "evaluate --device quantum",
        "completions tcsh",
    ] {
        let ran = scaletot(dir, arguments);
        assert_eq!(ran.code, 2, "{arguments}: {}", ran.err);
    }
    let ran = scaletot(dir, "run --task a.toml --teacher smollm");
    assert!(
        ran.err.contains("expected replay:FILE, gguf:FILE, rules:FILE or openai:URL#MODEL"),
        "{}",
        ran.err
    );
    let ran = scaletot(dir, "run --task a.toml --workers 0");
    assert!(ran.err.contains("expected a whole number from 1 to 1024"), "{}", ran.err);
    for absurd in ["plan --task a --at-a-time", "score --artifact a --input b --output c --threads"] {
        let ran = scaletot(dir, &format!("{absurd} 4000000"));
        assert!(ran.code == 2 && ran.err.contains("from 1 to 1024"), "{}", ran.err);
    }
    let ran = scaletot(dir, "run");
    assert!(ran.err.contains("--task"), "{}", ran.err);
}

#[test]
fn a_password_on_a_command_line_that_is_not_valid_is_not_shown() {
    let temporary = tempfile::tempdir().unwrap();
    for teacher in ["openai:http://bob:hunter2@10.0.0.7/v1", "openia:http://bob:hunter2@10.0.0.7/v1#m"] {
        let ran = scaletot(temporary.path(), &format!("run --task a.toml --teacher {teacher}"));
        assert!(ran.code == 2 && !ran.err.contains("hunter2"), "{}", ran.err);
        assert!(ran.err.contains("[credentials]@10.0.0.7"), "{}", ran.err);
    }
}

#[test]
fn help_tells_the_exit_codes_and_completions_complete() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let help = scaletot(dir, "--help").done();
    for part in ["Exit codes:", "stopped on request", "init", "plan", "inspect"] {
        assert!(help.contains(part), "{part}\n{help}");
    }
    for command in ["demo", "init", "plan", "record", "run", "score", "evaluate", "inspect", "completions"] {
        let help = scaletot(dir, &format!("{command} --help")).done();
        assert!(["SIGTERM, SIGHUP", "  4  ", "130  "].iter().all(|part| help.contains(part)), "{help}");
    }
    assert!(scaletot(dir, "inspect --help").done().contains("--html"));
    let run = scaletot(dir, "run --help").done();
    let (users, others) = (run.find("Users:").unwrap(), run.find("--coverage").unwrap());
    assert!(others < users && run.find("--profile-schema").unwrap() > users, "{run}");
    assert!(scaletot(dir, "completions bash").done().contains("_scaletot()"));
}

#[test]
fn a_backend_that_is_not_compiled_in_is_told_with_its_command() {
    if cfg!(feature = "vulkan") {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let error = scaletot(temporary.path(), "evaluate --quick --device vulkan").failed();
    assert!(
        error.contains("the backend `vulkan` is not compiled in: it needs the feature `vulkan`"),
        "{error}"
    );
    assert!(error.contains("cargo install --path crates/scaletot-cli --features vulkan"), "{error}");
}

#[test]
fn errors_name_what_was_expected_and_the_next_step() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    users(dir);
    let cases = [
        ("plan --task nothing", "expected the name of a task (complete-journey, "),
        ("plan --task nothing.toml", "cannot open nothing.toml"),
        ("plan --task hillstrom-visit", "needs a table, passed with `--data`"),
        ("evaluate --task nothing", "which may also be `planted`"),
        ("evaluate --task complete-journey --min-populated 9", "has 9 populated fields (`min_populated`)"),
        ("inspect nowhere", "cannot find nowhere"),
        ("inspect users.csv", "this file is none of them"),
        ("inspect .", "this directory is none of them"),
        ("score --artifact nowhere --input users.csv --output out", "nowhere"),
        ("plan --task complete-journey --min-populated 8", "no user of 2469 has 8 populated fields"),
        (
            "plan --task complete-journey --coverage 2",
            "`coverage`: expected a share above 0 and at most 1, found 2",
        ),
    ];
    for (arguments, expected) in cases {
        let error = scaletot(dir, arguments).failed();
        assert!(error.starts_with("error: ") && error.contains(expected), "{arguments}: {error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{arguments}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
    use std::fs::OpenOptions;
    use std::process::Stdio;

    use crate::common::program;

    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let plan = ["plan", "--task", "complete-journey"];
    for command in [&plan[..], &["completions", "bash"]] {
        let mut child = program(dir).args(command).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{command:?}");
    }
    if let Ok(full) = OpenOptions::new().write(true).open("/dev/full") {
        let output =
            program(dir).args(plan).stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output();
        let output = output.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("cannot write to standard output"), "{error}");
    }
}

#[cfg(not(feature = "signature"))]
#[test]
fn an_option_of_a_feature_that_was_not_built_says_how_to_build_it() {
    let temporary = tempfile::tempdir().unwrap();
    let score = "score --artifact a --input users.csv --output scores --verify-key key.pem";
    let message = scaletot(temporary.path(), score).failed();
    assert!(message.contains("--verify-key") && message.contains("--features signature"), "{message}");
}
