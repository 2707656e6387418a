//! The plan in small integers: lookups in 16 bits, the dense layer after them in 8.
//!
//! A hidden unit of the first layer lies between 0 and what its bias and the largest row of every field add up to, whatever the profile is. Its
//! activation is that range in 127 steps, so that no profile is ever cut off and no sample is needed to choose a scale. Its tables are finer,
//! in 64ths of such a step, as far as no sum can leave 16 bits. The weights of the next layer take in the activations' scales and are
//! rounded to 8 bits, one scale per output; sums are exact. What follows is computed in 32-bit floats.

use std::ops::Range;

use aligned_vec::{AVec, CACHELINE_ALIGN};
#[cfg(target_arch = "x86_64")]
use pulp::NullaryFnOnce;
use pulp::bytemuck::{Zeroable, cast_slice, cast_slice_mut};
use pulp::{Arch, Scalar};
use scaletot_core::config::ConfigError;

#[cfg(target_arch = "x86_64")]
use super::bytes::V4WithVnni;
use super::bytes::{Bytes, SHORTS};
use super::dense::Dense;
use super::dense8::Dense8;
use super::fold::Fold;
use super::scales::{PARTS, STEPS, Scales};
use super::scratch::{Scratch, room};
use super::served::Served;
use super::sink::{Input, Raw, Scored, Sink};
use super::terms::{Layout, Terms};
use super::value::ValueTerms;
use super::{BLOCK, PARTS_OF_VALUE, affordable, part_of, same_widths, zeros};
use crate::error::{Error, Result};
use crate::features::Features;
use crate::network::{Layer, Network, Outputs};
use crate::scores::{Scores, Selection};
use crate::value_head::ValueHead;

/// Units of a first layer, so that sums of products of two numbers to 127 stay in 32 bits.
const MAX_UNITS: usize = 1 << 16;

/// Fields, so that rounding of each of their rows by half a unit takes little of 16 bits.
const MAX_FIELDS: usize = 1 << 12;

/// Lookups in 16 bits, then a layer in 8, then layers in floats.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Int8 {
    widths: Vec<usize>,
    /// Units of the first layer, a multiple of [`SHORTS`].
    width: usize,
    bias: AVec<i16>,
    /// The fields' tables behind one another, `[rows, width]`.
    table: AVec<i16>,
    layout: Layout,
    layer: Dense8,
    rest: Vec<Dense>,
    served: Served,
}

impl Int8 {
    /// Compiles a network. `numeric`: which fields are numbers in bins.
    ///
    /// # Errors
    /// [`Error::Config`] for a network with cross layers or without a trunk, whose first layer is not rectified.
    pub(crate) fn new(
        network: &Network,
        numeric: &[bool],
        selection: Selection,
        head: Option<&ValueHead>,
    ) -> Result<Self> {
        // The heads are the layer in 8 bits if there is no other.
        let parts = if network.trunk().len() < 2 { PARTS_OF_VALUE } else { 1 };
        let (heads, served) = Served::new(network, selection, head, parts);
        Self::compile(network, numeric, &heads, served)
    }

    /// Compiles a network that ends with a layer.
    pub(super) fn compile(
        network: &Network,
        numeric: &[bool],
        heads: &Layer,
        served: Served,
    ) -> Result<Self> {
        let shape = network.shape();
        let (Some((first, others)), []) = (network.trunk().split_first(), network.cross()) else {
            return Err(refused("cross layers or without hidden layers"));
        };
        if first.bias.len() > MAX_UNITS {
            return Err(refused("more than 65536 units in its first layer"));
        }
        if shape.widths.len() > MAX_FIELDS {
            return Err(refused("more than 4096 fields"));
        }
        affordable(shape, numeric, served.value.as_ref().map(ValueTerms::units))?;
        let weight = part_of(first);
        let fold = Fold {
            widths: &shape.widths,
            numeric,
            embedding: network.embedding(),
            weight: &weight,
            outputs: first.outputs(),
        };
        let scales = Scales::new(&fold, &first.bias);
        let mut layers: Vec<(&Layer, bool)> = others.iter().map(|layer| (layer, true)).collect();
        layers.push((heads, false));
        let (next, relu) = layers.remove(0);
        let split = if others.is_empty() { served.value_range() } else { 0..0 };
        let width = scales.units.len().next_multiple_of(SHORTS);
        let round = |value: f64, unit: f64| (value / unit).round() as i16;
        let mut bias = zeros(width);
        for ((to, bias), unit) in bias.iter_mut().zip(&first.bias).zip(&scales.units) {
            *to = round(f64::from(*bias), *unit);
        }
        let mut table = AVec::with_capacity(CACHELINE_ALIGN, fold.rows().sum::<usize>() * width);
        fold.each(
            |row, own| {
                for row in std::iter::once(row).chain(own) {
                    row.iter().zip(&scales.units).for_each(|(value, unit)| table.push(round(*value, *unit)));
                    (row.len()..width).for_each(|_| table.push(0));
                }
            },
            |_, _| {},
        );
        Ok(Self {
            widths: shape.widths.clone(),
            width,
            bias,
            table,
            layout: Layout::new(fold.rows(), numeric),
            layer: Dense8::new(next, &scales, width, relu, split),
            rest: layers
                .iter()
                .map(|(layer, relu)| Dense::new(layer.weight.view(), &layer.bias, *relu))
                .collect(),
            served,
        })
    }

