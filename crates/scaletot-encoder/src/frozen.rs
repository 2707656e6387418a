//! The encoder as it serves: loaded from an artifact, verified, without a training framework.

use std::path::Path;

use ndarray::{Array2, Array3, Axis};
use scaletot_chain::ChainSchema;
use scaletot_profile::{ProfileSchema, ProfileTable};

use crate::artifact::Artifact;
use crate::canary::Canaries;
use crate::config::EncoderConfig;
use crate::error::{Error, Result};
use crate::features::Features;
use crate::featuriser::Featuriser;
use crate::histogram::FieldHistogram;
use crate::manifest::{ArtifactInfo, Description, difference};
use crate::network::{Network, Outputs};
use crate::outcome::OutcomeScale;
use crate::scores::{Scores, softmax};
use crate::shape::Heads;
use crate::targets::Targets;
use crate::transfer::TransferReport;
use crate::weights::Weights;

/// Profiles whose features are held in memory at once.
const BATCH: usize = 8192;

/// A trained encoder that scores profiles.
///
/// See the crate's front page for an example.
#[derive(Debug, Clone, PartialEq)]
pub struct FrozenEncoder {
    description: Description,
    info: ArtifactInfo,
    network: Network,
    canaries: Canaries,
}

impl FrozenEncoder {
    pub(crate) fn new(description: Description, weights: &Weights) -> Result<Self> {
        description.check()?;
        let network = Network::new(description.shape(), weights)?;
        let Description { profile_schema, featuriser, histograms, .. } = &description;
        let canaries = Canaries::record(profile_schema, featuriser, histograms, &network)?;
        Ok(Self { description, info: ArtifactInfo::default(), network, canaries })
    }

    /// An encoder with random weights, for tests and measurements of what scores and stores: its numbers mean nothing.
    /// The featuriser is fitted on the table.
    ///
    /// # Errors
    /// [`Error::Config`] for bad sizes, [`Error::Shape`] for heads that do not fit the chain schema.
    pub fn with_random_weights(
        config: &EncoderConfig,
        table: &ProfileTable,
        chain: &ChainSchema,
        heads: Heads,
        seed: u64,
    ) -> Result<Self> {
        config.validate()?;
        let featuriser = Featuriser::fit(table, config.bins)?;
        let rows: Vec<usize> = (0..table.len()).collect();
        let scale = OutcomeScale::new(config.sigma_floor, 1e6)?;
        let description = Description {
            profile_schema: table.schema().as_ref().clone(),
            chain_schema: chain.clone(),
            config: config.clone(),
            outcome: heads.outcome.then_some(scale),
            heads,
            histograms: FieldHistogram::of(&featuriser, table, &rows)?,
            featuriser,
            training: serde_json::json!({ "random_weights": seed }),
        };
        description.check()?;
        let weights = Weights::random(&description.shape(), seed);
        Self::new(description, &weights)
    }

    /// Loads an artifact for profiles of a schema.
    ///
    /// It is refused, with a message that says what differs, when its format is another one, when a file is not the one
    /// the manifest's hashes name, when the profile schema differs, when tensors do not have the shapes that follow from
    /// the manifest, or when a canary profile gives an output that is off by more than `1e-4 · (1 + |x|)`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`], [`Error::Format`], [`Error::Checksum`], [`Error::Artifact`], [`Error::Schema`] or
    /// [`Error::Canary`], in the order above.
    pub fn load(directory: impl AsRef<Path>, schema: &ProfileSchema) -> Result<Self> {
        let Artifact { description, info, weights, canaries } = Artifact::read(directory.as_ref())?;
        same_schema(&description.profile_schema, schema)?;
        let network = Network::new(description.shape(), &weights)?;
        let encoder = Self { description, info, network, canaries };
        encoder.check_canaries()?;
        Ok(encoder)
    }

