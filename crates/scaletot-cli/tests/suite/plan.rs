//! `scaletot plan`.

use std::fs;

use crate::common::{scaletot, users};

#[test]
fn the_embedded_table_is_counted_without_a_checkout() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let out = scaletot(dir, "plan --task complete-journey --coverage 0.2").done();
    for part in [
        "2,469 users, 801 with at least 3 populated fields",
        "14,186",
        "0.029 s an answer",
        "6 min",
        "100.0 %",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "nothing is written");

    fs::write(
        dir.join("prices.toml"),
        "currency = \"EUR\"\n[models.small]\nper_million_tokens = 2.0\n[models.large]\nper_call = 0.01\nper_hour = 3.6\n",
    )
    .unwrap();
    let with =
        "plan --task complete-journey --prices prices.toml --seconds-per-call 0.5 --at-a-time 2 --json";
    let plan = scaletot(dir, &format!("{with} --model large")).json();
    assert_eq!((&plan["everybody"]["questions"], &plan["currency"]), (&14_186.into(), &"EUR".into()));
    assert_eq!(plan["everybody_seconds"].as_f64(), Some(14_186.0 * 0.5 / 2.0));
    let cost = plan["everybody_cost"].as_f64().unwrap();
    assert!((cost - (141.86 + 14_186.0 * 0.5 * 0.001)).abs() < 1e-9, "{cost}");
    let several = scaletot(dir, with).failed();
    assert!(several.contains("prices of `large`, `small`: choose one with --model"), "{several}");
    let unknown = scaletot(dir, &format!("{with} --model other")).failed();
    assert!(unknown.contains("expected a price of `other`"), "{unknown}");
    let negative = scaletot(dir, "plan --task complete-journey --seconds-per-call=-1").failed();
    assert!(negative.contains("--seconds-per-call: expected a number of at least 0, found -1"), "{negative}");
}

#[test]
fn a_task_is_the_same_in_options() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    users(dir);
    scaletot(dir, "init users.csv").done();
    let by_task = scaletot(dir, "plan --task users.task.toml --json").json();
    let options = "--data users.csv --profile-schema users.profile.toml --chain-schema users.chain.toml --outcome ltv_30d";
    let by_options = scaletot(dir, &format!("plan {options} --json")).json();
    for key in ["users", "eligible", "curve", "everybody", "run", "preview"] {
        assert_eq!(by_task[key], by_options[key], "{key}");
    }
    assert_eq!(by_task["eligible"], 108);
}

#[test]
fn what_a_run_would_find_late_is_found_by_the_plan() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    users(dir);
    scaletot(dir, "init users.csv").done();
    let plan = "plan --task users.task.toml";
    let out = scaletot(dir, plan).done();
    for part in ["Known outcomes: ", "are little for OSIPO", "The rules of the task answer at once"] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    // Edits one of the files, looks what the plan says, and takes the edit back.
    let edited = |kind: &str, from: &str, to: &str| {
        let file = dir.join(format!("users.{kind}.toml"));
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from}\n{text}");
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let ran = scaletot(dir, plan);
        fs::write(&file, text).unwrap();
        ran
    };
    let state = edited("rules", "state = \"retention\"", "state = \"retentoin\"").failed();
    assert!(state.contains("users.rules.toml") && state.contains("retentoin"), "{state}");
    let values = "values = [\"low\", \"moderate\", \"high\"]";
    let single = edited("chain", values, "values = [\"low\"]").failed();
    assert!(single.contains("state `engagement`: expected two values or more"), "{single}");
    let id = edited("profile", "id = \"user\"", "id = \"ltv_30d\"").failed();
    assert!(id.contains("`id` names column `ltv_30d`, which is the outcome"), "{id}");
    let nobody = edited("task", "rules = \"users.rules.toml\"", "").done();
    assert!(nobody.contains("Nobody answers yet") && nobody.contains("--teacher"), "{nobody}");

    let csv = fs::read_to_string(dir.join("users.csv")).unwrap();
    let few: String = csv.lines().take(40).map(|line| format!("{line}\n")).collect();
    fs::write(dir.join("users.csv"), few).unwrap();
    let refused = scaletot(dir, plan).done();
    assert!(refused.contains("A run on this table is refused: at least 20 users"), "{refused}");
}

