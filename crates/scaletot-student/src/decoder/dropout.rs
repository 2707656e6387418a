//! Seeded dropout.

use burn::tensor::{Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Inverted dropout with masks from a generator of its own: Burn's dropout draws from the device's generator,
/// which other threads advance.
#[derive(Debug)]
pub(crate) struct Dropout {
    rng: ChaCha8Rng,
    /// An element whose 16 random bits are below this is dropped.
    threshold: u16,
}

impl Dropout {
    /// `None` if `rate` is 0. `rate` is rounded to a multiple of 2⁻¹⁶.
    pub(crate) fn new(rate: f64, seed: u64) -> Option<Self> {
        let threshold = (rate.clamp(0.0, 1.0) * 65_536.0).round().min(65_535.0) as u16;
        (threshold > 0).then(|| Self { rng: ChaCha8Rng::seed_from_u64(seed), threshold })
    }

    /// Drops elements of `x` and scales the others so that the expectation stays.
    pub(crate) fn apply<const D: usize>(&mut self, x: Tensor<D>) -> Tensor<D> {
        let shape = x.dims();
        let count = shape.iter().product::<usize>();
        let keep = 65_536.0 / (65_536.0 - f32::from(self.threshold));
        let mut bytes = vec![0u8; 2 * count];
        self.rng.fill_bytes(&mut bytes);
        let mask: Vec<f32> = bytes
            .chunks_exact(2)
            .map(|pair| if u16::from_le_bytes([pair[0], pair[1]]) < self.threshold { 0.0 } else { keep })
            .collect();
        let device = x.device().without_autodiff();
        let mask = Tensor::<D>::from_data(TensorData::new(mask, shape), &device).cast(x.dtype());
        x * mask
    }
}
