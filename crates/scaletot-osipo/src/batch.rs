//! What one step of the loss looks at: candidate chains with their token log-probabilities.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::host::{check_finite_values, check_shape, read_to_host};
use crate::pairs::{Pairs, best_by_advantage, by_user};
use crate::{Candidate, ChainSegments, Error, Result, TokenMask};

/// Candidate chains of one or more users.
///
/// | symbol | meaning | shape |
/// | --- | --- | --- |
/// | `ln π_θ` | log-probability of each token under the policy; carries the gradient | `[n, t]` |
/// | `ln π_ref` | the same under the frozen reference; taken out of any autodiff graph | `[n, t]` |
/// | mask, segments | [`TokenMask`], [`ChainSegments`] | `[n, t]` |
/// | user | which user the candidate belongs to; any numbers, equal for the same user | `[n]` |
/// | `A` | advantage, or reward `R` of the `Evidence` objective, larger is better; `None` if the user's outcome is not observed | `[n]` |
/// | `h` | normalised entropies of the search, for [`SegmentWeights::Entropy`](crate::SegmentWeights) | `[n, K]` |
///
/// Everything but the log-probabilities comes from the host, is checked there, and pairs are found there; the
/// loss only uploads index and weight vectors. Nothing is read back from the device when a batch is built or
/// a loss computed. The price is that log-probabilities are not checked: a NaN or infinite one at a *kept*
/// position makes loss and gradient NaN or infinite. [`CandidateBatch::check_finite`] looks for them at the
/// price of a read-back, and [`OsipoStats::read`](crate::OsipoStats::read) reports them as an error; use
/// [`log_probs_from_host`](crate::log_probs_from_host) where they come from the host. At masked positions anything is allowed.
///
/// Candidates of an unlabelled user take no part in the objective. They are counted in the statistics, and in
/// the SFT term if [`CandidateBatch::with_best`] names them. A row without a kept token is allowed only
/// without an advantage, which makes it a padding row.
#[derive(Debug, Clone)]
pub struct CandidateBatch {
    policy: Tensor<2>,
    reference: Tensor<2>,
    mask: TokenMask,
    segments: ChainSegments,
    candidates: Vec<Candidate>,
    /// Found when first asked for: a user with a thousand chains has half a million.
    pairs: OnceLock<Pairs>,
    best: Vec<(usize, f64)>,
    entropies: Option<Vec<f64>>,
    user_segments: Option<(Vec<usize>, usize)>,
    sampling: Option<Tensor<2>>,
    anchors: Option<BTreeSet<usize>>,
    process: Option<Tensor<2>>,
    weight_logits: Option<Tensor<1>>,
}

impl CandidateBatch {
    /// A batch of n candidates.
    ///
    /// The SFT term's best chain of a user is the one with the largest advantage (shared equally where
    /// several have it), unless [`CandidateBatch::with_best`] names others.
    ///
    /// # Errors
    /// [`Error::Shape`] if the inputs differ in n or t, [`Error::InvalidValue`] for an advantage that is not
    /// finite, [`Error::NoTokens`] for a candidate with an advantage but without a kept token.
    pub fn new(
        policy_log_probs: Tensor<2>,
        reference_log_probs: Tensor<2>,
        mask: TokenMask,
        segments: ChainSegments,
        candidates: Vec<Candidate>,
    ) -> Result<Self> {
        let grid = [mask.candidates(), mask.tokens()];
        check_shape("policy log-probabilities", &grid, &policy_log_probs.dims())?;
        check_shape("reference log-probabilities", &grid, &reference_log_probs.dims())?;
        check_shape("chain segments", &grid, &[segments.candidates(), segments.tokens()])?;
        check_shape("candidates", &grid[..1], &[candidates.len()])?;
        for (candidate, Candidate { advantage, .. }) in candidates.iter().enumerate() {
            let Some(found) = *advantage else { continue };
            // −∞ is a reward that rules a chain out, for the one objective that has such.
            if !found.is_finite() && found != f64::NEG_INFINITY {
                let (what, expected) = ("advantage", "a finite number");
                return Err(Error::InvalidValue { what, row: candidate, expected, found });
            }
            if mask.kept(candidate) == 0 {
                return Err(Error::NoTokens { candidate });
            }
        }
        // The segments may come from another mask of the same shape.
        for candidate in 0..grid[0] {
            for token in 0..grid[1] {
                if mask.is_kept(candidate, token) && segments.segment(candidate, token).is_none() {
                    let (segment, segments) = (usize::MAX, segments.count());
                    return Err(Error::SegmentOutOfRange { candidate, token, segment, segments });
                }
            }
        }
        let device = policy_log_probs.device().without_autodiff();
        Ok(Self {
            pairs: OnceLock::new(),
            best: best_by_advantage(&candidates),
            reference: reference_log_probs
                .without_autodiff()
                .to_device(&device)
                .cast(policy_log_probs.dtype()),
            policy: policy_log_probs,
            mask,
            segments,
            candidates,
            entropies: None,
            user_segments: None,
            sampling: None,
            anchors: None,
            process: None,
            weight_logits: None,
        })
    }

