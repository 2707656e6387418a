//! The evidence objective on tensors. The crate docs have the formulas.

use burn::tensor::{Bool, Tensor, TensorData};

use crate::pairs::by_user;
use crate::{CandidateBatch, Error, OsipoLossConfig, Reduction, Result};

/// A log-probability of a chain counts as at least this, so that a chain that cannot be is no NaN; `e` to it is 0 in every precision.
const LEAST: f64 = -1e4;
/// What stands where a user has no chain. Below everything else, and finite in 16 bits.
const ABSENT: f64 = -6e4;

/// Negative evidence of the labelled users and `β` KL of the anchor users, reduced over both.
pub(crate) fn evidence(
    batch: &CandidateBatch,
    dropped: &Tensor<2, Bool>,
    eta: f64,
    config: &OsipoLossConfig,
) -> Result<Tensor<1>> {
    let users = by_user(batch.candidates());
    let (mut labelled, mut anchors, mut counted) = (Vec::new(), Vec::new(), 0_usize);
    for (&user, rows) in &users {
        let rows: Vec<usize> = rows.iter().copied().filter(|&row| batch.mask().kept(row) > 0).collect();
        if rows.is_empty() {
            continue;
        }
        let reward = |row: usize| batch.candidates()[row].advantage;
        let judged: Vec<(usize, f64)> =
            rows.iter().filter_map(|&row| reward(row).map(|reward| (row, reward))).collect();
        let is_anchor = batch.is_anchor(user, judged.is_empty());
        counted += usize::from(is_anchor || !judged.is_empty());
        if !judged.is_empty() {
            let best = judged.iter().map(|(_, reward)| *reward).fold(f64::NEG_INFINITY, f64::max);
            if best == f64::NEG_INFINITY {
                return Err(Error::NoChain { user });
            }
            labelled.push((judged, best));
        }
        if is_anchor {
            anchors.push(rows);
        }
    }
    if counted == 0 {
        return Err(Error::NoLabelled { what: "evidence objective", rows: batch.len() });
    }
    // Sums over kept tokens; below `LEAST` there is no gradient.
    let chains = |log_probs: Tensor<2>| -> Tensor<1> {
        log_probs.mask_fill(dropped.clone(), 0.0).sum_dim(1).squeeze_dim::<1>(1).clamp_min(LEAST)
    };
    let now = chains(batch.policy().clone());
    let weights = batch.sampling_given().map(|sampling| chains(sampling.clone()));
    let weigh = |log_probs: Tensor<1>| match &weights {
        Some(sampling) => log_probs - sampling.clone(),
        None => log_probs,
    };
    let now = weigh(now);
    let mut loss = batch.upload(vec![0.0], [1]);
    if !labelled.is_empty() {
        let rows: Vec<Vec<usize>> =
            labelled.iter().map(|(judged, _)| judged.iter().map(|(row, _)| *row).collect()).collect();
        let grid = Grid::new(batch, &rows);
        let shifted = |&(ref judged, best): &(Vec<(usize, f64)>, f64)| {
            let width = grid.width;
            let of_chain = judged.iter().map(|(_, reward)| (eta * (reward - best)).max(ABSENT));
            of_chain.chain(std::iter::repeat(0.0)).take(width).collect::<Vec<f64>>()
        };
        let rewards = batch.upload(labelled.iter().flat_map(shifted).collect(), grid.shape());
        let ruled_out: Vec<bool> = labelled
            .iter()
            .flat_map(|(judged, _)| {
                let of_chain = judged.iter().map(|(_, reward)| *reward == f64::NEG_INFINITY);
                of_chain.chain(std::iter::repeat(true)).take(grid.width).collect::<Vec<bool>>()
            })
            .collect();
        let ruled_out = flags(batch, ruled_out, grid.shape());
        let policy = grid.fill(now.clone());
        let with = (policy.clone() + rewards).mask_fill(ruled_out, ABSENT);
        let gained = (log_sum_exp(with) - log_sum_exp(policy)).sum().mul_scalar(1.0 / eta);
        let best: f64 = labelled.iter().map(|(_, best)| *best).sum();
        loss = loss - gained - best;
    }
    if !anchors.is_empty() {
        let grid = Grid::new(batch, &anchors);
        let policy = grid.fill(now);
        let reference = grid.fill(weigh(chains(batch.reference().clone())));
        let normalised = |logits: Tensor<2>| logits.clone() - log_sum_exp(logits).unsqueeze_dim::<2>(1);
        let (policy, reference) = (normalised(policy), normalised(reference));
        // Where there is no chain the reference has weight 0 exactly.
        let kl = reference.clone().exp() * (reference - policy);
        loss = loss + kl.sum().mul_scalar(config.beta);
    }
    Ok(match config.reduction {
        Reduction::Mean => loss.mul_scalar(1.0 / counted as f64),
        Reduction::Sum => loss,
    })
}

/// Chains of each user side by side, `[users, width]`.
struct Grid<'a> {
    batch: &'a CandidateBatch,
    rows: Vec<usize>,
    absent: Vec<bool>,
    users: usize,
    width: usize,
}

impl<'a> Grid<'a> {
    fn new(batch: &'a CandidateBatch, users: &[Vec<usize>]) -> Self {
        let width = users.iter().map(Vec::len).max().unwrap_or(0);
        let wide = |rows: &Vec<usize>| {
            rows.iter().copied().chain(std::iter::repeat(rows[0])).take(width).collect::<Vec<usize>>()
        };
        Self {
            batch,
            rows: users.iter().flat_map(wide).collect(),
            absent: users.iter().flat_map(|rows| (0..width).map(|at| at >= rows.len())).collect(),
            users: users.len(),
            width,
        }
    }

    fn shape(&self) -> [usize; 2] {
        [self.users, self.width]
    }

    /// Numbers of the batch's chains, [`ABSENT`] where there is none.
    fn fill(&self, of_chains: Tensor<1>) -> Tensor<2> {
        let rows = self.batch.upload_rows(self.rows.iter().copied());
        let absent = flags(self.batch, self.absent.clone(), self.shape());
        of_chains.select(0, rows).reshape(self.shape()).mask_fill(absent, ABSENT)
    }
}

fn flags(batch: &CandidateBatch, flags: Vec<bool>, shape: [usize; 2]) -> Tensor<2, Bool> {
    Tensor::from_data(TensorData::new(flags, shape), &batch.device().without_autodiff())
}

/// `ln Σ e^x` of each row.
fn log_sum_exp(logits: Tensor<2>) -> Tensor<1> {
    let largest = logits.clone().detach().max_dim(1);
    let sum = (logits - largest.clone()).exp().sum_dim(1);
    (sum.log() + largest).squeeze_dim::<1>(1)
}
