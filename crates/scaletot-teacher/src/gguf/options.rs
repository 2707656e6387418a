//! Config of the in-process teacher.

use scaletot_core::config::ConfigError;

use crate::error::Result;

/// How a [`Gguf`](super::Gguf) runs. None of the fields changes an answer: they trade memory for time.
///
/// ```
/// use scaletot_teacher::gguf::GgufOptions;
/// let options = GgufOptions::default().with_threads(2).with_cache_tokens(8_192);
/// assert_eq!(options.threads, 2);
/// assert!(options.validate().is_ok());
/// assert!(GgufOptions::default().with_threads(0).validate().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GgufOptions {
    /// Threads that compute, in total and however many callers ask; at least 1. Default 1: on a machine that is
    /// busy with other work, two threads that wait for each other were measured to be slower than one. The pool
    /// belongs to this model alone, so that other users of `rayon` in the program neither slow it nor are slowed.
    /// Matrix products use no more threads than the processor has cores, or than the environment variable
    /// `RAYON_NUM_THREADS`, if it is set.
    pub threads: usize,
    /// The most tokens in one pass through the model; at least 1. Default 1024. Large passes use the processor
    /// better (every pass reads all weights once); activations take about
    /// `4 · (3 · feed_forward + 6 · width)` bytes for each token.
    pub batch_tokens: usize,
    /// Tokens whose keys and values are kept for later prompts that begin alike, the least recently used ones
    /// dropped first. Default 4096; 0 keeps nothing. One token takes
    /// `8 · layers · kv_heads · head_dim + 4 · width` bytes (47 KiB for SmolLM2-135M).
    pub cache_tokens: usize,
}

impl Default for GgufOptions {
    fn default() -> Self {
        Self { threads: 1, batch_tokens: 1_024, cache_tokens: 4_096 }
    }
}

impl GgufOptions {
    /// Sets [`threads`](Self::threads).
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets [`batch_tokens`](Self::batch_tokens).
    #[must_use]
    pub fn with_batch_tokens(mut self, batch_tokens: usize) -> Self {
        self.batch_tokens = batch_tokens;
        self
    }

    /// Sets [`cache_tokens`](Self::cache_tokens).
    #[must_use]
    pub fn with_cache_tokens(mut self, cache_tokens: usize) -> Self {
        self.cache_tokens = cache_tokens;
        self
    }

    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) naming the field: `threads` must be 1 to 1024, `batch_tokens` 1 to 65536,
    /// `cache_tokens` at most 16,777,216.
    pub fn validate(&self) -> Result<()> {
        let checks = [
            ("threads", self.threads, 1, 1_024),
            ("batch_tokens", self.batch_tokens, 1, 65_536),
            ("cache_tokens", self.cache_tokens, 0, 1 << 24),
        ];
        for (name, value, low, high) in checks {
            if !(low..=high).contains(&value) {
                return Err(ConfigError::new(name, format!("{low} to {high}"), value).into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        assert_eq!(GgufOptions::default().validate().err().map(|e| e.to_string()), None);
        for (options, name) in [
            (GgufOptions::default().with_threads(0), "threads"),
            (GgufOptions::default().with_threads(1_025), "threads"),
            (GgufOptions::default().with_batch_tokens(0), "batch_tokens"),
            (GgufOptions::default().with_cache_tokens(usize::MAX), "cache_tokens"),
        ] {
            let message = options.validate().unwrap_err().to_string();
            assert!(message.contains(name) && message.contains("expected"), "{message}");
        }
    }
}