/// What is known of a table before the first question.
#[test]
fn outcomes_and_profiles_that_serve_nobody_are_refused_before_anybody_is_asked() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    users(dir);
    scaletot(dir, "init users.csv").done();
    let csv = fs::read_to_string(dir.join("users.csv")).unwrap();
    let task = fs::read_to_string(dir.join("users.task.toml")).unwrap();
    // Another outcome for each user, by the row; the last column is the outcome.
    let with = |outcome: &dyn Fn(usize) -> String| -> String {
        let row = |(at, line): (usize, &str)| match (at, line.rsplit_once(',').unwrap()) {
            (0, _) => format!("{line},arm,visit\n"),
            (_, (rest, _)) => format!("{rest},{}\n", outcome(at)),
        };
        csv.lines().enumerate().map(row).collect()
    };
    let arm = |at: usize| ["no", "yes"][at % 2];
    let known = |at: usize| (at % 5).to_string();
    let experiment = "\n[experiment]\narm = \"arm\"\ncontrol = \"no\"\ntreatment = \"an e-mail\"\noutcomes = [\"visit\"]\n";
    type Case<'a> = (&'a str, bool, &'a dyn Fn(usize) -> String);
    let cases: [Case<'_>; 7] = [
        ("must differ", false, &|at| format!("0,{},1", arm(at))),
        ("must differ", false, &|at| format!("{},{},1", u8::from(at == 7), arm(at))),
        ("at least 20 users", false, &|at| {
            format!("{},{},1", if at < 28 { known(at) } else { String::new() }, arm(at))
        }),
        ("1e308", false, &|at| {
            format!("{},{},1", if at == 9 { "1e308".to_owned() } else { known(at) }, arm(at))
        }),
        ("at least 0.01", false, &|at| format!("{}e-9,{},1", known(at), arm(at))),
        ("column `visit`", true, &|at| format!("{},{},", known(at), arm(at))),
        ("column `visit`", true, &|at| {
            format!("{},{},{}", known(at), arm(at), if at % 2 == 0 { "1" } else { "" })
        }),
    ];
    for (expected, has_experiment, outcome) in cases {
        fs::write(dir.join("users.csv"), with(outcome)).unwrap();
        let text = if has_experiment { format!("{task}{experiment}") } else { task.clone() };
        fs::write(dir.join("users.task.toml"), text).unwrap();
        // The experiment is a matter of the evaluation alone.
        let commands = ["evaluate --quick --out out", "run --out out", "plan"];
        for &command in &commands[..if has_experiment { 1 } else { 3 }] {
            let ran = scaletot(dir, &format!("{command} --task users.task.toml"));
            let told = format!("{}{}", ran.out, ran.err);
            assert!(told.contains(expected), "{command}: {expected}: {told}");
            assert!(
                ran.code == 1 || command == "plan" && told.contains("A run on this table is refused"),
                "{told}"
            );
            assert!(!dir.join("out").exists(), "{command} began");
        }
    }
}

#[test]
fn profiles_of_more_values_than_a_regression_takes_are_refused_before_anybody_is_asked() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let rows = 4000;
    let csv: String = (0..rows).map(|at| format!("u{at},t{},{},{}\n", at % 2500, at % 7, at % 11)).collect();
    fs::write(dir.join("users.csv"), format!("user,town,age,ltv\n{csv}")).unwrap();
    scaletot(dir, "init users.csv").done();
    let values: Vec<String> = (0..2500).map(|at| format!("\"t{at}\"")).collect();
    let field =
        format!("\n[[field]]\nname = \"town\"\nkind = \"categorical\"\nvalues = [{}]\n", values.join(", "));
    let profile = fs::read_to_string(dir.join("users.profile.toml")).unwrap();
    if !profile.contains("name = \"town\"") {
        fs::write(dir.join("users.profile.toml"), profile + &field).unwrap();
    }
    for command in [
        "run --out out --min-populated 1",
        "evaluate --quick --out out --min-populated 1",
        "plan --min-populated 1",
    ] {
        let ran = scaletot(dir, &format!("{command} --task users.task.toml"));
        let told = format!("{}{}", ran.out, ran.err);
        assert!(told.contains("columns of a regression"), "{command}: {told}");
        assert!(ran.code == 1 || command.starts_with("plan"), "{told}");
        assert!(!dir.join("out").exists(), "{command} began");
    }
}
