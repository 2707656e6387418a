//! CSV files as other people's programs write them.
#![cfg(feature = "csv")]

use std::io::{self, Read};

use scaletot_profile::{
    Dataset, DatasetSpec, Error, FieldSpec, ProfileSchema, ReadOptions, Result, UserId, UserIds, Value,
    read_csv, read_csv_from,
};

fn schema() -> ProfileSchema {
    ProfileSchema::builder("test").with_field(FieldSpec::numeric("x")).build().unwrap()
}

fn read(table: impl AsRef<[u8]>) -> Result<scaletot_profile::Loaded> {
    read_csv_from(table.as_ref(), "people.csv", &schema(), &ReadOptions::new())
}

fn refused(table: impl AsRef<[u8]>) -> String {
    let error = read(table).map(|loaded| loaded.profiles.len()).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    error.to_string()
}

#[test]
fn cells_stand_between_whatever_the_header_shows() {
    for table in [
        "id,x\nu1,1.5\nu2,\n",
        "id;x\nu1;1.5\nu2;\n",
        "id\tx\r\nu1\t1.5\r\nu2\t\r\n",
        "id|x\nu1|1.5\nu2|\n",
        "\"id\";\"x\"\n\"u1\";\"1.5\"\nu2;\n",
        "\u{feff}id;x\nu1;1.5\nu2;\n",
        "\u{feff}\"id\",x\nu1,1.5\nu2,\n",
        "\n\nid;x\nu1;1.5\n\nu2;\n",
    ] {
        let table = read(table).unwrap().profiles;
        assert_eq!(table.ids(), &UserIds::Text(vec!["u1".to_owned(), "u2".to_owned()]));
        assert_eq!([table.value(0, 0), table.value(1, 0)], [Some(Value::Number(1.5)), None]);
    }
    // Quotes within and line ends do not depend on it.
    let table = read("id;x;note\n\"a;b\";1;\"two\nlines\"\n").unwrap().profiles;
    assert_eq!(table.id(0), UserId::from("a;b"));
    // Where there is a comma, it is the comma.
    assert!(matches!(read("id;a,x\n1,2\n").unwrap_err(), Error::MissingColumn { .. }));
}

#[test]
fn text_behind_a_closing_quote_is_refused_with_its_line() {
    // As programs write it that put a backslash before a quote.
    let message = refused("id,x\nu0,1\n\"u\\\"1\",2\n");
    assert!(message.starts_with("people.csv, row 2 (line 3)"), "{message}");
    assert!(
        message.contains("line 3: expected ',' or the end of the line after a closing quote"),
        "{message}"
    );
    assert!(refused("id;x\n\"u1\"x;2\n").contains("expected ';' or the end"));
    assert!(refused("id,\"x\"y\nu1,2\n").contains("the header: line 1: expected ','"));
    assert!(refused("id,x\nu1,\"1\n\" \n").contains("line 3: expected ','"));
    let sound = read("id,x\n\"u\"\"1\",\"2\"\n\"u,2\",3\nu\"3,4").unwrap().profiles;
    assert_eq!(sound.ids().iter().collect::<Vec<_>>(), [r#"u"1"#, "u,2", r#"u"3"#].map(UserId::from));
}

#[test]
fn what_is_no_text_in_utf_8_is_named_with_the_remedy() {
    let wide: Vec<u8> = "\u{feff}id,x\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (table, told) in [
        (wide.as_slice(), "text in UTF-16"),
        (&wide[2..], "text in UTF-16"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"\x1f\x8b\x08\x01", "a gzipped file"),
        (b"PK\x03\x04\x14\x01", "a workbook"),
    ] {
        let error = read(table).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(&format!("people.csv: found {told}")), "{message}");
    }
    for table in [&b"id,x\nM\xfcller,2\n"[..], b"id,x,caf\xe9\n1,2,3\n"] {
        let message = refused(table);
        assert!(message.contains("not valid UTF-8: save the table as UTF-8"), "{message}");
    }
}

/// So many bytes of one letter, and how many of them were asked for.
struct Endless {
    left: u64,
    read: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.left.min(buffer.len() as u64);
        buffer[..read as usize].fill(b'x');
        self.left -= read;
        self.read += read;
        Ok(read as usize)
    }
}

#[test]
fn a_row_or_header_without_end_is_refused_before_it_fills_the_memory() {
    for begin in ["", "id,x\n1,1\n", "id,x\n1,1\n2,\""] {
        let mut endless = Endless { left: 1 << 40, read: 0 };
        let source = begin.as_bytes().chain(&mut endless);
        let error = read_csv_from(source, "people.csv", &schema(), &ReadOptions::new());
        let error = error.map(|loaded| loaded.profiles.len()).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("expected a row of at most 4 MiB, found more"), "{message}");
        assert!(message.len() < 300, "{message}");
        assert!(endless.read < 6 << 20, "{}", endless.read);
    }
}

#[test]
fn long_names_of_columns_are_cut_in_messages() {
    let header = format!("{},{}\n1,2\n", "x".repeat(1 << 20), "ä".repeat(1 << 20));
    let error = read(header).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::MissingColumn { .. }));
    assert!(error.to_string().len() < 500, "{error}");
}

#[test]
fn numbers_that_are_not_known_are_written_in_many_ways() {
    let table = "id,x,spend,tier\n1,1,NA,NA\n2,1,NaN,b\n3,1,null,b\n4,1,\\N,b\n5,1,,b\n6,1,2,\n7,1,.,b\n";
    let spec = DatasetSpec::new().with_outcome("spend").with_segment("tier");
    let options = |spec: &DatasetSpec| spec.read_options(&schema()).unwrap();
    let loaded =
        |spec: &DatasetSpec| read_csv_from(table.as_bytes(), "t", &schema(), &options(spec)).unwrap();
    let dataset = Dataset::from_loaded(loaded(&spec), &spec).unwrap();
    assert_eq!(dataset.labelled().collect::<Vec<_>>(), [5]);
    // A label may be spelt so; that it means nothing is said.
    assert_eq!(dataset.segments().names(), ["NA", "b", "unknown"]);
    let spec = spec.with_missing(["NA"]);
    let dataset = Dataset::from_loaded(loaded(&spec), &spec).unwrap();
    assert_eq!(dataset.segments().names(), ["b", "unknown"]);
    let much = table.replace(",2,", ",much,");
    let error = read_csv_from(much.as_bytes(), "t", &schema(), &options(&spec)).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains(r#"found "much""#), "{error}");
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_not_read() {
    for path in ["/dev/zero", "/"] {
        let error = read_csv(path, &schema(), &ReadOptions::new()).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Io { action: "open", .. }), "{error}");
    }
}

#[test]
fn a_column_that_nobody_asked_for_may_occur_twice() {
    let table = "id,note,x,note\n1,a,2,b\n";
    assert_eq!(read(table).unwrap().profiles.value(0, 0), Some(Value::Number(2.0)));
    let options = ReadOptions::new().with_text("note");
    let error = read_csv_from(table.as_bytes(), "t", &schema(), &options).map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::DuplicateColumn { first: 2, second: 4, .. }), "{error}");
}

#[test]
fn long_ids_are_cut_in_messages() {
    let id = "u".repeat(100_000);
    let error = read(format!("id,x\n{id},1\n{id},2\n")).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::DuplicateId { .. }));
    assert!(error.to_string().len() < 300);
}
