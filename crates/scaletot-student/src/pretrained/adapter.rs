//! Adapters in the files of `peft`: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::tensor::{DType, TensorData};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use scaletot_core::config::ConfigError;
use scaletot_core::files::{AtomicDir, Checksums};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Pretrained;
use crate::decoder::CausalLm;
use crate::error::{Error, Result};
use crate::files::{self, Checked};
use crate::host::to_host;
use crate::lora::{Factors, LoraConfig, LoraTarget};
use crate::weights;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// What the directory of adapters that were saved here may hold.
const NAMES: &[&str] = &[Checksums::NAME, CONFIG, WEIGHTS];
/// What stands before a weight's path.
const PREFIX: &str = "base_model.model.";

#[derive(Deserialize)]
struct Published {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    /// Names of projections or paths of single ones; or a pattern, and then those in the file are meant.
    target_modules: Value,
    #[serde(default)]
    use_rslora: bool,
}

impl Pretrained {
    /// The same checkpoint with new adapters; see [`CausalLm::with_lora`].
    ///
    /// # Errors
    /// [`Error::Config`] for a setting out of its range.
    pub fn with_lora(&self, config: &LoraConfig, seed: u64) -> Result<Self> {
        Ok(Self { model: self.model.with_lora(config, seed)?, lora: Some(config.clone()), ..self.clone() })
    }

    /// The same checkpoint with the adapters that `peft` saved in a directory.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is not there, [`Error::Unsupported`] for another kind of adapter than LoRA on projections, and
    /// [`Error::Corrupt`] for a tensor that is missing, superfluous or of another shape.
    pub fn with_adapter(&self, dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        AtomicDir::read(dir, || {
            let (checked, path) = (Checked::maybe(dir)?, dir.join(WEIGHTS));
            let bytes = checked.read(&path)?;
            let tensors = weights::tensors(&bytes, &path)?;
            let config = dir.join(CONFIG);
            let (config, modules) = read_config(&config, &checked.read(&config)?, &tensors)?;
            let model = read_factors(&self.model, &config, &modules, &tensors, &path)?;
            Ok(Self { model, lora: Some(config), ..self.clone() })
        })
    }

    /// The same checkpoint with its adapters merged into the weights.
    #[must_use]
    pub fn merged(&self) -> Self {
        Self { model: self.model.merged(), lora: None, ..self.clone() }
    }

    /// Writes the adapters to a directory, for `peft` and for [`with_adapter`](Self::with_adapter), with checksums that the latter compares.
    /// One that was written so before is replaced, anything else is not.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no adapter, [`Error::File`] with the file that could not be written, or the directory that is somebody
    /// else's.
    pub fn save_adapter(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        let Some(config) = &self.lora else {
            return Err(ConfigError::new("adapter", "a checkpoint with adapters", "none").into());
        };
        let path = dir.join(CONFIG);
        let modules: Vec<String> =
            self.model.adapters().into_keys().map(|weight| module_of(&weight).to_owned()).collect();
        let adapter = json!({
            "base_model_name_or_path": Value::Null,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "lora_alpha": config.alpha,
            "lora_dropout": 0.0,
            "modules_to_save": Value::Null,
            "peft_type": "LORA",
            "r": config.rank,
            "target_modules": modules,
            "task_type": "CAUSAL_LM",
            "use_rslora": config.rank_stabilised,
        });
        let adapter = serde_json::to_vec_pretty(&adapter).map_err(Error::unusable(&path))?;
        let weights = write_factors(&self.model, &dir.join(WEIGHTS))?;
        files::write_dir(dir, NAMES, &[(WEIGHTS, weights), (CONFIG, adapter)])
    }
}

