//! The manifest: the description of an artifact.

use std::collections::BTreeMap;
use std::path::Path;

use scaletot_chain::ChainSchema;
use scaletot_core::ContentHash;
use scaletot_core::config::ConfigError;
use scaletot_core::text::printable;
use scaletot_profile::{FieldKind, ProfileSchema};
use serde::{Deserialize, Serialize};

use crate::config::EncoderConfig;
use crate::error::{Error, Result};
use crate::featuriser::Featuriser;
use crate::gate::{Readiness, TransferGate};
use crate::head::OutcomeLink;
use crate::histogram::FieldHistogram;
use crate::novelty::DistanceLimit;
use crate::plan::affordable;
use crate::shape::{Heads, NetworkShape};
use crate::transfer::TransferReport;
use crate::value_head::ValueHead;

/// The artifact format that this version writes and reads. From the first release on it rises when a build could not read what an earlier one
/// of the same format wrote, or would compute other scores from it; a field that may be missing, with what it meant before there was one, needs
/// no other format.
pub(crate) const FORMAT: u32 = 2;

/// Facts that the caller adds to an artifact.
///
/// ```
/// let info = scaletot_encoder::ArtifactInfo::new().with_metric("spearman", 0.31).with_note("weekly refresh");
/// assert_eq!(info.metrics["spearman"], 0.31);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ArtifactInfo {
    /// Measured figures by name, each a finite number.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// A free remark.
    #[serde(default)]
    pub note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transfer: Option<TransferReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gate: Option<TransferGate>,
    #[serde(default)]
    readiness: Readiness,
}

impl ArtifactInfo {
    /// No metric, no note, no gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a metric.
    #[must_use]
    pub fn with_metric(mut self, name: impl Into<String>, value: f64) -> Self {
        self.metrics.insert(name.into(), value);
        self
    }

    /// Sets the note.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Holds a transfer report against a gate; report, gate and what came of it go into the artifact. If the report fails, the artifact is
    /// not ready, and [`FrozenEncoder::load`](crate::FrozenEncoder::load) refuses it. A gate that asks for nothing keeps the report alone.
    ///
    /// ```
    /// # use scaletot_chain::{ChainSchema, Signals, StateDef};
    /// # use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};
    /// # use scaletot_encoder::{EncoderConfig, Heads};
    /// use scaletot_encoder::{ArtifactInfo, FrozenEncoder, Readiness, TransferGate};
    /// # let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
    /// # let mut table = TableBuilder::new(schema.clone());
    /// # table.push_text(1, &["18-34"])?;
    /// # table.push_text(2, &["35+"])?;
    /// # let held_out = Dataset::from(table.finish());
    /// # let chain = ChainSchema::builder("spend").with_state(StateDef::ordinal("budget", ["low", "high"])).build()?;
    /// # let signals = Signals::new(vec![0, 1], vec![2], vec![0.5; 4], [1, 3], vec![0.0, 1.0, 2.0, 1.0, 2.0, 3.0])?;
    /// # let heads = Heads::new(true, vec![2], 3);
    /// # let encoder = FrozenEncoder::with_random_weights(&EncoderConfig::default(), held_out.table(), &chain, heads, 7)?;
    /// # let place = tempfile::tempdir()?;
    /// # let directory = place.path().join("encoder");
    /// let report = encoder.transfer_report(&held_out, &signals)?;
    /// let mut gate = TransferGate::default();
    /// gate.max_kl = Some(0.0); // More than anyone can ask for.
    /// let info = ArtifactInfo::new().with_gate(report, gate)?;
    /// assert!(matches!(info.readiness(), Readiness::NotReady { reasons } if reasons[0].starts_with("mean KL")));
    /// encoder.save(&directory, info)?;
    /// assert!(FrozenEncoder::load(&directory, &schema).is_err());
    /// assert!(FrozenEncoder::load_for_inspection(&directory).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] for a limit out of its range or a figure that is not finite.
    pub fn with_gate(mut self, report: TransferReport, gate: TransferGate) -> Result<Self> {
        if let Some((name, figure)) = report.figures().find(|(_, figure)| !figure.is_finite()) {
            let expected = format!("a finite number for `{name}`");
            return Err(ConfigError::new("transfer report", expected, figure).into());
        }
        self.readiness = gate.check(&report)?;
        (self.transfer, self.gate) = (Some(report), Some(gate));
        Ok(self)
    }

    /// The transfer report that the artifact carries, if any.
    #[must_use]
    pub fn transfer(&self) -> Option<&TransferReport> {
        self.transfer.as_ref()
    }

    /// The gate that the report was held against, if any.
    #[must_use]
    pub fn transfer_gate(&self) -> Option<&TransferGate> {
        self.gate.as_ref()
    }

