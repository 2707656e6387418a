//! Datasets keep what belongs together together.

use proptest::prelude::*;
use scaletot_profile::{Dataset, Error, Segments};

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
    assert_eq!(message(new().with_outcomes(vec![None; 2])), "rows of the outcomes: expected 3, got 2");
    assert_eq!(message(new().with_segments(Segments::all(2))), "rows of the segments: expected 3, got 2");
    assert_eq!(message(new().with_groups(vec![0; 2])), "rows of the groups: expected 3, got 2");
    assert_eq!(message(new().with_arm(vec![None; 2])), "rows of the arm: expected 3, got 2");
}

#[test]
fn outcomes_are_finite_and_not_negative() {
    for (bad, found) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (-0.5, "-0.5")] {
        let error =
            Dataset::builder(three()).with_outcomes(vec![Some(0.0), None, Some(bad)]).build().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(r#"row 3, column "outcome": expected a finite number of at least 0, got {found}"#)
        );
    }
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
