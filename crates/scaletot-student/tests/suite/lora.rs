//! Adapters: the same logits as `peft`, files that go back, and trainers that leave the frozen weights alone.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{batches_of, quick, records, sft, student, table};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use scaletot_core::causes;
use scaletot_student::decoder::{CausalLm, TokenBatch};
use scaletot_student::{LoraConfig, LoraTarget, Pretrained, Student};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    base: String,
    sequences: Vec<Vec<u32>>,
    left: Vec<Vec<Vec<f64>>>,
    merged: Vec<Vec<Vec<f64>>>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pretrained").join(name)
}

fn expected(name: &str) -> Expected {
    serde_json::from_slice(&fs::read(folder(name).join("logits.json")).unwrap()).unwrap()
}

fn load(name: &str) -> Pretrained {
    Pretrained::from_pretrained(folder(name), &Device::default()).unwrap()
}

fn logits(model: &CausalLm, sequences: &[Vec<u32>]) -> Tensor<3> {
    model.logits(model.hidden(&TokenBatch::left_padded(sequences, 0)).unwrap())
}

/// The largest difference to logits of real tokens, which are at the right.
fn worst(model: &CausalLm, sequences: &[Vec<u32>], expected: &[Vec<Vec<f64>>]) -> f64 {
    let all = logits(model, sequences);
    let [_, len, vocab] = all.dims();
    let values = all.try_into_vec_as::<f32>().unwrap();
    let mut worst = 0.0_f64;
    for (row, expected) in values.chunks(len * vocab).zip(expected) {
        let real = &row[(len - expected.len()) * vocab..];
        for (a, b) in real.iter().zip(expected.iter().flatten()) {
            worst = worst.max((f64::from(*a) - b).abs());
        }
    }
    worst
}

#[test]
fn logits_are_those_of_peft() {
    for name in ["lora_all", "lora_some"] {
        let expected = expected(name);
        let base = load(&expected.base);
        let adapted = base.with_adapter(folder(name)).unwrap();
        assert!(adapted.model().has_lora() && !base.model().has_lora());
        let unlike = worst(base.model(), &expected.sequences, &expected.left);
        assert!(unlike > 0.5, "{name}: the adapters do something, {unlike}");
        let with = worst(adapted.model(), &expected.sequences, &expected.left);
        assert!(with < 1e-4, "{name}: {with}");
        let merged = adapted.merged();
        assert!(!merged.model().has_lora());
        let merged = worst(merged.model(), &expected.sequences, &expected.merged);
        assert!(merged < 1e-4, "{name}, merged: {merged}");
    }
}

/// `make_fixtures.py --check` loads what is left in `SCALETOT_SAVED`.
#[test]
fn adapters_go_back_to_files() {
    let kept = std::env::var_os("SCALETOT_SAVED").map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let root = kept.unwrap_or_else(|| temporary.path().to_path_buf());
    for name in ["lora_all", "lora_some"] {
        let expected = expected(name);
        let base = load(&expected.base);
        let adapted = base.with_adapter(folder(name)).unwrap();
        adapted.save_adapter(root.join(name)).unwrap();
        let (saved, original) = (root.join(name), folder(name));
        let read = |dir: &Path| fs::read(dir.join("adapter_model.safetensors")).unwrap();
        let (saved_bytes, original_bytes) = (read(&saved), read(&original));
        let found = safetensors::SafeTensors::deserialize(&saved_bytes).unwrap();
        for (tensor, view) in safetensors::SafeTensors::deserialize(&original_bytes).unwrap().tensors() {
            assert_eq!(found.tensor(&tensor).unwrap().data(), view.data(), "{name}: {tensor}");
        }
        let again = base.with_adapter(&saved).unwrap();
        assert!(worst(again.model(), &expected.sequences, &expected.left) < 1e-4);
    }
    let none = load("qwen3").save_adapter(root.join("none")).unwrap_err().to_string();
    assert!(none.contains("expected a checkpoint with adapters, found none"), "{none}");
}

