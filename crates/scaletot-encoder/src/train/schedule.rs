//! Learning rate and gradient clipping.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use super::loss::read_scalar;
use crate::error::Result;

/// Linear warm-up, then half a cosine to zero (Loshchilov and Hutter, *SGDR*, 2017, without restarts).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Schedule {
    peak: f64,
    warmup: usize,
    total: usize,
}

impl Schedule {
    /// `warmup` is a share of the `total` steps.
    pub(super) fn new(peak: f64, warmup: f64, total: usize) -> Self {
        Self { peak, warmup: (warmup * total as f64).round() as usize, total }
    }

    /// The rate of a step, from 0.
    pub(super) fn rate(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let rest = self.total.saturating_sub(self.warmup).max(1);
        let progress = ((step - self.warmup) as f64 / rest as f64).min(1.0);
        self.peak * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
    }
}

/// Scales all gradients by one factor so that their norm over all parameters together is at most `limit`, as PyTorch's
/// `clip_grad_norm_` does: the factor is `min(1, limit / (norm + 1e-6))`. Burn's own clipping works on each parameter
/// by itself and so turns the direction of the step. Returns the norm before clipping.
pub(super) fn clip_global_norm<M: Module>(
    module: &M,
    gradients: &mut GradientsParams,
    limit: f64,
) -> Result<f64> {
    let mut norm = Norm { gradients, squares: Vec::new() };
    module.visit(&mut norm);
    let squares = norm.squares;
    if squares.is_empty() {
        return Ok(0.0);
    }
    let total = read_scalar(Tensor::cat(squares, 0).sum())?.sqrt();
    let factor = limit / (total + 1e-6);
    if factor < 1.0 {
        module.visit(&mut Scale { gradients, factor });
    }
    Ok(total)
}

struct Norm<'a> {
    gradients: &'a GradientsParams,
    squares: Vec<Tensor<1>>,
}

impl ModuleVisitor for Norm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.squares.push(gradient.square().sum());
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient.mul_scalar(self.factor));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    #[test]
    fn the_rate_rises_then_falls_to_zero() {
        let schedule = Schedule::new(0.1, 0.1, 100);
        let rates: Vec<f64> = (0..100).map(|step| schedule.rate(step)).collect();
        assert!((rates[0] - 0.01).abs() < 1e-12);
        assert!((rates[9] - 0.1).abs() < 1e-12);
        assert!((rates[10] - 0.1).abs() < 1e-12);
        assert!(rates[9..].windows(2).all(|w| w[1] <= w[0]));
        assert!((rates[55] - 0.05).abs() < 1e-12, "half way down the cosine");
        assert!(rates[99] < 1e-4 && schedule.rate(100).abs() < 1e-12);
    }

    #[test]
    fn no_warm_up_begins_at_the_peak() {
        assert_eq!(Schedule::new(0.1, 0.0, 10).rate(0), 0.1);
        assert_eq!(Schedule::new(0.1, 0.5, 1).rate(0), 0.1);
    }

    #[test]
    fn the_norm_is_global_and_the_direction_stays() {
        let device = Device::default().autodiff();
        let layer = LinearConfig::new(2, 1).init(&device);
        // d(x W + b)/dW = x = (3, 4), d/db = 12: norm 13 over both parameters.
        let x = Tensor::<2>::from_floats([[3.0, 4.0]], &device);
        let loss = layer.forward(x).sum() + layer.bias.as_ref().unwrap().val().sum().mul_scalar(11.0);
        let mut gradients = GradientsParams::from_grads(loss.backward(), &layer);
        let norm = clip_global_norm(&layer, &mut gradients, 1.3).unwrap();
        assert!((norm - 13.0).abs() < 1e-5);
        let weight: Vec<f32> = gradients.get::<2>(layer.weight.id).unwrap().try_into_vec_as().unwrap();
        let bias: Vec<f32> =
            gradients.get::<1>(layer.bias.as_ref().unwrap().id).unwrap().try_into_vec_as().unwrap();
        for (found, expected) in weight.iter().chain(&bias).zip([0.3, 0.4, 1.2]) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
        let unclipped = clip_global_norm(&layer, &mut gradients, 100.0).unwrap();
        assert!((unclipped - 1.3).abs() < 1e-5);
    }
}
