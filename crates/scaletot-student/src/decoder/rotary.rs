//! Rotary positions (Su et al. 2021), in the half-split layout of the `LLaMA` checkpoints.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// Rotations of one forward pass: element `i` of the first half of a head and element `i` of the second half
/// are the pair turned by `position · f_i`.
pub(super) struct Rotary {
    /// `[1, 1, len, d_head / 2]`.
    cos: Tensor<4>,
    sin: Tensor<4>,
}

/// What turns queries, and also scales them by `1 / √d_head`, which saves a pass over them; and what turns keys.
pub(super) struct Rotations {
    pub(super) queries: Rotary,
    pub(super) keys: Rotary,
}

impl Rotations {
    /// Of the positions `past .. past + len`. Angles are taken in f64, so that long positions lose nothing;
    /// `dtype` is that of what is turned.
    pub(super) fn new(past: usize, len: usize, frequencies: &[f64], dtype: DType, device: &Device) -> Self {
        let half = frequencies.len();
        let tensor = |scale: f64, of: fn(f64) -> f64| {
            let angles = (past..past + len).flat_map(|at| frequencies.iter().map(move |f| at as f64 * f));
            let values: Vec<f32> = angles.map(|angle| (of(angle) * scale) as f32).collect();
            Tensor::<4>::from_data(TensorData::new(values, [1, 1, len, half]), device).cast(dtype)
        };
        let rotary = |scale| Rotary { cos: tensor(scale, f64::cos), sin: tensor(scale, f64::sin) };
        Self { queries: rotary(1.0 / (2.0 * half as f64).sqrt()), keys: rotary(1.0) }
    }
}

impl Rotary {
    /// Turns `x`, `[rows, heads, len, d_head]`.
    pub(super) fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let first = x.clone().narrow(3, 0, half);
        let second = x.narrow(3, half, half);
        let turned = first.clone() * self.cos.clone() - second.clone() * self.sin.clone();
        let rest = second * self.cos.clone() + first * self.sin.clone();
        Tensor::cat(vec![turned, rest], 3)
    }
}
