//! A small shop with a planted rule.

pub(crate) mod checkpoint;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaletot_chain::{
    Chain, ChainRecord, ChainSchema, Constraint, Corpus, CorpusHeader, Reason, StateDef, Step, Verdict,
};
use scaletot_core::Progress;
use scaletot_core::files::Checksums;
use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, ProfileTable, TableBuilder, UnknownPolicy, Value};
use scaletot_student::{
    Error, InferConfig, Osipo, OsipoConfig, OsipoLog, Sft, SftConfig, SftLog, Student, StudentConfig,
};

/// Taste is decided by the colour, need by the income, spend by both; high spend is forbidden at low need.
pub(crate) const COLOURS: usize = 4;

pub(crate) fn profile_schema() -> ProfileSchema {
    ProfileSchema::builder("shop")
        .with_field(FieldSpec::categorical("colour", ["red", "green", "blue", "grey"]))
        .with_field(FieldSpec::numeric("income"))
        .with_field(FieldSpec::ordinal("size", ["s", "m", "l"]).with_unknown(UnknownPolicy::Bucket))
        .with_field(FieldSpec::boolean("member"))
        .with_field(FieldSpec::multi("tags", ["a", "b", "c"]))
        .build()
        .unwrap()
}

pub(crate) fn chain_schema() -> ChainSchema {
    ChainSchema::builder("customer")
        .with_state(StateDef::categorical("taste", ["warm", "cool"]))
        .with_state(StateDef::ordinal("need", ["low", "high"]))
        .with_state(StateDef::ordinal("spend", ["none", "some", "much"]).with_depends_on(["need"]))
        .with_constraint(Constraint::new([("need", "low")], "spend", ["much"]))
        .build()
        .unwrap()
}

pub(crate) fn table(users: usize, seed: u64) -> ProfileTable {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut builder = TableBuilder::new(profile_schema());
    for user in 0..users {
        let tags: Vec<u32> = (0..3).filter(|_| rng.random_bool(0.4)).collect();
        let values = [
            Some(Value::Code(rng.random_range(0..COLOURS as u32))),
            Some(Value::Number(rng.random_range(0.0..100.0))),
            rng.random_bool(0.7).then(|| Value::Code(rng.random_range(0..4))),
            rng.random_bool(0.5).then(|| Value::Flag(rng.random_bool(0.5))),
            rng.random_bool(0.6).then_some(Value::Codes(&tags)),
        ];
        builder.push_values(user as i64, &values).unwrap();
    }
    builder.finish()
}

/// The planted chain of a user.
pub(crate) fn truth(table: &ProfileTable, row: usize) -> [u16; 3] {
    let Some(Value::Code(colour)) = table.value(row, 0) else { panic!("colour is never missing") };
    let Some(Value::Number(income)) = table.value(row, 1) else { panic!("income is never missing") };
    let (taste, need) = (u16::from(colour >= 2), u16::from(income > 50.0));
    [taste, need, if need == 0 { taste } else { 1 + taste }]
}

/// A record with the given chain, from a teacher that is sure by `p`.
pub(crate) fn record(table: &ProfileTable, row: usize, values: &[u16], p: f64, score: f64) -> ChainRecord {
    let schema = chain_schema();
    let steps: Vec<Step> = (0..schema.len())
        .map(|k| {
            let allowed = schema.allowed(k, &values[..k]);
            let others = allowed.iter().filter(|&&ok| ok).count() as f64 - 1.0;
            let share = |v: usize| if v == usize::from(values[k]) { p } else { (1.0 - p) / others };
            let distribution = (0..allowed.len()).map(|v| if allowed[v] { share(v) } else { 0.0 }).collect();
            Step::exact(values[k], distribution)
        })
        .collect();
    let posterior = steps.iter().map(|step| step.distribution.clone()).collect();
    let chain = Chain::new(&schema, steps, score).unwrap();
    ChainRecord::new(table.id(row), Verdict::Accepted).with_best(Some(chain)).with_posterior(posterior)
}