/// The settings, and the modules that have adapters, as the file names them.
fn read_config(path: &Path, bytes: &[u8], tensors: &SafeTensors<'_>) -> Result<(LoraConfig, Vec<String>)> {
    let json: Value = serde_json::from_slice(bytes).map_err(Error::unusable(path))?;
    let set = |key: &str| match json.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => None,
        Some(Value::Object(map)) if map.is_empty() => None,
        Some(Value::Array(list)) if list.is_empty() => None,
        Some(Value::String(text)) if text == "none" => None,
        Some(other) => Some(other.to_string()),
    };
    // Each would compute something else.
    let unknown = [
        "use_dora",
        "use_qalora",
        "use_bdlora",
        "bias",
        "lora_bias",
        "rank_pattern",
        "alpha_pattern",
        "modules_to_save",
        "layers_to_transform",
        "layer_replication",
        "fan_in_fan_out",
        "target_parameters",
        "trainable_token_indices",
        "exclude_modules",
        "kasa_config",
        "velora_config",
        "monteclora_config",
        "alora_invocation_tokens",
        "arrow_config",
    ];
    if let Some((key, found)) = unknown.iter().find_map(|key| Some((*key, set(key)?))) {
        let (field, expected) = (key.to_owned(), "none".to_owned());
        return Err(Error::Unsupported { path: path.to_path_buf(), field, expected, found });
    }
    let found: Published = serde_path_to_error::deserialize(&json).map_err(Error::unusable(path))?;
    if found.peft_type != "LORA" {
        let (field, expected) = ("peft_type".to_owned(), "LORA".to_owned());
        return Err(Error::Unsupported { path: path.to_path_buf(), field, expected, found: found.peft_type });
    }
    // Other ways to begin change the frozen weights as well, and the file's factors are for those.
    let begun = json.get("init_lora_weights").unwrap_or(&Value::Null);
    if !matches!(begun, Value::Null | Value::Bool(_)) && begun != "gaussian" && begun != "eva" {
        let (field, expected) = ("init_lora_weights".to_owned(), "true, false, gaussian or eva".to_owned());
        return Err(Error::Unsupported {
            path: path.to_path_buf(),
            field,
            expected,
            found: begun.to_string(),
        });
    }
    let modules: Vec<String> = match found.target_modules {
        Value::String(_) => {
            let adapted =
                |name: &str| Some(name.strip_prefix(PREFIX)?.strip_suffix(".lora_A.weight")?.to_owned());
            tensors.names().into_iter().filter_map(adapted).collect()
        }
        names => serde_json::from_value(names).map_err(|e| Error::Corrupt {
            path: path.to_path_buf(),
            message: "`target_modules`: expected names".to_owned(),
            source: Some(e.into()),
        })?,
    };
    let mut targets = Vec::new();
    for module in &modules {
        let Some(target) = LoraTarget::of(&format!("layer.{module}.weight")) else {
            let (field, expected) = ("target_modules".to_owned(), "projections of the layers".to_owned());
            return Err(Error::Unsupported {
                path: path.to_path_buf(),
                field,
                expected,
                found: module.clone(),
            });
        };
        targets.push(target);
    }
    targets.sort_unstable();
    targets.dedup();
    let config =
        LoraConfig { rank: found.r, alpha: found.lora_alpha, rank_stabilised: found.use_rslora, targets };
    config.validate().map_err(Error::unusable(path))?;
    Ok((config, modules))
}

/// The module that a weight is of.
fn module_of(weight: &str) -> &str {
    weight.strip_suffix(".weight").unwrap_or(weight)
}

/// `model.….q_proj.weight` as `peft` names its `A` or `B`.
fn tensor_name(weight: &str, which: char) -> String {
    format!("{PREFIX}{}.lora_{which}.weight", module_of(weight))
}

fn read_factors(
    model: &CausalLm,
    config: &LoraConfig,
    modules: &[String],
    tensors: &SafeTensors<'_>,
    path: &Path,
) -> Result<CausalLm> {
    let mut left: BTreeMap<String, TensorView<'_>> = tensors.tensors().into_iter().collect();
    let mut wrong = None;
    let adapted = model.attach(config, |weight, [inputs, outputs]| {
        let own = module_of(weight);
        let named = |module: &&String| {
            own == *module || own.strip_suffix(module.as_str()).is_some_and(|rest| rest.ends_with('.'))
        };
        modules.iter().find(named)?;
        let mut take = |which, shape: [usize; 2]| {
            let name = tensor_name(weight, which);
            let found = match left.remove(&name) {
                None => Err(format!("tensor `{name}` is missing")),
                Some(view) if view.shape() != shape => {
                    Err(format!("tensor `{name}`: expected shape {shape:?}, found {:?}", view.shape()))
                }
                Some(view) => transposed(&view).map_err(|message| format!("tensor `{name}`: {message}")),
            };
            found.map_err(|message| wrong.get_or_insert(message).clone()).ok()
        };
        let (a, b) = (take('A', [config.rank, inputs]), take('B', [outputs, config.rank]));
        Some(Factors { a: a?, b: b? })
    });
    if let Some(name) = left.keys().next() {
        wrong.get_or_insert(format!("tensor `{name}` belongs to no weight of the model"));
    }
    wrong.map_or(Ok(adapted), |message| Err(Error::corrupt(path, message)))
}

/// The elements column by column, as 32-bit floats.
fn transposed(view: &TensorView<'_>) -> Result<Vec<f32>, String> {
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        other => return Err(format!("expected floats of 32 or 16 bits, found {other:?}")),
    };
    let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype);
    let values = data.convert::<f32>().try_into_vec::<f32>().map_err(|e| e.to_string())?;
    if let Some(found) = values.iter().find(|value| !value.is_finite()) {
        return Err(format!("expected finite numbers, found {found}"));
    }
    Ok(columns(&values, view.shape()[1]))
}

/// Elements of a matrix of that width, column by column.
fn columns(values: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|column| values.iter().skip(column).step_by(width)).copied().collect()
}

fn write_factors(model: &CausalLm, path: &Path) -> Result<Vec<u8>> {
    let mut written: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (weight, factors) in model.adapters() {
        for (which, factor) in ['A', 'B'].into_iter().zip(factors) {
            let [rows, width] = factor.dims();
            let values = columns(&to_host("adapters", factor)?, width);
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            written.push((tensor_name(&weight, which), vec![width, rows], bytes));
        }
    }
    let views: Result<Vec<_>, _> = written
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect();
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    views.and_then(|views| safetensors::serialize(views, Some(metadata))).map_err(Error::unusable(path))
}
