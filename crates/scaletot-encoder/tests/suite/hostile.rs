//! Artifacts that someone or something has changed. Where hashes are left as they were, every change is refused; where they are made to
//! fit, deeper checks are reached: what they let pass may be another encoder, but it never panics and its scores are numbers.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate::common::{config, encoder, in_segments, schema, sum, value_head, world};
use proptest::prelude::*;
use scaletot_chain::{ChainSchema, StateDef};
use scaletot_core::ContentHash;
use scaletot_encoder::{ArtifactInfo, Error, FrozenEncoder, Heads, Precision, Scores, TransferGate};
use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
use serde_json::{Value, json};

const MANIFEST: &str = "manifest.json";
const NAMES: [&str; 3] = [MANIFEST, "weights.safetensors", "canaries.json"];

/// The files of an artifact that has everything an artifact can have.
static FILES: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let world = world(60, 1);
    let rows: Vec<usize> = (0..60).collect();
    let encoder = encoder(1).calibrate_abstention(&world.table, &rows, 0.1).unwrap();
    let encoder = encoder.with_value_head(value_head(6, 1)).unwrap();
    let report = encoder
        .transfer_report(&in_segments(&world.table, |row| format!("wave {}", row % 2)), &world.signals)
        .unwrap()
        .with_retention(0.1, 0.3, 0.2);
    let mut gate = TransferGate::default();
    gate.min_agreement = Some(0.0);
    let info =
        ArtifactInfo::new().with_metric("spearman", 0.3).with_note("weekly").with_gate(report, gate).unwrap();
    let place = tempfile::tempdir().unwrap();
    encoder.save(place.path(), info).unwrap();
    NAMES.map(|name| fs::read(place.path().join(name)).unwrap())
});

/// Writes the files with hashes that fit, and loads.
fn load_signed(mut files: [Vec<u8>; 3]) -> Result<FrozenEncoder, Error> {
    if let Ok(mut manifest) = serde_json::from_slice::<Value>(&files[0]) {
        for (name, bytes) in [("weights_sha256", &files[1]), ("canaries_sha256", &files[2])] {
            if let Some(hash) = manifest.get_mut(name) {
                *hash = ContentHash::of(bytes).to_string().into();
            }
        }
        files[0] = serde_json::to_vec(&manifest).unwrap();
    }
    load(&files, &sums(&files))
}

/// The checksums of the files.
fn sums(files: &[Vec<u8>; 3]) -> String {
    let lines = NAMES.iter().zip(files).map(|(name, bytes)| format!("{}  {name}\n", ContentHash::of(bytes)));
    lines.collect()
}

fn load(files: &[Vec<u8>; 3], sums: &str) -> Result<FrozenEncoder, Error> {
    let place = tempfile::tempdir().unwrap();
    NAMES.iter().zip(files).for_each(|(name, bytes)| fs::write(place.path().join(name), bytes).unwrap());
    fs::write(place.path().join("SHA256SUMS"), sums).unwrap();
    FrozenEncoder::load(place.path(), &schema())
}

/// Puts an encoder that was let pass to all its uses.
fn use_it(encoder: &FrozenEncoder) -> Scores {
    let world = world(30, 9);
    let rows: Vec<usize> = (0..30).collect();
    let scores = encoder.score(&world.table).unwrap();
    for (row, abstained) in scores.abstained.iter().enumerate() {
        assert_eq!(scores.value_of(row).is_none(), *abstained, "{:?}", scores.value[row]);
        assert_eq!(scores.abstention_of(row).is_some(), *abstained);
    }
    assert!(scores.posteriors.iter().flatten().chain(&scores.representation).all(|x| x.is_finite()));
    assert!(encoder.distances(&world.table, &rows).unwrap().iter().all(|x| x.is_finite()));
    assert!(encoder.drift(&world.table, &rows).unwrap().fields.iter().all(|field| field.psi.is_finite()));
    assert!(encoder.explain(&world.table, 1).unwrap().value.is_finite());
    encoder.clone().with_precision(Precision::Full).unwrap().check_canaries().unwrap();
    let place = tempfile::tempdir().unwrap();
    encoder.save(place.path(), encoder.info().clone()).unwrap();
    assert_eq!(&FrozenEncoder::load(place.path(), &schema()).unwrap(), encoder);
    scores
}

/// Paths of all leaves and branches of a JSON document.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| places(value, &format!("{path}/{key}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, value)| places(value, &format!("{path}/{i}"), found));
        }
        _ => {}
    }
}

