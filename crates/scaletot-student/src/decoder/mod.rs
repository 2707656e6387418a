//! A decoder-only transformer of the `LLaMA` family: `RMSNorm` before each block, rotary positions,
//! grouped-query attention, `SwiGLU`, and an output head that is tied to the embedding by default.
//!
//! Module fields carry the names of the `LLaMA` checkpoints (`model.layers.0.self_attn.q_proj.weight`), so
//! the saved file needs no key map. Sources: Zhang and Sennrich 2019 (`RMSNorm`), Su et al. 2021 (rotary
//! positions), Shazeer 2020 (`SwiGLU`), Ainslie et al. 2023 (grouped-query attention), Touvron et al. 2023
//! (their combination).
//!
//! Batches may be padded on either side, and a row may hold several sequences: a token sees those of its own sequence alone, and
//! rotary attention only depends on differences of positions, so neither padding nor packing changes the states of real tokens. The
//! trainers pack; decoding pads on the left, which puts the chains of all rows in the same columns.

mod attention;
mod batch;
mod cache;
mod config;
mod context;
mod dropout;
mod fused;
mod init;
mod layer;
mod rotary;
mod rows;
mod swiglu;

use burn::module::Module;
use burn::nn::{Embedding, Linear, RmsNorm};
use burn::tensor::module::linear;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

pub use batch::TokenBatch;
pub use cache::KvCache;
pub use config::{DecoderConfig, Rope, RopeScaling};
use context::Context;
pub(crate) use dropout::Dropout;
use init::Init;
use layer::DecoderLayer;
use rotary::Rotations;

use crate::error::{Error, Result};

/// Embedding, layers and final norm: token ids to hidden states.
#[derive(Module, Debug)]
struct Decoder {
    embed_tokens: Embedding,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
}

/// The language model: a decoder and its output head.
#[derive(Module, Debug)]
pub struct CausalLm {
    model: Decoder,
    lm_head: Option<Linear>,
    /// Rotary frequencies, of each pair of a head.
    #[module(skip)]
    frequencies: Vec<f64>,
}

impl CausalLm {
    /// A model with weights drawn from `seed` (see the `init` module: normal, residual outputs scaled down by
    /// depth).
    ///
    /// # Errors
    /// [`Error::Config`] if the sizes do not fit together or the vocabulary is empty.
    pub fn new(config: &DecoderConfig, seed: u64, device: &Device) -> Result<Self> {
        Self::with(config, Init::new(config, seed, device))
    }

    /// A model to load weights into: all are 0.
    pub(crate) fn blank(config: &DecoderConfig, device: &Device) -> Result<Self> {
        Self::with(config, Init::blank(config, device))
    }

    fn with(config: &DecoderConfig, mut init: Init<'_>) -> Result<Self> {
        config.validate()?;
        let vocab_size = config.vocab_size;
        let model = Decoder {
            embed_tokens: init.embedding(vocab_size),
            layers: (0..config.n_layers).map(|_| DecoderLayer::new(config, &mut init)).collect(),
            norm: init.norm(config.d_model),
        };
        let lm_head = (!config.tie_embeddings).then(|| init.linear(config.d_model, vocab_size, 1.0, false));
        Ok(Self { model, lm_head, frequencies: config.rope.frequencies(config.d_head) })
    }

