//! The sizes of a model of the `llama` architecture, from the file's metadata.

use scaletot_core::text::printable;

use super::keys;
use super::value::{Metadata, Value};

/// The architecture that is supported, as `general.architecture` names it.
const ARCHITECTURE: &str = "llama";

/// The sizes of a model: what every buffer and check is derived from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    pub(super) layers: usize,
    /// Width of the residual stream.
    pub(super) width: usize,
    pub(super) heads: usize,
    /// Heads of keys and values; `heads / kv_heads` query heads share one.
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) feed_forward: usize,
    pub(super) vocab: usize,
    /// The most tokens of a sequence.
    pub(super) context: usize,
    pub(super) rope_base: f64,
    /// What positions are divided by before they turn anything (linear scaling, Chen et al. 2023); 1 for none.
    pub(super) rope_factor: f64,
    pub(super) epsilon: f32,
}

impl Shape {
    /// Refuses architectures that are not supported.
    pub(super) fn check_architecture(metadata: Metadata<'_>) -> Result<(), String> {
        let architecture = metadata.text("general.architecture")?;
        if architecture == ARCHITECTURE {
            return Ok(());
        }
        Err(format!(
            "architecture `{architecture}` is not supported; supported: `{ARCHITECTURE}` (LLaMA, SmolLM, SmolLM2)"
        ))
    }

    /// Reads the sizes and refuses what the forward pass does not compute, rather than computing something else.
    pub(super) fn read(metadata: Metadata<'_>, vocab: usize) -> Result<Self, String> {
        Self::check_architecture(metadata)?;
        let width = metadata.count("llama.embedding_length")?;
        let heads = metadata.count("llama.attention.head_count")?;
        let head_dim = metadata.count_or("llama.attention.key_length", width / heads)?;
        let shape = Self {
            layers: metadata.count("llama.block_count")?,
            width,
            heads,
            kv_heads: metadata.count_or("llama.attention.head_count_kv", heads)?,
            head_dim,
            feed_forward: metadata.count("llama.feed_forward_length")?,
            vocab,
            context: metadata.count("llama.context_length")?,
            rope_base: match metadata.get("llama.rope.freq_base") {
                None => 10_000.0,
                Some(_) => metadata.positive("llama.rope.freq_base")?,
            },
            rope_factor: rope_factor(metadata)?,
            epsilon: metadata.positive("llama.attention.layer_norm_rms_epsilon")? as f32,
        };
        shape.check(metadata)?;
        keys::check(metadata, shape.context)?;
        Ok(shape)
    }

    fn check(&self, metadata: Metadata<'_>) -> Result<(), String> {
        let Self { width, heads, kv_heads, head_dim, .. } = *self;
        if head_dim == 0
            || (metadata.get("llama.attention.key_length").is_none() && heads * head_dim != width)
        {
            return Err(format!(
                "expected a width that divides into the heads, found width {width}, {heads} heads"
            ));
        }
        if !heads.is_multiple_of(kv_heads) {
            return Err(format!(
                "expected {heads} heads to share the keys' heads evenly, found {kv_heads} of those"
            ));
        }
        if !head_dim.is_multiple_of(2) {
            return Err(format!(
                "expected an even number of dimensions per head (they turn in pairs), found {head_dim}"
            ));
        }
        for key in ["llama.attention.value_length", "llama.rope.dimension_count"] {
            let found = metadata.count_or(key, head_dim)?;
            if found != head_dim {
                return Err(format!(
                    "metadata `{key}`: only {head_dim}, the dimensions per head, is supported, found {found}"
                ));
            }
        }
        match metadata.get("llama.expert_count") {
            None | Some(Value::Int(0)) => Ok(()),
            Some(n) => Err(format!("mixtures of experts are not supported, this model has {n} experts")),
        }
    }