pub(crate) fn records(table: &ProfileTable) -> Vec<ChainRecord> {
    let of = |row| record(table, row, &truth(table, row), 0.9, -(row as f64 % 7.0));
    (0..table.len()).map(of).collect()
}

pub(crate) fn rejected(table: &ProfileTable, row: usize) -> ChainRecord {
    let reason = Reason::LowScore { score: -9.0, bar: -1.0 };
    let best = record(table, row, &[0, 0, 0], 0.9, -9.0).best;
    ChainRecord::new(table.id(row), Verdict::Rejected { reason }).with_best(best)
}

/// Inference by so many users at a time.
pub(crate) fn batches_of(users: usize) -> InferConfig {
    InferConfig::default().with_max_batch(users)
}

pub(crate) fn tiny() -> StudentConfig {
    let mut config = StudentConfig::default();
    (config.d_model, config.n_layers, config.n_heads, config.n_kv_heads, config.d_ff) = (16, 1, 2, 1, 24);
    config.numeric_bins = 4;
    config
}

pub(crate) fn student(table: &ProfileTable, seed: u64) -> Student {
    Student::new(&tiny(), table, &chain_schema(), seed, &Device::default()).unwrap()
}

/// Options that teach the tiny student the planted rule in a second.
pub(crate) fn quick() -> SftConfig {
    let mut config = SftConfig::default();
    (config.epochs, config.batch_size, config.learning_rate) = (12, 16, 1e-2);
    (config.dropout, config.field_dropout) = (0.0, 0.0);
    config
}

/// Records as a corpus for that student.
pub(crate) fn corpus(student: &Student, records: &[ChainRecord]) -> Corpus {
    let header = CorpusHeader::new(student.profile_schema().hash(), student.chain_schema(), "planted", 1);
    Corpus::new(header, records.to_vec(), student.chain_schema()).unwrap()
}

/// SFT on records of users of a table.
pub(crate) fn sft(
    student: &Student,
    table: &ProfileTable,
    records: &[ChainRecord],
    config: &SftConfig,
    seed: u64,
    progress: &dyn Progress,
) -> Result<(Student, SftLog), Error> {
    let (corpus, dataset) = (corpus(student, records), Dataset::from(table.clone()));
    Sft::new(config.clone())?.fit(student, &corpus.join(&dataset)?, seed, progress)
}

/// OSIPO on records of users of a dataset.
pub(crate) fn osipo(
    student: &Student,
    dataset: &Dataset,
    records: &[ChainRecord],
    config: &OsipoConfig,
    seed: u64,
    progress: &dyn Progress,
) -> Result<(Student, OsipoLog), Error> {
    let corpus = corpus(student, records);
    Osipo::new(config.clone())?.fit(student, &corpus.join(dataset)?, seed, progress)
}

/// Counts what it is told, and stops after some steps.
#[derive(Default)]
pub(crate) struct Listener {
    pub(crate) steps: AtomicU64,
    pub(crate) total: AtomicU64,
    pub(crate) finished: AtomicBool,
    pub(crate) stop_after: u64,
}

impl Progress for Listener {
    fn start(&self, _what: &str, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    fn advance(&self, n: u64) {
        self.steps.fetch_add(n, Ordering::Relaxed);
    }

    fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.stop_after > 0 && self.steps.load(Ordering::Relaxed) >= self.stop_after
    }
}

/// Writes a saved student's `config.json` and checksums anew, to fit its files as they are.
pub(crate) fn sign(dir: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    checkpoint::edit_json(dir.join("config.json"), |config| {
        let own = if config.get("scaletot").is_some() { &mut config["scaletot"] } else { &mut *config };
        for (name, bytes) in own["file_bytes"].as_object_mut().unwrap() {
            *bytes = fs::metadata(dir.join(name)).unwrap().len().into();
        }
        edit(config);
    });
    fs::write(dir.join(Checksums::NAME), Checksums::of(dir).unwrap().to_text()).unwrap();
}
