//! The model's matrices, decoded to `f32` at load.
//!
//! Decoding costs memory (four bytes a weight: 540 MB for SmolLM2-135M) and buys speed: products of `f32` matrices
//! run at the processor's full width, while candle's kernels for 4-bit blocks work a row at a time.

use std::io::{Read, Seek};

use candle_core::{Device, Storage, Tensor};
use scaletot_core::text::printable;

use super::failure::Failure;
use super::file::GgufFile;
use super::shape::Shape;

/// One transformer block. Matrices are `[in, out]`, the layout in which few rows multiply fastest.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attention_norm: Vec<f32>,
    /// Queries, keys and values side by side: `[width, q_dim + 2 · kv_dim]`.
    pub(super) qkv: Tensor,
    /// `[q_dim, width]`.
    pub(super) output: Tensor,
    pub(super) feed_forward_norm: Vec<f32>,
    /// Gate and up projection side by side: `[width, 2 · feed_forward]`.
    pub(super) gate_up: Tensor,
    /// `[feed_forward, width]`.
    pub(super) down: Tensor,
}

/// All weights.
#[derive(Debug)]
pub(super) struct Weights {
    /// `[vocab, width]`; none where the file has one matrix for both ends, which is then the [head](Self::head).
    embedding: Option<Tensor>,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Vec<f32>,
    /// `[width, vocab]`.
    pub(super) head: Tensor,
}

impl Weights {
    /// Reads every tensor of the architecture.
    pub(super) fn load<R: Read + Seek>(file: &mut GgufFile<R>, shape: &Shape) -> Result<Self, Failure> {
        check_names(file, shape)?;
        file.check_extent()?;
        let (width, vocab, ff) = (shape.width, shape.vocab, shape.feed_forward);
        let (q, kv) = (shape.q_dim(), shape.kv_dim());
        let mut layers = Vec::new();
        for index in 0..shape.layers {
            let name = |part: &str| format!("blk.{index}.{part}.weight");
            let fused = |file: &mut GgufFile<R>, parts: &[(&str, usize)]| {
                let parts = parts
                    .iter()
                    .map(|(part, rows)| matrix(file, &name(part), *rows, width))
                    .collect::<Result<Vec<_>, _>>()?;
                let joined = Tensor::cat(&parts, 0)
                    .map_err(Failure::of(format!("block {index}: cannot join its matrices")))?;
                transposed(&joined)
            };
            layers.push(Layer {
                attention_norm: file.tensor(&name("attn_norm"), &[width])?,
                qkv: fused(file, &[("attn_q", q), ("attn_k", kv), ("attn_v", kv)])?,
                output: transposed(&matrix(file, &name("attn_output"), width, q)?)?,
                feed_forward_norm: file.tensor(&name("ffn_norm"), &[width])?,
                gate_up: fused(file, &[("ffn_gate", ff), ("ffn_up", ff)])?,
                down: transposed(&matrix(file, &name("ffn_down"), width, ff)?)?,
            });
        }
        let norm = file.tensor("output_norm.weight", &[width])?;
        let embedding = matrix(file, "token_embd.weight", vocab, width)?;
        let (embedding, head) = if file.tensors.contains_key("output.weight") {
            (Some(embedding), transposed(&matrix(file, "output.weight", vocab, width)?)?)
        } else {
            (None, transposed(&embedding)?)
        };
        Ok(Self { embedding, layers, norm, head })
    }

    /// Writes the embeddings of `tokens` to the first rows of `x`.
    pub(super) fn embed(
        &self,
        tokens: impl Iterator<Item = u32>,
        shape: &Shape,
        x: &mut [f32],
    ) -> Result<(), Failure> {
        let rows = x.chunks_exact_mut(shape.width).zip(tokens);
        match &self.embedding {
            Some(embedding) => with_values(embedding, |values| {
                for (x, token) in rows {
                    x.copy_from_slice(&values[token as usize * shape.width..][..shape.width]);
                }
            }),
            // A column of the head: a few hundred scattered reads a token are nothing beside its pass.
            None => with_values(&self.head, |values| {
                for (x, token) in rows {
                    for (x, column) in x.iter_mut().zip(values.chunks_exact(shape.vocab)) {
                        *x = column[token as usize];
                    }
                }
            }),
        }
    }
}

/// Refuses tensors that the forward pass would leave out (biases, rope factors, experts): the model would run and
/// be wrong.
fn check_names<R>(file: &GgufFile<R>, shape: &Shape) -> Result<(), String> {
    const PARTS: [&str; 9] = [
        "attn_norm",
        "attn_q",
        "attn_k",
        "attn_v",
        "attn_output",
        "ffn_norm",
        "ffn_gate",
        "ffn_up",
        "ffn_down",
    ];
    let known = |name: &str| match name {
        "token_embd.weight" | "output_norm.weight" | "output.weight" => true,
        _ => name
            .strip_prefix("blk.")
            .and_then(|rest| rest.strip_suffix(".weight"))
            .and_then(|rest| rest.split_once('.'))
            .is_some_and(|(index, part)| {
                PARTS.contains(&part) && index.parse::<usize>().is_ok_and(|index| index < shape.layers)
            }),
    };
    match file.tensors.keys().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => Err(format!(
            "tensor `{}` is not part of a plain `llama` model of {} blocks, which is all that is supported",
            printable(name, 100),
            shape.layers
        )),
    }
}

fn matrix<R: Read + Seek>(
    file: &mut GgufFile<R>,
    name: &str,
    rows: usize,
    columns: usize,
) -> Result<Tensor, Failure> {
    let values = file.tensor(name, &[rows, columns])?;
    Tensor::from_vec(values, (rows, columns), &Device::Cpu)
        .map_err(Failure::of(format!("tensor `{name}`: cannot be made a matrix")))
}

fn transposed(tensor: &Tensor) -> Result<Tensor, Failure> {
    tensor.t().and_then(|t| t.contiguous()).map_err(Failure::of("cannot transpose a matrix"))
}

/// `rows × weight`, where `rows` is row-major with the weight's number of inputs as columns; `read` sees the
/// product, row-major.
pub(super) fn product<T>(
    rows: Vec<f32>,
    weight: &Tensor,
    read: impl FnOnce(&[f32]) -> T,
) -> Result<T, Failure> {
    let product = || {
        let depth = weight.dim(0)?;
        let n = rows.len() / depth;
        Tensor::from_vec(rows, (n, depth), &Device::Cpu)?.matmul(weight)
    };
    let result = product().map_err(Failure::of("cannot multiply by a matrix of weights"))?;
    with_values(&result, read)
}

/// Lets `read` see the values of a contiguous tensor without a copy.
fn with_values<T>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> T) -> Result<T, Failure> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { return Err("expected a tensor in main memory".into()) };
    let values = storage.as_slice::<f32>().map_err(Failure::of("expected a tensor of 32-bit floats"))?;
    let range = layout.contiguous_offsets().ok_or("expected a contiguous tensor")?;
    let values = values.get(range.0..range.1).ok_or("expected a tensor within its storage")?;
    Ok(read(values))
}
