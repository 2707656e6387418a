//! The outcome model over all states of a chain.

mod additive;
mod amount;
mod config;
mod levels;

use scaletot_core::config::check;
use serde::{Deserialize, Serialize};

use self::additive::{Additive, Counts};
use self::amount::{Amount, AmountCounts};
pub use self::config::{OutcomeKind, OutcomeModelConfig};
use self::levels::TierLevels;
use super::Tiers;
use crate::evidence::{ChainRow, ChainSet, Label, LabelledUsers, check_labels, pass};
use crate::{Error, Result};

/// Most effects of values on tiers; systems of so many equations are solved.
const MAX_EFFECTS: usize = 2_048;

/// `p(o | c, g)`: what outcomes users of segment `g` have whose chain is `c`, by **all** states of the chain.
///
/// Over outcome tiers `t`, with effects `b` of every value `v_k` of every state `k`, and the segment's own level `p̂(t|g)`, shrunken to everybody's:
///
/// ```text
/// ln p(t | c, g) = ln p̂(t|g) + Σ_k b_{k,v_k,t} − ln Σ_t' p̂(t'|g) e^{Σ_k b_{k,v_k,t'}}
/// p̂(t|g) = (N_{g,t} + s p̂(t)) / (N_g + s),    p̂(t) = (N_t + s/T) / (N + s)
/// R(u,c) = ln p(o_u | c, g_u) − ln p̂(o_u | g_u)
/// ```
///
/// The effects maximise `Σ_u Σ_c q(c|u) ln p(t_u | c, g_u) − λ/2 Σ b²`, a concave function, under chain posteriors `q` (weights of users' chains, enumerated or candidates), by
/// damped Newton steps. So chains that say nothing of the outcome have `b = 0` and `R = 0`. The zero-inflated log-normal has the two
/// tiers zero and positive, and for positive outcomes `ln o ~ N(μ_g + Σ_k m_{k,v_k}, σ²)`, with the mean `μ_g` of the
/// segment's logarithms (shrunken likewise), ridge on `m`, and `R` the sum of both log-ratios.
///
/// **Left out.** A user that the model was fitted on is judged without itself: level and mean are counted without it, exactly, and effects move by one Newton
/// step of the fit without it, `(H − H_u) δ = −∇ℓ_u + ∂∇ℓ/∂p̂ · Δp̂` (approximate leave-one-out: the user's share of gradient and
/// curvature taken away, and the others judged at the levels without it). How little that differs from a fit without the user is tested.
///
/// **Cost.** One pass over users is linear in the lengths of their rows, whatever the number of segments: what it leaves are sums over users, of each value with each tier, and the weight of each chain within
/// *kinds* of segments (segments with the same numbers of users in each tier have the same level, and share a row). A
/// Newton step costs `kinds × C × T²`. There are never more kinds than some thousand and a ninth of the users: 20,000 users in as many segments are
/// at most T kinds.
///
/// ```
/// use scaletot_osipo::evidence::{ChainRow, ChainSet, Label, PolicyTable};
/// use scaletot_osipo::reward::{OutcomeModel, OutcomeModelConfig};
///
/// // Users of one segment; those whose second state is 1 spend.
/// let chains = ChainSet::all(vec![2, 2])?;
/// let mut users = PolicyTable::default();
/// for user in 0..200 {
///     let spends = user % 2;
///     let row = [0, 1, 2, 3].map(|c| if c % 2 == spends { 0.45_f32.ln() } else { 0.05_f32.ln() });
///     let label = Label { outcome: 20.0 * spends as f64, segment: 0 };
///     users.push(label, ChainRow { chains: None, log_probs: &row });
/// }
/// let fit = OutcomeModel::fit(&chains, &users, &OutcomeModelConfig::default())?;
/// let rewards = fit.model().rewards(&chains, Label { outcome: 20.0, segment: 0 })?;
/// assert!(rewards[1] > 0.1 && rewards[0] < -0.1);
/// let value = fit.model().expected(&chains, 0)?;
/// assert!(value[3] > value[2]);
/// # Ok::<(), scaletot_osipo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct OutcomeModel {
    config: OutcomeModelConfig,
    /// Number of values of each state.
    sizes: Vec<usize>,
    tiers: Tiers,
    levels: TierLevels,
    effects: Additive,
    /// Mean outcome of each tier.
    means: Vec<f64>,
    amount: Option<Amount>,
}

