//! `scaletot score`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use scaletot_encoder::Precision;
#[cfg(feature = "signature")]
use scaletot_encoder::signature::PublicKey;
#[cfg(not(feature = "signature"))]
use scaletot_pipeline::Error;
use scaletot_pipeline::{FileJob, OnError, Output, Scorer};

use crate::args::workers;
use crate::exit::Exit;
use crate::terminal::Terminal;

/// Score users with an artifact, from Parquet or CSV to Parquet
///
/// Writes a file of the same name for every input file, at the same place below the directory that the pattern begins with: ids, in the same
/// order, with the columns that were asked for. Memory does not grow with the number of users. Killed, it goes on where it was when it is
/// run again.
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// Artifact directory of the encoder: `artifact` in the directory of a run
    #[arg(long, value_name = "DIR")]
    artifact: PathBuf,
    /// File of the public key, as PEM or its 32 bytes, that the artifact must be signed by; needs a build with `--features signature`
    #[arg(long, value_name = "FILE")]
    verify_key: Option<PathBuf>,
    /// Parquet files of users: files, directories or patterns such as 'users/*.parquet'; CSV files are read into memory as a whole
    #[arg(long, value_name = "PATTERN", required = true, num_args = 1..)]
    input: Vec<String>,
    /// Where the scores go: a file for every input file
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Column of the user ids; 'row number' numbers the rows  [default: as in the table of the training]
    #[arg(long, value_name = "COL")]
    id: Option<String>,
    /// Columns besides the id: value, p-positive, mu, sigma, q1 to q99 (quantiles), abstained, states, representation, representation-f16, representation-int8
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "value")]
    columns: Vec<Output>,
    /// Threads; as many as there are processors unless given
    #[arg(long, value_name = "N", value_parser = workers)]
    threads: Option<NonZeroUsize>,
    /// Numbers that the encoder computes with
    #[arg(long, value_enum, default_value = "full")]
    precision: PrecisionArg,
    /// What becomes of a row that does not fit the profile schema, and of a row group or file that cannot be read
    #[arg(long, value_enum, default_value = "stop")]
    on_error: OnErrorArg,
    /// Throw away the scores that --output holds and start over
    #[arg(long)]
    fresh: bool,
}

/// Numbers that the encoder computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrecisionArg {
    /// 32-bit floats
    Full,
    /// Tables in 16-bit floats
    Bf16,
    /// Tables and the layer after them in integers
    Int8,
}

/// What becomes of a row that does not fit, and of a row group or file that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnErrorArg {
    /// Stop; what is scored is kept, and the next run goes on from there
    Stop,
    /// Leave it out, and nothing beside it, and list it in quarantine.json; the exit code is 4
    Quarantine,
}

impl ScoreArgs {
    fn open(&self) -> Result<Scorer> {
        match &self.verify_key {
            None => Ok(Scorer::open(&self.artifact)?),
            #[cfg(feature = "signature")]
            Some(key) => Ok(Scorer::open_signed(&self.artifact, &PublicKey::read(key)?)?),
            #[cfg(not(feature = "signature"))]
            Some(_) => {
                let what = "a check of signatures (`--verify-key`)".to_owned();
                Err(Error::MissingFeature { what, feature: "signature" }.into())
            }
        }
    }

    fn scorer(&self) -> Result<Scorer> {
        let precision = match self.precision {
            PrecisionArg::Full => Precision::Full,
            PrecisionArg::Bf16 => Precision::Bf16,
            PrecisionArg::Int8 => Precision::Int8,
        };
        let scorer = self.open()?.with_precision(precision)?.with_outputs(&self.columns)?;
        Ok(match &self.id {
            Some(column) => scorer.with_id_column(column)?,
            None => scorer,
        })
    }

    fn job(&self) -> FileJob {
        let on_error = match self.on_error {
            OnErrorArg::Stop => OnError::Stop,
            OnErrorArg::Quarantine => OnError::Quarantine,
        };
        let job =
            FileJob::new(self.input.iter(), &self.output).with_on_error(on_error).with_fresh(self.fresh);
        self.threads.map_or(job.clone(), |threads| job.with_threads(threads))
    }
}

/// Scores everything that is not scored yet.
pub(crate) fn run(args: &ScoreArgs, terminal: &Terminal) -> Result<Exit> {
    let summary = args.scorer()?.score_files(&args.job(), terminal.bars())?;
    terminal.say(&summary.to_string());
    Ok(match summary.quarantined.is_empty() {
        true => Exit::Done,
        false => Exit::LeftOut(format!(
            "{}, which did not fit or could not be read; {} lists them with the reasons",
            summary.left_out_line(),
            args.output.join("quarantine.json").display()
        )),
    })
}
