//! The network's layers, read from the named tensors that training writes.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayView2, Ix1, Ix2};

use crate::error::{Error, Result};
#[cfg(test)]
use crate::features::{Column, Features, piecewise_weights};
use crate::shape::NetworkShape;
use crate::weights::Weights;

/// What the heads give before any link function, one row per user.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Outputs {
    /// Of a zero-inflated log-normal head logit of `o > 0`, μ and raw σ, `[n, 3]`; of a Tweedie head the mean's logarithm,
    /// `[n, 1]`; of a head of `T` tiers the logits of no outcome and every tier, `[n, T + 1]`; without an outcome head `[n, 0]`.
    pub outcome: Array2<f32>,
    /// The states' logits side by side, `[n, Σ V_k]`; without signal heads `[n, 0]`.
    pub states: Array2<f32>,
    /// The representation, `[n, r]`; without signal heads `[n, 0]`.
    pub representation: Array2<f32>,
    /// Of a [value head](crate::ValueHead) `a + b ŷ`, the value's natural logarithm unless it is capped, `[n, 1]`; without one `[n, 0]`.
    pub value: Array2<f32>,
}

/// `x W + b`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layer {
    pub(crate) weight: Array2<f32>,
    pub(crate) bias: Array1<f32>,
}

impl Layer {
    fn read(weights: &Weights, name: &str) -> Result<Self> {
        let misshapen =
            |error: ndarray::ShapeError| Error::shape(format!("layer `{name}`"), "a matrix", error);
        let weight = weights.get(&format!("{name}.weight"))?.clone();
        let bias = weights.get(&format!("{name}.bias"))?.clone();
        Ok(Self {
            weight: weight.into_dimensionality::<Ix2>().map_err(misshapen)?,
            bias: bias.into_dimensionality::<Ix1>().map_err(misshapen)?,
        })
    }

    /// How many.
    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    fn forward(&self, x: &ArrayView2<'_, f32>) -> Array2<f32> {
        let mut y = x.dot(&self.weight);
        y += &self.bias;
        y
    }
}

/// The layers of a network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Network {
    shape: NetworkShape,
    embedding: Array2<f32>,
    cross: Vec<Layer>,
    trunk: Vec<Layer>,
    outcome: Option<Layer>,
    /// State and representation heads, and the projection to the student's representation.
    signals: Option<[Layer; 3]>,
    /// Mean of the student's representations over the training users, `[K·d]`.
    centre: Array1<f32>,
}

impl Network {
    pub(crate) fn new(shape: NetworkShape, weights: &Weights) -> Result<Self> {
        let layers = |prefix: &str, count: usize| -> Result<Vec<Layer>> {
            (0..count).map(|i| Layer::read(weights, &format!("{prefix}.{i}"))).collect()
        };
        let embedding = weights.get("embedding.weight")?.clone();
        Ok(Self {
            embedding: embedding
                .into_dimensionality::<Ix2>()
                .map_err(|error| Error::shape("tensor `embedding.weight`", "a matrix", error))?,
            cross: layers("cross", shape.cross_layers)?,
            trunk: layers("trunk", shape.hidden.len())?,
            outcome: (shape.outcome > 0).then(|| Layer::read(weights, "outcome")).transpose()?,
            signals: if shape.heads.signals() {
                let read = |name| Layer::read(weights, name);
                Some([read("states")?, read("representation")?, read("projection")?])
            } else {
                None
            },
            centre: if shape.heads.signals() {
                let centre = weights.get("projection.centre")?.clone();
                centre
                    .into_dimensionality::<Ix1>()
                    .map_err(|error| Error::shape("tensor `projection.centre`", "a vector", error))?
            } else {
                Array1::zeros(0)
            },
            shape,
        })
    }

    /// The named tensors again.
    pub(crate) fn weights(&self) -> Weights {
        let mut tensors =
            BTreeMap::from([("embedding.weight".to_owned(), self.embedding.clone().into_dyn())]);
        let layers =
            self.cross.iter().chain(&self.trunk).chain(&self.outcome).chain(self.signals.iter().flatten());
        for ((name, ..), layer) in self.shape.dense().into_iter().zip(layers) {
            tensors.insert(format!("{name}.weight"), layer.weight.clone().into_dyn());
            tensors.insert(format!("{name}.bias"), layer.bias.clone().into_dyn());
        }
        if self.signals.is_some() {
            tensors.insert("projection.centre".to_owned(), self.centre.clone().into_dyn());
        }
        Weights(tensors)
    }

