//! The gated feed-forward layer.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::config::DecoderConfig;
use super::fused;
use super::init::Init;

/// `down(silu(gate(x)) ⊙ up(x))` (Shazeer 2020).
#[derive(Module, Debug)]
pub(super) struct SwiGlu {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl SwiGlu {
    pub(super) fn new(config: &DecoderConfig, init: &mut Init<'_>) -> Self {
        let (d, d_ff, bias) = (config.d_model, config.d_ff, config.mlp_bias);
        Self {
            gate_proj: init.linear(d, d_ff, 1.0, bias),
            up_proj: init.linear(d, d_ff, 1.0, bias),
            down_proj: init.linear(d_ff, d, init.residual_scale(), bias),
        }
    }

    pub(super) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let gate = self.gate_proj.forward(x.clone());
        self.down_proj.forward(fused::gated(gate, self.up_proj.forward(x)))
    }
}