    /// Writes an artifact directory, atomically: it appears whole or not at all. One that is there is replaced; a
    /// directory with other files is refused.
    ///
    /// # Errors
    /// [`Error::Config`] for a metric that is not finite, [`Error::Io`], [`Error::Artifact`].
    pub fn save(&self, directory: impl AsRef<Path>, info: ArtifactInfo) -> Result<()> {
        if let Some((name, value)) = info.metrics.iter().find(|(_, value)| !value.is_finite()) {
            let expected = format!("a finite number for `{name}`");
            return Err(Error::Config { setting: "metrics", expected, found: value.to_string() });
        }
        let artifact = Artifact {
            description: self.description.clone(),
            info,
            weights: self.network.weights(),
            canaries: self.canaries.clone(),
        };
        artifact.write(directory.as_ref())
    }

    /// Runs the canary profiles again: cheap enough for every batch, and it finds a machine that computes wrongly.
    ///
    /// # Errors
    /// [`Error::Canary`] naming the first output that is off.
    pub fn check_canaries(&self) -> Result<()> {
        self.canaries.check(&self.description.profile_schema, &self.description.featuriser, &self.network)
    }

    /// Scores every profile of a table.
    ///
    /// # Errors
    /// [`Error::Schema`] for a table of another schema.
    pub fn score(&self, table: &ProfileTable) -> Result<Scores> {
        let rows: Vec<usize> = (0..table.len()).collect();
        self.score_rows(table, &rows)
    }

    /// Scores the named rows, in the named order.
    ///
    /// # Errors
    /// [`Error::Schema`] for a table of another schema, [`Error::Shape`] when there is no such row.
    pub fn score_rows(&self, table: &ProfileTable, rows: &[usize]) -> Result<Scores> {
        same_schema(&self.description.profile_schema, table.schema())?;
        let n = rows.len();
        let heads = &self.description.heads;
        let mut scores = Scores {
            value: vec![None; n],
            p_positive: vec![None; n],
            mu: vec![None; n],
            sigma: vec![None; n],
            posteriors: heads
                .states
                .iter()
                .map(|&size| Array2::from_elem((n, size), 1.0 / size as f32))
                .collect(),
            representation: Array2::zeros((
                n,
                if heads.signals() { self.description.config.rep_dim } else { 0 },
            )),
            abstained: vec![false; n],
        };
        for (batch, rows) in rows.chunks(BATCH).enumerate() {
            let features = self.description.featuriser.transform(table, rows)?;
            let outputs = self.network.forward(&features)?;
            for (i, &populated) in features.populated().iter().enumerate() {
                let row = batch * BATCH + i;
                if (populated as usize) < self.description.config.min_populated {
                    scores.abstained[row] = true;
                } else {
                    self.fill(&mut scores, row, &outputs, i);
                }
            }
        }
        Ok(scores)
    }

    fn fill(&self, scores: &mut Scores, row: usize, outputs: &Outputs, i: usize) {
        if let (Some(scale), Some(&[logit, mu, raw])) =
            (&self.description.outcome, outputs.outcome.row(i).as_slice().and_then(|o| o.first_chunk::<3>()))
        {
            let distribution = scale.distribution([logit, mu, raw]);
            scores.value[row] = Some(scale.value(&distribution));
            scores.p_positive[row] = Some(distribution.p_positive);
            scores.mu[row] = Some(distribution.mu);
            scores.sigma[row] = Some(distribution.sigma);
        }
        let mut logits = outputs.states.row(i);
        for posterior in &mut scores.posteriors {
            let (state, rest) = logits.split_at(Axis(0), posterior.ncols());
            softmax(state, posterior.row_mut(row));
            logits = rest;
        }
        scores.representation.row_mut(row).assign(&outputs.representation.row(i));
    }

    /// The heads' outputs before any link function, without abstention: for comparisons with the network in training.
    ///
    /// # Errors
    /// [`Error::Shape`] for features of another featuriser.
    pub fn forward(&self, features: &Features) -> Result<Outputs> {
        self.network.forward(features)
    }

