//! Writes small random models.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{Value, write};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a small model is like. Sizes are small but no two alike, so that a mixed-up dimension shows.
#[derive(Clone)]
pub(crate) struct Tiny {
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) feed_forward: usize,
    pub(crate) context: u32,
    pub(crate) dtype: GgmlDType,
    pub(crate) tied: bool,
    pub(crate) bos: bool,
    pub(crate) pre: &'static str,
    pub(crate) seed: u64,
    /// What positions are divided by.
    pub(crate) rope_factor: f32,
    /// Control tokens besides `<|end|>`, the last one.
    pub(crate) control: &'static [&'static str],
    /// Metadata that replaces or joins the usual; `None` takes an entry away.
    pub(crate) metadata: Vec<(&'static str, Option<Value>)>,
    /// A tensor to leave out.
    pub(crate) without: Option<&'static str>,
    /// A tensor to add.
    pub(crate) extra: Option<&'static str>,
}

impl Default for Tiny {
    fn default() -> Self {
        Self {
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head_dim: 16,
            feed_forward: 96,
            context: 128,
            dtype: GgmlDType::F32,
            tied: true,
            bos: false,
            pre: "smollm",
            seed: 1,
            rope_factor: 1.0,
            control: &[],
            metadata: Vec::new(),
            without: None,
            extra: None,
        }
    }
}

/// The letters that stand for bytes in a byte-level vocabulary, in the order of the bytes.
fn byte_letters() -> Vec<char> {
    let printable = |b: u32| (33..127).contains(&b) || (161..173).contains(&b) || (174..256).contains(&b);
    let mut next = 256;
    (0..256)
        .map(|b| {
            let code = if printable(b) {
                b
            } else {
                next += 1;
                next - 1
            };
            char::from_u32(code).unwrap()
        })
        .collect()
}

/// A vocabulary of bytes and some merges, among them ones that make " low" one token and " very" two.
pub(crate) fn vocabulary() -> (Vec<String>, Vec<String>) {
    let merges = [
        "Ġ l", "o w", "Ġl ow", "h i", "g h", "hi gh", "Ġ high", "v e", "Ġ ve", "r y", "t h", "Ġ t", "i s",
        "1 2",
    ];
    let mut tokens: Vec<String> = byte_letters().iter().map(char::to_string).collect();
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    tokens.push("<|end|>".to_owned());
    (tokens, merges.map(String::from).to_vec())
}

impl Tiny {
    fn is_control(&self, token: &str) -> bool {
        token == "<|end|>" || self.control.contains(&token)
    }

    fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    fn tensors(&self, vocab: usize) -> Vec<(String, QTensor)> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut random = |dims: &[usize], scale: f32, middle: f32, dtype: GgmlDType| {
            let n = dims.iter().product();
            let values: Vec<f32> = (0..n)
                .map(|_| middle + scale * ((rng.next_u32() >> 8) as f32 / (1_u32 << 24) as f32 - 0.5))
                .collect();
            let tensor = Tensor::from_vec(values, dims, &Device::Cpu).unwrap();
            QTensor::quantize(&tensor, dtype).unwrap()
        };
        let (width, kv, ff) = (self.width(), self.kv_heads * self.head_dim, self.feed_forward);
        let mut tensors =
            vec![("token_embd.weight".to_owned(), random(&[vocab, width], 0.5, 0.0, self.dtype))];
        for layer in 0..self.layers {
            for (part, dims) in [
                ("attn_q", [width, width]),
                ("attn_k", [kv, width]),
                ("attn_v", [kv, width]),
                ("attn_output", [width, width]),
                ("ffn_gate", [ff, width]),
                ("ffn_up", [ff, width]),
                ("ffn_down", [width, ff]),
            ] {
                tensors.push((format!("blk.{layer}.{part}.weight"), random(&dims, 0.8, 0.0, self.dtype)));
            }
            for part in ["attn_norm", "ffn_norm"] {
                tensors
                    .push((format!("blk.{layer}.{part}.weight"), random(&[width], 0.5, 1.0, GgmlDType::F32)));
            }
        }
        tensors.push(("output_norm.weight".to_owned(), random(&[width], 0.5, 1.0, GgmlDType::F32)));
        if !self.tied {
            tensors.push(("output.weight".to_owned(), random(&[vocab, width], 0.5, 0.0, self.dtype)));
        }
        tensors.retain(|(name, _)| Some(name.as_str()) != self.without);
        if let Some(extra) = self.extra {
            tensors.push((extra.to_owned(), random(&[width], 1.0, 0.0, GgmlDType::F32)));
        }
        tensors
    }

    fn metadata(&self, tokens: &[String], merges: &[String]) -> BTreeMap<&'static str, Value> {
        let texts = |texts: &[String]| Value::Array(texts.iter().cloned().map(Value::String).collect());
        let types =
            tokens.iter().map(|token| Value::I32(if self.is_control(token) { 3 } else { 1 })).collect();
        let mut metadata = BTreeMap::from([
            ("general.architecture", Value::String("llama".to_owned())),
            ("llama.block_count", Value::U32(self.layers as u32)),
            ("llama.context_length", Value::U32(self.context)),
            ("llama.embedding_length", Value::U32(self.width() as u32)),
            ("llama.feed_forward_length", Value::U32(self.feed_forward as u32)),
            ("llama.attention.head_count", Value::U32(self.heads as u32)),
            ("llama.attention.head_count_kv", Value::U32(self.kv_heads as u32)),
            ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
            ("llama.rope.dimension_count", Value::U32(self.head_dim as u32)),
            ("llama.rope.freq_base", Value::F32(1_000.0)),
            ("tokenizer.ggml.model", Value::String("gpt2".to_owned())),
            ("tokenizer.ggml.pre", Value::String(self.pre.to_owned())),
            ("tokenizer.ggml.tokens", texts(tokens)),
            ("tokenizer.ggml.merges", texts(merges)),
            ("tokenizer.ggml.token_type", Value::Array(types)),
            ("tokenizer.ggml.add_bos_token", Value::Bool(self.bos)),
            ("tokenizer.ggml.bos_token_id", Value::U32(tokens.len() as u32 - 1)),
        ]);
        if self.rope_factor != 1.0 {
            metadata.insert("llama.rope.scaling.factor", Value::F32(self.rope_factor));
        }
        for (key, value) in &self.metadata {
            match value {
                Some(value) => metadata.insert(key, value.clone()),
                None => metadata.remove(key),
            };
        }
        metadata
    }

    /// Writes the model to `folder`.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let (mut tokens, merges) = vocabulary();
        let last = tokens.len() - 1;
        tokens.splice(last..last, self.control.iter().map(ToString::to_string));
        let metadata = self.metadata(&tokens, &merges);
        let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
        let tensors = self.tensors(tokens.len());
        let tensors: Vec<(&str, &QTensor)> =
            tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let path = folder.join("tiny.gguf");
        write(&mut File::create(&path).unwrap(), &metadata, &tensors).unwrap();
        path
    }
}