#[test]
fn every_change_of_a_byte_of_saved_adapters_is_noticed() {
    let base = load("llama");
    let dir = tempfile::tempdir().unwrap();
    base.with_adapter(folder("lora_some")).unwrap().save_adapter(dir.path()).unwrap();
    for name in ["adapter_config.json", "adapter_model.safetensors", "SHA256SUMS"] {
        let path = dir.path().join(name);
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by((whole.len() / 50).max(1)).chain([whole.len() - 1]) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, bytes).unwrap();
            base.with_adapter(dir.path()).map(drop).expect_err(&format!("{name}, byte {at}"));
        }
        fs::write(&path, whole).unwrap();
    }
    base.with_adapter(dir.path()).unwrap();
    // Of adapters without checksums, what is longer than its header says is not read.
    fs::remove_file(dir.path().join("SHA256SUMS")).unwrap();
    base.with_adapter(dir.path()).unwrap();
    let weights = fs::File::options().write(true).open(dir.path().join("adapter_model.safetensors")).unwrap();
    weights.set_len(1 << 40).unwrap();
    let error = base.with_adapter(dir.path()).unwrap_err().to_string();
    assert!(error.contains("bytes of its header, found 1099511627776"), "{error}");
}

#[test]
fn new_adapters_change_nothing_yet() {
    let base = load("qwen2");
    let sequences = expected("lora_all").sequences;
    let before = logits(base.model(), &sequences);
    let with = base.with_lora(&LoraConfig::default(), 3).unwrap();
    logits(with.model(), &sequences).into_data().assert_eq(&before.clone().into_data(), true);
    // Adapters on adapters: the first are merged.
    let again = with.with_lora(&LoraConfig::default(), 4).unwrap();
    assert!(logits(again.model(), &sequences).all_close(before, None, Some(1e-5)));
    let mut config = LoraConfig::default();
    config.rank = 0;
    assert!(base.with_lora(&config, 1).unwrap_err().to_string().contains("lora rank"));
    (config.rank, config.targets) = (1, Vec::new());
    assert!(base.with_lora(&config, 1).unwrap_err().to_string().contains("lora targets"));
    (config.rank, config.alpha, config.rank_stabilised) = (16, 8.0, true);
    assert_eq!(config.scale(), 2.0);
}

fn broken(change: impl FnOnce(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(folder("lora_some").join(file), dir.path().join(file)).unwrap();
    }
    change(dir.path());
    causes(&load("llama").with_adapter(dir.path()).unwrap_err())
}

fn with_config(key: &'static str, value: serde_json::Value) -> impl FnOnce(&Path) {
    move |dir| {
        let path = dir.join("adapter_config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config[key] = value;
        fs::write(path, config.to_string()).unwrap();
    }
}

#[test]
fn adapters_that_do_not_fit_are_named() {
    let prefix = "base_model.model.model.layers.0";
    for (error, said) in [
        (broken(with_config("use_dora", true.into())), "`use_dora`: expected none, found true"),
        (
            broken(with_config("init_lora_weights", "pissa_niter_4".into())),
            "`init_lora_weights`: expected true, false, gaussian or eva",
        ),
        (broken(with_config("target_modules", 3.into())), "`target_modules`: expected names"),
        (broken(with_config("bias", "all".into())), "`bias`: expected none, found \"all\""),
        (broken(with_config("peft_type", "IA3".into())), "`peft_type`: expected LORA, found IA3"),
        (
            broken(with_config("target_modules", serde_json::json!(["lm_head"]))),
            "`target_modules`: expected projections of the layers, found lm_head",
        ),
        (broken(with_config("r", 2.into())), "expected shape [2, "),
        (
            broken(with_config("target_modules", serde_json::json!(["q_proj", "v_proj"]))),
            "down_proj.lora_A.weight` belongs to no weight of the model",
        ),
        (
            broken(with_config(
                "target_modules",
                serde_json::json!(["q_proj", "v_proj", "down_proj", "k_proj"]),
            )),
            "k_proj.lora_A.weight` is missing",
        ),
    ] {
        assert!(error.contains(said), "{error}");
    }
    let elsewhere = load("qwen3").with_adapter(folder("lora_some")).unwrap_err().to_string();
    assert!(elsewhere.contains(prefix) && elsewhere.contains("expected shape"), "{elsewhere}");
}

/// What real files have: a pattern for the modules, and lists that are empty.
#[test]
fn patterns_and_empty_lists_are_read() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(folder("lora_some").join(file), dir.path().join(file)).unwrap();
    }
    with_config("target_modules", "^(model)(?!.*lm_head).*".into())(dir.path());
    with_config("modules_to_save", serde_json::json!([]))(dir.path());
    with_config("init_lora_weights", "gaussian".into())(dir.path());
    let expected = expected("lora_some");
    let adapted = load("llama").with_adapter(dir.path()).unwrap();
    assert!(worst(adapted.model(), &expected.sequences, &expected.left) < 1e-4);
}

