//! What is compared and bounded before an artifact is believed.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use scaletot_chain::{ChainSchema, StateDef};
use scaletot_core::ContentHash;
use scaletot_encoder::{
    ArtifactInfo, DistillConfig, EncoderConfig, Error, FrozenEncoder, Heads, RepresentationLoss,
    TransferGate, ValueHead,
};
use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder, UnknownPolicy};
use tempfile::TempDir;

use crate::common::{edit_manifest, encoder, with_causes};

const NAMES: [&str; 4] = ["SHA256SUMS", "canaries.json", "manifest.json", "weights.safetensors"];

/// The files of a sound artifact.
static FILES: LazyLock<[Vec<u8>; 4]> = LazyLock::new(|| {
    let place = tempfile::tempdir().unwrap();
    encoder(1).save(place.path(), ArtifactInfo::new().with_note("sound")).unwrap();
    NAMES.map(|name| fs::read(place.path().join(name)).unwrap())
});

/// An artifact of its own, which is not forced to disk.
fn artifact() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    NAMES.iter().zip(&*FILES).for_each(|(name, bytes)| fs::write(place.path().join(name), bytes).unwrap());
    place
}

fn refusal(directory: &Path) -> Error {
    FrozenEncoder::load_with_own_schema(directory).unwrap_err()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_changed_byte_of_an_artifact_is_noticed(file in 0usize..4, at in 0.0f64..1.0, flip in 1u8..=255) {
        let place = artifact();
        let mut bytes = FILES[file].clone();
        let at = (at * bytes.len() as f64) as usize;
        bytes[at] ^= flip;
        fs::write(place.path().join(NAMES[file]), bytes).unwrap();
        let error = refusal(place.path());
        let noticed = matches!(error, Error::Checksum(_) | Error::Io { .. } | Error::Artifact { .. });
        prop_assert!(noticed, "{}", error);
    }
}

#[test]
fn every_line_of_the_checksums_is_compared() {
    for name in &NAMES[1..] {
        let place = artifact();
        let path = place.path().join("SHA256SUMS");
        let sums = fs::read_to_string(&path).unwrap();
        let line = sums.lines().find(|line| line.ends_with(name)).unwrap();
        fs::write(&path, sums.replace(&line[..64], &ContentHash::of("other").to_string())).unwrap();
        let error = refusal(place.path()).to_string();
        assert!(error.contains(name) && error.contains("sha256"), "{error}");
        fs::write(&path, sums.replace(&format!("{line}\n"), "")).unwrap();
        assert!(refusal(place.path()).to_string().contains(&format!("missing: `{name}`")));
    }
    let place = artifact();
    let path = place.path().join("SHA256SUMS");
    let sums = fs::read_to_string(&path).unwrap();
    // Of a file that is none of an artifact's, there or not.
    fs::write(&path, format!("{sums}{}  plugin.so\n", ContentHash::of("x"))).unwrap();
    assert!(refusal(place.path()).to_string().contains("missing: none; superfluous: `plugin.so`"));
    fs::write(place.path().join("plugin.so"), "x").unwrap();
    assert!(refusal(place.path()).to_string().contains("superfluous: `plugin.so`"));
    fs::write(&path, &sums).unwrap();
    assert!(refusal(place.path()).to_string().contains("superfluous: `plugin.so`"));
    fs::remove_file(place.path().join("plugin.so")).unwrap();
    // What file managers and volumes leave is none of the artifact's, and not read.
    fs::write(place.path().join(".DS_Store"), "x").unwrap();
    FrozenEncoder::load_with_own_schema(place.path()).unwrap();
}

/// Loads in a thread, so that a test cannot wait for ever.
fn refused_soon(directory: PathBuf) -> String {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || send.send(with_causes(&refusal(&directory))));
    receive.recv_timeout(Duration::from_secs(20)).unwrap()
}

#[cfg(unix)]
#[test]
fn pipes_devices_and_directories_are_no_files_of_an_artifact() {
    for name in NAMES {
        for kind in ["pipe", "device", "directory"] {
            let place = artifact();
            let path = place.path().join(name);
            fs::remove_file(&path).unwrap();
            match kind {
                "pipe" => {
                    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
                }
                "device" => std::os::unix::fs::symlink("/dev/zero", &path).unwrap(),
                _ => fs::create_dir(&path).unwrap(),
            }
            let error = refused_soon(place.path().to_owned());
            assert!(
                error.contains("regular file") || error.contains("missing"),
                "{name} is a {kind}: {error}"
            );
            assert!(error.contains(name), "{name} is a {kind}: {error}");
        }
    }
}

