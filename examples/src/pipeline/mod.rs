//! The stages, in order. Each reads what earlier ones wrote under the output directory, and nothing else of them.

mod evaluate;
mod learn;
mod reason;
mod serve;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use scaletot::profile::Progress;
use sha2::{Digest, Sha256};

use crate::input::Input;
use crate::options::PipelineOptions;
use crate::report::Summary;
use crate::stages::{StageReport, Stages, write_json};

/// A run: its options, its input, and where its stages stand.
struct Run<'a> {
    options: &'a PipelineOptions,
    input: Input,
    stages: Stages,
    device: Device,
    progress: &'a dyn Progress,
    summary: Summary,
}

/// Runs every stage that is not done yet, and says what came out.
///
/// # Errors
/// The first error of any stage. What finished before it stays, and the next run goes on from there.
pub fn run(options: &PipelineOptions, progress: &dyn Progress, say: &dyn Fn(&str)) -> Result<Summary> {
    let device = options.device.device()?;
    if options.fresh && options.out.exists() {
        start_over(&options.out)?;
    }
    let input = Input::load(options)?;
    let stages = Stages::open(&options.out, fingerprint(options)?)?;
    let summary = Summary::new(options, &input);
    say(&summary.input_in_words());
    let mut run = Run { options, input, stages, device, progress, summary };
    if options.record.is_some() {
        run.stage("record answers", say, Run::record)?;
    }
    run.stage("calibrate", say, Run::calibrate)?;
    run.stage("reason", say, Run::reason)?;
    run.stage("student: SFT", say, Run::sft)?;
    run.stage("student: OSIPO", say, Run::osipo)?;
    run.stage("encoder: distil", say, Run::distil)?;
    run.stage("encoder: profile only", say, Run::profile_only)?;
    run.stage("score everybody", say, Run::score)?;
    run.stage("evaluate", say, Run::evaluate)?;
    run.summary.evaluation = run.evaluation()?;
    write_json(&run.path("summary.json"), &run.summary)?;
    Ok(run.summary)
}

impl Run<'_> {
    /// Runs a stage unless an earlier run finished it.
    fn stage(
        &mut self,
        name: &str,
        say: &dyn Fn(&str),
        work: impl FnOnce(&mut Self) -> Result<StageReport>,
    ) -> Result<()> {
        let report = if let Some(report) = self.stages.finished(name) {
            say(&format!("{name}: done by an earlier run, not run again"));
            report.clone()
        } else {
            say(name);
            let began = Instant::now();
            let mut report = work(self).with_context(|| format!("stage `{name}`"))?;
            report.seconds = began.elapsed().as_secs_f64();
            if self.progress.stopped() {
                bail!("stopped on request; run the same command again to go on from here");
            }
            self.stages.finish(name, report.clone())?;
            report
        };
        self.summary.add_stage(name, report);
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.options.out.join(name)
    }

    fn corpus_path(&self) -> PathBuf {
        self.path("corpus.jsonl")
    }
}

/// Removes what a run wrote, and nothing that is not a run's.
fn start_over(out: &Path) -> Result<()> {
    if !out.join("stages.json").exists() {
        let empty = fs::read_dir(out).map(|mut entries| entries.next().is_none()).unwrap_or(false);
        if empty {
            return Ok(());
        }
        bail!("{} holds no run (there is no stages.json), so --fresh does not remove it", out.display());
    }
    fs::remove_dir_all(out).with_context(|| format!("cannot remove {}", out.display()))
}

/// Everything that decides the results: the options by value, the files by content.
fn fingerprint(options: &PipelineOptions) -> Result<BTreeMap<String, String>> {
    let mut settings = BTreeMap::from([
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("outcome".to_owned(), options.outcome.clone()),
        ("segment".to_owned(), options.segment.clone()),
        ("coverage".to_owned(), options.coverage.to_string()),
        ("held-out".to_owned(), options.held_out.to_string()),
        ("min-populated".to_owned(), options.min_populated.to_string()),
        ("seed".to_owned(), options.seed.to_string()),
        ("device".to_owned(), options.device.name().to_owned()),
    ]);
    let files = [
        ("data", options.data.as_path()),
        ("profile-schema", &options.profile_schema),
        ("chain-schema", &options.chain_schema),
        ("teacher", options.teacher.path()),
    ];
    for (name, path) in files {
        settings.insert(name.to_owned(), file_hash(path)?);
    }
    Ok(settings)
}

fn file_hash(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hash = Sha256::new();
    io::copy(&mut file, &mut HashWriter(&mut hash))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
