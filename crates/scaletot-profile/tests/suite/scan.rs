//! Parquet files row group by row group.
#![cfg(feature = "parquet")]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;
use scaletot_profile::{
    Error, FieldSpec, FieldValues, ParquetProfiles, ProfileSchema, ReadOptions, UserId, UserIds, read_parquet,
};

fn schema() -> ProfileSchema {
    ProfileSchema::builder("test")
        .with_field(FieldSpec::ordinal("size", ["1", "2"]).with_missing(["NA"]))
        .with_field(FieldSpec::categorical("town", ["Ulm", "Bath"]))
        .build()
        .unwrap()
}

/// A file with so many rows in each row group; sizes are integers, towns texts.
fn write(path: &Path, group: usize, sizes: &[Option<i64>], towns: &[Option<&str>]) {
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(Int64Array::from_iter_values(100..100 + sizes.len() as i64))),
        ("size", Arc::new(Int64Array::from(sizes.to_vec()))),
        ("town", Arc::new(StringArray::from(towns.to_vec()))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Ids and codes of a whole file, group by group.
fn scan(file: &ParquetProfiles) -> Result<(Vec<i64>, Vec<u32>), Error> {
    let (mut ids, mut codes) = (vec![], vec![]);
    for group in 0..file.row_groups() {
        let before = ids.len();
        for batch in file.row_group(group)? {
            let profiles = batch?.profiles;
            let UserIds::Int(own) = profiles.ids() else { panic!("ids are integers") };
            ids.extend(own);
            for field in 0..2 {
                let Some(FieldValues::Codes(own)) = profiles.column(field) else {
                    panic!("fields are codes")
                };
                codes.extend(own);
            }
        }
        assert_eq!(Some(ids.len() - before), file.rows_of(group));
    }
    Ok((ids, codes))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn groups_one_after_the_other_are_the_file(
        rows in prop::collection::vec((prop::option::of(1i64..3), prop::option::of(0usize..2)), 1..60), group in 1usize..30,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.parquet");
        let sizes: Vec<_> = rows.iter().map(|row| row.0).collect();
        let towns: Vec<_> = rows.iter().map(|row| row.1.map(|town| ["Ulm", "Bath"][town])).collect();
        write(&path, group, &sizes, &towns);
        let file = ParquetProfiles::open(&path, &schema(), &ReadOptions::new()).unwrap();
        prop_assert_eq!(file.row_groups(), rows.len().div_ceil(group));
        prop_assert_eq!(file.rows(), rows.len());
        prop_assert_eq!(file.rows_of(file.row_groups()), None);
        let whole = read_parquet(&path, &schema(), &ReadOptions::new()).unwrap().profiles;
        let mut expected = vec![];
        for start in (0..rows.len()).step_by(group) {
            for field in 0..2 {
                let Some(FieldValues::Codes(codes)) = whole.column(field) else { panic!("fields are codes") };
                expected.extend_from_slice(&codes[start..(start + group).min(rows.len())]);
            }
        }
        prop_assert_eq!(scan(&file).unwrap(), ((100..100 + rows.len() as i64).collect(), expected));
    }
}

#[test]
fn a_bad_cell_spoils_its_own_group_alone_and_is_named_by_its_row_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.parquet");
    let mut towns = vec![Some("Ulm"); 30];
    (towns[17], towns[15]) = (Some("Rome"), None);
    write(&path, 10, &[Some(2); 30], &towns);
    let file = ParquetProfiles::open(&path, &schema(), &ReadOptions::new()).unwrap();
    let read = |group| file.row_group(group).unwrap().collect::<Result<Vec<_>, _>>();
    assert_eq!(read(0).unwrap().len(), 1);
    assert_eq!(read(2).unwrap()[0].profiles.len(), 10);
    let message = read(1).unwrap_err().to_string();
    assert!(
        message.contains(r#"row 18, column "town": expected one of "Ulm", "Bath", found "Rome""#),
        "{message}"
    );
    assert!(read_parquet(&path, &schema(), &ReadOptions::new()).is_err());
    assert!(matches!(file.row_group(3), Err(Error::Row { index: 3, rows: 3 })));
}

#[test]
fn of_several_bad_cells_the_first_row_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.parquet");
    let (mut sizes, mut towns) = ([Some(1); 9], [Some("Ulm"); 9]);
    (sizes[7], towns[3]) = (Some(5), Some("Rome"));
    write(&path, 100, &sizes, &towns);
    let message = read_parquet(&path, &schema(), &ReadOptions::new()).unwrap_err().to_string();
    assert!(message.contains(r#"row 4, column "town""#), "{message}");
}

#[test]
fn a_damaged_page_is_an_error_of_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.parquet");
    write(&path, 1000, &vec![Some(1); 3000], &vec![Some("Bath"); 3000]);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = ParquetProfiles::open(&path, &schema(), &ReadOptions::new()).unwrap();
    assert_eq!(middle.row_groups(), 3);
    // The ids of the first group begin behind the magic number.
    bytes[4..40].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let file = ParquetProfiles::open(&path, &schema(), &ReadOptions::new()).unwrap();
    let found: Result<Vec<_>, _> = file.row_group(0).and_then(Iterator::collect);
    assert!(matches!(found, Err(Error::Damaged { .. })), "{found:?}");
    assert!(file.row_group(1).unwrap().all(|batch| batch.is_ok()));
}

/// Rows in three groups of ten, of which some have a cell that the schema does not take, or no id.
fn write_bad(path: &Path) {
    let mut towns = vec![Some("Ulm"); 30];
    let mut sizes = vec![Some(2); 30];
    (towns[3], towns[17], towns[18]) = (Some("Rome"), Some("York"), None);
    (sizes[3], sizes[29]) = (Some(7), Some(7));
    write(path, 10, &sizes, &towns);
}

#[test]
fn a_row_that_does_not_fit_can_be_left_out_and_the_others_come() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.parquet");
    write_bad(&path);
    let options = ReadOptions::new().with_bad_rows_left_out();
    let file = ParquetProfiles::open(&path, &schema(), &options).unwrap();
    let mut ids = vec![];
    let mut left_out = vec![];
    for group in 0..3 {
        for batch in file.row_group(group).unwrap() {
            let batch = batch.unwrap();
            assert_eq!(Some(batch.profiles.len() + batch.left_out.len()), file.rows_of(group));
            ids.extend(batch.profiles.ids().iter());
            left_out.extend(batch.left_out);
        }
    }
    let expected = (100..130i64).filter(|id| ![103, 117, 129].contains(id)).map(UserId::Int);
    assert_eq!(ids, expected.collect::<Vec<_>>());
    let rows: Vec<usize> = left_out.iter().map(|row| row.place.row).collect();
    assert_eq!(rows, [4, 18, 30]);
    // Of two cells in a row the first column's is told, in the words of the error that it would have been.
    let strict = ParquetProfiles::open(&path, &schema(), &ReadOptions::new()).unwrap();
    let error = strict.row_group(0).unwrap().next().unwrap().map(|batch| batch.profiles.len()).unwrap_err();
    assert_eq!(left_out[0].to_string(), error.to_string());
    assert!(left_out[0].to_string().contains(r#"row 4, column "size""#), "{}", left_out[0]);

    let whole = read_parquet(&path, &schema(), &options).unwrap();
    assert_eq!((whole.profiles.len(), &whole.left_out), (27, &left_out));
}

#[test]
fn rows_behind_those_that_were_left_out_keep_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.parquet");
    let batch = |ids: Vec<Option<i64>>| {
        let size: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(9), None, Some(2)]));
        let town: ArrayRef = Arc::new(StringArray::from(vec!["Ulm"; 4]));
        let ids: ArrayRef = Arc::new(Int64Array::from(ids));
        let batch = RecordBatch::try_from_iter([("id", ids), ("size", size), ("town", town)]).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    };
    let options = ReadOptions::new().with_bad_rows_left_out();
    batch(vec![Some(7), Some(8), None, Some(7)]);
    // The second and the third row are left out, and so is a user who is there twice.
    let loaded = read_parquet(&path, &schema(), &options).unwrap();
    assert_eq!(loaded.profiles.ids(), &UserIds::Int(vec![7]));
    assert_eq!(loaded.left_out.iter().map(|row| row.place.row).collect::<Vec<_>>(), [2, 3, 4]);
    let told = loaded.left_out[2].to_string();
    assert!(
        told.ends_with(r#"row 4, column "id": expected an id that no row before has, found "7" of row 1"#),
        "{told}"
    );
    let error = read_parquet(&path, &schema(), &ReadOptions::new()).map(|loaded| loaded.profiles.len());
    assert!(error.unwrap_err().to_string().contains("row 2"));
    batch(vec![None, None, Some(5), Some(6)]);
    let loaded = read_parquet(&path, &schema(), &options).unwrap();
    assert_eq!(loaded.profiles.ids(), &UserIds::Int(vec![5, 6]));
    assert_eq!(loaded.left_out.len(), 2);
    assert!(loaded.left_out[0].to_string().ends_with("expected a user id, found an empty cell"));
    let numbered = read_parquet(&path, &schema(), &options.with_numbered_ids()).unwrap();
    assert_eq!(numbered.profiles.ids(), &UserIds::Int(vec![1, 3, 4]));
}