/// A model as it is stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    config: OutcomeModelConfig,
    sizes: Vec<usize>,
    tiers: Tiers,
    levels: TierLevels,
    effects: Additive,
    means: Vec<f64>,
    amount: Option<Amount>,
}

impl TryFrom<Unchecked> for OutcomeModel {
    type Error = Error;

    fn try_from(stored: Unchecked) -> Result<Self> {
        let Unchecked { config, sizes, tiers, levels, effects, means, amount } = stored;
        config.validate()?;
        let values = sizes.iter().try_fold(0_usize, |sum, &size| sum.checked_add(size)).unwrap_or(usize::MAX);
        let fits = levels.check(tiers.count())? && effects.check(values, tiers.count())?;
        let wants_amount = config.kind == OutcomeKind::ZeroInflatedLogNormal;
        let amount_fits = amount.as_ref().map(|amount| amount.check(values)).transpose()?;
        if !fits || sizes.contains(&0) || means.len() != tiers.count() || !amount_fits.unwrap_or(true) {
            let expected = format!("levels and effects for {values} values and {} tiers", tiers.count());
            return Err(Error::Shape { what: "outcome model", expected, found: "others".to_owned() });
        }
        if wants_amount != amount.is_some() {
            let expected = format!("amounts: {wants_amount}, as its settings say");
            return Err(Error::Shape {
                what: "outcome model",
                expected,
                found: amount.is_some().to_string(),
            });
        }
        check_numbers("mean outcome of a tier", &means, 0.0)?;
        Ok(Self { config, sizes, tiers, levels, effects, means, amount })
    }
}

/// Finite numbers of at least `least`.
fn check_numbers(what: &'static str, numbers: &[f64], least: f64) -> Result<()> {
    match numbers.iter().enumerate().find(|(_, x)| !(x.is_finite() && **x >= least)) {
        Some((row, &found)) => {
            let expected = if least == 0.0 { "a finite number of at least 0" } else { "a finite number" };
            Err(Error::InvalidValue { what, row, expected, found })
        }
        None => Ok(()),
    }
}

/// An [`OutcomeModel`], and what is needed to leave out a user whom it was fitted on.
#[derive(Debug, Clone)]
pub struct OutcomeFit {
    model: OutcomeModel,
    effects: additive::Curvature,
    amount: Option<amount::Curvature>,
}

/// Effects without one user.
#[derive(Debug, Clone, Default)]
pub(crate) struct Without {
    effects: Vec<f32>,
    amount: Vec<f32>,
    /// Squared residuals of the others.
    residuals: [f64; 2],
}

/// The sums over users that a fit is made of.
#[derive(Debug)]
pub(crate) struct Statistics {
    tiers: Tiers,
    levels: TierLevels,
    amounts: Option<amount::Means>,
    means: Vec<f64>,
    counts: Counts,
    amount_counts: Option<AmountCounts>,
}

impl Statistics {
    /// Sums of no user yet, for users with these labels, which were checked.
    pub(crate) fn new(chains: &ChainSet, labels: &[Label], config: &OutcomeModelConfig) -> Result<Self> {
        let outcomes: Vec<Option<f64>> = labels.iter().map(|label| Some(label.outcome)).collect();
        let amounts = config.kind == OutcomeKind::ZeroInflatedLogNormal;
        let count = if let OutcomeKind::Tiers { count } = config.kind { count } else { 2 };
        let tiers = Tiers::fit(&outcomes, count)?;
        let effects = chains.value_count() * tiers.count();
        let expected = "at most 2048 effects (values of all states, times outcome tiers)";
        check(effects <= MAX_EFFECTS, "tiers", expected, effects)?;
        let levels = TierLevels::count(labels, &tiers, config.segment_strength);
        let (mut sums, mut counted) = (vec![0.0; tiers.count()], vec![0.0; tiers.count()]);
        for label in labels {
            let tier = tiers.tier(label.outcome);
            counted[tier] += 1.0;
            // A running mean: a sum of large outcomes could overflow.
            sums[tier] += (label.outcome - sums[tier]) / counted[tier];
        }
        let means = amounts.then(|| amount::Means::count(labels, config.segment_strength));
        Ok(Self {
            counts: Counts::new(chains, &levels),
            amount_counts: means.is_some().then(|| AmountCounts::new(chains)),
            amounts: means,
            means: sums,
            tiers,
            levels,
        })
    }

