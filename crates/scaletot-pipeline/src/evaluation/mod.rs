//! Does reasoning pay? One command, one protocol: label curves over folds of users, strong baselines, intervals.
//!
//! The signals are a function of the profile, so with endless labels they can add nothing that a flexible model could not learn; what
//! they bring is knowledge where labels are scarce. So every arm is fitted at several numbers of labelled training users, the same
//! draws for all arms, on the same folds. Test users are served without a teacher call; nothing sees their outcomes.
//!
//! | module | what |
//! | --- | --- |
//! | [`options`] | the command line |
//! | [`study`] | the population with its teacher; [`planted`] makes one whose truth is known |
//! | [`mod@folds`] | folds of users and draws of labels |
//! | `fold`, `values`, `arms` | the work on one fold: reason, learn, distil; value models; every arm's predictions |
//! | `coverage` | the method at other shares of reasoned users |
//! | `searches` | traces to browse |
//! | `experiment` | a simulated randomised test |
//! | `peers` | models of other libraries on the same folds |
//! | `provenance` | what a run was made with |
//! | `resample` | metrics and their bootstrap |
//! | `summarise` | curves, intervals, decile tables, gain curves |
//! | [`results`] | the form of `results.json` |
//! | [`report`] | `report.html` |

mod arms;
mod coverage;
mod experiment;
mod fold;
pub mod folds;
pub mod options;
mod parallel;
mod peers;
pub mod planted;
mod provenance;
pub mod report;
mod resample;
pub mod results;
mod searches;
mod signals;
pub mod study;
mod summarise;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::error::{Context, Result, ensure};
use burn::tensor::Device;
use scaletot_core::Progress;
use scaletot_core::files::{write_bytes, write_json};
use scaletot_eval::planted::PlantedConfig;
use scaletot_eval::{Metric, normalised_gini, spearman};

use arms::{ARMS, FoldResult};
use fold::Work;
use folds::{Fold, folds};
use options::EvaluateOptions;
use provenance::{commit, fingerprint, machine, start_over};
use resample::Measuring;
use results::{ArmInfo, FORMAT, Labels, Ledger, PlantedResults, Results, RunInfo, TaskInfo};
use study::Study;

use crate::stages::{StageReport, Stages};
use crate::tasks::Task;

/// Folds of a planted world: one is run, on a third of the users; repeats are worlds of their own.
const PLANTED_FOLDS: usize = 3;

/// The name of the synthetic task.
pub const PLANTED: &str = "planted";
/// The results' file.
pub const RESULTS: &str = "results.json";
/// The report.
pub const REPORT: &str = "report.html";

/// Runs every fold that is not done yet, and writes `results.json`.
///
/// # Errors
/// The first error of any fold. Finished folds stay, and the next run goes on from there.
pub fn run(options: &EvaluateOptions, progress: &dyn Progress, say: &dyn Fn(&str)) -> Result<Results> {
    let options = &options.clone().checked()?;
    let device = options.device.device()?;
    let out = options.out();
    let task = if options.source.task == PLANTED { None } else { Some(Task::find(&options.source.task)?) };
    let study = match &task {
        Some(task) => Some(Study::of_task(task, &options.source, options.quick)?),
        None => None,
    };
    let study = match study {
        Some(mut study) => {
            if let Some(file) = &options.record {
                let summary = study.record(file, options, progress)?;
                let (asked, prompts) = (summary.asked, summary.prompts);
                say(&format!(
                    "{}: {asked} of {prompts} prompts asked, the others were recorded already",
                    file.display()
                ));
            }
            Some(study)
        }
        None => {
            ensure!(
                options.record.is_none(),
                "a planted teacher's answers are not its prompts' alone, so they cannot be recorded"
            );
            None
        }
    };
    let settings = fingerprint(options, task.as_ref())?;
    // Only now that everything could be read: a mistyped option must not cost a finished run.
    if options.fresh {
        start_over(&out)?;
    }
    let mut run = Run {
        options,
        device,
        progress,
        say,
        stages: Stages::open(&out, settings)?,
        folds: Vec::new(),
        peers: Vec::new(),
        spent: 0.0,
    };
    let study = match study {
        Some(study) => {
            let rows = study.labelled();
            for fold in
                folds(&rows, study.groups.as_deref(), options.folds, options.repeats, options.source.seed)
            {
                run.fold(&study, fold)?;
            }
            study
        }
        None => run.worlds()?,
    };
    let results = run.results(&study, task.as_ref())?;
    write_json(out.join(RESULTS), &results)?;
    write_bytes(out.join(REPORT), &report::render(&results)?)?;
    Ok(results)
}

struct Run<'a> {
    options: &'a EvaluateOptions,
    device: Device,
    progress: &'a dyn Progress,
    say: &'a dyn Fn(&str),
    stages: Stages,
    folds: Vec<FoldResult>,
    /// Arms of other libraries.
    peers: Vec<ArmInfo>,
    /// Seconds of the folds, those of earlier runs among them.
    spent: f64,
}

