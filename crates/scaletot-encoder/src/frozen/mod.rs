//! The encoder as it serves: loaded from an artifact, verified, without a training framework.

mod activations;
mod explain;
mod novelty;
mod score;
mod settings;
mod transfer;

use std::path::Path;

use ndarray::{Array2, Array3};
use scaletot_chain::ChainSchema;
use scaletot_core::config::ConfigError;
use scaletot_profile::{ProfileSchema, ProfileTable};

pub use self::activations::Activations;
use self::settings::Serving;
pub use self::settings::{Footprint, Precision};
use crate::artifact::{Artifact, UNSIGNED};
use crate::canary::{Canaries, compare};
use crate::config::EncoderConfig;
use crate::distinct::Deduplication;
use crate::drift::Drift;
use crate::error::{Error, Result};
use crate::features::Features;
use crate::featuriser::Featuriser;
use crate::head::OutcomeLink;
use crate::histogram::FieldHistogram;
use crate::manifest::{ArtifactInfo, Description, difference};
use crate::network::{Network, Outputs};
use crate::novelty::{Novelty, Surprise};
use crate::plan::{Plan, affordable};
use crate::scores::Selection;
use crate::shape::Heads;
use crate::threads::Threads;
use crate::weights::Weights;

/// A trained encoder that scores profiles.
///
/// See the crate's front page for an example.
#[derive(Debug, Clone, PartialEq)]
pub struct FrozenEncoder {
    description: Description,
    info: ArtifactInfo,
    network: Network,
    plan: Plan,
    precision: Precision,
    selection: Selection,
    /// What scores instead of the plan, if it does, and its outputs for the canaries without anything that is particular to this processor.
    serving: Option<(Serving, Outputs)>,
    canaries: Canaries,
    /// Their profiles, ready to be scored at any time.
    canary_features: Features,
    threads: Threads,
    deduplication: Deduplication,
    /// From where on a profile is too far, if anywhere.
    novelty: Option<Novelty>,
}

