//! What a run found: the tables on the terminal and `summary.json`.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::compare::{Evaluation, Measured};
use crate::input::Input;
use crate::options::PipelineOptions;
use crate::stages::StageReport;

/// Every figure of a run. All of them but the stages' `seconds` are the same for the same seed, data and backend.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Version of this file's form.
    pub format: u32,
    /// The table.
    pub data: String,
    /// The outcome column.
    pub outcome: String,
    /// The seed.
    pub seed: u64,
    /// The teacher, as asked for.
    pub teacher: String,
    /// The backend.
    pub device: String,
    /// Who there is.
    pub users: Users,
    /// What the stages did and cost.
    pub stages: Vec<Stage>,
    /// Metrics of each model on the held-out users, and their paired differences.
    #[serde(flatten)]
    pub evaluation: Evaluation,
}

/// Numbers of users.
#[derive(Debug, Clone, Serialize)]
pub struct Users {
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
pub struct Stage {
    /// Its name.
    pub name: String,
    /// What it did.
    #[serde(flatten)]
    pub report: StageReport,
}

impl Summary {
    pub(crate) fn new(options: &PipelineOptions, input: &Input) -> Self {
        let held: Vec<f64> = input.test.iter().filter_map(|&row| input.outcomes[row]).collect();
        let n = held.len() as f64;
        let segments = input.segments.names().iter().cloned().zip(input.segments.counts()).collect();
        Self {
            format: 1,
            data: options
                .data
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            outcome: options.outcome.clone(),
            seed: options.seed,
            teacher: options.teacher.name(),
            device: options.device.name().to_owned(),
            users: Users {
                table: input.profiles.len(),
                with_profile: input.eligible.len(),
                abstained: input.profiles.len() - input.eligible.len(),
                train: input.train.len(),
                held_out: input.test.len(),
                held_out_zero_share: held.iter().filter(|&&o| o == 0.0).count() as f64 / n,
                held_out_mean: held.iter().sum::<f64>() / n,
                segments,
            },
            stages: Vec::new(),
            evaluation: Evaluation::default(),
        }
    }

    pub(crate) fn add_stage(&mut self, name: &str, report: StageReport) {
        self.stages.push(Stage { name: name.to_owned(), report });
    }

    pub(crate) fn input_in_words(&self) -> String {
        let users = &self.users;
        format!(
            "{}: {} users, {} with a profile, {} abstained on; {} to train on, {} held out ({:.0} % with outcome 0)",
            self.data,
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
        for Stage { name, report } in &self.stages {
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
        text.push_str("\ncalls: answers that a model computed; cache hits: answers from a record or from memory; tokens: of both");
        for Stage { name, report } in self.stages.iter().filter(|stage| !stage.report.figures.is_empty()) {
            let figures: Vec<String> =
                report.figures.iter().map(|(figure, value)| format!("{figure} {}", short(*value))).collect();
            text.push_str(&format!("\n{name}: {}", figures.join(", ")));
        }
        text
    }

    /// The metrics of every model and the paired differences, in words.
    #[must_use]
    pub fn metrics_table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        let Some(first) = self.evaluation.arms.first() else { return String::new() };
        let mut header = vec!["model".to_owned()];
        header.extend(first.metrics.iter().map(|measured| measured.metric.name().to_owned()));
        table.set_header(header);
        for arm in &self.evaluation.arms {
            let mut row = vec![arm.name.clone()];
            row.extend(arm.metrics.iter().map(|Measured { interval, .. }| {
                format!("{:.3} [{:.3}, {:.3}]", interval.estimate, interval.low, interval.high)
            }));
            table.add_row(row);
        }
        align_numbers(&mut table);
        let mut text = table.to_string();
        for comparison in &self.evaluation.comparisons {
            text.push('\n');
            text.push_str(&comparison.words);
        }
        text
    }
}

fn align_numbers(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn short(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}