    /// Whether the encoder passed its gate.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Checks that readiness is what follows from report and gate: what was read from a file may be anything.
    fn check(
        gate: &Option<TransferGate>,
        transfer: &Option<TransferReport>,
        readiness: &Readiness,
    ) -> Result<()> {
        let expected = match (gate, transfer) {
            (Some(gate), Some(report)) => gate.check(report)?,
            _ => Readiness::Unchecked,
        };
        // Reasons are for people, and another version may word them otherwise.
        if std::mem::discriminant(&expected) == std::mem::discriminant(readiness) {
            return Ok(());
        }
        let (expected, found) = (format!("{expected:?}"), format!("{readiness:?}"));
        Err(Error::shape("readiness by its gate", expected, found))
    }
}

/// Everything about an encoder that is not a weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    pub(crate) profile_schema: ProfileSchema,
    pub(crate) chain_schema: ChainSchema,
    pub(crate) config: EncoderConfig,
    pub(crate) heads: Heads,
    pub(crate) outcome: Option<OutcomeLink>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value_head: Option<ValueHead>,
    pub(crate) featuriser: Featuriser,
    /// Of the training profiles.
    pub(crate) histograms: Vec<FieldHistogram>,
    /// How it was trained, for people.
    pub(crate) training: serde_json::Value,
}

impl Description {
    pub(crate) fn shape(&self) -> NetworkShape {
        NetworkShape::new(&self.featuriser, &self.config, self.heads.clone())
    }

    /// Checks that the parts fit each other.
    pub(crate) fn check(&self) -> Result<()> {
        self.config.validate()?;
        self.featuriser.check(&self.profile_schema)?;
        FieldHistogram::check(&self.histograms, &self.featuriser)?;
        if self.heads.outcome != self.outcome.is_some() {
            let (expected, found) = (self.heads.outcome, self.outcome.is_some());
            return Err(Error::shape("link of the outcome head present", expected, found));
        }
        self.outcome.as_ref().map_or(Ok(()), |link| link.validate(&self.config.outcome_head))?;
        let sizes = self.chain_schema.domain_sizes();
        let (signals, dim) = (self.heads.signals(), self.heads.student_dim);
        if signals && (self.heads.states != sizes || dim == 0 || dim > 1 << 20) || !signals && dim != 0 {
            let expected = format!("states {sizes:?} with 1 to 1048576 dimensions, or neither");
            return Err(Error::shape(
                "signal heads",
                expected,
                format!("{:?} with {dim}", self.heads.states),
            ));
        }
        self.value_head.as_ref().map_or(Ok(()), |head| head.check(&self.featuriser, &self.shape()))
    }

    /// Sets or removes the value head.
    ///
    /// # Errors
    /// [`Error::Shape`] for a head of another encoder.
    pub(crate) fn set_value_head(&mut self, head: Option<ValueHead>) -> Result<()> {
        if let Some(head) = &head {
            head.check(&self.featuriser, &self.shape())?;
        }
        self.value_head = head;
        self.bin();
        Ok(())
    }

    /// Lets the featuriser make the bins that the value head looks up.
    pub(crate) fn bin(&mut self) {
        let fields = self.featuriser.fields().len();
        let bins = self.value_head.as_ref().map(|head| head.quantiles(fields)).unwrap_or_default();
        self.featuriser.set_hard_bins(bins);
    }
}

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    pub(crate) crate_version: String,
    pub(crate) profile_schema_hash: ContentHash,
    pub(crate) chain_schema_hash: ContentHash,
    pub(crate) weights_sha256: ContentHash,
    pub(crate) canaries_sha256: ContentHash,
    // The parts of an `ArtifactInfo`, one by one: a flattened struct would let unknown keys pass.
    #[serde(default)]
    metrics: BTreeMap<String, f64>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transfer: Option<TransferReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gate: Option<TransferGate>,
    #[serde(default)]
    readiness: Readiness,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) distance_limit: Option<DistanceLimit>,
    pub(crate) encoder: Description,
}

/// Read before anything else, of any format.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    format: serde_json::Value,
}

impl Manifest {
    /// Of a description, with the hashes of weights and canaries.
    pub(crate) fn new(
        encoder: Description,
        info: ArtifactInfo,
        distance_limit: Option<DistanceLimit>,
        [weights_sha256, canaries_sha256]: [ContentHash; 2],
    ) -> Self {
        let ArtifactInfo { metrics, note, transfer, gate, readiness } = info;
        Self {
            format: FORMAT,
            crate_version: env!("CARGO_PKG_VERSION").into(),
            profile_schema_hash: encoder.profile_schema.hash(),
            chain_schema_hash: encoder.chain_schema.hash(),
            weights_sha256,
            canaries_sha256,
            metrics,
            note,
            transfer,
            gate,
            readiness,
            distance_limit,
            encoder,
        }
    }

    /// Description, the caller's facts, and the distance limit.
    pub(crate) fn into_parts(self) -> (Description, ArtifactInfo, Option<DistanceLimit>) {
        let Self { metrics, note, transfer, gate, readiness, encoder, distance_limit, .. } = self;
        (encoder, ArtifactInfo { metrics, note, transfer, gate, readiness }, distance_limit)
    }

