//! The tokenizer, from the file's metadata.
//!
//! A GGUF file holds the vocabulary and the merges of a byte-pair tokenizer, and the *name* of how text is cut
//! before merging (`tokenizer.ggml.pre`). Taking the wrong cut gives a tokenizer that works and a model that
//! answers worse, so only names whose cut is known are accepted. (candle's own reader falls back to GPT-2's with a
//! space put before the text, which is wrong for SmolLM2.)

use std::collections::HashSet;

use scaletot_core::guard::guarded;
use scaletot_core::text::printable;
use tokenizers::Tokenizer;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

use super::failure::Failure;
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
    pub(super) fn read(metadata: Metadata<'_>) -> Result<Self, Failure> {
        let kind = metadata.text("tokenizer.ggml.model")?;
        if kind != "gpt2" {
            return Err(format!(
                "tokenizer `{}` (`tokenizer.ggml.model`) is not supported; supported: `gpt2` (byte-level BPE)",
                printable(kind, 100)
            )
            .into());
        }
        let pre = match metadata.get("tokenizer.ggml.pre") {
            None => None,
            Some(_) => Some(metadata.text("tokenizer.ggml.pre")?),
        };
        let cut = pre.and_then(pre_tokenizer).ok_or_else(|| {
            format!(
                "pre-tokenizer {} (`tokenizer.ggml.pre`) is not supported; supported: `{}`",
                pre.map_or_else(
                    || "that is not named".to_owned(),
                    |pre| format!("`{}`", printable(pre, 100))
                ),
                SUPPORTED.join("`, `")
            )
        })?;
        let tokens = metadata.texts("tokenizer.ggml.tokens")?;
        let control = control_tokens(metadata, tokens)?;
        let vocab: Vocab = tokens.iter().cloned().zip(0..).collect();
        if vocab.len() != tokens.len() {
            return Err(format!(
                "metadata `tokenizer.ggml.tokens`: expected {} different tokens, found {}",
                tokens.len(),
                vocab.len()
            )
            .into());
        }
        let pair = |merge: &String| {
            let parts = merge.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
            parts.ok_or_else(|| {
                format!(
                    "metadata `tokenizer.ggml.merges`: expected two tokens, found {:?}",
                    printable(merge, 100)
                )
            })
        };
        let merges =
            metadata.texts("tokenizer.ggml.merges")?.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
        check_merges(&vocab, &merges, &control)?;
        let message = "metadata `tokenizer.ggml.merges`: expected merges of the vocabulary";
        let model = guarded(|| BPE::builder().vocab_and_merges(vocab, merges).build())
            .map_err(Failure::of(message))?
            .map_err(Failure::of_boxed(message))?;
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
                    )
                    .into());
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
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, Failure> {
        let message = || format!("cannot encode the text {:?}", printable(text, 200));
        let encoding = guarded(|| self.tokenizer.encode_fast(text, false))
            .map_err(Failure::of(message()))?
            .map_err(Failure::of_boxed(message()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The tokens of a prompt.
    pub(super) fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, Failure> {
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

/// Refuses merges that join to no token, at which the library panics, and merges that join to a control token, which text would spell then.
fn check_merges(vocab: &Vocab, merges: &[(String, String)], control: &HashSet<&str>) -> Result<(), String> {
    for (first, second) in merges {
        let joined = format!("{first}{second}");
        let wrong = |what: &str, token: &str| {
            let [merge, token] =
                [format!("{first} {second}"), token.to_owned()].map(|text| printable(&text, 100));
            Err(format!("metadata `tokenizer.ggml.merges`: {what}, found {token:?} in the merge {merge:?}"))
        };
        if let Some(missing) = [first, second, &joined].into_iter().find(|token| !vocab.contains_key(*token))
        {
            return wrong("expected tokens of `tokenizer.ggml.tokens` that join to one", missing);
        }
        if control.contains(joined.as_str()) {
            return wrong("expected no merge to a control token", &joined);
        }
    }
    Ok(())
}

/// The tokens that no text may spell. Text is matched against ordinary tokens only, so a vocabulary with tokens of other kinds would be
/// read wrongly.
fn control_tokens<'a>(metadata: Metadata<'_>, tokens: &'a [String]) -> Result<HashSet<&'a str>, String> {
    const NORMAL: i128 = 1;
    const CONTROL: i128 = 3;
    const UNUSED: i128 = 5;
    let types = match metadata.get("tokenizer.ggml.token_type") {
        None => return Ok(HashSet::new()),
        Some(Value::Ints(types)) if types.len() == tokens.len() => types,
        Some(other) => {
            return Err(format!(
                "metadata `tokenizer.ggml.token_type`: expected an array of {} integers, found {other}",
                tokens.len()
            ));
        }
    };
    match types.iter().zip(tokens).find(|(kind, _)| ![NORMAL, CONTROL, UNUSED].contains(*kind)) {
        None => {
            let control = types.iter().zip(tokens).filter(|(kind, _)| **kind == CONTROL);
            Ok(control.map(|(_, token)| token.as_str()).collect())
        }
        Some((kind, token)) => Err(format!(
            "metadata `tokenizer.ggml.token_type`: expected {NORMAL} (normal), {CONTROL} (control) or {UNUSED} \
             (unused), found {kind} for token {:?}",
            printable(token, 100)
        )),
    }
}
