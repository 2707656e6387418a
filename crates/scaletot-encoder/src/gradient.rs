//! The predicted value of one user as a function of the embedded profile, with its gradient: in 64 bits, from the layers as they were
//! trained.
//!
//! Backpropagation written out for the network's few kinds of layers. A row of a batch is a point, not a user. With a value head a point has
//! more numbers for each field: what its table adds to `a + b ŷ`, and what it adds to each of the head's hidden units.

use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, Axis, Slice};
use scaletot_core::numeric::softmax;

use crate::features::{Column, Features, piecewise_weights};
use crate::field_terms::FieldTerms;
use crate::head::OutcomeLink;
use crate::network::{Layer, Network};
use crate::outcome::{at_least, at_most, sigmoid, softplus};
use crate::value_head::ValueHead;

/// `x W + b` in 64 bits.
#[derive(Debug)]
struct Affine {
    weight: Array2<f64>,
    bias: Array1<f64>,
}

impl Affine {
    fn new(layer: &Layer) -> Self {
        Self { weight: layer.weight.mapv(f64::from), bias: layer.bias.mapv(f64::from) }
    }

    fn forward(&self, x: &Array2<f64>) -> Array2<f64> {
        x.dot(&self.weight) + &self.bias
    }

    /// The gradient by the inputs from that by the outputs.
    fn backward(&self, gradient: &Array2<f64>) -> Array2<f64> {
        gradient.dot(&self.weight.t())
    }
}

/// The predicted value as a function of the fields' embeddings side by side, and of what a value head's tables add.
#[derive(Debug)]
pub(crate) struct ValueFunction {
    cross: Vec<Affine>,
    trunk: Vec<Affine>,
    /// Of the trunk's output.
    head: Affine,
    link: Link,
    /// Width of the embeddings.
    embedded: usize,
}

/// From the head's outputs to the value.
#[derive(Debug)]
enum Link {
    Outcome(OutcomeLink),
    /// The outputs are the states' logits, then the linear part of `a + b ŷ`.
    Value {
        /// By state and value, times `b`.
        marginals: Vec<Vec<f64>>,
        /// Bias of each hidden unit, and its weight times `b`.
        hidden: Vec<(f64, f64)>,
        cap: f64,
    },
}

impl ValueFunction {
    /// Of a network whose outcome head's numbers become a value by the link.
    pub(crate) fn of_outcome(network: &Network, outcome: &Layer, link: OutcomeLink) -> Self {
        Self::new(network, Affine::new(outcome), Link::Outcome(link))
    }

    /// Of a network with a value head.
    pub(crate) fn of_value_head(network: &Network, head: &ValueHead) -> Self {
        let (a, b) = head.link();
        let [_, states, representation] = network.heads().map(|layer| layer.map(Affine::new));
        let sizes = &network.shape().heads.states;
        let logits: usize = sizes.iter().sum();
        let mut layer = Affine {
            weight: Array2::zeros((network.shape().trunk_width(), logits + 1)),
            bias: Array1::zeros(logits + 1),
        };
        if let Some(states) = states {
            layer.weight.slice_axis_mut(Axis(1), Slice::from(..logits)).assign(&states.weight);
            layer.bias.slice_axis_mut(Axis(0), Slice::from(..logits)).assign(&states.bias);
        }
        let mut linear = layer.weight.column_mut(logits);
        linear.iter_mut().zip(head.trunk()).for_each(|(to, u)| *to = *u);
        let mut bias = head.intercept();
        if let Some(layer) = representation.filter(|_| !head.representation().is_empty()) {
            let w = Array1::from(head.representation().to_vec());
            linear += &layer.weight.dot(&w);
            bias += layer.bias.dot(&w);
        }
        linear *= b;
        layer.bias[logits] = a + b * bias;
        let marginals = sizes.iter().enumerate().map(|(state, &size)| match head.marginals().get(state) {
            Some(weights) => weights.iter().map(|weight| b * weight).collect(),
            None => vec![0.0; size],
        });
        let hidden = head.hidden().iter().map(|unit| (unit.bias(), b * unit.weight()));
        let link = Link::Value { marginals: marginals.collect(), hidden: hidden.collect(), cap: head.cap() };
        Self::new(network, layer, link)
    }

    fn new(network: &Network, head: Affine, link: Link) -> Self {
        let layers = |layers: &[Layer]| layers.iter().map(Affine::new).collect();
        let embedded = network.shape().embedded();
        Self { cross: layers(network.cross()), trunk: layers(network.trunk()), head, link, embedded }
    }

