//! Artifacts: what is written is what is read, and what was changed is refused. No training, so no Burn.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use crate::common::{config, edit_manifest, encoder, schema, sign, sum, with_causes, world};
use ndarray::Array2;
use proptest::prelude::*;
use scaletot_encoder::{
    ArtifactInfo, Drift, Error, FieldHistogram, FrozenEncoder, Heads, OutcomeHead, OutcomeLink, Scores,
};
use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder, Value};

/// Writes an artifact, lets `spoil` at its directory, and returns what loading says.
fn refusal(spoil: impl FnOnce(&Path)) -> Error {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("encoder");
    encoder(1).save(&directory, ArtifactInfo::new()).unwrap();
    FrozenEncoder::load(&directory, &schema()).unwrap();
    spoil(&directory);
    FrozenEncoder::load(&directory, &schema()).unwrap_err()
}

#[test]
fn a_loaded_encoder_is_the_saved_one() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("deep/er/encoder");
    let saved = encoder(2);
    let info = ArtifactInfo::new().with_metric("spearman", 0.1 + 0.2).with_note("weekly");
    saved.save(&directory, info.clone()).unwrap();
    let loaded = FrozenEncoder::load(&directory, &schema()).unwrap();
    assert_eq!(loaded.info(), &info);
    let table = world(30, 9).table;
    assert_eq!(loaded.score(&table).unwrap(), saved.score(&table).unwrap());
    assert_eq!(loaded.histograms(), saved.histograms());
    let mut names: Vec<_> =
        fs::read_dir(&directory).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["SHA256SUMS", "canaries.json", "manifest.json", "weights.safetensors"]);
    let beside = fs::read_dir(directory.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "nothing temporary is left");
}

#[test]
fn a_manifest_from_before_other_outcome_heads_is_a_zero_inflated_log_normal_ones() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("encoder");
    let saved = encoder(2);
    saved.save(&directory, ArtifactInfo::new()).unwrap();
    let path = directory.join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let config = manifest["encoder"]["config"].as_object_mut().unwrap();
    assert_eq!(config.remove("outcome_head").unwrap(), "ziln");
    let scale = serde_json::json!({ "sigma_floor": 0.05, "cap": 1e6 });
    assert_eq!(manifest["encoder"]["outcome"], scale, "the scale is written as it was");
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    sign(&directory);
    let loaded = FrozenEncoder::load(&directory, &schema()).unwrap();
    assert_eq!(loaded.config().outcome_head, OutcomeHead::Ziln);
    assert!(matches!(loaded.outcome_link(), Some(OutcomeLink::Ziln(scale)) if scale.cap == 1e6));
    let table = world(30, 9).table;
    assert_eq!(loaded.score(&table).unwrap(), saved.score(&table).unwrap());
}

#[test]
fn an_artifact_loads_at_every_moment_while_it_is_replaced() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("encoder");
    let both = [encoder(3), encoder(4)];
    let table = world(5, 9).table;
    let served = both.each_ref().map(|encoder| encoder.score(&table).unwrap());
    both[0].save(&directory, ArtifactInfo::new()).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            both.iter().cycle().take(60).for_each(|next| next.save(&directory, ArtifactInfo::new()).unwrap());
        });
        let mut loads = 0;
        while !writer.is_finished() || loads == 0 {
            let loaded = FrozenEncoder::load(&directory, &schema()).unwrap();
            assert!(served.contains(&loaded.score(&table).unwrap()), "neither of the two");
            loads += 1;
        }
    });
}

#[test]
fn an_artifact_is_replaced_and_other_directories_are_not() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("encoder");
    encoder(3).save(&directory, ArtifactInfo::new().with_note("old")).unwrap();
    encoder(4).save(&directory, ArtifactInfo::new().with_note("new")).unwrap();
    let loaded = FrozenEncoder::load(&directory, &schema()).unwrap();
    assert_eq!(loaded.info().note.as_deref(), Some("new"));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    let precious = place.path().join("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("thesis.txt"), "years").unwrap();
    let error = encoder(4).save(&precious, ArtifactInfo::new()).unwrap_err();
    assert!(with_causes(&error).contains("thesis.txt"), "{error}");
    assert!(precious.join("thesis.txt").is_file());
    let error = encoder(4).save(&directory, ArtifactInfo::new().with_metric("gini", f64::NAN)).unwrap_err();
    assert!(error.to_string().contains("`gini`"), "{error}");
}

