//! Canaries: profiles with the outputs that were recorded when the artifact was written.
//!
//! Hashes show that files are as they were written; canaries show that *this build on this machine* computes from them
//! what was computed then. They are synthetic, drawn from the training histograms, field by field, so that no user's profile
//! travels with the artifact.

use ndarray::ArrayView1;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaletot_profile::{FieldKind, ProfileSchema, ProfileTable, TableBuilder, Value};
use serde::{Deserialize, Serialize};

use crate::distinct::Deduplication;
use crate::encoding::FieldEncoding;
use crate::error::{Error, Result};
use crate::features::Features;
use crate::featuriser::Featuriser;
use crate::histogram::FieldHistogram;
use crate::network::Outputs;
use crate::plan::Plan;

/// How many canaries an artifact carries, if as many profiles can differ.
const COUNT: usize = 24;

/// Fewer canaries than this and an artifact is refused, if as many profiles can differ.
const MIN_CANARIES: usize = 16;

/// More canaries than this are refused: they are computed whenever an artifact is loaded.
const MAX_CANARIES: usize = 256;

/// How often [`COUNT`] profiles are drawn until as many differ.
const ROUNDS: usize = 8;

/// Allowed difference of an output `x`: `TOLERANCE · (1 + |x|)`. Machines differ in the order and fusing of floating
/// point operations by about 1e-6 of that; a wrong weight is orders of magnitude away.
pub(crate) const TOLERANCE: f64 = 1e-4;

/// An owned [`Value`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cell {
    Code(u32),
    Number(f64),
    Flag(bool),
    Codes(Vec<u32>),
}

impl Cell {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Code(code) => Value::Code(*code),
            Self::Number(number) => Value::Number(*number),
            Self::Flag(flag) => Value::Flag(*flag),
            Self::Codes(codes) => Value::Codes(codes),
        }
    }
}

/// One profile with its recorded head outputs (before link functions).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Canary {
    pub(crate) profile: Vec<Option<Cell>>,
    pub(crate) outcome: Vec<f32>,
    pub(crate) states: Vec<f32>,
    pub(crate) representation: Vec<f32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) value: Vec<f32>,
}

/// The canaries of an artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Canaries(pub(crate) Vec<Canary>);

