//! One optimiser step.

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer, OptimizerRecord};

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
    /// A loss beyond this many times the first one's size, or beyond this many nats, ends the run.
    explosion: f64,
    stage: &'static str,
    steps: usize,
    first_loss: Option<f64>,
    /// The present epoch, from 1.
    pub(super) epoch: usize,
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
        explosion: f64,
    ) -> Self {
        let config = AdamWConfig::new()
            .with_beta_1(0.9)
            .with_beta_2(0.999)
            .with_epsilon(1e-8)
            .with_weight_decay(weight_decay as f32);
        let (inner, steps, first_loss, epoch) = (config.init(), 0, None, 1);
        Self { inner, schedule, clip_norm, explosion, stage, steps, first_loss, epoch }
    }

    /// Steps down a gradient. `loss` is what it is the gradient of.
    pub(super) fn step<M: Module>(
        &mut self,
        module: M,
        mut gradients: GradientsParams,
        loss: f64,
    ) -> Result<(M, StepStats)> {
        let first = *self.first_loss.get_or_insert(loss);
        self.check("loss", loss, self.explosion * first.abs().max(1.0))?;
        let gradient_norm = global_norm(&module, &gradients)?;
        self.check("gradient norm", gradient_norm, f64::INFINITY)?;
        let clipped = self.clip_norm.is_some_and(|max| clip(&module, &mut gradients, gradient_norm, max));
        let rate = self.schedule.rate(self.steps);
        self.steps += 1;
        Ok((self.inner.step(rate, module, gradients), StepStats { rate, gradient_norm, clipped }))
    }

    /// An error unless `value` is a number whose size is at most `bound`.
    pub(super) fn check(&self, what: &'static str, value: f64, bound: f64) -> Result<()> {
        if value.is_finite() && value.abs() <= bound {
            return Ok(());
        }
        let (stage, epoch, step, checkpoint) = (self.stage, self.epoch, self.steps + 1, None);
        Err(Error::Diverged { stage, epoch, step, what, value, bound, checkpoint })
    }

    /// The moments of all weights.
    pub(super) fn record(&self) -> OptimizerRecord {
        self.inner.to_record()
    }

    /// Steps so far, and the first loss.
    pub(super) fn position(&self) -> (usize, Option<f64>) {
        (self.steps, self.first_loss)
    }

    /// Resumes with what [`record`](Self::record) and [`position`](Self::position) gave.
    pub(super) fn load(&mut self, record: OptimizerRecord, steps: usize, first_loss: Option<f64>) {
        self.inner = self.inner.clone().load_record(record);
        (self.steps, self.first_loss) = (steps, first_loss);
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::nn::Linear;
    use burn::tensor::{Device, Tensor, TensorData};

    use super::*;

    fn linear(weight: f32) -> Linear {
        let device = Device::default().autodiff();
        Linear { weight: Param::from_data(TensorData::new(vec![weight], [1, 1]), &device), bias: None }
    }

    /// Of `x · w`, which is `x`.
    fn gradient(linear: &Linear, x: f32) -> GradientsParams {
        let device = Device::default().autodiff();
        let loss = linear.forward(Tensor::<2>::from_data(TensorData::new(vec![x], [1, 1]), &device)).sum();
        GradientsParams::from_grads(loss.backward(), linear)
    }

    /// Against the update rule in PyTorch's documentation of `torch.optim.AdamW`, in f64.
    #[test]
    fn the_update_is_pytorchs() {
        let (lr, decay, [b1, b2]) = (0.05, 0.01, [0.9f64, 0.999]);
        let schedule = Schedule { peak: lr, warmup_steps: 0, total_steps: 1, floor: 1.0 };
        let mut optimiser = Optimiser::new("test", schedule, decay, None, 10.0);
        let mut module = linear(0.7);
        let (mut w, mut m, mut v) = (f64::from(0.7f32), 0.0, 0.0);
        for (t, g) in [(1, 1e-4f32), (2, -3e-5), (3, 2.0), (4, 1e-6)] {
            let gradient = gradient(&module, g);
            module = optimiser.step(module, gradient, 0.0).unwrap().0;
            let g = f64::from(g);
            w *= 1.0 - lr * decay;
            m = b1 * m + (1.0 - b1) * g;
            v = b2 * v + (1.0 - b2) * g * g;
            let (m_hat, v_hat) = (m / (1.0 - b1.powi(t)), v / (1.0 - b2.powi(t)));
            w -= lr * m_hat / (v_hat.sqrt() + 1e-8);
            let found = module.weight.val().into_scalar::<f64>();
            assert!((found - w).abs() < 2e-6, "step {t}: {found} {w}");
        }
    }

    #[test]
    fn what_is_not_finite_or_explodes_stops_with_its_place() {
        let schedule = Schedule::new(0.1, 0.0, 10);
        let mut optimiser = Optimiser::new("SFT", schedule, 0.0, Some(1.0), 10.0);
        let module = linear(1.0);
        let good = gradient(&module, 1.0);
        let (module, stats) = optimiser.step(module, good, -2.0).unwrap();
        assert!((stats.gradient_norm - 1.0).abs() < 1e-6 && stats.rate == 0.1);
        optimiser.epoch = 2;
        let mut step = |x, loss| optimiser.step(module.clone(), gradient(&module, x), loss);
        let error = step(f32::INFINITY, 1.0).unwrap_err();
        assert!(matches!(error, Error::Diverged { epoch: 2, step: 2, what: "gradient norm", .. }), "{error}");
        for bad in [f64::NAN, f64::INFINITY, 20.1, -20.1] {
            let error = step(1.0, bad).unwrap_err();
            assert!(matches!(error, Error::Diverged { what: "loss", bound: 20.0, .. }), "{error}");
        }
        assert!(step(1.0, 19.9).is_ok());
    }
}
