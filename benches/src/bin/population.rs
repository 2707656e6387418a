//! Writes a made-up population for an artifact's profile schema, as many users as one likes, to measure scoring with.
//!
//! ```text
//! cargo run --release -p scaletot-benches --bin population -- --artifact DIR --users 100000000 --repetition sparse --output DIR
//! ```
//!
//! - `sparse`: what a population without histories looks like. The number of fields that a user has filled in is drawn evenly from none to all
//!   and then halved for every other user; values follow Zipf's law with exponent 1.
//! - `none`: no two users have the same profile: a profile is the user's number, permuted, written in digits that are the fields' values.
//!
//! One seed gives the same users, whatever the number of threads.

#![allow(clippy::print_stdout, reason = "a program that prints its results")]

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray};
use clap::{Parser, ValueEnum};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use rand::RngExt;
use rand::seq::index::sample;
use rand_distr::{Distribution, Zipf};
use scaletot_core::seed::numbered;
use scaletot_encoder::FrozenEncoder;
use scaletot_profile::FieldKind;

/// Users of a batch, drawn from a stream of their own.
const BATCH: usize = 1 << 16;

/// Users of a row group.
const GROUP: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Repetition {
    Sparse,
    None,
}

/// Write a made-up population for an artifact
#[derive(Debug, Parser)]
struct Arguments {
    /// Artifact whose profile schema the users fit; all fields must be categorical, ordinal or boolean
    #[arg(long)]
    artifact: PathBuf,
    /// How many users
    #[arg(long)]
    users: usize,
    /// Users of a file
    #[arg(long, default_value = "10000000")]
    file_users: NonZeroUsize,
    /// How profiles repeat
    #[arg(long, value_enum)]
    repetition: Repetition,
    /// Directory of the files
    #[arg(long)]
    output: PathBuf,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

struct Population {
    /// The id column's name.
    id: String,
    /// The fields' names and values.
    fields: Vec<(String, Arc<StringArray>)>,
    repetition: Repetition,
    seed: u64,
    /// Profiles there can be of the first half of the fields, and of the second.
    halves: [u64; 2],
}

impl Population {
    fn new(encoder: &FrozenEncoder, arguments: &Arguments) -> Result<Self> {
        let mut fields = vec![];
        for field in encoder.profile_schema().fields() {
            let values = match field.kind() {
                FieldKind::Categorical(domain) | FieldKind::Ordinal(domain) => domain.values().to_vec(),
                FieldKind::Boolean => vec!["no".to_owned(), "yes".to_owned()],
                other => bail!(
                    "field `{}` is {}: only fields of few values can be synthesised",
                    field.name(),
                    other.name()
                ),
            };
            fields.push((field.name().to_owned(), Arc::new(StringArray::from(values))));
        }
        let half = |fields: &[(String, Arc<StringArray>)]| {
            let sizes = fields.iter().map(|(_, values)| arrow_array::Array::len(&**values) as u64 + 1);
            // Few enough for sums of two.
            sizes.fold(1, u64::saturating_mul).min(1 << 62)
        };
        let (first, second) = fields.split_at(fields.len() / 2);
        let halves = [half(first), half(second)];
        let profiles = u128::from(halves[0]) * u128::from(halves[1]);
        if arguments.repetition == Repetition::None && (arguments.users as u128) > profiles {
            bail!("{} users cannot all differ: there are {profiles} profiles", arguments.users);
        }
        let id = encoder.profile_schema().id_column().to_owned();
        Ok(Self { id, fields, repetition: arguments.repetition, seed: arguments.seed, halves })
    }

    /// The halves of a profile, as numbers below [`halves`](Self::halves), for a user's number: another for every user (a Feistel network).
    fn permuted(&self, user: u64) -> (u64, u64) {
        let [a, b] = self.halves;
        let (mut low, mut high) = (user % a, user / a);
        for round in 0..4 {
            low = (low + mixed(high ^ self.seed << 8 ^ round) % a) % a;
            high = (high + mixed(low ^ self.seed << 8 ^ round ^ 0x55) % b) % b;
        }
        (low, high)
    }

    /// The users of some numbers.
    fn batch(&self, first: usize, users: usize) -> Result<RecordBatch> {
        let mut rng = numbered(self.seed, (first / BATCH) as u64);
        let values = |field: usize| arrow_array::Array::len(&*self.fields[field].1);
        let laws = (0..self.fields.len()).map(|field| Zipf::new(values(field) as f64, 1.0));
        let laws = laws.collect::<Result<Vec<_>, _>>()?;
        let mut cells: Vec<Vec<Option<i32>>> = vec![Vec::with_capacity(users); self.fields.len()];
        let mut profile = vec![None; self.fields.len()];
        for user in first..first + users {
            profile.fill(None);
            match self.repetition {
                Repetition::Sparse => {
                    let filled = rng.random_range(0..=self.fields.len()) >> (user % 2);
                    for field in sample(&mut rng, self.fields.len(), filled) {
                        profile[field] = Some(laws[field].sample(&mut rng) as i32 - 1);
                    }
                }
                Repetition::None => {
                    let half = self.fields.len() / 2;
                    let (low, high) = self.permuted(user as u64);
                    for (mut rest, fields) in [(low, 0..half), (high, half..self.fields.len())] {
                        for field in fields {
                            let digits = values(field) as u64 + 1;
                            // The digit 0 is a missing value.
                            profile[field] =
                                i32::try_from(rest % digits).ok().filter(|d| *d > 0).map(|d| d - 1);
                            rest /= digits;
                        }
                    }
                }
            }
            cells.iter_mut().zip(&profile).for_each(|(column, cell)| column.push(*cell));
        }
        let ids = Int64Array::from_iter_values((first..first + users).map(|user| user as i64));
        let mut columns: Vec<(&str, ArrayRef, bool)> = vec![(&self.id, Arc::new(ids), false)];
        for ((name, values), cells) in self.fields.iter().zip(cells) {
            let keys = Int32Array::from(cells);
            columns.push((
                name,
                Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values.clone())?),
                true,
            ));
        }
        Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
    }
}

/// A number whose bits all depend on those of `x` (the finaliser of `SplitMix64`).
fn mixed(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let encoder = FrozenEncoder::load_with_own_schema(&arguments.artifact)?;
    let population = Population::new(&encoder, &arguments)?;
    fs::create_dir_all(&arguments.output)?;
    // A file begins with a batch, so that every batch is drawn from its own stream.
    let each = arguments.file_users.get().next_multiple_of(BATCH);
    let files = arguments.users.div_ceil(each);
    let next = AtomicUsize::new(0);
    let write = || -> Result<()> {
        loop {
            let file = next.fetch_add(1, Ordering::Relaxed);
            if file >= files {
                return Ok(());
            }
            let path = arguments.output.join(format!("users-{file:05}.parquet"));
            let properties = WriterProperties::builder()
                .set_compression(Compression::SNAPPY)
                .set_max_row_group_row_count(Some(GROUP))
                .build();
            let range = file * each..((file + 1) * each).min(arguments.users);
            let opened = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
            let first = population.batch(range.start, 1)?;
            let mut writer = ArrowWriter::try_new(opened, first.schema(), Some(properties))?;
            for start in range.clone().step_by(BATCH) {
                writer.write(&population.batch(start, BATCH.min(range.end - start))?)?;
            }
            writer.close()?;
        }
    };
    let threads = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(write)).collect();
        running.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread has failed"),
        })
    })?;
    println!("{} users in {files} files under {}", arguments.users, arguments.output.display());
    Ok(())
}