impl FrozenEncoder {
    /// The names of all files that an artifact's directory may hold, a [signature](Self::SIGNATURE) among them. [`save`](Self::save) replaces a
    /// directory of these alone.
    pub const FILES: &'static [&'static str] = crate::artifact::NAMES;

    /// The name of an artifact's signature, which who signs it puts there.
    pub const SIGNATURE: &'static str = crate::artifact::SIGNATURE;

    fn of(
        description: Description,
        info: ArtifactInfo,
        network: Network,
        plan: Plan,
        canaries: Canaries,
    ) -> Result<Self> {
        let canary_features = canaries.features(&description.profile_schema, &description.featuriser)?;
        Ok(Self {
            description,
            info,
            network,
            plan,
            precision: Precision::default(),
            selection: Selection::default(),
            serving: None,
            canaries,
            canary_features,
            threads: Threads::default(),
            deduplication: Deduplication::default(),
            novelty: None,
        })
    }

    pub(crate) fn new(description: Description, weights: &Weights) -> Result<Self> {
        description.check()?;
        let network = Network::new(description.shape(), weights)?;
        let Description { profile_schema, featuriser, histograms, .. } = &description;
        let plan = Plan::new(&network, &featuriser.numeric(), Selection::ALL, None, false)?;
        let canaries = Canaries::record(profile_schema, featuriser, histograms, &plan)?;
        Self::of(description, ArtifactInfo::default(), network, plan, canaries)
    }

    /// An encoder with random weights, for tests and measurements of what scores and stores: its numbers mean nothing.
    /// The featuriser is fitted on the table.
    ///
    /// # Errors
    /// [`Error::Config`] for bad sizes or an encoder of more than 1 GiB, [`Error::Shape`] for heads that do not fit the chain schema.
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
        let description = Description {
            profile_schema: table.schema().as_ref().clone(),
            chain_schema: chain.clone(),
            config: config.clone(),
            outcome: heads
                .outcome
                .then(|| OutcomeLink::untrained(config.outcome_head, config.sigma_floor))
                .transpose()?,
            value_head: None,
            heads,
            histograms: FieldHistogram::of(&featuriser, table, &rows)?,
            featuriser,
            training: serde_json::json!({ "random_weights": seed }),
        };
        description.check()?;
        affordable(&description.shape(), &description.featuriser.numeric(), None)?;
        let weights = Weights::random(&description.shape(), seed);
        Self::new(description, &weights)
    }

    /// Loads an artifact for profiles of a schema.
    ///
    /// It is refused, with a message that names what differs, when its format is another one, when a file is missing, superfluous or not the
    /// one that `SHA256SUMS` and the manifest name, when the encoder [failed its gate](ArtifactInfo::with_gate), when the profile schema
    /// differs, when tensors do not have the shapes that follow from the manifest, when the weights are so large that some profile's numbers
    /// could be infinite, when the encoder would take more than 1 GiB, or when a canary profile gives an output that is off by more than
    /// `1e-4 · (1 + |x|)`. So no score of an encoder that loads is infinite or NaN, in any [`Precision`].
    ///
    /// Hashes and canaries show damage and mix-ups. They are no protection against whoever can write the directory: a signature is, which
    /// `load_signed` checks (feature `signature`).
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`], [`Error::Format`], [`Error::Checksum`], [`Error::Artifact`], [`Error::NotReady`], [`Error::Schema`],
    /// [`Error::Config`] for one that is too large, [`Error::Overflow`] or [`Error::Canary`].
    pub fn load(directory: impl AsRef<Path>, schema: &ProfileSchema) -> Result<Self> {
        let artifact = Artifact::ready(directory.as_ref(), UNSIGNED)?;
        same_schema(&artifact.description.profile_schema, schema)?;
        Self::from_artifact(artifact)
    }

    /// As [`load`](Self::load), for a program that reads profiles by the artifact's own [`profile_schema`](Self::profile_schema).
    ///
    /// # Errors
    /// As [`load`](Self::load), but never [`Error::Schema`].
    pub fn load_with_own_schema(directory: impl AsRef<Path>) -> Result<Self> {
        Self::from_artifact(Artifact::ready(directory.as_ref(), UNSIGNED)?)
    }

    /// As [`load_with_own_schema`](Self::load_with_own_schema), also for an encoder that failed its gate: to look at what it does, not to
    /// serve it. [`info`](Self::info) tells whether it is ready.
    ///
    /// # Errors
    /// As there, but never [`Error::NotReady`].
    pub fn load_for_inspection(directory: impl AsRef<Path>) -> Result<Self> {
        Self::from_artifact(Artifact::read(directory.as_ref(), UNSIGNED)?)
    }

    pub(crate) fn from_artifact(artifact: Artifact) -> Result<Self> {
        let Artifact { description, info, weights, canaries, distance_limit } = artifact;
        let network = Network::new(description.shape(), &weights)?;
        drop(weights);
        let (numeric, head) = (description.featuriser.numeric(), description.value_head.as_ref());
        let plan = Plan::new(&network, &numeric, Selection::ALL, head, false)?;
        let surprise = || Surprise::new(&description.featuriser, &description.histograms);
        let novelty = distance_limit.map(|limit| Novelty::new(surprise(), limit));
        let encoder = Self { novelty, ..Self::of(description, info, network, plan, canaries)? };
        encoder.check_canaries()?;
        Ok(encoder)
    }

    /// Writes an artifact directory, atomically: it appears whole or not at all. One that is there is replaced; a
    /// directory with other files is refused. With a [gate](ArtifactInfo::with_gate) that the encoder failed it is written as not ready.
    ///
    /// # Errors
    /// [`Error::Config`] for a metric that is not finite, [`Error::Io`], [`Error::Artifact`].
    pub fn save(&self, directory: impl AsRef<Path>, info: ArtifactInfo) -> Result<()> {
        if let Some((name, value)) = info.metrics.iter().find(|(_, value)| !value.is_finite()) {
            let expected = format!("a finite number for `{name}`");
            return Err(ConfigError::new("metrics", expected, value).into());
        }
        let artifact = Artifact {
            description: self.description.clone(),
            info,
            weights: self.network.weights(),
            canaries: self.canaries.clone(),
            distance_limit: self.distance_limit().copied(),
        };
        artifact.write(directory.as_ref())
    }

    /// Runs the canary profiles again: cheap enough for every batch, and it finds a machine that computes wrongly. What scores in another
    /// [precision](Self::with_precision) or of [fewer outputs](Self::with_selection) is compared with the same computed without anything
    /// that is particular to this processor.
    ///
    /// # Errors
    /// [`Error::Canary`] naming the first output that is off.
    pub fn check_canaries(&self) -> Result<()> {
        let features = &self.canary_features;
        self.canaries.check(features, &self.plan)?;
        let Some((serving, expected)) = &self.serving else { return Ok(()) };
        let found = serving.forward(features)?;
        (0..features.len()).try_for_each(|index| {
            let heads = [&expected.outcome, &expected.states, &expected.representation, &expected.value];
            compare(index, heads.map(|head| head.row(index)), &found)
        })
    }

    /// How far the named rows are from the training profiles, field by field: counting alone, cheap enough for every batch. Over several
    /// batches, [merge](FieldHistogram::merge) their histograms and use [`Drift::between`] with [`histograms`](Self::histograms). Name the rows
    /// of the kind that the encoder was trained on: where profiles with few populated fields took no part in training, they differ from the
    /// training profiles without any drift.
    ///
    /// # Errors
    /// [`Error::Schema`] for a table of another schema, [`Error::Shape`] when there is no such row.
    pub fn drift(&self, table: &ProfileTable, rows: &[usize]) -> Result<Drift> {
        same_schema(&self.description.profile_schema, table.schema())?;
        let incoming = FieldHistogram::of(&self.description.featuriser, table, rows)?;
        Drift::between(&self.description.histograms, &incoming)
    }

    /// The heads' outputs before any link function, without abstention: for comparisons with the network in training.
    ///
    /// # Errors
    /// [`Error::Shape`] for features of another featuriser.
    pub fn forward(&self, features: &Features) -> Result<Outputs> {
        self.plan.forward(features)
    }

    /// Representations as the student's, `[n, K, d]`: the direction of each state's representation relative to the mean
    /// over the training users. Its length is trained with [`RepresentationLoss::WhitenedMse`](crate::RepresentationLoss) alone and has
    /// no meaning otherwise.
    ///
    /// # Errors
    /// [`Error::Shape`] when the encoder has no signal heads or the representation is of another width; [`Error::Value`] with the row where a
    /// number is so large that the projection is not finite.
    pub fn project(&self, representation: &Array2<f32>) -> Result<Array3<f32>> {
        let projected = self.projected(representation)?;
        let shape =
            (projected.nrows(), self.description.heads.states.len(), self.description.heads.student_dim);
        projected
            .into_shape_with_order(shape)
            .map_err(|error| Error::shape("projected representation", "[n, K, d]", error))
    }

    /// As [`project`](Self::project), `[n, K·d]`.
    fn projected(&self, representation: &Array2<f32>) -> Result<Array2<f32>> {
        let heads = &self.description.heads;
        let width = if heads.signals() { self.description.config.rep_dim } else { 0 };
        let fits = width > 0 && representation.ncols() == width;
        let projected = fits.then(|| self.network.project(&representation.view())).flatten();
        let projected = projected.ok_or_else(|| {
            let found = representation.ncols();
            Error::shape("representation to project (0 is: no signal heads)", width, found)
        })?;
        match projected.indexed_iter().find(|(_, x)| !x.is_finite()) {
            None => Ok(projected),
            Some(((row, _), x)) => Err(Error::Value {
                what: "projection of a representation".into(),
                row,
                expected: "finite numbers, of a representation that this encoder gives".into(),
                found: x.to_string(),
            }),
        }
    }

    /// The layers as they were trained.
    pub(crate) fn network(&self) -> &Network {
        &self.network
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

    /// How the outcome head's numbers become an expected outcome, if there is such a head.
    #[must_use]
    pub fn outcome_link(&self) -> Option<&OutcomeLink> {
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

    /// Metrics, note, transfer report and readiness of the loaded artifact; empty for an encoder that was never saved.
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
