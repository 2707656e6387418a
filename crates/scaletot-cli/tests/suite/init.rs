//! `scaletot init` on awkward tables.

use std::fs::{self, File};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use crate::common::{scaletot, users};

#[test]
fn a_draft_is_written_shown_and_never_overwritten() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    users(dir);
    let out = scaletot(dir, "init users.csv").done();
    for part in [
        "user id `user`, outcome `ltv_30d`",
        "age_band   ordinal",
        "joined  a date",
        "A user aged 18-34, ",
        "Overall, this user's interest in what is offered is",
        "scaletot run --task users.task.toml",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    for kind in ["profile", "chain", "rules", "task"] {
        assert!(dir.join(format!("users.{kind}.toml")).is_file(), "{kind}");
    }

    let chain = dir.join("users.chain.toml");
    let edited = fs::read_to_string(&chain).unwrap() + "# edited\n";
    fs::write(&chain, &edited).unwrap();
    let refused = scaletot(dir, "init users.csv").failed();
    assert!(refused.contains("users.profile.toml is there already: --force overwrites it"), "{refused}");
    assert_eq!(fs::read_to_string(&chain).unwrap(), edited);
    scaletot(dir, "init users.csv --out other --subject Someone").done();
    let other = fs::read_to_string(dir.join("other/users.task.toml")).unwrap();
    let table = dir.join("users.csv").canonicalize().unwrap();
    assert!(other.contains(&format!("table = {:?}", table.display().to_string())), "{other}");
    scaletot(dir, "init users.csv --force").done();
    assert_ne!(fs::read_to_string(&chain).unwrap(), edited);
}

#[test]
fn a_program_reads_what_was_found() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    users(dir);
    let printed =
        scaletot(dir, "init users.csv --json --exclude channel,member --segment age_band --name shop").json();
    assert_eq!((&printed["id"], &printed["outcome"]), (&"user".into(), &"ltv_30d".into()));
    let column = |name: &str| {
        let columns = printed["columns"].as_array().unwrap();
        columns.iter().find(|column| column["name"] == name).unwrap().clone()
    };
    assert_eq!(column("age_band")["values"], serde_json::json!(["18-34", "35-54", "55+"]));
    assert_eq!(
        (column("income")["kind"].clone(), column("interests")["kind"].clone()),
        ("numeric".into(), "multi".into())
    );
    assert_eq!(column("channel")["reason"], "excluded on request");
    assert_eq!(printed["preview"]["profiles"].as_array().unwrap().len(), 3);
    assert!(fs::read_to_string(dir.join("shop.task.toml")).unwrap().contains("segment = \"age_band\""));
}

#[test]
fn a_parquet_table_with_lists_dates_and_numbers_loads() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let rows = 60;
    let mut tags = ListBuilder::new(StringBuilder::new());
    for i in 0..rows {
        match i % 3 {
            0 => tags.append_null(),
            1 => tags.append_value([Some("a"), Some("b")]),
            _ => tags.append_value([Some("b")]),
        }
    }
    let column = |name, array: ArrayRef| (name, array, true);
    let size = |i: usize| (!i.is_multiple_of(5)).then_some((i % 3 + 1) as f64);
    let batch = RecordBatch::try_from_iter_with_nullable([
        column("id", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        column("tags", Arc::new(tags.finish())),
        column("joined", Arc::new(Date32Array::from_iter_values((0..rows as i32).map(|i| 19_000 + i)))),
        column("size", Arc::new((0..rows).map(size).collect::<Float64Array>())),
        column(
            "score",
            Arc::new((0..rows).map(|i| Some(f64::from(i as u32) * 0.5 - 3.0)).collect::<Float64Array>()),
        ),
        column("member", Arc::new((0..rows).map(|i| Some(i % 2 == 0)).collect::<BooleanArray>())),
        column(
            "town",
            Arc::new((0..rows).map(|i| Some(["Ulm", "unknown", "Bath"][i % 3])).collect::<StringArray>()),
        ),
        column("revenue", Arc::new((0..rows).map(|i| Some((i % 4) as f64)).collect::<Float64Array>())),
    ])
    .unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(dir.join("t.parquet")).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let printed = scaletot(dir, "init t.parquet --json").json();
    let kinds: Vec<(&str, &str)> = printed["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| {
            (column["name"].as_str().unwrap(), column["kind"].as_str().or(column["use"].as_str()).unwrap())
        })
        .collect();
    let expected = [
        ("id", "id"),
        ("tags", "multi"),
        ("joined", "left out"),
        ("size", "ordinal"),
        ("score", "numeric"),
        ("member", "boolean"),
        ("town", "categorical"),
        ("revenue", "outcome"),
    ];
    assert_eq!(kinds, expected);
    // What was drafted reads the table: floats that are whole as "1", lists as lists, "unknown" as missing.
    let plan = scaletot(dir, "plan --task t.task.toml --json").json();
    assert_eq!(plan["eligible"], 60);
}

#[test]
fn what_cannot_be_told_is_asked_for() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let refused = |csv: &str, more: &str| {
        fs::write(dir.join("t.csv"), csv).unwrap();
        scaletot(dir, &format!("init t.csv {more}")).failed()
    };
    let outcome = refused("id,town,size\n1,Ulm,3\n2,Bath,4\n", "");
    assert!(
        outcome.contains("no column looks like an outcome") && outcome.contains("--outcome COL"),
        "{outcome}"
    );
    let column = refused("id,town,ltv\n1,Ulm,3\n2,Bath,4\n", "--outcome sales");
    assert!(column.contains("there is no column `sales`; the columns are `id`, `town`, `ltv`"), "{column}");
    assert!(
        refused("id;ltv\n1;2\n", "").contains("expected at least one column that can be a profile field")
    );
    assert!(refused("id,ltv\n1,2,3\n", "").contains("row 1"));
    assert!(refused("", "").contains("t.csv"));
    let other = scaletot(dir, "init t.xlsx").failed();
    assert!(other.contains("expected a table in a .parquet, .csv or .csv.gz file"), "{other}");
    fs::write(dir.join("bad.parquet"), "PAR1 and no more").unwrap();
    assert!(scaletot(dir, "init bad.parquet").failed().contains("bad.parquet"));
    assert!(!dir.join("t.task.toml").exists(), "nothing is written where nothing can be drafted");
}

#[test]
fn a_draft_leaves_its_files_and_nothing_else() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    users(dir);
    scaletot(dir, "init users.csv").done();
    scaletot(dir, "init users.csv").failed();
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(
        names,
        ["users.chain.toml", "users.csv", "users.profile.toml", "users.rules.toml", "users.task.toml"]
    );
}