    /// Representations as the student's, `[n, K, d]`: the direction of each state's representation relative to the mean
    /// over the training users. Its length is not trained and has no meaning.
    ///
    /// # Errors
    /// [`Error::Shape`] when the encoder has no signal heads or the representation is of another width.
    pub fn project(&self, representation: &Array2<f32>) -> Result<Array3<f32>> {
        let heads = &self.description.heads;
        let width = if heads.signals() { self.description.config.rep_dim } else { 0 };
        let fits = width > 0 && representation.ncols() == width;
        let Some(projected) = fits.then(|| self.network.project(&representation.view())).flatten() else {
            let found = representation.ncols();
            return Err(Error::shape("representation to project (0 is: no signal heads)", width, found));
        };
        let n = projected.nrows();
        projected
            .into_shape_with_order((n, heads.states.len(), heads.student_dim))
            .map_err(|error| Error::shape("projected representation", "[n, K, d]", error))
    }

    /// How well the encoder reproduces the student on the named rows; `targets` has one row per named row. Rows that are
    /// abstained on are left out.
    ///
    /// # Errors
    /// As [`FrozenEncoder::score_rows`] and [`Targets::validate`]; [`Error::Shape`] without signal heads or when every
    /// row is abstained on.
    pub fn transfer_report(
        &self,
        table: &ProfileTable,
        rows: &[usize],
        targets: &Targets,
    ) -> Result<TransferReport> {
        targets.validate(&self.description.chain_schema, rows.len())?;
        let scores = self.score_rows(table, rows)?;
        let scored: Vec<usize> = (0..rows.len()).filter(|&row| !scores.abstained[row]).collect();
        let projected = self.project(&scores.representation.select(Axis(0), &scored))?;
        let posteriors: Vec<Array2<f32>> =
            scores.posteriors.iter().map(|posterior| posterior.select(Axis(0), &scored)).collect();
        let states =
            self.description.chain_schema.states().iter().map(|state| state.name().to_owned()).collect();
        TransferReport::compare(
            states,
            &targets.select(&scored)?,
            self.network.centre(),
            &posteriors,
            &scores.representation.select(Axis(0), &scored),
            &projected,
        )
    }

    /// The same encoder abstaining on profiles with fewer populated fields than `fields`.
    #[must_use]
    pub fn with_min_populated(mut self, fields: usize) -> Self {
        self.description.config.min_populated = fields;
        self
    }

    /// The profile schema it was trained with.
    #[must_use]
    pub fn profile_schema(&self) -> &ProfileSchema {
        &self.description.profile_schema
    }

    /// The chain schema whose states it predicts.
    #[must_use]
    pub fn chain_schema(&self) -> &ChainSchema {
        &self.description.chain_schema
    }

    /// The network's sizes and the abstention rule.
    #[must_use]
    pub fn config(&self) -> &EncoderConfig {
        &self.description.config
    }

    /// Which heads there are.
    #[must_use]
    pub fn heads(&self) -> &Heads {
        &self.description.heads
    }

    /// Floor and cap of the outcome head, if there is one.
    #[must_use]
    pub fn outcome_scale(&self) -> Option<&OutcomeScale> {
        self.description.outcome.as_ref()
    }

    /// How profiles become features.
    #[must_use]
    pub fn featuriser(&self) -> &Featuriser {
        &self.description.featuriser
    }

    /// How the training profiles were distributed.
    #[must_use]
    pub fn histograms(&self) -> &[FieldHistogram] {
        &self.description.histograms
    }

    /// Metrics and note of the loaded artifact; empty for an encoder that was never saved.
    #[must_use]
    pub fn info(&self) -> &ArtifactInfo {
        &self.info
    }
}

fn same_schema(expected: &ProfileSchema, found: &ProfileSchema) -> Result<()> {
    if expected.hash() == found.hash() {
        return Ok(());
    }
    let difference = difference(expected, found);
    Err(Error::Schema { expected: expected.hash(), found: found.hash(), difference })
}
