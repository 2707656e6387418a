//! The OSIPO loss: outcome-driven, segment-aware implicit reward policy optimisation on Burn tensors.
//!
//! A student that was fine-tuned on a teacher's chains of user states repeats the teacher. Whether
//! those states explain what users turn out to be worth is another question, and the realised outcomes can answer
//! it: this crate turns them into a loss that makes chains which explain the outcome of a user more probable than
//! chains which do not, without a reward model and without a label per step. It knows tensors, masks and numbers; no
//! schema, no tokenizer, no model.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use scaletot_osipo::advantage::{SegmentReward, standardise};
//! use scaletot_osipo::reward::{Tiers, TierAgreement};
//! use scaletot_osipo::{Candidate, CandidateBatch, ChainSegments, Objective, OsipoLossConfig, TokenMask};
//!
//! // Two users, two candidate chains each. A chain has two steps; the second is linked to the outcome.
//! let outcomes = [Some(0.0), Some(80.0)];
//! let users = [0, 0, 1, 1];
//! let last_state = [0, 2, 2, 1]; // values of the outcome-linked state, of 3
//!
//! // Host: outcome → reward → advantage within the user's segment.
//! let reward = TierAgreement::new(Tiers::fit(&outcomes, 2)?, 3)?;
//! let rewards: Vec<SegmentReward> = (0..4)
//!     .map(|c| {
//!         let reward = outcomes[users[c]].map(|o| reward.reward(o, last_state[c])).transpose()?;
//!         Ok(SegmentReward { segment: 0, reward })
//!     })
//!     .collect::<scaletot_osipo::Result<_>>()?;
//! let advantages = standardise(&rewards, 5.0)?;
//! let candidates = users.iter().zip(advantages).map(|(&user, advantage)| Candidate { user, advantage });
//!
//! // Device: log-probabilities of the chains' tokens, [4, 3]; the last position is padding.
//! let device = Device::default().autodiff();
//! let policy = Tensor::<2>::from_floats(
//!     [[-0.4, -1.0, 0.0], [-0.4, -0.9, 0.0], [-0.2, -0.8, 0.0], [-1.2, -1.3, 0.0]],
//!     &device,
//! )
//! .require_grad();
//! let reference = policy.clone().detach();
//! let mask = TokenMask::from_lengths(&[2, 2, 2, 2], 3)?;
//! let segments = ChainSegments::from_rows(&[[0, 1], [0, 1], [0, 1], [0, 1]], 2, &mask)?;
//!
//! let loss = OsipoLossConfig::default().with_objective(Objective::preference(0.1)).init()?;
//! let batch = CandidateBatch::new(policy.clone(), reference, mask, segments, candidates.collect())?;
//! let step = loss.forward(&batch)?;
//! let gradients = step.loss.backward();
//! assert!(policy.grad(&gradients).is_some());
//! let report = step.stats.read()?; // the only read-back
//! assert_eq!((report.pairs, report.ties), (2, 0));
//! # Ok::<(), scaletot_osipo::Error>(())
//! ```
//!
//! # Up and down the flow
//! Outcomes and segments come from [`scaletot-profile`](https://docs.rs/scaletot-profile), candidate chains from a teacher's corpus of
//! [`scaletot-chain`](https://docs.rs/scaletot-chain) or from the student itself. [`scaletot-student`](https://docs.rs/scaletot-student)
//! trains its student with this loss, and what that learns goes on to [`scaletot-encoder`](https://docs.rs/scaletot-encoder).
//!
//! Preferences and policy gradients are the published way, and stay as baselines. What trains towards outcomes without losing what a
//! right teacher knows is the **evidence** objective: [`Objective::Evidence`] on tensors, and [`evidence`] on the host, with
//! [`reward::OutcomeModel`] over all states of a chain.
//!
//! # What is the paper's and what is this project's
//!
//! Known of the `ScaleToT` paper (arXiv 2606.24605) are the *name*, "Outcome-Driven Segment-Aware Implicit Reward
//! Policy Optimization", that it follows supervised fine-tuning on teacher-curated chains, and that it trains the
//! student on static profiles. Its formulas are not known here. Everything below is **this project's own
//! formulation**, built so that each part of the name stands for one part of it, and so that it *is* a published loss when
//! its own parts are switched off. Those reductions are tested for value and gradient.
//!
//! # The formulas
//!
//! | symbol | meaning | shape, range |
//! | --- | --- | --- |
//! | `n`, `t`, `K` | candidates in the batch, tokens of the longest, chain segments (steps of the chain) | |
//! | `π_θ`, `π_ref` | policy in training, frozen policy after supervised fine-tuning | `[n, t]` each, as logs |
//! | `k(i, t)` | chain segment of a token ([`ChainSegments`]), where the [`TokenMask`] keeps it | `[n, t]`, `0..K` |
//! | `β` | scale of the implicit reward; of the evidence objective weight of the anchor | > 0 |
//! | `η` | how much posteriors trust the rewards | > 0 |
//! | `w` | weights of the chain segments ([`SegmentWeights`]) | `[n, K]`, ≥ 0, rows sum to K |
//! | `o`, `g` | outcome and user segment of a user | ≥ 0; an index |
//! | `R`, `A` | reward of a candidate and its advantage | `[n]` |
//! | `γ`, `T` | margin per unit of advantage; temperature of soft targets | ≥ 0; > 0 |
//! | `λ_sft` | weight of the SFT term | ≥ 0 |
//!
//! **Outcome-driven.** [`reward`] turns the realised outcome into a reward for a chain of that user,
//! `R = ln p̂(o | c, g) − ln p̂(o | g)`, or simply the agreement of the outcome's tier with the chain's last state.
//!
//! **Segment-aware, users.** [`advantage`] compares a reward with the user's own segment, with shrinkage to the
//! whole population: `A = (R − μ'_g) / σ'_g`.
//!
//! **Implicit reward.** For a policy that maximises `E[reward] − β KL(π ‖ π_ref)` the reward is, up to a constant of
//! the prompt, `β ln(π / π_ref)` (Rafailov et al. 2023, eq. 5). A token-wise model factorises it over tokens, and
//! thereby over anything made of tokens (Yuan et al. 2024). **Segment-aware, chains:** here over the steps of the
//! chain, so that steps can be weighed against each other:
//!
//! ```text
//! r_ik = β Σ_{t: k(i,t) = k} [ln π_θ(y_it | ·) − ln π_ref(y_it | ·)]          [n, K]
//! r_i  = Σ_k w_ik r_ik                                                        [n]
//! ```
//!
//! With `w = 1` the sum over segments is the sum over tokens, whatever the segments are.
//!
//! **Preference.** A Bradley–Terry model in which the better chain must win by a margin that grows with how much
//! better it is, over all `P` pairs of the same user with `A⁺ > A⁻`:
//!
//! ```text
//! L = mean or sum over pairs of  −ln σ(r⁺ − r⁻ − γ (A⁺ − A⁻)),    ∂/∂r⁺ = −σ(−(r⁺ − r⁻ − γ (A⁺ − A⁻))) = −∂/∂r⁻
//! ```
//!
//! With `w = 1`, `γ = 0` this is DPO's loss (Rafailov et al. 2023, eq. 7) on those pairs. [`PairLoss`] has label smoothing
//! (conservative DPO), the hinge, and IPO in the place of `−ln σ`.
//!
//! **Pointwise.** Every chain alone, with `y = σ(A / T)` or `1[A > 0]`:
//!
//! ```text
//! L = mean or sum over labelled candidates of  −[y ln σ(r) + (1 − y) ln σ(−r)],    ∂/∂r = σ(r) − y
//! ```
//!
//! With `w = 1` and hard `y` this is the cross-entropy of implicit process reward models (Yuan et al. 2024).
//!
//! **Policy.** On chains that were sampled from the policy, `G` for each user, with `π_old` the policy that sampled them. `P`
//! carries no gradient and is taken over the segments that have tokens:
//!
//! ```text
//! P_ik = w_ik r_ik                                               process reward, of the policy itself or of another model
//! b_i  = 1/(G − 1) Σ_{j ≠ i} mean_k P_jk                         leave-one-out over the user's other chains
//! A_ik = A_i + λ_p Σ_{k' ≥ k} δ^{k' − k} (P_ik' − b_i)
//! L    = mean or sum of  −min(ρ A, clip(ρ, 1 − ε_low, 1 + ε_high) A) + β_kl (e^{−d} − 1 + d)
//!        ρ = π_θ / π_old of a token or of the chain,  d = ln π_θ − ln π_ref of a token
//! ```
//!
//! `A_i` is made of the batch's advantages by [`GroupBaseline`]; a log-ratio above 60 (10 in
//! f16) counts as that. With one token per segment the
//! process part is PRIME's as the paper has it (Cui et al. 2025; its published code leaves the token itself out of the baseline
//! instead of its chain's mean). With `λ_p = 0` it is GRPO (Shao et al. 2024) for [`GroupBaseline::Standardised`] and ratios of
//! tokens, and RLOO (Ahmadian et al. 2024) with clipping, as TRL has it, for [`GroupBaseline::LeaveOneOut`] and ratios of chains.
//!
//! **Evidence.** With `π_θ(c|x)` over the chains `c` of a user, all legal ones or candidates, `J` is the log score of
//! the outcome by the mixture of the chains (for `η = 1`), less a hold on anchor users:
//!
//! ```text
//! J    = Σ_labelled (1/η) ln Z_u − β Σ_anchor KL(π_ref ‖ π_θ),    Z_u = Σ_c π_θ(c|x_u) e^{η R(u,c)}
//! L    = −J, or −J over the number of labelled and anchor users
//! ∂L/∂ln π_θ(c) = −π_θ(c) A(c),   A = (e^{ηR}/Z − 1)/η;    of an anchor β (π_θ − π_ref)
//! ```
//!
//! Candidates that were sampled from `μ` ([`CandidateBatch::with_sampling`]) count by self-normalised importance weights: `π_θ` becomes
//! `w ∝ π_θ/μ`, `Σ w = 1`, in `Z`, gradient and KL alike. Of enumerated chains that is `π_θ` itself. `R = −∞` rules a chain out.
//! The credit of each step is exact ([`evidence::StepCredit`]), so that no weights of chain segments are needed:
//!
//! ```text
//! V_K = e^{ηR},  V_{k−1} = Σ_{v_k} π V_k,   r_k = (1/η) ln(V_k / V_{k−1}),   Σ_k r_k = R − (1/η) ln Z,   q_k = π_k e^{η r_k}
//! ```
//!
//! Its limits are methods of their own (tested for value and gradient):
//!
//! | where | it is |
//! | --- | --- |
//! | `η → 0` | the policy gradient with the exact baseline: GRPO and RLOO without scaling |
//! | posteriors `q` frozen at `π_ref` | reward-weighted regression (Peters & Schaal 2007); AWR (Peng et al. 2019) with β = 1/η |
//! | `R ∈ {0, −∞}` | SFT on what is accepted, as in `STaR` (Zelikman et al. 2022) |
//! | `η → ∞` | the best of the chains |
//! | `R` constant | nothing moves but by the anchor, which is SFT on soft labels of `π_ref` |
//! | one posterior, `η = 1/β` | DPO's optimum `π_ref e^{R/β} / Z` in closed form (Rafailov et al. 2023, eq. 4) |
//! | posterior and policy in turn | EM (Dempster et al. 1977; Neal & Hinton 1998), and MPO without sampling (Abdolmaleki et al. 2018) |
//!
//! **SFT term.** `λ_sft` times the negative log-likelihood `−Σ_t ln π_θ` of each user's best chain, mean or sum over
//! users. A preference only widens a difference and may do so by lowering both sides; this term holds the better one
//! up. (As in the RPO variants of DPO, but summed over tokens, not averaged.)
//!
//! # Guarantees
//!
//! - *Masked positions never count.* Log-probabilities there may be NaN or infinite: they are replaced before
//!   anything is summed, and their gradient is exactly 0.
//! - *No host round trip.* Building a batch and computing a loss only uploads index and weight vectors.
//! - *No panic on input.* What does not fit is an [`Error`] with what was expected, what was found and where. The
//!   one thing that cannot be checked without a round trip, non-finite log-probabilities at kept positions, is
//!   reported by [`OsipoStats::read`] and located by [`CandidateBatch::check_finite`].
//! - *Invariance* of loss and gradient to padding and to the order of candidates, users and segments (but for `Given` weights, which
//!   name segments, and the process rewards of `Policy`, which add up the later ones); of the objective
//!   and of every gradient to a constant added to the log-probabilities of both policies (the SFT term itself shifts).
//!
//! # References
//!
//! - R. Rafailov et al., *Direct Preference Optimization: Your Language Model is Secretly a Reward Model*, 2023.
//! - L. Yuan et al., *Free Process Rewards without Process Labels*, 2024.
//! - E. Mitchell, *A note on DPO with noisy preferences and relationship to IPO*, 2023 (label smoothing).
//! - Y. Zhao et al., *SLiC-HF: Sequence Likelihood Calibration with Human Feedback*, 2023 (the hinge).
//! - M. G. Azar et al., *A General Theoretical Paradigm to Understand Learning from Human Preferences*, 2023 (IPO, eq. 17).
//! - Z. Shao et al., *`DeepSeekMath`*, 2024 (GRPO). A. Ahmadian et al., *Back to Basics*, 2024 (RLOO).
//! - G. Cui et al., *Process Reinforcement through Implicit Rewards*, 2025 (PRIME).
//! - A. P. Dempster et al., *Maximum Likelihood from Incomplete Data via the EM Algorithm*, 1977. R. M. Neal and G. E. Hinton, *A View of the EM
//!   Algorithm that Justifies Incremental, Sparse, and other Variants*, 1998. K. Lange, *A Gradient Algorithm Locally Equivalent to the EM
//!   Algorithm*, 1995.
//! - J. Peters and S. Schaal, *Reinforcement Learning by Reward-Weighted Regression for Operational Space Control*, 2007.
//! - A. Abdolmaleki et al., *Maximum a Posteriori Policy Optimisation*, 2018. X. B. Peng et al., *Advantage-Weighted Regression*, 2019.
//! - E. Zelikman et al., *`STaR`: Bootstrapping Reasoning With Reasoning*, 2022.
//! - A. Beirami et al., *On Optimal Generalizability in Parametric Learning*, 2017 (approximate leave-one-out).
//! - J. Schulman, *Approximating KL Divergence*, 2020 (the k3 estimator of [`OsipoReport::kl`]).
#![forbid(unsafe_code)]

pub mod advantage;
mod batch;
mod candidate;
mod config;
mod error;
pub mod evidence;
mod host;
mod implicit;
mod loss;
mod mask;
mod pairs;
mod policy;
pub mod reward;
mod stats;
mod weights;

pub use batch::CandidateBatch;
pub use candidate::Candidate;
pub use config::{
    GroupBaseline, Objective, OsipoLossConfig, PairLoss, PolicyConfig, RatioOf, Reduction, TokenMean,
};
pub use error::{Error, Result};
pub use host::log_probs_from_host;
pub use implicit::ImplicitRewards;
pub use loss::{OsipoLoss, OsipoOutput};
pub use mask::{ChainSegments, TokenMask};
pub use stats::{OsipoReport, OsipoStats};
pub use weights::{ENTROPY_FLOOR, SegmentWeights};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
