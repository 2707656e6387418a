//! Published checkpoints of the `LLaMA` family, as `transformers` saves them.

mod adapter;
mod config;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use scaletot_core::config::ConfigError;
use scaletot_core::files::{AtomicDir, Checksums, FileError, open};
use serde::Deserialize;
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::decoder::{CausalLm, DecoderConfig};
use crate::error::{Error, Result};
use crate::files::{self, Checked};
use crate::lora::LoraConfig;
use crate::tokenizer::{Vocabulary, library};
use crate::weights;

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
/// Whether the head is the transposed embedding, in `config.json`.
const TIE: &str = "tie_word_embeddings";
/// What a student that is saved as a checkpoint says of itself, in `config.json`.
pub(crate) const STUDENT: &str = "scaletot";
const INDEX: &str = "model.safetensors.index.json";

/// What the directory of a checkpoint that was saved here may hold; published ones have no checksums, or other files.
const NAMES: &[&str] = &[Checksums::NAME, CONFIG, WEIGHTS, TOKENIZER];

/// A decoder with published weights, and its tokenizer.
///
/// Reads `config.json`, `tokenizer.json` and `model.safetensors` (or its parts, by `model.safetensors.index.json`) of the
/// architectures `llama` (`SmolLM2` and others among them), `qwen2` and `qwen3`, in 32-bit, 16-bit or bfloat16 floats.
/// Logits agree with those of `transformers` to 1e-4, padded on either side, with a cache and without.
///
/// ```no_run
/// use burn::tensor::Device;
/// use scaletot_student::Pretrained;
/// use scaletot_student::decoder::TokenBatch;
///
/// let smollm2 = Pretrained::from_pretrained("SmolLM2-135M-Instruct", &Device::default())?;
/// let ids = smollm2.encode("This customer's spending is")?;
/// let hidden = smollm2.model().hidden(&TokenBatch::left_padded(&[ids], 0))?;
/// let logits = smollm2.model().logits(hidden); // [1, tokens, vocabulary]
/// # Ok::<(), scaletot_student::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pretrained {
    model: CausalLm,
    config: DecoderConfig,
    tokenizer: Tokenizer,
    /// `config.json` as it was read: it has more keys than a decoder needs.
    published: Value,
    /// How its adapters were made, if it has some.
    lora: Option<LoraConfig>,
}

/// What says in which file each tensor is.
#[derive(Deserialize)]
struct Index {
    weight_map: std::collections::BTreeMap<String, String>,
}

impl Pretrained {
    /// Reads a checkpoint from a directory, onto `device`.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is not there, [`Error::Unsupported`] for another architecture, activation, kind of attention,
    /// rotary scaling or for quantised weights, and [`Error::Corrupt`] for anything else that does not fit: a key that is
    /// missing, sizes that contradict each other, or a tensor that is missing, of another shape, superfluous or not finite.
    pub fn from_pretrained(dir: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let dir = dir.as_ref();
        AtomicDir::read(dir, || {
            let (checked, path) = (Checked::maybe(dir)?, dir.join(CONFIG));
            let mut published: Value =
                serde_json::from_slice(&checked.read(&path)?).map_err(Error::unusable(&path))?;
            // What makes a saved student of a checkpoint; it says nothing about another one's files.
            published.as_object_mut().map(|keys| keys.remove(STUDENT));
            Self::read(dir, published, device, &checked)
        })
    }

    /// As [`from_pretrained`](Self::from_pretrained), with the content of `config.json`, and what reads the other files.
    pub(crate) fn read(dir: &Path, mut published: Value, device: &Device, files: &Checked) -> Result<Self> {
        let mut config = config::decoder(&published, &dir.join(CONFIG))?;
        let path = dir.join(TOKENIZER);
        let tokenizer = library::from_json(&files.read(&path)?, &path)?;
        let parts = parts(dir, files)?;
        expect_room(&config, &dir.join(CONFIG), &parts)?;
        if config.tie_embeddings && has_other_head(&parts, files)? {
            // As `transformers` has it: a head that was trained apart is used, whatever the configuration says.
            tracing::warn!(dir = %dir.display(), "the head differs from the embedding and is not tied to it");
            config.tie_embeddings = false;
            published[TIE] = Value::Bool(false);
        }
        let blank = CausalLm::blank(&config, &device.clone().without_autodiff())?;
        // Some files hold the tied head as well, and old ones the rotary frequencies.
        let surplus = |name: &str| {
            name.ends_with("rotary_emb.inv_freq") || config.tie_embeddings && name == "lm_head.weight"
        };
        let model = weights::load(blank, &parts, |path| files.read(path), surplus)?;
        Ok(Self { model, config, tokenizer, published, lora: None })
    }

