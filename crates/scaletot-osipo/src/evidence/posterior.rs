//! The posterior of chains given the outcome, the evidence, and the credit of steps: of one user.

use std::collections::BTreeMap;

use scaletot_core::config::positive;
use scaletot_core::numeric::log_sum_exp;

use super::ChainSet;
use crate::{Error, Result};

/// The posterior `q(c|u) = π(c|x) e^{ηR(u,c)} / Z` of one user's chains, and the evidence.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Posterior {
    /// `(1/η) ln Z`, with `Z = Σ_c π(c|x) e^{ηR(u,c)}`, in nats: what the outcome's log score is above that of the user's segment.
    pub evidence: f64,
    /// `q(c|u)`, which sum to 1.
    pub probabilities: Vec<f64>,
}

impl Posterior {
    /// The posterior by a policy's log-probabilities, normalised here, and the chains' rewards. `−∞` is allowed in both: a chain that cannot be, and one
    /// that is ruled out. With rewards 0 and −∞ this is rejection; the larger η, the nearer the best chain among those that can be.
    ///
    /// ```
    /// use scaletot_osipo::evidence::Posterior;
    ///
    /// let ln = |p: f64| p.ln();
    /// let posterior = Posterior::new(&[ln(0.5), ln(0.3), ln(0.2)], &[0.0, f64::NEG_INFINITY, 0.0], 1.0)?;
    /// assert!((posterior.evidence - ln(0.7)).abs() < 1e-12);
    /// assert!((posterior.probabilities[0] - 5.0 / 7.0).abs() < 1e-12 && posterior.probabilities[1] == 0.0);
    /// # Ok::<(), scaletot_osipo::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] for an η that is not above 0, [`Error::Shape`], [`Error::InvalidValue`] for NaN or +∞ (the row is the chain),
    /// and [`Error::NoChain`] if no chain has both a probability above 0 and a reward above −∞.
    pub fn new(log_probs: &[f64], rewards: &[f64], eta: f64) -> Result<Self> {
        let mut log_probs = log_probs.to_vec();
        check_pair(&mut log_probs, rewards, eta)?;
        let mut probabilities = vec![0.0; rewards.len()];
        let evidence = posterior(0, &log_probs, rewards, eta, &mut probabilities)?;
        Ok(Self { evidence, probabilities })
    }
}

fn check_pair(log_probs: &mut [f64], rewards: &[f64], eta: f64) -> Result<()> {
    positive("eta", eta)?;
    if log_probs.len() != rewards.len() {
        let (expected, found) = (format!("{} rewards", log_probs.len()), rewards.len().to_string());
        return Err(Error::Shape { what: "rewards of chains", expected, found });
    }
    normalise(0, log_probs)?;
    check_rewards(rewards)
}

pub(crate) fn check_rewards(rewards: &[f64]) -> Result<()> {
    match rewards.iter().enumerate().find(|(_, r)| r.is_nan() || **r == f64::INFINITY) {
        Some((row, &found)) => {
            let (what, expected) = ("reward of a chain", "a finite number or −∞");
            Err(Error::InvalidValue { what, row, expected, found })
        }
        None => Ok(()),
    }
}

/// Log-probabilities of a user, made to sum to 1.
pub(crate) fn normalise(user: usize, log_probs: &mut [f64]) -> Result<()> {
    if let Some(&found) = log_probs.iter().find(|p| p.is_nan() || **p == f64::INFINITY) {
        let (what, expected) = ("log-probability of a chain", "a finite number or −∞");
        return Err(Error::InvalidValue { what, row: user, expected, found });
    }
    let sum = log_sum_exp(log_probs);
    if sum == f64::NEG_INFINITY {
        return Err(Error::NoChain { user });
    }
    log_probs.iter_mut().for_each(|p| *p -= sum);
    Ok(())
}

/// `q` into `out`, and `(1/η) ln Z`. Both numbers are sums over the same terms in the same order as of the policy alone, so that
/// rewards of 0 give exactly the policy, and evidence 0.
pub(crate) fn posterior(
    user: usize,
    log_probs: &[f64],
    rewards: &[f64],
    eta: f64,
    out: &mut [f64],
) -> Result<f64> {
    // The largest reward is taken out first: e^{ηR} never overflows, however large η is, and no difference is lost in it.
    let mut best = f64::NEG_INFINITY;
    for ((out, p), r) in out.iter_mut().zip(log_probs).zip(rewards) {
        *out = if *p == f64::NEG_INFINITY { *p } else { *r };
        best = best.max(*out);
    }
    if best == f64::NEG_INFINITY {
        return Err(Error::NoChain { user });
    }
    for (out, p) in out.iter_mut().zip(log_probs) {
        // Rewards that far apart that their difference overflows, times η, are as good as −∞.
        *out = p + eta * (*out - best);
    }
    let log_z = softmax(out) - log_sum_exp(log_probs);
    Ok(best + log_z / eta)
}

