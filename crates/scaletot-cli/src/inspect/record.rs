//! One user's chain.

use std::path::Path;

use anyhow::{Context, Result};
use scaletot_chain::{Chain, ChainRecord, ChainSchema, Corpus};

use super::corpus::verdict;
use super::report::Report;
use super::{Inspected, fixed};
use crate::format::count;

/// The record of one user.
pub(crate) fn record(path: &Path, schema: &ChainSchema, corpus: &Corpus, user: &str) -> Result<Inspected> {
    let record =
        corpus.records().iter().find(|record| record.user.to_string() == user).with_context(|| {
            let first = corpus
                .records()
                .first()
                .map_or_else(String::new, |record| format!("; the first one is {}", record.user));
            format!(
                "{}: user {user} is not among its {} users{first}; about others the teacher did not reason, and their values are in the scores",
                path.display(),
                corpus.len()
            )
        })?;
    let mut report = Report::new(format!("User {user}: {}", verdict(&record.verdict)));
    if let Some(reason) = record.verdict.reason() {
        report.line(reason.to_string());
    }
    if let Some(best) = &record.best {
        report.heading("Chosen chain");
        report.line(format!("score {:.3}", best.score()));
        report.table(["state", "value", "probability", "entropy", "evidence"], steps(best, schema), false);
        best.steps()
            .iter()
            .filter(|step| !step.rationale.is_empty())
            .for_each(|step| report.line(format!("  {}", step.rationale)));
    }
    if !record.runners_up.is_empty() {
        report.heading("Runners-up");
        let rows = record
            .runners_up
            .iter()
            .map(|chain| vec![schema.describe(&chain.values()), fixed(chain.score())]);
        report.table(["chain", "score"], rows.collect(), true);
    }
    report.heading("Posterior");
    let rows = schema.states().iter().zip(&record.posterior).map(|(state, posterior)| {
        let values = state.values().iter().zip(posterior);
        let values: Vec<String> = values.map(|(value, p)| format!("{value} {:.1} %", 100.0 * p)).collect();
        vec![state.name().to_owned(), values.join(", ")]
    });
    report.table(["state", "values"], rows.collect(), false);
    report.heading("Cost");
    report.line(cost(record));
    report.line("The search as a tree: --task TASK, with its teacher or --teacher TEACHER");
    let mut json = serde_json::to_value(record)?;
    if let Some(object) = json.as_object_mut() {
        object.insert("kind".to_owned(), "user".into());
    }
    Ok(Inspected { report, json })
}

fn steps(chain: &Chain, schema: &ChainSchema) -> Vec<Vec<String>> {
    let step = |(step, state): (&scaletot_chain::Step, &scaletot_chain::StateType)| {
        let probability = step.distribution.get(usize::from(step.value)).copied().unwrap_or(0.0);
        let value = state.value(step.value).unwrap_or("?").to_owned();
        vec![
            state.name().to_owned(),
            value,
            format!("{:.1} %", 100.0 * probability),
            fixed(step.entropy),
            step.evidence.join(", "),
        ]
    };
    chain.steps().iter().zip(schema.states()).map(step).collect()
}

fn cost(record: &ChainRecord) -> String {
    let cost = &record.cost;
    format!(
        "{} questions, {} tokens, {} rounds, {} nodes; it stopped: {}",
        count(cost.queries),
        count(cost.tokens),
        cost.rounds,
        count(cost.nodes),
        cost.stop
    )
}