    /// Writes the checkpoint to a directory, in one file of 32-bit floats that `transformers` reads. Adapters are merged into it. One that was
    /// written so before is replaced; anything else, a published checkpoint among it, is not.
    ///
    /// # Errors
    /// [`Error::File`] with the file that could not be written, or the directory that is somebody else's; what was there before then still is.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        let path = dir.join(CONFIG);
        let config = serde_json::to_vec_pretty(&self.published_as_saved()).map_err(Error::unusable(&path))?;
        let path = dir.join(TOKENIZER);
        let tokenizer = self.tokenizer.to_string(true).map_err(Error::unusable(&path))?.into_bytes();
        let weights = weights::to_bytes(&self.model, &dir.join(WEIGHTS))?;
        files::write_dir(dir, NAMES, &[(WEIGHTS, weights), (TOKENIZER, tokenizer), (CONFIG, config)])
    }

    /// `config.json` of the same checkpoint in 32-bit floats.
    pub(crate) fn published_as_saved(&self) -> Value {
        let mut published = self.published.clone();
        for name in ["dtype", "torch_dtype"] {
            if let Some(dtype) = published.get_mut(name) {
                *dtype = Value::from("float32");
            }
        }
        published
    }

    /// Its vocabulary, for a tokenizer of profiles and chains.
    ///
    /// # Errors
    /// [`Error::Config`] if `config.json` says no token that ends a text.
    pub(crate) fn vocabulary(&self) -> Result<Vocabulary> {
        let rows = self.config.vocab_size;
        let published = &self.published["eos_token_id"];
        // Models for conversations have several: of a turn, of a tool's call.
        let eos = published.as_array().and_then(|all| all.first()).unwrap_or(published).as_u64();
        let Some(eos) = eos.filter(|id| *id < rows as u64) else {
            let (expected, found) =
                ("a token of the vocabulary in the checkpoint's config.json", published.to_string());
            return Err(ConfigError::new("eos_token_id", expected, found).into());
        };
        let context = self.published["max_position_embeddings"].as_u64();
        Ok(Vocabulary {
            tokenizer: self.tokenizer.clone(),
            rows,
            eos: eos as u32,
            context: context.map_or(usize::MAX, |most| most as usize),
        })
    }

    /// The decoder.
    #[must_use]
    pub fn model(&self) -> &CausalLm {
        &self.model
    }

    /// The same checkpoint with a model that was trained on from it.
    ///
    /// # Errors
    /// [`Error::Shape`] if the model has another number of weights, tokens or adapters, or adapters of another rank.
    pub fn with_model(&self, model: &CausalLm) -> Result<Self> {
        let sizes = |model: &CausalLm| {
            let adapters = model.adapters();
            let rank = adapters.values().flatten().next().map_or(0, |a| a.dims()[1]);
            [model.vocab_size(), adapters.len(), rank, model.num_params()]
        };
        let named = ["vocabulary", "adapted weights", "rank of the adapters", "parameters of the model"];
        for ((what, expected), found) in named.into_iter().zip(sizes(&self.model)).zip(sizes(model)) {
            if expected != found {
                return Err(Error::Shape { what, expected, found });
            }
        }
        Ok(Self { model: model.valid(), ..self.clone() })
    }

    /// Its shape.
    #[must_use]
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The tokens of a text, with the special ones that the tokenizer adds.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the text cannot be encoded.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        library::encode(&self.tokenizer, text, true)
    }

    /// The text of tokens, without special ones.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the tokens cannot be decoded.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        library::call("decode tokens", || self.tokenizer.decode(ids, true))
    }
}

/// Refuses sizes that need far more memory than the weights have bytes, before it is taken. What is a little off is named by its tensor.
fn expect_room(config: &DecoderConfig, path: &Path, parts: &[PathBuf]) -> Result<()> {
    /// Bytes of a model that nobody minds.
    const FREE: u128 = 64 << 20;
    let mut found = 0_u128;
    for part in parts {
        let length = open(part)?.metadata().map_err(|e| FileError::new("read", part, e))?.len();
        found += u128::from(length);
    }
    let [vocab, width, layers, heads, kv_heads, head, inner] = [
        config.vocab_size,
        config.d_model,
        config.n_layers,
        config.n_heads,
        config.n_kv_heads,
        config.d_head,
        config.d_ff,
    ]
    .map(|size| size as u128);
    // The matrices alone; a product that leaves the numbers is too large for any file.
    let attention = heads.saturating_add(kv_heads).saturating_mul(2).saturating_mul(head);
    let layer = attention.saturating_add(inner.saturating_mul(3)).saturating_mul(width);
    let weights = layer.saturating_mul(layers).saturating_add(vocab.saturating_mul(width));
    // As 32-bit floats; a file has 16 bits for each at least.
    if weights.saturating_mul(4) <= FREE.max(found.saturating_mul(3)) {
        return Ok(());
    }
    let message =
        format!("expected sizes of a model whose weights fit {found} bytes, found {weights} weights");
    Err(Error::corrupt(path, message))
}

/// Whether a file holds a head that is not the embedding.
fn has_other_head(parts: &[PathBuf], files: &Checked) -> Result<bool> {
    let (mut head, mut embedding) = (None, None);
    for path in parts {
        let bytes = files.read(path)?;
        let tensors = weights::tensors(&bytes, path)?;
        let data = |name| tensors.tensor(name).ok().map(|view| view.data().to_vec());
        head = head.or_else(|| data("lm_head.weight"));
        embedding = embedding.or_else(|| data("model.embed_tokens.weight"));
    }
    Ok(head.is_some_and(|head| embedding.is_some_and(|embedding| head != embedding)))
}

/// The files that hold the weights.
fn parts(dir: &Path, files: &Checked) -> Result<Vec<PathBuf>> {
    let (single, index) = (dir.join(WEIGHTS), dir.join(INDEX));
    if single.exists() || !index.exists() {
        return Ok(vec![single]);
    }
    let parsed: Index = serde_json::from_slice(&files.read(&index)?).map_err(Error::unusable(&index))?;
    let names: BTreeSet<String> = parsed.weight_map.into_values().collect();
    if let Some(name) = names.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
        return Err(Error::corrupt(&index, format!("expected names of files beside it, found `{name}`")));
    }
    if names.is_empty() {
        return Err(Error::corrupt(&index, "expected the file of each tensor in `weight_map`, found none"));
    }
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}
