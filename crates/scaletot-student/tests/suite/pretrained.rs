//! Checkpoints as `transformers` saves them: the same logits, clear errors, and files that go back.
//! `fixtures/pretrained/make_fixtures.py` made the checkpoints and the logits.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use scaletot_core::causes;
use scaletot_student::decoder::{KvCache, TokenBatch};
use scaletot_student::{Error, Pretrained};
use serde::Deserialize;

const ALL: [&str; 7] =
    ["llama", "llama3_tied", "llama_biased_linear", "llama_sharded", "qwen2", "qwen2_bf16", "qwen3"];

#[derive(Deserialize)]
struct Expected {
    sequences: Vec<Vec<u32>>,
    left: Vec<Vec<Vec<f64>>>,
    right: Vec<Vec<Vec<f64>>>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pretrained").join(name)
}

fn expected(name: &str) -> Expected {
    serde_json::from_slice(&fs::read(folder(name).join("logits.json")).unwrap()).unwrap()
}

fn load(dir: &Path) -> Result<Pretrained, Error> {
    Pretrained::from_pretrained(dir, &Device::default())
}

/// Logits `[rows][len][vocab]`.
fn host(logits: Tensor<3>) -> Vec<Vec<Vec<f32>>> {
    let [_, len, vocab] = logits.dims();
    let values = logits.try_into_vec_as::<f32>().unwrap();
    values.chunks(len * vocab).map(|row| row.chunks(vocab).map(<[f32]>::to_vec).collect()).collect()
}

/// The largest difference at real tokens.
fn worst(found: &[Vec<Vec<f32>>], batch: &TokenBatch, expected: &[Vec<Vec<f64>>]) -> f64 {
    let mut worst = 0.0_f64;
    for (row, expected) in expected.iter().enumerate() {
        let real = (0..batch.len()).filter(|at| batch.valid()[row * batch.len() + at]);
        let real: Vec<&Vec<f32>> = real.map(|at| &found[row][at]).collect();
        assert_eq!(real.len(), expected.len());
        for (found, expected) in real.into_iter().zip(expected) {
            assert_eq!(found.len(), expected.len());
            for (a, b) in found.iter().zip(expected) {
                worst = worst.max((f64::from(*a) - b).abs());
            }
        }
    }
    worst
}

#[test]
fn logits_are_those_of_transformers() {
    for name in ALL {
        let checkpoint = load(&folder(name)).unwrap();
        let model = checkpoint.model();
        let expected = expected(name);
        let range = expected.left.iter().flatten().flatten().fold(0.0_f64, |most, x| most.max(x.abs()));
        assert!(range > 1.0, "{name}: logits that say something");
        for left in [true, false] {
            let pad = if left { TokenBatch::left_padded::<Vec<u32>> } else { TokenBatch::right_padded };
            let batch = pad(&expected.sequences, 0);
            let side = if left { &expected.left } else { &expected.right };
            let whole = worst(&host(model.logits(model.hidden(&batch).unwrap())), &batch, side);
            assert!(whole < 1e-4, "{name}, left {left}: {whole}");
        }
        // In pieces, through the cache: the first columns together, then one by one.
        let batch = TokenBatch::left_padded(&expected.sequences, 0);
        let mut cache = KvCache::new();
        let mut found: Vec<Vec<Vec<f32>>> = vec![Vec::new(); batch.rows()];
        for columns in [0..4, 4..5, 5..6, 6..7] {
            let piece = batch.columns(columns);
            let logits = host(model.logits(model.hidden_cached(&piece, &mut cache).unwrap()));
            found.iter_mut().zip(logits).for_each(|(all, row)| all.extend(row));
        }
        let cached = worst(&found, &batch, &expected.left);
        assert!(cached < 1e-4, "{name}, cached: {cached}");
    }
}