    /// Values at points, `[n, F·e]` or with a value head of `H` hidden units `[n, F·e + F·(1 + H)]`, and their gradients there.
    pub(crate) fn at(&self, points: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
        let (points, terms) = points.view().split_at(Axis(1), self.embedded);
        let points = points.to_owned();
        let mut x = points.clone();
        let mut products = Vec::with_capacity(self.cross.len());
        for layer in &self.cross {
            let y = layer.forward(&x);
            x += &(&y * &points);
            products.push(y);
        }
        let mut rectified = Vec::with_capacity(self.trunk.len());
        for layer in &self.trunk {
            x = layer.forward(&x).mapv_into(|v| v.max(0.0));
            rectified.push(x.clone());
        }
        let mut gradient = self.head.forward(&x);
        let mut by_terms = Array2::zeros(terms.dim());
        let outputs = gradient.outer_iter_mut().zip(terms.outer_iter()).zip(by_terms.outer_iter_mut());
        let values = outputs.map(|((mut output, terms), mut by_terms)| match &self.link {
            Link::Outcome(outcome) => {
                let (value, by_output) = link(outcome, &output.to_vec());
                output.assign(&ArrayView1::from(&by_output));
                value
            }
            Link::Value { marginals, hidden, cap } => {
                let last = output.len() - 1;
                let (sum, slopes) = of_terms(hidden, terms);
                output[last] += sum;
                let value = served(marginals, *cap, &mut output);
                for (slope, own) in by_terms.iter_mut().zip(slopes.iter().cycle()) {
                    *slope = output[last] * own;
                }
                value
            }
        });
        let values = values.collect();
        let mut gradient = self.head.backward(&gradient);
        for (layer, x) in self.trunk.iter().zip(&rectified).rev() {
            gradient.zip_mut_with(x, |g, &x| *g = if x > 0.0 { *g } else { 0.0 });
            gradient = layer.backward(&gradient);
        }
        // x ← x + y ⊙ x₀ with y = x W + b: x₀ is met in every cross layer, and as the first x.
        let mut by_points = Array2::zeros(points.dim());
        for (layer, y) in self.cross.iter().zip(&products).rev() {
            by_points += &(&gradient * y);
            gradient = &gradient + &layer.backward(&(&gradient * &points));
        }
        let mut all = Array2::zeros((points.nrows(), self.embedded + by_terms.ncols()));
        all.slice_axis_mut(Axis(1), Slice::from(..self.embedded)).assign(&(by_points + gradient));
        all.slice_axis_mut(Axis(1), Slice::from(self.embedded..)).assign(&by_terms);
        (values, all)
    }

    /// Values and gradients at points of the straight way between two points, given as shares of the way.
    pub(crate) fn along(
        &self,
        from: &Array1<f64>,
        to: &Array1<f64>,
        shares: &[f64],
    ) -> Vec<(f64, Array1<f64>)> {
        // Points whose activations are held at once.
        const BATCH: usize = 256;
        let way = (to - from).insert_axis(Axis(0));
        let mut found = Vec::with_capacity(shares.len());
        for shares in shares.chunks(BATCH) {
            let points = ArrayView1::from(shares).insert_axis(Axis(1)).dot(&way) + from;
            let (values, gradients) = self.at(&points);
            found.extend(values.into_iter().zip(gradients.outer_iter().map(|gradient| gradient.to_owned())));
        }
        found
    }
}

/// The served value of the outcome head's outputs, as [`OutcomeLink::value`], and its derivatives by them; where σ is at its floor or a mean
/// at its cap, they do not move it.
fn link(link: &OutcomeLink, output: &[f64]) -> (f64, Vec<f64>) {
    match (link, output) {
        (OutcomeLink::Ziln(scale), &[logit, mu, raw]) => {
            let (p, soft) = (sigmoid(logit), softplus(raw));
            let sigma = at_least(soft, scale.sigma_floor);
            let free = (mu + 0.5 * sigma * sigma).exp();
            let mean = at_most(free, scale.cap);
            let by_mu = if free < scale.cap { p * mean } else { 0.0 };
            let by_raw = if soft > scale.sigma_floor { by_mu * sigma * sigmoid(raw) } else { 0.0 };
            (p * mean, vec![p * (1.0 - p) * mean, by_mu, by_raw])
        }
        (OutcomeLink::Tweedie { cap }, &[log]) => {
            let free = log.exp();
            (at_most(free, *cap), vec![if free < *cap { free } else { 0.0 }])
        }
        (OutcomeLink::Tiers { means }, _) => {
            let probabilities = softmax(output);
            // The first class is no outcome.
            let classes = || probabilities.iter().zip(std::iter::once(&0.0).chain(means));
            let value: f64 = classes().map(|(p, mean)| p * mean).sum();
            (value, classes().map(|(p, mean)| p * (mean - value)).collect())
        }
        // An encoder's link is of its head.
        (_, output) => (0.0, vec![0.0; output.len()]),
    }
}

