//! The network compiled for serving.
//!
//! The same function as the network in training, rewritten: the first layer becomes a sum of table rows ([`lookup`]), the others dense
//! layers over blocks of users that stay in the caches ([`dense`]), all heads one layer. Instructions are chosen at run time: AVX-512,
//! AVX2, NEON, or what every processor of its kind has.
//!
//! ```text
//! no cross layers:  x = relu(lookup), then the trunk's other layers, then the heads
//! cross layers:     [x₀ | x₀ W + b] = lookup, x = (x₀ W + b) ⊙ x₀ + x₀, further cross layers, trunk, heads
//! neither:          heads = lookup
//! ```

mod budget;
mod bytes;
mod codes;
mod dense;
mod dense8;
mod fold;
mod int8;
mod links;
mod lookup;
mod reach;
mod scales;
mod scratch;
mod served;
mod sink;
mod terms;
mod units;
mod value;

use std::ops::Range;

use aligned_vec::{AVec, CACHELINE_ALIGN};
use ndarray::{Array1, Array2, Axis, Slice};
use pulp::{Arch, Scalar, Simd, WithSimd};

pub(crate) use self::budget::affordable;
use self::dense::Dense;
use self::fold::Fold;
pub(crate) use self::int8::Int8;
use self::lookup::{Lookup, Stored};
use self::reach::Reach;
pub(crate) use self::scratch::Scratch;
use self::scratch::room;
use self::served::Served;
pub(crate) use self::sink::Input;
use self::sink::{Raw, Scored, Sink};
use self::value::ValueTerms;
use crate::error::{Error, Result};
use crate::features::Features;
use crate::network::{Layer, Network, Outputs};
use crate::scores::{Scores, Selection};
use crate::value_head::ValueHead;

/// Widths of layers are rounded up to a multiple of this: the widest vector of 32-bit floats.
const LANES: usize = 16;

/// Users per block, a multiple of every tile: their activations stay in the first two levels of cache.
pub(crate) const BLOCK: usize = 192;

/// Columns of a value head where numbers are rounded on the way to them: together they hold 24 bits.
const PARTS_OF_VALUE: usize = 3;

/// A compiled network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    widths: Vec<usize>,
    first: Lookup,
    /// Whether the first layer is a layer of the trunk, which is rectified.
    relu: bool,
    /// Cross layers after the first, if there are any at all.
    cross: Option<Vec<Dense>>,
    /// Trunk layers that are not folded, then the heads, unless these are.
    layers: Vec<Dense>,
    served: Served,
}

impl Plan {
    /// Compiles a network with the selected heads, and a value head if there is one. `numeric`: which fields are numbers in bins, `half`:
    /// whether tables are stored in 16 bits.
    ///
    /// # Errors
    /// [`Error::Config`] for a network that would not fit into memory, [`Error::Overflow`] for one whose numbers may leave 32 bits.
    pub(crate) fn new(
        network: &Network,
        numeric: &[bool],
        selection: Selection,
        head: Option<&ValueHead>,
        half: bool,
    ) -> Result<Self> {
        // Without any other layer the heads are what is looked up.
        let looked_up = network.cross().is_empty() && network.trunk().is_empty();
        let parts = if looked_up && half { PARTS_OF_VALUE } else { 1 };
        let (heads, served) = Served::new(network, selection, head, parts);
        let split = if looked_up { served.value_range() } else { 0..0 };
        let stored = if half { Stored::Bf16(split) } else { Stored::Full };
        Self::compile(network, numeric, Some(&heads), served, &stored)
    }

