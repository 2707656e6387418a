//! Networks as base models of a value model: the encoder's network, trained on outcomes alone.

use std::path::Path;

use burn::tensor::Device;
use scaletot_chain::ChainSchema;
use scaletot_core::Progress;
use scaletot_encoder::{ArtifactInfo, DistillData, Distiller, FrozenEncoder};
use scaletot_ltv::{BaseLearner, BaseLoader, BaseModel, LearnerError, Sample};
use scaletot_profile::{ProfileSchema, ProfileTable};

/// The name of the learner and of its models.
pub const NETWORK: &str = "network";

/// Trains the profile encoder's network on outcomes alone. A value model makes a committee of it: one network without each part of the
/// labelled users, and the mean of all for everybody else.
#[derive(Clone)]
pub struct NetworkLearner<'a> {
    distiller: Distiller,
    chain: &'a ChainSchema,
    device: &'a Device,
    progress: &'a dyn Progress,
}

impl std::fmt::Debug for NetworkLearner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetworkLearner").field("distiller", &self.distiller).finish_non_exhaustive()
    }
}

impl<'a> NetworkLearner<'a> {
    /// A learner that trains with that distiller. The chain schema is written into saved networks beside the profile schema; its states play
    /// no part in them. `progress` is asked for wishes to stop and shown nothing: several networks train at once.
    #[must_use]
    pub fn new(
        distiller: Distiller,
        chain: &'a ChainSchema,
        device: &'a Device,
        progress: &'a dyn Progress,
    ) -> Self {
        Self { distiller, chain, device, progress }
    }
}

impl BaseLearner for NetworkLearner<'_> {
    fn name(&self) -> &str {
        NETWORK
    }

    fn fit(&self, sample: &Sample<'_>, seed: u64) -> Result<Box<dyn BaseModel>, LearnerError> {
        let data = DistillData::new(sample.dataset(), self.chain).with_rows(sample.rows())?;
        let (trained, _) = self.distiller.fit(&data, seed, self.device, &Quiet(self.progress))?;
        Ok(Box::new(Network(trained.into_frozen())))
    }
}

/// A trained network.
#[derive(Debug)]
struct Network(FrozenEncoder);

impl BaseModel for Network {
    fn predict(&self, table: &ProfileTable, rows: &[usize]) -> Result<Vec<f64>, LearnerError> {
        let scores = self.0.score_rows(table, rows)?;
        let value = |(value, row): (Option<f64>, &usize)| {
            value.ok_or_else(|| format!("row {row} has too few populated fields for a prediction").into())
        };
        scores.values().zip(rows).map(value).collect()
    }

    fn save(&self, directory: &Path) -> Result<(), LearnerError> {
        Ok(self.0.save(directory, ArtifactInfo::new().with_note("outcomes alone, no signals"))?)
    }
}

/// Reads the networks of a saved value model.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetworkLoader;

impl BaseLoader for NetworkLoader {
    fn name(&self) -> &str {
        NETWORK
    }

    fn load(&self, directory: &Path, schema: &ProfileSchema) -> Result<Box<dyn BaseModel>, LearnerError> {
        Ok(Box::new(Network(FrozenEncoder::load(directory, schema)?)))
    }
}

/// Passes on the wish to stop, and shows nothing: for work that runs on several threads at once.
struct Quiet<'a>(&'a dyn Progress);

impl Progress for Quiet<'_> {
    fn stopped(&self) -> bool {
        self.0.stopped()
    }
}

#[cfg(test)]
mod tests {
    use scaletot_chain::StateDef;
    use scaletot_encoder::{DistillConfig, EncoderConfig};
    use scaletot_ltv::{Component, Error, ValueModel, ValueModelConfig, ValueTrainer};
    use scaletot_profile::{Dataset, FieldSpec, TableBuilder};

    use super::*;

    struct Stop;

    impl Progress for Stop {
        fn stopped(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_committee_is_saved_with_its_value_model_and_stops_on_request() {
        let schema = ProfileSchema::builder("shop")
            .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
            .with_field(FieldSpec::numeric("income"))
            .build()
            .unwrap();
        let mut rows = TableBuilder::new(schema.clone());
        for id in 0..60i64 {
            rows.push_text(id, &[["18-34", "35-54", "55+"][id as usize % 3], &(id % 7).to_string()]).unwrap();
        }
        let outcomes = (0..60).map(|id| (id % 4 != 0).then(|| f64::from(id % 7))).collect();
        let dataset = Dataset::builder(rows.finish()).with_outcomes(outcomes).build().unwrap();
        let chain =
            ChainSchema::builder("c").with_state(StateDef::ordinal("s", ["low", "high"])).build().unwrap();
        let device = Device::default();
        let mut distill = DistillConfig::default();
        distill.epochs = 3;
        let distiller = Distiller::new(EncoderConfig::default(), distill).unwrap();
        let config = ValueModelConfig::default().with_components([Component::Ridge, Component::Learners]);

        let learner = NetworkLearner::new(distiller.clone(), &chain, &device, &());
        let trainer = ValueTrainer::new(config.clone()).unwrap().with_learner(&learner);
        let model = trainer.fit(&dataset, None, 3, &()).unwrap();
        assert_eq!(model.linear_terms().learners.len(), 1);
        let place = tempfile::tempdir().unwrap();
        model.save(place.path().join("model")).unwrap();
        let loaded = ValueModel::load(place.path().join("model"), &schema, &[&NetworkLoader]).unwrap();
        let values = loaded.predict(dataset.table(), None).unwrap();
        assert_eq!(values, model.predict(dataset.table(), None).unwrap());
        // Members have seeds of their own, and a seed gives the same committee again.
        let again = trainer.fit(&dataset, None, 3, &()).unwrap().predict(dataset.table(), None).unwrap();
        assert_eq!(values, again);

        let stopped = NetworkLearner::new(distiller, &chain, &device, &Stop);
        let error = ValueTrainer::new(config)
            .unwrap()
            .with_learner(&stopped)
            .fit(&dataset, None, 3, &())
            .unwrap_err();
        assert!(matches!(error, Error::Learner { action: "fit", .. }), "{error}");
    }
}
