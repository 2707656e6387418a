//! One decoder layer: attention and `SwiGLU`, each behind its norm and added to the residual stream.

use burn::module::Module;
use burn::nn::{Linear, RmsNorm};
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use burn::tensor::module::linear;

use super::attention::Attention;
use super::cache::LayerCache;
use super::dropout::Dropout;
use super::init::Init;
use super::rotary::Rotary;
use crate::config::StudentConfig;

/// What all layers of a forward pass share.
pub(super) struct Context {
    pub(super) rotary: Rotary,
    pub(super) bias: Tensor<4>,
}

/// `down(silu(gate(x)) ⊙ up(x))`.
#[derive(Module, Debug)]
struct SwiGlu {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl SwiGlu {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let weights = vec![self.gate_proj.weight.val(), self.up_proj.weight.val()];
        let both = linear(x, Tensor::cat(weights, 1), None);
        let width = both.dims()[2] / 2;
        let gate = both.clone().narrow(2, 0, width);
        self.down_proj.forward(silu(gate) * both.narrow(2, width, width))
    }
}

#[derive(Module, Debug)]
pub(super) struct DecoderLayer {
    input_layernorm: RmsNorm,
    self_attn: Attention,
    post_attention_layernorm: RmsNorm,
    mlp: SwiGlu,
}

impl DecoderLayer {
    pub(super) fn new(config: &StudentConfig, init: &mut Init<'_>) -> Self {
        Self {
            input_layernorm: init.norm(),
            self_attn: Attention::new(config, init),
            post_attention_layernorm: init.norm(),
            mlp: SwiGlu {
                gate_proj: init.linear(config.d_model, config.d_ff, 1.0),
                up_proj: init.linear(config.d_model, config.d_ff, 1.0),
                down_proj: init.linear(config.d_ff, config.d_model, init.residual_scale()),
            },
        }
    }

    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        context: &Context,
        cache: Option<&mut LayerCache>,
        dropout: &mut Option<&mut Dropout>,
    ) -> Tensor<3> {
        let attended = self.self_attn.forward(self.input_layernorm.forward(x.clone()), context, cache);
        let x = x + super::drop_some(attended, dropout);
        let fed = self.mlp.forward(self.post_attention_layernorm.forward(x.clone()));
        x + super::drop_some(fed, dropout)
    }
}
