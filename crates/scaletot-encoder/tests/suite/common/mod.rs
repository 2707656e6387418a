//! A small planted world: what the student says follows from the profile, and so does what is spent.

use std::fs;
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaletot_chain::{ChainSchema, Signals, StateDef};
use scaletot_core::ContentHash;
use scaletot_core::files::Checksums;
use scaletot_encoder::{EncoderConfig, FieldTerms, FrozenEncoder, Heads, HiddenUnit, ValueHead};
use scaletot_profile::{
    Dataset, FieldSpec, ProfileSchema, ProfileTable, Quantiles, Segments, TableBuilder, Value,
};

pub(crate) const STUDENT_DIM: usize = 4;

pub(crate) struct World {
    pub(crate) table: ProfileTable,
    pub(crate) chain: ChainSchema,
    /// What the student says of all users.
    pub(crate) signals: Signals,
    pub(crate) outcomes: Vec<Option<f64>>,
}

impl World {
    /// Profiles and outcomes, in one segment.
    pub(crate) fn dataset(&self) -> Dataset {
        Dataset::builder(self.table.clone()).with_outcomes(self.outcomes.clone()).build().unwrap()
    }

    /// The planted probability that a user spends much.
    pub(crate) fn planted(&self, row: usize) -> f64 {
        self.signals.marginal(row, 1)[2].into()
    }
}

/// The same users in segments of these names.
pub(crate) fn in_segments(table: &ProfileTable, name: impl Fn(usize) -> String) -> Dataset {
    let labels: Vec<Option<String>> = (0..table.len()).map(|row| Some(name(row))).collect();
    let segments = Segments::from_labels(&labels);
    Dataset::builder(table.clone()).with_segments(segments).build().unwrap()
}

pub(crate) fn schema() -> ProfileSchema {
    ProfileSchema::builder("shop")
        .with_field(FieldSpec::ordinal("age", ["18-24", "25-44", "45-64", "65+"]))
        .with_field(FieldSpec::numeric("income").with_min(0.0))
        .with_field(FieldSpec::boolean("member"))
        .with_field(FieldSpec::multi("likes", ["food", "toys", "tools"]))
        .with_field(FieldSpec::categorical("home", ["rent", "own"]))
        .build()
        .unwrap()
}

pub(crate) fn chain() -> ChainSchema {
    ChainSchema::builder("shopper")
        .with_state(StateDef::categorical("need", ["food", "other"]))
        .with_state(StateDef::ordinal("spend", ["low", "moderate", "high"]).with_depends_on(["need"]))
        .build()
        .unwrap()
}

pub(crate) fn config(embed_dim: usize, hidden: Vec<usize>, cross_layers: usize) -> EncoderConfig {
    let mut config = EncoderConfig::default();
    config.embed_dim = embed_dim;
    config.hidden = hidden;
    config.cross_layers = cross_layers;
    config.rep_dim = 3;
    config.bins = 4;
    config
}

/// An encoder with all heads and random weights.
pub(crate) fn encoder(seed: u64) -> FrozenEncoder {
    let world = world(40, seed);
    let heads = Heads::new(true, vec![2, 3], 4);
    FrozenEncoder::with_random_weights(&config(4, vec![6], 1), &world.table, &world.chain, heads, seed)
        .unwrap()
}

/// A value head with all its parts for an encoder of these fields, states of 2 and 3 values, a representation of 3 numbers and a trunk of so
/// many.
pub(crate) fn value_head(trunk: usize, seed: u64) -> ValueHead {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = |count: usize| (0..count).map(|_| rng.random_range(-0.5..0.5)).collect::<Vec<f64>>();
    let quantiles = Quantiles::fit((1..=60).map(f64::from), 6).unwrap();
    let bins = quantiles.bins();
    let fields = vec![
        FieldTerms::Codes { codes: weights(4), missing: 0.1 },
        FieldTerms::Numeric { bins: weights(bins), quantiles, slope: 0.05, missing: -0.2 },
        FieldTerms::Codes { codes: weights(2), missing: 0.0 },
        FieldTerms::Codes { codes: weights(3), missing: 0.3 },
        FieldTerms::Unused,
    ];
    let hidden = vec![
        HiddenUnit::new(0.2, 0.4, vec![weights(5), weights(bins + 1), vec![], weights(4), vec![]]),
        HiddenUnit::new(-0.1, -0.6, vec![weights(5), vec![], weights(3), weights(4), vec![]]),
    ];
    ValueHead::builder(0.4)
        .with_fields(fields)
        .with_marginals(vec![weights(2), weights(3)])
        .with_representation(weights(3))
        .with_trunk(weights(trunk))
        .with_hidden(hidden)
        .with_link(0.2, 1.1)
        .with_cap(500.0)
        .build()
        .unwrap()
}

