//! The shape of a decoder: sizes and the switches in which the architectures of the family differ.

use scaletot_core::config::{check, positive};

use crate::config::{StudentConfig, finite_above};
use crate::error::Result;

/// What a [`CausalLm`](super::CausalLm) is made of. The defaults of the switches are `LLaMA`'s.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DecoderConfig {
    /// Number of tokens that the model knows.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Number of query heads.
    pub n_heads: usize,
    /// Number of key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Width of a head, even; `n_heads · d_head` need not be `d_model`.
    pub d_head: usize,
    /// Width of the `SwiGLU` layer.
    pub d_ff: usize,
    /// Rotary positions.
    pub rope: Rope,
    /// Added to the mean square in `RMSNorm`.
    pub rms_norm_eps: f64,
    /// Whether the output head is the transposed embedding.
    pub tie_embeddings: bool,
    /// Whether the projections to queries, keys and values have a bias (Qwen2).
    pub qkv_bias: bool,
    /// Whether the projection out of the attention has one.
    pub output_bias: bool,
    /// Whether the projections of the `SwiGLU` layer have one.
    pub mlp_bias: bool,
    /// Whether each head of queries and keys is normalised before it is turned (Qwen3).
    pub qk_norm: bool,
}

/// Rotary positions: pair `i` of a head turns by `position · f_i`, with `f_i = θ^(−2i / d_head)` before scaling.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Rope {
    /// The base θ.
    pub theta: f64,
    /// What is made of the frequencies.
    pub scaling: RopeScaling,
}

/// How frequencies are stretched for longer contexts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    None,
    /// All by the same: `f / factor` (position interpolation, Chen et al. 2023).
    Linear {
        /// At least 1.
        factor: f64,
    },
    /// By wavelength, as Llama 3.1 has it: `f / factor` for wavelengths above `L / low`, `f` below `L / high`, and
    /// `(1 − s) f / factor + s f` between them, with `s = (L / wavelength − low) / (high − low)`.
    Llama3 {
        /// At least 1.
        factor: f64,
        /// `low`, above 0.
        low: f64,
        /// `high`, above `low`.
        high: f64,
        /// `L`, the context of the original model, in tokens.
        original: f64,
    },
}

impl Rope {
    /// The frequency of each pair of a head, in radians per position.
    #[must_use]
    pub fn frequencies(&self, d_head: usize) -> Vec<f64> {
        (0..d_head / 2)
            .map(|i| self.scaling.apply(self.theta.powf(-2.0 * i as f64 / d_head as f64)))
            .collect()
    }
}

impl RopeScaling {
    fn apply(self, f: f64) -> f64 {
        match self {
            Self::None => f,
            Self::Linear { factor } => f / factor,
            Self::Llama3 { factor, low, high, original } => {
                let wavelength = 2.0 * std::f64::consts::PI / f;
                if wavelength > original / low {
                    f / factor
                } else if wavelength < original / high {
                    f
                } else {
                    let s = (original / wavelength - low) / (high - low);
                    (1.0 - s) * f / factor + s * f
                }
            }
        }
    }
}

impl DecoderConfig {
    /// The decoder of a student with a vocabulary of that size.
    #[must_use]
    pub fn of_student(config: &StudentConfig, vocab_size: usize) -> Self {
        Self {
            vocab_size,
            d_model: config.d_model,
            n_layers: config.n_layers,
            n_heads: config.n_heads,
            n_kv_heads: config.n_kv_heads,
            d_head: config.head_dim(),
            d_ff: config.d_ff,
            rope: Rope { theta: config.rope_theta, scaling: RopeScaling::None },
            rms_norm_eps: config.rms_norm_eps,
            tie_embeddings: config.tie_embeddings,
            qkv_bias: false,
            output_bias: false,
            mlp_bias: false,
            qk_norm: false,
        }
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the first field that does not hold.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
            ("n_kv_heads", self.n_kv_heads),
            ("d_head", self.d_head),
            ("d_ff", self.d_ff),
        ];
        for (field, value) in sizes {
            check(value > 0, field, "a positive number", value)?;
        }
        check(self.d_head.is_multiple_of(2), "d_head", "an even number", self.d_head)?;
        let divides = self.n_heads.is_multiple_of(self.n_kv_heads);
        check(divides, "n_kv_heads", "a divisor of n_heads", self.n_kv_heads)?;
        check(finite_above(self.rope.theta, 1.0), "rope_theta", "a finite number above 1", self.rope.theta)?;
        positive("rms_norm_eps", self.rms_norm_eps)?;
        let at_least_one = |factor: f64| factor.is_finite() && factor >= 1.0;
        match self.rope.scaling {
            RopeScaling::None => Ok(()),
            RopeScaling::Linear { factor } => {
                Ok(check(at_least_one(factor), "rope factor", "a finite number of at least 1", factor)?)
            }
            RopeScaling::Llama3 { factor, low, high, original } => {
                check(at_least_one(factor), "rope factor", "a finite number of at least 1", factor)?;
                positive("rope low_freq_factor", low)?;
                check(finite_above(high, low), "rope high_freq_factor", "above low_freq_factor", high)?;
                let name = "rope original_max_position_embeddings";
                Ok(positive(name, original)?)
            }
        }
    }
}
