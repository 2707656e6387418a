//! The encoder network as a Burn module.
//!
//! It computes what [`crate::network`] computes, from the same named tensors. Two constants are added behind the heads
//! while training and folded into the heads' weights when the network is frozen: the outcome head learns the difference
//! from the best constant prediction and each state head the difference from the mean posterior. Weight decay and a
//! small learning rate then pull towards the base rates, which is what one wants of few data. A projection that was
//! trained on whitened representations gets the way back folded in at the same time.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array1, Array2, ArrayD, Axis, Ix2, IxDyn};

use super::loss::{host2, indices};
use super::whitening::Whitening;
use crate::error::{Error, Result};
use crate::features::{Column, Features, piecewise_weights};
use crate::shape::NetworkShape;
use crate::weights::Weights;

/// The constants behind the heads.
#[derive(Debug, Clone)]
pub(super) struct BaseRates {
    /// Added to the outcome head's numbers.
    outcome: Vec<f32>,
    /// Factors of the same, so that the head learns in their units.
    scale: Vec<f32>,
    /// Added to the states' logits.
    states: Vec<f32>,
    /// Mean of the student's representations, kept for comparisons in its space.
    centre: Array1<f32>,
    /// What the projection's targets were whitened by.
    whitening: Option<Whitening>,
}

impl BaseRates {
    /// `outcome` holds base and factor of every number of the outcome head; `posteriors` are mean posteriors side by side;
    /// `centre` the mean representation. The latter two may be empty.
    pub(super) fn new(
        outcome: Vec<(f32, f32)>,
        posteriors: &[f32],
        centre: Array1<f32>,
        whitening: Option<Whitening>,
    ) -> Self {
        let (outcome, scale) = outcome.into_iter().unzip();
        Self {
            outcome,
            scale,
            states: posteriors.iter().map(|p| p.max(1e-4).ln()).collect(),
            centre,
            whitening,
        }
    }
}

/// Heads' outputs on the device, as [`crate::network::Outputs`].
pub(super) struct Heads {
    pub(super) outcome: Option<Tensor<2>>,
    pub(super) states: Option<Tensor<2>>,
    pub(super) representation: Option<Tensor<2>>,
    /// The representation in the space of the targets, `[n, K·d]`: the student's, or that whitened.
    pub(super) projected: Option<Tensor<2>>,
}

#[derive(Module, Debug)]
pub(super) struct EncoderNetwork {
    embedding: Param<Tensor<2>>,
    cross: Vec<Linear>,
    trunk: Vec<Linear>,
    outcome: Option<Linear>,
    states: Option<Linear>,
    representation: Option<Linear>,
    projection: Option<Linear>,
    #[module(skip)]
    shape: NetworkShape,
    #[module(skip)]
    base: BaseRates,
}

impl EncoderNetwork {
    pub(super) fn new(
        shape: NetworkShape,
        weights: &Weights,
        base: BaseRates,
        device: &Device,
    ) -> Result<Self> {
        let layer = |name: &str| -> Result<Linear> {
            Ok(Linear {
                weight: param(weights.get(&format!("{name}.weight"))?, device),
                bias: Some(param(weights.get(&format!("{name}.bias"))?, device)),
            })
        };
        let layers = |prefix: &str, count: usize| -> Result<Vec<Linear>> {
            (0..count).map(|i| layer(&format!("{prefix}.{i}"))).collect()
        };
        let head = |name: &str, wanted: bool| wanted.then(|| layer(name)).transpose();
        let signals = shape.heads.signals();
        Ok(Self {
            embedding: param(weights.get("embedding.weight")?, device),
            cross: layers("cross", shape.cross_layers)?,
            trunk: layers("trunk", shape.hidden.len())?,
            outcome: head("outcome", shape.heads.outcome)?,
            states: head("states", signals)?,
            representation: head("representation", signals)?,
            projection: head("projection", signals)?,
            shape,
            base,
        })
    }

