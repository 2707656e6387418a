//! The encoder as it serves: loaded from an artifact, verified, without a training framework.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;

use ndarray::{Array2, Array3};
use scaletot_chain::ChainSchema;
use scaletot_profile::{ProfileSchema, ProfileTable};

use crate::artifact::Artifact;
use crate::canary::Canaries;
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
use crate::plan::{BLOCK, Int8, Plan};
use crate::scores::{Scores, Selection};
use crate::shape::Heads;
use crate::threads::Threads;
use crate::weights::Weights;

/// Profiles whose features are held in memory at once.
const BATCH: usize = 8192;

/// Profiles that a thread takes at a time, if there are several.
const PART: usize = 4 * BLOCK;

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
    /// What scores instead of the plan, if it does.
    serving: Option<Serving>,
    canaries: Canaries,
    threads: Threads,
    deduplication: Deduplication,
    /// From where on a profile is too far, if anywhere.
    pub(crate) novelty: Option<Novelty>,
}

/// A plan of another precision or of fewer heads.
#[derive(Debug, Clone, PartialEq)]
enum Serving {
    Full(Plan),
    Int8(Int8),
}

/// The numbers that an encoder computes with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Full,
    /// Tables stored as 16-bit floats (`bfloat16`), each number within 0.2 % of its value, everything else in 32-bit floats. For tables that
    /// are too large for the caches; any network.
    Bf16,
    /// Tables of 16-bit integers, the layer after them (the heads, if there is one hidden layer) in 8-bit integers, further layers in 32-bit
    /// floats. Scales follow from the weights alone, and no profile leaves their range. Faster; how far scores move depends on the network and
    /// is to be measured on one's own profiles. A set of more than some 60 values loses precision, since each is rounded.
    Int8,
}

/// What serving needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Footprint {
    /// Bytes of lookup tables and weights that scoring reads. The encoder holds the network as it was trained besides, and with
    /// [`Precision::Int8`] the plan in 32-bit floats.
    pub bytes: usize,
    /// Multiplications and additions of a user's dense layers, padding included; lookups and link functions come on top.
    pub flops: usize,
}

impl FrozenEncoder {
    fn of(
        description: Description,
        info: ArtifactInfo,
        network: Network,
        plan: Plan,
        canaries: Canaries,
    ) -> Self {
        Self {
            description,
            info,
            network,
            plan,
            precision: Precision::default(),
            selection: Selection::default(),
            serving: None,
            canaries,
            threads: Threads::default(),
            deduplication: Deduplication::default(),
            novelty: None,
        }
    }

