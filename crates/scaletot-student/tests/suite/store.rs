//! Saving and loading.

use std::fs;
use std::path::Path;

use crate::common::{self, batches_of, quick, records, sft, sign, student, table};
use scaletot_student::{Error, LoraConfig, OsipoConfig, SftConfig, SftLog, Student, StudentConfig};

fn saved() -> (tempfile::TempDir, Student) {
    let all = table(40, 1);
    let dir = tempfile::tempdir().unwrap();
    let student = student(&all, 3);
    student.save(dir.path()).unwrap();
    (dir, student)
}

fn load(dir: &Path) -> Result<Student, Error> {
    Student::load(dir, &Default::default())
}

#[test]
fn a_loaded_student_says_the_same() {
    let all = table(60, 1);
    let rows: Vec<usize> = (0..60).collect();
    let mut config = quick();
    config.epochs = 2;
    for tied in [true, false] {
        let mut sizes = common::tiny();
        sizes.tie_embeddings = tied;
        let new = Student::new(&sizes, &all, &common::chain_schema(), 3, &Default::default()).unwrap();
        let (trained, _) = sft(&new, &all, &records(&all), &config, 1, &()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        trained.save(dir.path().join("new").join("student")).unwrap();
        let loaded = load(&dir.path().join("new").join("student")).unwrap();
        assert_eq!(
            loaded.infer(&all, &rows, &batches_of(16)).unwrap(),
            trained.infer(&all, &rows, &batches_of(16)).unwrap()
        );
        assert_eq!(loaded.shape(), trained.shape());
        assert_eq!(loaded.num_params(), trained.num_params());
        // Training goes on from the same place.
        let again = |student: &Student| sft(student, &all, &records(&all), &config, 2, &()).unwrap().1;
        assert_eq!(again(&loaded), again(&trained));
    }
}

#[test]
fn saving_again_replaces_a_student_and_nothing_else() {
    let (dir, _) = saved();
    let all = table(40, 1);
    let other = student(&all, 4);
    other.save(dir.path()).unwrap();
    let rows = [0, 1, 2];
    assert_eq!(
        load(dir.path()).unwrap().infer(&all, &rows, &batches_of(3)).unwrap(),
        other.infer(&all, &rows, &batches_of(3)).unwrap()
    );
    let expected = [
        "SHA256SUMS",
        "chain_schema.json",
        "config.json",
        "model.safetensors",
        "profile_schema.json",
        "tokenizer.json",
    ];
    assert_eq!(names(dir.path()), expected);
    // Somebody's notes beside the student would go with it; somebody's checkpoint has the same names.
    let before = fs::read(dir.path().join("model.safetensors")).unwrap();
    for file in ["notes.txt", "config.json"] {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("student");
        if file == "notes.txt" {
            student(&all, 3).save(&path).unwrap();
        } else {
            fs::create_dir(&path).unwrap();
            fs::copy(dir.path().join("model.safetensors"), path.join("model.safetensors")).unwrap();
        }
        fs::write(path.join(file), "mine").unwrap();
        let there = names(&path);
        let error = other.save(&path).unwrap_err();
        assert!(scaletot_core::causes(&error).contains("expected nothing, an empty directory"), "{error}");
        assert_eq!((names(&path), names(place.path())), (there, vec!["student".to_owned()]));
        assert_eq!(fs::read_to_string(path.join(file)).unwrap(), "mine");
    }
    assert_eq!(fs::read(dir.path().join("model.safetensors")).unwrap(), before);
}

/// Names in a directory.
fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn every_change_of_a_byte_of_a_saved_student_is_noticed() {
    let (dir, _) = saved();
    for name in names(dir.path()) {
        let path = dir.path().join(&name);
        let whole = fs::read(&path).unwrap();
        let step = (whole.len() / 60).max(1);
        for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, bytes).unwrap();
            load(dir.path()).map(drop).expect_err(&format!("{name}, byte {at}"));
        }
        fs::write(&path, whole).unwrap();
    }
    load(dir.path()).unwrap();
}

#[test]
fn only_regular_files_of_the_stated_length_are_read() {
    for name in ["model.safetensors", "tokenizer.json", "config.json", "chain_schema.json", "SHA256SUMS"] {
        let (dir, _) = saved();
        let path = dir.path().join(name);
        // A terabyte that takes no room.
        let grown = fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40);
        grown.unwrap();
        let error = scaletot_core::causes(&load(dir.path()).unwrap_err());
        assert!(error.contains("1099511627776") && error.contains(name), "{error}");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(load(dir.path()).unwrap_err(), Error::File(_)), "{name}");
        #[cfg(unix)]
        {
            fs::remove_dir(&path).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
            assert!(matches!(load(dir.path()).unwrap_err(), Error::File(_)), "{name}");
        }
    }
}