/// Overwrites logits, one of them finite, with probabilities, and gives the logarithm of their sum before.
pub(crate) fn softmax(logits: &mut [f64]) -> f64 {
    let sum = log_sum_exp(logits);
    logits.iter_mut().for_each(|x| *x = (*x - sum).exp());
    sum
}

/// The exact credit of every step of every chain: how much the step raised the expected `e^{ηR}`.
///
/// With `V_K(c) = e^{ηR(c)}` and `V_{k−1}(v_<k) = Σ_{v_k} π(v_k | x, v_<k) V_k(v_≤k)`,
///
/// ```text
/// r_k = (1/η) ln(V_k / V_{k−1}),    Σ_k r_k = R − (1/η) ln Z,    q(v_k | v_<k) = π(v_k | v_<k) e^{η r_k}
/// ```
///
/// for every chain that can be, so that the credit of a step is the reward of choosing its value with everything after left to the policy, and nothing is estimated.
/// A step after which only ruled-out chains (`R = −∞`) are left has credit −∞, and the steps after it 0. Below a step that
/// cannot be (`π = 0`) chains count evenly.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StepCredit {
    /// `(1/η) ln Z`.
    pub evidence: f64,
    /// `r_k` of every chain, row-major `[C, K]`.
    pub credit: Vec<f64>,
}

impl StepCredit {
    /// The credit of the steps of `chains`, by the policy's log-probabilities, normalised here, and the rewards.
    ///
    /// ```
    /// use scaletot_osipo::evidence::{ChainSet, StepCredit};
    ///
    /// // The second step decides, and only after the first one's value 1.
    /// let chains = ChainSet::all(vec![2, 2])?;
    /// let credit = StepCredit::new(&chains, &[0.25_f64.ln(); 4], &[0.0, 0.0, 0.0, 3.0], 1.0)?;
    /// let of = |chain: usize| &credit.credit[2 * chain..][..2];
    /// assert_eq!(of(0)[1], 0.0);
    /// assert!(of(3)[1] > 0.0 && of(2)[1] < 0.0);
    /// # Ok::<(), scaletot_osipo::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Posterior::new`].
    pub fn new(chains: &ChainSet, log_probs: &[f64], rewards: &[f64], eta: f64) -> Result<Self> {
        if log_probs.len() != chains.len() {
            let (expected, found) = (chains.len().to_string(), log_probs.len().to_string());
            return Err(Error::Shape { what: "log-probabilities of chains", expected, found });
        }
        let mut log_probs = log_probs.to_vec();
        check_pair(&mut log_probs, rewards, eta)?;
        let states = chains.states();
        // Below the best that can be, so that a constant reward has credit 0 exactly. What is beyond the range of numbers ends at its end.
        let possible = rewards.iter().zip(&log_probs).filter(|(_, p)| **p > f64::NEG_INFINITY);
        let best = possible.map(|(reward, _)| *reward).fold(f64::NEG_INFINITY, f64::max);
        if best == f64::NEG_INFINITY {
            return Err(Error::NoChain { user: 0 });
        }
        let scaled = |reward: &f64| match *reward {
            f64::NEG_INFINITY => f64::NEG_INFINITY,
            reward => (eta * (reward - best)).clamp(-1e300, 1e300),
        };
        let scaled: Vec<f64> = rewards.iter().map(scaled).collect();
        // `ln V` of the prefixes of one length, and which of them each chain begins with.
        let mut before = vec![0; chains.len()];
        let mut log_values = vec![value_of(&(0..chains.len()).collect::<Vec<_>>(), &log_probs, &scaled)];
        let evidence = best + log_values[0] / eta;
        let mut credit = vec![0.0; chains.len() * states];
        for step in 0..states {
            let mut members: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
            for (chain, values) in chains.iter().enumerate() {
                members.entry((before[chain], values[step])).or_default().push(chain);
            }
            let mut now = Vec::with_capacity(members.len());
            for ((parent, _), chains) in &members {
                let value = value_of(chains, &log_probs, &scaled);
                let from = log_values[*parent];
                let of_step = if from == f64::NEG_INFINITY { 0.0 } else { (value - from) / eta };
                for &chain in chains {
                    credit[chain * states + step] = of_step;
                    before[chain] = now.len();
                }
                now.push(value);
            }
            log_values = now;
        }
        Ok(Self { evidence, credit })
    }
}

/// `ln Σ_c π(c | one of these) e^{ηR(c)}`.
fn value_of(chains: &[usize], log_probs: &[f64], scaled: &[f64]) -> f64 {
    let largest = chains.iter().map(|&chain| log_probs[chain]).fold(f64::NEG_INFINITY, f64::max);
    let weight = |chain: usize| if largest == f64::NEG_INFINITY { 0.0 } else { log_probs[chain] - largest };
    let weights: Vec<f64> = chains.iter().map(|&chain| weight(chain)).collect();
    let terms: Vec<f64> = weights.iter().zip(chains).map(|(weight, &chain)| weight + scaled[chain]).collect();
    log_sum_exp(&terms) - log_sum_exp(&weights)
}
