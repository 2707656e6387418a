//! Clipping by the global norm.
//!
//! Burn's clipping by norm takes the norm of each parameter's gradient on its own, which changes the
//! direction of the step: a large embedding gradient is cut and a small norm's gradient is not. PyTorch's
//! `clip_grad_norm_` and this one scale all gradients by one factor.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::error::{Error, Result};

/// The norm over all gradients of `module` taken together, `√(Σ g²)`.
pub(super) fn global_norm<M: Module>(module: &M, gradients: &GradientsParams) -> Result<f64> {
    let mut squares = Squares { gradients, parts: vec![] };
    module.visit(&mut squares);
    if squares.parts.is_empty() {
        return Ok(0.0);
    }
    let sum = Tensor::cat(squares.parts, 0).sum().try_into_scalar::<f32>();
    Ok(f64::from(sum.map_err(|e| Error::device("the gradient norm", e))?).sqrt())
}

/// Scales all gradients by `min(1, max_norm / (norm + 1e-6))`, as PyTorch does, and returns whether that was
/// less than 1.
pub(super) fn clip<M: Module>(module: &M, gradients: &mut GradientsParams, norm: f64, max_norm: f64) -> bool {
    let factor = max_norm / (norm + 1e-6);
    if factor >= 1.0 {
        return false;
    }
    module.visit(&mut Scale { gradients, factor });
    true
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    parts: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.parts.push(gradient.square().sum());
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
    use burn::nn::Linear;
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// A layer whose weight's gradient is 3 everywhere and whose bias's gradient is 4, for one row of threes.
    fn layer() -> (Linear, GradientsParams) {
        let device = Device::default().autodiff();
        let param = |values: Vec<f32>, shape: [usize; 2]| TensorData::new(values, shape);
        let linear = Linear {
            weight: Param::from_data(param(vec![0.0; 1], [1, 1]), &device),
            bias: Some(Param::from_data(TensorData::new(vec![0.0f32], [1]), &device)),
        };
        let x = Tensor::<2>::from_data(param(vec![0.75], [1, 1]), &device);
        let gradients = GradientsParams::from_grads(linear.forward(x).mul_scalar(4.0).backward(), &linear);
        (linear, gradients)
    }

    fn values(linear: &Linear, gradients: &GradientsParams) -> [f64; 2] {
        let weight = gradients.get::<2>(linear.weight.id).unwrap().into_scalar::<f64>();
        let bias = gradients.get::<1>(linear.bias.as_ref().unwrap().id).unwrap().into_scalar::<f64>();
        [weight, bias]
    }

    #[test]
    fn one_factor_scales_all_gradients() {
        let (linear, mut gradients) = layer();
        assert_eq!(values(&linear, &gradients), [3.0, 4.0]);
        let norm = global_norm(&linear, &gradients).unwrap();
        assert!((norm - 5.0).abs() < 1e-6);
        assert!(clip(&linear, &mut gradients, norm, 1.0));
        let [weight, bias] = values(&linear, &gradients);
        assert!((weight - 0.6).abs() < 1e-5 && (bias - 0.8).abs() < 1e-5);
        assert!((global_norm(&linear, &gradients).unwrap() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn small_gradients_are_left_alone() {
        let (linear, mut gradients) = layer();
        assert!(!clip(&linear, &mut gradients, 5.0, 6.0));
        assert_eq!(values(&linear, &gradients), [3.0, 4.0]);
    }

    /// The trap this module is there for: Burn's clipping leaves the direction changed.
    #[test]
    fn burns_own_clipping_is_per_parameter() {
        use burn::grad_clipping::GradientClipping;
        let (linear, gradients) = layer();
        let clipping = GradientClipping::Norm(1.0);
        let weight =
            clipping.clip_gradient(gradients.get::<2>(linear.weight.id).unwrap()).into_scalar::<f64>();
        let bias = linear.bias.as_ref().unwrap().id;
        let bias = clipping.clip_gradient(gradients.get::<1>(bias).unwrap()).into_scalar::<f64>();
        assert!((weight - 1.0).abs() < 1e-5 && (bias - 1.0).abs() < 1e-5, "{weight} {bias}");
    }
}
