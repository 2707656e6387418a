//! What a student infers of users.

use scaletot_chain::Signals;

/// The most probable chain and the signals of `n` users, from [`Student::infer`](crate::Student::infer). Entry `i` of the chains is
/// the user of entry `i` of the signals.
///
/// The marginals are conditional ones: that of a state is the probability of each of its values after the values that the chain has
/// before it, over the legal ones; forbidden values have 0. The representation is the decoder's final hidden state (after the last
/// norm) at the value of each state, of shape `[K, d]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    pub(crate) signals: Signals,
    /// Value codes, `[n, K]`.
    pub(crate) chains: Vec<u16>,
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
