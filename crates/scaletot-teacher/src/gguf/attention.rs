//! Attention over a tree of tokens, and rotary positions.
//!
//! Prompts that begin alike share their first tokens, so what a token attends to is not a stretch of a sequence
//! but its *path*: its ancestors in the tree and itself. Keys and values lie in a slab with one slot per tree
//! node, in any order, and a path is the list of its slots.

use pulp::{Arch, Simd, WithSimd};

use super::kernels::{LANES, dot, exp};
use super::shape::Shape;

/// The paths of some tokens: for each the slots of its ancestors, from the root, and at last its own.
#[derive(Debug, Default)]
pub(super) struct Paths {
    slots: Vec<u32>,
    ends: Vec<usize>,
}

impl Paths {
    pub(super) fn push(&mut self, path: impl IntoIterator<Item = u32>) {
        self.slots.extend(path);
        self.ends.push(self.slots.len());
    }

    fn get(&self, row: usize) -> &[u32] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.slots[start..self.ends[row]]
    }
}

/// Attention of one layer in a pass: what its tokens see.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attention<'a> {
    pub(super) shape: &'a Shape,
    /// `kv_dim` numbers per slot, as the values.
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
    /// One per row of the pass.
    pub(super) paths: &'a Paths,
}

impl Attention<'_> {
    /// Softmax attention of rows `first..` of a pass: `out = Σ_a softmax_a(q · k_a) v_a` over each row's path, by head.
    /// `queries` and `out` hold `q_dim` numbers per row and begin with row `first`; queries are already scaled.
    pub(super) fn attend(self, first: usize, queries: &[f32], out: &mut [f32]) {
        struct Op<'a>(Attention<'a>, usize, &'a [f32], &'a mut [f32]);
        impl WithSimd for Op<'_> {
            type Output = ();
            #[inline(always)]
            fn with_simd<S: Simd>(self, _simd: S) {
                let Op(attention, first, queries, out) = self;
                let q_dim = attention.shape.q_dim();
                let mut weights = Vec::new();
                let rows = queries.chunks_exact(q_dim).zip(out.chunks_exact_mut(q_dim));
                for (row, (q, out)) in rows.enumerate() {
                    attention.attend_row(attention.paths.get(first + row), q, out, &mut weights);
                }
            }
        }
        Arch::new().dispatch(Op(self, first, queries, out));
    }

    #[inline(always)]
    fn attend_row(self, path: &[u32], q: &[f32], out: &mut [f32], weights: &mut Vec<f32>) {
        let Self { shape, keys, values, .. } = self;
        let (head_dim, kv_dim, group) = (shape.head_dim, shape.kv_dim(), shape.heads / shape.kv_heads);
        let shared = q.chunks_exact(group * head_dim).zip(out.chunks_exact_mut(group * head_dim));
        for (kv_head, (q, out)) in shared.enumerate() {
            let at = |slot: u32| slot as usize * kv_dim + kv_head * head_dim;
            for (q, out) in q.chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim)) {
                weights.resize(path.len(), 0.0);
                // Loops and not iterator adapters: a closure handed to `extend` is compiled on its own, without the
                // wide registers.
                for (weight, &slot) in weights.iter_mut().zip(path) {
                    *weight = dot(q, &keys[at(slot)..][..head_dim]);
                }
                softmax(weights);
                mix(path.iter().map(|&slot| &values[at(slot)..][..head_dim]), weights, out);
            }
        }
    }
}

#[inline(always)]
fn softmax(x: &mut [f32]) {
    let top = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for x in x.iter_mut() {
        *x = exp(*x - top);
    }
    let total: f32 = x.iter().sum();
    let scale = 1.0 / total;
    for x in x.iter_mut() {
        *x *= scale;
    }
}

/// `out = Σ w_a v_a`, a block of columns at a time, so that the sums stay in registers.
#[inline(always)]
fn mix<'a>(values: impl Iterator<Item = &'a [f32]> + Clone, weights: &[f32], out: &mut [f32]) {
    let mut from = 0;
    let mut blocks = out.chunks_exact_mut(4 * LANES);
    for block in &mut blocks {
        mix_block::<{ 4 * LANES }>(values.clone(), weights, from, block);
        from += 4 * LANES;
    }
    let mut blocks = blocks.into_remainder().chunks_exact_mut(2);
    for block in &mut blocks {
        mix_block::<2>(values.clone(), weights, from, block);
        from += 2;
    }
}

#[inline(always)]
fn mix_block<'a, const N: usize>(
    values: impl Iterator<Item = &'a [f32]>,
    weights: &[f32],
    from: usize,
    out: &mut [f32],
) {
    let mut sums = [0.0_f32; N];
    for (value, weight) in values.zip(weights) {
        let value = &value[from..from + N];
        for lane in 0..N {
            sums[lane] += weight * value[lane];
        }
    }
    out.copy_from_slice(&sums);
}

