//! Numbers between the host and a device.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use crate::{Error, Result, TokenMask};

/// Puts log-probabilities that are on the host (for instance the reference's, computed once for a corpus) on
/// a device, row-major `[n, t]`, and checks that they are finite wherever the mask keeps the token.
///
/// # Errors
/// [`Error::Shape`], or [`Error::NonFiniteLogProb`] with the first offending place.
pub fn log_probs_from_host(values: Vec<f32>, mask: &TokenMask, device: &Device) -> Result<Tensor<2>> {
    let shape = [mask.candidates(), mask.tokens()];
    check_shape("log-probabilities (n × t)", &[shape[0] * shape[1]], &[values.len()])?;
    check_finite_values("host", values.iter().copied().map(f64::from), mask)?;
    Ok(Tensor::from_data(TensorData::new(values, shape), device))
}

/// Reads a tensor back, in f64 whatever its precision is.
pub(crate) fn read_to_host<const D: usize>(what: &'static str, tensor: Tensor<D>) -> Result<Vec<f64>> {
    tensor.try_into_vec_as::<f64>().map_err(|error| Error::Device { what, source: Arc::new(error) })
}

pub(crate) fn check_finite_values(
    which: &'static str,
    values: impl Iterator<Item = f64>,
    mask: &TokenMask,
) -> Result<()> {
    match values.zip(mask.as_slice()).enumerate().find(|(_, (value, keep))| **keep && !value.is_finite()) {
        None => Ok(()),
        Some((at, (value, _))) => Err(Error::NonFiniteLogProb {
            which,
            candidate: at / mask.tokens(),
            token: at % mask.tokens(),
            value,
        }),
    }
}

pub(crate) fn check_shape(what: &'static str, expected: &[usize], found: &[usize]) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Shape { what, expected: format!("{expected:?}"), found: format!("{found:?}") })
}
