//! Saving and loading.

use std::fs;
use std::path::Path;

use crate::common::{self, quick, records, sft, student, table};
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

/// Writes `config.json` anew with the hashes of the files as they are.
fn sign(dir: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    let path = dir.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for name in ["model.safetensors", "tokenizer.json", "profile_schema.json", "chain_schema.json"] {
        let hash = scaletot_core::ContentHash::of(fs::read(dir.join(name)).unwrap());
        config["files"][name] = serde_json::Value::String(hash.to_string());
    }
    edit(&mut config);
    fs::write(path, serde_json::to_vec(&config).unwrap()).unwrap();
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
        assert_eq!(loaded.infer(&all, &rows, 16).unwrap(), trained.infer(&all, &rows, 16).unwrap());
        assert_eq!(loaded.shape(), trained.shape());
        assert_eq!(loaded.num_params(), trained.num_params());
        // Training goes on from the same place.
        let again = |student: &Student| sft(student, &all, &records(&all), &config, 2, &()).unwrap().1;
        assert_eq!(again(&loaded), again(&trained));
    }
}

#[test]
fn saving_again_replaces_and_leaves_other_files_alone() {
    let (dir, _) = saved();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let all = table(40, 1);
    let other = student(&all, 4);
    other.save(dir.path()).unwrap();
    let rows = [0, 1, 2];
    assert_eq!(
        load(dir.path()).unwrap().infer(&all, &rows, 3).unwrap(),
        other.infer(&all, &rows, 3).unwrap()
    );
    assert_eq!(fs::read_to_string(dir.path().join("notes.txt")).unwrap(), "mine");
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    let expected = [
        "chain_schema.json",
        "config.json",
        "model.safetensors",
        "notes.txt",
        "profile_schema.json",
        "tokenizer.json",
    ];
    assert_eq!(names, expected);
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
    sign(dir.path(), |config| config["format"] = 2.into());
    assert!(matches!(load(dir.path()).unwrap_err(), Error::Format { expected: 1, found: 2, .. }));
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
