//! The E/M rounds: outcome model and tilt in turn, and the choice between tilt and reference.

use scaletot_core::config::{check, positive};
use serde::{Deserialize, Serialize};

use super::choice::{EvidenceChoice, choose};
use super::round::Round;
use super::tilt::Table;
use super::{ChainSet, Label, LabelledUsers, Row, Tilt, TiltConfig, check_labels, posterior};
use crate::Result;
use crate::reward::{OutcomeFit, OutcomeModel, OutcomeModelConfig, Statistics, Without};

/// Settings of [`EvidenceEm`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EvidenceConfig {
    /// η > 0; at 1, the default, the objective is the log evidence. Smaller trusts the rewards less.
    pub eta: f64,
    /// E/M rounds, at least 1. Default 20.
    pub rounds: usize,
    /// Rounds without a higher held-out evidence after which they end. Default 4.
    pub patience: usize,
    /// The outcome model.
    pub outcome: OutcomeModelConfig,
    /// The tilt.
    pub tilt: TiltConfig,
}

impl Default for EvidenceConfig {
    fn default() -> Self {
        Self {
            eta: 1.0,
            rounds: 20,
            patience: 4,
            outcome: OutcomeModelConfig::default(),
            tilt: TiltConfig::default(),
        }
    }
}

impl EvidenceConfig {
    /// Sets η.
    #[must_use]
    pub fn with_eta(mut self, eta: f64) -> Self {
        self.eta = eta;
        self
    }

    /// Sets the number of rounds.
    #[must_use]
    pub fn with_rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// Sets the rounds without progress after which they end.
    #[must_use]
    pub fn with_patience(mut self, patience: usize) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the outcome model's settings.
    #[must_use]
    pub fn with_outcome(mut self, outcome: OutcomeModelConfig) -> Self {
        self.outcome = outcome;
        self
    }

    /// Sets the tilt's settings.
    #[must_use]
    pub fn with_tilt(mut self, tilt: TiltConfig) -> Self {
        self.tilt = tilt;
        self
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the first that is out of its range.
    pub fn validate(&self) -> Result<()> {
        positive("eta", self.eta)?;
        check(self.rounds > 0, "rounds", "at least 1", self.rounds)?;
        check(self.patience > 0, "patience", "at least 1", self.patience)?;
        self.outcome.validate()?;
        self.tilt.validate()
    }
}

/// Fits an outcome model and a [`Tilt`] to labelled users by alternating posteriors, model and tilt, and says by held-out users whether the
/// tilt is worth having.
///
/// A round: rewards of the users by the outcome model **without each user's own part**; posteriors; a step of the tilt
/// ([`improve`](super::improve)); the outcome model anew under the new posteriors. After each, the evidence of the training users is at least that of
/// the reference by the same rewards. The held-out users' evidence is watched, and the round with the highest is kept. The
/// reference is given the same rounds, with the outcome model alone to fit, and the tilt has to beat it by more than one standard error of the paired
/// difference ([`choose`]); else it is 0, and the student stays as it is.
///
/// **Cost.** Three passes over training users (more where a step is halved) and one over held-out users in a round, and as many for the reference, each linear in the
/// lengths of the rows; in memory is nothing of the size `[users, C]`, but each training user's leave-one-out
/// effects (`Σ_k V_k · T` numbers of 4 bytes).
///
/// ```
/// use scaletot_osipo::evidence::{ChainRow, ChainSet, EvidenceConfig, EvidenceEm, Label, PolicyTable};
///
/// // The reference finds the two values of the only state equally probable for everybody; most users spend nothing.
/// let chains = ChainSet::all(vec![2])?;
/// let users = |n: usize| {
///     let mut users = PolicyTable::default();
///     for user in 0..n {
///         let outcome = if user % 4 == 0 { 10.0 } else { 0.0 };
///         users.push(Label { outcome, segment: 0 }, ChainRow { chains: None, log_probs: &[0.5_f32.ln(); 2] });
///     }
///     users
/// };
/// let fit = EvidenceEm::new(EvidenceConfig::default())?.fit(&chains, &users(200), &users(100))?;
/// assert!(fit.tilt.is_zero()); // chains that tell nobody from anybody teach nothing
/// println!("{}", fit.choice);
/// # Ok::<(), scaletot_osipo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceEm {
    config: EvidenceConfig,
}

