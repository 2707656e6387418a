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

use super::config::DecoderConfig;

/// Draws the weights of one model: normal with standard deviation `1 / √inputs` (embedding: `1 / √d`, so that
/// tied logits start near unit scale), norms at 1, no biases.
pub(super) struct Init<'a> {
    config: &'a DecoderConfig,
    /// `None` draws nothing: all weights are 0, to be loaded.
    rng: Option<ChaCha8Rng>,
    device: &'a Device,
}

impl<'a> Init<'a> {
    pub(super) fn new(config: &'a DecoderConfig, seed: u64, device: &'a Device) -> Self {
        Self { config, rng: Some(ChaCha8Rng::seed_from_u64(seed)), device }
    }

    pub(super) fn blank(config: &'a DecoderConfig, device: &'a Device) -> Self {
        Self { config, rng: None, device }
    }

    /// `1 / √(2 layers)`: keeps the variance of the residual stream independent of depth (Radford et al.
    /// 2019).
    pub(super) fn residual_scale(&self) -> f64 {
        1.0 / (2.0 * self.config.n_layers as f64).sqrt()
    }

    /// Biases begin at 0.
    pub(super) fn linear(&mut self, inputs: usize, outputs: usize, scale: f64, bias: bool) -> Linear {
        let weight = self.normal(inputs, outputs, scale / (inputs as f64).sqrt());
        Linear { weight, bias: bias.then(|| self.constant(outputs, 0.0)) }
    }

    pub(super) fn embedding(&mut self, tokens: usize) -> Embedding {
        let d = self.config.d_model;
        Embedding { weight: self.normal(tokens, d, 1.0 / (d as f64).sqrt()) }
    }

    pub(super) fn norm(&self, width: usize) -> RmsNorm {
        RmsNorm { gamma: self.constant(width, 1.0), epsilon: self.config.rms_norm_eps }
    }

    fn constant(&self, width: usize, value: f32) -> Param<Tensor<1>> {
        Param::from_data(TensorData::new(vec![value; width], [width]), self.device)
    }

    fn normal(&mut self, rows: usize, columns: usize, deviation: f64) -> Param<Tensor<2>> {
        let values: Vec<f32> = match &mut self.rng {
            None => vec![0.0; rows * columns],
            Some(rng) => {
                let draw = |_| {
                    let z: f64 = StandardNormal.sample(&mut *rng);
                    (z * deviation) as f32
                };
                (0..rows * columns).map(draw).collect()
            }
        };
        Param::from_data(TensorData::new(values, [rows, columns]), self.device)
    }
}