#[test]
fn changed_and_cut_files_are_refused() {
    for name in ["weights.safetensors", "canaries.json"] {
        let error = refusal(|directory| {
            let mut bytes = fs::read(directory.join(name)).unwrap();
            let last = bytes.len() - 2;
            bytes[last] ^= 1;
            fs::write(directory.join(name), bytes).unwrap();
        });
        assert!(matches!(error, Error::Checksum { .. }) && error.to_string().contains(name), "{error}");
        let error = refusal(|directory| {
            let bytes = fs::read(directory.join(name)).unwrap();
            fs::write(directory.join(name), &bytes[..bytes.len() / 2]).unwrap();
        });
        assert!(error.to_string().contains("changed or cut"), "{error}");
        let error = refusal(|directory| fs::remove_file(directory.join(name)).unwrap());
        assert!(matches!(error, Error::Checksum { .. }), "{error}");
        assert!(error.to_string().contains(&format!("missing: `{name}`; superfluous: none")), "{error}");
    }
    let error = refusal(|directory| {
        let path = directory.join("manifest.json");
        let text = fs::read_to_string(&path).unwrap().replace("\"min_populated\": 1", "\"min_populated\": 2");
        fs::write(path, text).unwrap();
    });
    assert!(
        matches!(error, Error::Checksum { .. }) && error.to_string().contains("manifest.json"),
        "{error}"
    );
    let error = refusal(|directory| fs::write(directory.join("SHA256SUMS"), "").unwrap());
    assert!(
        error.to_string().contains("missing: `canaries.json`, `manifest.json`, `weights.safetensors`"),
        "{error}"
    );
    let error = refusal(|directory| {
        let path = directory.join("manifest.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, &text[..text.len() / 2]).unwrap();
        sum(directory);
    });
    assert!(matches!(error, Error::Json { .. }) && with_causes(&error).contains("line"), "{error}");
}

#[test]
fn other_formats_are_called_by_name() {
    for (format, said) in [("0", "format 0"), ("3", "format 3"), ("\"old\"", "\"old\""), ("null", "null")] {
        let to = format!("\"format\": {format}");
        let error = refusal(|directory| edit_manifest(directory, "\"format\": 2", &to));
        assert!(matches!(error, Error::Format { .. }), "{error}");
        assert!(
            error.to_string().contains(said) && error.to_string().contains("reads formats 1 to 2"),
            "{error}"
        );
    }
}

#[test]
fn another_schema_is_refused_in_words() {
    let place = tempfile::tempdir().unwrap();
    let encoder = encoder(5);
    encoder.save(place.path().join("encoder"), ArtifactInfo::new()).unwrap();
    let other = ProfileSchema::builder("shop")
        .with_field(FieldSpec::ordinal("age", ["18-24", "25-44", "45-64"]))
        .with_field(FieldSpec::numeric("income").with_min(0.0))
        .with_field(FieldSpec::boolean("member"))
        .with_field(FieldSpec::multi("likes", ["food", "toys", "tools"]))
        .build()
        .unwrap();
    let error = FrozenEncoder::load(place.path().join("encoder"), &other).unwrap_err();
    assert!(matches!(error, Error::Schema { .. }));
    let said = error.to_string();
    assert!(said.contains("values of `age` were") && said.contains("`home` is missing"), "{said}");
    let error = encoder.score(&TableBuilder::new(other).finish()).unwrap_err();
    assert!(error.to_string().contains("`home` is missing"), "{error}");
}

#[test]
fn parts_that_do_not_fit_each_other_are_refused() {
    let cases = [
        ("\"embed_dim\": 4", "\"embed_dim\": 5", "tensor `embedding.weight`"),
        ("\"embed_dim\": 4", "\"embed_dim\": 0", "embed_dim"),
        ("\"student_dim\": 4", "\"student_dim\": 0", "signal heads"),
        ("\"outcome\": true", "\"outcome\": false", "outcome head present"),
        (
            "\"outcome_head\": \"ziln\"",
            "\"outcome_head\": {\"tiers\": {\"tiers\": 2}}",
            "link of the outcome head",
        ),
        ("\"cardinality\": 4", "\"cardinality\": 40", "`age`"),
        ("\"sigma_floor\": 0.05", "\"sigma_floor\": -1", "sigma_floor"),
        ("\"name\": \"shop\"", "\"name\": \"shop\", \"colour\": 1", "colour"),
    ];
    for (from, to, said) in cases {
        let error = refusal(|directory| edit_manifest(directory, from, to));
        assert!(with_causes(&error).contains(said), "{to}: {error}");
    }
}

#[test]
fn a_build_that_computes_otherwise_is_caught_by_the_canaries() {
    let error = refusal(|directory| {
        // One weight is another, and every hash is made to fit.
        let path = directory.join("weights.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&2.5f32.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        sign(directory);
    });
    assert!(matches!(error, Error::Canary { .. }), "{error}");
    assert!(error.to_string().contains("tolerance"), "{error}");
    let error = refusal(|directory| {
        fs::write(directory.join("canaries.json"), "[]").unwrap();
        sign(directory);
    });
    assert!(error.to_string().contains("at least 16"), "{error}");
}

#[test]
fn a_representation_of_another_width_is_not_projected() {
    let encoder = encoder(5);
    let width = encoder.score(&world(3, 1).table).unwrap().representation.ncols();
    let error = encoder.project(&Array2::zeros((2, width + 1))).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    assert_eq!(encoder.project(&Array2::zeros((2, width))).unwrap().dim().0, 2);
}

#[test]
fn profiles_with_too_few_fields_are_abstained_on() {
    let world = world(60, 6);
    for required in [0, 1, 3] {
        let encoder = encoder(6).with_min_populated(required);
        let scores = encoder.score(&world.table).unwrap();
        for row in 0..60 {
            let abstained = world.table.populated(row) < required;
            assert_eq!(scores.abstained[row], abstained);
            for column in [&scores.value, &scores.p_positive, &scores.mu, &scores.sigma] {
                assert_eq!(column[row].is_nan(), abstained);
            }
            if abstained {
                assert!(scores.posteriors[1].row(row).iter().all(|&p| p == 1.0 / 3.0));
                assert!(scores.representation.row(row).iter().all(|&v| v == 0.0));
            }
        }
    }
}

#[test]
fn incoming_profiles_are_compared_with_those_of_training() {
    let (training, later) = (world(2_000, 1), world(700, 2));
    let encoder = FrozenEncoder::with_random_weights(
        &config(4, vec![8], 0),
        &training.table,
        &training.chain,
        Heads::new(true, vec![], 0),
        1,
    )
    .unwrap();
    let rows: Vec<usize> = (0..700).collect();
    let drift = encoder.drift(&later.table, &rows).unwrap();
    assert_eq!((drift.profiles, drift.shifted(0.0).count()), (700, 0), "{drift:?}");
    // Batches one by one are the whole.
    let mut merged = FieldHistogram::of(encoder.featuriser(), &later.table, &rows[..300]).unwrap();
    let rest = FieldHistogram::of(encoder.featuriser(), &later.table, &rows[300..]).unwrap();
    FieldHistogram::merge(&mut merged, &rest).unwrap();
    assert_eq!(Drift::between(encoder.histograms(), &merged).unwrap(), drift);
    // Profiles that lost everything.
    let mut blank = TableBuilder::new(schema());
    (0..50).for_each(|id| blank.push_values(id, &[None; 5]).unwrap());
    let drift = encoder.drift(&blank.finish(), &rows[..50]).unwrap();
    assert_eq!(drift.shifted(0.25).count(), 5, "{drift:?}");
    assert!(encoder.drift(&later.table, &[700]).is_err());
}

/// Every number is one, every posterior a distribution.
fn check(scores: &Scores) {
    let columns = [&scores.value, &scores.p_positive, &scores.mu, &scores.sigma];
    let abstained = |(v, abstained): (&f32, &bool)| if *abstained { v.is_nan() } else { v.is_finite() };
    assert!(columns.iter().all(|c| c.iter().zip(&scores.abstained).all(abstained)));
    assert!(scores.representation.iter().all(|v| v.is_finite()));
    for posterior in &scores.posteriors {
        assert!(
            posterior.outer_iter().all(|row| (row.sum() - 1.0).abs() < 1e-5 && row.iter().all(|&p| p >= 0.0))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_encoder_survives_the_disk(
        seed in 0u64..1000, embed_dim in 1usize..6, hidden in prop::collection::vec(1usize..9, 0..3),
        cross_layers in 0usize..3, outcome: bool, signals: bool, note in ".{0,20}", metric in -1e300f64..1e300,
        head in prop_oneof![
            Just(OutcomeHead::Ziln), Just(OutcomeHead::Tweedie { power: 1.3 }), (1usize..9).prop_map(|tiers| OutcomeHead::Tiers { tiers }),
        ],
    ) {
        let world = world(25, seed);
        let heads = if signals { Heads::new(outcome, vec![2, 3], 4) } else { Heads::new(outcome, vec![], 0) };
        let mut config = config(embed_dim, hidden, cross_layers);
        config.outcome_head = head;
        let saved = FrozenEncoder::with_random_weights(&config, &world.table, &world.chain, heads, seed).unwrap();
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("encoder");
        let info = ArtifactInfo::new().with_metric("m", metric).with_note(note);
        saved.save(&directory, info.clone()).unwrap();
        let loaded = FrozenEncoder::load(&directory, world.table.schema()).unwrap();
        prop_assert_eq!(loaded.info(), &info);
        let scores = loaded.score(&world.table).unwrap();
        check(&scores);
        prop_assert_eq!(&scores, &saved.score(&world.table).unwrap());
        prop_assert_eq!(scores.values().any(|value| value.is_some()), outcome);
        prop_assert_eq!(scores.p_positive.is_empty(), !outcome || matches!(head, OutcomeHead::Tweedie { .. }));
        // Scores are what the link makes of the heads' numbers.
        let rows: Vec<usize> = (0..25).collect();
        let outputs = loaded.forward(&loaded.featuriser().transform(&world.table, &rows).unwrap()).unwrap();
        for (row, output) in outputs.outcome.outer_iter().enumerate() {
            let expected = loaded.outcome_link().and_then(|link| link.value(output.as_slice().unwrap()));
            let Some((found, expected)) = scores.value_of(row).zip(expected) else { continue };
            prop_assert!((found - expected).abs() <= 1e-5 * expected, "{} {}", found, expected);
        }
        prop_assert_eq!(scores.posteriors.is_empty(), !signals);
        // And once more: the second file is the first.
        let again = place.path().join("again");
        loaded.save(&again, info).unwrap();
        for name in ["manifest.json", "weights.safetensors", "canaries.json", "SHA256SUMS"] {
            prop_assert_eq!(fs::read(directory.join(name)).unwrap(), fs::read(again.join(name)).unwrap());
        }
    }

    #[test]
    fn scores_do_not_depend_on_the_batch(seed in 0u64..1000, rows in prop::collection::vec(0usize..50, 1..80)) {
        let table = world(50, seed).table;
        let encoder = encoder(7);
        let whole = encoder.score(&table).unwrap();
        let some = encoder.score_rows(&table, &rows).unwrap();
        for (i, &row) in rows.iter().enumerate() {
            let alone = encoder.score_rows(&table, &[row]).unwrap();
            for other in [(&whole, row), (&alone, 0)] {
                prop_assert_eq!(some.value[i].to_bits(), other.0.value[other.1].to_bits());
                prop_assert_eq!(some.abstained[i], other.0.abstained[other.1]);
                prop_assert_eq!(some.posteriors[1].row(i), other.0.posteriors[1].row(other.1));
                prop_assert_eq!(some.representation.row(i), other.0.representation.row(other.1));
            }
        }
    }

    #[test]
    fn threads_do_not_change_scores(seed in 0u64..1000, threads in 2usize..5, rows in 1usize..20_000) {
        let table = world(50, seed).table;
        let rows: Vec<usize> = (0..rows).map(|row| row * 7 % 50).collect();
        let encoder = encoder(7);
        let expected = encoder.score_rows(&table, &rows).unwrap();
        let found = encoder.with_threads(NonZeroUsize::new(threads).unwrap()).unwrap();
        prop_assert!(found.score_rows(&table, &rows).unwrap() == expected);
        let features = found.featuriser().transform(&table, &rows).unwrap();
        prop_assert!(found.score_features(&features).unwrap() == expected);
    }

    #[test]
    fn a_profile_of_nothing_is_always_abstained_on(seed in 0u64..1000) {
        let mut table = TableBuilder::new(schema());
        table.push_values("nobody", &[None; 5]).unwrap();
        table.push_values("somebody", &[None, Some(Value::Number(1.0)), None, None, None]).unwrap();
        let scores = encoder(seed).score(&table.finish()).unwrap();
        prop_assert_eq!(&scores.abstained, &[true, false]);
        prop_assert!(scores.value_of(0).is_none() && scores.value_of(1).is_some());
        check(&scores);
    }

    #[test]
    fn bytes_that_were_changed_anywhere_are_refused(place in 0.0f64..1.0, bit in 0u8..8, file in 0usize..3) {
        let name = ["weights.safetensors", "canaries.json", "manifest.json"][file];
        let error = refusal(|directory| {
            let mut bytes = fs::read(directory.join(name)).unwrap();
            let at = (place * bytes.len() as f64) as usize;
            bytes[at] ^= 1 << bit;
            fs::write(directory.join(name), bytes).unwrap();
        });
        prop_assert!(error.to_string().contains(name), "{}", error);
    }
}
