//! Datasets keep what belongs together together.

use proptest::prelude::*;
use scaletot_profile::{ArmSpec, Dataset, DatasetSpec, Error, Segments};
#[cfg(feature = "csv")]
use scaletot_profile::{FieldSpec, ProfileSchema};

use crate::common::tables;

fn label(i: usize) -> Option<String> {
    [Some("gold"), None, Some("basic")][i % 3].map(str::to_owned)
}

/// A dataset of every part, whose parts tell of their row.
fn full(table: scaletot_profile::ProfileTable) -> Dataset {
    let rows = 0..table.len();
    Dataset::builder(table)
        .with_outcomes(rows.clone().map(|row| (row % 4 != 1).then_some(row as f64)).collect())
        .with_segments(Segments::from_labels(&rows.clone().map(label).collect::<Vec<_>>()))
        .with_groups(rows.clone().map(|row| row / 2).collect())
        .with_arm(rows.map(|row| [Some(true), Some(false), None][row % 3]).collect())
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_selected_stays_with_its_user(
        ((table, _), order) in tables(12).prop_flat_map(|table| {
            let rows: Vec<usize> = (0..table.0.len()).collect();
            (Just(table), proptest::sample::subsequence(rows.clone(), 0..=rows.len()).prop_shuffle())
        })
    ) {
        let dataset = full(table);
        let part = dataset.select(&order).unwrap();
        prop_assert_eq!(part.len(), order.len());
        for (row, &old) in order.iter().enumerate() {
            prop_assert_eq!(part.table().id(row), dataset.table().id(old));
            prop_assert_eq!(part.outcome(row), dataset.outcome(old));
            prop_assert_eq!(part.segments().name_of(row), dataset.segments().name_of(old));
            prop_assert_eq!(part.segments().of(row), dataset.segments().of(old));
            prop_assert_eq!(part.groups().unwrap()[row], dataset.groups().unwrap()[old]);
            prop_assert_eq!(part.arm().unwrap()[row], dataset.arm().unwrap()[old]);
        }

        let drawn = dataset.with_outcomes_of(&order).unwrap();
        prop_assert_eq!(drawn.table(), dataset.table());
        prop_assert_eq!(drawn.segments(), dataset.segments());
        for row in 0..dataset.len() {
            let kept = if order.contains(&row) { dataset.outcome(row) } else { None };
            prop_assert_eq!(drawn.outcome(row), kept);
        }
        prop_assert!(drawn.labelled().eq((0..drawn.len()).filter(|&row| drawn.outcome(row).is_some())));
    }
}

fn three() -> scaletot_profile::ProfileTable {
    let schema = std::sync::Arc::new(crate::common::all_kinds());
    let none = (None, None, None, None, None);
    crate::common::build(&schema, &vec![7, 8, 9].into(), &[none.clone(), none.clone(), none])
}

#[test]
fn a_bare_table_is_a_dataset() {
    let dataset = Dataset::from(three());
    assert_eq!(dataset, Dataset::builder(three()).build().unwrap());
    assert_eq!(dataset.outcomes(), [None; 3]);
    assert_eq!(dataset.segments(), &Segments::all(3));
    assert!(dataset.groups().is_none() && dataset.arm().is_none() && !dataset.is_empty());
    assert_eq!(dataset.outcome(3), None);
}

#[test]
fn parts_of_another_length_are_refused() {
    let message = |builder: scaletot_profile::DatasetBuilder| {
        let error = builder.build().unwrap_err();
        assert!(matches!(error, Error::Length { expected: 3, found: 2, .. }));
        error.to_string()
    };
    let new = || Dataset::builder(three());
    assert_eq!(message(new().with_outcomes(vec![None; 2])), "rows of the outcomes: expected 3, found 2");
    assert_eq!(message(new().with_segments(Segments::all(2))), "rows of the segments: expected 3, found 2");
    assert_eq!(message(new().with_groups(vec![0; 2])), "rows of the groups: expected 3, found 2");
    assert_eq!(message(new().with_arm(vec![None; 2])), "rows of the arm: expected 3, found 2");
}

#[test]
fn outcomes_are_finite_and_not_negative() {
    for (bad, found) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (-0.5, "-0.5")] {
        let error =
            Dataset::builder(three()).with_outcomes(vec![Some(0.0), None, Some(bad)]).build().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(r#"row 3, column "outcome": expected a finite number of at least 0, found {found}"#)
        );
    }
}