/// A value head's value from the states' logits and what else there is of `a + b ŷ`; leaves its derivatives there.
fn served(marginals: &[Vec<f64>], cap: f64, output: &mut ArrayViewMut1<'_, f64>) -> f64 {
    let last = output.len() - 1;
    let mut sum = output[last];
    let mut first = 0;
    for weights in marginals {
        let range = Slice::from(first..first + weights.len());
        let mut logits = output.slice_axis_mut(Axis(0), range);
        let p = softmax(&logits.to_vec());
        let mean: f64 = p.iter().zip(weights).map(|(p, weight)| p * weight).sum();
        for ((to, p), weight) in logits.iter_mut().zip(&p).zip(weights) {
            *to = p * (weight - mean);
        }
        sum += mean;
        first += weights.len();
    }
    let free = sum.exp();
    output[last] = 1.0;
    *output *= if free < cap { free } else { 0.0 };
    at_most(free, cap)
}

/// What the fields' terms, `[F, 1 + H]` in one row, come to in `a + b ŷ` with the hidden units, and the derivatives by those of any one field.
fn of_terms(hidden: &[(f64, f64)], terms: ArrayView1<'_, f64>) -> (f64, Vec<f64>) {
    let each = hidden.len() + 1;
    let lane = |lane: usize| terms.iter().skip(lane).step_by(each).sum::<f64>();
    let (mut sum, mut slopes) = (lane(0), vec![1.0]);
    for (unit, (bias, weight)) in hidden.iter().enumerate() {
        let input = bias + lane(unit + 1);
        sum += weight * input.max(0.0);
        slopes.push(if input > 0.0 { *weight } else { 0.0 });
    }
    (sum, slopes)
}

/// What the fields of the first profile add to `a + b ŷ` by a value head's tables and then to each of its hidden units, `[F, 1 + H]` in one
/// row, and what those of a profile without any field add.
pub(crate) fn terms(head: &ValueHead, features: &Features) -> (Array1<f64>, Array1<f64>) {
    let b = head.link().1;
    let mut of_fields = (vec![], vec![]);
    for (field, column) in features.columns().iter().enumerate() {
        let mut add = |table: &[f64], factor: f64| {
            let at = |code: u32| table.get(code as usize).copied().unwrap_or_default();
            let own = match column {
                Column::Index(codes) => at(codes[0]),
                Column::Piecewise(_) => features.hard_bins(field).map_or(0.0, |hard| at(hard.bins[0])),
                Column::Bag { offsets, indices } => {
                    indices[offsets[0]..offsets[1]].iter().map(|&code| at(code)).sum()
                }
            };
            of_fields.0.push(factor * own);
            of_fields.1.push(factor * table.last().copied().unwrap_or_default());
        };
        add(&head.fields().get(field).map(FieldTerms::table).unwrap_or_default(), b);
        for unit in head.hidden() {
            add(unit.tables().get(field).map_or(&[], Vec::as_slice), 1.0);
        }
    }
    (of_fields.0.into(), of_fields.1.into())
}

