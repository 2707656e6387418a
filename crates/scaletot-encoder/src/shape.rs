//! The network's tensors, by name and shape: the one place that training, weights on disk and inference agree on.
//!
//! ```text
//! field f: rows of `embedding.weight` selected or weighed     [n, e]
//! x₀ = fields side by side                                    [n, F·e]
//! cross.i: x ← x₀ ⊙ (x W + b) + x                             [n, F·e]
//! trunk.i: x ← relu(x W + b)                                  [n, hidden_i]
//! outcome: logit of o > 0, μ, raw σ; or log mean; or class logits [n, 3], [n, 1] or [n, T + 1]
//! states: logits, one softmax per state                       [n, Σ V_k]
//! representation                                              [n, r]
//! projection of it to the student's representation            [n, K·d]
//! ```

use serde::{Deserialize, Serialize};

use crate::config::EncoderConfig;
use crate::featuriser::Featuriser;

/// Which heads a network has. A network that was trained on outcomes alone has no signal heads, one that saw no
/// outcome has no outcome head: an untrained head would give numbers that look like predictions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Heads {
    /// Whether there is an outcome head.
    pub outcome: bool,
    /// Domain size of every state; empty without signal heads.
    pub states: Vec<usize>,
    /// Width `d` of the student's representation of one state; 0 without signal heads.
    pub student_dim: usize,
}

impl Heads {
    /// An outcome head or not, and signal heads for states with the given domain sizes (none for no signal heads) and
    /// the student's width per state.
    #[must_use]
    pub fn new(outcome: bool, states: Vec<usize>, student_dim: usize) -> Self {
        Self { outcome, states, student_dim }
    }

    /// Whether there are state and representation heads.
    #[must_use]
    pub fn signals(&self) -> bool {
        !self.states.is_empty()
    }

    /// Logits over all states together.
    pub(crate) fn state_logits(&self) -> usize {
        self.states.iter().sum()
    }

    /// Width of the projected representation, `K·d`.
    pub(crate) fn projected(&self) -> usize {
        self.states.len() * self.student_dim
    }
}

/// Everything that fixes the tensors' shapes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NetworkShape {
    /// Rows of every field's embedding table.
    pub(crate) widths: Vec<usize>,
    pub(crate) embed_dim: usize,
    pub(crate) cross_layers: usize,
    pub(crate) hidden: Vec<usize>,
    pub(crate) rep_dim: usize,
    pub(crate) heads: Heads,
    /// Width of the outcome head; 0 without one.
    pub(crate) outcome: usize,
}

impl NetworkShape {
    pub(crate) fn new(featuriser: &Featuriser, config: &EncoderConfig, heads: Heads) -> Self {
        Self {
            widths: featuriser.widths(),
            embed_dim: config.embed_dim,
            cross_layers: config.cross_layers,
            hidden: config.hidden.clone(),
            rep_dim: config.rep_dim,
            outcome: if heads.outcome { config.outcome_head.width() } else { 0 },
            heads,
        }
    }

    /// First row of every field in the shared embedding table.
    #[cfg(any(test, feature = "train"))]
    pub(crate) fn offsets(&self) -> Vec<usize> {
        let starts = self.widths.iter().scan(0, |next, width| {
            let start = *next;
            *next += width;
            Some(start)
        });
        starts.collect()
    }

    /// Width of the embedded fields side by side.
    pub(crate) fn embedded(&self) -> usize {
        self.widths.len() * self.embed_dim
    }

    /// Width of what the heads see.
    pub(crate) fn trunk_width(&self) -> usize {
        self.hidden.last().copied().unwrap_or(self.embedded())
    }

    /// Widths of the heads that serve: outcome, states, representation; 0 for one that is not there.
    pub(crate) fn served(&self) -> [usize; 3] {
        let signals = |width: usize| if self.heads.signals() { width } else { 0 };
        [self.outcome, self.heads.state_logits(), signals(self.rep_dim)]
    }

    /// Inputs and outputs of every dense layer, by name.
    pub(crate) fn dense(&self) -> Vec<(String, usize, usize)> {
        let mut layers = Vec::new();
        let mut width = self.embedded();
        layers.extend((0..self.cross_layers).map(|i| (format!("cross.{i}"), width, width)));
        for (i, &hidden) in self.hidden.iter().enumerate() {
            layers.push((format!("trunk.{i}"), width, hidden));
            width = hidden;
        }
        if self.outcome > 0 {
            layers.push(("outcome".into(), width, self.outcome));
        }
        if self.heads.signals() {
            layers.push(("states".into(), width, self.heads.state_logits()));
            layers.push(("representation".into(), width, self.rep_dim));
            layers.push(("projection".into(), self.rep_dim, self.heads.projected()));
        }
        layers
    }

    /// Every tensor with its shape.
    pub(crate) fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut tensors = vec![("embedding.weight".into(), vec![self.widths.iter().sum(), self.embed_dim])];
        for (name, inputs, outputs) in self.dense() {
            tensors.push((format!("{name}.weight"), vec![inputs, outputs]));
            tensors.push((format!("{name}.bias"), vec![outputs]));
        }
        if self.heads.signals() {
            tensors.push(("projection.centre".into(), vec![self.heads.projected()]));
        }
        tensors
    }
}

#[cfg(test)]
pub(crate) fn tiny(heads: Heads) -> NetworkShape {
    NetworkShape {
        widths: vec![3, 4, 5],
        embed_dim: 2,
        cross_layers: 1,
        hidden: vec![7, 5],
        rep_dim: 3,
        outcome: if heads.outcome { 3 } else { 0 },
        heads,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_from_the_fields_and_heads() {
        let shape = tiny(Heads { outcome: true, states: vec![2, 3], student_dim: 4 });
        assert_eq!(shape.offsets(), [0, 3, 7]);
        let tensors = shape.tensors();
        let of = |name: &str| tensors.iter().find(|(n, _)| n == name).map(|(_, s)| s.clone()).unwrap();
        assert_eq!(of("embedding.weight"), [12, 2]);
        assert_eq!(of("cross.0.weight"), [6, 6]);
        assert_eq!(of("trunk.0.weight"), [6, 7]);
        assert_eq!(of("states.bias"), [5]);
        assert_eq!(of("projection.weight"), [3, 8]);
    }

    #[test]
    fn untrained_heads_have_no_tensors() {
        let tensors = tiny(Heads::default()).tensors();
        assert!(tensors.iter().all(|(name, _)| !name.starts_with("outcome") && !name.starts_with("states")));
    }
}
