//! What each part of OSIPO brings, where the truth is known: the program `osipo_study` and the results in `docs/osipo.md`.
//!
//! Planted worlds, one per seed, are those of `evaluate --task planted`: the same users, chains and student after SFT. From that student
//! every [arm](ARMS) goes on, and is measured on users whom neither the teacher nor the trainers have seen.
//!
//! | module | what |
//! | --- | --- |
//! | [`options`] | the command line |
//! | `arms` | what is done to the student |
//! | `fold` | the evaluation's steps on a world: reason, SFT |
//! | `world` | users, chains, student, and the arms' training |
//! | `measure` | the figures |
//! | `paired` | means and differences over worlds, with intervals |
//! | [`results`] | the form of `study.json` |
//! | [`page`] | the results in Markdown |

mod arms;
mod fold;
mod measure;
pub mod options;
pub mod page;
mod paired;
pub mod results;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use scaletot_core::{ContentHash, Progress};
use scaletot_eval::planted::{FieldErrors, PlantedConfig};
use scaletot_pipeline::evaluation::study::Study;
use scaletot_pipeline::options::Device;
use scaletot_student::{SftConfig, StudentConfig};

use crate::provenance::machine;

pub use arms::{ARMS, Arm, OSIPO, SFT, SFT_LONGER};
use fold::WorldFold;
pub use measure::{Measure, Recovered};
use options::OsipoStudyOptions;
use results::{FILE, StudyResults};
use world::World;

/// Runs every arm on every world that is not done yet, and writes `study.json` after each.
///
/// # Errors
/// The first error of any arm. Finished arms stay, and the next run goes on from there.
pub fn run(options: &OsipoStudyOptions, progress: &dyn Progress, say: &dyn Fn(&str)) -> Result<StudyResults> {
    let options = options.clone().checked()?;
    let device = options.device.device()?;
    let settings = settings(&options)?;
    if options.fresh {
        start_over(&options.out)?;
    }
    fs::create_dir_all(&options.out).with_context(|| format!("cannot create {}", options.out.display()))?;
    let results = StudyResults::open(&options.out, settings)?;
    let mut run = Run { options: &options, device, progress, say, results };
    for seed in 1..=options.seeds {
        match run.seed(seed) {
            Err(_) if progress.stopped() => {
                bail!("stopped on request; run the same command again to go on from here")
            }
            other => other.with_context(|| format!("seed {seed}"))?,
        }
    }
    Ok(run.results)
}

struct Run<'a> {
    options: &'a OsipoStudyOptions,
    device: Device,
    progress: &'a dyn Progress,
    say: &'a dyn Fn(&str),
    results: StudyResults,
}

impl Run<'_> {
    /// The arms of one world that are not done yet.
    fn seed(&mut self, seed: u64) -> Result<()> {
        if self.is_done(seed)? {
            (self.say)(&format!("seed {seed}: done by an earlier run, not run again"));
            return Ok(());
        }
        let began = Instant::now();
        let evaluation = self.options.evaluation(seed);
        let dir = self.options.out.join(format!("seed-{seed}"));
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let study = Study::planted(&evaluation.source, self.options.users)?;
        let device = self.device.clone();
        let fold = WorldFold::new(&study, &evaluation, &device, self.progress);
        let world = World::new(&fold, self.options, &dir)?;
        let student = world.student(&dir, self.results.seed(seed).is_some())?;
        if self.results.seed(seed).is_none() {
            let mut described = world.described(&student, 0.0)?;
            described.seconds = began.elapsed().as_secs_f64();
            (self.say)(&format!("seed {seed}: chains and student ({:.0} s)", described.seconds));
            self.results.seeds.push(described);
            self.write()?;
        }
        let evaluator = world.evaluator()?;
        for arm in self.options.chosen() {
            ensure!(!self.progress.stopped(), "stopped on request");
            let done = self.results.seed_mut(seed)?;
            if done.holds(arm.name, &arm.settings(self.options.epochs, done)?) {
                (self.say)(&format!("seed {seed}: {}: done by an earlier run, not run again", arm.name));
                continue;
            }
            let result = world.run(arm, &student, &evaluator, done).with_context(|| arm.name)?;
            (self.say)(&format!(
                "seed {seed}: {} ({} steps, {:.0} s)",
                arm.name, result.budget.steps, result.seconds
            ));
            done.arms.retain(|old| old.arm != arm.name);
            done.arms.push(result);
            self.write()?;
        }
        Ok(())
    }

    /// Whether there is nothing left to do on a world.
    fn is_done(&self, seed: u64) -> Result<bool> {
        let Some(world) = self.results.seed(seed) else { return Ok(false) };
        for arm in self.options.chosen() {
            // Without `osipo` there is no telling what `sft-longer` would be.
            if world.arm(arm.name).is_none()
                || !world.holds(arm.name, &arm.settings(self.options.epochs, world)?)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn write(&mut self) -> Result<()> {
        let results = &mut self.results;
        results.command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        results.machine = machine(self.options.workers.get());
        results.date = chrono::Utc::now().format("%Y-%m-%d").to_string();
        results.write(&self.options.out)?;
        Ok(())
    }
}

/// Everything that decides the figures but for seeds and arms.
fn settings(options: &OsipoStudyOptions) -> Result<BTreeMap<String, String>> {
    let evaluation = options.evaluation(1);
    let student = serde_json::to_string(&(StudentConfig::default(), SftConfig::default()))?;
    let labels = options.labels.map_or_else(|| "all".to_owned(), |labels| labels.to_string());
    let mut settings = BTreeMap::from(
        [
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("users", options.users.to_string()),
            ("noise", options.noise.to_string()),
            ("labels", labels),
            ("coverage", evaluation.coverage.to_string()),
            ("min-populated", evaluation.source.min_populated(PlantedConfig::default().fields).to_string()),
            ("student and SFT", ContentHash::of(student).short()),
            ("device", options.device.name().to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    if options.field_errors != FieldErrors::None {
        settings.insert("field-errors".to_owned(), options.field_errors.to_string());
    }
    Ok(settings)
}

/// Removes what a study wrote, and nothing else that may lie there.
fn start_over(out: &Path) -> Result<()> {
    let file = out.join(FILE);
    if !file.exists() {
        return Ok(());
    }
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    for entry in fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))? {
        let path = entry?.path();
        if path.join("corpus.jsonl").exists() {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