#[test]
fn outcomes_too_large_for_what_serves_them_are_refused_with_the_remedy() {
    let of = |outcome| Dataset::builder(three()).with_outcomes(vec![Some(0.0), None, Some(outcome)]).build();
    assert!(of(1e30).is_ok());
    assert_eq!(
        of(1.5e150).unwrap_err().to_string(),
        r#"row 3, column "outcome": expected an outcome of at most 1e30: use a larger unit, found 1.5e150"#
    );
}

#[cfg(feature = "csv")]
#[test]
fn outcomes_in_a_unit_in_which_all_are_about_the_same_are_refused_where_they_are_read() {
    let spec = DatasetSpec::new().with_outcome("spend");
    let scaled =
        |unit: &str| read(&TABLE.replace("2.5,", &format!("2.5{unit},")).replace(",1,", ",0,"), &spec);
    for unit in ["e-150", "e-30", "e-10"] {
        let message = scaled(unit).unwrap_err().to_string();
        assert!(
            message.contains("shop.csv, row 1, column \"spend\": expected some outcome of at least 0.01")
        );
        assert!(
            message.contains("use a smaller unit") && message.contains(&format!("found 2.5{unit}")),
            "{message}"
        );
    }
    assert!(scaled("e150").unwrap_err().to_string().contains("use a larger unit, found 2.5e150"));
    assert!(scaled("e-2").is_ok() && scaled("e29").is_ok());
    // That all are 0 is no matter of the unit.
    assert!(read(&TABLE.replace("2.5,", "0,").replace(",1,", ",0,"), &spec).is_ok());
}

#[test]
fn rows_that_are_not_there_are_refused() {
    let dataset = full(three());
    assert!(matches!(dataset.select(&[0, 3]), Err(Error::Row { index: 3, rows: 3 })));
    assert!(matches!(dataset.with_outcomes_of(&[3]), Err(Error::Row { index: 3, rows: 3 })));
    assert!(matches!(dataset.segments().select(&[5]), Err(Error::Row { index: 5, rows: 3 })));
    assert!(matches!(dataset.select(&[1, 1]), Err(Error::DuplicateId { .. })));
    assert_eq!(dataset.with_outcomes_of(&[2, 2]).unwrap().outcomes(), [None, None, Some(2.0)]);
}

#[test]
fn datasets_are_shared_between_threads() {
    fn check<T: Send + Sync + Clone>() {}
    check::<Dataset>();
}

#[cfg(feature = "csv")]
fn schema() -> ProfileSchema {
    ProfileSchema::builder("shop")
        .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]).with_missing(["NA"]))
        .with_field(FieldSpec::boolean("owner"))
        .build()
        .unwrap()
}

fn all() -> DatasetSpec {
    DatasetSpec::new()
        .with_outcome("spend")
        .with_segment("tier")
        .with_group("household")
        .with_arm(ArmSpec::new("mail", "none").with_treated(["women"]))
}

#[cfg(feature = "csv")]
fn read(table: &str, spec: &DatasetSpec) -> scaletot_profile::Result<Dataset> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.csv");
    std::fs::write(&path, table).unwrap();
    Dataset::read(&path, &schema(), spec)
}

#[cfg(feature = "csv")]
const TABLE: &str = "id,age,owner,spend,tier,household,mail\n\
    1,55+,yes,2.5,gold,h7,women\n2,NA,no,,basic,,men\n3,,no,0,,h7,none\n4,18-34,,1,gold,h2,\n";

#[cfg(feature = "csv")]
#[test]
fn every_column_finds_its_place() {
    let dataset = read(TABLE, &all()).unwrap();
    assert_eq!(dataset.outcomes(), [Some(2.5), None, Some(0.0), Some(1.0)]);
    assert_eq!(dataset.segments().names(), ["basic", "gold", "unknown"]);
    assert_eq!((0..4).map(|row| dataset.segments().of(row)).collect::<Vec<_>>(), [1, 0, 2, 1]);
    assert_eq!(dataset.groups().unwrap(), [0, 1, 0, 2]);
    assert_eq!(dataset.arm().unwrap(), [Some(true), None, Some(false), None]);
    assert_eq!(dataset.table().populated(0), 2);

    let bare = read(TABLE, &DatasetSpec::new()).unwrap();
    assert_eq!(bare, Dataset::from(dataset.table().clone()));
    let numbered = read(TABLE, &DatasetSpec::new().with_numbered_ids()).unwrap();
    assert_eq!(numbered.table().ids().len(), 4);
}

