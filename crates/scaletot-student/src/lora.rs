//! Low-rank adapters (Hu et al. 2021): a weight `W` acts as `W + s · A B`, where `W` is frozen, `A` is `[inputs, r]`, `B` is
//! `[r, outputs]` and `s = α / r`.
//!
//! The adapters are Burn's own, attached to the parameters themselves, so that the decoder computes with them, and the
//! trainers train them and nothing else, without knowing of them.

use std::collections::BTreeMap;

use burn::module::{LoraAdapter, Module, ModuleVisitor, Param, Reparameterization, Reparameterizer};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use scaletot_core::config::{check, positive};
use serde::{Deserialize, Serialize};

use crate::decoder::CausalLm;
use crate::error::Result;
use crate::seeds;

/// Which weights get an adapter, and of what size.
///
/// ```
/// use scaletot_student::{LoraConfig, LoraTarget};
///
/// let mut config = LoraConfig::default();
/// config.rank = 16;
/// config.targets = vec![LoraTarget::Query, LoraTarget::Value];
/// assert_eq!(config.scale(), 1.0);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LoraConfig {
    /// Rank `r`, at least 1. Default 8.
    pub rank: usize,
    /// Scale `α`, above 0. Default 16.
    pub alpha: f64,
    /// Whether `s` is `α / √r` instead of `α / r` (Kalajdzievski 2023). Default false.
    pub rank_stabilised: bool,
    /// The projections that get an adapter, in every layer; by default all seven.
    pub targets: Vec<LoraTarget>,
}

/// A projection of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LoraTarget {
    /// To the queries.
    #[serde(rename = "q_proj")]
    Query,
    /// To the keys.
    #[serde(rename = "k_proj")]
    Key,
    /// To the values.
    #[serde(rename = "v_proj")]
    Value,
    /// Out of the attention.
    #[serde(rename = "o_proj")]
    Output,
    /// To the gate of the `SwiGLU` layer.
    #[serde(rename = "gate_proj")]
    Gate,
    /// Into the `SwiGLU` layer.
    #[serde(rename = "up_proj")]
    Up,
    /// Out of the `SwiGLU` layer.
    #[serde(rename = "down_proj")]
    Down,
}

impl LoraTarget {
    /// All seven.
    pub const ALL: [Self; 7] =
        [Self::Query, Self::Key, Self::Value, Self::Output, Self::Gate, Self::Up, Self::Down];

    fn name(self) -> &'static str {
        match self {
            Self::Query => "q_proj",
            Self::Key => "k_proj",
            Self::Value => "v_proj",
            Self::Output => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The target that a weight is, by its path in the model.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let name = path.strip_suffix(".weight")?.rsplit('.').next()?;
        Self::ALL.into_iter().find(|target| target.name() == name)
    }
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, rank_stabilised: false, targets: LoraTarget::ALL.to_vec() }
    }
}

impl LoraConfig {
    /// The factor `s` of `A B`.
    #[must_use]
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rank_stabilised { rank.sqrt() } else { rank }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        check(self.rank > 0, "lora rank", "a positive number", self.rank)?;
        positive("lora alpha", self.alpha)?;
        Ok(check(!self.targets.is_empty(), "lora targets", "at least one projection", "none")?)
    }
}

/// The factors of one adapter on the host, row by row: `A` as `[inputs, r]`, `B` as `[r, outputs]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Factors {
    pub(crate) a: Vec<f32>,
    pub(crate) b: Vec<f32>,
}

impl CausalLm {
    /// The same model with new adapters: the weights are frozen, and the adapters change nothing yet (`B` is 0, `A` drawn from
    /// `seed`, uniform within `1 / √inputs`, as in `peft`). Adapters that are there already are merged first.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of its range.
    pub fn with_lora(&self, config: &LoraConfig, seed: u64) -> Result<Self> {
        config.validate()?;
        let mut rng = seeds::numbered(seed, 0);
        Ok(self.attach(config, |path, [inputs, outputs]| {
            LoraTarget::of(path).filter(|target| config.targets.contains(target))?;
            let bound = 1.0 / (inputs as f32).sqrt();
            let a = (0..inputs * config.rank).map(|_| rng.random_range(-bound..=bound)).collect();
            Some(Factors { a, b: vec![0.0; config.rank * outputs] })
        }))
    }

    /// The same model with its adapters merged into the weights, which can be trained again; without adapters a copy.
    #[must_use]
    pub fn merged(&self) -> Self {
        self.valid().materialize().set_require_grad(true)
    }

    /// Whether there is an adapter.
    #[must_use]
    pub fn has_lora(&self) -> bool {
        !self.adapters().is_empty()
    }

    /// Attaches the adapters that `factors` gives for a weight's path and its `[inputs, outputs]`.
    pub(crate) fn attach(
        &self,
        config: &LoraConfig,
        factors: impl FnMut(&str, [usize; 2]) -> Option<Factors>,
    ) -> Self {
        let base = if self.has_lora() { self.merged() } else { self.clone() };
        let (rank, scale) = (config.rank, config.scale());
        base.apply_reparameterization(Attach { rank, scale, factors })
    }

    /// The factors `A` and `B` of the adapters, by the paths of their weights.
    pub(crate) fn adapters(&self) -> BTreeMap<String, Vec<Tensor<2>>> {
        let mut found = Found::default();
        self.visit(&mut found);
        found.adapters
    }
}

struct Attach<F> {
    rank: usize,
    scale: f64,
    factors: F,
}

impl<F: FnMut(&str, [usize; 2]) -> Option<Factors>> Reparameterizer for Attach<F> {
    type Reparam = LoraAdapter;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<LoraAdapter>) {
        let frozen = param.set_require_grad(false);
        let (shape, device): (_, Device) = (frozen.lazy_shape(), frozen.base().device());
        let [inputs, outputs] = if D == 2 { [shape[0], shape[1]] } else { return (frozen, None) };
        let adapter = (self.factors)(path, [inputs, outputs]).map(|Factors { a, b }| LoraAdapter {
            a: Param::from_data(TensorData::new(a, [inputs, self.rank]), &device),
            b: Param::from_data(TensorData::new(b, [self.rank, outputs]), &device),
            scale: self.scale,
        });
        (frozen, adapter)
    }
}

/// A visitor comes to a weight first, then to the factors of its adapter, as if they were modules in it.
#[derive(Default)]
struct Found {
    path: Vec<String>,
    adapters: BTreeMap<String, Vec<Tensor<2>>>,
}

impl ModuleVisitor for Found {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let [weight @ .., reparameterization, _factor] = self.path.as_slice() else { return };
        if reparameterization == LoraAdapter::NAME {
            let shape = param.lazy_shape();
            let factor = param.val().reshape([shape[0], shape[1]]);
            self.adapters.entry(weight.join(".")).or_default().push(factor);
        }
    }
}