    pub(crate) fn new(description: Description, weights: &Weights) -> Result<Self> {
        description.check()?;
        let network = Network::new(description.shape(), weights)?;
        let Description { profile_schema, featuriser, histograms, .. } = &description;
        let plan = Plan::new(&network, &featuriser.numeric(), Selection::ALL, false)?;
        let canaries = Canaries::record(profile_schema, featuriser, histograms, &plan)?;
        Ok(Self::of(description, ArtifactInfo::default(), network, plan, canaries))
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
        let description = Description {
            profile_schema: table.schema().as_ref().clone(),
            chain_schema: chain.clone(),
            config: config.clone(),
            outcome: heads.outcome.then(|| OutcomeLink::untrained(config)).transpose()?,
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
    /// the manifest's hashes name, when the encoder [failed its gate](ArtifactInfo::gate), when the profile schema differs, when tensors do
    /// not have the shapes that follow from the manifest, or when a canary profile gives an output that is off by more than
    /// `1e-4 · (1 + |x|)`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`], [`Error::Format`], [`Error::Checksum`], [`Error::Artifact`], [`Error::NotReady`], [`Error::Schema`] or
    /// [`Error::Canary`].
    pub fn load(directory: impl AsRef<Path>, schema: &ProfileSchema) -> Result<Self> {
        let artifact = Artifact::ready(directory.as_ref())?;
        same_schema(&artifact.description.profile_schema, schema)?;
        Self::from_artifact(artifact)
    }

    /// As [`load`](Self::load), for a program that reads profiles by the artifact's own [`profile_schema`](Self::profile_schema).
    ///
    /// # Errors
    /// As [`load`](Self::load), but never [`Error::Schema`].
    pub fn load_with_own_schema(directory: impl AsRef<Path>) -> Result<Self> {
        Self::from_artifact(Artifact::ready(directory.as_ref())?)
    }

    /// As [`load_with_own_schema`](Self::load_with_own_schema), also for an encoder that failed its gate: to look at what it does, not to
    /// serve it. [`info`](Self::info) says whether it is ready.
    ///
    /// # Errors
    /// As there, but never [`Error::NotReady`].
    pub fn load_for_inspection(directory: impl AsRef<Path>) -> Result<Self> {
        Self::from_artifact(Artifact::read(directory.as_ref())?)
    }

    fn from_artifact(artifact: Artifact) -> Result<Self> {
        let Artifact { description, info, weights, canaries, distance_limit } = artifact;
        let network = Network::new(description.shape(), &weights)?;
        let plan = Plan::new(&network, &description.featuriser.numeric(), Selection::ALL, false)?;
        let surprise = || Surprise::new(&description.featuriser, &description.histograms);
        let novelty = distance_limit.map(|limit| Novelty::new(surprise(), limit));
        let encoder = Self { novelty, ..Self::of(description, info, network, plan, canaries) };
        encoder.check_canaries()?;
        Ok(encoder)
    }

    /// Writes an artifact directory, atomically: it appears whole or not at all. One that is there is replaced; a
    /// directory with other files is refused. With a [gate](ArtifactInfo::gate) that the encoder failed it is written as not ready.
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
            distance_limit: self.distance_limit().copied(),
        };
        artifact.write(directory.as_ref())
    }

    /// Runs the canary profiles again: cheap enough for every batch, and it finds a machine that computes wrongly.
    ///
    /// # Errors
    /// [`Error::Canary`] naming the first output that is off.
    pub fn check_canaries(&self) -> Result<()> {
        self.canaries.check(&self.description.profile_schema, &self.description.featuriser, &self.plan)
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
        let batches: Vec<&[usize]> = rows.chunks(BATCH).collect();
        self.join(self.threads.map(&batches, |rows| {
            let features = self.description.featuriser.transform(table, rows)?;
            self.once_each(&features, |features| self.score_part(features, 0..features.len()))
        })?)
    }

    /// Scores features that were made before by this encoder's [`featuriser`](Self::featuriser), each thread a part of them. Those of another
    /// featuriser with as many rows per field cannot be told from them.
    ///
    /// # Errors
    /// [`Error::Shape`] for features with other rows per field.
    pub fn score_features(&self, features: &Features) -> Result<Scores> {
        self.once_each(features, |features| self.score_parts(features))
    }

    /// What `score` says of the features, each kind of profile given to it once where that pays.
    fn once_each(&self, features: &Features, score: impl Fn(&Features) -> Result<Scores>) -> Result<Scores> {
        match self.deduplication.of(features) {
            Some(distinct) => Ok(score(&features.select(&distinct.first)?)?.spread(&distinct.place)),
            None => score(features),
        }
    }

    fn score_parts(&self, features: &Features) -> Result<Scores> {
        let n = features.len();
        let each = if self.threads.count() == 1 { n } else { PART };
        let parts: Vec<Range<usize>> = (0..n).step_by(each.max(1)).map(|at| at..(at + each).min(n)).collect();
        self.join(self.threads.map(&parts, |rows| self.score_part(features, rows.clone()))?)
    }

    fn score_part(&self, features: &Features, rows: Range<usize>) -> Result<Scores> {
        let mut scores = self.blank(rows.len());
        let least = self.description.config.min_populated;
        let link = self.description.outcome.as_ref().filter(|_| self.selection.outcome);
        match &self.serving {
            Some(Serving::Int8(plan)) => plan.score(features, rows.clone(), least, link, &mut scores)?,
            Some(Serving::Full(plan)) => plan.score(features, rows.clone(), least, link, &mut scores)?,
            None => self.plan.score(features, rows.clone(), least, link, &mut scores)?,
        }
        if let Some(novelty) = &self.novelty {
            novelty.abstain(features, rows, &mut scores);
        }
        Ok(scores)
    }

