//! Keys and values of tokens already read, so that decoding a chain reads each token once.

use burn::tensor::{Int, Tensor, TensorData};

use super::batch::TokenBatch;
use crate::error::{Error, Result};

/// Keys and values `[rows, kv_heads, len, d_head]` of one layer.
#[derive(Debug, Clone, Default)]
pub(super) struct LayerCache(Option<(Tensor<4>, Tensor<4>)>);

impl LayerCache {
    /// Appends along time and returns all keys and values so far.
    pub(super) fn append(&mut self, k: Tensor<4>, v: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let (k, v) = match self.0.take() {
            Some((past_k, past_v)) => (Tensor::cat(vec![past_k, k], 2), Tensor::cat(vec![past_v, v], 2)),
            None => (k, v),
        };
        self.0 = Some((k.clone(), v.clone()));
        (k, v)
    }
}

impl LayerCache {
    fn select(&self, rows: &[usize]) -> Self {
        let Some((k, v)) = &self.0 else { return Self(None) };
        let indices = rows.iter().map(|row| *row as i64).collect::<Vec<_>>();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [rows.len()]), &k.device());
        Self(Some((k.clone().select(0, indices.clone()), v.clone().select(0, indices))))
    }
}

/// What a [`CausalLm`](super::CausalLm) remembers of the tokens of a batch. Starts empty; serves one batch.
#[derive(Debug, Clone, Default)]
pub struct KvCache {
    rows: usize,
    len: usize,
    /// As [`TokenBatch::sequence`].
    sequence: Vec<u32>,
    layers: Vec<LayerCache>,
}

impl KvCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The cache of other rows: new row `i` is old row `rows[i]`, and a row may be named more than once. Rows that are not there are
    /// left out.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let rows: Vec<usize> = rows.iter().copied().filter(|row| *row < self.rows).collect();
        let sequence =
            rows.iter().flat_map(|row| self.sequence[row * self.len..(row + 1) * self.len].to_vec());
        let layers = self.layers.iter().map(|layer| layer.select(&rows)).collect();
        Self { rows: rows.len(), len: self.len, sequence: sequence.collect(), layers }
    }

    /// Number of positions held, padding included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been read yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Notes the positions of `batch` and returns how many were held before.
    pub(super) fn extend(&mut self, batch: &TokenBatch) -> Result<usize> {
        let past = self.len;
        if past > 0 && batch.rows() != self.rows {
            return Err(Error::Shape {
                what: "rows of a cached batch",
                expected: self.rows,
                found: batch.rows(),
            });
        }
        let mut sequence = Vec::with_capacity(batch.rows() * (past + batch.len()));
        for row in 0..batch.rows() {
            sequence.extend_from_slice(&self.sequence[row * past..(row + 1) * past]);
            sequence.extend_from_slice(&batch.sequence()[row * batch.len()..(row + 1) * batch.len()]);
        }
        (self.rows, self.len, self.sequence) = (batch.rows(), past + batch.len(), sequence);
        Ok(past)
    }

    /// `[rows, len]`.
    pub(super) fn sequence(&self) -> &[u32] {
        &self.sequence
    }

    pub(super) fn layer(&mut self, index: usize) -> &mut LayerCache {
        if self.layers.len() <= index {
            self.layers.resize_with(index + 1, LayerCache::default);
        }
        &mut self.layers[index]
    }
}
