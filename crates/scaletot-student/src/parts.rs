//! Work in parts: on a CPU they are computed at the same time, each by one thread, because a small decoder's single operations are too
//! short to be worth sharing out.

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::error::Result;
use crate::precision::Precision;

/// Users of a part on a CPU, unless told otherwise. It does not depend on the number of threads, so that the result does not either.
const ON_A_CPU: usize = 16;

/// How many users a part has: as told, or `16` on a CPU and `all` elsewhere.
pub(crate) fn size(told: Option<usize>, all: usize, device: &Device) -> usize {
    told.unwrap_or(if is_cpu(device) { ON_A_CPU } else { all }).clamp(1, all.max(1))
}

/// Gives `done` what `run` makes of every part, in their order. No more of it is held at a time than there are threads.
pub(crate) fn each<P: Sync, T: Send>(
    device: &Device,
    parts: &[P],
    run: impl Fn(&P) -> Result<T> + Send + Sync,
    mut done: impl FnMut(T),
) -> Result<()> {
    if !is_cpu(device) {
        for part in parts {
            done(run(part)?);
        }
        return Ok(());
    }
    for parts in parts.chunks(rayon::current_num_threads()) {
        let found: Vec<T> = parts.par_iter().map(&run).collect::<Result<_>>()?;
        found.into_iter().for_each(&mut done);
    }
    Ok(())
}

/// The sum of the gradients of the parts' losses, and what else each of them gave. The gradients are added up in the order of the
/// parts. With a reduced precision the losses are computed with copies of the weights in it; weights and gradients stay in 32 bits.
pub(crate) fn gradient<M: Module + Sync, P: Sync, T: Send>(
    model: &M,
    device: &Device,
    precision: Precision,
    parts: &[P],
    loss: impl Fn(&M, &P) -> Result<(Tensor<1>, T)> + Send + Sync,
) -> Result<(GradientsParams, Vec<T>)> {
    let run = |part: &P| {
        // Leaves of its own: graphs that share a leaf share a lock, and would be computed one after the other.
        let own = model.valid().train();
        let (loss, rest) = match precision.dtype() {
            Some(dtype) => loss(&own.clone().map(&mut Cast(dtype)), part)?,
            None => loss(&own, part)?,
        };
        Ok((GradientsParams::from_grads(loss.backward(), &own), rest))
    };
    let mut sum = GradientsAccumulator::new();
    let mut rests = Vec::with_capacity(parts.len());
    each(device, parts, run, |(gradients, rest)| {
        sum.accumulate(model, gradients);
        rests.push(rest);
    })?;
    Ok((sum.grads(), rests))
}

/// Casts all weights, which stay in the graph.
struct Cast(DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|weight| weight.cast(self.0))
    }
}

/// Whether operations run on the threads of this process.
pub(crate) fn is_cpu(device: &Device) -> bool {
    let device = device.clone().without_autodiff();
    #[cfg(feature = "flex")]
    if device == Device::flex() {
        return true;
    }
    #[cfg(feature = "ndarray")]
    #[allow(deprecated, reason = "the backend is still offered")]
    if device == Device::ndarray() {
        return true;
    }
    let _ = device;
    false
}