    /// Adds the normalised entropies of each candidate's steps, row-major `[n, K]`, each in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::Shape`], or [`Error::InvalidValue`] for one outside its range (rounding of 1e-6 is forgiven).
    pub fn with_entropies(mut self, entropies: Vec<f64>) -> Result<Self> {
        let expected = self.len() * self.segments.count();
        check_shape("entropies (n × K)", &[expected], &[entropies.len()])?;
        let range = -1e-6..=1.0 + 1e-6;
        if let Some(at) = entropies.iter().position(|h| !range.contains(h)) {
            return Err(Error::InvalidValue {
                what: "normalised entropy",
                row: at / self.segments.count(),
                expected: "a number from 0 to 1",
                found: entropies[at],
            });
        }
        self.entropies = Some(entropies.into_iter().map(|h| h.clamp(0.0, 1.0)).collect());
        Ok(self)
    }

    /// Adds the user segment of each candidate's user, in `0..count`, for the statistics per user segment.
    ///
    /// # Errors
    /// [`Error::Shape`], or [`Error::OutOfRange`] for a segment of `count` or more.
    pub fn with_user_segments(mut self, segments: Vec<usize>, count: usize) -> Result<Self> {
        check_shape("user segments", &[self.len()], &[segments.len()])?;
        check_range("user segment", &segments, count)?;
        self.user_segments = Some((segments, count));
        Ok(self)
    }

    /// Names the chains that the SFT term holds on to (for instance the search's best of each user) instead
    /// of those with the largest advantage. Several of one user share its weight of 1.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a candidate that is not in the batch, [`Error::NoTokens`] for one without a
    /// kept token.
    pub fn with_best(mut self, mut candidates: Vec<usize>) -> Result<Self> {
        check_range("best chain", &candidates, self.len())?;
        candidates.sort_unstable();
        candidates.dedup();
        if let Some(&candidate) = candidates.iter().find(|&&c| self.mask.kept(c) == 0) {
            return Err(Error::NoTokens { candidate });
        }
        let chosen: Vec<Candidate> = candidates.iter().map(|&c| self.candidates[c]).collect();
        self.best = by_user(&chosen)
            .into_values()
            .flat_map(|rows| {
                let share = 1.0 / rows.len() as f64;
                rows.into_iter().map(move |row| (row, share))
            })
            .map(|(row, share)| (candidates[row], share))
            .collect();
        Ok(self)
    }

    /// Adds the log-probabilities that the candidates had under the policy that sampled them, `[n, t]`. Of the `Policy` objective they make the
    /// ratios; without them the policy itself is taken (all ratios are 1, their gradient is not). Of the `Evidence` objective
    /// they make importance weights; without them chains count by the policy alone, as enumerated ones do. Taken out of any autodiff graph.
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub fn with_sampling(mut self, log_probs: Tensor<2>) -> Result<Self> {
        check_shape("sampling log-probabilities", &self.policy.dims(), &log_probs.dims())?;
        self.sampling =
            Some(log_probs.without_autodiff().to_device(&self.host_device()).cast(self.policy.dtype()));
        Ok(self)
    }

