//! The model written down a second time: one sequence, no cache, one number at a time, in `f64`, from weights that
//! candle's own reader decodes.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::gguf_file::Content;

use crate::tiny::Tiny;

pub(crate) struct Reference {
    known: HashMap<String, Vec<f64>>,
    tiny: Tiny,
    content: Content,
    file: File,
}

/// A matrix: rows of outputs.
type Matrix = Vec<Vec<f64>>;

impl Reference {
    pub(crate) fn open(tiny: &Tiny, path: &Path) -> Self {
        let mut file = File::open(path).unwrap();
        let content = Content::read(&mut file).unwrap();
        Self { known: HashMap::new(), tiny: tiny.clone(), content, file }
    }

    fn vector(&mut self, name: &str) -> Vec<f64> {
        if !self.known.contains_key(name) {
            let tensor = self.content.tensor(&mut self.file, name, &Device::Cpu).unwrap();
            let values =
                tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            self.known.insert(name.to_owned(), values.into_iter().map(f64::from).collect());
        }
        self.known[name].clone()
    }

    fn matrix(&mut self, name: &str) -> Matrix {
        let columns = self.content.tensor_infos[name].shape.dims()[1];
        self.vector(name).chunks(columns).map(<[f64]>::to_vec).collect()
    }

    /// `ln p(tokens[i] | tokens[..i])` for every `i ≥ from`, summed.
    pub(crate) fn log_prob(&mut self, tokens: &[u32], from: usize) -> f64 {
        let logits = self.logits(tokens, from - 1);
        (from..tokens.len())
            .map(|i| {
                let row = &logits[i - from];
                let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total = row.iter().map(|x| (x - top).exp()).sum::<f64>().ln() + top;
                row[tokens[i] as usize] - total
            })
            .sum()
    }

    /// After the tokens from `from` on.
    fn logits(&mut self, tokens: &[u32], from: usize) -> Matrix {
        let embedding = self.matrix("token_embd.weight");
        let mut x: Matrix = tokens.iter().map(|&t| embedding[t as usize].clone()).collect();
        for layer in 0..self.tiny.layers {
            self.attention(layer, &mut x);
            self.feed_forward(layer, &mut x);
        }
        let gain = self.vector("output_norm.weight");
        let head = if self.tiny.tied { embedding } else { self.matrix("output.weight") };
        x[from..].iter().map(|x| apply(&head, &normed(x, &gain))).collect()
    }

    fn attention(&mut self, layer: usize, x: &mut Matrix) {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let gain = self.vector(&name("attn_norm"));
        let [wq, wk, wv, wo] =
            ["attn_q", "attn_k", "attn_v", "attn_output"].map(|part| self.matrix(&name(part)));
        let (heads, d) = (self.tiny.heads, self.tiny.head_dim);
        let group = heads / self.tiny.kv_heads;
        let turned = |w: &Matrix, x: &[f64], position: usize| {
            let mut y = apply(w, &normed(x, &gain));
            for head in y.chunks_mut(d) {
                for i in 0..d / 2 {
                    let angle = position as f64 / f64::from(self.tiny.rope_factor)
                        * 1_000_f64.powf(-2.0 * i as f64 / d as f64);
                    let (a, b) = (head[2 * i], head[2 * i + 1]);
                    head[2 * i] = a * angle.cos() - b * angle.sin();
                    head[2 * i + 1] = a * angle.sin() + b * angle.cos();
                }
            }
            y
        };
        let q: Matrix = x.iter().enumerate().map(|(i, x)| turned(&wq, x, i)).collect();
        let k: Matrix = x.iter().enumerate().map(|(i, x)| turned(&wk, x, i)).collect();
        let v: Matrix = x.iter().map(|x| apply(&wv, &normed(x, &gain))).collect();
        for (i, x) in x.iter_mut().enumerate() {
            let mut mixed = vec![0.0; heads * d];
            for head in 0..heads {
                let (at, shared) = (head * d, head / group * d);
                let score = |j: usize| {
                    (0..d).map(|c| q[i][at + c] * k[j][shared + c]).sum::<f64>() / (d as f64).sqrt()
                };
                let weights: Vec<f64> = (0..=i).map(|j| score(j).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (j, weight) in weights.iter().enumerate() {
                    for c in 0..d {
                        mixed[at + c] += weight / total * v[j][shared + c];
                    }
                }
            }
            for (x, y) in x.iter_mut().zip(apply(&wo, &mixed)) {
                *x += y;
            }
        }
    }

    fn feed_forward(&mut self, layer: usize, x: &mut Matrix) {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let gain = self.vector(&name("ffn_norm"));
        let [gate, up, down] = ["ffn_gate", "ffn_up", "ffn_down"].map(|part| self.matrix(&name(part)));
        for x in x.iter_mut() {
            let input = normed(x, &gain);
            let active: Vec<f64> = apply(&gate, &input)
                .iter()
                .zip(apply(&up, &input))
                .map(|(g, u)| g / (1.0 + (-g).exp()) * u)
                .collect();
            for (x, y) in x.iter_mut().zip(apply(&down, &active)) {
                *x += y;
            }
        }
    }
}

fn apply(matrix: &Matrix, x: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
}

fn normed(x: &[f64], gain: &[f64]) -> Vec<f64> {
    let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    x.iter().zip(gain).map(|(x, g)| x / (mean + 1e-5).sqrt() * g).collect()
}