/// A standard normal number.
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random::<f64>().max(1e-300), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn softmax(logits: &[f64]) -> Vec<f32> {
    let sum: f64 = logits.iter().map(|l| l.exp()).sum();
    logits.iter().map(|l| (l.exp() / sum) as f32).collect()
}

/// `n` users with every kind of field, a fifth of the cells missing; the first user has nothing but an id.
pub(crate) fn world(n: usize, seed: u64) -> World {
    world_missing(n, seed, 0.2)
}

/// As [`world`], with another share of missing cells: the same users, of whom more or less is known.
pub(crate) fn world_missing(n: usize, seed: u64, missing: f64) -> World {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut table = TableBuilder::new(schema());
    let mut marginals: Vec<f32> = Vec::new();
    let mut representations = vec![0.0; n * 2 * STUDENT_DIM];
    let mut outcomes = Vec::new();
    for id in 0..n {
        let age = rng.random_range(0..4u32);
        let income = (3.0 + 0.8 * normal(&mut rng)).exp();
        let member = rng.random_bool(0.4);
        let likes: Vec<u32> = (0..3).filter(|_| rng.random_bool(0.4)).collect();
        let home = rng.random_range(0..2u32);
        let mut cells = [
            Some(Value::Code(age)),
            Some(Value::Number(income)),
            Some(Value::Flag(member)),
            Some(Value::Codes(&likes)),
            Some(Value::Code(home)),
        ];
        for cell in &mut cells {
            if id == 0 || rng.random_bool(missing) {
                *cell = None;
            }
        }
        table.push_values(id as i64, &cells).unwrap();
        // What is missing counts as the middle: the planted posterior is a function of what can be seen.
        let seen = |field: usize, value: f64| if cells[field].is_some() { value } else { 0.0 };
        let wealth = seen(1, income.ln() - 3.0) + seen(2, f64::from(u8::from(member)) - 0.4);
        let food = seen(3, if likes.contains(&0) { 1.5 } else { -1.0 }) + seen(0, f64::from(age) * 0.4 - 0.6);
        marginals.extend(softmax(&[food, 0.0]));
        marginals.extend(softmax(&[-2.0 * wealth, 0.0, 2.0 * wealth]));
        let representation = &mut representations[id * 2 * STUDENT_DIM..][..2 * STUDENT_DIM];
        for (i, value) in [1.0, wealth, food, wealth - food].into_iter().enumerate() {
            representation[i] = value as f32;
            representation[2 * STUDENT_DIM - 1 - i] = 2.0 * value as f32 + 3.0;
        }
        let positive = rng.random::<f64>() < 1.0 / (1.0 + (-wealth).exp());
        let amount = (2.0 + wealth + 0.8 * normal(&mut rng)).exp();
        outcomes.push(Some(if positive { amount } else { 0.0 }));
    }
    let rows = (0..n).collect();
    let signals = Signals::new(rows, vec![2, 3], marginals, [2, STUDENT_DIM], representations).unwrap();
    World { table: table.finish(), chain: chain(), signals, outcomes }
}

/// Spearman's rank correlation of values without ties.
pub(crate) fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |values: &[f64]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
        let mut ranks = vec![0.0; values.len()];
        order.into_iter().enumerate().for_each(|(rank, i)| ranks[i] = rank as f64);
        ranks
    };
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let cov: f64 = a.iter().zip(&b).map(|(x, y)| (x - mean) * (y - mean)).sum();
    cov / a.iter().map(|x| (x - mean).powi(2)).sum::<f64>()
}

/// The message of an error with those of its causes.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut messages = vec![];
    let mut next = Some(error);
    while let Some(error) = next {
        messages.push(error.to_string());
        next = error.source();
    }
    messages.join(": ")
}

/// Edits the manifest's text and signs it again, as someone would who edits on purpose.
pub(crate) fn edit_manifest(directory: &Path, from: &str, to: &str) {
    let path = directory.join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in the manifest");
    let text = text.replacen(from, to, 1);
    fs::write(&path, &text).unwrap();
    sign(directory);
}

/// Writes the hashes in the manifest and `SHA256SUMS` anew, where they are of other files.
pub(crate) fn sign(directory: &Path) {
    let hash = |name: &str| ContentHash::of(fs::read(directory.join(name)).unwrap()).to_string();
    let path = directory.join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest["weights_sha256"] = hash("weights.safetensors").into();
    manifest["canaries_sha256"] = hash("canaries.json").into();
    fs::write(&path, serde_json::to_vec_pretty(&manifest).unwrap()).unwrap();
    sum(directory);
}

/// Writes `SHA256SUMS` anew.
pub(crate) fn sum(directory: &Path) {
    fs::remove_file(directory.join(Checksums::NAME)).ok();
    let sums = Checksums::of(directory).unwrap();
    // Not as the artifact's own are, which are forced to disk.
    fs::write(directory.join(Checksums::NAME), sums.to_text()).unwrap();
}
