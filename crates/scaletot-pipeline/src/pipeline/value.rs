//! The value model: fitted on profile and signals, compared with what knows the profile alone, and folded into the artifact.

use std::collections::BTreeMap;

use scaletot_core::Progress;
use scaletot_core::files::write_json;
use scaletot_encoder::{Distiller, FrozenEncoder};
use scaletot_ltv::{Component, ValueModel, ValueTrainer};
use serde::{Deserialize, Serialize};

use super::record::StageReport;
use super::split::known_outcomes;
use super::{Done, Pipeline, Stage, read_json, settings};
use crate::error::{Context, Result};
use crate::fold::{Folder, served_difference};
use crate::networks::{NetworkLearner, NetworkLoader};
use crate::options::device_name;
use crate::signals::of_everybody;

/// What predicts from the profile alone, with the components of the value model that it is made of.
pub(crate) const PROFILE_ONLY: [(&str, &[Component]); 3] = [
    ("ridge, profile", &[Component::Ridge]),
    ("networks, profile", &[Component::Learners]),
    ("stack, profile", &[Component::Ridge, Component::Learners]),
];

/// The value model's name in comparisons.
pub(crate) const SCALETOT: &str = "scaletot";

/// The name of what the artifact serves.
pub(crate) const SERVED: &str = "served";

/// The fitted value model and the encoder that serves it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Artifact {
    /// The value model, as it was fitted.
    pub model: ValueModel,
    /// The encoder with the value model folded in: what `artifact` holds.
    pub encoder: FrozenEncoder,
    /// What every model predicts of the held-out users, by its name, in the order of the split.
    pub held_out: BTreeMap<String, Vec<f64>>,
}

/// `value-model.held-out.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeldOut {
    predictions: BTreeMap<String, Vec<f64>>,
}

impl Pipeline {
    /// Fits the value model on the training users' profiles and the encoder's signals, folds it into the encoder, and writes both:
    /// `value-model` and `artifact`, which states how far the served values are from the model's on the held-out users.
    ///
    /// # Errors
    /// If too few outcomes are known, training fails or a file cannot be written; [`Error::Stopped`](crate::Error::Stopped).
    pub fn value(&self, encoder: &Done<FrozenEncoder>, progress: &dyn Progress) -> Result<Done<Artifact>> {
        let inputs = self.inputs([
            ("encoder", encoder.hash.short()),
            ("value", settings(&self.config.value)?),
            ("device", device_name(&self.device)),
        ]);
        self.stage(
            Stage::Value,
            inputs,
            progress,
            || self.load_artifact(),
            || {
                let distiller = Distiller::new(self.config.encoder.clone(), self.config.distil.clone())?;
                let networks = NetworkLearner::new(distiller, &self.chain, &self.device, progress);
                let trainer = ValueTrainer::new(self.config.value.clone())?
                    .with_chain(&self.chain)
                    .with_learner(&networks);
                let base = trainer.fit_base(&self.training, self.seed, progress)?;
                let signals = of_everybody(&encoder.value, self.training.table())?;
                let model = base.value_model(&self.config.value.components, &signals, progress)?;
                let folder = Folder {
                    encoder: &encoder.value,
                    training: &self.training,
                    device: &self.device,
                    progress,
                    seed: self.seed,
                };
                let head = folder.fold(&model, &base)?;
                let served = encoder.value.clone().with_value_head(head)?;

                let test = self.held_out.table();
                let rows: Vec<usize> = (0..test.len()).collect();
                let mut held_out = BTreeMap::new();
                for (name, components) in PROFILE_ONLY {
                    let alone = base.value_model(components, None, progress)?;
                    held_out.insert(name.to_owned(), alone.predict(test, None)?);
                }
                let fitted = model.predict(test, &of_everybody(&encoder.value, test)?)?;
                let values = served.score_rows(test, &rows)?;
                let values: Vec<f64> =
                    values.values().collect::<Option<_>>().context("a held-out user was abstained on")?;
                let difference = served_difference(&fitted, &values)?;
                held_out.insert(SCALETOT.to_owned(), fitted);
                held_out.insert(SERVED.to_owned(), values);

                let mut report = StageReport::of_users(known_outcomes(&self.training).len());
                report.figures.extend([
                    ("served: rank correlation with the value model".to_owned(), difference.spearman),
                    ("served: mean relative error".to_owned(), difference.relative_error),
                ]);
                let mut info = encoder.value.info().clone();
                for (name, value) in &report.figures {
                    info = info.with_metric(name, *value);
                }
                model.save(self.path("value-model"))?;
                served.save(self.path("artifact"), info)?;
                write_json(self.path("value-model.held-out.json"), &HeldOut { predictions: held_out })?;
                Ok((self.load_artifact()?, report))
            },
        )
    }

    fn load_artifact(&self) -> Result<Artifact> {
        let schema = self.dataset.table().schema();
        let HeldOut { predictions } = read_json(&self.path("value-model.held-out.json"))?;
        Ok(Artifact {
            model: ValueModel::load(self.path("value-model"), schema, &[&NetworkLoader])?,
            encoder: FrozenEncoder::load_for_inspection(self.path("artifact"))?,
            held_out: predictions,
        })
    }
}