#[test]
fn the_tokenizer_comes_along() {
    let checkpoint = load(&folder("qwen3")).unwrap();
    assert_eq!(checkpoint.encode("w3 w17 w5").unwrap(), [3, 17, 5]);
    assert_eq!(checkpoint.decode(&[3, 17]).unwrap(), "w3 w17");
    assert_eq!((checkpoint.config().d_head, checkpoint.config().d_model), (6, 16));
}

/// Saved back, every tensor has its bytes, and other libraries find the metadata that they look for. `make_fixtures.py --check`
/// loads what is left in `SCALETOT_SAVED`.
#[test]
fn saving_gives_the_same_tensors() {
    let kept = std::env::var_os("SCALETOT_SAVED").map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let root = kept.unwrap_or_else(|| temporary.path().to_path_buf());
    for name in ALL {
        let checkpoint = load(&folder(name)).unwrap();
        checkpoint.save(root.join(name)).unwrap();
        let again = load(&root.join(name)).unwrap();
        assert_eq!(again.config(), checkpoint.config());
        let saved = fs::read(root.join(name).join("model.safetensors")).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&saved).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
        let config: serde_json::Value =
            serde_json::from_slice(&fs::read(root.join(name).join("config.json")).unwrap()).unwrap();
        assert_eq!(config["dtype"], "float32");
        let single = folder(name).join("model.safetensors");
        if name.ends_with("bf16") || !single.exists() {
            continue;
        }
        let (original, saved) = (fs::read(single).unwrap(), SafeTensors::deserialize(&saved).unwrap());
        let original = SafeTensors::deserialize(&original).unwrap();
        assert_eq!(saved.len(), original.len(), "{name}");
        for (tensor, view) in original.tensors() {
            let found = saved.tensor(&tensor).unwrap();
            assert_eq!((found.shape(), found.data()), (view.shape(), view.data()), "{name}: {tensor}");
        }
    }
}

