//! From the folds to the results of a run.

use std::collections::BTreeSet;

use scaletot_eval::{Metric, normalised_gini, spearman};

use super::fold_result::{ARMS, FoldResult};
use super::provenance::{commit, machine};
use super::refinement::refinement;
use super::results::{ArmInfo, FORMAT, Ledger, PlantedResults, Results, RunInfo, TaskInfo};
use super::run::Run;
use super::study::Study;
use super::{coverage, experiment, summarise};
use crate::error::Result;
use crate::tasks::Task;

impl Run<'_> {
    pub(super) fn results(&self, study: &Study, task: Option<&Task>) -> Result<Results> {
        self.check_peers()?;
        let options = self.options;
        let labelled = study.labelled();
        let truth: Vec<f64> = labelled.iter().filter_map(|&row| study.dataset.outcome(row)).collect();
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
                users: study.dataset.len(),
                with_profile: study.eligible.len(),
                labelled: labelled.len(),
                zero_share: zero / truth.len().max(1) as f64,
                mean_outcome: summarise::mean(&truth),
                fields: study
                    .dataset
                    .table()
                    .schema()
                    .fields()
                    .iter()
                    .map(|field| field.name().to_owned())
                    .collect(),
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
                failed: self.failed,
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
                Some(trial) => Some(experiment::experiment(&self.folds, trial, options)?),
                None => None,
            },
            planted: self.planted(study, &labelled)?,
            notes: self.notes(study, task),
        })
    }

    /// The task's own notes, that a quick run is of a sample, and what the teacher's answers do not tell.
    fn notes(&self, study: &Study, task: Option<&Task>) -> Vec<String> {
        let mut notes = task.map_or_else(Vec::new, |task| task.notes.clone());
        if study.users < study.dataset.len() {
            let (sample, users) = (study.eligible.len(), study.dataset.len());
            notes.push(format!("{QUICK_NOTE}a random sample of {sample} users of {users} takes part."));
        }
        // Folds mostly say the same.
        let warnings: BTreeSet<&String> = self.folds.iter().flat_map(|fold| &fold.warnings).collect();
        notes.extend(warnings.into_iter().cloned());
        notes
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
        let truth: Vec<f64> = labelled.iter().filter_map(|&row| study.dataset.outcome(row)).collect();
        let oracle: Vec<f64> = labelled.iter().filter_map(|&row| world.expected_score(row).ok()).collect();
        let metrics = [
            (Metric::Spearman, spearman(&truth, &oracle)),
            (Metric::NormalisedGini, normalised_gini(&truth, &oracle)),
        ];
        Ok(Some(PlantedResults {
            noise: self.options.source.noise,
            field_errors: self.options.source.field_errors,
            bayes: world.bayes_accuracy(),
            accuracy,
            oracle: metrics.into_iter().filter_map(|(metric, value)| Some((metric, value.ok()?))).collect(),
            refinement: refinement(self.options)?,
        }))
    }
}

/// How the note begins that not all users take part.
pub(super) const QUICK_NOTE: &str = "A quick run: ";
