//! The architecture of a student.

use scaletot_core::config::{check, positive};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Sizes of the decoder and of the numeric vocabulary.
///
/// The defaults (about 0.1 M parameters) suit tables of a few hundred users up to some 100,000 users with a
/// dozen fields; the number of distinct profiles, not of users, is what asks for more width.
///
/// ```
/// let mut config = scaletot_student::StudentConfig::default();
/// config.d_model = 128;
/// config.n_layers = 4;
/// config.validate()?;
/// assert_eq!(config.head_dim(), 32);
/// # Ok::<(), scaletot_student::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StudentConfig {
    /// Width `d` of the residual stream and of the representations. Default 64.
    pub d_model: usize,
    /// Number of decoder layers. Default 2.
    pub n_layers: usize,
    /// Number of query heads; divides `d_model`, and the head width is even (rotary pairs). Default 4.
    pub n_heads: usize,
    /// Number of key and value heads; divides `n_heads` (grouped-query attention). Default 2.
    pub n_kv_heads: usize,
    /// Width of the `SwiGLU` layer. Default 128.
    pub d_ff: usize,
    /// Base of the rotary frequencies. Default 10,000.
    pub rope_theta: f64,
    /// Added to the mean square in `RMSNorm`. Default 1e-5.
    pub rms_norm_eps: f64,
    /// Whether the output head is the transposed embedding. Default true.
    pub tie_embeddings: bool,
    /// Number of quantile bins (tokens) of a numeric field. Default 8.
    pub numeric_bins: usize,
}

impl Default for StudentConfig {
    fn default() -> Self {
        Self {
            d_model: 64,
            n_layers: 2,
            n_heads: 4,
            n_kv_heads: 2,
            d_ff: 128,
            rope_theta: 10_000.0,
            rms_norm_eps: 1e-5,
            tie_embeddings: true,
            numeric_bins: 8,
        }
    }
}

impl StudentConfig {
    /// Checks that the sizes fit together.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the first field that does not hold.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("d_model", self.d_model),
            ("n_layers", self.n_layers),
            ("n_heads", self.n_heads),
            ("n_kv_heads", self.n_kv_heads),
            ("d_ff", self.d_ff),
            ("numeric_bins", self.numeric_bins),
        ];
        for (field, value) in sizes {
            check(value > 0, field, "a positive number", value)?;
        }
        check(self.d_model.is_multiple_of(self.n_heads), "n_heads", "a divisor of d_model", self.n_heads)?;
        check(self.head_dim().is_multiple_of(2), "n_heads", "an even d_model / n_heads", self.head_dim())?;
        check(
            self.n_heads.is_multiple_of(self.n_kv_heads),
            "n_kv_heads",
            "a divisor of n_heads",
            self.n_kv_heads,
        )?;
        check(finite_above(self.rope_theta, 1.0), "rope_theta", "a finite number above 1", self.rope_theta)?;
        Ok(positive("rms_norm_eps", self.rms_norm_eps)?)
    }

    /// Width of one attention head, `d_model / n_heads`.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        self.d_model.checked_div(self.n_heads).unwrap_or(0)
    }
}

/// `x` is finite and greater than `bound`.
pub(crate) fn finite_above(x: f64, bound: f64) -> bool {
    x.is_finite() && x > bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_survives_json() {
        let config = StudentConfig::default();
        config.validate().unwrap();
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<StudentConfig>(&json).unwrap(), config);
    }

    #[test]
    fn sizes_that_do_not_fit_name_the_field() {
        let broken = |edit: fn(&mut StudentConfig)| {
            let mut config = StudentConfig::default();
            edit(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(broken(|c| c.n_heads = 5).contains("n_heads"));
        assert!(broken(|c| c.n_heads = 0).contains("n_heads"));
        assert!(broken(|c| c.n_heads = 64).contains("even"));
        assert!(broken(|c| c.n_kv_heads = 3).contains("n_kv_heads"));
        assert!(broken(|c| c.rms_norm_eps = f64::NAN).contains("rms_norm_eps"));
        assert!(broken(|c| c.numeric_bins = 0).contains("numeric_bins"));
    }
}
