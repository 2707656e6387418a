//! The arms: what is done to the SFT student of a world.

use std::num::NonZeroUsize;

use anyhow::{Context, Result};
use scaletot_osipo::{Objective, PairLoss, PolicyConfig, SegmentWeights};
use scaletot_student::{ChainReward, OsipoConfig, SftConfig};

use super::results::SeedResult;

/// The student after SFT.
pub const SFT: &str = "sft";
/// SFT gone on with, as long as [`OSIPO`] took.
pub const SFT_LONGER: &str = "sft-longer";
/// OSIPO by its defaults.
pub const OSIPO: &str = "osipo";

/// Margin γ of the arms that have one: a unit of implicit reward for a standard deviation of the reward.
const GAMMA: f64 = 1.0;

/// One way to go on from the SFT student.
#[derive(Debug, Clone, Copy)]
pub struct Arm {
    /// Name.
    pub name: &'static str,
    /// What it is, in Markdown.
    pub what: &'static str,
    /// The arm that it differs from in one part.
    pub beside: Option<&'static str>,
    /// How it is trained.
    pub(super) training: Training,
}

/// How an arm is trained.
#[derive(Debug, Clone, Copy)]
pub(super) enum Training {
    /// Not at all.
    None,
    /// By SFT.
    Sft,
    /// By OSIPO, its defaults changed, within the users' segments or all users in one.
    Osipo { segments: bool, change: fn(&mut OsipoConfig) },
}

/// An arm of OSIPO with the users' segments.
const fn osipo(
    name: &'static str,
    beside: Option<&'static str>,
    what: &'static str,
    change: fn(&mut OsipoConfig),
) -> Arm {
    Arm { name, what, beside, training: Training::Osipo { segments: true, change } }
}

/// The same with all users in one segment.
const fn unsegmented(
    name: &'static str,
    beside: Option<&'static str>,
    what: &'static str,
    change: fn(&mut OsipoConfig),
) -> Arm {
    Arm { name, what, beside, training: Training::Osipo { segments: false, change } }
}

/// All arms, in the order of the page. `sft-longer` comes after `osipo`, whose steps it takes.
pub const ARMS: [Arm; 20] = [
    Arm {
        name: SFT,
        what: "the student after SFT, not trained further",
        beside: None,
        training: Training::None,
    },
    osipo(OSIPO, None, "OSIPO by its defaults: preference, outcome reward, uniform weights, γ = 0", |_| {}),
    Arm {
        name: SFT_LONGER,
        what: "SFT gone on with for as many steps as `osipo` took, at OSIPO's learning rate, nobody held out",
        beside: Some(SFT),
        training: Training::Sft,
    },
    osipo(
        "reward=tier-agreement",
        Some(OSIPO),
        "reward: agreement of the outcome's tier and the last state",
        tiers,
    ),
    unsegmented(
        "reward=tier-agreement, user-segments=none",
        Some("reward=tier-agreement"),
        "the same, all users one segment",
        tiers,
    ),
    osipo("weights=entropy", Some(OSIPO), "chain segments weighted by the search's entropy", |config| {
        config.loss.weights = SegmentWeights::Entropy;
    }),
    osipo("weights=learned", Some(OSIPO), "chain segments with weights learned along", |config| {
        config.loss.weights = SegmentWeights::Learned;
    }),
    unsegmented("user-segments=none", Some(OSIPO), "all users one segment", |_| {}),
    osipo("margin", Some(OSIPO), "preference with the margin γ = 1", margin),
    unsegmented("margin, user-segments=none", Some("margin"), "the same, all users one segment", margin),
    osipo("loss=hinge", Some(OSIPO), "preference with the hinge", |config| {
        config.loss.objective = Objective::Preference { gamma: 0.0, loss: PairLoss::Hinge };
    }),
    osipo("loss=ipo", Some(OSIPO), "preference with IPO's square", |config| {
        config.loss.objective = Objective::Preference { gamma: 0.0, loss: PairLoss::Ipo };
    }),
    osipo(
        "beta=0.1",
        Some(OSIPO),
        "β = 0.1 in place of 1, as is customary for people's judgements",
        |config| {
            config.loss.beta = 0.1;
        },
    ),
    osipo("sft-term=0", Some(OSIPO), "no SFT term, `λ_sft` = 0", |config| config.loss.sft_weight = 0.0),
    osipo("objective=pointwise", Some(OSIPO), "pointwise, soft targets at T = 1", pointwise),
    unsegmented(
        "objective=pointwise, user-segments=none",
        Some("objective=pointwise"),
        "the same, all users one segment",
        pointwise,
    ),
    osipo("objective=policy", Some(OSIPO), "policy gradient on the student's own chains", policy),
    unsegmented(
        "objective=policy, user-segments=none",
        Some("objective=policy"),
        "the same, all users one segment",
        policy,
    ),
    osipo(
        "objective=policy, process=0",
        Some("objective=policy"),
        "the same without process rewards: a chain's segments share one advantage",
        |config| config.loss.objective = Objective::Policy(PolicyConfig::default().with_process(0.0)),
    ),
    osipo(
        "objective=policy, weights=entropy",
        Some("objective=policy"),
        "the same, process rewards weighted by the search's entropy",
        |config| {
            policy(config);
            config.loss.weights = SegmentWeights::Entropy;
        },
    ),
];

