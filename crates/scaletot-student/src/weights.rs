//! Weights of a decoder as safetensors, under the names and in the layout of the published checkpoints.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::store::{
    BurnToPyTorchAdapter, FloatCastAdapter, ModuleAdapter, ModuleSnapshot, PyTorchToBurnAdapter,
    SafetensorsStore,
};
use burn::tensor::{DType, Tensor};

use crate::decoder::CausalLm;
use crate::error::{Error, Result};

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
        .map_err(|e| Error::corrupt(path, e))
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
        let result = model.load_from(&mut store).map_err(|e| Error::corrupt(path, e))?;
        if let Some(error) = result.errors.first() {
            return Err(Error::corrupt(path, error));
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
