//! Artifacts of earlier builds. Those under `fixtures/artifact-N`, of format N, are not written again once that format is released: a build
//! that cannot load them, or that computes other scores, has to say so by a new format.

use std::fs;
use std::path::PathBuf;

use scaletot_encoder::{
    ArtifactInfo, FrozenEncoder, Heads, OutcomeHead, Readiness, Scores, TransferGate, TransferReport,
};
use scaletot_profile::{ProfileTable, TableBuilder};
use serde::{Deserialize, Serialize};

use crate::common::{config, in_segments, schema, value_head, world};

const HEADS: [(&str, OutcomeHead); 3] = [
    ("ziln", OutcomeHead::Ziln),
    ("tweedie", OutcomeHead::Tweedie { power: 1.5 }),
    ("tiers", OutcomeHead::Tiers { tiers: 3 }),
];

/// What was scored when an artifact was written.
#[derive(Debug, Serialize, Deserialize)]
struct Then {
    /// `None` where it abstained.
    value: Vec<Option<f64>>,
    spend: Vec<Vec<f32>>,
    representation: Vec<Vec<f32>>,
}

impl Then {
    fn of(scores: &Scores) -> Self {
        Self {
            value: scores.values().collect(),
            spend: scores.posteriors[1].outer_iter().map(|row| row.to_vec()).collect(),
            representation: scores.representation.outer_iter().map(|row| row.to_vec()).collect(),
        }
    }
}

const NEWEST: u32 = 2;

fn fixtures(format: u32) -> PathBuf {
    let name = format!("artifact-{format}");
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", &name].iter().collect()
}

fn users() -> ProfileTable {
    let mut table = TableBuilder::new(schema());
    for (id, cells) in [
        ["18-24", "100.5", "yes", "food", "rent"],
        ["65+", "2000", "no", "toys|tools", "own"],
        ["", "0", "", "", "own"],
        ["25-44", "1e9", "yes", "food|toys|tools", ""],
        ["45-64", "", "", "", ""],
        ["", "", "", "", ""],
    ]
    .iter()
    .enumerate()
    {
        table.push_text(id as i64, cells).unwrap();
    }
    table.finish()
}

#[test]
#[ignore = "writes the fixtures of a new format"]
fn write_fixtures() {
    assert!(
        !fixtures(NEWEST).exists(),
        "what an earlier build wrote stays as it is: a new format has a directory of its own"
    );
    for (name, head) in HEADS {
        let world = world(60, 9);
        let mut config = config(4, vec![6, 5], u8::from(name == "tweedie").into());
        config.outcome_head = head;
        let heads = Heads::new(true, vec![2, 3], 4);
        let rows: Vec<usize> = (0..60).collect();
        let encoder = FrozenEncoder::with_random_weights(&config, &world.table, &world.chain, heads, 9)
            .unwrap()
            .calibrate_abstention(&world.table, &rows, 0.05)
            .unwrap()
            .with_value_head(value_head(5, 9))
            .unwrap();
        let dataset = in_segments(&world.table, |row| format!("wave {}", row % 2));
        let report: TransferReport = encoder.transfer_report(&dataset, &world.signals).unwrap();
        let mut gate = TransferGate::default();
        gate.min_agreement = Some(0.0);
        let info = ArtifactInfo::new()
            .with_metric("spearman", 0.5)
            .with_note(format!("format {NEWEST}"))
            .with_gate(report, gate)
            .unwrap();
        encoder.save(fixtures(NEWEST).join(name), info).unwrap();
        let then = Then::of(&encoder.score(&users()).unwrap());
        let text = serde_json::to_string_pretty(&then).unwrap();
        fs::write(fixtures(NEWEST).join(format!("{name}.json")), text + "\n").unwrap();
    }
}

#[test]
fn artifacts_of_earlier_builds_score_as_they_did() {
    for (name, head) in HEADS {
        let encoder = FrozenEncoder::load(fixtures(NEWEST).join(name), &schema()).unwrap();
        assert_eq!(encoder.value_head(), Some(&value_head(5, 9)));
        assert_eq!(encoder.config().outcome_head, head);
        assert_eq!(encoder.info().readiness(), &Readiness::Ready);
        assert_eq!(encoder.info().transfer().unwrap().by_segment.len(), 2);
        assert!(encoder.distance_limit().is_some());
        let then = fs::read_to_string(fixtures(NEWEST).join(format!("{name}.json"))).unwrap();
        let then: Then = serde_json::from_str(&then).unwrap();
        let now = Then::of(&encoder.score(&users()).unwrap());
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
        assert!(then.value.iter().flatten().count() > 2 && then.value.last() == Some(&None));
        for (now, then) in now.value.iter().zip(&then.value) {
            assert_eq!(now.is_some(), then.is_some(), "{name}");
            assert!(now.zip(*then).is_none_or(|(a, b)| near(a, b)), "{name}: {now:?}, then {then:?}");
        }
        for (now, then) in [(&now.spend, &then.spend), (&now.representation, &then.representation)] {
            assert_eq!(now.len(), then.len());
            for (a, b) in now.iter().flatten().zip(then.iter().flatten()) {
                assert!(a.is_nan() == b.is_nan(), "{name}");
                assert!(a.is_nan() || near((*a).into(), (*b).into()), "{name}: {a}, then {b}");
            }
        }
    }
}