    /// Compiles a network that ends with the trunk, for [`forward`](Self::forward), which gives the trunk's output as the representation.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn of_trunk(network: &Network, numeric: &[bool]) -> Result<Self> {
        let served = Served::representation(network.shape().trunk_width());
        Self::compile(network, numeric, None, served, &Stored::Full)
    }

    /// Compiles a network that ends with a layer, if one is given.
    fn compile(
        network: &Network,
        numeric: &[bool],
        heads: Option<&Layer>,
        served: Served,
        stored: &Stored,
    ) -> Result<Self> {
        let shape = network.shape();
        affordable(shape, numeric, served.value.as_ref().map(ValueTerms::units))?;
        let fold = |weight: &dyn Fn(Range<usize>) -> Array2<f64>, bias: &Array1<f32>| {
            let (widths, embedding, outputs) = (&shape.widths, network.embedding(), bias.len());
            Lookup::new(&Fold { widths, numeric, embedding, weight, outputs }, bias, stored)
        };
        let mut layers: Vec<(&Layer, bool)> = network.trunk().iter().map(|layer| (layer, true)).collect();
        layers.extend(heads.map(|heads| (heads, false)));
        let pack = |(layer, relu): &(&Layer, bool)| Dense::new(layer.weight.view(), &layer.bias, *relu);
        let ((first, mut reach), relu, cross) = match network.cross().split_first() {
            Some((first, others)) => {
                let (width, padded) = (first.outputs(), padded(first.outputs()));
                let weight = |rows: Range<usize>| {
                    let mut weight = Array2::zeros((rows.len(), padded + width));
                    rows.clone().enumerate().for_each(|(at, row)| weight[[at, row]] = 1.0);
                    let own = Slice::from(padded..);
                    weight.slice_axis_mut(Axis(1), own).assign(&part_of(first)(rows));
                    weight
                };
                let mut bias = Array1::zeros(padded + width);
                bias.slice_axis_mut(Axis(0), Slice::from(padded..)).assign(&first.bias);
                let (lookup, reach) = fold(&weight, &bias);
                reach.check(|| "cross.0".into())?;
                let x0 = Reach(reach.0[..width].to_vec());
                let mut x = Reach(reach.0[padded..].to_vec()).crossed(&x0, &x0);
                for (at, layer) in others.iter().enumerate() {
                    x.check(|| format!("cross.{at}"))?;
                    x = x.through(layer).crossed(&x0, &x);
                }
                let others = others.iter().map(|layer| Dense::new(layer.weight.view(), &layer.bias, false));
                ((lookup, x), false, Some(others.collect()))
            }
            None if layers.is_empty() => {
                // The embedded profile as it is.
                let width = shape.embedded();
                let weight = |rows: Range<usize>| {
                    let mut weight = Array2::zeros((rows.len(), width));
                    rows.enumerate().for_each(|(at, row)| weight[[at, row]] = 1.0);
                    weight
                };
                (fold(&weight, &Array1::zeros(width)), false, None)
            }
            None => {
                let (first, relu) = layers.remove(0);
                (fold(&part_of(first), &first.bias), relu, None)
            }
        };
        let before = network.trunk().len() + usize::from(heads.is_some()) - layers.len();
        let name = |at: usize| match at < network.trunk().len() {
            true => format!("trunk.{at}"),
            false => "heads".to_owned(),
        };
        reach.check(|| before.checked_sub(1).map_or_else(|| "embedding".into(), name))?;
        for (at, (layer, _)) in layers.iter().enumerate() {
            reach = reach.through(layer);
            reach.check(|| name(before + at))?;
        }
        if let Some(terms) = &served.value {
            let linear: f64 = reach.0[served.value_range()].iter().sum();
            Reach(vec![linear + terms.reach()]).check(|| "value head".into())?;
        }
        Ok(Self {
            widths: shape.widths.clone(),
            first,
            relu,
            cross,
            layers: layers.iter().map(pack).collect(),
            served,
        })
    }

    /// Gives all heads' outputs for some rows to `sink`, block by block.
    ///
    /// # Errors
    /// [`Error::Shape`] for features of another featuriser.
    fn run(
        &self,
        features: &Features,
        rows: Range<usize>,
        scratch: &mut Scratch,
        sink: impl Sink,
    ) -> Result<()> {
        self.check(features)?;
        Arch::new().dispatch(Run { plan: self, features, rows, scratch, sink });
        Ok(())
    }

    /// The heads' outputs for every row.
    ///
    /// # Errors
    /// [`Error::Shape`] for features of another featuriser.
    pub(crate) fn forward(&self, features: &Features) -> Result<Outputs> {
        let mut outputs = self.served.blank(features.len());
        let sink = Raw::new(&self.served, features, &mut outputs);
        self.run(features, 0..features.len(), &mut Scratch::default(), sink)?;
        Ok(outputs)
    }

    /// As [`forward`](Self::forward), with nothing that is particular to this processor.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn forward_portable(&self, features: &Features) -> Result<Outputs> {
        self.check(features)?;
        let mut outputs = self.served.blank(features.len());
        let (rows, scratch) = (0..features.len(), &mut Scratch::default());
        let sink = Raw::new(&self.served, features, &mut outputs);
        Run { plan: self, features, rows, scratch, sink }.with_simd(Scalar::new());
        Ok(outputs)
    }

    fn check(&self, features: &Features) -> Result<()> {
        same_widths(&self.widths, features)?;
        self.served.check(features)
    }

    /// Scores of some rows, in their order; those with too few populated fields stay as they are in `scores`.
    ///
    /// # Errors
    /// [`Error::Shape`] for features of another featuriser.
    pub(crate) fn score(&self, input: Input<'_>, scratch: &mut Scratch, scores: &mut Scores) -> Result<()> {
        let (features, rows) = (input.features, input.rows.clone());
        self.run(features, rows, scratch, Scored::new(&self.served, input, scores))
    }

    /// Width of what [`run`](Self::run) gives.
    fn width(&self) -> usize {
        let first = if self.cross.is_some() { self.first.width() / 2 } else { self.first.width() };
        self.layers.last().map_or(first, Dense::outputs)
    }

    /// Multiplications and additions of the dense layers for one user, padding included.
    pub(crate) fn flops(&self) -> usize {
        self.dense().map(Dense::flops).sum()
    }

    /// Bytes of tables and weights.
    pub(crate) fn bytes(&self) -> usize {
        let value = self.served.value.as_ref().map_or(0, ValueTerms::bytes);
        self.first.bytes() + self.dense().map(Dense::bytes).sum::<usize>() + value
    }

    fn dense(&self) -> impl Iterator<Item = &Dense> {
        self.cross.iter().flatten().chain(&self.layers)
    }
}

