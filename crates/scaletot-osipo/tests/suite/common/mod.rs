//! What the integration tests share: batches as plain numbers, and one step on a device.

use burn::tensor::{DType, Device, Tensor, TensorData};
use proptest::prelude::*;
use scaletot_osipo::{
    Candidate, CandidateBatch, ChainSegments, OsipoLossConfig, OsipoReport, Result, TokenMask,
};
use serde::Deserialize;

/// A batch on the host.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Batch {
    pub(crate) users: Vec<usize>,
    pub(crate) mask: Vec<Vec<bool>>,
    pub(crate) segments: Vec<Vec<usize>>,
    pub(crate) chain_segments: usize,
    pub(crate) policy: Vec<Vec<f64>>,
    pub(crate) reference: Vec<Vec<f64>>,
    pub(crate) advantages: Vec<Option<f64>>,
    pub(crate) entropies: Option<Vec<Vec<f64>>>,
    pub(crate) sampling: Option<Vec<Vec<f64>>>,
    pub(crate) process: Option<Vec<Vec<f64>>>,
    pub(crate) weight_logits: Option<Vec<f64>>,
}

/// Loss, gradient `[n][t]` and statistics of one step.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) loss: f64,
    pub(crate) gradient: Vec<Vec<f64>>,
    /// Of the logits of the chain-segment weights.
    pub(crate) logit_gradient: Option<Vec<f64>>,
    pub(crate) report: Result<OsipoReport>,
}

pub(crate) fn to_tensor(rows: &[Vec<f64>], dtype: DType, device: &Device) -> Tensor<2> {
    let shape = [rows.len(), rows[0].len()];
    let data = TensorData::new(rows.concat(), shape);
    Tensor::from_data(data, (device, dtype))
}

impl Batch {
    pub(crate) fn build(&self, policy: Tensor<2>) -> Result<CandidateBatch> {
        let mask = TokenMask::from_rows(&self.mask)?;
        let segments = ChainSegments::from_rows(&self.segments, self.chain_segments, &mask)?;
        let device = policy.device().without_autodiff();
        let reference = to_tensor(&self.reference, policy.dtype(), &device);
        let (users, advantages) = (self.users.clone(), self.advantages.clone());
        let dtype = policy.dtype();
        let candidates = users.into_iter().zip(advantages);
        let candidates = candidates.map(|(user, advantage)| Candidate { user, advantage }).collect();
        let mut batch = CandidateBatch::new(policy, reference, mask, segments, candidates)?;
        if let Some(entropies) = &self.entropies {
            batch = batch.with_entropies(entropies.concat())?;
        }
        if let Some(sampling) = &self.sampling {
            batch = batch.with_sampling(to_tensor(sampling, dtype, &device))?;
        }
        if let Some(process) = &self.process {
            batch = batch.with_process_rewards(to_tensor(process, dtype, &device))?;
        }
        Ok(batch)
    }

    pub(crate) fn step(&self, config: &OsipoLossConfig, dtype: DType) -> Result<Step> {
        let policy = to_tensor(&self.policy, dtype, &Device::default().autodiff()).require_grad();
        let mut batch = self.build(policy.clone())?;
        let logits = self.weight_logits.as_ref().map(|logits| {
            to_tensor(std::slice::from_ref(logits), dtype, &Device::default().autodiff())
                .squeeze_dim::<1>(0)
                .require_grad()
        });
        if let Some(logits) = &logits {
            batch = batch.with_weight_logits(logits.clone())?;
        }
        let out = config.init()?.forward(&batch)?;
        let gradients = out.loss.backward();
        let gradient = policy.grad(&gradients).expect("the policy has a gradient");
        let logit_gradient = logits.and_then(|logits| logits.grad(&gradients)).map(host);
        let width = self.policy[0].len();
        let gradient = host(gradient).chunks(width).map(<[f64]>::to_vec).collect();
        Ok(Step {
            loss: host(out.loss.without_autodiff())[0],
            gradient,
            logit_gradient,
            report: out.stats.read(),
        })
    }

