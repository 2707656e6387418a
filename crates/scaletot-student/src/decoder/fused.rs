//! Elementwise work in one pass. Burn's CPU backends take one exponential at a time and a pass for each operation; where no gradient is
//! asked for it is done here at once, eight numbers at a time, within the tensors' own memory. Elsewhere Burn's operations are taken.

use burn::tensor::activation::{silu, softmax};
use burn::tensor::{DType, Tensor};
use wide::f32x8;

use crate::parts;

/// `silu(gate) ⊙ up`.
pub(super) fn gated<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    if !on_host(&gate) {
        return silu(gate) * up;
    }
    let device = gate.device();
    let (mut gate, up) = (gate.into_data(), up.into_data());
    // Always so: the type was checked.
    if let (Ok(gate), Ok(up)) = (gate.as_mut_slice::<f32>(), up.as_slice::<f32>()) {
        silu_times(gate, up);
    }
    Tensor::from_data(gate, &device)
}

/// `softmax(scores + bias)` over the keys, for scores `[rows, heads, len, keys]` and a bias `[rows, 1, len, keys]`, both of 32 bits.
pub(super) fn attention_weights(scores: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    if !on_host(&scores) {
        return softmax(scores + bias, 3);
    }
    let (device, [_, heads, len, keys]) = (scores.device(), scores.dims());
    let (mut scores, bias) = (scores.into_data(), bias.into_data());
    if let (Ok(scores), Ok(bias)) = (scores.as_mut_slice::<f32>(), bias.as_slice::<f32>())
        && !scores.is_empty()
    {
        for (scores, bias) in scores.chunks_exact_mut(heads * len * keys).zip(bias.chunks_exact(len * keys)) {
            for scores in scores.chunks_exact_mut(len * keys) {
                for (scores, bias) in scores.chunks_exact_mut(keys).zip(bias.chunks_exact(keys)) {
                    softmax_of_sum(scores, bias);
                }
            }
        }
    }
    Tensor::from_data(scores, &device)
}

fn on_host<const D: usize>(tensor: &Tensor<D>) -> bool {
    let device = tensor.device();
    !device.is_autodiff() && tensor.dtype() == DType::F32 && parts::is_cpu(&device)
}

/// `gate[i] ← silu(gate[i]) · up[i]`.
fn silu_times(gate: &mut [f32], up: &[f32]) {
    let times = |gate: [f32; 8], up: [f32; 8]| {
        let (gate, up) = (f32x8::new(gate), f32x8::new(up));
        (gate / (f32x8::ONE + (-gate).exp()) * up).to_array()
    };
    let (gates, last_gates) = gate.as_chunks_mut::<8>();
    let (ups, last_ups) = up.as_chunks::<8>();
    for (gate, up) in gates.iter_mut().zip(ups) {
        *gate = times(*gate, *up);
    }
    let last = times(padded(last_gates, 0.0), padded(last_ups, 0.0));
    last_gates.copy_from_slice(&last[..last_gates.len()]);
}

/// `scores ← softmax(scores + bias)`.
fn softmax_of_sum(scores: &mut [f32], bias: &[f32]) {
    for (score, bias) in scores.iter_mut().zip(bias) {
        *score += bias;
    }
    let top = f32x8::splat(scores.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let mut sum = f32x8::ZERO;
    let (eights, rest) = scores.as_chunks_mut::<8>();
    for eight in eights {
        let odds = (f32x8::new(*eight) - top).exp();
        sum += odds;
        *eight = odds.to_array();
    }
    let odds = (f32x8::new(padded(rest, f32::NEG_INFINITY)) - top).exp();
    sum += odds;
    rest.copy_from_slice(&odds.to_array()[..rest.len()]);
    let scale = sum.reduce_add().recip();
    scores.iter_mut().for_each(|score| *score *= scale);
}

/// Fewer than eight numbers as eight.
fn padded(values: &[f32], fill: f32) -> [f32; 8] {
    std::array::from_fn(|at| values.get(at).copied().unwrap_or(fill))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_what_its_formula_says_at_any_length_and_size() {
        for len in [1_usize, 7, 8, 9, 61] {
            let gate: Vec<f32> = (0..len).map(|i| (i as f32 / len as f32 - 0.5) * 300.0).collect();
            let up: Vec<f32> = (0..len).map(|i| 1.5 - i as f32 / 8.0).collect();
            let mut found = gate.clone();
            silu_times(&mut found, &up);
            for ((found, gate), up) in found.iter().zip(gate).zip(up) {
                let exact = f64::from(gate) / (1.0 + f64::from(-gate).exp()) * f64::from(up);
                assert!((f64::from(*found) - exact).abs() <= 1e-6 * exact.abs().max(1.0), "{found} {exact}");
            }
        }
    }

    #[test]
    fn weights_are_what_their_formula_says_and_hidden_keys_have_none() {
        for keys in [1_usize, 7, 8, 9, 30] {
            let scores: Vec<f32> = (0..keys).map(|i| (i * 37 % 11) as f32 * 3.0 - 12.0).collect();
            let bias: Vec<f32> = (0..keys).map(|i| if i % 3 == 1 { -1e9 } else { 0.0 }).collect();
            let mut found = scores.clone();
            softmax_of_sum(&mut found, &bias);
            let odds = |at: usize| if at % 3 == 1 { 0.0 } else { f64::from(scores[at]).exp() };
            let sum: f64 = (0..keys).map(odds).sum();
            for (at, found) in found.iter().enumerate() {
                assert!((f64::from(*found) - odds(at) / sum).abs() < 1e-6, "{found} {}", odds(at) / sum);
                assert!(at % 3 != 1 || *found == 0.0);
            }
        }
        // A padded query sees nothing: finite numbers all the same.
        let mut none = [1.0_f32, -4.0, 2.0];
        softmax_of_sum(&mut none, &[-1e9; 3]);
        assert!((none.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{none:?}");
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let mut gate = [f32::NAN, f32::INFINITY, 1e30, -1e30, 0.0];
        silu_times(&mut gate, &[1.0; 5]);
        assert!(gate[0].is_nan() && gate[1] == f32::INFINITY);
        assert_eq!(gate[2..], [1e30, 0.0, 0.0]);
        let mut scores = [0.0, f32::NAN, 1.0];
        softmax_of_sum(&mut scores, &[0.0; 3]);
        assert!(scores.iter().all(|weight| weight.is_nan()), "{scores:?}");
    }
}