fn tiers(config: &mut OsipoConfig) {
    config.reward = ChainReward::TierAgreement;
}

fn margin(config: &mut OsipoConfig) {
    config.loss.objective = Objective::preference(GAMMA);
}

fn pointwise(config: &mut OsipoConfig) {
    config.loss.objective = Objective::Pointwise { temperature: Some(1.0) };
}

fn policy(config: &mut OsipoConfig) {
    config.loss.objective = Objective::Policy(PolicyConfig::default());
}

impl Arm {
    /// Everything that decides the arm's training on a world, beyond the study's settings.
    pub(super) fn settings(&self, epochs: Option<NonZeroUsize>, world: &SeedResult) -> Result<String> {
        Ok(match self.training {
            Training::None => String::new(),
            Training::Sft => serde_json::to_string(&longer(world)?)?,
            Training::Osipo { segments, change } => {
                let config = serde_json::to_string(&osipo_config(change, epochs))?;
                format!("{} {config}", if segments { "segmented" } else { "unsegmented" })
            }
        })
    }
}

/// OSIPO by its defaults, changed, for at most so many epochs.
pub(super) fn osipo_config(change: fn(&mut OsipoConfig), epochs: Option<NonZeroUsize>) -> OsipoConfig {
    let mut config = OsipoConfig::default();
    change(&mut config);
    config.epochs = epochs.map_or(config.epochs, |most| config.epochs.min(most.get()));
    config
}

/// SFT with as many epochs and steps as [`OSIPO`] took on that world, at OSIPO's learning rate.
pub(super) fn longer(world: &SeedResult) -> Result<SftConfig> {
    let budget = world.arm(OSIPO).with_context(|| format!("`{OSIPO}` comes first"))?.budget;
    let per_epoch = (budget.steps / budget.epochs.max(1)).max(1);
    let mut config = SftConfig::default();
    config.learning_rate = OsipoConfig::default().learning_rate;
    config.validation_share = 0.0;
    config.epochs = budget.epochs.max(1);
    config.batch_size = world.accepted.div_ceil(per_epoch).max(1);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::super::results::{ArmResult, Budget};
    use super::*;

    #[test]
    fn arms_have_names_of_their_own_and_follow_what_they_are_beside() {
        for (place, arm) in ARMS.iter().enumerate() {
            assert!(ARMS[..place].iter().all(|other| other.name != arm.name), "{}", arm.name);
            let known = |name| ARMS[..place].iter().any(|other| other.name == name);
            assert!(arm.beside.is_none_or(known), "{}", arm.name);
            if let Training::Osipo { change, .. } = arm.training {
                let mut config = OsipoConfig::default();
                change(&mut config);
                config.validate().unwrap();
            }
        }
    }

    #[test]
    fn longer_sft_takes_the_steps_of_osipo() {
        for (users, per_epoch, epochs) in [(4_390, 110, 9), (4_000, 117, 15), (370, 10, 3), (50, 1, 1)] {
            let budget = Budget { steps: per_epoch * epochs, epochs, ..Budget::default() };
            let arm = ArmResult { arm: OSIPO.to_owned(), budget, ..ArmResult::default() };
            let world = SeedResult { accepted: users, arms: vec![arm], ..SeedResult::default() };
            let config = longer(&world).unwrap();
            let steps = config.epochs * users.div_ceil(config.batch_size);
            assert!(steps.abs_diff(budget.steps) * 20 <= budget.steps, "{steps} of {}", budget.steps);
            config.validate().unwrap();
        }
        assert!(longer(&SeedResult::default()).is_err());
    }
}
