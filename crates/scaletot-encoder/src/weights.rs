//! Weights on the host: seeded initial values, and safetensors in and out.
//!
//! Initial values are drawn here and not on the training device, so that a seed means the same network on every
//! backend.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Result, readable};
use crate::shape::NetworkShape;

/// Named tensors, `f32`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weights(pub(crate) BTreeMap<String, ArrayD<f32>>);

/// Half-width of the uniform distribution that embeddings start from.
const EMBEDDING_RANGE: f32 = 0.25;

impl Weights {
    /// Initial weights. Dense layers start from `U(−1/√in, 1/√in)`, as PyTorch's `Linear`; embeddings from a narrow
    /// uniform distribution; the outcome and state heads from zero, so that training starts at the base rates.
    #[cfg(any(test, feature = "train"))]
    pub(crate) fn init(shape: &NetworkShape, seed: u64) -> Self {
        Self::draw(shape, seed, 0.0)
    }

    /// Weights that were never trained but give every head outputs that vary.
    pub(crate) fn random(shape: &NetworkShape, seed: u64) -> Self {
        Self::draw(shape, seed, 0.5)
    }

    fn draw(shape: &NetworkShape, seed: u64, heads: f32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tensors = shape.tensors().into_iter().map(|(name, dims)| {
            let range = match name.split('.').next() {
                Some("outcome" | "states") => heads,
                Some("embedding") => EMBEDDING_RANGE,
                _ if name.ends_with("bias") || name.ends_with("centre") => 0.0,
                _ => 1.0 / (dims[0] as f32).sqrt(),
            };
            let mut draw = || (rng.random::<f32>() * 2.0 - 1.0) * range;
            let values = ArrayD::from_shape_simple_fn(IxDyn(&dims), &mut draw);
            (name, values)
        });
        Self(tensors.collect())
    }

    /// The safetensors file; equal weights give equal bytes.
    pub(crate) fn to_bytes(&self, path: &Path) -> Result<Vec<u8>> {
        let buffers: Vec<(&String, &[usize], Vec<u8>)> = self
            .0
            .iter()
            .map(|(name, tensor)| {
                (name, tensor.shape(), tensor.iter().flat_map(|v| v.to_le_bytes()).collect())
            })
            .collect();
        let views = buffers
            .iter()
            .map(|(name, dims, bytes)| Ok((*name, TensorView::new(Dtype::F32, dims.to_vec(), bytes)?)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable(path))?;
        safetensors::serialize(views, None).map_err(unreadable(path))
    }

    /// Reads a safetensors file and checks names, types, shapes and that every weight is finite.
    pub(crate) fn from_bytes(bytes: &[u8], shape: &NetworkShape, path: &Path) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).map_err(unreadable(path))?;
        let wrong = |what: &str, expected: String, found: String| Error::Artifact {
            path: path.into(),
            what: readable(&format!("tensor `{what}`")),
            expected,
            found,
        };
        let mut tensors = BTreeMap::new();
        for (name, dims) in shape.tensors() {
            let expected = format!("F32 {dims:?}");
            let Ok(view) = file.tensor(&name) else {
                return Err(wrong(&name, expected, "no such tensor".into()));
            };
            if view.dtype() != Dtype::F32 || view.shape() != dims {
                return Err(wrong(&name, expected, format!("{:?} {:?}", view.dtype(), view.shape())));
            }
            let values: Vec<f32> =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            if let Some(at) = values.iter().position(|v| !v.is_finite()) {
                return Err(wrong(&name, "finite values".into(), format!("{} at {at}", values[at])));
            }
            let found = values.len();
            let tensor = ArrayD::from_shape_vec(IxDyn(&dims), values)
                .map_err(|_| wrong(&name, expected, format!("{found} values")))?;
            tensors.insert(name, tensor);
        }
        match file.names().into_iter().find(|name| !tensors.contains_key(*name)) {
            Some(name) => {
                Err(wrong(name, "no such tensor".into(), "a tensor the manifest does not imply".into()))
            }
            None => Ok(Self(tensors)),
        }
    }

    /// A tensor that the shape promises.
    pub(crate) fn get(&self, name: &str) -> Result<&ArrayD<f32>> {
        self.0.get(name).ok_or_else(|| Error::shape(format!("tensor `{name}`"), "present", "missing"))
    }
}

fn unreadable(path: &Path) -> impl FnOnce(SafeTensorError) -> Error {
    |source| Error::Weights { path: path.into(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Heads, tiny};

    #[test]
    fn a_seed_names_the_weights_and_they_survive_the_file() {
        let shape = tiny(Heads { outcome: true, states: vec![2, 3], student_dim: 4 });
        let path = Path::new("weights.safetensors");
        let weights = Weights::init(&shape, 7);
        assert_eq!(weights, Weights::init(&shape, 7));
        assert_ne!(weights, Weights::init(&shape, 8));
        let bytes = weights.to_bytes(path).unwrap();
        assert_eq!(bytes, weights.to_bytes(path).unwrap());
        assert_eq!(Weights::from_bytes(&bytes, &shape, path).unwrap(), weights);
    }

    #[test]
    fn other_shapes_missing_tensors_and_nan_are_refused() {
        let path = Path::new("weights.safetensors");
        let shape = tiny(Heads { outcome: true, ..Heads::default() });
        let weights = Weights::init(&shape, 1);
        let bytes = weights.to_bytes(path).unwrap();
        let says = |bytes: &[u8], shape: &NetworkShape| {
            Weights::from_bytes(bytes, shape, path).unwrap_err().to_string()
        };
        let mut wider = shape.clone();
        wider.hidden[0] = 8;
        assert!(says(&bytes, &wider).contains("trunk.0.weight"));
        let mut fewer = shape.clone();
        (fewer.heads.outcome, fewer.outcome) = (false, 0);
        assert!(says(&bytes, &fewer).contains("does not imply"));
        let mut more = shape.clone();
        more.heads.states = vec![2];
        assert!(says(&bytes, &more).contains("no such tensor"));
        let mut broken = weights.clone();
        broken.0.get_mut("outcome.bias").unwrap()[[1]] = f32::NAN;
        assert!(says(&broken.to_bytes(path).unwrap(), &shape).contains("outcome.bias"));
        assert!(says(&bytes[..bytes.len() - 3], &shape).contains("safetensors"));
    }
}