    /// Checks that features are of the featuriser that the network was made for.
    pub(super) fn check(&self, features: &Features) -> Result<()> {
        if features.widths() == self.shape.widths {
            return Ok(());
        }
        let (expected, found) = (format!("{:?}", self.shape.widths), format!("{:?}", features.widths()));
        Err(Error::shape("embedding rows per field", expected, found))
    }

    /// Runs the network; `masks` holds one dropout mask per trunk layer (already scaled), or nothing.
    pub(super) fn forward(&self, features: &Features, masks: &[Array2<f32>]) -> Heads {
        let device = self.embedding.val().device();
        let mut x = self.embed(features, &device);
        if !self.cross.is_empty() {
            let x0 = x.clone();
            for layer in &self.cross {
                x = layer.forward(x.clone()) * x0.clone() + x;
            }
        }
        for (i, layer) in self.trunk.iter().enumerate() {
            x = relu(layer.forward(x));
            if let Some(mask) = masks.get(i) {
                x = x * host2(mask, &device);
            }
        }
        let row = |values: Vec<f32>| {
            let width = values.len();
            Tensor::<2>::from_data(TensorData::new(values, [1, width]), &device)
        };
        let outcome = self.outcome.as_ref().map(|head| {
            head.forward(x.clone()) * row(self.base.scale.clone()) + row(self.base.outcome.clone())
        });
        let states = self.states.as_ref().map(|head| head.forward(x.clone()) + row(self.base.states.clone()));
        let representation = self.representation.as_ref().map(|head| head.forward(x));
        let projected = match (&self.projection, &representation) {
            (Some(layer), Some(representation)) => Some(layer.forward(representation.clone())),
            _ => None,
        };
        Heads { outcome, states, representation, projected }
    }

    /// The fields' embeddings side by side, `[n, F·e]`.
    fn embed(&self, features: &Features, device: &Device) -> Tensor<2> {
        let (n, e) = (features.len(), self.shape.embed_dim);
        let table = self.embedding.val();
        let fields = features.columns().iter().zip(self.shape.offsets()).zip(&self.shape.widths);
        let mut parts = Vec::with_capacity(features.columns().len());
        // Neighbouring index columns share one lookup: fewer and larger operations.
        let mut lookup: Vec<(usize, &[u32])> = Vec::new();
        let flush = |lookup: &mut Vec<(usize, &[u32])>, parts: &mut Vec<Tensor<2>>| {
            if lookup.is_empty() {
                return;
            }
            let rows: Vec<usize> =
                (0..n).flat_map(|row| lookup.iter().map(move |(o, index)| o + index[row] as usize)).collect();
            let picked = table.clone().select(0, indices(&rows, device));
            parts.push(picked.reshape([n, lookup.len() * e]));
            lookup.clear();
        };
        for ((column, offset), &width) in fields {
            match column {
                Column::Index(index) => lookup.push((offset, index)),
                Column::Piecewise(positions) => {
                    flush(&mut lookup, &mut parts);
                    let weights = positions.iter().flat_map(|&position| piecewise_weights(position, width));
                    let values = TensorData::new(weights.collect::<Vec<f32>>(), [n, width]);
                    let own = table.clone().narrow(0, offset, width);
                    parts.push(Tensor::<2>::from_data(values, device).matmul(own));
                }
                Column::Bag { offsets, indices: set } => {
                    flush(&mut lookup, &mut parts);
                    parts.push(bag(&table, offset, offsets, set, device));
                }
            }
        }
        flush(&mut lookup, &mut parts);
        Tensor::cat(parts, 1)
    }

