//! One optimiser step.

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;

use super::clip::{clip, global_norm};
use super::schedule::Schedule;
use crate::error::{Error, Result};

/// `AdamW` (Loshchilov and Hutter 2019) with PyTorch's constants, global-norm clipping, and a schedule.
///
/// Burn's `AdamW` has ε = 1e-5 and a weight decay of 1e-4 unless told otherwise; PyTorch has 1e-8 and 1e-2.
/// Decay is decoupled and applies to all weights, as in `torch.optim.AdamW` without parameter groups.
pub(super) struct Optimiser {
    inner: ModuleOptimizer,
    schedule: Schedule,
    clip_norm: Option<f64>,
    stage: &'static str,
    steps: usize,
}

/// What a step was like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StepStats {
    pub(super) rate: f64,
    pub(super) gradient_norm: f64,
    pub(super) clipped: bool,
}

impl Optimiser {
    pub(super) fn new(
        stage: &'static str,
        schedule: Schedule,
        weight_decay: f64,
        clip_norm: Option<f64>,
    ) -> Self {
        let config = AdamWConfig::new()
            .with_beta_1(0.9)
            .with_beta_2(0.999)
            .with_epsilon(1e-8)
            .with_weight_decay(weight_decay as f32);
        Self { inner: config.init(), schedule, clip_norm, stage, steps: 0 }
    }

    /// Steps down the gradient of `loss`, whose value the caller has read from the device already.
    pub(super) fn step<M: Module>(
        &mut self,
        module: M,
        loss: &Tensor<1>,
        value: f64,
        epoch: usize,
    ) -> Result<(M, StepStats)> {
        let gradients = self.gradient(&module, loss, value, epoch)?;
        self.update(module, gradients, epoch)
    }

    /// The gradient of `loss`, whose value the caller has read from the device already.
    pub(super) fn gradient<M: Module>(
        &self,
        module: &M,
        loss: &Tensor<1>,
        value: f64,
        epoch: usize,
    ) -> Result<GradientsParams> {
        self.check("loss", value, epoch)?;
        Ok(GradientsParams::from_grads(loss.backward(), module))
    }

    /// Steps down a gradient.
    pub(super) fn update<M: Module>(
        &mut self,
        module: M,
        mut gradients: GradientsParams,
        epoch: usize,
    ) -> Result<(M, StepStats)> {
        let gradient_norm = global_norm(&module, &gradients)?;
        self.check("gradient norm", gradient_norm, epoch)?;
        let clipped = self.clip_norm.is_some_and(|max| clip(&module, &mut gradients, gradient_norm, max));
        let rate = self.schedule.rate(self.steps);
        self.steps += 1;
        Ok((self.inner.step(rate, module, gradients), StepStats { rate, gradient_norm, clipped }))
    }

    fn check(&self, what: &'static str, value: f64, epoch: usize) -> Result<()> {
        let (stage, step) = (self.stage, self.steps + 1);
        if value.is_finite() { Ok(()) } else { Err(Error::NonFinite { stage, epoch, step, what, value }) }
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::nn::Linear;
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn linear(weight: f32) -> Linear {
        let device = Device::default().autodiff();
        Linear { weight: Param::from_data(TensorData::new(vec![weight], [1, 1]), &device), bias: None }
    }

    /// `loss = x · w`, so the gradient is `x`.
    fn loss(linear: &Linear, x: f32) -> Tensor<1> {
        let device = Device::default().autodiff();
        linear.forward(Tensor::<2>::from_data(TensorData::new(vec![x], [1, 1]), &device)).sum()
    }

    /// Against the update rule in PyTorch's documentation of `torch.optim.AdamW`, in f64.
    #[test]
    fn the_update_is_pytorchs() {
        let (lr, decay, [b1, b2]) = (0.05, 0.01, [0.9f64, 0.999]);
        let schedule = Schedule { peak: lr, warmup_steps: 0, total_steps: 1, floor: 1.0 };
        let mut optimiser = Optimiser::new("test", schedule, decay, None);
        let mut module = linear(0.7);
        let (mut w, mut m, mut v) = (f64::from(0.7f32), 0.0, 0.0);
        for (t, g) in [(1, 1e-4f32), (2, -3e-5), (3, 2.0), (4, 1e-6)] {
            let loss = loss(&module, g);
            module = optimiser.step(module, &loss, 0.0, 1).unwrap().0;
            let g = f64::from(g);
            w *= 1.0 - lr * decay;
            m = b1 * m + (1.0 - b1) * g;
            v = b2 * v + (1.0 - b2) * g * g;
            let (m_hat, v_hat) = (m / (1.0 - b1.powi(t)), v / (1.0 - b2.powi(t)));
            w -= lr * m_hat / (v_hat.sqrt() + 1e-8);
            let got = module.weight.val().into_scalar::<f64>();
            assert!((got - w).abs() < 2e-6, "step {t}: {got} {w}");
        }
    }

    #[test]
    fn what_is_not_finite_stops_with_its_place() {
        let schedule = Schedule::new(0.1, 0.0, 10);
        let mut optimiser = Optimiser::new("SFT", schedule, 0.0, Some(1.0));
        let module = linear(1.0);
        let good = loss(&module, 1.0);
        let (module, stats) = optimiser.step(module, &good, 1.0, 1).unwrap();
        assert!((stats.gradient_norm - 1.0).abs() < 1e-6 && stats.rate == 0.1);
        let bad = loss(&module, f32::INFINITY);
        let error = optimiser.step(module.clone(), &bad, 1.0, 2).unwrap_err();
        assert!(
            matches!(error, Error::NonFinite { epoch: 2, step: 2, what: "gradient norm", .. }),
            "{error}"
        );
        let error = optimiser.step(module, &good, f64::NAN, 3).unwrap_err();
        assert!(matches!(error, Error::NonFinite { epoch: 3, what: "loss", .. }), "{error}");
    }
}
