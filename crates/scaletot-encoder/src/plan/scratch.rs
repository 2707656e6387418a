//! Memory of a pass.

use aligned_vec::AVec;

use super::terms::Terms;
use super::zeros;

/// What a pass computes on its way, kept for the next one: to clear it anew for every few hundred users costs a tenth of the pass.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(super) terms: Terms,
    /// Activations in small integers.
    pub(super) steps: AVec<u8>,
    /// A layer's inputs, then its outputs, in turn.
    pub(super) x: AVec<f32>,
    pub(super) next: AVec<f32>,
    /// The first activations, which cross layers multiply again and again.
    pub(super) crossed: AVec<f32>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { terms: Terms::default(), steps: zeros(0), x: zeros(0), next: zeros(0), crossed: zeros(0) }
    }
}

/// So many numbers, whatever they are.
pub(super) fn room<T: Copy + Default>(memory: &mut AVec<T>, count: usize) -> &mut [T] {
    if memory.len() < count {
        memory.resize(count, T::default());
    }
    &mut memory[..count]
}
