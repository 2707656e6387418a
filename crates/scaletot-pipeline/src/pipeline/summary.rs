//! What a run found: the tables on the terminal and `summary.json`.

use comfy_table::{CellAlignment, Table, presets};
use scaletot_eval::{Difference, Direction, Interval, Verdict};
use serde::Serialize;

use super::record::StageReport;
use super::split::known_outcomes;
use super::{Done, Pipeline, Stage};
use crate::compare::{Evaluation, Measured};
use crate::options::device_name;

/// Every figure of a run. All of them but the stages' `seconds` are the same for the same seed, data and backend.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Version of this file's form.
    pub format: u32,
    /// The seed.
    pub seed: u64,
    /// The teacher's model.
    pub teacher: String,
    /// The backend.
    pub device: String,
    /// Who there is.
    pub users: UserCounts,
    /// What the stages did and cost, in order.
    pub stages: Vec<StageSummary>,
    /// Why the artifact is not ready to serve, so that [`Scorer::open`](crate::Scorer::open) refuses it; empty if it is.
    pub not_ready: Vec<String>,
    /// What is done, and worth less than it seems: answers that tell users apart by nothing, a student that no outcome has improved.
    pub warnings: Vec<String>,
    /// Metrics of each model on the held-out users, and their paired differences.
    #[serde(flatten)]
    pub evaluation: Evaluation,
}

/// Numbers of users.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct UserCounts {
    /// In the table.
    pub table: usize,
    /// With enough populated fields to be served.
    pub with_profile: usize,
    /// Abstained on.
    pub abstained: usize,
    /// Trained on, labelled or not.
    pub train: usize,
    /// Held out for the evaluation.
    pub held_out: usize,
    /// Share of the held-out users whose outcome is 0.
    pub held_out_zero_share: f64,
    /// Mean outcome of the held-out users.
    pub held_out_mean: f64,
    /// User segments and their sizes over the table.
    pub segments: Vec<(String, usize)>,
}

/// One stage.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StageSummary {
    /// Its name.
    pub name: String,
    /// What it did.
    #[serde(flatten)]
    pub report: StageReport,
}

impl Summary {
    pub(super) fn new(pipeline: &Pipeline) -> Self {
        let (dataset, split) = (&pipeline.dataset, &pipeline.split);
        let held = known_outcomes(&pipeline.held_out);
        let n = held.len().max(1) as f64;
        let segments = dataset.segments().names().iter().cloned().zip(dataset.segments().counts()).collect();
        Self {
            format: 2,
            seed: pipeline.seed,
            teacher: pipeline.teacher.model().to_owned(),
            device: device_name(&pipeline.device),
            users: UserCounts {
                table: dataset.len(),
                with_profile: split.eligible.len(),
                abstained: dataset.len() - split.eligible.len(),
                train: split.train.len(),
                held_out: split.held_out.len(),
                held_out_zero_share: held.iter().filter(|&&o| o == 0.0).count() as f64 / n,
                held_out_mean: held.iter().sum::<f64>() / n,
                segments,
            },
            stages: Vec::new(),
            not_ready: Vec::new(),
            warnings: Vec::new(),
            evaluation: Evaluation::default(),
        }
    }

    pub(super) fn add<T>(&mut self, stage: Stage, done: &Done<T>) {
        self.stages.push(StageSummary { name: stage.name().to_owned(), report: done.report.clone() });
    }

    /// Who there is, in a line.
    #[must_use]
    pub fn users_line(&self) -> String {
        let users = &self.users;
        format!(
            "{} users, {} with a profile, {} abstained on; {} to train on, {} held out ({:.0} % with outcome 0)",
            users.table,
            users.with_profile,
            users.abstained,
            users.train,
            users.held_out,
            100.0 * users.held_out_zero_share
        )
    }

    /// The stages as a table, with their figures below.
    #[must_use]
    pub fn stages_table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["stage", "users", "calls", "cache hits", "tokens", "seconds"]);
        for StageSummary { name, report } in &self.stages {
            table.add_row([
                name.clone(),
                report.users.to_string(),
                report.calls.to_string(),
                report.cache_hits.to_string(),
                report.tokens.to_string(),
                format!("{:.1}", report.seconds),
            ]);
        }
        align_numbers(&mut table);
        let mut text = table.to_string();
        text.push_str("\ncalls: answers that a model computed; cache hits: answers from a recording or from memory; tokens: of both");
        for StageSummary { name, report } in
            self.stages.iter().filter(|stage| !stage.report.figures.is_empty())
        {
            let figures: Vec<String> =
                report.figures.iter().map(|(figure, value)| format!("{figure} {}", short(*value))).collect();
            text.push_str(&format!("\n{name}: {}", figures.join(", ")));
        }
        text
    }

    /// The metrics of every model with their intervals.
    #[must_use]
    pub fn metrics_table(&self) -> String {
        self.evaluation.metrics_table()
    }

    /// What the value model brings over the strongest model that knows the profile alone: a row per metric, and what they rest on.
    #[must_use]
    pub fn headline(&self) -> String {
        self.evaluation.headline()
    }
}