    /// Adds a user with its posterior over the row's chains.
    pub(crate) fn add(&mut self, chains: &ChainSet, label: Label, of: &[usize], q: &[f64]) {
        let tier = self.tiers.tier(label.outcome);
        self.counts.add(chains, self.levels.kind(label.segment), tier, of, q);
        if let (Some(means), Some(counts)) = (&self.amounts, &mut self.amount_counts)
            && tier > 0
        {
            counts.add(chains, (label.segment, means.centred(label, false)), of, q);
        }
    }

    /// The model of all users added. `before` is where the search for its effects begins.
    pub(crate) fn fit(
        self,
        chains: &ChainSet,
        config: &OutcomeModelConfig,
        before: Option<&OutcomeModel>,
    ) -> Result<OutcomeFit> {
        let start = before.map(|model| model.effects.clone());
        let (effects, curvature) = self.counts.fit(chains, &self.levels, config.ridge, start)?;
        let amount = match (self.amounts, self.amount_counts) {
            (Some(means), Some(counts)) => Some(counts.fit(chains, means, config.ridge)?),
            _ => None,
        };
        let (amount, amount_curvature) = amount.unzip();
        let model = OutcomeModel {
            config: config.clone(),
            sizes: chains.sizes().to_vec(),
            tiers: self.tiers,
            levels: self.levels,
            effects,
            means: self.means,
            amount,
        };
        Ok(OutcomeFit { model, effects: curvature, amount: amount_curvature })
    }
}

impl OutcomeModel {
    /// Fits a model to users whose rows are the posteriors of their chains, as logarithms (at first, what the policy says).
    ///
    /// # Errors
    /// [`Error::Config`] from the config, or for more than 2,048 effects; [`Error::NoLabelled`] without a user, [`Error::InvalidValue`] for an outcome that is
    /// negative or not finite, [`Error::Empty`] if none is positive, those of the users' rows ([`Error::Shape`],
    /// [`Error::OutOfRange`], [`Error::RepeatedChain`], [`Error::InvalidValue`], [`Error::NoChain`]), and those of making them.
    pub fn fit<U: LabelledUsers + ?Sized>(
        chains: &ChainSet,
        users: &U,
        config: &OutcomeModelConfig,
    ) -> Result<OutcomeFit, U::Error> {
        config.validate()?;
        check_labels("outcome model", users.labels())?;
        let mut sums = Statistics::new(chains, users.labels(), config)?;
        let mut q = Vec::new();
        pass(chains, users, &mut |_, label, row| {
            q.clear();
            q.extend(row.log_probs.iter().map(|p| p.exp()));
            sums.add(chains, label, row.chains, &q);
            Ok(())
        })?;
        Ok(sums.fit(chains, config, None)?)
    }

    /// `R` of all chains of the set for a user who was not in the fit, `[C]`. A segment that was not fitted has everybody's level.
    ///
    /// # Errors
    /// [`Error::Shape`] for chains of other states, [`Error::InvalidValue`] for an outcome that is negative or not finite.
    pub fn rewards(&self, chains: &ChainSet, label: Label) -> Result<Vec<f64>> {
        self.check_chains(chains)?;
        check_labels("outcome model", &[label])?;
        let mut rewards = vec![0.0; chains.len()];
        let all: Vec<usize> = (0..chains.len()).collect();
        self.rewards_of(chains, label, &all, None, &mut rewards);
        Ok(rewards)
    }

    /// `E[o | c, g]` of all chains of the set, `[C]`, in units of the outcome: for ranking users by `Σ_c π(c|x) E[o | c, g]`. By tiers, each counts as its mean outcome.
    ///
    /// # Errors
    /// [`Error::Shape`] for chains of other states.
    pub fn expected(&self, chains: &ChainSet, segment: usize) -> Result<Vec<f64>> {
        self.check_chains(chains)?;
        let level = self.levels.log_probs(segment, None);
        let mut logits = vec![0.0; self.tiers.count()];
        let of_chain = |chain| {
            self.effects.log_probs(chains.singles(chain), &level, &mut logits);
            match &self.amount {
                Some(amount) => logits[1].exp() * amount.expected(segment, chains.singles(chain)),
                None => logits.iter().zip(&self.means).map(|(p, mean)| p.exp() * mean).sum(),
            }
        };
        Ok((0..chains.len()).map(of_chain).collect())
    }

