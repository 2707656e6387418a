//! Rotary positions (Su et al. 2021), in the half-split layout of the `LLaMA` checkpoints.

use burn::tensor::{Device, Tensor, TensorData};

/// Rotations of one forward pass: element `i` of the first half of a head and element `i` of the second half
/// are the pair turned by `position · f_i`.
pub(super) struct Rotary {
    /// `[1, 1, len, d_head / 2]`.
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Rotary {
    /// Rotations for the positions `past .. past + len`. Angles are taken in f64, so that long positions lose
    /// nothing.
    pub(super) fn new(past: usize, len: usize, frequencies: &[f64], device: &Device) -> Self {
        let half = frequencies.len();
        let (mut cos, mut sin) = (Vec::with_capacity(len * half), Vec::with_capacity(len * half));
        for position in past..past + len {
            for frequency in frequencies {
                let angle = position as f64 * frequency;
                cos.push(angle.cos() as f32);
                sin.push(angle.sin() as f32);
            }
        }
        let tensor = |values| Tensor::from_data(TensorData::new(values, [1, 1, len, half]), device);
        Self { cos: tensor(cos), sin: tensor(sin) }
    }

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
