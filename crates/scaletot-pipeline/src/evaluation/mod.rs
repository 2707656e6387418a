//! Does reasoning pay? One call, one protocol: label curves over folds of users, strong baselines, intervals.
//!
//! The signals are a function of the profile, so with endless labels they can add nothing that a flexible model could not learn; what
//! they bring is knowledge where labels are scarce. So every arm is fitted at several numbers of labelled training users, the same
//! draws for all arms, on the same folds. Test users are served without a teacher call; nothing sees their outcomes.
//!
//! | module | what |
//! | --- | --- |
//! | [`options`] | what is evaluated, by which protocol |
//! | [`study`] | the population with its teacher; [`planted`] is a world whose truth is known |
//! | [`mod@folds`] | folds of users and draws of labels |
//! | `run` | the folds in stages, and `assemble`, from them to the results |
//! | `fold`, `values`, `arms` | the work on one fold: reason, learn, distil; value models; every arm's predictions |
//! | `fold_result` | what one fold gave, of which arms |
//! | `coverage` | the method at other shares of reasoned users |
//! | `searches` | traces to browse |
//! | `experiment` | a simulated randomised test |
//! | `refinement` | whether refined chains are right more often, on planted worlds |
//! | `peers` | models of other libraries on the same folds |
//! | `preflight` | what would end an evaluation after answers were paid for |
//! | `provenance` | what a run was made with |
//! | `resample` | metrics and their bootstrap |
//! | `headline` | the arm in question beside the strongest baseline, for printing |
//! | `summarise` | curves, intervals, decile tables, gain curves |
//! | [`results`] | the form of `results.json` |
//! | `report` (feature of the same name) | `report.html` |

mod arms;
mod assemble;
mod coverage;
mod experiment;
pub mod fold;
mod fold_result;
pub mod folds;
mod headline;
pub mod options;
mod parallel;
mod peers;
pub mod planted;
mod preflight;
mod provenance;
mod refinement;
#[cfg(feature = "report")]
#[cfg_attr(docsrs, doc(cfg(feature = "report")))]
pub mod report;
mod resample;
pub mod results;
mod run;
mod searches;
mod signals;
pub mod study;
mod summarise;
mod values;

use crate::error::Result;
use scaletot_core::Progress;
use scaletot_core::files::{DirLock, write_json};
use scaletot_eval::Metric;
use scaletot_eval::planted::PlantedConfig;

pub use headline::headline;

use options::EvaluateOptions;
use provenance::{check_foreign, identity, start_over};
use results::{Labels, Results};
use run::Run;
use study::Study;

use crate::pipeline::ANSWERS;
use crate::pipeline::record::Whole;
use crate::pipeline::stages::Stages;
use crate::pipeline::summary::align_numbers;
use crate::tasks::Task;

/// Folds of a planted world: one is run, on a third of the users; repeats are worlds of their own.
const PLANTED_FOLDS: usize = 3;

/// The name of the synthetic task.
pub const PLANTED: &str = "planted";
/// The results' file.
pub const RESULTS: &str = "results.json";
/// The file of the report, which the feature `report` writes.
pub const REPORT: &str = "report.html";

/// Runs every fold that is not done yet, and writes `results.json` and, with the feature `report`, `report.html`.
///
/// # Errors
/// The first error of any fold. Finished stages stay, and the next run goes on from there; one that was done with other inputs is run
/// again, but for the teacher's answers, which have cost time or money: with other inputs than theirs, the directory is left as it is. [`Error::InUse`](crate::Error::InUse) if another run is writing to the directory.
pub fn run(options: &EvaluateOptions, progress: &dyn Progress) -> Result<Results> {
    let options = &options.clone().checked()?;
    let device = options.device.device()?;
    let out = options.out();
    let task = if options.source.task == PLANTED { None } else { Some(Task::find(&options.source.task)?) };
    let study = task.as_ref().map(|task| Study::of_task(task, &options.source, options.quick)).transpose()?;
    let fields = study
        .as_ref()
        .map_or(PlantedConfig::default().fields, |study| study.dataset.table().schema().fields().len());
    let identity = identity(options, task.as_ref(), fields)?;
    if let Some(study) = &study {
        preflight::check(study, &study.folds(options.folds, options.repeats, options.source.seed))?;
    }
    let _lock = DirLock::acquire(&out)?;
    // Only now that everything could be read: a mistyped option must not cost a finished run.
    let stages = Stages::open(&out, Whole::Evaluation)?;
    if options.fresh {
        start_over(&stages, &out)?;
    }
    check_foreign(&stages, &out)?;
    let mut run = Run {
        options,
        device,
        progress,
        stages,
        identity,
        folds: Vec::new(),
        peers: Vec::new(),
        spent: 0.0,
        failed: 0,
    };
    let study = match study {
        Some(study) => {
            let study = study.with_answers_kept(&out.join(ANSWERS))?;
            for fold in study.folds(options.folds, options.repeats, options.source.seed) {
                run.fold(&study, fold)?;
            }
            study
        }
        None => run.worlds()?,
    };
    let results = run.results(&study, task.as_ref())?;
    write_json(out.join(RESULTS), &results)?;
    #[cfg(feature = "report")]
    report::write(&results, &out)?;
    Ok(results)
}

/// The means of every arm by one metric, for printing.
#[must_use]
pub fn table(results: &Results, metric: Metric) -> String {
    use comfy_table::{Table, presets};
    let mut sizes: Vec<Labels> = results.curves.iter().map(|point| point.labels).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let mut header = vec![metric.name().to_owned()];
    header.extend(sizes.iter().map(|size| headline::labels(*size)));
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
    align_numbers(&mut table);
    table.to_string()
}
