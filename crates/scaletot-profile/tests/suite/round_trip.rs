//! What is written reads back as it was.
#![cfg(any(feature = "csv", feature = "parquet"))]

use crate::common;
use proptest::prelude::*;
#[cfg(feature = "csv")]
use scaletot_profile::Value;
use scaletot_profile::{Attributes, ProfileTable, ReadOptions, UserIds, read, write};

fn check(extension: &str, table: &ProfileTable, attributes: &Attributes) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table").with_extension(extension);
    write(&path, "customer", table.ids(), Some(table), attributes).unwrap();
    let options = ReadOptions::new().with_number("spend").with_text("tier").with_flag("active");
    let back = read(&path, table.schema(), &options).unwrap();
    assert_eq!(back.profiles, *table);
    assert_eq!(back.attributes, *attributes);
    for row in 0..table.len() {
        assert_eq!(back.profiles.profile_key(row), table.profile_key(row));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[cfg(feature = "csv")]
    #[test]
    fn csv_reads_back((table, attributes) in common::tables(20)) {
        check("csv", &table, &attributes);
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn parquet_reads_back((table, attributes) in common::tables(20)) {
        check("parquet", &table, &attributes);
    }

    #[cfg(all(feature = "csv", feature = "parquet"))]
    #[test]
    fn both_formats_hold_the_same((table, attributes) in common::tables(12)) {
        let dir = tempfile::tempdir().unwrap();
        let loaded = ["a.csv", "a.parquet"].map(|name| {
            let path = dir.path().join(name);
            write(&path, "customer", table.ids(), Some(&table), &attributes).unwrap();
            read(&path, table.schema(), &ReadOptions::new().with_number("spend")).unwrap()
        });
        prop_assert_eq!(&loaded[0], &loaded[1]);
    }
}

/// More rows than are held in memory at once.
#[cfg(feature = "parquet")]
#[test]
fn many_batches_read_back() {
    let schema = std::sync::Arc::new(common::all_kinds());
    let ids = UserIds::Int((0..20_000).collect());
    let rows: Vec<_> = (0..20_000u32)
        .map(|i| {
            (
                Some(i % 3),
                (i % 7 != 0).then_some(i % 6),
                Some(f64::from(i)),
                Some(i % 2 == 0),
                Some(vec![i % 3]),
            )
        })
        .collect();
    let table = common::build(&schema, &ids, &rows);
    check_profiles("parquet", &table);
    #[cfg(feature = "csv")]
    check_profiles("csv", &table);
}

#[cfg(feature = "parquet")]
fn check_profiles(extension: &str, table: &ProfileTable) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table").with_extension(extension);
    write(&path, "customer", table.ids(), Some(table), &Attributes::new()).unwrap();
    assert_eq!(read(&path, table.schema(), &ReadOptions::new()).unwrap().profiles, *table);
}

/// Scores of users without their profiles.
#[cfg(feature = "csv")]
#[test]
fn attributes_alone_are_written_with_ids() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scores.csv");
    let mut attributes = Attributes::new();
    attributes.insert_number("value", vec![Some(0.1), None]).unwrap();
    let ids = UserIds::from(vec!["007".to_owned(), "8".to_owned()]);
    write(&path, "user", &ids, None, &attributes).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "user,value\n007,0.1\n8,\n");
}

/// Without types "7" is an integer, unless the reader is told otherwise; "007" makes the whole column text.
#[cfg(feature = "csv")]
#[test]
fn csv_ids_keep_their_form() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let schema = scaletot_profile::ProfileSchema::builder("s")
        .with_field(scaletot_profile::FieldSpec::numeric("x"))
        .build()
        .unwrap();
    let ids = |text: &str, options: &ReadOptions| {
        std::fs::write(&path, text).unwrap();
        read(&path, &schema, options).unwrap().profiles.ids().clone()
    };
    let texts = |ids: &[&str]| UserIds::Text(ids.iter().map(|id| (*id).to_owned()).collect());
    let new = ReadOptions::new();
    assert_eq!(ids("id,x\n7,1\n-8,2\n", &new), UserIds::Int(vec![7, -8]));
    assert_eq!(ids("id,x\n7,1\n008,2\n", &new), texts(&["7", "008"]));
    assert_eq!(ids("id,x\n7,1\n 8,2\n", &new), texts(&["7", " 8"]));
    assert_eq!(ids("id,x\n7,1\n8,2\n", &new.clone().with_text_ids()), texts(&["7", "8"]));
    assert_eq!(ids("id,x\n99999999999999999999,1\n", &new), texts(&["99999999999999999999"]));
}

#[cfg(feature = "csv")]
#[test]
fn csv_of_other_systems_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    // A byte-order mark, CRLF, blank lines, other order, further columns, no line end at the end.
    let text = "\u{feff}junk,tags,customer,age,owner,income,city\r\n\r\nx,b;a;,1, 55+ ,YES,1e3,1\r\n\r\ny,;,2,NA,0,,York";
    std::fs::write(&path, text).unwrap();
    let table = read(&path, &common::all_kinds(), &ReadOptions::new()).unwrap().profiles;
    let row = |row: usize| (0..5).map(|field| table.value(row, field)).collect::<Vec<_>>();
    assert_eq!(
        row(0),
        [
            Some(Value::Code(2)),
            Some(Value::Code(4)),
            Some(Value::Number(1000.0)),
            Some(Value::Flag(true)),
            Some(Value::Codes(&[0, 1]))
        ]
    );
    assert_eq!(row(1), [None, Some(Value::Code(5)), None, Some(Value::Flag(false)), Some(Value::Codes(&[]))]);
    assert_eq!(table.populated(1), 3);
}