    /// Reads a manifest; the format is looked at first, so that another one is called by its name.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let Head { format } = serde_json::from_slice(bytes).map_err(Error::json(path))?;
        if format.as_u64() != Some(FORMAT.into()) {
            let found = printable(&format.to_string(), 40);
            return Err(Error::Format { path: path.into(), expected: FORMAT, found });
        }
        let mut manifest: Self = serde_json::from_slice(bytes).map_err(Error::json(path))?;
        manifest.encoder.bin();
        let hashes = [
            ("profile schema", manifest.profile_schema_hash, manifest.encoder.profile_schema.hash()),
            ("chain schema", manifest.chain_schema_hash, manifest.encoder.chain_schema.hash()),
        ];
        for (what, stated, found) in hashes {
            if stated != found {
                let what = format!("hash of the {what} in it");
                let (expected, found) = (stated.to_string(), found.to_string());
                return Err(Error::Artifact { path: path.into(), what, expected, found });
            }
        }
        Ok(manifest)
    }

    /// Checks that its parts make sense, fit each other and can be held.
    pub(crate) fn check(&self) -> Result<()> {
        let Description { featuriser, value_head, .. } = &self.encoder;
        self.encoder.check()?;
        let units = value_head.as_ref().map(|head| head.hidden().len());
        affordable(&self.encoder.shape(), &featuriser.numeric(), units)?;
        ArtifactInfo::check(&self.gate, &self.transfer, &self.readiness)?;
        self.distance_limit.as_ref().map_or(Ok(()), DistanceLimit::check)
    }
}

/// The first few of some words.
fn some(words: &[String]) -> String {
    const FEW: usize = 12;
    let cut = |word: &String| printable(word, 40);
    let mut words: Vec<String> = words.iter().take(FEW + 1).map(cut).collect();
    let more = words.len() > FEW;
    words.truncate(FEW);
    format!("{words:?}{}", if more { " and more" } else { "" })
}

/// Where two profile schemas differ, in words: the first few differences.
pub(crate) fn difference(expected: &ProfileSchema, found: &ProfileSchema) -> String {
    let mut differences = Vec::new();
    for field in expected.fields() {
        let Some(other) = found.field_index(field.name()).and_then(|i| found.fields().get(i)) else {
            differences.push(format!("field `{}` is missing", field.name()));
            continue;
        };
        let kinds = (field.kind(), other.kind());
        if kinds.0.name() != kinds.1.name() {
            differences.push(format!(
                "field `{}` was {}, is {}",
                field.name(),
                kinds.0.name(),
                kinds.1.name()
            ));
        } else if let (Some(old), Some(new)) = (kinds.0.domain(), kinds.1.domain()) {
            if old.values() != new.values() {
                differences.push(format!(
                    "values of `{}` were {}, are {}",
                    field.name(),
                    some(old.values()),
                    some(new.values())
                ));
            } else if old.unknown() != new.unknown() {
                let (old, new) = (old.unknown(), new.unknown());
                differences.push(format!("unknown values of `{}` were {old:?}, are {new:?}", field.name()));
            }
        } else if let (FieldKind::Numeric(old), FieldKind::Numeric(new)) = kinds
            && old != new
        {
            differences.push(format!("range of `{}` was {old:?}, is {new:?}", field.name()));
        }
    }
    let added = found.fields().iter().filter(|field| expected.field_index(field.name()).is_none());
    differences.extend(added.map(|field| format!("field `{}` is new", field.name())));
    if differences.is_empty() {
        let names =
            |schema: &ProfileSchema| schema.fields().iter().map(|f| f.name()).collect::<Vec<_>>().join(", ");
        differences.push(if names(expected) == names(found) {
            "their fields read alike but are declared differently".into()
        } else {
            let (expected, found) = (printable(&names(expected), 400), printable(&names(found), 400));
            format!("the order of the fields was {expected}, is {found}")
        });
    }
    let more = differences.len().saturating_sub(4);
    differences.truncate(4);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    differences.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use scaletot_profile::FieldSpec;

    fn schema(fields: Vec<FieldSpec>) -> ProfileSchema {
        let mut builder = ProfileSchema::builder("shop");
        for field in fields {
            builder = builder.with_field(field);
        }
        builder.build().unwrap()
    }

    #[test]
    fn differences_are_put_into_words() {
        let age = || FieldSpec::ordinal("age", ["young", "old"]);
        let old = schema(vec![age(), FieldSpec::numeric("income")]);
        let says = |fields| difference(&old, &schema(fields));
        assert!(says(vec![age()]).contains("`income` is missing"));
        assert!(says(vec![age(), FieldSpec::boolean("income")]).contains("was numeric, is boolean"));
        let reordered = FieldSpec::ordinal("age", ["old", "young"]);
        assert!(says(vec![reordered, FieldSpec::numeric("income")]).contains(r#"were ["young", "old"]"#));
        assert!(
            says(vec![FieldSpec::numeric("income"), age()]).contains("order of the fields was age, income")
        );
        assert!(says(vec![age(), FieldSpec::numeric("income").with_min(0.0)]).contains("range of `income`"));
        let more = vec![age(), FieldSpec::numeric("income"), FieldSpec::boolean("member")];
        assert!(says(more).contains("`member` is new"));
    }
}