impl Run<'_> {
    /// One split of a world of its own per repeat; gives the last world.
    fn worlds(&mut self) -> Result<Study> {
        let mut last = None;
        for repeat in 0..self.options.repeats {
            let source = &self.options.source;
            let seed = source.seed + repeat as u64;
            let study = planted::study(&PlantedConfig::default(), source.noise, source.min_populated, seed)?;
            let mut fold = folds(&study.labelled(), None, PLANTED_FOLDS, 1, seed).remove(0);
            fold.repeat = repeat;
            self.fold(&study, fold)?;
            last = Some(study);
        }
        last.context("no repeat was run")
    }

    fn fold(&mut self, study: &Study, mut fold: Fold) -> Result<()> {
        let name = format!("repeat {} fold {}", fold.repeat + 1, fold.fold + 1);
        let dir = self.options.out().join(name.replace(' ', "-"));
        let file = dir.join("fold.json");
        // Whoever has a profile but no known outcome may still be learned from.
        fold.train.extend(study.eligible.iter().filter(|&&row| study.outcomes[row].is_none()));
        fold.train.sort_unstable();
        if let Some(report) = self.stages.finished(&name).filter(|_| file.exists()) {
            (self.say)(&format!("{name}: done by an earlier run, not run again"));
            self.spent += report.seconds;
            let text =
                fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let result = serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
            return self.add(&dir, result);
        }
        (self.say)(&name);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let began = Instant::now();
        let work =
            Work { study, options: self.options, device: &self.device, progress: self.progress, fold: &fold };
        let result = work.run(&dir).with_context(|| name.clone())?;
        write_json(&file, &result)?;
        let report = StageReport {
            users: (fold.train.len() + fold.test.len()) as u64,
            seconds: began.elapsed().as_secs_f64(),
            ..StageReport::default()
        };
        self.spent += report.seconds;
        self.stages.finish(&name, report)?;
        self.add(&dir, result)
    }

    /// Takes a fold's figures in, with those of other libraries if there are any.
    fn add(&mut self, dir: &Path, mut fold: FoldResult) -> Result<()> {
        for (peer, scores) in peers::import(dir, &fold.sizes, fold.test.len())? {
            let measuring = Measuring {
                options: self.options,
                repeat: fold.repeat,
                fold: fold.fold,
                sizes: &fold.sizes,
                test: &fold.test,
                outcomes: &fold.outcomes,
                progress: self.progress,
            };
            let cells = measuring.cells(&peer.name, &scores);
            let with_all = scores.get(&(Labels::All, 0)).cloned();
            let replicates = measuring.replicates(&BTreeMap::from([(peer.name.clone(), scores)]))?;
            fold.cells.extend(cells);
            fold.replicates.extend(replicates);
            fold.predictions.extend(with_all.map(|scores| (peer.name.clone(), scores)));
            if self.peers.iter().all(|known| known.name != peer.name) {
                self.peers.push(ArmInfo { name: peer.name, description: peer.description });
            }
        }
        self.folds.push(fold);
        Ok(())
    }

    /// A peer of some folds alone would be compared over other users than the rest.
    fn check_peers(&self) -> Result<()> {
        for peer in &self.peers {
            let has = |fold: &&FoldResult| fold.cells.iter().any(|cell| cell.arm == peer.name);
            let folds = self.folds.iter().filter(has).count();
            ensure!(
                folds == self.folds.len(),
                "{}: `{}` has predictions for {folds} of {} folds; run benches/peers/peers.py on it again",
                self.options.out().display(),
                peer.name,
                self.folds.len()
            );
        }
        Ok(())
    }

    fn results(&self, study: &Study, task: Option<&Task>) -> Result<Results> {
        self.check_peers()?;
        let options = self.options;
        let labelled = study.labelled();
        let truth: Vec<f64> = labelled.iter().filter_map(|&row| study.outcomes[row]).collect();
        let zero = truth.iter().filter(|&&outcome| outcome == 0.0).count() as f64;
        let states: Vec<String> = study.chain.states().iter().map(|state| state.name().to_owned()).collect();
        let own = ARMS.iter().map(|&(name, description)| ArmInfo {
            name: name.to_owned(),
            description: description.to_owned(),
        });
        let arms: Vec<ArmInfo> = own.chain(self.peers.iter().cloned()).collect();
        let sum = |of: fn(&FoldResult) -> u64| self.folds.iter().map(of).sum::<u64>();
        let questions = sum(|fold| fold.teacher.questions);
        let calls = sum(|fold| fold.teacher.calls);
        let seconds: f64 = self.folds.iter().map(|fold| fold.teacher.seconds).sum();
        Ok(Results {
            format: FORMAT,
            run: RunInfo {
                command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                commit: commit(),
                machine: machine(options.workers.get()),
                date: chrono::Utc::now().format("%Y-%m-%d").to_string(),
                seconds: self.spent,
                seed: options.source.seed,
                device: options.device.name().to_owned(),
                teacher: study.teacher.model().to_owned(),
                coverage: sum(|fold| fold.teacher.users) as f64
                    / (self.folds.len().max(1) * study.users.max(1)) as f64,
                folds: options.folds,
                repeats: options.repeats,
                ablations: options.ablations.names(),
            },
            task: TaskInfo {
                name: task.map_or_else(|| options.source.task.clone(), |task| task.name.clone()),
                title: task.map_or_else(
                    || "A planted world: hidden states, profiles with holes, mostly no value".to_owned(),
                    |task| task.title.clone(),
                ),
                source: task
                    .map_or_else(|| "generated from a seed".to_owned(), |task| task.source.to_string()),
                outcome: task.map_or_else(|| "value".to_owned(), |task| task.outcome.clone()),
                unit: task.map_or_else(|| "units".to_owned(), |task| task.unit.clone()),
                users: study.profiles.len(),
                with_profile: study.eligible.len(),
                labelled: labelled.len(),
                zero_share: zero / truth.len().max(1) as f64,
                mean_outcome: summarise::mean(&truth),
                fields: study.schema.fields().iter().map(|field| field.name().to_owned()).collect(),
                states: states.clone(),
            },
            cells: self.folds.iter().flat_map(|fold| fold.cells.iter().cloned()).collect(),
            curves: summarise::curves(&arms, &self.folds),
            deciles: summarise::deciles(&arms, &self.folds),
            gains: summarise::gains(&arms, &self.folds)?,
            arms,
            transfer: self.folds.iter().map(|fold| fold.transfer.clone()).collect(),
            entropy: summarise::entropy(&self.folds, states),
            coverage: coverage::points(&self.folds),
            ledger: Ledger {
                reasoned: sum(|fold| fold.teacher.users),
                questions,
                saved: questions.saturating_sub(calls),
                tokens: sum(|fold| fold.teacher.tokens),
                everybody: study.eligible.len() as u64,
                seconds_per_call: study
                    .seconds_per_answer
                    .or_else(|| (calls > 0).then(|| seconds / calls as f64)),
                encoder_seconds_per_million: summarise::mean(
                    &self.folds.iter().map(|fold| fold.encoder_seconds_per_million).collect::<Vec<_>>(),
                ),
            },
            searches: self.folds.iter().flat_map(|fold| fold.searches.iter().cloned()).collect(),
            experiment: match &study.trial {
                Some(trial) => {
                    Some(experiment::experiment(&self.folds, trial, options.replicates, options.source.seed)?)
                }
                None => None,
            },
            planted: self.planted(study, &labelled)?,
            notes: notes(study, task),
        })
    }

    fn planted(&self, study: &Study, labelled: &[usize]) -> Result<Option<PlantedResults>> {
        let Some(planted) = study.planted.as_ref() else { return Ok(None) };
        let world = planted.world();
        let names: Vec<&String> =
            self.folds.iter().take(1).flat_map(|fold| &fold.accuracy).map(|(name, _)| name).collect();
        let accuracy = names
            .into_iter()
            .map(|name| {
                let of = |fold: &FoldResult| {
                    fold.accuracy.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
                };
                let values: Vec<f64> = self.folds.iter().filter_map(of).collect();
                (name.clone(), summarise::mean(&values))
            })
            .collect();
        let truth: Vec<f64> = labelled.iter().filter_map(|&row| study.outcomes[row]).collect();
        let oracle: Vec<f64> = labelled.iter().filter_map(|&row| world.expected_score(row).ok()).collect();
        let metrics = [
            (Metric::Spearman, spearman(&truth, &oracle)),
            (Metric::NormalisedGini, normalised_gini(&truth, &oracle)),
        ];
        Ok(Some(PlantedResults {
            noise: self.options.source.noise,
            bayes: world.bayes_accuracy(),
            accuracy,
            oracle: metrics.into_iter().filter_map(|(metric, value)| Some((metric, value.ok()?))).collect(),
            refinement: planted::refinement(self.options)?,
        }))
    }
}

/// The task's own notes, and that a quick run is of a sample.
fn notes(study: &Study, task: Option<&Task>) -> Vec<String> {
    let mut notes = task.map_or_else(Vec::new, |task| task.notes.clone());
    if study.users < study.profiles.len() {
        let (sample, users) = (study.eligible.len(), study.profiles.len());
        notes.push(format!("A quick run: a random sample of {sample} users of {users} takes part."));
    }
    notes
}

/// The curve of one arm by one metric, for printing.
#[must_use]
pub fn table(results: &Results, metric: Metric) -> String {
    use comfy_table::{CellAlignment, Table, presets};
    let mut sizes: Vec<Labels> = results.curves.iter().map(|point| point.labels).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let mut header = vec![metric.name().to_owned()];
    header.extend(sizes.iter().map(|size| match size {
        Labels::Count(n) => n.to_string(),
        Labels::All => "all".to_owned(),
    }));
    table.set_header(header);
    for arm in &results.arms {
        let mut row = vec![arm.name.clone()];
        for &size in &sizes {
            let point = results
                .curves
                .iter()
                .find(|point| point.arm == arm.name && point.labels == size && point.metric == metric);
            row.push(point.map_or_else(String::new, |point| format!("{:.3}", point.mean)));
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