#[test]
fn the_artifact_that_is_spoilt_below_is_sound() {
    use_it(&load_signed(FILES.clone()).unwrap());
    // Its manifest has a place for everything.
    let manifest: Value = serde_json::from_slice(&FILES[0]).unwrap();
    for place in [
        "/distance_limit/limit",
        "/transfer/by_segment/0/kl",
        "/gate/min_agreement",
        "/encoder/outcome/cap",
        "/encoder/value_head/fields/1/numeric/quantiles/cuts/0",
        "/encoder/value_head/marginals/0/0",
    ] {
        assert!(manifest.pointer(place).is_some(), "{place}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn flipped_bits_with_fitting_hashes_never_panic(
        file in 0usize..3, flips in prop::collection::vec((0.0f64..1.0, 0u8..8), 1..4),
    ) {
        let mut files = FILES.clone();
        for (place, bit) in flips {
            let at = (place * files[file].len() as f64) as usize;
            files[file][at] ^= 1 << bit;
        }
        // Text whose bytes were changed need not be text at all.
        if let Ok(encoder) = load_signed(files) {
            use_it(&encoder);
        }
    }

    #[test]
    fn cut_files_are_refused_whatever_the_hashes(file in 0usize..3, place in 0.0f64..1.0) {
        let mut files = FILES.clone();
        let at = (place * files[file].len() as f64) as usize;
        files[file].truncate(at);
        let error = load_signed(files).unwrap_err();
        prop_assert!(error.to_string().contains(NAMES[file]), "{}", error);
    }

    #[test]
    fn hashes_that_do_not_fit_are_refused(file in 0usize..3, tail in prop::collection::vec(any::<u8>(), 1..9)) {
        let mut files = FILES.clone();
        let sums = sums(&files);
        files[file].extend(tail);
        let error = load(&files, &sums).unwrap_err();
        prop_assert!(matches!(error, Error::Checksum { .. }), "{}", error);
        prop_assert!(error.to_string().contains(NAMES[file]), "{}", error);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn manifests_and_canaries_that_say_anything_never_panic(
        place in 0.0f64..1.0, canaries in prop::bool::weighted(0.2), value in prop_oneof![
            Just(json!(null)), Just(json!([])), Just(json!({})), Just(json!("")), Just(json!(true)),
            Just(json!(0)), Just(json!(-1)), Just(json!(u64::MAX)), Just(json!(i64::MIN)), Just(json!(1u64 << 53)),
            Just(json!(1u64 << 20)), Just(json!(u32::MAX)), Just(json!(1e308)), Just(json!(-1e308)), Just(json!(1e-308)),
        ],
    ) {
        let mut files = FILES.clone();
        let file = if canaries { 2 } else { 0 };
        let mut document: Value = serde_json::from_slice(&files[file]).unwrap();
        let mut all = vec![];
        places(&document, "", &mut all);
        let place = &all[(place * all.len() as f64) as usize];
        *document.pointer_mut(place).unwrap() = value;
        files[file] = serde_json::to_vec(&document).unwrap();
        if let Ok(encoder) = load_signed(files) {
            use_it(&encoder);
        }
    }
}

/// Sets a place in the manifest, and says what loading says.
fn refusal(place: &str, value: Value) -> String {
    let mut files = FILES.clone();
    let mut manifest: Value = serde_json::from_slice(&files[0]).unwrap();
    *manifest.pointer_mut(place).unwrap() = value;
    files[0] = serde_json::to_vec(&manifest).unwrap();
    load_signed(files).unwrap_err().to_string()
}

#[test]
fn counts_and_sizes_that_overflow_are_refused() {
    let histogram = "/encoder/histograms/0";
    // More than there are profiles; so many profiles that arithmetic is not exact; more than an integer holds.
    assert!(refusal(&format!("{histogram}/counts/0"), json!(u64::MAX)).contains("counts of `age`"));
    assert!(refusal(&format!("{histogram}/missing"), json!(u64::MAX)).contains("counts of `age`"));
    assert!(refusal(&format!("{histogram}/profiles"), json!(u64::MAX)).contains("counts of `age`"));
    assert!(refusal(&format!("{histogram}/profiles"), json!(1e30)).contains(MANIFEST));
    assert!(refusal(&format!("{histogram}/counts"), json!([])).contains("feature histograms"));
    assert!(refusal("/encoder/config/hidden", json!([usize::MAX])).contains("`hidden`"));
    assert!(refusal("/encoder/config/hidden", json!(vec![1; 100])).contains("at most 16 layers"));
    assert!(refusal("/encoder/config/embed_dim", json!(usize::MAX)).contains("`embed_dim`"));
    assert!(refusal("/encoder/config/cross_layers", json!(usize::MAX)).contains("`cross_layers`"));
    // As large as allowed, but not what the weights are.
    assert!(refusal("/encoder/config/hidden", json!([1 << 20])).contains("weights of the trunk"));
    assert!(refusal("/encoder/config/hidden", json!([64, 6])).contains("tensor `trunk.0.weight`"));
    assert!(refusal("/encoder/config/embed_dim", json!(64)).contains("tensor `embedding.weight`"));
    // So large that nothing of the weights is looked at.
    assert!(refusal("/encoder/config/hidden", json!([1 << 20, 6])).contains("at most 1024 MiB of memory"));
    assert!(refusal("/encoder/config/embed_dim", json!(1 << 20)).contains("at most 1024 MiB of memory"));
    assert!(refusal("/encoder/heads/student_dim", json!(usize::MAX)).contains("signal heads"));
    assert!(refusal("/distance_limit/users", json!(0)).contains("distance limit"));
}

/// The files with another number at a place of a tensor.
fn with_weight(tensor: &str, place: usize, weight: f32) -> [Vec<u8>; 3] {
    let mut files = FILES.clone();
    let header = 8 + u64::from_le_bytes(files[1][..8].try_into().unwrap()) as usize;
    let table: Value = serde_json::from_slice(&files[1][8..header]).unwrap();
    let first = table[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
    files[1][header + first + 4 * place..][..4].copy_from_slice(&weight.to_le_bytes());
    files
}

#[test]
fn weights_by_which_a_profile_could_have_infinite_scores_are_refused() {
    // The canaries need not meet the weight: the embedding of a value is no canary's, or all canaries are the blank profile.
    let blank = |mut files: [Vec<u8>; 3]| {
        let mut canaries: Vec<Value> = serde_json::from_slice(&files[2]).unwrap();
        let first = canaries[0].clone();
        canaries.iter_mut().for_each(|canary| canary.clone_from(&first));
        canaries.truncate(16);
        files[2] = serde_json::to_vec(&canaries).unwrap();
        files
    };
    let says = |files| load_signed(files).unwrap_err().to_string();
    assert!(says(blank(FILES.clone())).contains("canary 1 is one of those before it again"));
    for weight in [3e38, f32::MAX, -3e38, 1e38] {
        let files = with_weight("embedding.weight", 0, weight);
        let error = load_signed(files.clone()).unwrap_err();
        assert!(matches!(error, Error::Overflow { .. }), "{error}");
        assert!(error.to_string().contains("`cross.0`"), "{error}");
        assert!(says(blank(files)).contains("canary 1 is one of those before it again"));
        for (tensor, layer) in
            [("trunk.0.bias", "trunk.0"), ("states.bias", "heads"), ("outcome.weight", "heads")]
        {
            let error = says(with_weight(tensor, 1, weight));
            assert!(error.contains(&format!("`{layer}`")), "{tensor}: {error}");
        }
    }
    // The projection is only computed where somebody asks for it: with the row's number.
    let encoder = load_signed(with_weight("projection.weight", 0, 3e38)).unwrap();
    let scores = use_it(&encoder);
    let error = encoder.project(&scores.representation.mapv(|x| x * 1e3)).unwrap_err();
    assert!(matches!(error, Error::Value { row: 1, .. }), "{error}");
}

#[test]
fn canaries_that_say_nothing_are_refused() {
    let says = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut files = FILES.clone();
        let mut canaries: Vec<Value> = serde_json::from_slice(&files[2]).unwrap();
        change(&mut canaries);
        files[2] = serde_json::to_vec(&canaries).unwrap();
        load_signed(files).unwrap_err().to_string()
    };
    assert!(says(&|canaries| canaries.truncate(15)).contains("at least 16 and at most 256, found 15"));
    assert!(says(&|canaries| canaries[3] = canaries[20].clone()).contains("23 that differ; canary 20"));
    assert!(
        says(&|canaries| *canaries = canaries.iter().cycle().take(300).cloned().collect())
            .contains("found 300")
    );
    // A number beyond 32 bits would be within its own tolerance of anything.
    assert!(says(&|canaries| canaries[4]["outcome"][0] = json!(1e39)).contains("canaries.json"));
}

#[test]
fn tables_that_would_not_fit_into_memory_are_refused() {
    // A few megabytes of weights, a few gigabytes of products.
    let names: Vec<String> = (0..3000).map(|i| format!("v{i}")).collect();
    let schema =
        ProfileSchema::builder("wide").with_field(FieldSpec::categorical("code", names)).build().unwrap();
    let mut table = TableBuilder::new(schema);
    table.push_text(1, &["v7"]).unwrap();
    let chain = ChainSchema::builder("spend")
        .with_state(StateDef::ordinal("budget", ["low", "high"]))
        .build()
        .unwrap();
    let config = config(1, vec![1 << 17], 0);
    let error =
        FrozenEncoder::with_random_weights(&config, &table.finish(), &chain, Heads::new(true, vec![], 0), 1)
            .unwrap_err();
    assert!(matches!(&error, Error::Config(error) if error.field == "hidden"), "{error}");
    assert!(error.to_string().contains("lookup tables of 3001 rows by 131072 columns"), "{error}");
}

#[test]
fn what_is_not_an_artifact_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let says = |path: &Path| FrozenEncoder::load(path, &schema()).unwrap_err();
    assert!(matches!(says(&place.path().join("nowhere")), Error::Io { .. }));
    assert!(matches!(says(place.path()), Error::Io { .. }));
    NAMES.iter().zip(&*FILES).for_each(|(name, bytes)| fs::write(place.path().join(name), bytes).unwrap());
    // Deeper than any parser should follow.
    fs::write(place.path().join(MANIFEST), "[".repeat(100_000)).unwrap();
    sum(place.path());
    assert!(matches!(says(place.path()), Error::Json { .. }));
    fs::write(place.path().join(MANIFEST), "{}").unwrap();
    sum(place.path());
    assert!(matches!(says(place.path()), Error::Format { .. }));
}