    /// The tiers; of amounts, zero and positive.
    #[must_use]
    pub fn tiers(&self) -> &Tiers {
        &self.tiers
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &OutcomeModelConfig {
        &self.config
    }

    /// `b_{k,v,t}`, the effects of the values of each state in turn on each tier, row-major `[Σ_k V_k, T]`.
    #[must_use]
    pub fn effects(&self) -> &[f64] {
        self.effects.as_slice()
    }

    pub(crate) fn check_chains(&self, chains: &ChainSet) -> Result<()> {
        if self.sizes == chains.sizes() {
            return Ok(());
        }
        let (expected, found) = (format!("{:?} values", self.sizes), format!("{:?}", chains.sizes()));
        Err(Error::Shape { what: "states of the chains of an outcome model", expected, found })
    }

    /// Rewards of a row's chains for a user, without it if it was in the fit.
    pub(crate) fn rewards_of(
        &self,
        chains: &ChainSet,
        label: Label,
        of: &[usize],
        without: Option<&Without>,
        out: &mut [f64],
    ) {
        let tier = self.tiers.tier(label.outcome);
        let level = self.levels.log_probs(label.segment, without.map(|_| tier));
        let effects = without.map(|without| Additive::widened(&without.effects, level.len()));
        let effects = effects.as_ref().unwrap_or(&self.effects);
        let mut logits = vec![0.0; level.len()];
        for (out, &chain) in out.iter_mut().zip(of) {
            effects.log_probs(chains.singles(chain), &level, &mut logits);
            *out = logits[tier] - level[tier];
        }
        if let Some(amount) = self.amount.as_ref().filter(|_| tier > 0) {
            let without = without.map(|without| (without.amount.as_slice(), without.residuals));
            amount.add_rewards(chains, label, of, without, out);
        }
    }
}

impl OutcomeFit {
    /// The model.
    #[must_use]
    pub fn model(&self) -> &OutcomeModel {
        &self.model
    }

    /// The model alone.
    #[must_use]
    pub fn into_model(self) -> OutcomeModel {
        self.model
    }

    /// `R` of a row's chains for a user who **was** in the fit with this row, without the user.
    ///
    /// # Errors
    /// As [`OutcomeModel::rewards`], and those of a row that does not fit, as [`OutcomeModel::fit`].
    pub fn rewards_without(&self, chains: &ChainSet, label: Label, row: ChainRow<'_>) -> Result<Vec<f64>> {
        self.model.check_chains(chains)?;
        let mut one = crate::evidence::PolicyTable::default();
        one.push(label, row);
        check_labels("outcome model", one.labels())?;
        let mut rewards = Vec::new();
        pass(chains, &one, &mut |_, label, row| {
            let q: Vec<f64> = row.log_probs.iter().map(|p| p.exp()).collect();
            let without = self.without(chains, label, row.chains, &q);
            rewards = vec![0.0; q.len()];
            self.model.rewards_of(chains, label, row.chains, Some(&without), &mut rewards);
            Ok(())
        })?;
        Ok(rewards)
    }

    /// What the effects are without a user who was in the fit with posterior `q` of these chains.
    pub(crate) fn without(&self, chains: &ChainSet, label: Label, of: &[usize], q: &[f64]) -> Without {
        let tier = self.model.tiers.tier(label.outcome);
        let level = self.model.levels.log_probs(label.segment, None);
        let kind = self.model.levels.kind(label.segment);
        let (changes, share) = (self.model.levels.changes(kind, tier), self.model.levels.share_of_kind(kind));
        let own = additive::Own { level: &level, changes, share, kind, tier, of, q };
        let effects = self.effects.without(&self.model.effects, chains, &own);
        let amount = self.model.amount.as_ref().zip(self.amount.as_ref()).filter(|_| tier > 0);
        let (amount, residuals) = amount
            .map(|(amount, curvature)| curvature.without(amount, chains, label, of, q))
            .unwrap_or_default();
        Without { effects, amount, residuals }
    }
}