impl Canaries {
    /// Draws profiles and records the encoder's outputs for them: a blank one, a full one, then draws in which every
    /// field follows its training histogram. No two are alike; where too few profiles can differ there are fewer.
    pub(crate) fn record(
        schema: &ProfileSchema,
        featuriser: &Featuriser,
        histograms: &[FieldHistogram],
        plan: &Plan,
    ) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut profiles: Vec<Vec<Option<Cell>>> = vec![];
        for round in 0..=ROUNDS {
            if round == ROUNDS {
                // Nearly all training profiles are alike.
                profiles.extend((0..least(featuriser)).map(|number| enumerated(featuriser, number)));
            } else {
                for i in 0..COUNT {
                    let fields = featuriser.fields().iter().zip(histograms);
                    let cells = fields.map(|(encoder, histogram)| match (round, i) {
                        (0, 0) => None,
                        (0, 1) => draw(&encoder.encoding, histogram, false, &mut rng),
                        _ => draw(&encoder.encoding, histogram, true, &mut rng),
                    });
                    profiles.push(cells.collect());
                }
            }
            for profile in &mut profiles {
                for (cell, field) in profile.iter_mut().zip(schema.fields()) {
                    if let (Some(Cell::Code(code)), FieldKind::Boolean) = (&*cell, field.kind()) {
                        *cell = Some(Cell::Flag(*code == 1));
                    }
                }
            }
            let mut distinct = distinct(&features(schema, featuriser, &profiles)?);
            distinct.truncate(COUNT);
            profiles = distinct.into_iter().map(|row| std::mem::take(&mut profiles[row])).collect();
            if profiles.len() == COUNT {
                break;
            }
        }
        let outputs = plan.forward(&features(schema, featuriser, &profiles)?)?;
        let canaries = profiles.into_iter().enumerate().map(|(i, profile)| Canary {
            profile,
            outcome: outputs.outcome.row(i).to_vec(),
            states: outputs.states.row(i).to_vec(),
            representation: outputs.representation.row(i).to_vec(),
            value: outputs.value.row(i).to_vec(),
        });
        Ok(Self(canaries.collect()))
    }

    /// Checks what was read from a file: that there are enough profiles, none of which is another one again, and that what was recorded for them
    /// are numbers. Copies of one profile would tell no more than that one does.
    ///
    /// # Errors
    /// [`Error::Shape`]; as [`features`](Self::features).
    pub(crate) fn check_profiles(&self, schema: &ProfileSchema, featuriser: &Featuriser) -> Result<()> {
        let least = least(featuriser);
        if !(least..=MAX_CANARIES).contains(&self.0.len()) {
            let expected = format!("at least {least} and at most {MAX_CANARIES}");
            return Err(Error::shape("canaries", expected, self.0.len()));
        }
        let recorded = |canary: &Canary| {
            let heads = [&canary.outcome, &canary.states, &canary.representation, &canary.value];
            heads.into_iter().flatten().all(|x| x.is_finite())
        };
        if let Some(index) = self.0.iter().position(|canary| !recorded(canary)) {
            return Err(Error::shape(
                "outputs of a canary",
                "finite numbers",
                format!("others in canary {index}"),
            ));
        }
        let distinct = distinct(&self.features(schema, featuriser)?);
        if distinct.len() == self.0.len() {
            return Ok(());
        }
        let again = (0..self.0.len()).find(|row| !distinct.contains(row)).unwrap_or_default();
        let found = format!("{} that differ; canary {again} is one of those before it again", distinct.len());
        Err(Error::shape("canaries", "profiles that all differ from one another", found))
    }

    /// Records another value head's outputs for the profiles; the other heads' outputs stay as they were recorded.
    pub(crate) fn record_values(&mut self, outputs: &Outputs) {
        for (canary, value) in self.0.iter_mut().zip(outputs.value.outer_iter()) {
            canary.value = value.to_vec();
        }
    }

    /// Runs the profiles, as their features, again and compares every output.
    pub(crate) fn check(&self, features: &Features, plan: &Plan) -> Result<()> {
        let outputs = plan.forward(features)?;
        for (index, canary) in self.0.iter().enumerate() {
            compare(
                index,
                [&canary.outcome, &canary.states, &canary.representation, &canary.value]
                    .map(ArrayView1::from),
                &outputs,
            )?;
        }
        Ok(())
    }

    /// The profiles as features.
    pub(crate) fn features(&self, schema: &ProfileSchema, featuriser: &Featuriser) -> Result<Features> {
        let profiles: Vec<Vec<Option<Cell>>> = self.0.iter().map(|canary| canary.profile.clone()).collect();
        features(schema, featuriser, &profiles)
    }
}

/// Compares the heads of a canary with what is found now.
pub(crate) fn compare(index: usize, expected: [ArrayView1<'_, f32>; 4], found: &Outputs) -> Result<()> {
    let found = [&found.outcome, &found.states, &found.representation, &found.value];
    let names = ["outcome", "states", "representation", "value"];
    for ((head, expected), found) in names.into_iter().zip(expected).zip(found) {
        let found = found.row(index);
        if expected.len() != found.len() {
            let what = format!("{head} of canary {index}");
            return Err(Error::shape(what, format!("{} values", found.len()), expected.len()));
        }
        for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
            let (expected, found) = (f64::from(*expected), f64::from(*found));
            let tolerance = TOLERANCE * (1.0 + expected.abs());
            let off = (expected - found).abs();
            if off.is_nan() || off > tolerance {
                let output = format!("{head}[{at}]");
                return Err(Error::Canary { index, output, expected, found, tolerance });
            }
        }
    }
    Ok(())
}

/// The rows that are not one of those before them again.
fn distinct(features: &Features) -> Vec<usize> {
    Deduplication::Always
        .of(features)
        .map_or_else(|| (0..features.len()).collect(), |distinct| distinct.first)
}

