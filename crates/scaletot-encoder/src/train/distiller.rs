//! Distillation as an object.

use burn::tensor::Device;
use scaletot_core::Progress;
use scaletot_core::config::check;

use super::data::TrainingData;
use super::distill_data::DistillData;
use super::log::DistillLog;
use super::network::{BaseRates, EncoderNetwork};
use super::outcome::OutcomeTask;
use super::trained::TrainedEncoder;
use super::trainer::Trainer;
use crate::config::{DistillConfig, EncoderConfig};
use crate::error::Result;
use crate::featuriser::Featuriser;
use crate::histogram::FieldHistogram;
use crate::manifest::Description;
use crate::plan::affordable;
use crate::shape::{Heads, NetworkShape};
use crate::weights::Weights;

/// Rows of all embedding tables that are trained: each step goes through them all, whether anybody of its users has the value or not.
const MAX_VALUES: usize = 1 << 17;

/// Trains encoders: from the student's signals on the users it has read, from outcomes on the users whose outcome is known, or from outcomes
/// alone, which is the *profile-only* network that signals have to beat.
///
/// The loss is `λ_rep (1 − cos) + λ_state Σ_k KL(student_k ‖ encoder_k) + λ_out ZILN(o)`, each a mean over the rows it is for (this
/// project's own formulation; representations are compared relative to their mean over the users the student has read). What the
/// three are in detail is chosen in [`DistillConfig`] and by [`EncoderConfig::outcome_head`].
///
/// `AdamW` with PyTorch's β and ε, linear warm-up and cosine decay, clipping by global norm. A share of the rows is held
/// out; the weights of the epoch with the least held-out loss are kept, with the λ of the last step so that epochs can be
/// compared: a loss whose weight ends at 0 plays no part in it.
///
/// The crate's front page has an example.
#[derive(Debug, Clone, PartialEq)]
pub struct Distiller {
    encoder: EncoderConfig,
    config: DistillConfig,
}

impl Distiller {
    /// A distiller of networks of some sizes.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) naming the first field that is out of range.
    pub fn new(encoder: EncoderConfig, config: DistillConfig) -> Result<Self> {
        encoder.validate()?;
        config.validate()?;
        Ok(Self { encoder, config })
    }

    /// The sizes of the network.
    #[must_use]
    pub fn encoder_config(&self) -> &EncoderConfig {
        &self.encoder
    }

    /// How it is trained.
    #[must_use]
    pub fn config(&self) -> &DistillConfig {
        &self.config
    }

    /// Trains an encoder. Rows without an outcome and without signals take no part in any loss. Initial weights, split, order and dropout are
    /// drawn from the seed: equal arguments give equal weights on one backend.
    ///
    /// # Errors
    /// [`Error::NothingToLearn`](crate::Error::NothingToLearn) when no row has a target of a loss whose weight is above 0,
    /// [`Error::NonFinite`](crate::Error::NonFinite) when the loss diverges, [`Error::Stopped`](crate::Error::Stopped) when `progress` asks to
    /// stop, and [`Error::Device`](crate::Error::Device) when the device fails.
    pub fn fit(
        &self,
        data: &DistillData<'_>,
        seed: u64,
        device: &Device,
        progress: &dyn Progress,
    ) -> Result<(TrainedEncoder, DistillLog)> {
        let (table, chain) = (data.dataset().table(), data.chain());
        let data = TrainingData::new(&self.config, data)?;
        let heads = Heads {
            outcome: data.labelled() > 0,
            states: if data.reasoned() > 0 { chain.domain_sizes() } else { vec![] },
            student_dim: data.centre.len() / chain.len().max(1),
        };
        let featuriser = Featuriser::fit_rows(table, &data.rows, self.encoder.bins)?;
        let values: usize = featuriser.widths().iter().sum();
        let expected = format!(
            "at most {MAX_VALUES} values of all fields together to train on: let rare values share one (`unknown = \"bucket\"`), or leave \
             a field out"
        );
        check(values <= MAX_VALUES, "profile schema", expected, values)?;
        let features = featuriser.transform(table, &data.rows)?;
        let (fit, held_out) = data.split(self.config.validation_share, seed);
        let known: Vec<f64> = fit.iter().filter_map(|&index| data.outcomes[index]).collect();
        let task = OutcomeTask::new(&self.encoder, &self.config, &known);
        let mut encoder = self.encoder.clone();
        if heads.outcome {
            encoder.outcome_head = task.head();
        }
        let means = data.mean_posterior(&fit);
        let base = BaseRates::new(task.base(), &means, data.centre.clone(), data.whitening.clone());
        let shape = NetworkShape::new(&featuriser, &encoder, heads.clone());
        // Refused before the training and not after it.
        affordable(&shape, &featuriser.numeric(), None)?;
        let weights = Weights::init(&shape, seed);
        let network = EncoderNetwork::new(shape, &weights, base, &device.clone().autodiff())?;
        let epochs = self.config.epochs_of(data.rows.len());
        let trainer = Trainer {
            config: &self.config,
            encoder: &encoder,
            task: &task,
            data: &data,
            features: &features,
            states: &heads.states,
            epochs,
            seed,
            progress,
        };
        progress.start("training the encoder", epochs as u64);
        let trained = trainer.run(network, &fit, &held_out);
        progress.finish();
        let (network, log) = trained?;
        let largest = data.outcomes.iter().flatten().copied().fold(0.0, f64::max);
        let cap = (encoder.cap_factor * largest).min(f64::MAX);
        let description = Description {
            profile_schema: table.schema().as_ref().clone(),
            chain_schema: chain.clone(),
            config: encoder,
            outcome: heads.outcome.then(|| task.link(cap)).transpose()?,
            value_head: None,
            heads,
            histograms: FieldHistogram::of(&featuriser, table, &data.rows)?,
            featuriser,
            training: self.describe(&log, seed),
        };
        Ok((TrainedEncoder::new(network, description)?, log))
    }

    /// What the manifest tells people about the training.
    fn describe(&self, log: &DistillLog, seed: u64) -> serde_json::Value {
        serde_json::json!({
            "settings": self.config,
            "seed": seed,
            "best_epoch": log.best_epoch,
            "best": log.best(),
            "epochs": log.epochs.len(),
            "train_rows": log.train_rows,
            "validation_rows": log.validation_rows,
            "labelled_rows": log.labelled_rows,
            "reasoned_rows": log.reasoned_rows,
        })
    }
}