    /// As [`Plan::score`](super::Plan::score).
    ///
    /// # Errors
    /// [`Error::Shape`] for features of another featuriser.
    pub(crate) fn score(&self, input: Input<'_>, scratch: &mut Scratch, scores: &mut Scores) -> Result<()> {
        let (features, rows) = (input.features, input.rows.clone());
        self.run(features, rows, scratch, Scored::new(&self.served, input, scores))
    }

    /// As [`Plan::forward`](super::Plan::forward).
    ///
    /// # Errors
    /// As there.
    pub(crate) fn forward(&self, features: &Features) -> Result<Outputs> {
        let mut outputs = self.served.blank(features.len());
        let sink = Raw::new(&self.served, features, &mut outputs);
        self.run(features, 0..features.len(), &mut Scratch::default(), sink)?;
        Ok(outputs)
    }

    /// As [`Plan::forward_portable`](super::Plan::forward_portable).
    ///
    /// # Errors
    /// As there.
    pub(crate) fn forward_portable(&self, features: &Features) -> Result<Outputs> {
        self.check(features)?;
        let mut outputs = self.served.blank(features.len());
        let (rows, scratch) = (0..features.len(), &mut Scratch::default());
        let sink = Raw::new(&self.served, features, &mut outputs);
        Run { plan: self, features, rows, scratch, sink }.run(Scalar::new());
        Ok(outputs)
    }

    fn run(
        &self,
        features: &Features,
        rows: Range<usize>,
        scratch: &mut Scratch,
        sink: impl Sink,
    ) -> Result<()> {
        self.check(features)?;
        let run = Run { plan: self, features, rows, scratch, sink };
        match Arch::new() {
            #[cfg(target_arch = "x86_64")]
            Arch::V4(v4) => match fearless_simd::Level::new().as_avx512() {
                Some(vnni) => {
                    let simd = V4WithVnni { v4, vnni };
                    fearless_simd::Simd::vectorize(
                        vnni,
                        #[inline(always)]
                        || run.run(simd),
                    );
                }
                None => v4.vectorize(On { run, simd: v4 }),
            },
            #[cfg(target_arch = "x86_64")]
            Arch::V3(simd) => simd.vectorize(On { run, simd }),
            _ => run.run(Scalar::new()),
        }
        Ok(())
    }

    fn check(&self, features: &Features) -> Result<()> {
        same_widths(&self.widths, features)?;
        self.served.check(features)
    }

    #[cfg(test)]
    pub(super) fn served(&self) -> &Served {
        &self.served
    }

