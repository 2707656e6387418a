//! Which metadata a file may have: what is read, what says nothing about the numbers, and what must be as if it were not there.
//!
//! A key that nobody reads is a model that runs and is wrong, so that keys are known or refused, as tensors are. The meaning of each is
//! llama.cpp's (`llama-arch.cpp` has the names, `llama-model.cpp` the defaults).

use scaletot_core::text::printable;

use super::value::{Metadata, Value};

/// What a known key of the architecture is to the computation.
enum Part {
    /// Read and checked elsewhere, or without a part in the computation.
    Known,
    /// Of no effect at this number (a truth value is 0 or 1), and refused at any other.
    Neutral(f64),
    /// A window that must reach as far as the context does; 0 is none.
    Window,
}

/// The keys after `llama.`.
const KNOWN: [(&str, Part); 45] = [
    ("block_count", Part::Known),
    ("context_length", Part::Known),
    ("embedding_length", Part::Known),
    ("feed_forward_length", Part::Known),
    ("vocab_size", Part::Known),
    ("tensor_data_layout", Part::Known),
    ("attention.head_count", Part::Known),
    ("attention.head_count_kv", Part::Known),
    ("attention.key_length", Part::Known),
    ("attention.value_length", Part::Known),
    ("attention.layer_norm_rms_epsilon", Part::Known),
    // Of norms that subtract the mean, which the architecture has none of.
    ("attention.layer_norm_epsilon", Part::Known),
    ("rope.dimension_count", Part::Known),
    ("rope.freq_base", Part::Known),
    ("rope.scaling.type", Part::Known),
    ("rope.scaling.factor", Part::Known),
    ("rope.scale_linear", Part::Known),
    // Of a scaling that is not linear, and those are refused.
    ("rope.scaling.original_context_length", Part::Known),
    ("rope.scaling.finetuned", Part::Known),
    ("rope.scaling.attn_factor", Part::Neutral(1.0)),
    ("rope.scaling.yarn_log_multiplier", Part::Neutral(0.0)),
    ("attention.causal", Part::Neutral(1.0)),
    ("attention.clamp_kqv", Part::Neutral(0.0)),
    ("attention.max_alibi_bias", Part::Neutral(0.0)),
    ("attention.scale", Part::Neutral(0.0)),
    ("attention.output_scale", Part::Neutral(0.0)),
    ("attention.temperature_length", Part::Neutral(0.0)),
    ("attention.temperature_scale", Part::Neutral(0.0)),
    ("attention.sliding_window", Part::Window),
    ("attn_logit_softcapping", Part::Neutral(0.0)),
    ("final_logit_softcapping", Part::Neutral(0.0)),
    ("router_logit_softcapping", Part::Neutral(0.0)),
    ("logit_scale", Part::Neutral(1.0)),
    ("embedding_scale", Part::Neutral(1.0)),
    ("residual_scale", Part::Neutral(1.0)),
    ("use_parallel_residual", Part::Neutral(0.0)),
    ("pooling_type", Part::Neutral(0.0)),
    ("leading_dense_block_count", Part::Neutral(0.0)),
    ("expert_count", Part::Known),
    ("expert_used_count", Part::Neutral(0.0)),
    ("expert_shared_count", Part::Neutral(0.0)),
    ("expert_feed_forward_length", Part::Neutral(0.0)),
    ("expert_shared_feed_forward_length", Part::Neutral(0.0)),
    ("expert_weights_scale", Part::Neutral(0.0)),
    ("expert_gating_func", Part::Neutral(0.0)),
];

/// The keys after `tokenizer.ggml.`; names of single tokens, which end with `_token_id` or `_token_ids`, come on top.
const TOKENIZER: [&str; 13] = [
    "model",
    "pre",
    "tokens",
    "token_type",
    "token_type_count",
    "merges",
    "add_bos_token",
    // No text that is asked about is ended here.
    "add_eos_token",
    "add_sep_token",
    // Of tokenizers of other kinds.
    "scores",
    "add_space_prefix",
    "remove_extra_whitespaces",
    "precompiled_charsmap",
];

/// Parts of names that speak of the computation, wherever they stand.
const TELLING: [&str; 10] =
    ["rope", "attention", "attn", "scale", "scaling", "expert", "softcap", "window", "pooling", "norm"];

/// Refuses the first key that could change the numbers and that nothing here reads.
pub(super) fn check(metadata: Metadata<'_>, context: usize) -> Result<(), String> {
    for (key, value) in metadata.iter() {
        check_one(key, value, context)?;
    }
    Ok(())
}