/// How many canaries there are at least.
fn least(featuriser: &Featuriser) -> usize {
    let choices = featuriser.fields().iter().map(|field| choices(&field.encoding));
    choices.fold(1, usize::saturating_mul).min(MIN_CANARIES)
}

/// How many values of a field [`enumerated`] tells apart, missing included.
fn choices(encoding: &FieldEncoding) -> usize {
    match encoding {
        FieldEncoding::Index { cardinality } => cardinality + 1,
        FieldEncoding::Bag { cardinality } => cardinality + 2,
        FieldEncoding::Piecewise { quantiles: Some(quantiles) } => {
            2 + usize::from(quantiles.min() < quantiles.max())
        }
        FieldEncoding::Piecewise { quantiles: None } => 1,
    }
}

/// The profiles that can be, by number: no two are alike among the first [`least`].
fn enumerated(featuriser: &Featuriser, number: usize) -> Vec<Option<Cell>> {
    let mut rest = number;
    let cells = featuriser.fields().iter().map(|field| {
        let choices = choices(&field.encoding);
        let choice = (rest % choices).checked_sub(1);
        rest /= choices;
        choice.map(|choice| match &field.encoding {
            FieldEncoding::Index { .. } => Cell::Code(choice as u32),
            FieldEncoding::Bag { .. } => {
                Cell::Codes(choice.checked_sub(1).map(|code| code as u32).into_iter().collect())
            }
            FieldEncoding::Piecewise { quantiles } => {
                let ends =
                    quantiles.as_ref().map_or([0.0; 2], |quantiles| [quantiles.min(), quantiles.max()]);
                Cell::Number(ends[choice.min(1)])
            }
        })
    });
    cells.collect()
}

fn features(
    schema: &ProfileSchema,
    featuriser: &Featuriser,
    profiles: &[Vec<Option<Cell>>],
) -> Result<Features> {
    let table = table(schema, profiles)?;
    let rows: Vec<usize> = (0..table.len()).collect();
    featuriser.transform(&table, &rows)
}

fn table(schema: &ProfileSchema, profiles: &[Vec<Option<Cell>>]) -> Result<ProfileTable> {
    let mut builder = TableBuilder::new(schema.clone());
    for (id, profile) in profiles.iter().enumerate() {
        let values: Vec<Option<Value<'_>>> =
            profile.iter().map(|cell| cell.as_ref().map(Cell::value)).collect();
        builder.push_values(id as i64, &values)?;
    }
    Ok(builder.finish())
}

/// A value that is as frequent as in training; never missing when `or_missing` is false and any value was seen.
fn draw(
    encoding: &FieldEncoding,
    histogram: &FieldHistogram,
    or_missing: bool,
    rng: &mut ChaCha8Rng,
) -> Option<Cell> {
    let missing = if or_missing { histogram.missing } else { 0 };
    let seen: u64 = histogram.counts.iter().sum();
    let mut ticket = match (missing + seen).checked_sub(1) {
        Some(last) => rng.random_range(0..=last),
        None => return None,
    };
    if ticket < missing {
        return None;
    }
    ticket -= missing;
    let bin = histogram.counts.iter().position(|&count| {
        let hit = ticket < count;
        ticket = ticket.saturating_sub(count);
        hit
    })?;
    match encoding {
        FieldEncoding::Index { .. } => Some(Cell::Code(bin as u32)),
        FieldEncoding::Bag { .. } => {
            let mut codes = vec![bin as u32];
            let other = rng.random_range(0..histogram.counts.len()) as u32;
            codes.extend((other != codes[0]).then_some(other));
            codes.sort_unstable();
            Some(Cell::Codes(codes))
        }
        FieldEncoding::Piecewise { quantiles } => {
            let quantiles = quantiles.as_ref()?;
            let low =
                bin.checked_sub(1).and_then(|b| quantiles.cuts().get(b)).copied().unwrap_or(quantiles.min());
            let high = quantiles.cuts().get(bin).copied().unwrap_or(quantiles.max());
            // A weighted mean cannot overflow where a difference could.
            let share: f64 = rng.random();
            Some(Cell::Number((low * (1.0 - share) + high * share).clamp(low, high)))
        }
    }
}