/// A copy of a checkpoint with something changed.
fn broken(name: &str, change: impl FnOnce(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder(name)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    change(dir.path());
    causes(&load(dir.path()).unwrap_err())
}

fn with_config(dir: &Path, key: &str, value: serde_json::Value) {
    let path = dir.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config[key] = value;
    fs::write(path, config.to_string()).unwrap();
}

/// Writes the tensors again, changed.
fn with_tensors(dir: &Path, change: impl Fn(&str, &TensorView<'_>) -> Option<(Vec<usize>, Vec<u8>)>) {
    let path = dir.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let kept: Vec<_> = tensors
        .tensors()
        .into_iter()
        .filter_map(|(name, view)| change(&name, &view).map(|(shape, data)| (name, shape, data)))
        .collect();
    let views = kept.iter().map(|(name, shape, data)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn as_it_is(view: &TensorView<'_>) -> (Vec<usize>, Vec<u8>) {
    (view.shape().to_vec(), view.data().to_vec())
}

#[test]
fn what_is_not_supported_is_named() {
    for (key, value, said) in [
        ("model_type", "mamba".into(), "`model_type`: expected llama, qwen2 or qwen3, found mamba"),
        ("hidden_act", "gelu".into(), "`hidden_act`: expected silu, found gelu"),
        ("use_sliding_window", true.into(), "full attention in every layer, found use_sliding_window"),
        (
            "quantization_config",
            serde_json::json!({"bits": 4}),
            "expected weights in floating point, found quantised ones",
        ),
        (
            "rope_parameters",
            serde_json::json!({"rope_type": "yarn"}),
            "expected default, linear or llama3, found yarn",
        ),
        ("rope_parameters", serde_json::json!({"rope_type": "linear"}), "expected `factor`, found none"),
        ("num_key_value_heads", 3.into(), "`n_kv_heads`: expected a divisor of n_heads, found 3"),
        (
            "hidden_size",
            "wide".into(),
            "config.json: its content cannot be used: hidden_size: invalid type: string \"wide\"",
        ),
        ("rope_parameters", serde_json::json!({"factor": "two"}), "rope_parameters.factor: invalid type"),
    ] {
        let error = broken("qwen3", |dir| with_config(dir, key, value));
        assert!(error.contains(said), "{key}: {error}");
    }
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let q = "model.layers.1.self_attn.q_norm.weight";
    let missing = broken("qwen3", |dir| with_tensors(dir, |name, view| (name != q).then(|| as_it_is(view))));
    assert!(missing.contains(q) && missing.contains("missing"), "{missing}");

    let up = "model.layers.0.mlp.up_proj.weight";
    let misshapen = broken("qwen3", |dir| {
        with_tensors(dir, |name, view| match name == up {
            true => Some((vec![24, 15], view.data()[..24 * 15 * 4].to_vec())),
            false => Some(as_it_is(view)),
        });
    });
    assert!(
        misshapen.contains("mlp.up_proj.weight") && misshapen.contains("24") && misshapen.contains("15"),
        "{misshapen}"
    );

    let infinite = broken("qwen3", |dir| {
        with_tensors(dir, |name, view| {
            let (shape, mut data) = as_it_is(view);
            if name == up {
                data[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
            }
            Some((shape, data))
        });
    });
    assert!(infinite.contains("mlp.up_proj") && infinite.contains("not finite"), "{infinite}");

    // The biases of Qwen2 in a file that says that it is LLaMA's.
    let surplus = broken("qwen2", |dir| with_config(dir, "model_type", "llama".into()));
    assert!(surplus.contains("_proj.bias") && surplus.contains("belongs to no weight"), "{surplus}");

    let part = "model-00002-of-00003.safetensors";
    let without_part = broken("llama_sharded", |dir| fs::remove_file(dir.join(part)).unwrap());
    assert!(without_part.contains(part), "{without_part}");
    let elsewhere = broken("llama_sharded", |dir| {
        fs::write(dir.join("model.safetensors.index.json"), r#"{"weight_map": {"a": "../../secret"}}"#)
            .unwrap();
    });
    assert!(elsewhere.contains("expected names of files beside it"), "{elsewhere}");
    let none = broken("llama", |dir| fs::remove_file(dir.join("model.safetensors")).unwrap());
    assert!(none.contains("model.safetensors"), "{none}");
    let cut = broken("llama", |dir| fs::write(dir.join("model.safetensors"), b"cut").unwrap());
    assert!(cut.contains("model.safetensors"), "{cut}");
}

/// Writes a checkpoint whose configuration ties the head, with a head in the file.
fn with_head(dir: &Path, change: impl Fn(&mut Vec<u8>)) {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(folder("qwen3").join(file), dir.join(file)).unwrap();
    }
    let path = dir.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let embedding = tensors.tensor("model.embed_tokens.weight").unwrap();
    let mut head = embedding.data().to_vec();
    change(&mut head);
    let mut all: Vec<_> = tensors.tensors();
    let shape = embedding.shape().to_vec();
    all.push(("lm_head.weight".to_owned(), TensorView::new(Dtype::F32, shape, &head).unwrap()));
    fs::write(path, safetensors::serialize(all, None).unwrap()).unwrap();
}

/// A file may hold the tied head as well; one that differs was trained apart, and is used, as `transformers` does.
#[test]
fn a_head_in_the_file_of_a_tied_model() {
    let (same, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    with_head(same.path(), |_| {});
    assert!(load(same.path()).unwrap().config().tie_embeddings);
    with_head(other.path(), |head| head[..4].copy_from_slice(&1.5_f32.to_le_bytes()));
    let untied = load(other.path()).unwrap();
    assert!(!untied.config().tie_embeddings);
    let batch = TokenBatch::left_padded(&[vec![3, 4]], 0);
    let logits = |checkpoint: &Pretrained| {
        host(checkpoint.model().logits(checkpoint.model().hidden(&batch).unwrap()))[0][1].clone()
    };
    let (tied, found) = (logits(&load(&folder("qwen3")).unwrap()), logits(&untied));
    assert!(tied[0] != found[0] && tied[1..] == found[1..], "the head's first row is another");
    let saved = other.path().join("saved");
    untied.save(&saved).unwrap();
    assert_eq!(logits(&load(&saved).unwrap()), found, "saved, it stays apart");
    // A checkpoint that somebody else has written is not replaced; one that was saved so is.
    let error = untied.save(same.path()).unwrap_err();
    assert!(causes(&error).contains("found a directory without SHA256SUMS"), "{error}");
    assert!(load(same.path()).unwrap().config().tie_embeddings);
    untied.save(&saved).unwrap();
    let path = saved.join("config.json");
    fs::write(&path, fs::read_to_string(&path).unwrap().replacen('0', "1", 1)).unwrap();
    assert!(causes(&load(&saved).unwrap_err()).contains("expected sha256"));
}

/// Configurations that were saved again have the kind of scaling under both of its names.
#[test]
fn both_names_of_the_scaling_are_read() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(folder("llama_biased_linear").join(file), dir.path().join(file)).unwrap();
    }
    with_config(dir.path(), "rope_parameters", serde_json::Value::Null);
    with_config(dir.path(), "rope_theta", 10_000.0.into());
    with_config(dir.path(), "mlp_bias", true.into());
    let scaling = serde_json::json!({"type": "linear", "rope_type": "linear", "factor": 2.0});
    with_config(dir.path(), "rope_scaling", scaling);
    assert_eq!(load(dir.path()).unwrap().config(), load(&folder("llama_biased_linear")).unwrap().config());
    with_config(dir.path(), "rope_scaling", serde_json::json!({"factor": 2.0}));
    assert!(load(dir.path()).unwrap_err().to_string().contains("expected `rope_type`, found none"));
}

/// Padding and truncation that a tokenizer was last used with are not its own.
#[test]
fn a_tokenizer_forgets_how_it_was_last_called() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(folder("qwen3").join(file), dir.path().join(file)).unwrap();
    }
    let mut tokenizer: serde_json::Value =
        serde_json::from_slice(&fs::read(folder("qwen3").join("tokenizer.json")).unwrap()).unwrap();
    tokenizer["padding"] = serde_json::json!({"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "w0"});
    tokenizer["truncation"] =
        serde_json::json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
    fs::write(dir.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    assert_eq!(load(dir.path()).unwrap().encode("w3 w17 w5").unwrap(), [3, 17, 5]);
}

#[test]
fn a_tokenizer_that_contradicts_itself_is_refused_and_does_not_panic() {
    // At a merge that joins to more than the longest token the library panics.
    let error = broken("qwen3", |dir| {
        let tokenizer = serde_json::json!({
            "version": "1.0",
            "added_tokens": [],
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]]},
        });
        fs::write(dir.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    });
    assert!(error.contains("tokenizer.json: `model.merges`") && error.contains("\"ab\""), "{error}");
}

#[test]
fn sizes_that_no_weights_of_the_checkpoint_fill_are_refused_before_memory_is_taken() {
    for (key, size) in [
        ("vocab_size", 1_u64 << 40),
        ("vocab_size", u64::MAX >> 1),
        ("hidden_size", 1 << 33),
        ("num_hidden_layers", 1 << 50),
        ("intermediate_size", 1 << 45),
        ("head_dim", 1 << 41),
    ] {
        let error = broken("qwen3", |dir| with_config(dir, key, size.into()));
        assert!(error.contains("config.json: expected sizes of a model whose weights fit"), "{key}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_or_device_in_a_checkpoint_is_refused_at_once() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let pipe = broken("qwen3", |dir| {
            fs::remove_file(dir.join(file)).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(dir.join(file)).status().unwrap().success());
        });
        let device = broken("qwen3", |dir| {
            fs::remove_file(dir.join(file)).unwrap();
            std::os::unix::fs::symlink("/dev/zero", dir.join(file)).unwrap();
        });
        for error in [pipe, device] {
            assert!(error.contains(file) && error.contains("expected a regular file"), "{error}");
        }
    }
}