/// What [`EvidenceEm::fit`] found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EvidenceFit {
    /// The tilt; 0 if the held-out evidence did not choose it.
    pub tilt: Tilt,
    /// The outcome model that belongs to it.
    pub outcome: OutcomeModel,
    /// The choice between `reference` and `tilt`, with the margin in words.
    pub choice: EvidenceChoice,
    /// Held-out log evidence of each held-out user of what was chosen, in nats: to compare a whole network with, by [`choose`].
    pub held_out: Vec<f64>,
    /// The rounds of the tilt.
    pub rounds: Vec<RoundLog>,
}

/// One round of [`EvidenceEm::fit`]. Evidence is the mean over users, in nats above what the users' segments alone say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RoundLog {
    /// Counted from 1.
    pub round: usize,
    /// Of the training users, each judged without its own part in the outcome model.
    pub evidence: f64,
    /// Of the same users by the same rewards without the tilt; never more.
    pub reference_evidence: f64,
    /// Of the held-out users, after the outcome model was fitted anew.
    pub held_out: f64,
}

/// The best round of the reference, or of the tilt.
struct Arm {
    tilt: Tilt,
    outcome: OutcomeModel,
    held_out: Vec<f64>,
    rounds: Vec<RoundLog>,
}

impl EvidenceEm {
    /// With these settings.
    ///
    /// # Errors
    /// As [`EvidenceConfig::validate`].
    pub fn new(config: EvidenceConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config })
    }

    /// Fits to `train` and chooses by `held_out`: other users, whose rows are the same policy's.
    ///
    /// # Errors
    /// [`Error::NoLabelled`](crate::Error::NoLabelled) if either has no users, and those of [`Tilt::zero`], [`OutcomeModel::fit`] and
    /// [`improve`](super::improve).
    pub fn fit<T, H>(&self, chains: &ChainSet, train: &T, held_out: &H) -> Result<EvidenceFit, T::Error>
    where
        T: LabelledUsers + ?Sized,
        H: LabelledUsers<Error = T::Error> + ?Sized,
    {
        check_labels("evidence", train.labels())?;
        check_labels("held-out evidence", held_out.labels())?;
        let zero = Tilt::zero(chains, &self.config.tilt)?;
        let first = OutcomeModel::fit(chains, train, &self.config.outcome)?;
        let reference = self.arm(chains, (train, held_out), first.clone(), zero.clone(), false)?;
        let tilted = self.arm(chains, (train, held_out), first, zero, true)?;
        let choice =
            choose(&[("reference", reference.held_out.as_slice()), ("tilt", tilted.held_out.as_slice())])?;
        let rounds = tilted.rounds.clone();
        let Arm { tilt, outcome, held_out, .. } = if choice.chosen == 0 { reference } else { tilted };
        Ok(EvidenceFit { tilt, outcome, choice, held_out, rounds })
    }

    /// The rounds from `zero` and its first outcome model, with steps of the tilt if it `learns`.
    fn arm<T, H>(
        &self,
        chains: &ChainSet,
        (train, held_out): (&T, &H),
        first: OutcomeFit,
        zero: Tilt,
        learns: bool,
    ) -> Result<Arm, T::Error>
    where
        T: LabelledUsers + ?Sized,
        H: LabelledUsers<Error = T::Error> + ?Sized,
    {
        let eta = self.config.eta;
        let mut round = Round { chains, users: train, eta };
        let of_held_out = log_evidence(chains, held_out, first.model(), &zero)?;
        let mut best =
            Arm { tilt: zero.clone(), outcome: first.model().clone(), held_out: of_held_out, rounds: vec![] };
        let (mut fit, mut tilt) = (first, zero);
        let (mut rounds, mut best_round) = (vec![], 0);
        for number in 1..=self.config.rounds {
            let under = if number == 1 { Under::Policy } else { Under::Posterior };
            let mut left_out = LeftOut::new(chains, &fit, &tilt, eta, under);
            let mut rewards = |user: usize, label: Label, row: &Row<'_>, out: &mut [f64]| {
                left_out.rewards(user, label, row, out)
            };
            let begun = round.begin(tilt.clone(), &mut rewards)?;
            let reference_evidence = begun.reference_evidence;
            let (moved, evidence) =
                if learns { round.step(begun, &mut rewards)? } else { (begun.tilt, begun.evidence) };
            let mut sums = Statistics::new(chains, train.labels(), &self.config.outcome)?;
            round.each(&moved, &mut rewards, &mut |user| {
                sums.add(chains, user.label, user.of, user.q);
                Ok(())
            })?;
            let next = sums.fit(chains, &self.config.outcome, Some(fit.model()))?;
            (fit, tilt) = (next, moved);
            let of_held_out = log_evidence(chains, held_out, fit.model(), &tilt)?;
            let held_out = mean(&of_held_out);
            rounds.push(RoundLog { round: number, evidence, reference_evidence, held_out });
            if held_out > mean(&best.held_out) {
                let (tilt, outcome) = (tilt.clone(), fit.model().clone());
                best = Arm { tilt, outcome, held_out: of_held_out, rounds: vec![] };
                best_round = number;
            } else if number - best_round >= self.config.patience {
                break;
            }
        }
        Ok(Arm { rounds, ..best })
    }
}