/// The weights of a layer that meet some of its inputs, in 64 bits.
fn part_of(layer: &Layer) -> impl Fn(Range<usize>) -> Array2<f64> {
    |rows| layer.weight.slice_axis(Axis(0), Slice::from(rows)).mapv(f64::from)
}

fn same_widths(widths: &[usize], features: &Features) -> Result<()> {
    if features.widths() == widths {
        return Ok(());
    }
    let (expected, found) = (format!("{widths:?}"), format!("{:?}", features.widths()));
    Err(Error::shape("embedding rows per field", expected, found))
}

/// So many zeros from the beginning of a cache line: a vector that lies across two is read twice.
fn zeros<T: Clone + Default>(count: usize) -> AVec<T> {
    let mut zeros = AVec::with_capacity(CACHELINE_ALIGN, count);
    zeros.resize(count, T::default());
    zeros
}

/// The same numbers from the beginning of a cache line.
fn aligned<T: Clone>(values: &[T]) -> AVec<T> {
    AVec::from_slice(CACHELINE_ALIGN, values)
}

/// The next multiple of [`LANES`], at least one.
fn padded(width: usize) -> usize {
    width.max(1).next_multiple_of(LANES)
}

/// A pass over some rows.
struct Run<'a, K> {
    plan: &'a Plan,
    features: &'a Features,
    rows: Range<usize>,
    scratch: &'a mut Scratch,
    sink: K,
}

impl<K: Sink> WithSimd for Run<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let plan = self.plan;
        let widest = plan.dense().map(Dense::outputs).max().unwrap_or(0).max(plan.first.width());
        let most = BLOCK.min(self.rows.len());
        let Scratch { terms, x, next, crossed, .. } = self.scratch;
        let (mut x, mut next) = (room(x, most * widest), room(next, most * widest));
        let mut crossed = room(crossed, if plan.cross.is_some() { most * widest } else { 0 });
        let mut start = self.rows.start;
        while start < self.rows.end {
            let rows = start..(start + BLOCK).min(self.rows.end);
            let n = rows.len();
            let mut width = plan.first.width();
            terms.fill(plan.first.layout(), self.features.columns(), rows.clone());
            plan.first.run(simd, terms, plan.relu, &mut x[..n * width]);
            if let Some(layers) = &plan.cross {
                // Tables give x₀ and its first product side by side.
                std::mem::swap(&mut x, &mut crossed);
                width /= 2;
                let pairs = crossed.chunks_exact(2 * width).take(n);
                for (x, pair) in x.chunks_exact_mut(width).zip(pairs.clone()) {
                    let (x0, y) = pair.split_at(width);
                    for ((x, x0), y) in x.iter_mut().zip(x0).zip(y) {
                        *x = x0 * y + x0;
                    }
                }
                for layer in layers {
                    layer.run(simd, &x[..n * width], &mut next[..n * width]);
                    for ((x, y), pair) in
                        x.chunks_exact_mut(width).zip(next.chunks_exact(width)).zip(pairs.clone())
                    {
                        for ((x, y), x0) in x.iter_mut().zip(y).zip(pair) {
                            *x += y * x0;
                        }
                    }
                }
            }
            for layer in &plan.layers {
                layer.run(simd, &x[..n * width], &mut next[..n * layer.outputs()]);
                std::mem::swap(&mut x, &mut next);
                width = layer.outputs();
            }
            debug_assert_eq!(width, plan.width());
            let first = start - self.rows.start;
            self.sink.put(simd, first..first + n, &x[..n * width], width);
            start = rows.end;
        }
    }
}

#[cfg(test)]
mod tests;
