//! `config.json` of a published checkpoint.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::decoder::{DecoderConfig, Rope, RopeScaling};
use crate::error::{Error, Result};

/// What is read of it; all other keys say nothing about the computation.
#[derive(Debug, Deserialize)]
struct Published {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    /// Up to version 4 of `transformers`.
    rope_scaling: Option<PublishedRope>,
    /// From version 5 on.
    rope_parameters: Option<PublishedRope>,
    tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    hidden_act: Option<String>,
    use_sliding_window: Option<bool>,
    layer_types: Option<Vec<String>>,
    quantization_config: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct PublishedRope {
    rope_type: Option<String>,
    /// The same under its older name; files that were saved again have both.
    #[serde(rename = "type")]
    kind: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
}

/// The decoder that a `config.json` describes.
pub(super) fn decoder(json: &Value, path: &Path) -> Result<DecoderConfig> {
    let unsupported = |field: &str, expected: &str, found: String| {
        let (field, expected) = (field.to_owned(), expected.to_owned());
        Err(Error::Unsupported { path: path.to_path_buf(), field, expected, found })
    };
    // The architecture first: another one may well have other keys.
    const SUPPORTED: &str = "llama, qwen2 or qwen3";
    match json.get("model_type").and_then(Value::as_str) {
        Some("llama" | "qwen2" | "qwen3") => {}
        Some(other) => return unsupported("model_type", SUPPORTED, other.to_owned()),
        None => return unsupported("model_type", SUPPORTED, "none".to_owned()),
    }
    let found: Published = serde_path_to_error::deserialize(json).map_err(Error::unusable(path))?;
    if let Some(activation) = found.hidden_act.as_deref().filter(|name| *name != "silu") {
        return unsupported("hidden_act", "silu", activation.to_owned());
    }
    let windowed = found.layer_types.iter().flatten().find(|kind| *kind != "full_attention");
    if found.use_sliding_window == Some(true) || windowed.is_some() {
        let found = windowed.map_or("use_sliding_window", String::as_str);
        return unsupported("layer_types", "full attention in every layer", found.to_owned());
    }
    if found.quantization_config.is_some() {
        return unsupported("quantization_config", "weights in floating point", "quantised ones".to_owned());
    }
    let (attention, mlp) = (found.attention_bias == Some(true), found.mlp_bias == Some(true));
    let (qkv_bias, output_bias, mlp_bias, qk_norm) = match found.model_type.as_str() {
        "qwen2" => (true, false, false, false),
        "qwen3" => (attention, attention, false, true),
        _ => (attention, attention, mlp, false),
    };
    let rope = found.rope_parameters.as_ref().or(found.rope_scaling.as_ref());
    let theta = rope.and_then(|rope| rope.rope_theta).or(found.rope_theta).unwrap_or(10_000.0);
    let config = DecoderConfig {
        vocab_size: found.vocab_size,
        d_model: found.hidden_size,
        n_layers: found.num_hidden_layers,
        n_heads: found.num_attention_heads,
        n_kv_heads: found.num_key_value_heads.unwrap_or(found.num_attention_heads),
        d_head: match found.head_dim {
            Some(width) => width,
            None => found.hidden_size.checked_div(found.num_attention_heads).unwrap_or(0),
        },
        d_ff: found.intermediate_size,
        rope: Rope { theta, scaling: rope.map_or(Ok(RopeScaling::None), |rope| scaling(rope, path))? },
        rms_norm_eps: found.rms_norm_eps.unwrap_or(1e-6),
        tie_embeddings: found.tie_word_embeddings == Some(true),
        qkv_bias,
        output_bias,
        mlp_bias,
        qk_norm,
    };
    config.validate().map_err(Error::unusable(path))?;
    Ok(config)
}

fn scaling(rope: &PublishedRope, path: &Path) -> Result<RopeScaling> {
    let kind = rope.rope_type.as_deref().or(rope.kind.as_deref());
    let need = |value: Option<f64>, name: &str| {
        let kind = kind.unwrap_or_default();
        value.ok_or_else(|| {
            Error::corrupt(path, format!("rope of type `{kind}`: expected `{name}`, found none"))
        })
    };
    match kind {
        None if rope.factor.is_some() => {
            Err(Error::corrupt(path, "rope with a `factor`: expected `rope_type`, found none"))
        }
        None | Some("default") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear { factor: need(rope.factor, "factor")? }),
        Some("llama3") => Ok(RopeScaling::Llama3 {
            factor: need(rope.factor, "factor")?,
            low: need(rope.low_freq_factor, "low_freq_factor")?,
            high: need(rope.high_freq_factor, "high_freq_factor")?,
            original: need(rope.original_max_position_embeddings, "original_max_position_embeddings")?,
        }),
        Some(other) => Err(Error::Unsupported {
            path: path.to_path_buf(),
            field: "rope_type".to_owned(),
            expected: "default, linear or llama3".to_owned(),
            found: other.to_owned(),
        }),
    }
}
