//! Seeded weights.
//!
//! Burn's initialisers draw from one generator per device that every thread shares, so two models built at
//! the same time would disturb each other. Weights are drawn here on the host instead, from a generator of
//! their own.

use burn::module::Param;
use burn::nn::{Embedding, Linear, RmsNorm};
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::config::StudentConfig;

/// Draws the weights of one model: normal with standard deviation `1 / √inputs` (embedding: `1 / √d`, so that
/// tied logits start near unit scale), norms at 1, no biases.
pub(super) struct Init<'a> {
    config: &'a StudentConfig,
    rng: ChaCha8Rng,
    device: &'a Device,
}

impl<'a> Init<'a> {
    pub(super) fn new(config: &'a StudentConfig, seed: u64, device: &'a Device) -> Self {
        Self { config, rng: ChaCha8Rng::seed_from_u64(seed), device }
    }

    /// `1 / √(2 layers)`: keeps the variance of the residual stream independent of depth (Radford et al.
    /// 2019).
    pub(super) fn residual_scale(&self) -> f64 {
        1.0 / (2.0 * self.config.n_layers as f64).sqrt()
    }

    pub(super) fn linear(&mut self, inputs: usize, outputs: usize, scale: f64) -> Linear {
        let weight = self.normal(inputs, outputs, scale / (inputs as f64).sqrt());
        Linear { weight, bias: None }
    }

    pub(super) fn embedding(&mut self, tokens: usize) -> Embedding {
        let d = self.config.d_model;
        Embedding { weight: self.normal(tokens, d, 1.0 / (d as f64).sqrt()) }
    }

    pub(super) fn norm(&self) -> RmsNorm {
        let gamma = TensorData::new(vec![1.0f32; self.config.d_model], [self.config.d_model]);
        RmsNorm { gamma: Param::from_data(gamma, self.device), epsilon: self.config.rms_norm_eps }
    }

    fn normal(&mut self, rows: usize, columns: usize, deviation: f64) -> Param<Tensor<2>> {
        let draw = |_| {
            let z: f64 = StandardNormal.sample(&mut self.rng);
            (z * deviation) as f32
        };
        let values: Vec<f32> = (0..rows * columns).map(draw).collect();
        Param::from_data(TensorData::new(values, [rows, columns]), self.device)
    }
}