/// Rotary positions (Su et al. 2021), as GGUF files of `llama` have them: neighbouring pairs of a head's
/// dimensions turn by the angle `position / factor · base^(−2 pair / head_dim)`.
#[derive(Debug)]
pub(super) struct Rotary {
    half: usize,
    base: f64,
    /// What positions are divided by.
    factor: f64,
    /// `(cos, sin)` per position and pair.
    turns: Vec<(f32, f32)>,
}

impl Rotary {
    pub(super) fn new(shape: &Shape) -> Self {
        Self { half: shape.head_dim / 2, base: shape.rope_base, factor: shape.rope_factor, turns: Vec::new() }
    }

    /// Fills the table for positions below `positions`.
    pub(super) fn reserve(&mut self, positions: usize) {
        for position in self.turns.len() / self.half..positions {
            for pair in 0..self.half {
                let angle = position as f64 / self.factor * self.base.powf(-(pair as f64) / self.half as f64);
                self.turns.push((angle.cos() as f32, angle.sin() as f32));
            }
        }
    }

    /// Turns every head of `x` to `position` (one that is [reserved](Self::reserve)) and scales it, into `out`.
    pub(super) fn turn(&self, x: &[f32], position: usize, scale: f32, out: &mut [f32]) {
        let turns = &self.turns[position * self.half..(position + 1) * self.half];
        for (x, out) in x.chunks_exact(2 * self.half).zip(out.chunks_exact_mut(2 * self.half)) {
            for ((x, out), (cos, sin)) in x.chunks_exact(2).zip(out.chunks_exact_mut(2)).zip(turns) {
                out[0] = (x[0] * cos - x[1] * sin) * scale;
                out[1] = (x[0] * sin + x[1] * cos) * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(head_dim: usize) -> Shape {
        Shape {
            layers: 1,
            width: 4 * head_dim,
            heads: 4,
            kv_heads: 2,
            head_dim,
            feed_forward: 8,
            vocab: 16,
            context: 64,
            rope_base: 10_000.0,
            rope_factor: 1.0,
            epsilon: 1e-5,
        }
    }

    /// Numbers that look random and need no generator.
    fn noise(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7_919 + seed * 104_729) % 1_009) as f32 / 504.5 - 1.0).collect()
    }

    #[test]
    fn attention_reads_the_path_and_nothing_else() {
        for head_dim in [2, 16, 64, 70] {
            let shape = shape(head_dim);
            let (q_dim, kv_dim) = (shape.q_dim(), shape.kv_dim());
            let (keys, values) = (noise(6 * kv_dim, 1), noise(6 * kv_dim, 2));
            let queries = noise(2 * q_dim, 3);
            let lists = [vec![4_u32], vec![4, 0, 5, 2]];
            let mut paths = Paths::default();
            lists.iter().for_each(|list| paths.push(list.iter().copied()));
            let attention = Attention { shape: &shape, keys: &keys, values: &values, paths: &paths };
            let mut out = vec![0.0; 2 * q_dim];
            attention.attend(0, &queries, &mut out);
            for (row, list) in lists.iter().enumerate() {
                for head in 0..4 {
                    let q = &queries[row * q_dim + head * head_dim..][..head_dim];
                    let at = |slot: u32, d: usize| slot as usize * kv_dim + (head / 2) * head_dim + d;
                    let score = |slot: u32| -> f64 {
                        (0..head_dim).map(|d| f64::from(q[d]) * f64::from(keys[at(slot, d)])).sum()
                    };
                    let total: f64 = list.iter().map(|&s| score(s).exp()).sum();
                    for d in 0..head_dim {
                        let exact: f64 =
                            list.iter().map(|&s| score(s).exp() / total * f64::from(values[at(s, d)])).sum();
                        let found = f64::from(out[row * q_dim + head * head_dim + d]);
                        assert!((found - exact).abs() < 1e-5, "{head_dim} {row} {head} {d}: {found} {exact}");
                    }
                }
            }
            // The second row alone gives the same bits.
            let mut alone = vec![0.0; q_dim];
            attention.attend(1, &queries[q_dim..], &mut alone);
            assert_eq!(alone, out[q_dim..]);
        }
    }

    #[test]
    fn rotary_keeps_lengths_and_depends_on_distance() {
        let shape = shape(8);
        let mut rotary = Rotary::new(&shape);
        rotary.reserve(5);
        rotary.reserve(40);
        let (a, b) = (noise(8, 5), noise(8, 6));
        let turned = |x: &[f32], position| {
            let mut out = vec![0.0; 8];
            rotary.turn(x, position, 1.0, &mut out);
            out
        };
        assert_eq!(turned(&a, 0), a);
        assert!((dot(&turned(&a, 7), &turned(&a, 7)) - dot(&a, &a)).abs() < 1e-5);
        let near = dot(&turned(&a, 3), &turned(&b, 1));
        let far = dot(&turned(&a, 38), &turned(&b, 36));
        assert!((near - far).abs() < 1e-4, "{near} {far}");
        let mut scaled = vec![0.0; 8];
        rotary.turn(&a, 2, 0.5, &mut scaled);
        assert!(scaled.iter().zip(turned(&a, 2)).all(|(s, t)| (s - 0.5 * t).abs() < 1e-6));
    }
}