    /// Bytes of tables and weights.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.table.as_slice())
            + self.layer.bytes()
            + self.served.value.as_ref().map_or(0, ValueTerms::bytes)
            + self.rest.iter().map(Dense::bytes).sum::<usize>()
    }

    /// Multiplications and additions of the dense layers for one user, padding included.
    pub(crate) fn flops(&self) -> usize {
        self.layer.flops() + self.rest.iter().map(Dense::flops).sum::<usize>()
    }

    /// The first layer of a user of the block, in steps.
    #[inline(always)]
    fn lookup<B: Bytes>(&self, simd: B, terms: &Terms, user: usize, out: &mut [u8]) {
        let lanes = size_of::<B::Shorts>() / size_of::<i16>();
        let mut at = 0;
        while at + 4 * lanes <= self.width {
            self.sum::<B, 4>(simd, terms, user, at, &mut out[at..at + 4 * lanes]);
            at += 4 * lanes;
        }
        if at + 2 * lanes <= self.width {
            self.sum::<B, 2>(simd, terms, user, at, &mut out[at..at + 2 * lanes]);
            at += 2 * lanes;
        }
        if at < self.width {
            self.sum::<B, 1>(simd, terms, user, at, &mut out[at..at + lanes]);
        }
    }

    /// `C` vectors of a user's first layer, from unit `start`.
    #[inline(always)]
    fn sum<B: Bytes, const C: usize>(
        &self,
        simd: B,
        terms: &Terms,
        user: usize,
        start: usize,
        out: &mut [u8],
    ) {
        let mut sum = [B::Shorts::zeroed(); C];
        sum.copy_from_slice(shorts::<B>(&self.bias, start, C));
        for &row in terms.plain(user) {
            let found = shorts::<B>(&self.table, row as usize * self.width + start, C);
            for (sum, found) in sum.iter_mut().zip(found) {
                *sum = simd.add(*sum, *found);
            }
        }
        for &(row, weight) in terms.weighted(user) {
            let found = shorts::<B>(&self.table, row as usize * self.width + start, C);
            for (sum, found) in sum.iter_mut().zip(found) {
                *sum = simd.add(*sum, simd.share(*found, q15(weight)));
            }
        }
        for (out, sum) in cast_slice_mut::<u8, B::Steps>(out).iter_mut().zip(sum) {
            *out = simd.steps(sum, PARTS, STEPS as i16);
        }
    }
}

fn refused(network: &str) -> Error {
    ConfigError::new("precision", format!("32-bit floats for a network with {network}"), "8-bit integers")
        .into()
}

/// Some numbers as `count` vectors.
#[inline(always)]
fn shorts<B: Bytes>(values: &[i16], start: usize, count: usize) -> &[B::Shorts] {
    let lanes = size_of::<B::Shorts>() / size_of::<i16>();
    cast_slice(&values[start..start + count * lanes])
}

/// A share from 0 to 1 in 2⁻¹⁵; a whole falls short by one of these.
#[inline(always)]
fn q15(share: f32) -> i16 {
    (share * 32_768.0).min(32_767.0) as i16
}

/// A pass over some rows.
pub(super) struct Run<'a, K> {
    pub(super) plan: &'a Int8,
    pub(super) features: &'a Features,
    pub(super) rows: Range<usize>,
    pub(super) scratch: &'a mut Scratch,
    pub(super) sink: K,
}

/// A pass on a kind of processor. Not a closure: it has to become part of the function that is compiled for that processor.
#[cfg(target_arch = "x86_64")]
struct On<'a, K, B> {
    run: Run<'a, K>,
    simd: B,
}

#[cfg(target_arch = "x86_64")]
impl<K: Sink, B: Bytes> NullaryFnOnce for On<'_, K, B> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.run.run(self.simd);
    }
}

impl<K: Sink> Run<'_, K> {
    #[inline(always)]
    pub(super) fn run<B: Bytes>(mut self, simd: B) {
        let plan = self.plan;
        let most = BLOCK.min(self.rows.len());
        let widest = plan.rest.iter().map(Dense::outputs).max().unwrap_or(0).max(plan.layer.outputs());
        let Scratch { terms, steps, x, next, .. } = self.scratch;
        let steps = room(steps, most * plan.width);
        let (mut x, mut next) = (room(x, most * widest), room(next, most * widest));
        let mut start = self.rows.start;
        while start < self.rows.end {
            let rows = start..(start + BLOCK).min(self.rows.end);
            let n = rows.len();
            terms.fill(&plan.layout, self.features.columns(), rows.clone());
            for (user, out) in steps.chunks_exact_mut(plan.width).take(n).enumerate() {
                plan.lookup(simd, terms, user, out);
            }
            let mut width = plan.layer.outputs();
            plan.layer.run(simd, &steps[..n * plan.width], &mut x[..n * width]);
            for layer in &plan.rest {
                layer.run(simd.floats(), &x[..n * width], &mut next[..n * layer.outputs()]);
                std::mem::swap(&mut x, &mut next);
                width = layer.outputs();
            }
            let first = start - self.rows.start;
            self.sink.put(simd.floats(), first..first + n, &x[..n * width], width);
            start = rows.end;
        }
    }
}
