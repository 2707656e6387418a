//! One decoder layer: attention and `SwiGLU`, each behind its norm and added to the residual stream.

use burn::module::Module;
use burn::nn::RmsNorm;
use burn::tensor::{Int, Tensor};

use super::attention::Attention;
use super::cache::LayerCache;
use super::config::DecoderConfig;
use super::context::Context;
use super::dropout::Dropout;
use super::init::Init;
use super::swiglu::SwiGlu;

#[derive(Module, Debug)]
pub(super) struct DecoderLayer {
    input_layernorm: RmsNorm,
    self_attn: Attention,
    post_attention_layernorm: RmsNorm,
    mlp: SwiGlu,
}

impl DecoderLayer {
    pub(super) fn new(config: &DecoderConfig, init: &mut Init<'_>) -> Self {
        let d = config.d_model;
        Self {
            input_layernorm: init.norm(d),
            self_attn: Attention::new(config, init),
            post_attention_layernorm: init.norm(d),
            mlp: SwiGlu::new(config, init),
        }
    }

    /// `x`: `[rows, len, d]` to the same shape.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        context: &Context,
        cache: Option<&mut LayerCache>,
        dropout: &mut Option<&mut Dropout>,
    ) -> Tensor<3> {
        let mixed = self.self_attn.mix(self.input_layernorm.forward(x.clone()), context, cache);
        self.rest(x, mixed, dropout)
    }

    /// The same for some tokens alone, given by their indices `[n]` in `[rows · len]`: `[n, d]`. All tokens are seen, but the rest of the
    /// layer's work is done for these only, which is all that is needed of the last layer.
    pub(super) fn forward_at(
        &self,
        x: Tensor<3>,
        indices: Tensor<1, Int>,
        context: &Context,
        cache: Option<&mut LayerCache>,
        dropout: &mut Option<&mut Dropout>,
    ) -> Tensor<2> {
        let mixed = self.self_attn.mix(self.input_layernorm.forward(x.clone()), context, cache);
        let at = |x: Tensor<3>| {
            let [rows, len, width] = x.dims();
            x.reshape([rows * len, width]).select(0, indices.clone())
        };
        self.rest(at(x), at(mixed), dropout)
    }

    /// What follows upon the heads' outputs, which is done for each token by itself.
    fn rest<const D: usize>(
        &self,
        x: Tensor<D>,
        mixed: Tensor<D>,
        dropout: &mut Option<&mut Dropout>,
    ) -> Tensor<D> {
        let x = x + super::drop_some(self.self_attn.project(mixed), dropout);
        let fed = self.mlp.forward(self.post_attention_layernorm.forward(x.clone()));
        x + super::drop_some(fed, dropout)
    }
}