/// The fields' embeddings of the first profile side by side, and those of a profile without any field.
pub(crate) fn embed(network: &Network, features: &Features) -> (Array1<f64>, Array1<f64>) {
    let shape = network.shape();
    let (mut own, mut blank) = (Array1::zeros(shape.embedded()), Array1::zeros(shape.embedded()));
    let columns = features.columns().iter().zip(&shape.widths);
    let embeddings =
        own.exact_chunks_mut(shape.embed_dim).into_iter().zip(blank.exact_chunks_mut(shape.embed_dim));
    let mut first = 0;
    for ((column, &width), (mut own, mut blank)) in columns.zip(embeddings) {
        let row = |code: usize| network.embedding().row(first + code).mapv(f64::from);
        let mut add = |weight: f64, code: usize| own.scaled_add(weight, &row(code));
        match column {
            Column::Index(codes) => add(1.0, codes[0] as usize),
            Column::Piecewise(positions) => {
                let weights = piecewise_weights(positions[0], width).enumerate();
                weights.for_each(|(code, weight)| add(f64::from(weight), code));
            }
            Column::Bag { offsets, indices } => {
                let set = &indices[offsets[0]..offsets[1]];
                set.iter().for_each(|&code| add(1.0 / set.len() as f64, code as usize));
            }
        }
        blank.assign(&row(width - 1));
        first += width;
    }
    (own, blank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hidden::HiddenUnit;
    use crate::outcome::OutcomeScale;
    use crate::shape::{Heads, NetworkShape, tiny};
    use crate::weights::Weights;
    use proptest::prelude::*;

    /// That the gradient at a point is the slope by each of its numbers.
    fn has_slopes(function: &ValueFunction, point: &Array1<f64>) -> Result<(), TestCaseError> {
        let value = |point: &Array1<f64>| function.at(&point.clone().insert_axis(Axis(0))).0[0];
        let gradient = function.at(&point.clone().insert_axis(Axis(0))).1;
        for i in 0..point.len() {
            let moved = |by: f64| {
                let mut point = point.clone();
                point[i] += by;
                value(&point)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            prop_assert!(
                (slope - gradient[[0, i]]).abs() < 1e-4 * (1.0 + slope.abs()),
                "{} {}",
                slope,
                gradient[[0, i]]
            );
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn the_links_gradient_is_its_slope(first in -4.0f64..4.0, mu in -2.0f64..3.0, raw in -3.0f64..2.0) {
            let links = [
                (OutcomeLink::Ziln(OutcomeScale::new(0.1, 50.0).unwrap()), vec![first, mu, raw]),
                (OutcomeLink::Tweedie { cap: 50.0 }, vec![first]),
                (OutcomeLink::Tiers { means: vec![3.0, 20.0] }, vec![first, mu, raw]),
            ];
            // At the floor or the cap itself there are two slopes.
            let capped = |mean: f64| (mean - 50.0).abs() < 1e-2;
            let kink = (softplus(raw) - 0.1).abs() < 1e-4 || capped(first.exp());
            prop_assume!(!kink && !capped((mu + 0.5 * softplus(raw).powi(2)).exp()));
            for (kind, output) in links {
                let (value, gradient) = link(&kind, &output);
                let found = kind.value(&output.iter().map(|x| *x as f32).collect::<Vec<_>>()).unwrap();
                prop_assert!((value - found).abs() < 1e-5 * (1.0 + value));
                for i in 0..output.len() {
                    let moved = |by: f64| {
                        let mut output = output.clone();
                        output[i] += by;
                        link(&kind, &output).0
                    };
                    let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                    prop_assert!((slope - gradient[i]).abs() < 1e-5 * (1.0 + slope.abs()), "{:?} {} {}", kind, slope, gradient[i]);
                }
            }
        }

        #[test]
        fn the_gradient_is_the_slope(
            seed in 0u64..500, cross_layers in 0usize..3, hidden in prop::collection::vec(1usize..9, 0..3),
        ) {
            let shape = NetworkShape { cross_layers, hidden, ..tiny(Heads::new(true, vec![2], 3)) };
            let network = Network::new(shape.clone(), &Weights::random(&shape, seed)).unwrap();
            let outcome = network.heads()[0].unwrap();
            let link = OutcomeLink::Ziln(OutcomeScale::new(0.05, 1e6).unwrap());
            let function = ValueFunction::of_outcome(&network, outcome, link);
            let point = Array1::from_shape_fn(shape.embedded(), |i| ((seed as usize + 3 * i) % 7) as f64 / 3.0 - 1.0);
            has_slopes(&function, &point)?;
            // The same network with a value head, which has a number per field more.
            let weights = |count: usize| (0..count).map(|i| ((seed as usize + 5 * i) % 11) as f64 / 11.0 - 0.4).collect();
            let head = ValueHead::builder(0.1)
                .with_marginals(vec![weights(2)])
                .with_representation(weights(shape.rep_dim))
                .with_trunk(weights(shape.trunk_width()))
                .with_hidden(vec![HiddenUnit::new(0.3, 0.5, vec![]), HiddenUnit::new(-0.4, -0.7, vec![])])
                .with_link(0.3, 0.7);
            // Of three fields to the sum and to the units, of which one is live.
            let terms = [[0.2, 0.1, -0.3], [-0.1, 0.4, 0.2], [0.0, -0.2, 0.1]];
            let point = Array1::from_iter(point.into_iter().chain(terms.into_iter().flatten()));
            has_slopes(&ValueFunction::of_value_head(&network, &head.clone().build().unwrap()), &point)?;
            // At its cap a value does not move.
            let capped = ValueFunction::of_value_head(&network, &head.with_cap(0.0).build().unwrap());
            let (values, gradient) = capped.at(&point.insert_axis(Axis(0)));
            prop_assert!(values[0] == 0.0 && gradient.iter().all(|slope| *slope == 0.0));
        }
    }
}