    /// Number of tokens the model knows.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.model.embed_tokens.weight.lazy_shape()[0]
    }

    /// The device of the weights (with their autodiff context).
    #[must_use]
    pub fn device(&self) -> Device {
        self.model.embed_tokens.weight.base().device()
    }

    /// Hidden states after the final norm, `[rows, len, d]`. States at padded positions are finite but mean
    /// nothing.
    ///
    /// # Errors
    /// [`Error::Token`] for an id outside the vocabulary.
    pub fn hidden(&self, batch: &TokenBatch) -> Result<Tensor<3>> {
        Ok(self.model.norm.forward(self.layers(batch, self.model.layers.len(), &mut None, &mut None)?.0))
    }

    /// Hidden states `[n, d]` at some indices into [`TokenBatch::ids`], as the continuation of what the cache holds if there is one.
    /// For training, elements are dropped after the embedding and after each block.
    pub(crate) fn hidden_at(
        &self,
        batch: &TokenBatch,
        indices: &[i64],
        mut cache: Option<&mut KvCache>,
        mut dropout: Option<&mut Dropout>,
    ) -> Result<Tensor<2>> {
        let device = self.device().without_autodiff();
        let indices =
            Tensor::<1, Int>::from_data(TensorData::new(indices.to_vec(), [indices.len()]), &device);
        let count = self.model.layers.len();
        let (x, context) = self.layers(batch, count - 1, &mut cache, &mut dropout)?;
        let layer = cache.map(|cache| cache.layer(count - 1));
        let x = self.model.layers[count - 1].forward_at(x, indices, &context, layer, &mut dropout);
        Ok(self.model.norm.forward(x))
    }

    /// Hidden states of `batch` as the continuation of what `cache` holds; the cache then holds it too.
    /// Feeding a sequence in pieces gives the states that feeding it at once gives.
    ///
    /// # Errors
    /// [`Error::Token`] for an id outside the vocabulary, [`Error::Shape`] if the batch has not the cache's
    /// rows.
    pub fn hidden_cached(&self, batch: &TokenBatch, cache: &mut KvCache) -> Result<Tensor<3>> {
        Ok(self
            .model
            .norm
            .forward(self.layers(batch, self.model.layers.len(), &mut Some(cache), &mut None)?.0))
    }

    /// Logits over the vocabulary, `[rows, len, vocab]`, of hidden states `[rows, len, d]`.
    #[must_use]
    pub fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        linear(hidden, self.head(), None)
    }

    /// The same of states `[n, d]`: `[n, vocab]`, 32-bit floats.
    pub(crate) fn logits_at(&self, hidden: Tensor<2>) -> Tensor<2> {
        hidden.matmul(self.head()).cast(DType::F32)
    }

    /// Logits `[n, count]` of the `count` consecutive tokens from `first`, of hidden states `[n, d]`: what a
    /// choice among a state's values needs, without the rest of the vocabulary.
    pub(crate) fn logits_of(&self, hidden: Tensor<2>, first: usize, count: usize) -> Tensor<2> {
        let head = match &self.lm_head {
            Some(head) => head.weight.val().narrow(1, first, count),
            None => self.model.embed_tokens.weight.val().narrow(0, first, count).transpose(),
        };
        hidden.matmul(head).cast(DType::F32)
    }

    /// The head as a `[d, vocab]` matrix.
    fn head(&self) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.weight.val(),
            None => self.model.embed_tokens.weight.val().transpose(),
        }
    }

    /// The residual stream after the first `count` layers, `[rows, len, d]`, and what all layers share.
    fn layers(
        &self,
        batch: &TokenBatch,
        count: usize,
        cache: &mut Option<&mut KvCache>,
        dropout: &mut Option<&mut Dropout>,
    ) -> Result<(Tensor<3>, Context)> {
        let vocab = self.vocab_size();
        if let Some(&id) = batch.ids().iter().find(|&&id| id as usize >= vocab) {
            return Err(Error::Token { id, vocab });
        }
        let (rows, len) = (batch.rows(), batch.len());
        let past = match cache.as_deref_mut() {
            Some(cache) => cache.extend(batch)?,
            None => 0,
        };
        let sequence = cache.as_deref().map_or(batch.sequence(), KvCache::sequence);
        let device = self.device().without_autodiff();
        let ids = batch.ids().iter().map(|&id| id as i64).collect::<Vec<_>>();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, len]), &device);
        let mut x = drop_some(self.model.embed_tokens.forward(ids), dropout);
        let context = Context {
            rotary: Rotations::new(past, len, &self.frequencies, x.dtype(), &device),
            bias: attention::bias(sequence, rows, past, len, &device),
        };
        for (index, layer) in self.model.layers.iter().take(count).enumerate() {
            let cache = cache.as_deref_mut().map(|cache| cache.layer(index));
            x = layer.forward(x, &context, cache, dropout);
        }
        Ok((x, context))
    }
}

/// Applies dropout where there is one.
fn drop_some<const D: usize>(x: Tensor<D>, dropout: &mut Option<&mut Dropout>) -> Tensor<D> {
    match dropout {
        Some(dropout) => dropout.apply(x),
        None => x,
    }
}

#[cfg(test)]
mod tests;
