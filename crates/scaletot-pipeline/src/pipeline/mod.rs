//! The stages, in order. Each reads what earlier ones wrote under the output directory, and nothing else of them.

mod evaluate;
mod learn;
mod reason;
mod serve;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::error::{Context, Result, bail};
use burn::tensor::Device;
use scaletot_core::{ContentHash, Progress};

use crate::input::Input;
use crate::options::PipelineOptions;
use crate::report::Summary;
use crate::stages::{STAGES, StageReport, Stages, write_json};
use crate::teachers;

const CALIBRATION: &str = "calibration.json";
const CORPUS: &str = "corpus.jsonl";
const SFT_STUDENT: &str = "student-sft";
const STUDENT: &str = "student";
const ARTIFACT: &str = "artifact";
const PROFILE_ONLY: &str = "profile-only";
const SCORES: &str = "scores.parquet";
const EVALUATION: &str = "evaluation.json";
const SUMMARY: &str = "summary.json";
const SFT_CHECKPOINT: &str = "student-sft.checkpoint";
const OSIPO_CHECKPOINT: &str = "student-osipo.checkpoint";
const SFT_LOG: &str = "student-sft.log.json";
const OSIPO_LOG: &str = "student-osipo.log.json";
const ENCODER_LOG: &str = "encoder.log.json";
const TRANSFER: &str = "transfer.json";
/// Everything that a run writes; the record of its stages goes first, so that half a removal is no run any more.
const WRITTEN: [&str; 16] = [
    STAGES,
    CALIBRATION,
    CORPUS,
    SFT_STUDENT,
    STUDENT,
    ARTIFACT,
    PROFILE_ONLY,
    SCORES,
    EVALUATION,
    SUMMARY,
    SFT_CHECKPOINT,
    OSIPO_CHECKPOINT,
    SFT_LOG,
    OSIPO_LOG,
    ENCODER_LOG,
    TRANSFER,
];

/// A run: its options, its input, and where its stages stand.
struct Run<'a> {
    options: &'a PipelineOptions,
    input: Input,
    stages: Stages,
    device: Device,
    progress: &'a dyn Progress,
    say: &'a dyn Fn(&str),
    summary: Summary,
}

/// Runs every stage that is not done yet, and says what came out.
///
/// # Errors
/// The first error of any stage. What finished before it stays, and the next run goes on from there.
pub fn run(options: &PipelineOptions, progress: &dyn Progress, say: &dyn Fn(&str)) -> Result<Summary> {
    let device = options.device.device()?;
    serve::gate(options).validate()?;
    let input = Input::load(options)?;
    let fingerprint = fingerprint(options)?;
    teachers::open(&options.teacher, &input.schema, &input.chain)?;
    // Only now that everything could be read: a mistyped option must not cost a finished run.
    if options.fresh && options.out.exists() {
        start_over(&options.out)?;
    }
    let stages = Stages::open(&options.out, fingerprint)?;
    let summary = Summary::new(options, &input);
    say(&summary.input_in_words());
    let mut run = Run { options, input, stages, device, progress, say, summary };
    if options.record.is_some() {
        // Not a stage that is ever done: what is recorded already is not asked again.
        run.work("record answers", Run::record)?;
    }
    run.stage("calibrate", &[CALIBRATION], Run::calibrate)?;
    run.stage("reason", &[CORPUS], Run::reason)?;
    run.stage("student: SFT", &[SFT_STUDENT], Run::sft)?;
    run.stage("student: OSIPO", &[STUDENT], Run::osipo)?;
    run.stage("encoder: distil", &[ARTIFACT], Run::distil)?;
    run.stage("encoder: profile only", &[PROFILE_ONLY], Run::profile_only)?;
    run.stage("score everybody", &[SCORES], Run::score)?;
    run.stage("evaluate", &[EVALUATION], Run::evaluate)?;
    run.summary.evaluation = run.evaluation()?;
    write_json(&run.path(SUMMARY), &run.summary)?;
    Ok(run.summary)
}

impl Run<'_> {
    /// Runs a stage, unless an earlier run finished it and what it wrote is still there.
    fn stage(
        &mut self,
        name: &str,
        written: &[&str],
        work: impl FnOnce(&mut Self) -> Result<StageReport>,
    ) -> Result<()> {
        let finished =
            self.stages.finished(name).filter(|_| written.iter().all(|file| self.path(file).exists()));
        if let Some(report) = finished.cloned() {
            (self.say)(&format!("{name}: done by an earlier run, not run again"));
            self.summary.add_stage(name, report);
            return Ok(());
        }
        let report = self.work(name, work)?;
        self.stages.finish(name, report)
    }

    /// Runs a stage and takes its time.
    fn work(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut Self) -> Result<StageReport>,
    ) -> Result<StageReport> {
        (self.say)(name);
        let began = Instant::now();
        let mut report = work(self).with_context(|| format!("stage `{name}`"))?;
        report.seconds = began.elapsed().as_secs_f64();
        if self.progress.stopped() {
            bail!("stopped on request; run the same command again to go on from here");
        }
        self.summary.add_stage(name, report.clone());
        Ok(report)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.options.out.join(name)
    }

    fn corpus_path(&self) -> PathBuf {
        self.path(CORPUS)
    }
}

/// Removes what a run wrote, and nothing else that may lie in the directory.
fn start_over(out: &Path) -> Result<()> {
    if !out.join(STAGES).exists() {
        let empty = fs::read_dir(out).map(|mut entries| entries.next().is_none()).unwrap_or(false);
        if empty {
            return Ok(());
        }
        bail!("{} holds no run (there is no {STAGES}), so --fresh does not touch it", out.display());
    }
    for name in WRITTEN {
        let path = out.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Err(_) => continue,
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
        };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
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
        ("min-agreement".to_owned(), options.min_agreement.to_string()),
        (
            "min-retention".to_owned(),
            options.min_retention.map_or("none".to_owned(), |kept| kept.to_string()),
        ),
        ("seed".to_owned(), options.seed.to_string()),
        ("device".to_owned(), options.device.name().to_owned()),
    ]);
    let files = [
        ("data", options.data.as_path()),
        ("profile-schema", &options.profile_schema),
        ("chain-schema", &options.chain_schema),
    ];
    for (name, path) in files {
        settings.insert(name.to_owned(), ContentHash::of_file(path)?.short());
    }
    // Of a server nothing is known but its address.
    let teacher = options.teacher.path().map_or_else(
        || Ok(options.teacher.to_string()),
        |path| ContentHash::of_file(path).map(|hash| hash.short()),
    )?;
    settings.insert("teacher".to_owned(), teacher);
    Ok(settings)
}
