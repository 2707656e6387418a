//! A dense layer of bytes.

use std::ops::Range;

use aligned_vec::AVec;
use ndarray::Axis;
use pulp::Simd;

use super::bytes::{Bytes, GROUP, OUTPUTS};
use super::scales::{STEPS, Scales};
use super::{aligned, padded, zeros};
use crate::network::Layer;

/// A dense layer of bytes, its results in floats.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dense8 {
    inputs: usize,
    outputs: usize,
    /// `[panel][input / 4][output][4]`.
    panels: AVec<i8>,
    scale: AVec<f32>,
    bias: AVec<f32>,
    relu: bool,
}

impl Dense8 {
    /// What the rounding of the first of the `parts`, outputs that are summed later, takes away is put into the second, and so on.
    pub(super) fn new(
        layer: &Layer,
        scales: &Scales,
        inputs: usize,
        relu: bool,
        parts: Range<usize>,
    ) -> Self {
        let outputs = padded(layer.bias.len());
        let mut panels = zeros(inputs * outputs);
        let mut scale = zeros(outputs);
        let mut rest: Vec<f64> = vec![];
        for (output, column) in layer.weight.axis_iter(Axis(1)).enumerate() {
            let weights: Vec<f64> = match parts.contains(&output) && output > parts.start {
                true => std::mem::take(&mut rest),
                false => column
                    .iter()
                    .enumerate()
                    .map(|(input, weight)| f64::from(*weight) * scales.step(input))
                    .collect(),
            };
            let largest = weights.iter().fold(0.0, |largest, weight| f64::max(largest, weight.abs()));
            let step = (largest / STEPS).max(1e-30);
            scale[output] = step as f32;
            rest.clear();
            for (input, weight) in weights.iter().enumerate() {
                // In the scale as it is applied.
                rest.push(weight - (weight / step).round() * f64::from(step as f32));
                let group = output / OUTPUTS * inputs / GROUP + input / GROUP;
                panels[(group * OUTPUTS + output % OUTPUTS) * GROUP + input % GROUP] =
                    (weight / step).round() as i8;
            }
        }
        let mut bias = layer.bias.to_vec();
        bias.resize(outputs, 0.0);
        Self { inputs, outputs, panels, scale, bias: aligned(&bias), relu }
    }

    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes of weights.
    pub(super) fn bytes(&self) -> usize {
        self.panels.len()
    }

    /// Multiplications and additions for one user, padding included.
    pub(super) fn flops(&self) -> usize {
        2 * self.inputs * self.outputs
    }

    /// `[n, inputs]` to `[n, outputs]`.
    #[inline(always)]
    pub(super) fn run<B: Bytes>(&self, simd: B, x: &[u8], out: &mut [f32]) {
        let panels = self.outputs / OUTPUTS;
        // As many users and panels as there are registers for, see `Dense::run`.
        match B::Floats::F32_LANES {
            16 => {
                let mut panel = 0;
                while panel + 4 <= panels {
                    self.rows::<B, 6, 4>(simd, x, panel, out);
                    panel += 4;
                }
                if panel + 2 <= panels {
                    self.rows::<B, 8, 2>(simd, x, panel, out);
                    panel += 2;
                }
                if panel < panels {
                    self.rows::<B, 12, 1>(simd, x, panel, out);
                }
            }
            8 => {
                for panel in 0..panels {
                    self.rows::<B, 6, 1>(simd, x, panel, out);
                }
            }
            _ => {
                for panel in 0..panels {
                    self.rows::<B, 1, 1>(simd, x, panel, out);
                }
            }
        }
    }

    /// `G` panels from `panel`, for all users, `R` at a time.
    #[inline(always)]
    fn rows<B: Bytes, const R: usize, const G: usize>(
        &self,
        simd: B,
        x: &[u8],
        panel: usize,
        out: &mut [f32],
    ) {
        let rows = x.len() / self.inputs;
        let mut row = 0;
        while row + R <= rows {
            let tile = self.tile::<B, R, G>(simd, x, row, panel);
            self.put::<B, R, G>(simd, tile, row, panel, out);
            row += R;
        }
        while row < rows {
            let tile = self.tile::<B, 1, G>(simd, x, row, panel);
            self.put::<B, 1, G>(simd, tile, row, panel, out);
            row += 1;
        }
    }

    #[inline(always)]
    fn tile<B: Bytes, const R: usize, const G: usize>(
        &self,
        simd: B,
        x: &[u8],
        row: usize,
        panel: usize,
    ) -> [[B::Sums; G]; R] {
        let groups = self.inputs / GROUP;
        let mut weights: [&[[i8; GROUP * OUTPUTS]]; G] = [&[]; G];
        for (g, weights) in weights.iter_mut().enumerate() {
            let own = &self.panels[(panel + g) * self.inputs * OUTPUTS..][..self.inputs * OUTPUTS];
            *weights = &own.as_chunks::<{ GROUP * OUTPUTS }>().0[..groups];
        }
        let mut inputs: [&[[u8; GROUP]]; R] = [&[]; R];
        for (r, inputs) in inputs.iter_mut().enumerate() {
            *inputs = &x[(row + r) * self.inputs..][..self.inputs].as_chunks::<GROUP>().0[..groups];
        }
        let mut tile = [[simd.zero(); G]; R];
        for group in 0..groups {
            for (tile, inputs) in tile.iter_mut().zip(&inputs) {
                for (sums, weights) in tile.iter_mut().zip(&weights) {
                    *sums = simd.dot(*sums, inputs[group], &weights[group]);
                }
            }
        }
        tile
    }

    #[inline(always)]
    fn put<B: Bytes, const R: usize, const G: usize>(
        &self,
        simd: B,
        tile: [[B::Sums; G]; R],
        row: usize,
        panel: usize,
        out: &mut [f32],
    ) {
        let scale = &self.scale.as_chunks::<OUTPUTS>().0[panel..panel + G];
        let bias = &self.bias.as_chunks::<OUTPUTS>().0[panel..panel + G];
        for (g, (scale, bias)) in scale.iter().zip(bias).enumerate() {
            for (r, tile) in tile.iter().enumerate() {
                let out = &mut out[(row + r) * self.outputs + (panel + g) * OUTPUTS..][..OUTPUTS];
                out.copy_from_slice(&simd.finish(tile[g], scale, bias, self.relu));
            }
        }
    }
}
