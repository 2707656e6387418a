//! The heads that serve as one layer, and what its outputs are.

use std::ops::Range;

use ndarray::{Array1, Array2, Axis, Slice};

use super::value::ValueTerms;
use crate::error::{Error, Result};
use crate::features::Features;
use crate::network::{Layer, Network, Outputs};
use crate::scores::Selection;
use crate::value_head::ValueHead;

/// What the outputs of the last layer are, in their order: the outcome head's, the states' logits, the value head's, the representation's.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Served {
    /// Width of the outcome head.
    pub(super) outcome: usize,
    /// Whether its expected outcome is the value.
    pub(super) by_outcome_head: bool,
    /// Whether more than the expected outcome is selected.
    pub(super) distribution: bool,
    /// Columns of the states: of all of them if they are selected, else of those that the value head needs. A state's are the logits of its
    /// values or, where `relative`, of all but the last value less that of the last.
    pub(super) states: Vec<usize>,
    pub(super) states_selected: bool,
    /// One logit less per state: of two states of three values they are four columns instead of six.
    pub(super) relative: bool,
    pub(super) value: Option<ValueTerms>,
    /// Width of the representation.
    pub(super) representation: usize,
}

impl Served {
    /// The selected heads of a network, and the value head if there is one, as one layer. Where numbers are rounded to 8 or 16 bits on the way
    /// to them the value head has several `parts`: columns whose sum it is, of which all but the first are 0 here and are to hold what the
    /// rounding of those before takes away.
    pub(super) fn new(
        network: &Network,
        selection: Selection,
        head: Option<&ValueHead>,
        parts: usize,
    ) -> (Layer, Self) {
        let [outcome, states, representation] = network.heads();
        let head = head.filter(|_| selection.value);
        let sizes = &network.shape().heads.states;
        let needed = |state: &usize| selection.states || head.is_some_and(|head| head.uses_state(*state));
        let kept: Vec<usize> = (0..sizes.len()).filter(needed).collect();
        // Rounded differences would not give the probabilities that rounded logits give.
        let relative = !selection.states && parts == 1;
        let width = |layer: Option<&Layer>, wanted: bool| layer.filter(|_| wanted).map_or(0, Layer::outputs);
        let served = Self {
            outcome: width(outcome, selection.distribution || selection.value && head.is_none()),
            by_outcome_head: selection.value && head.is_none(),
            distribution: selection.distribution,
            states: kept.iter().map(|&state| sizes[state] - usize::from(relative)).collect(),
            states_selected: selection.states,
            relative,
            value: head.map(|head| ValueTerms::new(head, &kept, parts)),
            representation: width(representation, selection.representation),
        };
        let outputs = served.columns() + served.representation;
        let mut joined = Joined {
            layer: Layer {
                weight: Array2::zeros((network.shape().trunk_width(), outputs)),
                bias: Array1::zeros(outputs),
            },
            next: 0,
        };
        if let Some(outcome) = outcome {
            joined.add(outcome, 0..served.outcome);
        }
        if let Some(states) = states {
            for state in kept {
                let first: usize = sizes[..state].iter().sum();
                let logits = first..first + sizes[state];
                if relative {
                    joined.add(&differences(states, logits), 0..sizes[state] - 1);
                } else {
                    joined.add(states, logits);
                }
            }
        }
        if let Some(head) = head {
            joined.add(&linear(network, head), 0..1);
            joined.next += parts - 1;
        }
        if let Some(representation) = representation {
            joined.add(representation, 0..served.representation);
        }
        (joined.layer, served)
    }

    /// A representation of some width and nothing else.
    pub(super) fn representation(width: usize) -> Self {
        Self {
            outcome: 0,
            by_outcome_head: false,
            distribution: false,
            states: vec![],
            states_selected: false,
            relative: false,
            value: None,
            representation: width,
        }
    }

    /// Columns that link functions are for: all but the representation's.
    pub(super) fn columns(&self) -> usize {
        self.outcome + self.states.iter().sum::<usize>() + self.value_columns()
    }

    /// Columns whose sum the value head begins with.
    pub(super) fn value_columns(&self) -> usize {
        self.value.as_ref().map_or(0, ValueTerms::parts)
    }

    /// Which columns these are.
    pub(super) fn value_range(&self) -> Range<usize> {
        let end = self.columns();
        end - self.value_columns()..end
    }

    /// Outputs of so many rows, to be filled in.
    pub(super) fn blank(&self, rows: usize) -> Outputs {
        let states = if self.states_selected { self.states.iter().sum() } else { 0 };
        let matrix = |width| Array2::zeros((rows, width));
        Outputs {
            outcome: matrix(self.outcome),
            states: matrix(states),
            representation: matrix(self.representation),
            value: matrix(usize::from(self.value.is_some())),
        }
    }

    /// Checks that features have the bins that the value head looks up.
    ///
    /// # Errors
    /// [`Error::Shape`] for features of another featuriser.
    pub(super) fn check(&self, features: &Features) -> Result<()> {
        let Some(terms) = &self.value else { return Ok(()) };
        let (expected, found) = terms.bins(features);
        if expected == found {
            return Ok(());
        }
        let what =
            "bins of the value head's numeric fields (features are made by the encoder's own featuriser)";
        Err(Error::shape(what, format!("{expected:?}"), format!("{found:?}")))
    }
}

/// A layer that others' outputs are put into side by side.
struct Joined {
    layer: Layer,
    next: usize,
}

impl Joined {
    fn add(&mut self, from: &Layer, outputs: Range<usize>) {
        let to = Slice::from(self.next..self.next + outputs.len());
        self.next += outputs.len();
        let from_outputs = Slice::from(outputs);
        self.layer.weight.slice_axis_mut(Axis(1), to).assign(&from.weight.slice_axis(Axis(1), from_outputs));
        self.layer.bias.slice_axis_mut(Axis(0), to).assign(&from.bias.slice_axis(Axis(0), from_outputs));
    }
}

/// These outputs of a layer less the last of them, which is left out.
fn differences(layer: &Layer, outputs: Range<usize>) -> Layer {
    let last = outputs.end.saturating_sub(1);
    let others = Slice::from(outputs.start..last);
    let last_weight = layer.weight.column(last).mapv(f64::from).insert_axis(Axis(1));
    let difference = layer.weight.slice_axis(Axis(1), others).mapv(f64::from) - &last_weight;
    let bias = layer.bias.slice_axis(Axis(0), others).mapv(|bias| bias - layer.bias[last]);
    Layer { weight: difference.mapv(|weight| weight as f32), bias }
}

/// What a value head takes from the trunk's output, times `b` and with `a`: `u` and the representation's weights are one vector, since the
/// representation is linear in it.
fn linear(network: &Network, head: &ValueHead) -> Layer {
    let (a, b) = head.link();
    let mut weight = Array1::zeros(network.shape().trunk_width());
    weight.iter_mut().zip(head.trunk()).for_each(|(to, u)| *to = *u);
    let mut bias = head.intercept();
    if let Some(layer) = network.heads()[2].filter(|_| !head.representation().is_empty()) {
        let w = Array1::from(head.representation().to_vec());
        weight += &layer.weight.mapv(f64::from).dot(&w);
        bias += layer.bias.mapv(f64::from).dot(&w);
    }
    Layer {
        weight: weight.mapv(|weight| (b * weight) as f32).insert_axis(Axis(1)),
        bias: Array1::from_elem(1, (a + b * bias) as f32),
    }
}
