use proptest::prelude::*;

use super::*;
use crate::StateDef;

/// Users in rows 5, 0 and 3; states of 2 and 3 values; representations `[2, 1]`.
fn signals() -> Signals {
    let marginals = vec![
        0.5, 0.5, 0.0, 1.0, 0.0, //
        1.0, 0.0, 0.2, 0.3, 0.5, //
        0.1, 0.9, 0.4, 0.2, 0.4,
    ];
    Signals::new(vec![5, 0, 3], vec![2, 3], marginals, [2, 1], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap()
}

#[test]
fn entries_are_found_by_row() {
    let signals = signals();
    assert_eq!((signals.len(), signals.marginal_width(), signals.representation_width()), (3, 5, 2));
    assert_eq!([5, 0, 3].map(|row| signals.index_of(row)), [Some(0), Some(1), Some(2)]);
    assert_eq!([1, 2, 4, 6].map(|row| signals.index_of(row)), [None; 4]);
    assert_eq!(signals.marginal(2, 0), [0.1, 0.9]);
    assert_eq!(signals.marginals(1), [1.0, 0.0, 0.2, 0.3, 0.5]);
    assert_eq!(signals.representation(1), [3.0, 4.0]);
}

#[test]
fn levels_go_from_lowest_to_highest_and_ties_to_the_lower_code() {
    let signals = signals();
    assert_eq!(signals.expected_level(0, 1), 0.5);
    assert!((signals.expected_level(1, 1) - 0.65).abs() < 1e-6);
    assert_eq!(signals.expected_level(1, 0), 0.0);
    assert_eq!([(0, 0), (1, 1), (2, 0), (2, 1)].map(|(i, k)| signals.argmax(i, k)), [0, 2, 1, 0]);
    let one = Signals::new(vec![0], vec![1], vec![1.0], [0, 0], vec![]).unwrap();
    assert_eq!((one.expected_level(0, 0), one.argmax(0, 0)), (0.0, 0));
}

#[test]
fn selecting_names_rows_of_the_table() {
    let signals = signals();
    let some = signals.select(&[3, 5]).unwrap();
    assert_eq!(some.rows(), [3, 5]);
    assert_eq!(some.marginals(0), signals.marginals(2));
    assert_eq!(some.representation(1), signals.representation(0));
    assert!(matches!(signals.select(&[3, 1]), Err(Error::NoSignals { row: 1 })));
    assert!(matches!(signals.select(&[3, 5, 3]), Err(Error::DuplicateRow { row: 3 })));
    assert!(signals.select(&[]).unwrap().is_empty());
}

#[test]
fn entries_can_be_of_other_rows() {
    let moved = signals().with_rows(vec![2, 1, 0]).unwrap();
    assert_eq!([0, 1, 2, 5].map(|row| moved.index_of(row)), [Some(2), Some(1), Some(0), None]);
    assert_eq!(moved.marginals(0), signals().marginals(0));
    assert!(matches!(signals().with_rows(vec![0]), Err(Error::WrongLength { expected: 3, found: 1, .. })));
    assert!(matches!(signals().with_rows(vec![0, 1, 0]), Err(Error::DuplicateRow { row: 0 })));
}

#[test]
fn parts_can_be_put_together() {
    let signals = signals();
    let (a, b) = (signals.select(&[5]).unwrap(), signals.select(&[0, 3]).unwrap());
    assert_eq!(a.clone().concat(&b).unwrap(), signals);
    assert!(matches!(a.clone().concat(&a), Err(Error::DuplicateRow { row: 5 })));
    let other = Signals::new(vec![9], vec![2, 2], vec![1.0, 0.0, 1.0, 0.0], [2, 1], vec![0.0; 2]).unwrap();
    let error = a.concat(&other).unwrap_err().to_string();
    assert_eq!(error, "states of the signals, size #2: expected 3, found 2");
}

#[test]
fn both_kinds_of_signal_may_be_absent() {
    let none = Signals::new(vec![1, 2], vec![], vec![], [0, 0], vec![]).unwrap();
    assert_eq!((none.marginals(1).len(), none.representation(1).len()), (0, 0));
    assert!(std::panic::catch_unwind(|| none.marginals(2).len()).is_err());
    assert!(Signals::new(vec![], vec![2], vec![], [1, 3], vec![]).unwrap().is_empty());
}

#[test]
fn wrong_signals_are_refused_with_their_place() {
    let message = |rows: &[usize], sizes: &[usize], p: &[f32], shape, r: &[f32]| {
        Signals::new(rows.to_vec(), sizes.to_vec(), p.to_vec(), shape, r.to_vec()).unwrap_err().to_string()
    };
    for (found, expected) in [
        (message(&[4, 4], &[2], &[1.0, 0.0, 1.0, 0.0], [0, 0], &[]), "row 4 has signals twice"),
        (message(&[4], &[2], &[1.0], [0, 0], &[]), "marginals of the signals: expected 2 numbers, found 1"),
        (
            message(&[4], &[2], &[1.0, 0.0], [2, 2], &[0.0]),
            "representations of the signals: expected 4 numbers, found 1",
        ),
        (
            message(&[4], &[2, 0], &[1.0, 0.0], [0, 0], &[]),
            "values of state #2 of the signals: expected at least 1, found 0",
        ),
        (
            message(&[4, 7], &[2], &[1.0, 0.0, -0.5, 1.5], [0, 0], &[]),
            "marginal of state #1 of row 7: expected finite numbers of at least 0, found -0.5",
        ),
        (
            message(&[4], &[1, 2], &[1.0, 0.5, 0.25], [0, 0], &[]),
            "marginal of state #2 of row 4: expected probabilities whose sum is 1 within 0.001, found 0.75",
        ),
        (
            message(&[4], &[2], &[1.0, f32::NAN], [0, 0], &[]),
            "marginal of state #1 of row 4: expected finite numbers of at least 0, found NaN",
        ),
        (
            message(&[4], &[1], &[1.0], [1, 2], &[0.0, f32::INFINITY]),
            "number 2 of the representation of row 4: expected a finite number, found inf",
        ),
    ] {
        assert_eq!(found, expected);
    }
    let huge = Signals::new(vec![0, 1], vec![usize::MAX, 2], vec![], [usize::MAX, 2], vec![]);
    assert!(matches!(huge, Err(Error::WrongLength { .. })));
}

#[test]
fn signals_are_checked_against_a_schema() {
    let schema = |sizes: &[usize]| {
        let builder = ChainSchema::builder("s");
        let states = sizes.iter().enumerate();
        let states = states.map(|(k, &n)| StateDef::ordinal(format!("s{k}"), (0..n).map(|v| v.to_string())));
        states.fold(builder, |builder, state| builder.with_state(state)).build().unwrap()
    };
    signals().check(&schema(&[2, 3])).unwrap();
    let error = signals().check(&schema(&[2, 4])).unwrap_err().to_string();
    assert_eq!(error, "marginals of state `s1`: expected 4 numbers, found 3");
    assert!(matches!(signals().check(&schema(&[2])), Err(Error::WrongLength { expected: 1, found: 2, .. })));
}

proptest! {
    #[test]
    fn every_row_is_found_where_it_is(rows in prop::collection::hash_set(0..50usize, 0..30).prop_map(Vec::from_iter)) {
        let marginals: Vec<f32> = rows.iter().flat_map(|&row| [row as f32 / 50.0, 1.0 - row as f32 / 50.0]).collect();
        let signals = Signals::new(rows.clone(), vec![2], marginals, [1, 1], rows.iter().map(|&r| r as f32).collect()).unwrap();
        for row in 0..60 {
            prop_assert_eq!(signals.index_of(row), rows.iter().position(|&r| r == row));
        }
        let mut sorted = rows.clone();
        sorted.sort_unstable();
        let selected = signals.select(&sorted).unwrap();
        for (i, &row) in sorted.iter().enumerate() {
            prop_assert_eq!(selected.representation(i), [row as f32]);
            prop_assert_eq!(selected.index_of(row), Some(i));
        }
    }
}
