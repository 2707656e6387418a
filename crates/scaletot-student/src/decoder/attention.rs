//! Causal grouped-query attention.

use burn::module::Module;
use burn::nn::{Linear, RmsNorm};
use burn::tensor::{DType, Device, Tensor, TensorData};

use super::cache::LayerCache;
use super::config::DecoderConfig;
use super::context::Context;
use super::fused;
use super::init::Init;

/// Added to the score of a key that must not be seen. Finite, so that a row that sees nothing (a padded
/// query) gives finite numbers instead of NaN; large enough that `exp` underflows to exactly 0 next to any
/// real score.
const HIDDEN: f32 = -1e9;

/// Multi-head attention in which `n_heads / n_kv_heads` query heads share one key and value head.
#[derive(Module, Debug)]
pub(super) struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    q_norm: Option<RmsNorm>,
    k_norm: Option<RmsNorm>,
    heads: usize,
    kv_heads: usize,
    d_head: usize,
}

impl Attention {
    pub(super) fn new(config: &DecoderConfig, init: &mut Init<'_>) -> Self {
        let (d, d_head, bias) = (config.d_model, config.d_head, config.qkv_bias);
        let (all, kv) = (config.n_heads * d_head, config.n_kv_heads * d_head);
        Self {
            q_proj: init.linear(d, all, 1.0, bias),
            k_proj: init.linear(d, kv, 1.0, bias),
            v_proj: init.linear(d, kv, 1.0, bias),
            o_proj: init.linear(all, d, init.residual_scale(), config.output_bias),
            // Not clones of one: these would share the identity by which gradients and moments are kept.
            q_norm: config.qk_norm.then(|| init.norm(d_head)),
            k_norm: config.qk_norm.then(|| init.norm(d_head)),
            heads: config.n_heads,
            kv_heads: config.n_kv_heads,
            d_head,
        }
    }

    /// The heads' outputs behind one another, `[rows, len, heads · d_head]`, of `x`, `[rows, len, d]`.
    pub(super) fn mix(&self, x: Tensor<3>, context: &Context, cache: Option<&mut LayerCache>) -> Tensor<3> {
        let [rows, len, _] = x.dims();
        let (heads, kv, d_head) = (self.heads, self.kv_heads, self.d_head);
        let heads_of = |linear: &Linear, count: usize| {
            linear.forward(x.clone()).reshape([rows, len, count, d_head]).swap_dims(1, 2)
        };
        let norm = |norm: &Option<RmsNorm>, x: Tensor<4>| match norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        let q = context.rotary.queries.apply(norm(&self.q_norm, heads_of(&self.q_proj, heads)));
        let k = context.rotary.keys.apply(norm(&self.k_norm, heads_of(&self.k_proj, kv)));
        let v = heads_of(&self.v_proj, kv);
        let (k, v) = match cache {
            Some(cache) => cache.append(k, v),
            None => (k, v),
        };
        // The queries that share a key head are stacked along time, so keys and values need not be repeated.
        let keys = k.dims()[2];
        let stacked = heads / kv * len;
        let scores = q.reshape([rows, kv, stacked, d_head]).matmul(k.transpose());
        let dtype = scores.dtype();
        let scores = scores.cast(DType::F32).reshape([rows, heads, len, keys]);
        let weights = fused::attention_weights(scores, context.bias.clone())
            .cast(dtype)
            .reshape([rows, kv, stacked, keys]);
        let mixed = weights.matmul(v).reshape([rows, heads, len, d_head]);
        mixed.swap_dims(1, 2).reshape([rows, len, heads * d_head])
    }

    /// Heads' outputs to the width of the residual stream.
    pub(super) fn project<const D: usize>(&self, mixed: Tensor<D>) -> Tensor<D> {
        self.o_proj.forward(mixed)
    }
}

/// What is added to the scores, `[rows, 1, len, past + len]`: 0 where query `past + i` sees key `j`, that is
/// both are of one sequence and `j ≤ past + i`. `sequence` is `[rows, past + len]`, see [`TokenBatch::sequence`](super::TokenBatch::sequence).
pub(super) fn bias(sequence: &[u32], rows: usize, past: usize, len: usize, device: &Device) -> Tensor<4> {
    let keys = past + len;
    let mut values = vec![HIDDEN; rows * len * keys];
    for (row, of_row) in sequence.chunks_exact(keys.max(1)).take(rows).enumerate() {
        for query in (past..keys).filter(|&query| of_row[query] > 0) {
            let scores = &mut values[(row * len + query - past) * keys..][..keys];
            for (score, number) in scores.iter_mut().zip(of_row).take(query + 1) {
                *score = if *number == of_row[query] { 0.0 } else { HIDDEN };
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [rows, 1, len, keys]), device)
}