/// By the values that the profile has, so that its tokens for missing count.
#[cfg(feature = "csv")]
#[test]
fn a_segment_may_be_a_field() {
    let ages = read(TABLE, &DatasetSpec::new().with_segment("age")).unwrap();
    assert_eq!(ages.segments().names(), ["18-34", "55+", "unknown"]);
    assert_eq!(ages.segments().counts(), [1, 1, 2]);
    let owners = read(TABLE, &DatasetSpec::new().with_segment("owner")).unwrap();
    assert_eq!(owners.segments().names(), ["false", "true", "unknown"]);
}

#[cfg(feature = "csv")]
#[test]
fn columns_in_a_wrong_role_are_refused() {
    let message = |spec: &DatasetSpec| read(TABLE, spec).unwrap_err().to_string();
    let no_field = "expected a column that is no field of the profile, found the field \"age\"";
    assert_eq!(message(&DatasetSpec::new().with_outcome("age")), format!("`outcome`: {no_field}"));
    assert_eq!(message(&DatasetSpec::new().with_group("age")), format!("`group`: {no_field}"));
    assert_eq!(
        message(&DatasetSpec::new().with_arm(ArmSpec::new("age", "55+"))),
        format!("`arm.column`: {no_field}")
    );
    assert_eq!(
        message(&all().with_segment("spend")),
        r#"`segment`: expected another column than the outcome's, found "spend""#
    );
    let arm = |arm| message(&DatasetSpec::new().with_arm(arm));
    assert_eq!(
        arm(ArmSpec::new("mail", "none").with_treated(["men", "none"])),
        r#"`arm.treated`: expected other arms than the control, found "none""#
    );
    assert_eq!(
        arm(ArmSpec::new("mail", "no")),
        r#"`arm.control`: expected "no" in column "mail", found "men", "none", "women""#
    );
    assert_eq!(
        arm(ArmSpec::new("mail", "none").with_treated(["all"])),
        r#"`arm.treated`: expected "all" in column "mail", found "men", "none", "women""#
    );
    assert!(
        message(&DatasetSpec::new().with_outcome("spent"))
            .contains(r#"shop.csv: no column "spent", which is wanted as a number"#)
    );
    let error = read(&TABLE.replace("2.5", "-2.5"), &all()).unwrap_err().to_string();
    assert!(
        error.ends_with(
            r#"shop.csv, row 1, column "spend": expected a finite number of at least 0, found -2.5"#
        ),
        "{error}"
    );
}

#[cfg(feature = "csv")]
#[test]
fn a_table_read_for_something_else_is_refused() {
    let loaded = scaletot_profile::read_csv_from(
        TABLE.as_bytes(),
        "shop",
        &schema(),
        &scaletot_profile::ReadOptions::new().with_text("spend"),
    );
    let error = Dataset::from_loaded(loaded.unwrap(), &all()).unwrap_err().to_string();
    assert_eq!(
        error,
        r#"`loaded`: expected a table read with the specification's options, which has "spend" as numbers, found "spend""#
    );
}

#[test]
fn a_specification_is_data_and_unknown_keys_are_refused() {
    let text = "outcome = \"spend\"\nsegment = \"tier\"\ngroup = \"household\"\n\n[arm]\ncolumn = \"mail\"\n\
                control = \"none\"\ntreated = [\"women\"]\n";
    assert_eq!(toml::from_str::<DatasetSpec>(text).unwrap(), all());
    assert_eq!(toml::to_string(&all()).unwrap(), text);
    for bad in ["outcomes = \"spend\"", "[arm]\ncolumn = \"mail\"\ncontrol = \"none\"\ntreatment = \"women\""]
    {
        assert!(toml::from_str::<DatasetSpec>(bad).unwrap_err().to_string().contains("unknown field"));
    }
}

#[cfg(feature = "arrow")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn batches_read_back((table, _) in crate::common::tables(12)) {
        let dataset = full(table);
        let batch = dataset.to_record_batch(&all()).unwrap();
        let back = Dataset::from_record_batches([Ok(batch)], dataset.table().schema(), &all());
        // The arms of one or two users are not both.
        if dataset.len() == 1 {
            prop_assert!(back.unwrap_err().to_string().starts_with("`arm.control`"));
        } else {
            prop_assert_eq!(back.unwrap(), dataset);
        }
    }
}
