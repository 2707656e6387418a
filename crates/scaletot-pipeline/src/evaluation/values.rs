//! The value models of one draw of labels, and what they predict of the fold's test users.

use std::collections::HashSet;

use scaletot_chain::Signals;
use scaletot_core::Progress;
use scaletot_ltv::{
    BaseFit, BaseLearner, BaseModel, Component, LearnerError, Representation, Sample, ValueModel,
    ValueModelConfig, ValueTrainer,
};
use scaletot_profile::Dataset;

use super::fold::{FoldWork, Learnt};
use super::folds::Draw;
use crate::error::{Context, Result};
use crate::fold::Folder;
use crate::networks::{NETWORK, NetworkLearner};

/// What is fitted on profiles alone at one draw, whatever the signals.
pub(super) struct DrawFit {
    base: BaseFit,
    /// The fold's training users with the outcomes of the draw.
    training: Dataset,
    /// The labelled users' rows of the table, and of the fold's training users.
    rows: Vec<usize>,
    train_rows: Vec<usize>,
}

impl FoldWork<'_> {
    /// Fits what is on profiles alone; `train` are the fold's training users.
    pub(super) fn fit(&self, draw: &Draw, train: &Dataset) -> Result<DrawFit> {
        // The last state's representation has seen all earlier ones.
        let config = ValueModelConfig::default().with_representation(Representation::Last);
        let networks = DrawNetworks { learner: self.network_learner()?, work: self, draw: draw.draw };
        let trainer = ValueTrainer::new(config)?.with_chain(&self.study.chain).with_learner(&networks);
        let known: HashSet<usize> = draw.rows.iter().copied().collect();
        let is_known = |row: &usize| known.contains(&self.fold.train[*row]);
        let labelled: Vec<usize> = (0..train.len()).filter(is_known).collect();
        let training = train.with_outcomes_of(&labelled)?;
        let base = trainer.fit_base(&training, self.seed(200 + draw.draw as u64), self.progress)?;
        let train_rows: Vec<usize> = training.labelled().collect();
        let rows = train_rows.iter().map(|&row| self.fold.train[row]).collect();
        Ok(DrawFit { base, training, rows, train_rows })
    }

    /// The values of the test users by profile and signals; without labels the level of the last state. What ranks users without any label
    /// stays in the stack, or a few labels would be worse than none. The models without signals are in it too, so that signals that say
    /// nothing can be left out.
    pub(super) fn with_signals(&self, fit: &DrawFit, signals: &Signals) -> Result<Vec<f64>> {
        let model = value_model(fit, signals, self.progress)?;
        Ok(model.predict_rows(self.study.dataset.table(), &self.fold.test, signals)?)
    }

    /// The values of the test users by the encoder alone, with the value model folded in as an artifact has it; without labels numbers that
    /// rank as the level of the last state.
    pub(super) fn served(&self, fit: &DrawFit, learnt: &Learnt) -> Result<Vec<f64>> {
        let model = value_model(fit, &learnt.encoder, self.progress)?;
        let folder = Folder {
            encoder: &learnt.frozen,
            training: &fit.training,
            device: self.device,
            progress: self.progress,
            seed: self.seed(8),
        };
        let head = folder.fold(&model, &fit.base)?;
        let serving = learnt.frozen.clone().with_value_head(head)?;
        let scores = serving.score_rows(self.study.dataset.table(), &self.fold.test)?;
        scores.values().collect::<Option<_>>().context("a test user was abstained on")
    }

    /// The values of the test users by the arms on the profile alone; none without labels.
    pub(super) fn without_signals(&self, fit: &DrawFit) -> Result<Vec<(&'static str, Vec<f64>)>> {
        if fit.rows.is_empty() {
            return Ok(Vec::new());
        }
        let (profiles, test) = (self.study.dataset.table(), self.fold.test.as_slice());
        let values = |components: &[Component]| -> Result<Vec<f64>> {
            let model = fit.base.value_model(components, None, self.progress)?;
            Ok(model.predict_rows(profiles, test, None)?)
        };
        let networks = fit.base.committee_log_values(NETWORK, profiles, test)?.unwrap_or_default();
        Ok(vec![
            ("stack", values(&[Component::Ridge, Component::Learners])?),
            ("ridge", values(&[Component::Ridge])?),
            ("profile", networks.into_iter().map(f64::exp_m1).collect()),
        ])
    }
}

/// The value model on profile and signals.
fn value_model(fit: &DrawFit, signals: &Signals, progress: &dyn Progress) -> Result<ValueModel> {
    let known = signals.select(&fit.rows)?.with_rows(fit.train_rows.clone())?;
    Ok(fit.base.value_model(&ValueModelConfig::default().components, &known, progress)?)
}

/// Networks with seeds of the fold and the draw.
struct DrawNetworks<'a> {
    learner: NetworkLearner<'a>,
    work: &'a FoldWork<'a>,
    draw: usize,
}

impl BaseLearner for DrawNetworks<'_> {
    fn name(&self) -> &str {
        self.learner.name()
    }

    fn fit(&self, sample: &Sample<'_>, _seed: u64) -> Result<Box<dyn BaseModel>, LearnerError> {
        let number = self.draw * ValueModelConfig::default().parts + sample.member();
        self.learner.fit(sample, self.work.seed(100 + number as u64))
    }
}