    /// Names the users that the `Evidence` objective holds to the reference, by [`Candidate::user`]; without it those without a reward.
    /// Users that the batch does not have do not matter.
    #[must_use]
    pub fn with_anchors(mut self, users: impl IntoIterator<Item = usize>) -> Self {
        self.anchors = Some(users.into_iter().collect());
        self
    }

    /// Adds process rewards per chain segment, `[n, K]`, for the `Policy` objective: [`ImplicitRewards::per_segment`] of a
    /// reward model, for instance; without them the policy's own implicit rewards are taken. Taken out of any autodiff graph.
    ///
    /// [`ImplicitRewards::per_segment`]: crate::ImplicitRewards::per_segment
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub fn with_process_rewards(mut self, rewards: Tensor<2>) -> Result<Self> {
        check_shape("process rewards", &[self.len(), self.segments.count()], &rewards.dims())?;
        self.process =
            Some(rewards.without_autodiff().to_device(&self.host_device()).cast(self.policy.dtype()));
        Ok(self)
    }

    /// Adds the logits of [`SegmentWeights::Learned`](crate::SegmentWeights::Learned), `[K]`. They keep their graph: a parameter
    /// among them gets a gradient.
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub fn with_weight_logits(mut self, logits: Tensor<1>) -> Result<Self> {
        check_shape("logits of the chain-segment weights", &[self.segments.count()], &logits.dims())?;
        self.weight_logits = Some(logits.to_device(&self.policy.device()).cast(self.policy.dtype()));
        Ok(self)
    }

    /// Number of candidates, n.
    #[must_use]
    pub fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// The candidates, in the order of the log-probabilities' rows.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The mask.
    #[must_use]
    pub fn mask(&self) -> &TokenMask {
        &self.mask
    }

    /// The chain segments.
    #[must_use]
    pub fn segments(&self) -> &ChainSegments {
        &self.segments
    }

    /// Number of preference pairs: same user, different advantages.
    #[must_use]
    pub fn pair_count(&self) -> usize {
        self.pairs().len()
    }

    /// Number of pairs of the same user that were dropped because their advantages are equal.
    #[must_use]
    pub fn tie_count(&self) -> usize {
        self.pairs().ties
    }

    /// Number of candidates that have an advantage.
    #[must_use]
    pub fn labelled_count(&self) -> usize {
        self.candidates.iter().filter(|candidate| candidate.advantage.is_some()).count()
    }

    /// Number of different users.
    #[must_use]
    pub fn user_count(&self) -> usize {
        by_user(&self.candidates).len()
    }

    /// The device of the policy's log-probabilities.
    #[must_use]
    pub fn device(&self) -> Device {
        self.policy.device()
    }

    /// Looks for NaN and infinite log-probabilities at kept positions. Reads both tensors back, so call it
    /// where a round trip does not hurt: when a loss stopped being finite, or before the first step.
    ///
    /// # Errors
    /// [`Error::NonFiniteLogProb`] with the first place, [`Error::Device`] if the device fails.
    pub fn check_finite(&self) -> Result<()> {
        let sampling = self.sampling.as_ref().map(|sampling| ("sampling", sampling));
        for (which, tensor) in
            [("policy", &self.policy), ("reference", &self.reference)].into_iter().chain(sampling)
        {
            let values = read_to_host(which, tensor.clone().without_autodiff())?;
            check_finite_values(which, values.into_iter(), &self.mask)?;
        }
        Ok(())
    }

    pub(crate) fn policy(&self) -> &Tensor<2> {
        &self.policy
    }

    pub(crate) fn reference(&self) -> &Tensor<2> {
        &self.reference
    }

    /// Log-probabilities under the policy that sampled, without a graph.
    pub(crate) fn sampling(&self) -> Tensor<2> {
        self.sampling.clone().unwrap_or_else(|| self.policy.clone().detach())
    }

    /// The same, if they were given.
    pub(crate) fn sampling_given(&self) -> Option<&Tensor<2>> {
        self.sampling.as_ref()
    }