#[test]
fn the_files_are_those_of_other_tools() {
    let (dir, student) = saved();
    let tokenizer = tokenizers::Tokenizer::from_file(dir.path().join("tokenizer.json")).unwrap();
    let all = table(40, 1);
    let ids = student.tokenizer().encode(&all, 0, &[0, 1, 2]).unwrap().ids;
    let text = student.tokenizer().words(&ids).join("\n");
    assert_eq!(tokenizer.encode(text, false).unwrap().get_ids(), ids);
    // Names and layouts as in LLaMA checkpoints: projections are [out, in].
    let bytes = fs::read(dir.path().join("model.safetensors")).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let shape = |name: &str| header[name]["shape"].clone();
    assert_eq!(shape("model.layers.0.self_attn.k_proj.weight"), serde_json::json!([8, 16]));
    assert_eq!(shape("model.layers.0.mlp.gate_proj.weight"), serde_json::json!([24, 16]));
    assert_eq!(shape("model.layers.0.input_layernorm.weight"), serde_json::json!([16]));
    assert_eq!(shape("model.embed_tokens.weight"), serde_json::json!([student.tokenizer().vocab_size(), 16]));
    assert_eq!(shape("model.norm.weight"), serde_json::json!([16]));
    assert!(header.get("lm_head.weight").is_none());
}

#[test]
fn a_missing_or_changed_file_is_named() {
    for name in
        ["config.json", "model.safetensors", "tokenizer.json", "profile_schema.json", "chain_schema.json"]
    {
        let (dir, _) = saved();
        fs::remove_file(dir.path().join(name)).unwrap();
        let error = load(dir.path()).unwrap_err();
        assert!(matches!(error, Error::File(_)) && error.to_string().contains(name), "{error}");
        let (dir, _) = saved();
        let path = dir.path().join(name);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        let error = load(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains(name), "{error}");
    }
}

#[test]
fn another_format_or_schema_is_refused() {
    let (dir, _) = saved();
    sign(dir.path(), |config| config["format"] = 3.into());
    assert!(matches!(load(dir.path()).unwrap_err(), Error::Format { expected: 2, found: 3, .. }));
    let (dir, _) = saved();
    let path = dir.path().join("chain_schema.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"warm\"", "\"mild\"")).unwrap();
    sign(dir.path(), |_| {});
    let error = load(dir.path()).unwrap_err();
    assert!(matches!(error, Error::SchemaMismatch { what: "chain_schema.json", .. }), "{error}");
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let weights_of = |edit: fn(&mut StudentConfig)| {
        let mut config = common::tiny();
        edit(&mut config);
        let all = table(40, 1);
        let dir = tempfile::tempdir().unwrap();
        let other = Student::new(&config, &all, &common::chain_schema(), 3, &Default::default()).unwrap();
        other.save(dir.path()).unwrap();
        fs::read(dir.path().join("model.safetensors")).unwrap()
    };
    let (dir, _) = saved();
    for (edit, expected) in [
        ((|c| c.d_ff = 32) as fn(&mut StudentConfig), "mlp"),
        (|c| c.n_layers = 2, "model.layers.1"),
        (|c| c.tie_embeddings = false, "lm_head.weight"),
    ] {
        fs::write(dir.path().join("model.safetensors"), weights_of(edit)).unwrap();
        sign(dir.path(), |_| {});
        let error = load(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains(expected), "{error}");
    }
    // The other way round the tensor is missing.
    let (dir, _) = saved();
    sign(dir.path(), |config| config["kind"]["student"]["n_layers"] = 2.into());
    let error = load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("model.layers.1") && error.contains("missing"), "{error}");
    // A NaN weight.
    let (dir, _) = saved();
    let path = dir.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    sign(dir.path(), |_| {});
    let error = load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("not finite") && error.contains("model."), "{error}");
}

#[test]
fn unknown_keys_are_refused_with_their_name() {
    let key = |error: serde_json::Error| {
        let error = error.to_string();
        assert!(error.contains("unknown field `epoch`"), "{error}");
    };
    let json = r#"{"epoch": 5}"#;
    key(serde_json::from_str::<StudentConfig>(json).unwrap_err());
    key(serde_json::from_str::<SftConfig>(json).unwrap_err());
    key(serde_json::from_str::<OsipoConfig>(json).unwrap_err());
    key(serde_json::from_str::<LoraConfig>(json).unwrap_err());
    key(serde_json::from_str::<SftLog>(json).unwrap_err());
    let (dir, _) = saved();
    sign(dir.path(), |config| config["bins"] = 3.into());
    let error = scaletot_core::causes(&load(dir.path()).unwrap_err());
    assert!(error.contains("unknown field `bins`"), "{error}");
}
