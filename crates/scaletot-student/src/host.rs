//! From a device to the host.

use burn::tensor::Tensor;

use crate::error::{Error, Result};

/// The tensor's elements on the host.
pub(crate) fn to_host<const D: usize>(what: &'static str, tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor.try_into_vec_as::<f32>().map_err(|e| Error::device(what, e))
}