    /// Fills every position that does not count, and the segments there, with something else.
    pub(crate) fn fill_masked(&mut self, policy: f64, reference: f64, segment: usize) {
        for (i, row) in self.mask.iter().enumerate() {
            for (t, &keep) in row.iter().enumerate() {
                if !keep {
                    self.policy[i][t] = policy;
                    self.reference[i][t] = reference;
                    self.segments[i][t] = segment;
                    if let Some(sampling) = &mut self.sampling {
                        sampling[i][t] = reference;
                    }
                }
            }
        }
    }

    /// Candidates in another order: new candidate `i` is old candidate `order[i]`.
    pub(crate) fn reordered(&self, order: &[usize]) -> Self {
        fn take<T: Clone>(rows: &[T], order: &[usize]) -> Vec<T> {
            order.iter().map(|&i| rows[i].clone()).collect()
        }
        Self {
            users: take(&self.users, order),
            mask: take(&self.mask, order),
            segments: take(&self.segments, order),
            chain_segments: self.chain_segments,
            policy: take(&self.policy, order),
            reference: take(&self.reference, order),
            advantages: take(&self.advantages, order),
            entropies: self.entropies.as_ref().map(|rows| take(rows, order)),
            sampling: self.sampling.as_ref().map(|rows| take(rows, order)),
            process: self.process.as_ref().map(|rows| take(rows, order)),
            weight_logits: self.weight_logits.clone(),
        }
    }
}

/// Trap: on lavapipe wgpu says that it supports f64, and then its functions compute rubbish. So one is tried.
pub(crate) fn computes_in_f64(device: &Device) -> bool {
    device.supports_dtype(DType::F64) && {
        let one = Tensor::<1>::from_data(TensorData::from([1.0_f64]), (device, DType::F64));
        let found = one.exp().log().exp().into_data().try_to_vec::<f64>();
        found.is_ok_and(|found| (found[0] - std::f64::consts::E).abs() < 1e-14)
    }
}

pub(crate) fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().try_into_vec().expect("f64 values")
}

/// `|a − b| ≤ tolerance · max(1, |b|)`.
pub(crate) fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * b.abs().max(1.0)
}

pub(crate) fn all_close(a: &[Vec<f64>], b: &[Vec<f64>], tolerance: f64) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| close(a, b, tolerance)))
}

/// Batches of 2 to 8 candidates of up to 3 users with at least one preference pair.
pub(crate) fn batches() -> impl Strategy<Value = Batch> {
    (2_usize..8, 1_usize..6, 1_usize..4).prop_flat_map(|(n, t, k)| {
        let flags = prop::collection::vec(prop::collection::vec(any::<bool>(), t), n);
        let ids = prop::collection::vec(prop::collection::vec(0..k, t), n);
        let log_probs = || prop::collection::vec(prop::collection::vec(-6.0..0.0_f64, t), n);
        let users = prop::collection::vec(0_usize..3, n);
        // few levels, so that ties occur
        let advantages =
            prop::collection::vec(prop::option::weighted(0.9, (-2_i32..3).prop_map(f64::from)), n);
        let entropies = prop::collection::vec(prop::collection::vec(0.0..1.0_f64, k), n);
        // Near the policy, so that some ratios are clipped and some are not.
        let steps = prop::collection::vec(prop::collection::vec(-0.5..0.5_f64, t), n);
        (flags, ids, log_probs(), log_probs(), users, advantages, entropies, steps).prop_map(
            move |(mut mask, segments, policy, reference, mut users, mut advantages, entropies, steps)| {
                mask.iter_mut().for_each(|row| row[0] = true);
                (users[0], users[1]) = (0, 0);
                (advantages[0], advantages[1]) = (Some(1.0), Some(-0.5));
                let moved = |(row, steps): (&Vec<f64>, &Vec<f64>)| {
                    row.iter().zip(steps).map(|(p, s)| p + s).collect()
                };
                let sampling = Some(policy.iter().zip(&steps).map(moved).collect());
                let (entropies, process, weight_logits) = (Some(entropies), None, Some(vec![0.4; k]));
                Batch {
                    users,
                    mask,
                    segments,
                    chain_segments: k,
                    policy,
                    reference,
                    advantages,
                    entropies,
                    sampling,
                    process,
                    weight_logits,
                }
            },
        )
    })
}
