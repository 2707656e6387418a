//! How an encoder scores: precision, outputs, threads, repeated profiles, least number of fields.

use std::num::NonZeroUsize;

use super::FrozenEncoder;
use crate::distinct::Deduplication;
use crate::error::Result;
use crate::features::Features;
use crate::manifest::Description;
use crate::network::Outputs;
use crate::plan::{Int8, Plan};
use crate::scores::Selection;
use crate::threads::Threads;
use crate::value_head::ValueHead;

/// A plan of another precision or of fewer heads.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Serving {
    Full(Plan),
    Int8(Int8),
}

impl Serving {
    /// The heads' outputs for every row, see [`Plan::forward`].
    pub(super) fn forward(&self, features: &Features) -> Result<Outputs> {
        match self {
            Self::Full(plan) => plan.forward(features),
            Self::Int8(plan) => plan.forward(features),
        }
    }

    /// See [`Plan::forward_portable`].
    pub(super) fn forward_portable(&self, features: &Features) -> Result<Outputs> {
        match self {
            Self::Full(plan) => plan.forward_portable(features),
            Self::Int8(plan) => plan.forward_portable(features),
        }
    }
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
    /// floats. Scales follow from the weights alone, and no profile leaves their range. Faster with AVX2, most of all with AVX-512 and VNNI
    /// (Intel Ice Lake, AMD Zen 4 and later); slower than 32-bit floats everywhere else, ARM included, where it has no vectors of its own.
    /// How far scores move depends on the network and is to be measured on one's own profiles: with random weights their rank correlation
    /// with those of 32-bit floats is 0.9999 for 5 fields, 0.9998 for 20 and 0.9991 for 60. A set of more than some 60 values loses
    /// precision, since each is rounded.
    Int8,
}

/// What serving needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Footprint {
    /// Bytes of lookup tables and weights that scoring reads. The encoder holds the network as it was trained besides, and with another
    /// [`Precision`] or a [selection](FrozenEncoder::with_selection) the plan of all outputs in 32-bit floats. Loading takes 1 GiB at most, and so
    /// does each of these plans.
    pub bytes: usize,
    /// Multiplications and additions of a user's dense layers, padding included; lookups and link functions come on top.
    pub flops: usize,
}

impl FrozenEncoder {
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
    /// [`Error::Config`](crate::Error::Config) for more than 1,024, [`Error::Threads`](crate::Error::Threads) when the system cannot start so
    /// many.
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Result<Self> {
        self.threads = Threads::new(threads)?;
        Ok(self)
    }

    /// The same encoder scoring in another precision, [checked](Self::check_canaries) on this processor. [`forward`](Self::forward) stays in 32-bit
    /// floats.
    ///
    /// ```
    /// # use scaletot_chain::{ChainSchema, StateDef};
    /// # use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
    /// use scaletot_encoder::{EncoderConfig, FrozenEncoder, Heads, Precision};
    /// # let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
    /// # let mut table = TableBuilder::new(schema);
    /// # table.push_text(1, &["35+"])?;
    /// # let table = table.finish();
    /// # let chain = ChainSchema::builder("spend").with_state(StateDef::ordinal("budget", ["low", "high"])).build()?;
    /// let encoder =
    ///     FrozenEncoder::with_random_weights(&EncoderConfig::default(), &table, &chain, Heads::new(true, vec![], 0), 7)?;
    /// let exact = encoder.score(&table)?.value[0];
    /// let close = encoder.with_precision(Precision::Int8)?.score(&table)?.value[0];
    /// assert!((exact - close).abs() < 0.05 * exact);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for [`Precision::Int8`] and a network with cross layers or without hidden layers;
    /// [`Error::Canary`](crate::Error::Canary) where this processor computes otherwise than any other.
    pub fn with_precision(mut self, precision: Precision) -> Result<Self> {
        self.precision = precision;
        self.compile()
    }

    /// The same encoder computing the selected outputs alone, which is faster. [`forward`](Self::forward) keeps all of them.
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

    /// The same encoder serving a value model: [`Scores::value`](crate::Scores::value) is the head's from then on, in every precision and
    /// selection, and the head goes into the artifact with canaries of its own. Everything else stays the outcome head's. An encoder without
    /// outcome head has a value then.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for a head with other numbers of fields, codes, states or units than this encoder's;
    /// [`Error::Config`](crate::Error::Config) for one whose tables take the encoder beyond 1 GiB, [`Error::Overflow`](crate::Error::Overflow)
    /// for one whose sums could be infinite for some profile;
    /// [`Error::Canary`](crate::Error::Canary) where this processor computes otherwise than any other.
    pub fn with_value_head(self, head: ValueHead) -> Result<Self> {
        self.set_value_head(Some(head))
    }

    /// The same encoder serving the outcome head's expected outcome.
    ///
    /// # Errors
    /// [`Error::Canary`](crate::Error::Canary) where this processor computes otherwise than any other.
    pub fn without_value_head(self) -> Result<Self> {
        self.set_value_head(None)
    }

    fn set_value_head(mut self, head: Option<ValueHead>) -> Result<Self> {
        self.description.set_value_head(head)?;
        let Description { profile_schema, featuriser, value_head, .. } = &self.description;
        let numeric = featuriser.numeric();
        self.plan = Plan::new(&self.network, &numeric, Selection::ALL, value_head.as_ref(), false)?;
        self.canary_features = self.canaries.features(profile_schema, featuriser)?;
        self.canaries.record_values(&self.plan.forward_portable(&self.canary_features)?);
        self.compile()
    }

    /// The value model that it serves, if any.
    #[must_use]
    pub fn value_head(&self) -> Option<&ValueHead> {
        self.description.value_head.as_ref()
    }

    /// Makes what scores in the precision and selection that are set.
    fn compile(mut self) -> Result<Self> {
        let numeric = self.description.featuriser.numeric();
        let head = self.description.value_head.as_ref();
        let plan = |half| Plan::new(&self.network, &numeric, self.selection, head, half).map(Serving::Full);
        let serving = match self.precision {
            Precision::Full if self.selection == Selection::ALL => None,
            Precision::Full => Some(plan(false)?),
            Precision::Bf16 => Some(plan(true)?),
            Precision::Int8 => Some(Serving::Int8(Int8::new(&self.network, &numeric, self.selection, head)?)),
        };
        let expected =
            serving.as_ref().map(|serving| serving.forward_portable(&self.canary_features)).transpose()?;
        self.serving = serving.zip(expected);
        self.check_canaries()?;
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
        let (bytes, flops) = match &self.serving {
            Some((Serving::Int8(plan), _)) => (plan.bytes(), plan.flops()),
            Some((Serving::Full(plan), _)) => (plan.bytes(), plan.flops()),
            None => (self.plan.bytes(), self.plan.flops()),
        };
        Footprint { bytes, flops }
    }
}