impl Evaluation {
    /// The metrics of every model with their intervals.
    #[must_use]
    pub fn metrics_table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        let Some(first) = self.arms.first() else { return String::new() };
        let mut header = vec!["model".to_owned()];
        header.extend(first.metrics.iter().map(|measured| measured.metric.name().to_owned()));
        table.set_header(header);
        for arm in &self.arms {
            let mut row = vec![arm.name.clone()];
            row.extend(arm.metrics.iter().map(|Measured { interval, .. }| {
                format!("{:.3} [{:.3}, {:.3}]", interval.estimate, interval.low, interval.high)
            }));
            table.add_row(row);
        }
        align_numbers(&mut table);
        table.to_string()
    }

    /// What the value model brings over the strongest model that knows the profile alone: a row per metric, and what they rest on.
    #[must_use]
    pub fn headline(&self) -> String {
        headline(self)
    }
}

fn headline(evaluation: &Evaluation) -> String {
    let comparisons = &evaluation.comparisons;
    let ours: Vec<_> = comparisons.iter().filter(|comparison| comparison.model == super::SCALETOT).collect();
    let Some(first) = ours.first() else { return "No metric is defined on the held-out users.".to_owned() };
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["metric", super::SCALETOT, "strongest, profile alone", "difference", "shown"]);
    for comparison in &ours {
        let Difference { metric, first, second, interval, .. } = &comparison.difference;
        table.add_row([
            metric.name().to_owned(),
            format!("{first:.3}"),
            format!("{second:.3} ({})", comparison.baseline),
            signed(interval),
            shown(comparison.difference.verdict()).to_owned(),
        ]);
    }
    align_numbers(&mut table);
    let Difference { users, interval, .. } = &first.difference;
    let shown = ours.iter().filter(|comparison| comparison.difference.verdict().is_shown()).count();
    let reading = match shown {
        0 => "No difference is shown".to_owned(),
        shown => format!("A difference is shown by {shown} of {} metrics", ours.len()),
    };
    format!(
        "{table}\n{reading}: {users} held-out users, paired bootstrap of {} replicates, {:.0} % intervals.",
        interval.replicates,
        100.0 * interval.level
    )
}

/// A difference with its interval.
pub(crate) fn signed(interval: &Interval) -> String {
    format!("{:+.3} [{:+.3}, {:+.3}]", interval.estimate, interval.low, interval.high)
}

/// What a difference shows, in a word.
pub(crate) fn shown(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Shown(Direction::Better) => "better",
        Verdict::Shown(Direction::Worse) => "worse",
        Verdict::NoDifferenceShown => "nothing",
        Verdict::TooLittleData => "too little data",
    }
}

/// Aligns all columns but the first to the right.
pub(crate) fn align_numbers(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn short(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::evaluate;

    #[test]
    fn the_headline_has_a_row_per_metric_and_claims_what_is_shown() {
        let outcomes: Vec<f64> = (0..60).map(f64::from).collect();
        let weak: Vec<f64> = (0..60).map(|i| f64::from((i * 23) % 59)).collect();
        let of = |ours: &[f64]| {
            let ours = [(crate::pipeline::SCALETOT, ours), ("served", ours)];
            headline(&evaluate(&outcomes, &[("ridge", &weak)], &ours, 1).unwrap())
        };
        let noise = of(&weak);
        assert_eq!(noise.matches("nothing").count(), 3, "{noise}");
        assert!(
            noise.contains("\nNo difference is shown: 60 held-out users, paired bootstrap of 2000"),
            "{noise}"
        );
        assert!(!noise.contains("AUC"), "one user without a value tells nothing");
        let better = of(&outcomes);
        assert!(better.contains("(ridge)") && better.contains("A difference is shown by 3 of 3"), "{better}");
        assert!(headline(&Evaluation::default()).contains("No metric is defined"));
    }
}
