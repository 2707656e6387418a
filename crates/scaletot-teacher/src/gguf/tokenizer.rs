//! The tokenizer, from the file's metadata.
//!
//! A GGUF file holds the vocabulary and the merges of a byte-pair tokenizer, and the *name* of how text is cut
//! before merging (`tokenizer.ggml.pre`). Taking the wrong cut gives a tokenizer that works and a model that
//! answers worse, so only names whose cut is known are accepted. (candle's own reader falls back to GPT-2's with a
//! space put before the text, which is wrong for SmolLM2.)

use tokenizers::Tokenizer;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

use super::value::{Metadata, Value};

/// The supported values of `tokenizer.ggml.pre`.
const SUPPORTED: [&str; 2] = ["smollm", "gpt-2"];

/// Turns text into the model's tokens.
///
/// Control tokens are never recognised in text: `<|im_start|>` in a profile is eleven or so ordinary tokens, so that
/// data cannot pose as the structure of a conversation. Bytes that the vocabulary lacks (some control characters,
/// for SmolLM2) give no token, as in llama.cpp.
#[derive(Debug)]
pub(super) struct TextTokenizer {
    tokenizer: Tokenizer,
    /// The token that every prompt begins with, if the model wants one.
    bos: Option<u32>,
    vocab: usize,
}

impl TextTokenizer {
    pub(super) fn read(metadata: Metadata<'_>) -> Result<Self, String> {
        let kind = metadata.text("tokenizer.ggml.model")?;
        if kind != "gpt2" {
            return Err(format!(
                "tokenizer `{kind}` (`tokenizer.ggml.model`) is not supported; supported: `gpt2` (byte-level BPE)"
            ));
        }
        let pre = match metadata.get("tokenizer.ggml.pre") {
            None => None,
            Some(_) => Some(metadata.text("tokenizer.ggml.pre")?),
        };
        let cut = pre.and_then(pre_tokenizer).ok_or_else(|| {
            format!(
                "pre-tokenizer {} (`tokenizer.ggml.pre`) is not supported; supported: `{}`",
                pre.map_or_else(|| "that is not named".to_owned(), |pre| format!("`{pre}`")),
                SUPPORTED.join("`, `")
            )
        })?;
        let tokens = metadata.texts("tokenizer.ggml.tokens")?;
        check_types(metadata, tokens)?;
        let vocab: Vocab = tokens.iter().cloned().zip(0..).collect();
        if vocab.len() != tokens.len() {
            return Err(format!(
                "metadata `tokenizer.ggml.tokens`: expected {} different tokens, found {}",
                tokens.len(),
                vocab.len()
            ));
        }
        let pair = |merge: &String| {
            let parts = merge.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
            parts.ok_or_else(|| {
                format!("metadata `tokenizer.ggml.merges`: expected two tokens, found {merge:?}")
            })
        };
        let merges =
            metadata.texts("tokenizer.ggml.merges")?.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
        let model = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .build()
            .map_err(|e| format!("metadata `tokenizer.ggml.merges`: {e}"))?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(cut));
        let bos = if metadata.flag("tokenizer.ggml.add_bos_token")? {
            // 0 is a token like any other.
            match metadata.get("tokenizer.ggml.bos_token_id") {
                Some(Value::Int(id)) if (0..tokens.len() as i128).contains(id) => Some(*id as u32),
                other => {
                    return Err(format!(
                        "metadata `tokenizer.ggml.bos_token_id`: expected a token below {}, found {}",
                        tokens.len(),
                        other.map_or_else(|| "nothing".to_owned(), ToString::to_string)
                    ));
                }
            }
        } else {
            None
        };
        Ok(Self { tokenizer, bos, vocab: tokens.len() })
    }

    /// Tokens of the vocabulary.
    pub(super) fn vocab(&self) -> usize {
        self.vocab
    }

    /// The tokens of a text, without the one that begins a prompt.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|e| format!("{text:?}: {e}"))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The tokens of a prompt.
    pub(super) fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, String> {
        let mut tokens: Vec<u32> = self.bos.into_iter().collect();
        tokens.extend(self.encode(text)?);
        Ok(tokens)
    }
}

/// How text is cut before merging.
fn pre_tokenizer(pre: &str) -> Option<PreTokenizerWrapper> {
    let bytes = ByteLevel::new(false, false, true);
    match pre {
        // Every digit by itself, then GPT-2's expression.
        "smollm" => Some(Sequence::new(vec![Digits::new(true).into(), bytes.into()]).into()),
        "gpt-2" => Some(bytes.into()),
        _ => None,
    }
}

/// Text is matched against ordinary and control tokens only, so a vocabulary with tokens of other kinds would be
/// read wrongly.
fn check_types(metadata: Metadata<'_>, tokens: &[String]) -> Result<(), String> {
    const NORMAL: i128 = 1;
    const CONTROL: i128 = 3;
    const UNUSED: i128 = 5;
    let types = match metadata.get("tokenizer.ggml.token_type") {
        None => return Ok(()),
        Some(Value::Ints(types)) if types.len() == tokens.len() => types,
        Some(other) => {
            return Err(format!(
                "metadata `tokenizer.ggml.token_type`: expected an array of {} integers, found {other}",
                tokens.len()
            ));
        }
    };
    match types.iter().zip(tokens).find(|(kind, _)| ![NORMAL, CONTROL, UNUSED].contains(*kind)) {
        None => Ok(()),
        Some((kind, token)) => Err(format!(
            "metadata `tokenizer.ggml.token_type`: expected {NORMAL} (normal), {CONTROL} (control) or {UNUSED} \
             (unused), found {kind} for token {token:?}"
        )),
    }
}