/// Log evidence `(1/η) ln Z_u` at `η = 1` of each user who was not in the fit of `outcome`, in nats above what the user's segment alone
/// says: a proper score of policies, and what [`choose`] compares. A network's own rows are judged with tilt 0.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for chains of other states, [`Error::NoLabelled`](crate::Error::NoLabelled) without a user,
/// and those of the users' rows.
pub fn log_evidence<U: LabelledUsers + ?Sized>(
    chains: &ChainSet,
    users: &U,
    outcome: &OutcomeModel,
    tilt: &Tilt,
) -> Result<Vec<f64>, U::Error> {
    outcome.check_chains(chains)?;
    tilt.check_chains(chains)?;
    check_labels("log evidence", users.labels())?;
    let mut evidence = Vec::with_capacity(users.labels().len());
    let mut rewards = |_: usize, label: Label, row: &Row<'_>, out: &mut [f64]| {
        outcome.rewards_of(chains, label, row.chains, None, out);
        Ok(())
    };
    Round { chains, users, eta: 1.0 }.each(tilt, &mut rewards, &mut |user| {
        evidence.push(user.evidence);
        Ok(())
    })?;
    Ok(evidence)
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// What an outcome model was fitted under.
#[derive(Clone, Copy, PartialEq)]
enum Under {
    Policy,
    Posterior,
}

/// Rewards of training users, each by the outcome model without the user.
struct LeftOut<'a> {
    chains: &'a ChainSet,
    fit: &'a OutcomeFit,
    tilt: &'a Tilt,
    table: Table,
    eta: f64,
    under: Under,
    /// Of the users seen so far; each is computed in the first pass.
    without: Vec<Without>,
    policy: Vec<f64>,
    weights: Vec<f64>,
}

impl<'a> LeftOut<'a> {
    /// `fit` was fitted under the policy of `tilt`, or its posteriors.
    fn new(chains: &'a ChainSet, fit: &'a OutcomeFit, tilt: &'a Tilt, eta: f64, under: Under) -> Self {
        let table = Table::new(tilt, chains);
        let (without, policy, weights) = (vec![], vec![], vec![]);
        Self { chains, fit, tilt, table, eta, under, without, policy, weights }
    }

    fn rewards(&mut self, user: usize, label: Label, row: &Row<'_>, out: &mut [f64]) -> Result<()> {
        let (chains, model) = (self.chains, self.fit.model());
        if user == self.without.len() {
            self.policy.clear();
            self.policy.extend_from_slice(row.log_probs);
            self.table.add(self.tilt, chains, label.segment, row.chains, &mut self.policy);
            self.weights.clear();
            self.weights.resize(row.chains.len(), 0.0);
            // The posterior that a user brought into the fit is taken for the one by the fit, which it becomes as the rounds converge; to keep
            // all of them would take `[users, C]`.
            if self.under == Under::Posterior {
                model.rewards_of(chains, label, row.chains, None, out);
            } else {
                out.fill(0.0);
            }
            posterior(user, &self.policy, out, self.eta, &mut self.weights)?;
            self.without.push(self.fit.without(chains, label, row.chains, &self.weights));
        }
        model.rewards_of(chains, label, row.chains, self.without.get(user), out);
        Ok(())
    }
}