#[cfg(feature = "csv")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_rows_are_left_out_of_csv_and_parquet(
        users in prop::collection::vec((prop::option::weighted(0.9, 0..12i64), 0..4i64), 1..30), group in 1..9usize
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (parquet, csv) = (dir.path().join("users.parquet"), dir.path().join("users.csv"));
        let ids: ArrayRef = Arc::new(users.iter().map(|(id, _)| *id).collect::<Int64Array>());
        let sizes: ArrayRef = Arc::new(Int64Array::from_iter_values(users.iter().map(|(_, size)| *size)));
        let towns: ArrayRef = Arc::new(StringArray::from(vec!["Ulm"; users.len()]));
        let batch = RecordBatch::try_from_iter([("id", ids), ("size", sizes), ("town", towns)]).unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
        let file = File::create(&parquet).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let line = |(id, size): &(Option<i64>, i64)| {
            format!("{},{size},Ulm\n", id.map(|id| id.to_string()).unwrap_or_default())
        };
        let lines: String = users.iter().map(line).collect();
        std::fs::write(&csv, format!("id,size,town\n{lines}")).unwrap();

        let options = ReadOptions::new().with_bad_rows_left_out();
        let [one, two] = [&parquet, &csv].map(|path| scaletot_profile::read(path, &schema(), &options).unwrap());
        prop_assert_eq!(one.profiles, two.profiles);
        let told = |rows: &[scaletot_profile::LeftOut]| -> Vec<_> {
            rows.iter().map(|row| (row.place.row, row.column.clone(), row.expected.clone(), row.found.clone())).collect()
        };
        prop_assert_eq!(told(&one.left_out), told(&two.left_out));
    }
}
