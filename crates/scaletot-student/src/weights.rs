//! Weights of a decoder as safetensors, under the names and in the layout of the published checkpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::store::{
    BurnToPyTorchAdapter, FloatCastAdapter, ModuleAdapter, ModuleSnapshot, PyTorchToBurnAdapter,
    SafetensorsStore,
};
use burn::tensor::{DType, Tensor};
use safetensors::SafeTensors;
use scaletot_core::guard::guarded;
use serde::Serialize;
use serde_json::Value;

use crate::decoder::CausalLm;
use crate::error::{Error, Result};

/// The tensors of a file that others wrote.
pub(crate) fn tensors<'a>(bytes: &'a [u8], path: &Path) -> Result<SafeTensors<'a>> {
    let read = guarded(|| SafeTensors::deserialize(bytes));
    read.map_err(Error::unusable(path))?.map_err(Error::unusable(path))
}

/// The file's content, 32-bit floats; adapters are merged.
pub(crate) fn to_bytes(model: &CausalLm, path: &Path) -> Result<Vec<u8>> {
    // What other libraries look for before they read.
    let store = SafetensorsStore::from_bytes(None).metadata("format", "pt");
    let mut store = store.with_to_adapter(BurnToPyTorchAdapter);
    let merged = model.has_lora().then(|| model.merged());
    merged
        .as_ref()
        .unwrap_or(model)
        .save_into(&mut store)
        .and_then(|()| store.get_bytes())
        .map_err(Error::unusable(path))
        .and_then(|bytes| with_sorted_header(&bytes).map_err(Error::unusable(path)))
}

/// The same file with the keys of its header in order. Burn writes the metadata in the order of a hash map, which differs from run to run, and
/// equal weights must be equal files: later stages know them by their hash.
fn with_sorted_header(bytes: &[u8]) -> std::result::Result<Vec<u8>, safetensors::SafeTensorError> {
    let (length, _) = SafeTensors::read_metadata(bytes)?;
    let data = &bytes[HEADER_LENGTH + length..];
    let header: BTreeMap<String, Value> =
        serde_json::from_slice(&bytes[HEADER_LENGTH..HEADER_LENGTH + length])
            .map_err(safetensors::SafeTensorError::InvalidHeaderDeserialization)?;
    let sorted: BTreeMap<&String, Ordered<'_>> = header
        .iter()
        .map(|(name, value)| match value {
            Value::Object(fields) => (name, Ordered::Object(fields.iter().collect())),
            other => (name, Ordered::Other(other)),
        })
        .collect();
    let mut header =
        serde_json::to_vec(&sorted).map_err(safetensors::SafeTensorError::InvalidHeaderDeserialization)?;
    // The format's alignment.
    header.resize(header.len().next_multiple_of(HEADER_LENGTH), b' ');
    let mut sorted = (header.len() as u64).to_le_bytes().to_vec();
    sorted.extend_from_slice(&header);
    sorted.extend_from_slice(data);
    Ok(sorted)
}

/// Bytes in which a file says how long its header is; headers are padded to a multiple of as many.
const HEADER_LENGTH: usize = 8;

/// A value of the header with its keys in order.
#[derive(Serialize)]
#[serde(untagged)]
enum Ordered<'a> {
    Object(BTreeMap<&'a String, &'a Value>),
    Other(&'a Value),
}

/// Reads the weights of `model` from one file or several that hold a part each; 16-bit floats become 32-bit ones. `read` gets a
/// file's path and gives its content; `surplus` says which tensors may be there though the model has no such weight.
pub(crate) fn load(
    mut model: CausalLm,
    files: &[PathBuf],
    mut read: impl FnMut(&Path) -> Result<Vec<u8>>,
    surplus: impl Fn(&str) -> bool,
) -> Result<CausalLm> {
    let mut missing: Option<BTreeSet<String>> = None;
    for path in files {
        let adapter = PyTorchToBurnAdapter.chain(FloatCastAdapter::to(DType::F32));
        let store = SafetensorsStore::from_bytes(Some(read(path)?)).with_from_adapter(adapter);
        // What does not fit is named here, so the store is asked to go on.
        let mut store = store.validate(false).allow_partial(true);
        let result = guarded(|| model.load_from(&mut store))
            .map_err(Error::unusable(path))?
            .map_err(Error::unusable(path))?;
        if let Some(error) = result.errors.first() {
            return Err(Error::corrupt(path, error.to_string()));
        }
        if let Some(name) = result.unused.iter().find(|name| !surplus(name)) {
            return Err(Error::corrupt(path, format!("tensor `{name}` belongs to no weight of the model")));
        }
        let here: BTreeSet<String> = result.missing.into_iter().map(|(name, _)| name).collect();
        missing = Some(match missing {
            Some(before) => before.intersection(&here).cloned().collect(),
            None => here,
        });
    }
    // Of several parts nobody can say which should have held it.
    let first = files.first().map_or(Path::new(""), PathBuf::as_path);
    let path = if files.len() > 1 { first.parent().unwrap_or(first) } else { first };
    let missing = missing.unwrap_or_default();
    if let Some(name) = missing.first() {
        let name = as_published(name);
        return Err(Error::corrupt(path, format!("tensor `{name}` is missing ({} in all)", missing.len())));
    }
    let mut check = FiniteCheck { path: vec![], found: Ok(None) };
    model.visit(&mut check);
    match check.found? {
        None => Ok(model),
        Some(name) => Err(Error::corrupt(
            path,
            format!("tensor `{}` holds a number that is not finite", as_published(&name)),
        )),
    }
}

/// A weight as files name it.
fn as_published(name: &str) -> String {
    name.replace(".gamma", ".weight")
}

/// Finds the first weight with an element that is not finite.
struct FiniteCheck {
    path: Vec<String>,
    found: Result<Option<String>>,
}

impl ModuleVisitor for FiniteCheck {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !matches!(self.found, Ok(None)) {
            return;
        }
        let finite = param.val().is_finite().all().try_into_scalar::<bool>();
        self.found = match finite {
            Ok(true) => Ok(None),
            Ok(false) => Ok(Some(self.path.join("."))),
            Err(e) => Err(Error::device("weights", e)),
        };
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::config::StudentConfig;
    use crate::decoder::DecoderConfig;

    #[test]
    fn equal_weights_are_equal_files() {
        let shape = DecoderConfig::of_student(&StudentConfig::default(), 12);
        let model = CausalLm::new(&shape, 1, &Device::default()).unwrap();
        let path = Path::new("model.safetensors");
        let first = to_bytes(&model, path).unwrap();
        // Three keys of a hash map keep their order by chance in one of six writes.
        for _ in 0..12 {
            assert_eq!(to_bytes(&model, path).unwrap(), first);
        }
        let (length, metadata) = SafeTensors::read_metadata(&first).unwrap();
        assert!(length.is_multiple_of(HEADER_LENGTH) && !metadata.tensors().is_empty());
        assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
    }
}
