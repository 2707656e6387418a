//! Rewards and advantages of candidate chains.

use scaletot_osipo::advantage::{SegmentMoments, SegmentReward};
use scaletot_osipo::reward::{OutcomeReward, TierAgreement, Tiers, UserOutcome};

use super::candidates::CandidateSet;
use super::config::{ChainReward, OsipoConfig};
use crate::error::Result;

/// Rewards of chains, fitted to the training users.
enum FittedReward {
    Outcome(OutcomeReward),
    Agreement(TierAgreement),
}

/// What makes advantages of chains: the reward and the moments within user segments, fitted to the training users.
pub(super) struct RewardModel {
    reward: FittedReward,
    moments: SegmentMoments,
    /// The outcome-linked state.
    last: usize,
}

impl RewardModel {
    /// Fits tiers, histograms and moments to `train` alone, and gives all sets their advantages. A training user is scored
    /// without its own outcome; the held-out users as new users would be.
    pub(super) fn fit(
        train: &mut [CandidateSet],
        held_out: &mut [CandidateSet],
        values: usize,
        last: usize,
        config: &OsipoConfig,
    ) -> Result<Self> {
        let outcomes: Vec<Option<f64>> = train.iter().map(|c| Some(c.outcome)).collect();
        let tiers = Tiers::fit(&outcomes, config.tiers)?;
        let reward = match &config.reward {
            ChainReward::Outcome(reward) => {
                let users = train.iter().map(|set| UserOutcome {
                    outcome: Some(set.outcome),
                    segment: set.user_segment,
                    state: &set.outcome_state,
                });
                let users: Vec<UserOutcome<'_>> = users.collect();
                FittedReward::Outcome(OutcomeReward::fit(tiers, &users, reward)?)
            }
            ChainReward::TierAgreement => FittedReward::Agreement(TierAgreement::new(tiers, values)?),
        };
        train.iter_mut().enumerate().for_each(|(user, set)| set.fitted_as = Some(user));
        let mut rewards = Vec::new();
        for set in train.iter() {
            let of = |reward| SegmentReward { segment: set.user_segment, reward: Some(reward) };
            rewards.extend(reward.of_all(set, last)?.into_iter().map(of));
        }
        let moments = SegmentMoments::fit(&rewards, config.kappa)?;
        let model = Self { reward, moments, last };
        train.iter_mut().chain(held_out).try_for_each(|set| model.score(set))?;
        Ok(model)
    }

    /// Gives a set the advantages of its chains.
    pub(super) fn score(&self, set: &mut CandidateSet) -> Result<()> {
        let rewards = self.reward.of_all(set, self.last)?;
        let advantage = |reward| self.moments.advantage(reward, set.user_segment);
        set.advantages = rewards.into_iter().map(advantage).collect();
        Ok(())
    }
}

impl FittedReward {
    fn of_all(&self, set: &CandidateSet, last: usize) -> Result<Vec<f64>> {
        set.chains.iter().map(|chain| self.of(set, usize::from(chain[last]))).collect()
    }

    /// Of a chain with that outcome-linked value.
    fn of(&self, set: &CandidateSet, value: usize) -> Result<f64> {
        Ok(match (self, set.fitted_as) {
            (Self::Outcome(fitted), Some(user)) => fitted.reward(user, value)?.unwrap_or(0.0),
            (Self::Outcome(fitted), None) => fitted.reward_unseen(set.user_segment, set.outcome, value)?,
            (Self::Agreement(fitted), _) => fitted.reward(set.outcome, value)?,
        })
    }
}
