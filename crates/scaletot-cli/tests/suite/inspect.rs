//! `scaletot inspect` on everything that a run writes.

use std::fs;
use std::path::Path;

use crate::common::scaletot;

/// Looks into everything in a directory where a drafted task was run.
pub(crate) fn looks_into_a_run(dir: &Path) {
    let look = |arguments: &str| scaletot(dir, &format!("inspect {arguments}")).done();
    for (path, parts) in [
        ("out", &["Stages", "Models on the held-out users", "out/corpus.jsonl"][..]),
        ("out/corpus.jsonl", &["a corpus of 48 users", "accepted", "outcome_level", "Example chains"]),
        (
            "out/artifact",
            &["age_band   ordinal", "canaries: this machine computes", "From student to encoder", "KiB"],
        ),
        ("out/value-model", &["a value model", "ridge", "weight"]),
        ("out/student", &["parameters", "outcome_level"]),
        ("out/summary.json", &["| Spearman", "strongest, profile alone", "held-out users, paired bootstrap"]),
        ("out/evaluation.json", &["strongest, profile alone", "top-decile value share"]),
        ("out/transfer.json", &["agreement of the most probable values", "outcome_level"]),
        ("out/scores.parquet", &["120 rows", "p_positive", "12 without one (10.0 %)", "u0001"]),
    ] {
        let found = look(path);
        for part in parts {
            assert!(found.contains(part), "{path}: {part}\n{found}");
        }
        assert!(
            !found.contains("no difference shown between") && !found.contains("normalised_gini"),
            "{found}"
        );
        let json = scaletot(dir, &format!("inspect {path} --json")).json();
        assert!(json["kind"].is_string(), "{path}");
    }
    // Whatever is listed opens.
    let run = scaletot(dir, "inspect out --json").json();
    for file in run["files"].as_array().unwrap() {
        look(&format!("out/{}", file.as_str().unwrap()));
    }
    assert_eq!(run["device"], "flex");
    let corpus = scaletot(dir, "inspect out/corpus.jsonl --json").json();
    assert_eq!((&corpus["users"], corpus["states"].as_array().unwrap().len()), (&48.into(), 5));

    // One user, by the run's directory or the corpus.
    let user = corpus["examples"][0]["user"].as_str().unwrap().to_owned();
    let record = look(&format!("out --user {user}"));
    assert!(record.contains("Chosen chain") && record.contains("Posterior"), "{record}");
    assert_eq!(record, look(&format!("out/corpus.jsonl --user {user}")));
    let nobody = scaletot(dir, "inspect out --user nobody").failed();
    assert!(nobody.contains("user nobody is not among its 48 users; the first one is "), "{nobody}");

    // The search as a tree, with the task's rules, in the terminal and as a page.
    let tree = look(&format!("out --user {user} --task users.task.toml"));
    for part in ["engagement (h ", "├─ ", "└─ ", " *", "J -", "Rounds"] {
        assert!(tree.contains(part), "{part}\n{tree}");
    }
    look(&format!("out --user {user} --task users.task.toml --html tree.html"));
    let page = fs::read_to_string(dir.join("tree.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("Chosen chain"), "{page}");
    look("out/corpus.jsonl --html corpus.html");
    assert!(fs::read_to_string(dir.join("corpus.html")).unwrap().contains("<td>accepted</td>"));

    // Pages are written over, and nothing else.
    look("out/corpus.jsonl --html corpus.html");
    for file in ["out/corpus.jsonl", "users.csv", "out/artifact", "users.task.toml"] {
        let before = fs::read(dir.join(file)).ok();
        let refused = scaletot(dir, &format!("inspect out/corpus.jsonl --html {file}")).failed();
        assert!(refused.contains("is not written over"), "{refused}");
        assert_eq!(fs::read(dir.join(file)).ok(), before);
    }

    // Of a damaged corpus what is sound is shown, and the rest is named.
    let corpus = fs::read_to_string(dir.join("out/corpus.jsonl")).unwrap();
    let (kept, last) = corpus.trim_end().rsplit_once('\n').unwrap();
    fs::create_dir(dir.join("damaged")).unwrap();
    let damaged = |text: String, arguments: &str| {
        fs::write(dir.join("damaged/corpus.jsonl"), text).unwrap();
        scaletot(dir, &format!("inspect damaged/corpus.jsonl --task users.task.toml {arguments}"))
    };
    let flipped = format!("{kept}\n{}\n", last.replacen("\"verdict\"", "\"verdicT\"", 1));
    assert_ne!(flipped, corpus);
    for (text, arguments) in
        [(&flipped, ""), (&flipped, "--json"), (&corpus[..corpus.len() - 20].to_owned(), "")]
    {
        let ran = damaged(text.clone(), arguments);
        let all = format!("{}{}", ran.out, ran.err);
        assert!(
            ran.code == 4 && ran.out.contains("47") && all.contains("line 49 (user "),
            "{}: {all}",
            ran.code
        );
    }
    for whole in [corpus.replace('\n', "\r\n"), format!("{corpus}{last}\n")] {
        assert!(damaged(whole, "").done().contains("a corpus of 48 users"));
    }

    // A corpus by itself names no states; the task does.
    fs::create_dir(dir.join("alone")).unwrap();
    fs::copy(dir.join("out/corpus.jsonl"), dir.join("alone/x.jsonl")).unwrap();
    let alone = scaletot(dir, "inspect alone/x.jsonl").failed();
    assert!(alone.contains("name it with --task TASK or --chain-schema FILE"), "{alone}");
    look("alone/x.jsonl --task users.task.toml");
    look("alone/x.jsonl --chain-schema users.chain.toml");

    // Another teacher would draw another tree.
    let rules = fs::read_to_string(dir.join("users.rules.toml")).unwrap();
    fs::write(dir.join("other.rules.toml"), rules + "# another\n").unwrap();
    let other = format!("inspect out --user {user} --task users.task.toml --teacher rules:other.rules.toml");
    let error = scaletot(dir, &other).failed();
    assert!(error.contains("name the other with --teacher"), "{error}");
}