    pub(crate) fn shape(&self) -> &NetworkShape {
        &self.shape
    }

    /// Rows of all fields' embeddings, one field after the other, `[Σ widths, e]`.
    pub(crate) fn embedding(&self) -> &Array2<f32> {
        &self.embedding
    }

    pub(crate) fn cross(&self) -> &[Layer] {
        &self.cross
    }

    pub(crate) fn trunk(&self) -> &[Layer] {
        &self.trunk
    }

    /// The heads that serve: outcome, states, representation, as far as they are there.
    pub(crate) fn heads(&self) -> [Option<&Layer>; 3] {
        let signal = |which: usize| self.signals.as_ref().map(|signals| &signals[which]);
        [self.outcome.as_ref(), signal(0), signal(1)]
    }

    pub(crate) fn centre(&self) -> &Array1<f32> {
        &self.centre
    }

    /// The student's representation as the projection sees it, `[n, K·d]`; `None` without signal heads.
    pub(crate) fn project(&self, representation: &ArrayView2<'_, f32>) -> Option<Array2<f32>> {
        self.signals.as_ref().map(|[_, _, projection]| projection.forward(representation))
    }
}

#[cfg(test)]
impl Network {
    /// The network as it is written down: what the plan is tested against.
    pub(crate) fn forward(&self, features: &Features) -> Outputs {
        let hidden = self.hidden(self.embed(features));
        let head = |head: Option<&Layer>| {
            head.map_or_else(|| Array2::zeros((features.len(), 0)), |head| head.forward(&hidden.view()))
        };
        let signals = self.signals.as_ref();
        Outputs {
            outcome: head(self.outcome.as_ref()),
            states: head(signals.map(|signals| &signals[0])),
            representation: head(signals.map(|signals| &signals[1])),
            value: Array2::zeros((features.len(), 0)),
        }
    }

    /// The fields' embeddings side by side, `[rows, F·e]`.
    fn embed(&self, features: &Features) -> Array2<f32> {
        let e = self.shape.embed_dim;
        let mut x = Array2::zeros((features.len(), self.shape.embedded()));
        let fields = features.columns().iter().zip(features.widths()).zip(self.shape.offsets()).enumerate();
        for (field, ((column, &width), offset)) in fields {
            let mut place =
                x.slice_axis_mut(ndarray::Axis(1), ndarray::Slice::from(field * e..(field + 1) * e));
            for (row, mut target) in place.outer_iter_mut().enumerate() {
                let mut add =
                    |weight: f32, code: usize| target.scaled_add(weight, &self.embedding.row(offset + code));
                match column {
                    Column::Index(index) => add(1.0, index[row] as usize),
                    Column::Piecewise(positions) => {
                        piecewise_weights(positions[row], width)
                            .enumerate()
                            .for_each(|(code, weight)| add(weight, code));
                    }
                    Column::Bag { offsets, indices } => {
                        let set = &indices[offsets[row]..offsets[row + 1]];
                        set.iter().for_each(|&code| add(1.0 / set.len() as f32, code as usize));
                    }
                }
            }
        }
        x
    }

    fn hidden(&self, x0: Array2<f32>) -> Array2<f32> {
        let mut x = x0.clone();
        for layer in &self.cross {
            x = layer.forward(&x.view()) * &x0 + &x;
        }
        for layer in &self.trunk {
            x = layer.forward(&x.view());
            x.mapv_inplace(|v| v.max(0.0));
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Heads, tiny};

    #[test]
    fn the_network_gives_its_weights_back() {
        let shape = tiny(Heads { outcome: true, states: vec![2, 3], student_dim: 4 });
        let network = Network::new(shape.clone(), &Weights::random(&shape, 3)).unwrap();
        assert_eq!(Network::new(shape, &network.weights()).unwrap(), network);
    }
}
