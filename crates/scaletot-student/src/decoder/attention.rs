//! Causal grouped-query attention.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::module::linear;
use burn::tensor::{Device, Tensor, TensorData};

use super::cache::LayerCache;
use super::init::Init;
use super::layer::Context;
use crate::config::StudentConfig;

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
    heads: usize,
    kv_heads: usize,
    d_head: usize,
}

impl Attention {
    pub(super) fn new(config: &StudentConfig, init: &mut Init<'_>) -> Self {
        let (d, d_head) = (config.d_model, config.head_dim());
        let kv = config.n_kv_heads * d_head;
        Self {
            q_proj: init.linear(d, d, 1.0),
            k_proj: init.linear(d, kv, 1.0),
            v_proj: init.linear(d, kv, 1.0),
            o_proj: init.linear(d, d, init.residual_scale()),
            heads: config.n_heads,
            kv_heads: config.n_kv_heads,
            d_head,
        }
    }

    /// `x`: `[rows, len, d]` to the same shape.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        context: &Context,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<3> {
        let [rows, len, _] = x.dims();
        let (heads, kv, d_head) = (self.heads, self.kv_heads, self.d_head);
        // One product for the three projections: the weights are small next to the activations they meet.
        let weights = [&self.q_proj, &self.k_proj, &self.v_proj].map(|p| p.weight.val()).to_vec();
        let qkv = linear(x, Tensor::cat(weights, 1), None);
        let qkv = qkv.reshape([rows, len, heads + 2 * kv, d_head]).swap_dims(1, 2);
        let turned = context.rotary.apply(qkv.clone().narrow(1, 0, heads + kv));
        let q = turned.clone().narrow(1, 0, heads).mul_scalar(1.0 / (d_head as f64).sqrt());
        let k = turned.narrow(1, heads, kv);
        let v = qkv.narrow(1, heads + kv, kv);
        let (k, v) = match cache {
            Some(cache) => cache.append(k, v),
            None => (k, v),
        };
        // The queries that share a key head are stacked along time, so keys and values need not be repeated.
        let keys = k.dims()[2];
        let stacked = heads / kv * len;
        let scores = q.reshape([rows, kv, stacked, d_head]).matmul(k.transpose());
        let scores = scores.reshape([rows, heads, len, keys]) + context.bias.clone();
        let weights = softmax(scores, 3).reshape([rows, kv, stacked, keys]);
        let mixed = weights.matmul(v).reshape([rows, heads, len, d_head]);
        self.o_proj.forward(mixed.swap_dims(1, 2).reshape([rows, len, heads * d_head]))
    }
}

/// What is added to the scores, `[rows, 1, len, past + len]`: 0 where query `past + i` sees key `j`, that is
/// `j` is a real token and `j ≤ past + i`. `valid` is `[rows, past + len]`.
pub(super) fn bias(valid: &[bool], rows: usize, past: usize, len: usize, device: &Device) -> Tensor<4> {
    let keys = past + len;
    let mut values = Vec::with_capacity(rows * len * keys);
    for row in valid.chunks_exact(keys.max(1)).take(rows) {
        for query in past..keys {
            values.extend(
                row.iter().enumerate().map(|(key, &real)| if real && key <= query { 0.0 } else { HIDDEN }),
            );
        }
    }
    Tensor::from_data(TensorData::new(values, [rows, 1, len, keys]), device)
}
