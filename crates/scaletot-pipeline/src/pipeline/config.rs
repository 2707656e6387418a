//! The settings of a run.

use scaletot_core::config::{check, share};
use scaletot_encoder::{DistillConfig, Distiller, EncoderConfig, TransferGate};
use scaletot_ltv::{ValueModelConfig, ValueTrainer};
use scaletot_profile::{LevelConfig, LevelRule};
use scaletot_search::{RefineConfig, Strategy};
use scaletot_student::{Osipo, OsipoConfig, Sft, SftConfig, StudentConfig};
use scaletot_teacher::ReasonerBuilder;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Everything that decides a run's results beside data, schemas, teacher, seed and backend.
///
/// ```
/// use scaletot_pipeline::PipelineConfig;
///
/// let config: PipelineConfig = serde_json::from_str(r#"{"coverage": 0.2, "min_populated": 2}"#)?;
/// assert_eq!((config.coverage, config.held_out), (0.2, 0.3));
/// assert!(serde_json::from_str::<PipelineConfig>(r#"{"covrage": 0.2}"#).is_err()); // unknown keys are refused
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PipelineConfig {
    /// Share of all users, in (0, 1], whom the teacher reasons about. The paper's 7.32 % by default, which is meant for a huge population.
    pub coverage: f64,
    /// Share of the users with a profile and a known outcome, in (0, 1), who are held out for the evaluation.
    pub held_out: f64,
    /// Users with fewer populated fields are abstained on; at least 1.
    pub min_populated: usize,
    /// Levels that a number is put into words by, 2 to 5.
    pub levels: usize,
    /// Which level a number has. Recorded answers hold for one rule only.
    pub level_rule: LevelRule,
    /// Unlabelled users that the teacher's prior is averaged over.
    pub calibration_users: usize,
    /// Share of the covered users, in [0, 1], about whom the teacher may fail: beyond it the run ends after the search, and asks about them again
    /// when it is run again. 0.05 by default. The students' training sees nothing of users about whom it failed.
    pub max_failed_share: f64,
    /// Hard bound on the questions of one user's search.
    pub max_queries: u64,
    /// How the teacher's chains are searched for.
    pub strategy: Strategy,
    /// The student's size.
    pub student: StudentConfig,
    /// Supervised fine-tuning.
    pub sft: SftConfig,
    /// Policy optimisation by outcomes.
    pub osipo: OsipoConfig,
    /// The encoder's size and heads; its `min_populated` is this config's.
    pub encoder: EncoderConfig,
    /// Distillation.
    pub distil: DistillConfig,
    /// The value model.
    pub value: ValueModelConfig,
    /// What the encoder has to show of the student on the held-out users, or its artifact is written as not ready.
    pub gate: TransferGate,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        let mut gate = TransferGate::default();
        gate.min_agreement = Some(0.5);
        Self {
            coverage: 0.0732,
            held_out: 0.3,
            min_populated: 3,
            levels: 5,
            level_rule: LevelRule::default(),
            calibration_users: 200,
            max_failed_share: ReasonerBuilder::MAX_FAILED_SHARE,
            max_queries: 64,
            strategy: Strategy::Refine(RefineConfig::default()),
            student: StudentConfig::default(),
            sft: SftConfig::default(),
            osipo: OsipoConfig::default(),
            encoder: EncoderConfig::default(),
            distil: DistillConfig::default(),
            value: ValueModelConfig::default(),
            gate,
        }
    }
}

impl PipelineConfig {
    /// How a number is rendered in words: [`levels`](Self::levels) by the [`level_rule`](Self::level_rule).
    #[must_use]
    pub fn level_config(&self) -> LevelConfig {
        LevelConfig::new(self.levels).with_rule(self.level_rule)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first that is out of range.
    pub fn validate(&self) -> Result<()> {
        share("coverage", self.coverage)?;
        let part = self.held_out > 0.0 && self.held_out < 1.0;
        check(part, "held_out", "a share above 0 and below 1", self.held_out)?;
        check(self.min_populated >= 1, "min_populated", "at least 1", self.min_populated)?;
        check(self.calibration_users >= 1, "calibration_users", "at least 1", self.calibration_users)?;
        let failed = self.max_failed_share;
        check((0.0..=1.0).contains(&failed), "max_failed_share", "a share from 0 to 1", failed)?;
        check((2..=5).contains(&self.levels), "levels", "2 to 5", self.levels)?;
        self.strategy.validate()?;
        self.gate.validate()?;
        self.value.validate()?;
        // What trains checks its settings when it is made: before anybody is asked, and not after the teacher was paid.
        Sft::new(self.sft.clone())?;
        Osipo::new(self.osipo.clone())?;
        Distiller::new(self.encoder.clone(), self.distil.clone())?;
        ValueTrainer::new(self.value.clone())?;
        Ok(())
    }
}