fn check_one(key: &str, value: &Value, context: usize) -> Result<(), String> {
    let shown = printable(key, 100);
    let found = printable(&value.to_string(), 100);
    let unknown = || {
        let known = "what is not known here may change what the model answers";
        Err(format!("metadata `{shown}` (with {found}) is not supported: {known}"))
    };
    if let Some(name) = key.strip_prefix("llama.") {
        let Some((_, part)) = KNOWN.iter().find(|(known, _)| *known == name) else { return unknown() };
        return match part {
            Part::Known => Ok(()),
            Part::Neutral(neutral) if number(value) == Some(*neutral) => Ok(()),
            Part::Neutral(neutral) => Err(format!(
                "metadata `{shown}`: only {neutral}, at which it has no effect, is supported, found {found}"
            )),
            Part::Window if number(value).is_some_and(|window| window == 0.0 || window >= context as f64) => {
                Ok(())
            }
            Part::Window => Err(format!(
                "metadata `{shown}`: only 0 (none) or at least the context of {context} tokens is supported, found {found}"
            )),
        };
    }
    if let Some(name) = key.strip_prefix("tokenizer.ggml.") {
        let of_a_token = name.ends_with("_token_id") || name.ends_with("_token_ids");
        return if of_a_token || TOKENIZER.contains(&name) { Ok(()) } else { unknown() };
    }
    match (key, value) {
        // A file of adapters, of a projector or of statistics is no model, whatever else it holds.
        ("general.type", Value::Text(kind)) if kind == "model" => Ok(()),
        ("general.type", _) => Err(format!("metadata `general.type`: expected \"model\", found {found}")),
        ("split.count", _) if !matches!(number(value), Some(0.0 | 1.0)) => Err(format!(
            "metadata `split.count`: expected a model in one file, found one of {found} parts; merge them first"
        )),
        // Names, licences, templates of conversations, and how the file was made.
        _ if ["general.", "tokenizer.chat_template", "tokenizer.huggingface.", "quantize.", "split."]
            .iter()
            .any(|known| key.starts_with(known)) =>
        {
            Ok(())
        }
        _ if key.starts_with("tokenizer.") || TELLING.iter().any(|part| key.contains(part)) => unknown(),
        _ => Ok(()),
    }
}

/// A number, or a truth value as one.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_neutral_or_refused_by_name() {
        let float = Value::Float;
        for (key, value) in [
            ("general.name", Value::Text("x".to_owned())),
            ("general.type", Value::Text("model".to_owned())),
            ("general.file_type", Value::Int(3)),
            ("quantize.imatrix.file", Value::Text("x".to_owned())),
            ("tokenizer.chat_template", Value::Text("{{ x }}".to_owned())),
            ("tokenizer.ggml.eot_token_id", Value::Int(3)),
            ("llama.attention.causal", Value::Bool(true)),
            ("llama.attention.sliding_window", Value::Int(64)),
            ("llama.attention.sliding_window", Value::Int(0)),
            ("llama.rope.scaling.attn_factor", float(1.0)),
            ("llama.logit_scale", float(1.0)),
            ("llama.expert_used_count", Value::Int(0)),
            ("somebody.made_this", Value::Bool(true)),
            ("split.count", Value::Int(1)),
        ] {
            assert_eq!(check_one(key, &value, 64), Ok(()), "{key}");
        }
        for (key, value) in [
            ("general.type", Value::Text("adapter".to_owned())),
            ("tokenizer.ggml.normalizer.lowercase", Value::Bool(true)),
            ("llama.attention.causal", Value::Bool(false)),
            ("llama.attention.sliding_window", Value::Int(63)),
            ("llama.attention.sliding_window_pattern", Value::Int(2)),
            ("llama.attention.scale", float(0.1)),
            ("llama.rope.scaling.attn_factor", float(2.0)),
            ("llama.rope.scaling.yarn_beta_fast", float(32.0)),
            ("llama.rope.dimension_sections", Value::Ints(vec![1, 2])),
            ("llama.rope.freq_base_swa", float(1e4)),
            ("llama.logit_scale", float(0.5)),
            ("llama.residual_scale", Value::Text("1".to_owned())),
            ("llama.final_logit_softcapping", float(30.0)),
            ("llama.expert_used_count", Value::Int(2)),
            ("llama.pooling_type", Value::Int(1)),
            ("llama.interleave_moe_layer_step", Value::Int(1)),
            ("mistral.rope.freq_base", float(1e6)),
            ("split.count", Value::Int(3)),
        ] {
            let message = check_one(key, &value, 64).unwrap_err();
            assert!(message.contains(key), "{message}");
        }
    }
}