    fn join(&self, parts: Vec<Scores>) -> Result<Scores> {
        let mut parts = parts.into_iter();
        let mut scores = parts.next().unwrap_or_else(|| self.blank(0));
        parts.try_for_each(|part| scores.append(&part))?;
        Ok(scores)
    }

    fn blank(&self, n: usize) -> Scores {
        Scores::blank(n, &self.description.heads, &self.description.config, self.selection)
    }

    /// How far the named rows are from the training profiles, field by field: counting alone, cheap enough for every batch. Over several
    /// batches, [merge](FieldHistogram::merge) their histograms and use [`Drift::between`] with [`histograms`](Self::histograms).
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

    /// The same encoder abstaining on profiles with fewer populated fields than `fields`.
    #[must_use]
    pub fn with_min_populated(mut self, fields: usize) -> Self {
        self.description.config.min_populated = fields;
        self
    }

    /// The same encoder scoring with so many threads of its own; the calling thread alone unless told otherwise. Scores do not depend
    /// on it.
    ///
    /// # Errors
    /// [`Error::Config`] when the system cannot start so many.
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Result<Self> {
        self.threads = Threads::new(threads)?;
        Ok(self)
    }

    /// The same encoder scoring in another precision. Canaries and [`forward`](Self::forward) stay in 32-bit floats.
    ///
    /// ```
    /// # use scaletot_chain::{ChainSchema, StateDef};
    /// # use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
    /// use scaletot_encoder::{EncoderConfig, FrozenEncoder, Heads, Precision};
    /// # let schema = ProfileSchema::builder("shop").field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
    /// # let mut table = TableBuilder::new(schema);
    /// # table.push_text(1, &["35+"])?;
    /// # let table = table.finish();
    /// # let chain = ChainSchema::builder("spend").state(StateDef::ordinal("budget", ["low", "high"])).build()?;
    /// let encoder =
    ///     FrozenEncoder::with_random_weights(&EncoderConfig::default(), &table, &chain, Heads::new(true, vec![], 0), 7)?;
    /// let exact = encoder.score(&table)?.value[0];
    /// let close = encoder.with_precision(Precision::Int8)?.score(&table)?.value[0];
    /// assert!((exact - close).abs() < 0.05 * exact);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] for [`Precision::Int8`] and a network with cross layers or without hidden layers.
    pub fn with_precision(mut self, precision: Precision) -> Result<Self> {
        self.precision = precision;
        self.compile()
    }

    /// The same encoder computing the selected outputs alone, which is faster. Canaries and [`forward`](Self::forward) keep all of them.
    ///
    /// # Errors
    /// As [`with_precision`](Self::with_precision).
    pub fn with_selection(mut self, selection: Selection) -> Result<Self> {
        self.selection = selection;
        self.compile()
    }

    /// The same encoder with another rule for profiles that repeat. Scores do not depend on it.
    #[must_use]
    pub fn with_deduplication(mut self, deduplication: Deduplication) -> Self {
        self.deduplication = deduplication;
        self
    }

    /// Makes what scores in the precision and selection that are set.
    fn compile(mut self) -> Result<Self> {
        let numeric = self.description.featuriser.numeric();
        self.serving = match self.precision {
            Precision::Full if self.selection == Selection::ALL => None,
            Precision::Full => {
                Some(Serving::Full(Plan::new(&self.network, &numeric, self.selection, false)?))
            }
            Precision::Bf16 => Some(Serving::Full(Plan::new(&self.network, &numeric, self.selection, true)?)),
            Precision::Int8 => Some(Serving::Int8(Int8::new(&self.network, &numeric, self.selection)?)),
        };
        Ok(self)
    }

    /// Which outputs it computes.
    #[must_use]
    pub fn selection(&self) -> Selection {
        self.selection
    }

    /// What scoring a user costs.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        Footprint {
            bytes: match &self.serving {
                Some(Serving::Int8(plan)) => plan.bytes(),
                Some(Serving::Full(plan)) => plan.bytes(),
                None => self.plan.bytes(),
            },
            flops: match &self.serving {
                Some(Serving::Full(plan)) => plan.flops(),
                _ => self.plan.flops(),
            },
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
