//! A corpus of chains.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use scaletot_chain::{Chain, ChainRecord, ChainSchema, Corpus, CorpusHeader, Reason, SearchStop, Verdict};
use scaletot_core::{ContentHash, files};
use scaletot_pipeline::tasks::{SHIPPED, Task};
use serde::{Deserialize, Serialize};

use super::report::Report;
use super::{Inspected, fixed, read_json};
use crate::format::{count, of, percent};

/// Bytes of the longest header that is looked into.
const MAX_HEADER_BYTES: u64 = 64 << 20;

/// Damaged lines that are named.
const LINES: usize = 10;

/// Chains that are shown.
const EXAMPLES: usize = 3;

/// What a corpus holds.
#[derive(Debug, Serialize)]
struct CorpusSummary {
    kind: &'static str,
    header: CorpusHeader,
    users: usize,
    verdicts: BTreeMap<&'static str, usize>,
    reasons: BTreeMap<String, usize>,
    states: Vec<StateSummary>,
    queries: u64,
    tokens: u64,
    stops: BTreeMap<String, usize>,
    examples: Vec<Example>,
}

/// One state over the accepted chains.
#[derive(Debug, Serialize)]
struct StateSummary {
    name: String,
    /// Mean normalised entropy of the draft.
    entropy_before: Option<f64>,
    /// Mean normalised entropy of the chosen chain.
    entropy_after: Option<f64>,
    /// Share of the chosen chains with each value.
    values: Vec<(String, f64)>,
}

/// A chosen chain.
#[derive(Debug, Serialize)]
struct Example {
    user: String,
    chain: String,
    score: f64,
}

/// The chain schema that a corpus is of: the file that was named, or one that lies beside the corpus or comes with the program.
///
/// # Errors
/// If there is none; the message says which option names it.
pub(crate) fn chain_schema(path: &Path, named: Option<ChainSchema>) -> Result<ChainSchema> {
    if let Some(schema) = named {
        return Ok(schema);
    }
    let wanted = header_hash(path)?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let manifest = |name: &str| {
        let value = read_json(&beside.join(name).join("manifest.json")).ok()?;
        serde_json::from_value::<ChainSchema>(value.get("encoder")?.get("chain_schema")?.clone()).ok()
    };
    let student = |name: &str| ChainSchema::load(beside.join(name).join("chain_schema.json")).ok();
    let shipped = SHIPPED.iter().filter_map(|name| Task::find(name).ok()?.chain.chain_schema().ok());
    let found = [manifest("artifact"), student("student"), student("student-sft")]
        .into_iter()
        .flatten()
        .chain(shipped);
    found.into_iter().find(|schema| schema.hash() == wanted).with_context(|| {
        format!(
            "{}: its chain schema lies in no artifact or student beside it; name it with --task TASK or --chain-schema FILE",
            path.display()
        )
    })
}

/// The hash of a corpus's chain schema.
fn header_hash(path: &Path) -> Result<ContentHash> {
    /// What is asked of a header.
    #[derive(Deserialize)]
    struct Header {
        chain_schema: ContentHash,
    }
    let mut line = String::new();
    let file = files::open(path)?.take(MAX_HEADER_BYTES);
    BufReader::new(file).read_line(&mut line).with_context(|| format!("cannot read {}", path.display()))?;
    let header: Header = serde_json::from_str(&line)
        .with_context(|| format!("{}: its first line is no header", path.display()))?;
    Ok(header.chain_schema)
}

