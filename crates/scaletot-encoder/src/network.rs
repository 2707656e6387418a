//! The forward pass in plain Rust.
//!
//! The same arithmetic as the network in training, read from the same named tensors; a test holds the two together to
//! 1e-5. Embeddings are row lookups and weighted sums of rows, dense layers are matrix products over blocks of users.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, Ix1, Ix2, Slice};

use crate::error::{Error, Result};
use crate::features::{Column, Features};
use crate::shape::NetworkShape;
use crate::weights::Weights;

/// Users per block: the activations of one block stay in the second-level cache.
const BLOCK: usize = 256;

/// What the heads give before any link function, one row per user.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Outputs {
    /// Logit of `o > 0`, μ and raw σ, `[n, 3]`; without an outcome head `[n, 0]`.
    pub outcome: Array2<f32>,
    /// The states' logits side by side, `[n, Σ V_k]`; without signal heads `[n, 0]`.
    pub states: Array2<f32>,
    /// The representation, `[n, r]`; without signal heads `[n, 0]`.
    pub representation: Array2<f32>,
}

#[derive(Debug, Clone, PartialEq)]
struct Dense {
    weight: Array2<f32>,
    bias: Array1<f32>,
}

impl Dense {
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

    fn forward(&self, x: &ArrayView2<'_, f32>) -> Array2<f32> {
        let mut y = x.dot(&self.weight);
        y += &self.bias;
        y
    }
}

/// A network that is ready to score.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Network {
    shape: NetworkShape,
    offsets: Vec<usize>,
    embedding: Array2<f32>,
    cross: Vec<Dense>,
    trunk: Vec<Dense>,
    outcome: Option<Dense>,
    /// State and representation heads, and the projection to the student's representation.
    signals: Option<[Dense; 3]>,
    /// Mean of the student's representations over the training users, `[K·d]`.
    centre: Array1<f32>,
}