    /// Columns of the queries.
    pub(super) fn q_dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Columns of the keys, and of the values.
    pub(super) fn kv_dim(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// The fewest rows of a matrix product. The kernels take another order of summation for very few rows, and
    /// then a token's numbers would depend, in their last bits, on how many others were computed with it. From
    /// this many rows on they do not (pinned by a test), so answers are the same with and without cached
    /// prefixes, and for any batch.
    pub(super) fn min_rows(&self) -> usize {
        let (q, kv) = (self.q_dim(), self.kv_dim());
        let products = [
            (self.width, q + 2 * kv),
            (q, self.width),
            (self.width, 2 * self.feed_forward),
            (self.feed_forward, self.width),
            (self.width, self.vocab),
        ];
        let needed = |&(depth, columns): &(usize, usize)| {
            // gemm 0.19: dot products up to 256 results, another blocking up to 64 × 64.
            let small = if columns <= 64 && depth > 512 { 65 } else { 2 };
            small.max(256 / columns + 1)
        };
        products.iter().map(needed).max().unwrap_or(2)
    }
}

/// As llama.cpp has it: a factor without a type is linear, 0 is none, and the older of its two names stands in for the other.
fn rope_factor(metadata: Metadata<'_>) -> Result<f64, String> {
    const KEY: &str = "llama.rope.scaling.factor";
    const OLD_KEY: &str = "llama.rope.scale_linear";
    const TYPE: &str = "llama.rope.scaling.type";
    let kind = match metadata.get(TYPE) {
        None => "linear",
        Some(_) => metadata.text(TYPE)?,
    };
    if !["none", "linear"].contains(&kind) {
        let found = printable(kind, 100);
        return Err(format!(
            "metadata `{TYPE}`: only \"none\" and \"linear\" are supported, found \"{found}\""
        ));
    }
    let key = [KEY, OLD_KEY].into_iter().find(|key| metadata.get(key).is_some());
    let Some(key) = key else { return Ok(1.0) };
    let factor = match metadata.get(key) {
        Some(Value::Float(factor)) if *factor == 0.0 => 1.0,
        _ => metadata.positive(key)?,
    };
    Ok(if kind == "none" { 1.0 } else { factor })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn smollm2() -> BTreeMap<String, Value> {
        let mut map: BTreeMap<String, Value> = [
            ("block_count", 30),
            ("context_length", 8_192),
            ("embedding_length", 576),
            ("feed_forward_length", 1_536),
            ("attention.head_count", 9),
            ("attention.head_count_kv", 3),
            ("rope.dimension_count", 64),
        ]
        .into_iter()
        .map(|(key, n)| (format!("llama.{key}"), Value::Int(n)))
        .collect();
        map.insert("llama.rope.freq_base".to_owned(), Value::Float(100_000.0));
        map.insert("llama.attention.layer_norm_rms_epsilon".to_owned(), Value::Float(1e-5));
        map.insert("general.architecture".to_owned(), Value::Text("llama".to_owned()));
        map
    }

    #[test]
    fn sizes_are_read() {
        let shape = Shape::read(Metadata(&smollm2()), 49_152).unwrap();
        assert_eq!((shape.head_dim, shape.q_dim(), shape.kv_dim()), (64, 576, 192));
        assert_eq!(shape.min_rows(), 2);
        assert_eq!((shape.rope_base, shape.rope_factor), (100_000.0, 1.0));
    }

    #[test]
    fn a_rotary_factor_without_a_type_is_linear() {
        let factor = |entries: &[(&str, Value)]| {
            let mut map = smollm2();
            map.extend(entries.iter().map(|(key, value)| (format!("llama.rope.{key}"), value.clone())));
            Shape::read(Metadata(&map), 10).map(|shape| shape.rope_factor)
        };
        let kind = |kind: &str| ("scaling.type", Value::Text(kind.to_owned()));
        let (new, old) = (("scaling.factor", Value::Float(4.0)), ("scale_linear", Value::Float(8.0)));
        assert_eq!(factor(std::slice::from_ref(&new)), Ok(4.0));
        assert_eq!(factor(std::slice::from_ref(&old)), Ok(8.0));
        assert_eq!(factor(&[old, new.clone(), kind("linear")]), Ok(4.0));
        assert_eq!(factor(&[new.clone(), kind("none")]), Ok(1.0));
        assert_eq!(factor(&[("scaling.factor", Value::Float(0.0))]), Ok(1.0));
        assert!(factor(&[new, kind("yarn")]).unwrap_err().contains("\"yarn\""));
        for wrong in [Value::Float(-1.0), Value::Float(f64::INFINITY), Value::Int(4)] {
            assert!(factor(&[("scaling.factor", wrong)]).unwrap_err().contains("llama.rope.scaling.factor"));
        }
    }

    #[test]
    fn what_is_not_computed_is_refused() {
        let refused = |key: &str, value: Option<Value>| {
            let mut map = smollm2();
            match value {
                Some(value) => map.insert(key.to_owned(), value),
                None => map.remove(key),
            };
            Shape::read(Metadata(&map), 10).unwrap_err()
        };
        let message = refused("general.architecture", Some(Value::Text("gemma3".to_owned())));
        assert!(message.contains("`gemma3`") && message.contains("`llama`"), "{message}");
        assert!(refused("llama.block_count", None).contains("llama.block_count"));
        assert!(refused("llama.attention.head_count", Some(Value::Int(7))).contains("7 heads"));
        assert!(refused("llama.attention.head_count", Some(Value::Ints(vec![9; 30]))).contains("array"));
        assert!(refused("llama.attention.head_count_kv", Some(Value::Int(2))).contains("2 of those"));
        assert!(refused("llama.attention.head_count", Some(Value::Int(1_000))).contains("1000 heads"));
        assert!(refused("llama.rope.dimension_count", Some(Value::Int(32))).contains("found 32"));
        assert!(refused("llama.expert_count", Some(Value::Int(8))).contains("experts"));
        assert!(refused("llama.rope.scaling.type", Some(Value::Text("yarn".to_owned()))).contains("yarn"));
        assert!(refused("llama.rope.freq_base", Some(Value::Float(f64::NAN))).contains("above 0"));
    }
}