    /// The weights on the host, with the constants folded into the heads.
    pub(super) fn weights(&self) -> Result<Weights> {
        let mut tensors = BTreeMap::from([("embedding.weight".to_string(), read(&self.embedding)?)]);
        let mut layer = |name: String, layer: &Linear| -> Result<()> {
            tensors.insert(format!("{name}.weight"), read(&layer.weight)?);
            if let Some(bias) = &layer.bias {
                tensors.insert(format!("{name}.bias"), read(bias)?);
            }
            Ok(())
        };
        for (prefix, layers) in [("cross", &self.cross), ("trunk", &self.trunk)] {
            layers.iter().enumerate().try_for_each(|(i, l)| layer(format!("{prefix}.{i}"), l))?;
        }
        let heads = [
            ("outcome", &self.outcome),
            ("states", &self.states),
            ("representation", &self.representation),
            ("projection", &self.projection),
        ];
        for (name, head) in heads {
            head.as_ref().map_or(Ok(()), |head| layer(name.into(), head))?;
        }
        if let Some(bias) = tensors.get_mut("outcome.bias") {
            let base = self.base.scale.iter().zip(&self.base.outcome);
            bias.iter_mut().zip(base).for_each(|(b, (scale, base))| *b = *b * scale + base);
        }
        if let Some(weight) = tensors.get_mut("outcome.weight") {
            for (mut column, scale) in weight.axis_iter_mut(Axis(1)).zip(&self.base.scale) {
                column.mapv_inplace(|w| w * scale);
            }
        }
        if let Some(bias) = tensors.get_mut("states.bias") {
            bias.iter_mut().zip(&self.base.states).for_each(|(b, base)| *b += base);
        }
        if let Some(whitening) = &self.base.whitening {
            for name in ["projection.weight", "projection.bias"] {
                let Some(tensor) = tensors.get_mut(name) else { continue };
                let columns = tensor.shape().last().copied().unwrap_or(0);
                let rows = tensor.to_shape((tensor.len() / columns.max(1), columns));
                let rows = rows.map_err(|error| Error::shape(name, "rows of the projection", error))?;
                let undone = whitening.undo(&rows.to_owned());
                tensor.iter_mut().zip(undone).for_each(|(value, undone)| *value = undone);
            }
        }
        if self.shape.heads.signals() {
            tensors.insert("projection.centre".into(), self.base.centre.clone().into_dyn());
        }
        Ok(Weights(tensors))
    }
}

/// Mean embedding of each row's set: padded to the longest set, weighted by one over its length.
fn bag(table: &Tensor<2>, offset: usize, offsets: &[usize], set: &[u32], device: &Device) -> Tensor<2> {
    let [_, e] = table.dims();
    let n = offsets.len().saturating_sub(1);
    let longest = offsets.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0).max(1);
    let mut rows = vec![offset; n * longest];
    let mut weights = vec![0.0f32; n * longest];
    for (row, bounds) in offsets.windows(2).enumerate() {
        let members = &set[bounds[0]..bounds[1]];
        for (slot, &member) in members.iter().enumerate() {
            rows[row * longest + slot] = offset + member as usize;
            weights[row * longest + slot] = 1.0 / members.len() as f32;
        }
    }
    let picked = table.clone().select(0, indices(&rows, device)).reshape([n, longest, e]);
    let weights = Tensor::<3>::from_data(TensorData::new(weights, [n, longest, 1]), device);
    (picked * weights).sum_dim(1).reshape([n, e])
}

pub(super) fn param<const D: usize>(values: &ArrayD<f32>, device: &Device) -> Param<Tensor<D>> {
    Param::from_data(TensorData::new(values.iter().copied().collect::<Vec<f32>>(), values.shape()), device)
}

pub(super) fn read<const D: usize>(param: &Param<Tensor<D>>) -> Result<ArrayD<f32>> {
    let tensor = param.val();
    let dims = tensor.dims();
    let values = to_host(tensor)?;
    ArrayD::from_shape_vec(IxDyn(&dims), values)
        .map_err(|error| Error::shape("parameter", "its shape", error))
}

fn to_host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.try_into_vec_as::<f32>().map_err(Error::device)
}

/// A head's output on the host, `[n, 0]` for a head that is not there.
pub(super) fn host_array(tensor: Option<Tensor<2>>, rows: usize) -> Result<Array2<f32>> {
    let Some(tensor) = tensor else { return Ok(Array2::zeros((rows, 0))) };
    let dims = tensor.dims();
    ArrayD::from_shape_vec(IxDyn(&dims), to_host(tensor)?)
        .and_then(|array| array.into_dimensionality::<Ix2>())
        .map_err(|error| Error::shape("output of a head", format!("{dims:?}"), error))
}
