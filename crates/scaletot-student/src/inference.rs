//! What a student infers of users.

use scaletot_chain::Signals;
use scaletot_core::config::check;

use crate::error::Result;

/// How [`Student::infer`](crate::Student::infer) asks the decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InferConfig {
    /// Users that are read at a time, at most. Default 256.
    pub max_batch: usize,
    /// Prefixes of chains that are followed for one user and state, at most. Default 1,024, all that chains of six states of four values have:
    /// their marginals are exact. Where there are more, the most probable ones are followed and of the rest a stratified sample.
    pub prefixes: usize,
}

impl Default for InferConfig {
    fn default() -> Self {
        Self { max_batch: 256, prefixes: 1024 }
    }
}

impl InferConfig {
    /// With another number of users at a time.
    #[must_use]
    pub fn with_max_batch(self, max_batch: usize) -> Self {
        Self { max_batch, ..self }
    }

    /// With another bound on prefixes.
    #[must_use]
    pub fn with_prefixes(self, prefixes: usize) -> Self {
        Self { prefixes, ..self }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        check(self.max_batch > 0, "max_batch", "a positive number", self.max_batch)?;
        Ok(check(self.prefixes > 0, "prefixes", "a positive number", self.prefixes)?)
    }
}

/// The greedy chain and the signals of `n` users, from [`Student::infer`](crate::Student::infer). Entry `i` of the chains is
/// the user of entry `i` of the signals.
///
/// The marginal of a state is the probability of each of its values over all legal chains,
/// `π(v_k | x) = Σ_{v_<k} π(v_<k | x) π(v_k | x, v_<k)`: not that after the values of the greedy chain. The representation is the decoder's
/// final hidden state (after the last norm) at each value of the greedy chain, of shape `[K, d]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    pub(crate) signals: Signals,
    /// Value codes, `[n, K]`.
    pub(crate) chains: Vec<u16>,
    /// Of the marginals, `[n]`.
    pub(crate) errors: Vec<f64>,
}

impl Inference {
    /// Marginals and representations.
    #[must_use]
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Marginals and representations, by value.
    #[must_use]
    pub fn into_signals(self) -> Signals {
        self.signals
    }

    /// Bounds the standard error of every number in the marginals of entry `i`: 0 where all prefixes were followed
    /// ([`InferConfig::prefixes`]).
    ///
    /// # Panics
    /// If there is no such entry, as indexing a slice does.
    #[must_use]
    pub fn standard_error(&self, i: usize) -> f64 {
        self.errors[i]
    }

    /// The student's own chain of entry `i`: at each state the most probable value after the values before it, `[K]` value codes.
    ///
    /// # Panics
    /// If there is no such entry, as indexing a slice does.
    #[must_use]
    pub fn chain(&self, i: usize) -> &[u16] {
        let states = self.signals.domain_sizes().len();
        &self.chains[i * states..(i + 1) * states]
    }

    /// The chains of all entries, in order.
    pub fn chains(&self) -> impl ExactSizeIterator<Item = &[u16]> {
        self.chains.chunks_exact(self.signals.domain_sizes().len().max(1))
    }
}
