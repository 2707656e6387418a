//! A dense layer of bytes.

use aligned_vec::AVec;
use ndarray::Axis;

use super::bytes::{Bytes, GROUP, OUTPUTS};
use super::int8::{STEPS, Scales};
use super::{aligned, padded, zeros};
use crate::network::Layer;

/// Users of a tile.
const ROWS: usize = 6;
/// Panels of outputs of a tile.
const PANELS: usize = 4;

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
    pub(super) fn new(layer: &Layer, scales: &Scales, inputs: usize, relu: bool) -> Self {
        let outputs = padded(layer.bias.len());
        let mut panels = zeros(inputs * outputs);
        let mut scale = zeros(outputs);
        for (output, column) in layer.weight.axis_iter(Axis(1)).enumerate() {
            let weights: Vec<f64> = column
                .iter()
                .enumerate()
                .map(|(input, weight)| f64::from(*weight) * scales.step(input))
                .collect();
            let largest = weights.iter().fold(0.0, |largest, weight| f64::max(largest, weight.abs()));
            let step = (largest / STEPS).max(1e-30);
            scale[output] = step as f32;
            for (input, weight) in weights.iter().enumerate() {
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
        let mut panel = 0;
        while panel + PANELS <= panels {
            self.rows::<B, PANELS>(simd, x, panel, out);
            panel += PANELS;
        }
        while panel < panels {
            self.rows::<B, 1>(simd, x, panel, out);
            panel += 1;
        }
    }

    #[inline(always)]
    fn rows<B: Bytes, const G: usize>(&self, simd: B, x: &[u8], panel: usize, out: &mut [f32]) {
        let rows = x.len() / self.inputs;
        let mut row = 0;
        while row + ROWS <= rows {
            let tile = self.tile::<B, ROWS, G>(simd, x, row, panel);
            self.put::<B, ROWS, G>(simd, tile, row, panel, out);
            row += ROWS;
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
        let own = self.scale.as_chunks::<OUTPUTS>().0.iter().zip(self.bias.as_chunks::<OUTPUTS>().0);
        for (g, (scale, bias)) in own.skip(panel).take(G).enumerate() {
            for (r, tile) in tile.iter().enumerate() {
                let out = &mut out[(row + r) * self.outputs + (panel + g) * OUTPUTS..][..OUTPUTS];
                out.copy_from_slice(&simd.finish(tile[g], scale, bias, self.relu));
            }
        }
    }
}
