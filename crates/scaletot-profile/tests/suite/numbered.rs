//! Tables without an id column, and CSV that is not in a file.
#![cfg(feature = "csv")]

use std::io::{self, Read};
use std::path::Path;

use scaletot_profile::{
    Error, FieldSpec, Loaded, ProfileSchema, ReadOptions, Result, UserIds, read_csv_from,
};

const TABLE: &str = "recency,spend\n10,0\n3,12.5\n1,\n";

fn schema() -> ProfileSchema {
    ProfileSchema::builder("shop")
        .with_id_column("row")
        .with_field(FieldSpec::numeric("recency").with_min(1.0))
        .build()
        .unwrap()
}

fn read_text(text: &str) -> Result<Loaded> {
    read_csv_from(
        text.as_bytes(),
        "shop.csv",
        &schema(),
        &ReadOptions::new().with_number("spend").with_numbered_ids(),
    )
}

#[test]
fn rows_are_numbered_from_one() {
    let loaded = read_text(TABLE).unwrap();
    assert_eq!(loaded.profiles.ids(), &UserIds::Int(vec![1, 2, 3]));
    assert_eq!(loaded.attributes.number("spend"), Some(&[Some(0.0), Some(12.5), None][..]));
    assert_eq!(read_text("recency,spend\n").unwrap().profiles.len(), 0);
}

#[test]
fn a_column_of_the_ids_name_is_passed_over() {
    let loaded = read_text("row,recency,spend\n7,10,0\n7,3,1\n").unwrap();
    assert_eq!(loaded.profiles.ids(), &UserIds::Int(vec![1, 2]));
}

#[test]
fn without_the_option_an_id_column_is_needed() {
    let error = read_csv_from(TABLE.as_bytes(), "shop.csv", &schema(), &ReadOptions::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"shop.csv: no column "row", which is wanted as the user id; the columns are "recency", "spend""#
    );
}

#[test]
fn errors_name_the_source_the_row_and_the_line() {
    let error = read_text("recency,spend\n10,0\n\n0,0\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"shop.csv, row 2 (line 4), column "recency": expected a finite number of at least 1, found 0"#
    );
}

#[test]
fn a_source_that_fails_is_an_error_of_its_own() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "cut off"))
        }
    }
    let source = "recency,spend\n10,0\n".as_bytes().chain(Broken);
    let options = ReadOptions::new().with_number("spend").with_numbered_ids();
    let error = read_csv_from(source, "shop.csv.gz", &schema(), &options).unwrap_err();
    assert!(matches!(&error, Error::Io { path, action: "read", .. } if path == Path::new("shop.csv.gz")));
    assert_eq!(error.to_string(), "shop.csv.gz: cannot read");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "cut off");
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_rows_are_numbered_across_batches() {
    use scaletot_profile::{Attributes, write};

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.parquet");
    let rows = 20_000;
    let mut columns = Attributes::new();
    columns.insert_number("recency", (0..rows).map(|row| Some(f64::from(row % 12 + 1))).collect()).unwrap();
    let ids = UserIds::Int((0..i64::from(rows)).map(|row| row * 3).collect());
    write(&path, "customer", &ids, None, &columns).unwrap();

    let loaded = scaletot_profile::read(&path, &schema(), &ReadOptions::new().with_numbered_ids()).unwrap();
    assert_eq!(loaded.profiles.ids(), &UserIds::Int((1..=i64::from(rows)).collect()));
    assert!(scaletot_profile::read(&path, &schema(), &ReadOptions::new()).is_err());
}