/// The records that are as they were written, and which lines are not, in words, if there are any.
///
/// # Errors
/// If the file is no corpus of that schema, or its header is damaged: nothing tells then what the records were made under.
pub(crate) fn undamaged(path: &Path, schema: &ChainSchema) -> Result<(Corpus, Option<String>)> {
    let found = Corpus::read_undamaged(path, schema)?;
    let lost: Vec<String> = found.damaged.iter().map(ToString::to_string).collect();
    let header = found.header.with_context(|| {
        format!(
            "{}: its header, line 1, is not what was written; its run's command writes it anew",
            path.display()
        )
    })?;
    let more = lost.len().saturating_sub(LINES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let left_out = (!lost.is_empty()).then(|| {
        format!(
            "{} of {} that are not what was written: {}{more}; its run's command asks about these users again",
            of(lost.len() as u64, "line"),
            path.display(),
            lost[..lost.len().min(LINES)].join(", ")
        )
    });
    Ok((Corpus::new(header, found.records, schema)?, left_out))
}

/// The corpus in figures.
pub(crate) fn corpus(path: &Path, schema: &ChainSchema, corpus: &Corpus) -> Result<Inspected> {
    if corpus.is_empty() {
        bail!("{}: the corpus has a header and no user yet", path.display());
    }
    let summary = CorpusSummary::of(corpus, schema);
    let mut report =
        Report::new(format!("{}: a corpus of {} users", path.display(), count(summary.users as u64)));
    let header = &summary.header;
    report.line(format!("chain schema {}, teacher {}, seed {}", schema.name(), header.teacher, header.seed));
    report.heading("Verdicts");
    let share = |users: usize| percent(users as f64 / summary.users as f64);
    let rows = summary
        .verdicts
        .iter()
        .map(|(name, users)| vec![(*name).to_owned(), count(*users as u64), share(*users)]);
    report.table(["verdict", "users", "share"], rows.collect(), true);
    let rows = summary.reasons.iter().map(|(reason, users)| vec![reason.clone(), count(*users as u64)]);
    report.table(["reason", "users"], rows.collect(), true);
    report.heading(
        "States of the accepted chains: normalised entropy of the draft and of the chosen chain, and values",
    );
    let known = |entropy: Option<f64>| entropy.map_or_else(|| "–".to_owned(), fixed);
    let rows = summary.states.iter().map(|state| {
        let values: Vec<String> =
            state.values.iter().map(|(value, share)| format!("{value} {:.0} %", 100.0 * share)).collect();
        vec![state.name.clone(), known(state.entropy_before), known(state.entropy_after), values.join(", ")]
    });
    report.table(["state", "before", "after", "values"], rows.collect(), false);
    report.heading("Cost");
    let each = summary.queries as f64 / summary.users as f64;
    report.line(format!(
        "{} questions ({each:.1} a user), {} tokens",
        count(summary.queries),
        count(summary.tokens)
    ));
    let rows = summary.stops.iter().map(|(stop, users)| vec![stop.clone(), count(*users as u64)]);
    report.table(["a search stopped", "users"], rows.collect(), true);
    report.heading("Example chains");
    summary.examples.iter().for_each(|example| {
        report.line(format!("  {}: {} (score {:.3})", example.user, example.chain, example.score));
    });
    report.line(format!("One user's chain: scaletot inspect {} --user ID", path.display()));
    Ok(Inspected { report, json: serde_json::to_value(&summary)? })
}

impl CorpusSummary {
    fn of(corpus: &Corpus, schema: &ChainSchema) -> Self {
        let records = corpus.records();
        let accepted: Vec<(&ChainRecord, &Chain)> = records
            .iter()
            .filter(|record| record.verdict.is_accepted())
            .filter_map(|record| Some((record, record.best.as_ref()?)))
            .collect();
        let mut verdicts = BTreeMap::new();
        let (mut reasons, mut stops) = (BTreeMap::new(), BTreeMap::new());
        for record in records {
            *verdicts.entry(verdict(&record.verdict)).or_insert(0) += 1;
            if let Some(reason) = record.verdict.reason() {
                *reasons.entry(reason_kind(reason)).or_insert(0) += 1;
            }
            if record.cost.stop != SearchStop::Unrecorded {
                *stops.entry(record.cost.stop.to_string()).or_insert(0) += 1;
            }
        }
        let states = schema.states().iter().enumerate().map(|(k, state)| {
            let before = accepted.iter().filter_map(|(record, _)| record.entropy_before.get(k).copied());
            let after = accepted.iter().filter_map(|(_, chain)| Some(chain.steps().get(k)?.entropy));
            let with = |value: usize| {
                let has =
                    |chain: &Chain| chain.steps().get(k).is_some_and(|step| usize::from(step.value) == value);
                accepted.iter().filter(|(_, chain)| has(chain)).count() as f64 / accepted.len().max(1) as f64
            };
            StateSummary {
                name: state.name().to_owned(),
                entropy_before: mean(before),
                entropy_after: mean(after),
                values: state
                    .values()
                    .iter()
                    .enumerate()
                    .map(|(value, name)| (name.clone(), with(value)))
                    .collect(),
            }
        });
        let examples = accepted.iter().take(EXAMPLES).map(|(record, chain)| Example {
            user: record.user.to_string(),
            chain: schema.describe(&chain.values()),
            score: chain.score(),
        });
        Self {
            kind: "corpus",
            header: corpus.header().clone(),
            users: records.len(),
            verdicts,
            reasons,
            states: states.collect(),
            queries: records.iter().map(|record| record.cost.queries).fold(0, u64::saturating_add),
            tokens: records.iter().map(|record| record.cost.tokens).fold(0, u64::saturating_add),
            stops,
            examples: examples.collect(),
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// The verdict's name.
pub(super) fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Rejected { .. } => "rejected",
        Verdict::Abstained { .. } => "abstained",
        Verdict::Failed { .. } => "failed",
    }
}

/// The reason without its figures, so that equal ones are counted together.
fn reason_kind(reason: &Reason) -> String {
    match reason {
        Reason::TooFewFields { required, .. } => format!("fewer than {required} populated fields"),
        Reason::LowScore { bar, .. } => format!("the best score is under the bar {bar}"),
        other => other.to_string(),
    }
}