impl Network {
    pub(crate) fn new(shape: NetworkShape, weights: &Weights) -> Result<Self> {
        let layers = |prefix: &str, count: usize| -> Result<Vec<Dense>> {
            (0..count).map(|i| Dense::read(weights, &format!("{prefix}.{i}"))).collect()
        };
        let embedding = weights.get("embedding.weight")?.clone();
        Ok(Self {
            offsets: shape.offsets(),
            embedding: embedding
                .into_dimensionality::<Ix2>()
                .map_err(|error| Error::shape("tensor `embedding.weight`", "a matrix", error))?,
            cross: layers("cross", shape.cross_layers)?,
            trunk: layers("trunk", shape.hidden.len())?,
            outcome: shape.heads.outcome.then(|| Dense::read(weights, "outcome")).transpose()?,
            signals: if shape.heads.signals() {
                let read = |name| Dense::read(weights, name);
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

    pub(crate) fn centre(&self) -> &Array1<f32> {
        &self.centre
    }

    /// Runs the network on every row.
    pub(crate) fn forward(&self, features: &Features) -> Result<Outputs> {
        if features.widths() != self.shape.widths {
            let (expected, found) = (format!("{:?}", self.shape.widths), format!("{:?}", features.widths()));
            return Err(Error::shape("embedding rows per field", expected, found));
        }
        let n = features.len();
        let signals = |width: usize| if self.signals.is_some() { width } else { 0 };
        let mut outputs = Outputs {
            outcome: Array2::zeros((n, if self.outcome.is_some() { 3 } else { 0 })),
            states: Array2::zeros((n, signals(self.shape.heads.state_logits()))),
            representation: Array2::zeros((n, signals(self.shape.rep_dim))),
        };
        for start in (0..n).step_by(BLOCK) {
            let rows = start..(start + BLOCK).min(n);
            let hidden = self.trunk(self.embed(features, rows.clone()));
            if let Some(head) = &self.outcome {
                put(&mut outputs.outcome, &rows, &head.forward(&hidden.view()));
            }
            if let Some([states, representation, _]) = &self.signals {
                put(&mut outputs.states, &rows, &states.forward(&hidden.view()));
                put(&mut outputs.representation, &rows, &representation.forward(&hidden.view()));
            }
        }
        Ok(outputs)
    }

    /// The student's representation as the projection sees it, `[n, K·d]`; `None` without signal heads.
    pub(crate) fn project(&self, representation: &ArrayView2<'_, f32>) -> Option<Array2<f32>> {
        self.signals.as_ref().map(|[_, _, projection]| projection.forward(representation))
    }

    /// The fields' embeddings side by side, `[rows, F·e]`.
    fn embed(&self, features: &Features, rows: Range<usize>) -> Array2<f32> {
        let e = self.shape.embed_dim;
        let mut x = Array2::zeros((rows.len(), self.shape.embedded()));
        for (field, (column, &offset)) in features.columns().iter().zip(&self.offsets).enumerate() {
            let mut place = x.slice_axis_mut(Axis(1), Slice::from(field * e..(field + 1) * e));
            for (mut target, row) in place.axis_iter_mut(Axis(0)).zip(rows.clone()) {
                match column {
                    Column::Index(index) => target.assign(&self.embedding.row(offset + index[row] as usize)),
                    Column::Piecewise { width, values } => {
                        for (k, &weight) in values[row * width..(row + 1) * width].iter().enumerate() {
                            if weight != 0.0 {
                                target.scaled_add(weight, &self.embedding.row(offset + k));
                            }
                        }
                    }
                    Column::Bag { offsets, indices } => {
                        let set = &indices[offsets[row]..offsets[row + 1]];
                        for &index in set {
                            target.scaled_add(
                                1.0 / set.len() as f32,
                                &self.embedding.row(offset + index as usize),
                            );
                        }
                    }
                }
            }
        }
        x
    }

    fn trunk(&self, x0: Array2<f32>) -> Array2<f32> {
        let mut x = x0;
        if let Some((first, others)) = self.cross.split_first() {
            let x0 = x;
            x = first.forward(&x0.view()) * &x0 + &x0;
            for layer in others {
                x = layer.forward(&x.view()) * &x0 + &x;
            }
        }
        for layer in &self.trunk {
            x = layer.forward(&x.view());
            x.mapv_inplace(|v| v.max(0.0));
        }
        x
    }
}

fn put(target: &mut Array2<f32>, rows: &Range<usize>, block: &Array2<f32>) {
    target.slice_axis_mut(Axis(0), Slice::from(rows.clone())).assign(block);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Heads, tiny};
    use proptest::prelude::*;

    fn network() -> Network {
        let shape = tiny(Heads { outcome: true, states: vec![2, 3], student_dim: 4 });
        let weights = Weights::random(&shape, 3);
        Network::new(shape, &weights).unwrap()
    }

    prop_compose! {
        fn batch()(n in 1usize..40)(
            index in prop::collection::vec(0u32..3, n),
            numeric in prop::collection::vec(prop::option::of(0f32..=1.0), n),
            bags in prop::collection::vec(prop::collection::btree_set(0u32..4, 0..4), n),
        ) -> Features {
            let n = index.len();
            let values = numeric.iter().flat_map(|v| match v {
                Some(v) => [1.0, *v, 0.0, 0.0],
                None => [0.0, 0.0, 0.0, 1.0],
            }).collect();
            let (mut offsets, mut indices) = (vec![0], Vec::new());
            for bag in bags {
                indices.extend(bag);
                offsets.push(indices.len());
            }
            let columns =
                vec![Column::Index(index), Column::Piecewise { width: 4, values }, Column::Bag { offsets, indices }];
            Features::new(n, columns, vec![3, 4, 5], vec![3; n])
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_split_batch_scores_as_the_whole(features in batch(), cut in 0usize..40) {
            let network = network();
            let whole = network.forward(&features).unwrap();
            let cut = cut.min(features.len());
            for rows in [0..cut, cut..features.len()] {
                let part = network.forward(&features.select(&rows.clone().collect::<Vec<_>>()).unwrap()).unwrap();
                let slice = Slice::from(rows);
                prop_assert_eq!(part.outcome, whole.outcome.slice_axis(Axis(0), slice));
                prop_assert_eq!(part.states, whole.states.slice_axis(Axis(0), slice));
                prop_assert_eq!(part.representation, whole.representation.slice_axis(Axis(0), slice));
            }
        }

        #[test]
        fn permuted_rows_give_permuted_outputs(features in batch(), seed in 0usize..97) {
            let network = network();
            let n = features.len();
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by_key(|i| (i * 53 + seed) % 97);
            let whole = network.forward(&features).unwrap();
            let permuted = network.forward(&features.select(&order).unwrap()).unwrap();
            prop_assert_eq!(permuted.outcome, whole.outcome.select(Axis(0), &order));
            prop_assert_eq!(permuted.representation, whole.representation.select(Axis(0), &order));
        }
    }

    #[test]
    fn blocks_join_without_a_seam() {
        let n = 2 * BLOCK + 17;
        let columns = vec![
            Column::Index((0..n).map(|i| (i % 3) as u32).collect()),
            Column::Piecewise { width: 4, values: (0..4 * n).map(|i| (i % 5) as f32 / 4.0).collect() },
            Column::Bag { offsets: (0..=n).collect(), indices: (0..n).map(|i| (i % 5) as u32).collect() },
        ];
        let features = Features::new(n, columns, vec![3, 4, 5], vec![3; n]);
        let outputs = network().forward(&features).unwrap();
        // The pattern repeats after 15 rows (3 · 5), wherever the block begins.
        for row in 15..n {
            assert_eq!(outputs.outcome.row(row), outputs.outcome.row(row - 15), "row {row}");
        }
    }

    #[test]
    fn the_network_gives_its_weights_back() {
        let network = network();
        assert_eq!(Network::new(network.shape.clone(), &network.weights()).unwrap(), network);
    }

    #[test]
    fn features_of_other_widths_are_refused() {
        let features = Features::new(1, vec![Column::Index(vec![0])], vec![2], vec![1]);
        assert!(network().forward(&features).unwrap_err().to_string().contains("embedding rows"));
    }
}
