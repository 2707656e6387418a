//! What does not fit is refused, and the message says what was expected, what came and where.
#![cfg(feature = "csv")]

use std::path::PathBuf;

use crate::common;
use scaletot_profile::{
    Attributes, Error, FieldSpec, ProfileSchema, ReadOptions, UserIds, Value, read_csv, read_csv_from,
    write_csv,
};

/// The message for a CSV file of that content, with the folder cut off.
fn refusal_with(content: impl AsRef<[u8]>, options: &ReadOptions) -> (String, Error) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("people.csv");
    std::fs::write(&path, content).unwrap();
    let error = read_csv(&path, &common::all_kinds(), options).unwrap_err();
    let folder = format!("{}{}", dir.path().display(), std::path::MAIN_SEPARATOR);
    (error.to_string().replace(&folder, ""), error)
}

fn refusal(content: impl AsRef<[u8]>) -> String {
    refusal_with(content, &ReadOptions::new()).0
}

const HEADER: &str = "customer,age,city,income,owner,tags\n";

#[test]
fn wrong_types() {
    assert_eq!(
        refusal(format!("{HEADER}1,55+,1,10,yes,a\n\n2,55+,1,ten,yes,a\n")),
        r#"people.csv, row 2 (line 4), column "income": expected a finite number, found "ten""#
    );
    assert_eq!(
        refusal(format!("{HEADER}1,55+,1,10,perhaps,a\n")),
        r#"people.csv, row 1 (line 2), column "owner": expected true or false (or yes/no, t/f, y/n, 1/0), found "perhaps""#
    );
    // As other languages write numbers.
    for number in ["1,5", "1.200,50", "1,200"] {
        let message = refusal(format!("{}1;55+;1;{number};yes;a\n", HEADER.replace(',', ";")));
        assert!(message.contains(&format!("{number:?}; write numbers with a decimal point")), "{message}");
    }
    assert!(
        refusal(format!("{HEADER}1,55+,1,inf,yes,a\n")).ends_with(r#"expected a finite number, found "inf""#)
    );
}

#[test]
fn lines_are_those_of_an_editor() {
    let windows = format!("{HEADER}1,,,,,\n2,,\"two\nlines\",,,\n\n3,x,,,,\n").replace('\n', "\r\n");
    // The value with the line break is an unknown one here, since its break is CRLF; it goes to the bucket.
    assert!(refusal(windows).starts_with(r#"people.csv, row 3 (line 6), column "age": "#));
}

#[test]
fn unknown_categories() {
    assert_eq!(
        refusal(format!("{HEADER}1,55+,1,10,yes,a\n2,56+,1,10,yes,a\n")),
        r#"people.csv, row 2 (line 3), column "age": expected one of "18-34", "35-54", "55+", found "56+"; unknown = "bucket" in the profile schema takes it"#
    );
    assert_eq!(
        refusal(format!("{HEADER}1,55+,1,10,yes,a;e\n")),
        r#"people.csv, row 1 (line 2), column "tags": expected one of "a", "b", "c d", found "e"; unknown = "bucket" in the profile schema takes it"#
    );
}

#[test]
fn numbers_out_of_range() {
    assert!(
        refusal(format!("{HEADER}1,55+,1,-1e301,yes,a\n"))
            .contains(r#"column "income": expected a finite number of at least -1"#)
    );
}

#[test]
fn ids() {
    assert_eq!(
        refusal(format!("{HEADER}1,,,,,\n2,,,,,\n1,,,,,\n")),
        r#"people.csv, row 3 (line 4), column "customer": the id "1" is already in row 1; ids must be unique"#
    );
    // A text among integers comes between.
    assert!(refusal(format!("{HEADER}1,,,,,\nx,,,,,\n1,,,,,\n")).contains("row 3 (line 4)"));
    assert!(
        refusal(format!("{HEADER}01,,,,,\nx,,,,,\nx,,,,,\n")).contains(r#"the id "x" is already in row 2"#)
    );
    assert_eq!(
        refusal(format!("{HEADER}1,,,,,\n ,,,,,\n")),
        r#"people.csv, row 2 (line 3), column "customer": expected a user id, found an empty cell"#
    );
}

#[test]
fn columns() {
    assert_eq!(
        refusal("customer,age,city,Income,owner,tags\n"),
        "people.csv: no column \"income\", which is wanted as a profile field; the columns are \"customer\", \"age\", \
         \"city\", \"Income\", \"owner\", \"tags\"; \"Income\" is another name, since capitals and blanks count: rename it"
    );
    assert!(refusal("customer, age,city,income,owner,tags\n").contains(r#"; " age" is another name"#));
    assert!(
        refusal("id,age\n")
            .starts_with(r#"people.csv: no column "customer", which is wanted as the user id; "#)
    );
    assert!(
        refusal_with(HEADER, &ReadOptions::new().with_number("spend"))
            .0
            .contains(r#"no column "spend", which is wanted as a number"#)
    );
    assert_eq!(
        refusal("customer,age,city,income,owner,tags,age\n"),
        r#"people.csv: column "age" occurs twice, as columns 2 and 7"#
    );
}

#[test]
fn files_that_are_cut_off_or_damaged() {
    assert_eq!(
        refusal(format!("{HEADER}1,55+,1,10,yes,a\n2,55+,1")),
        "people.csv, row 2 (line 3): the file is cut off or damaged: expected 6 cells as in the header, found 3"
    );
    assert_eq!(
        refusal(format!("{HEADER}1,55+,1,10,yes,a\n2,55+,1,10,yes,\"a;")),
        "people.csv, row 2 (line 3): the file is cut off or damaged: the file ends within quotes"
    );
    // A quote that is never closed swallows the rows after it.
    assert_eq!(
        refusal(format!("{HEADER}1,55+,\"1,10,yes,a\n2,55+,1,10,yes,a\n3,55+,1,10,yes,a\n")),
        "people.csv, row 1 (line 2): the file is cut off or damaged: the file ends within quotes"
    );
    assert!(refusal("").contains("expected a header line, found an empty file"));
    assert!(refusal("customer,\"age").contains("ends within quotes"));
    assert_eq!(
        refusal([HEADER.as_bytes(), b"1,55+,Z\xfcrich,10,yes,a\n"].concat()),
        "people.csv, row 1 (line 2): the file is cut off or damaged: column \"city\" is not valid UTF-8: save the table as UTF-8; it may be in Latin-1 or Windows-1252"
    );
}

/// Wherever a row is cut, except inside its last cell, reading fails.
#[test]
fn every_cut_inside_a_row_is_seen() {
    let text = format!("{HEADER}1,55+,\"Bath, UK\",10,yes,a;b\n2,18-34,1,10,no,\"c d\"\n");
    let last = text.trim_end().rfind('\n').unwrap() + 1;
    for cut in last + 1..text.rfind(',').unwrap() {
        assert!(refusal(&text[..cut]).contains("row 2 (line 3)"), "cut at {cut}");
    }
}

#[test]
fn a_table_as_a_spreadsheet_writes_it_is_read_or_refused_with_the_remedy() {
    let schema = ProfileSchema::builder("test").with_field(FieldSpec::numeric("x")).build().unwrap();
    let read = |table: &[u8]| read_csv_from(table, "t.csv", &schema, &ReadOptions::new());
    for table in [
        "\u{feff}id,x,note\r\n1,2,\"two\r\nlines\"\r\n2,,\r\n",
        "\u{feff}note;id;x\r\n\"a;b\";1;2\r\n;2;\r\n\r\n",
        "id\tx\tnote\n1\t2\t\"a\tb\"\n2\t\t",
        "x,note,id\r2,\"a,b\",1\r,,2\r",
    ] {
        let loaded = read(table.as_bytes()).unwrap();
        assert_eq!(loaded.profiles.ids(), &UserIds::Int(vec![1, 2]), "{table:?}");
        assert_eq!([0, 1].map(|row| loaded.profiles.value(row, 0)), [Some(Value::Number(2.0)), None]);
    }
    let nobody = read(b"id,x\r\n").unwrap();
    assert!(nobody.profiles.is_empty());
    let message = read(b"sep=;\r\nid;x\r\n1;2\r\n").unwrap_err().to_string();
    assert!(message.contains("t.csv: found a first line `sep=`") && message.contains("remove"), "{message}");
    // Only the whole line is meant.
    assert!(read(b"sep=,id,x\n0,1,2\n").is_ok());
}

#[test]
fn attributes() {
    let header = HEADER.replace('\n', ",spend,tier,active\n");
    let options =
        ReadOptions::new().with_number("spend").with_text("tier").with_flag("active").with_missing(["NULL"]);
    assert_eq!(
        refusal_with(format!("{header}1,,,,,,NULL,NULL,\n2,,,,,,many,gold,1\n"), &options).0,
        r#"people.csv, row 2 (line 3), column "spend": expected a finite number, found "many""#
    );
}

#[test]
fn files_that_are_not_there_or_of_another_kind() {
    let schema = common::all_kinds();
    let error = read_csv("no/such/file.csv", &schema, &ReadOptions::new()).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path == &PathBuf::from("no/such/file.csv")));
    let error = scaletot_profile::read("people.xlsx", &schema, &ReadOptions::new()).unwrap_err();
    assert_eq!(error.to_string(), "people.xlsx: expected a file name that ends in .csv or .parquet");
    #[cfg(not(feature = "parquet"))]
    assert_eq!(
        scaletot_profile::read("people.parquet", &schema, &ReadOptions::new()).unwrap_err().to_string(),
        "people.parquet: this file needs the feature `parquet` of scaletot-profile, which is not enabled"
    );
}

#[test]
fn what_cannot_be_written_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.csv");
    let ids = UserIds::Int(vec![1, 2]);
    let mut attributes = Attributes::new();
    attributes.insert_number("id", vec![Some(1.0), None]).unwrap();
    let error = write_csv(&path, "id", &ids, None, &attributes).unwrap_err();
    assert!(
        error.to_string().ends_with(r#"out.csv: column "id" occurs twice, as columns 1 and 2"#),
        "{error}"
    );
    let error = write_csv(&path, "user", &UserIds::Int(vec![1]), None, &attributes).unwrap_err();
    assert!(error.to_string().ends_with("rows of the attributes: expected 1, found 2"), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn csv_rows_that_do_not_fit_can_be_left_out() {
    let schema =
        ProfileSchema::builder("test").with_field(FieldSpec::numeric("x").with_min(0.0)).build().unwrap();
    let table = "id,x,spend\n1,1,2\n2,-1,2\n,1,2\n4,1,much\n5,1,\n";
    let options = ReadOptions::new().with_number("spend").with_bad_rows_left_out();
    let loaded = read_csv_from(table.as_bytes(), "t.csv", &schema, &options).unwrap();
    assert_eq!(loaded.profiles.ids(), &UserIds::Int(vec![1, 5]));
    assert_eq!(loaded.attributes.number("spend"), Some(&[Some(2.0), None][..]));
    let messages: Vec<String> = loaded.left_out.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            r#"t.csv, row 2 (line 3), column "x": expected a finite number of at least 0, found -1"#,
            r#"t.csv, row 3 (line 4), column "id": expected a user id, found an empty cell"#,
            r#"t.csv, row 4 (line 5), column "spend": expected a finite number, found "much""#,
        ]
    );
    let numbered = read_csv_from(table.as_bytes(), "t.csv", &schema, &options.with_numbered_ids()).unwrap();
    assert_eq!(numbered.profiles.ids(), &UserIds::Int(vec![1, 3, 5]));
}

#[test]
fn a_csv_row_that_repeats_an_id_is_ragged_or_not_in_utf_8_costs_itself_alone() {
    let schema = ProfileSchema::builder("test").with_field(FieldSpec::numeric("x")).build().unwrap();
    let table =
        b"id,name,x\n1,a,1\n2,b\n3,c,3,3\n1,d,4\n5,M\xfcller,5\n\"6\",\"two\nlines\",6\n6,e,7\n8,f,8\n9,g";
    let read = |options: &ReadOptions| read_csv_from(&table[..], "t.csv", &schema, options);
    let loaded = read(&ReadOptions::new().with_text("name").with_bad_rows_left_out()).unwrap();
    assert_eq!(loaded.profiles.ids(), &UserIds::Int(vec![1, 6, 8]));
    let names = loaded.attributes.text("name").unwrap().iter().flatten().collect::<Vec<_>>();
    assert_eq!(names, ["a", "two\nlines", "f"]);
    let messages: Vec<String> = loaded.left_out.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "t.csv, row 2 (line 3): expected 3 cells as in the header, found 2",
            "t.csv, row 3 (line 4): expected 3 cells as in the header, found 4",
            r#"t.csv, row 4 (line 5), column "id": expected an id that no row before has, found "1" of row 1"#,
            r#"t.csv, row 5 (line 6), column "name": expected UTF-8, found other bytes: save the table as UTF-8; it may be in Latin-1 or Windows-1252"#,
            r#"t.csv, row 7 (line 9), column "id": expected an id that no row before has, found "6" of row 6"#,
            "t.csv, row 9 (line 11): expected 3 cells as in the header, found 2",
        ]
    );
    // Rows are numbered with those that were left out.
    let numbered = read(&ReadOptions::new().with_numbered_ids().with_bad_rows_left_out()).unwrap();
    assert_eq!(numbered.profiles.ids(), &UserIds::Int(vec![1, 4, 6, 7, 8]));
    // Where it is not asked for, the first is an error, and so is text behind a closing quote in any case.
    assert!(read(&ReadOptions::new()).unwrap_err().to_string().contains("row 2 (line 3)"));
    let quoted = b"id,name,x\n1,\"a\\\"b\",1\n2,b,2\n";
    let options = ReadOptions::new().with_bad_rows_left_out();
    let error = read_csv_from(&quoted[..], "t.csv", &schema, &options).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}

#[test]
fn a_table_of_which_nearly_nothing_fits_is_refused_and_not_listed_row_by_row() {
    let schema = ProfileSchema::builder("test").with_field(FieldSpec::numeric("x")).build().unwrap();
    let options = ReadOptions::new().with_bad_rows_left_out();
    let read = |sound: usize, bad: usize| {
        let sound = (0..sound).map(|id| format!("{id},1\n")).collect::<String>();
        read_csv_from(format!("id,x\n{sound}{}", "1\n".repeat(bad)).as_bytes(), "t.csv", &schema, &options)
    };
    assert_eq!(read(0, 100_000).unwrap().left_out.len(), 100_000);
    let message = read(0, 100_001).unwrap_err().to_string();
    let told =
        "t.csv: found 100001 rows that do not fit, and only 0 that do, so far; the first: row 1 (line 2)";
    assert!(message.starts_with(told) && message.contains("a table of the profile schema"), "{message}");
    assert_eq!(read(100_001, 100_001).unwrap().profiles.len(), 100_001);
}