#[test]
fn files_of_another_size_are_refused_before_they_are_read() {
    for (name, expected) in
        [("weights.safetensors", "for the tensors of the manifest"), ("manifest.json", "at most")]
    {
        let place = artifact();
        let file = File::options().write(true).open(place.path().join(name)).unwrap();
        // Sparse: it takes no room, and to hash it takes long.
        file.set_len(60 << 30).unwrap();
        let begun = Instant::now();
        let error = with_causes(&refusal(place.path()));
        assert!(error.contains(name) && error.contains(expected) && error.contains("64424509440"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_tiny_schema_has_as_many_canaries_as_profiles_can_differ() {
    let chain =
        ChainSchema::builder("c").with_state(StateDef::ordinal("s", ["low", "high"])).build().unwrap();
    let fields = [
        (FieldSpec::boolean("b"), 3),
        (FieldSpec::categorical("c", ["one"]), 2),
        (FieldSpec::categorical("u", ["one"]).with_unknown(UnknownPolicy::Bucket), 3),
        (FieldSpec::multi("m", ["one", "two"]), 4),
        (FieldSpec::numeric("n"), 1),
    ];
    for (field, least) in fields {
        let schema = ProfileSchema::builder("tiny").with_field(field).build().unwrap();
        let mut table = TableBuilder::new(schema.clone());
        // Blank profiles alone: nothing can be drawn.
        (0..50i64).for_each(|id| table.push_values(id, &[None]).unwrap());
        let table = table.finish();
        let encoder = FrozenEncoder::with_random_weights(
            &EncoderConfig::default(),
            &table,
            &chain,
            Heads::new(true, vec![2], 2),
            1,
        )
        .unwrap();
        let place = tempfile::tempdir().unwrap();
        encoder.save(place.path(), ArtifactInfo::new()).unwrap();
        FrozenEncoder::load(place.path(), &schema).unwrap();
        let canaries: Vec<serde_json::Value> =
            serde_json::from_slice(&fs::read(place.path().join("canaries.json")).unwrap()).unwrap();
        assert!(canaries.len() >= least, "{}", canaries.len());
    }
}

#[test]
fn many_values_of_a_field_take_time_in_proportion() {
    let begun = Instant::now();
    let names: Vec<String> = (0..100_000).map(|value| format!("v{value}")).collect();
    let schema = ProfileSchema::builder("wide")
        .with_field(FieldSpec::categorical("code", names))
        .with_field(FieldSpec::boolean("b"))
        .build()
        .unwrap();
    let mut table = TableBuilder::new(schema.clone());
    (0..500i64).for_each(|id| table.push_text(id, &[&format!("v{}", id * 199), "yes"]).unwrap());
    let table = table.finish();
    let chain =
        ChainSchema::builder("c").with_state(StateDef::ordinal("s", ["low", "high"])).build().unwrap();
    let mut config = EncoderConfig::default();
    (config.embed_dim, config.hidden) = (1, vec![4]);
    let heads = Heads::new(true, vec![], 0);
    let rows: Vec<usize> = (0..500).collect();
    let encoder = FrozenEncoder::with_random_weights(&config, &table, &chain, heads, 1)
        .unwrap()
        .calibrate_abstention(&table, &rows, 0.1)
        .unwrap();
    encoder.drift(&table, &rows).unwrap();
    let place = tempfile::tempdir().unwrap();
    encoder.save(place.path(), ArtifactInfo::new()).unwrap();
    let loaded = FrozenEncoder::load(place.path(), &schema).unwrap();
    assert_eq!(loaded.score(&table).unwrap(), encoder.score(&table).unwrap());
    // Without optimisation about 2 s, where a step per pair of values would take minutes.
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    // Nobody reads a hundred thousand words.
    let other = ProfileSchema::builder("wide")
        .with_field(FieldSpec::categorical("code", (0..100_001).map(|value| format!("w{value}"))))
        .with_field(FieldSpec::boolean("b"))
        .build()
        .unwrap();
    let error = FrozenEncoder::load(place.path(), &other).unwrap_err();
    assert!(
        matches!(error, Error::Schema { .. }) && error.to_string().len() < 2_000,
        "{}",
        error.to_string().len()
    );
}

#[test]
fn unknown_keys_of_every_setting_are_refused() {
    fn refused<T: serde::de::DeserializeOwned + serde::Serialize>(name: &str, setting: &T) {
        let mut json = serde_json::to_value(setting).unwrap();
        assert!(serde_json::from_value::<T>(json.clone()).is_ok(), "{name}");
        json["epoch"] = 5.into();
        let error = serde_json::from_value::<T>(json).err().map(|error| error.to_string());
        // A link is one of several forms, of which none fits.
        assert!(
            error.is_some_and(|error| error.contains("epoch") || error.contains("any variant")),
            "{name}"
        );
    }
    refused("encoder", &EncoderConfig::default());
    refused("distillation", &DistillConfig::default());
    refused("gate", &TransferGate::default());
    refused("info", &ArtifactInfo::default());
    refused("heads", &Heads::default());
    let loss = r#"{"contrastive": {"temperature": 0.1, "epoch": 5}}"#;
    assert!(serde_json::from_str::<RepresentationLoss>(loss).is_err());
    refused("value head", &ValueHead::builder(0.5).build().unwrap());
    let encoder = encoder(1);
    refused("featuriser", encoder.featuriser());
    refused("histogram", &encoder.histograms()[0]);
    refused("link", encoder.outcome_link().unwrap());
    // And of an artifact's manifest, at its top.
    let place = artifact();
    edit_manifest(place.path(), "\"note\": \"sound\"", "\"note\": \"sound\", \"notes\": 1");
    assert!(with_causes(&refusal(place.path())).contains("`notes`"));
}

#[test]
fn absurd_numbers_of_threads_are_refused() {
    for threads in [1_025, 4_000_000, usize::MAX] {
        let error = encoder(1).with_threads(NonZeroUsize::new(threads).unwrap()).unwrap_err().to_string();
        assert!(error.contains("at most 1024") && error.contains(&threads.to_string()), "{error}");
    }
}