    /// Whether a user, who may be `unlabelled`, is held to the reference by the `Evidence` objective.
    pub(crate) fn is_anchor(&self, user: usize, unlabelled: bool) -> bool {
        self.anchors.as_ref().map_or(unlabelled, |anchors| anchors.contains(&user))
    }

    /// Refuses advantages of −∞.
    pub(crate) fn check_advantages(&self) -> Result<()> {
        let mut advantages = self.candidates.iter().map(|candidate| candidate.advantage);
        match advantages.position(|advantage| advantage == Some(f64::NEG_INFINITY)) {
            Some(row) => {
                let (what, expected) = ("advantage", "a finite number (−∞ is for the evidence objective)");
                Err(Error::InvalidValue { what, row, expected, found: f64::NEG_INFINITY })
            }
            None => Ok(()),
        }
    }

    pub(crate) fn process(&self) -> Option<&Tensor<2>> {
        self.process.as_ref()
    }

    pub(crate) fn weight_logits(&self) -> Option<&Tensor<1>> {
        self.weight_logits.as_ref()
    }

    /// Whether a candidate has a kept token in a chain segment, row-major `[n, K]`.
    pub(crate) fn present_segments(&self) -> Vec<bool> {
        let k = self.segments.count();
        let mut present = vec![false; self.len() * k];
        for candidate in 0..self.len() {
            for token in (0..self.mask.tokens()).filter(|&token| self.mask.is_kept(candidate, token)) {
                if let Some(segment) = self.segments.segment(candidate, token) {
                    present[candidate * k + segment] = true;
                }
            }
        }
        present
    }

    pub(crate) fn pairs(&self) -> &Pairs {
        self.pairs.get_or_init(|| Pairs::find(&self.candidates))
    }

    pub(crate) fn best(&self) -> &[(usize, f64)] {
        &self.best
    }

    pub(crate) fn entropies(&self) -> Option<&[f64]> {
        self.entropies.as_deref()
    }

    pub(crate) fn user_segments(&self) -> Option<(&[usize], usize)> {
        self.user_segments.as_ref().map(|(of, count)| (of.as_slice(), *count))
    }

    /// `true` where a token does *not* count, on the device.
    pub(crate) fn dropped(&self) -> Tensor<2, Bool> {
        let flags: Vec<bool> = self.mask.as_slice().iter().map(|keep| !keep).collect();
        let shape = [self.mask.candidates(), self.mask.tokens()];
        Tensor::from_data(TensorData::new(flags, shape), &self.host_device())
    }

    /// Membership of tokens in chain segments, `[n, t, K]` of 0 and 1, on the device.
    pub(crate) fn membership(&self) -> Tensor<3> {
        let [n, t, k] = [self.mask.candidates(), self.mask.tokens(), self.segments.count()];
        let device = self.host_device();
        let ids =
            Tensor::<3, Int>::from_data(TensorData::new(self.segments.ids().to_vec(), [n, t, 1]), &device);
        let range = Tensor::<1, Int>::arange(0..k as i64, &device).reshape([1, 1, k]);
        ids.expand([n, t, k]).equal(range.expand([n, t, k])).float().cast(self.policy.dtype())
    }

    /// A float vector on the device, in the policy's precision.
    pub(crate) fn upload<const D: usize>(&self, values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), (&self.host_device(), self.policy.dtype()))
    }

    /// Row indices on the device.
    pub(crate) fn upload_rows(&self, rows: impl ExactSizeIterator<Item = usize>) -> Tensor<1, Int> {
        let count = rows.len();
        let rows: Vec<i64> = rows.map(|row| row as i64).collect();
        Tensor::from_data(TensorData::new(rows, [count]), &self.host_device())
    }

    /// Constants need no graph of their own; the policy's tensors pull them in.
    fn host_device(&self) -> Device {
        self.policy.device().without_autodiff()
    }
}

fn check_range(what: &'static str, indices: &[usize], bound: usize) -> Result<()> {
    match indices.iter().enumerate().find(|&(_, &index)| index >= bound) {
        None => Ok(()),
        Some((row, &index)) => Err(Error::OutOfRange { what, row, index, bound }),
    }
}