/// A model that was trained on elsewhere comes back, and its adapters can be written.
#[test]
fn a_trained_model_comes_back() {
    let expected = expected("lora_some");
    let mut config = LoraConfig::default();
    (config.rank, config.alpha, config.rank_stabilised) = (3, 4.0, true);
    config.targets = vec![LoraTarget::Query, LoraTarget::Value, LoraTarget::Down];
    let base = load("llama").with_lora(&config, 1).unwrap();
    let trained = load("llama").with_adapter(folder("lora_some")).unwrap();
    let back = base.with_model(trained.model()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    back.save_adapter(dir.path()).unwrap();
    let read = load("llama").with_adapter(dir.path()).unwrap();
    assert!(worst(read.model(), &expected.sequences, &expected.left) < 1e-4);
    config.rank = 8;
    let wider = load("llama").with_lora(&config, 1).unwrap();
    // What was not trained on from it would be written under settings that are not its own.
    for (other, said) in [
        (load("qwen3"), "adapted weights"),
        (load("llama"), "adapted weights"),
        (wider, "rank of the adapters"),
    ] {
        let error = base.with_model(other.model()).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

/// The trainer trains the adapters and leaves the frozen weights as they were, to the bit.
#[test]
fn training_leaves_frozen_weights_alone() {
    let all = table(120, 1);
    let rows: Vec<usize> = (0..120).collect();
    let mut config = quick();
    (config.epochs, config.weight_decay) = (6, 0.1);
    let base = student(&all, 1);
    let mut lora = LoraConfig::default();
    (lora.rank, lora.targets) = (4, vec![LoraTarget::Query, LoraTarget::Value, LoraTarget::Down]);
    let adapted = base.with_lora(&lora, 2).unwrap();
    let (trained, log) = sft(&adapted, &all, &records(&all), &config, 1, &()).unwrap();
    let (first, best) = (log.epochs.first().unwrap().value_loss, log.epochs.last().unwrap().value_loss);
    assert!(best < 0.98 * first, "the adapters learn: {first} {best}");
    assert!(trained.model().has_lora());
    let frozen = |student: &Student| {
        let mut seen = Frozen::default();
        student.model().visit(&mut seen);
        seen.weights
    };
    let (before, after) = (frozen(&adapted), frozen(&trained));
    assert!(before.len() > 10);
    assert!(before == after, "a frozen weight changed");
    // Saved, the adapters are part of the weights.
    let dir = tempfile::tempdir().unwrap();
    trained.save(dir.path()).unwrap();
    let read = Student::load(dir.path(), &Device::default()).unwrap();
    assert!(!read.model().has_lora());
    let (a, b) = (
        trained.infer(&all, &rows, &batches_of(64)).unwrap(),
        read.infer(&all, &rows, &batches_of(64)).unwrap(),
    );
    let [a, b] = [&a, &b].map(|inference| inference.signals().representation_values());
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4));
}

/// The stored weights, without the adapters on them.
#[derive(Default)]
struct Frozen {
    path: Vec<String>,
    weights: Vec<Vec<f32>>,
}

impl ModuleVisitor for Frozen {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !self.path.iter().any(|name| name == "lora") {
            self.weights.push(param.val().try_into_vec_as::<f32>().unwrap());
        }
    }
}
