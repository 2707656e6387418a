//! Scores from Parquet to Parquet: what `examples/score` does.
//!
//! Row groups are scored by several threads, each into a part of its own under `.parts` in the output directory; when all of a file are
//! there they are put together in their order. Memory does not grow with the number of users. Whatever stands under its final name is
//! whole, so a run that was killed goes on with the row groups that are missing.

mod columns;
mod files;
mod inputs;
mod summary;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result, bail};
use clap::{Args, ValueEnum};
use scaletot_core::{ContentHash, Progress};
use scaletot_encoder::{FrozenEncoder, Precision};
use scaletot_profile::Error as ProfileError;

pub use self::columns::Output;
use self::columns::{Columns, selection};
pub use self::files::Quarantined;
use self::inputs::Input;
pub use self::summary::Summary;
use self::work::Work;
use crate::error::causes;
use crate::stages::{differences, write_json};

/// Settings of the scores in a directory, so that scores of different settings do not mix.
const SETTINGS: &str = "score.json";

/// What could not be scored.
const QUARANTINE: &str = "quarantine.json";

/// What is scored, and how.
#[derive(Debug, Clone, Args)]
pub struct ScoreOptions {
    /// Artifact directory of the encoder
    #[arg(long, value_name = "DIR")]
    pub artifact: PathBuf,
    /// Parquet files of users: files, directories or patterns such as 'users/*.parquet'
    #[arg(long, value_name = "PATTERN", required = true, num_args = 1..)]
    pub input: Vec<String>,
    /// Where the scores go: a file for every input file
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Columns besides the id: value, p-positive, mu, sigma, q1 to q99 (quantiles), abstained, states, representation, representation-f16, representation-int8
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "value")]
    pub columns: Vec<Output>,
    /// Threads; as many as there are processors unless given
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
    /// Numbers that the encoder computes with
    #[arg(long, value_enum, default_value = "full")]
    pub precision: PrecisionChoice,
    /// What becomes of a row group that cannot be read
    #[arg(long, value_enum, default_value = "stop")]
    pub on_error: OnError,
}

/// The encoder's [`Precision`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionChoice {
    /// 32-bit floats
    Full,
    /// Tables in 16-bit floats
    Bf16,
    /// Tables and the layer after them in integers
    Int8,
}

/// What becomes of a row group that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Stop; what is scored is kept, and the next run goes on from there
    Stop,
    /// Leave it out, and say so in quarantine.json
    Quarantine,
}

/// Scores everything that the options name.
///
/// # Errors
/// If the artifact is refused, an input cannot be read (with [`OnError::Stop`]), the output directory holds scores of other settings or is
/// in use, or a file cannot be written. What was scored stays.
pub fn run(options: &ScoreOptions, bars: &dyn Progress, say: &(dyn Fn(&str) + Sync)) -> Result<Summary> {
    let precision = match options.precision {
        PrecisionChoice::Full => Precision::Full,
        PrecisionChoice::Bf16 => Precision::Bf16,
        PrecisionChoice::Int8 => Precision::Int8,
    };
    let encoder = FrozenEncoder::load_with_own_schema(&options.artifact)
        .with_context(|| format!("--artifact {}", options.artifact.display()))?
        .with_precision(precision)?
        .with_selection(selection(&options.columns))?;
    let columns = Columns::new(&encoder, &options.columns)?;

    fs::create_dir_all(&options.output)
        .with_context(|| format!("cannot create {}", options.output.display()))?;
    let _held = hold(&options.output)?;
    let found = inputs::find(&options.input, &options.output)?;
    let settings = same_settings(options, &found.root)?;
    let mut quarantined = vec![];
    let mut inputs = vec![];
    for (path, relative) in found.files {
        match Input::open(&path, &relative, encoder.profile_schema()) {
            Ok(input) => inputs.push(input),
            Err(error) if options.on_error == OnError::Quarantine && is_damage(&error) => {
                quarantined.push(Quarantined { file: path, row_group: None, rows: 0, error: causes(&error) });
            }
            Err(error) => return Err(error),
        }
    }
    if inputs.is_empty() {
        let first = quarantined.first().map_or("", |bad| bad.error.as_str());
        bail!(
            "none of the {} files that --input names can be read; of the first: {first}",
            quarantined.len()
        );
    }
    let threads = match options.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    let work = Work::new(&encoder, &columns, &inputs, options, settings);
    let mut summary = work.run(threads, bars, say)?;
    summary.quarantined.append(&mut quarantined);
    summary.quarantined.sort_by(|a, b| (&a.file, a.row_group).cmp(&(&b.file, b.row_group)));
    let list = options.output.join(QUARANTINE);
    match summary.quarantined.as_slice() {
        [] if !list.exists() => {}
        [] => fs::remove_file(&list).with_context(|| format!("cannot remove {}", list.display()))?,
        quarantined => write_json(&list, &quarantined)?,
    }
    let old = leftovers(&options.output, &inputs)?;
    if let Some(first) = old.first() {
        let (count, output) = (old.len(), options.output.display());
        say(&format!(
            "{count} files in {output} are of no input of this run and stay as they are, first {first}"
        ));
    }
    Ok(summary)
}

/// Files of scores whose input this run did not see, or could not read: nobody would notice that they are old.
fn leftovers(output: &Path, inputs: &[Input]) -> Result<Vec<String>> {
    let output = output.canonicalize().with_context(|| format!("cannot find {}", output.display()))?;
    let current: BTreeSet<&Path> = inputs.iter().map(|input| input.relative.as_path()).collect();
    let pattern = format!("{}/**/*.parquet", glob::Pattern::escape(&output.to_string_lossy()));
    let mut old = vec![];
    for path in glob::glob(&pattern)? {
        let path = path?;
        let relative = path.strip_prefix(&output).unwrap_or(&path);
        if !current.contains(relative) {
            old.push(relative.display().to_string());
        }
    }
    Ok(old)
}

/// Holds the output directory against a second run at the same time.
fn hold(output: &Path) -> Result<File> {
    let path = output.join(".lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another run is writing to {}", output.display()),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Checks that what is in the output directory, if anything, has the same settings; returns their fingerprint.
fn same_settings(options: &ScoreOptions, root: &Path) -> Result<String> {
    let columns: Vec<String> = options.columns.iter().map(ToString::to_string).collect();
    let decisive = BTreeMap::from([
        ("artifact".to_owned(), ContentHash::of_file(&options.artifact.join("SHA256SUMS"))?.short()),
        ("columns".to_owned(), columns.join(",")),
        ("precision".to_owned(), format!("{:?}", options.precision).to_lowercase()),
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    // Users of two places would overwrite one another. It does not change their scores.
    let mut settings = decisive.clone();
    settings.insert("users below".to_owned(), root.display().to_string());
    let path = options.output.join(SETTINGS);
    if path.exists() {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let old: BTreeMap<String, String> = serde_json::from_str(&text)
            .with_context(|| format!("{} does not hold the settings of scores", path.display()))?;
        let differing = differences(&old, &settings);
        if !differing.is_empty() {
            let output = options.output.display();
            bail!("{output} holds scores of other settings ({}); use another --output", differing.join(", "));
        }
    } else {
        write_json(&path, &settings)?;
    }
    Ok(ContentHash::of(serde_json::to_string(&decisive)?).short())
}

/// Whether it is what a file holds that is wrong, and not the disk or the network, or what is written.
fn is_damage(error: &Error) -> bool {
    match error {
        Error::Profile(error) => !matches!(error, ProfileError::Io { .. }),
        Error::Context { source, .. } => source.downcast_ref::<Error>().is_some_and(is_damage),
        _ => false,
    }
}
