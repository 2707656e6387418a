//! The transfer report and its groups. No training: an encoder with random weights reproduces little, which is enough to count.

use crate::common::{STUDENT_DIM, encoder, in_segments, world};
use scaletot_chain::Signals;
use scaletot_encoder::{Error, TransferGroup, TransferReport};

/// Mean over users from means over groups.
fn over(groups: &[TransferGroup], part: fn(&TransferGroup) -> f64) -> f64 {
    let users: usize = groups.iter().map(|group| group.users).sum();
    groups.iter().map(|group| part(group) * group.users as f64).sum::<f64>() / users as f64
}

#[test]
fn groups_are_the_whole_in_parts() {
    let world = world(150, 3);
    let encoder = encoder(3);
    let rows: Vec<usize> = (0..150).collect();
    let dataset = in_segments(&world.table, |row| format!("wave {}", row % 3));
    let report = encoder.transfer_report(&dataset, &world.signals).unwrap();
    for groups in [&report.by_populated, &report.by_segment] {
        assert_eq!(groups.iter().map(|group| group.users).sum::<usize>(), report.users);
        assert!((over(groups, |group| group.agreement) - report.mean_agreement()).abs() < 1e-9);
        assert!((over(groups, |group| group.kl) - report.mean_kl()).abs() < 1e-9);
        assert!((over(groups, |group| group.cosine) - report.cosine).abs() < 1e-9);
    }
    let blank = rows.iter().filter(|&&row| world.table.populated(row) == 0).count();
    assert_eq!((report.abstained, report.users), (blank, 150 - blank));
    let names: Vec<&str> = report.by_segment.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["wave 0", "wave 1", "wave 2"]);
    let sparsity: Vec<usize> = report.by_populated.iter().map(|group| group.name.parse().unwrap()).collect();
    assert!(
        sparsity.is_sorted() && sparsity.first() > Some(&0),
        "blank profiles are abstained on: {sparsity:?}"
    );
    for group in &report.by_populated {
        let fields = group.name.parse::<usize>().unwrap();
        assert_eq!(group.users, rows.iter().filter(|&&row| world.table.populated(row) == fields).count());
    }
    // One user's group is that user's report.
    let row = rows.iter().copied().find(|&row| world.table.populated(row) == 5).unwrap();
    let signals = world.signals.select(&[row]).unwrap();
    let alone = encoder.transfer_report(&world.dataset(), &signals).unwrap();
    assert_eq!((alone.by_populated.len(), alone.by_segment.len(), alone.users), (1, 0, 1));
    assert_eq!(alone.by_populated[0].agreement, alone.mean_agreement());
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<TransferReport>(&json).unwrap(), report);
}

#[test]
fn signals_of_another_student_are_refused() {
    let world = world(20, 5);
    let marginals = || world.signals.marginal_values().to_vec();
    for width in [STUDENT_DIM - 1, STUDENT_DIM + 1] {
        let rows = (0..20).collect();
        let signals =
            Signals::new(rows, vec![2, 3], marginals(), [2, width], vec![0.0; 20 * 2 * width]).unwrap();
        let error = encoder(5).transfer_report(&world.dataset(), &signals).unwrap_err();
        assert!(error.to_string().contains("shape of the student's representations"), "{error}");
    }
    let other = Signals::new(vec![0], vec![2], vec![0.5; 2], [1, 4], vec![0.0; 4]).unwrap();
    let error = encoder(5).transfer_report(&world.dataset(), &other).unwrap_err();
    assert!(matches!(error, Error::Chain(_)), "{error}");
}
