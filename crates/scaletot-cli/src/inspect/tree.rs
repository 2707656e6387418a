//! One user's search as a tree, asked again of its teacher.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use scaletot_chain::{ChainSchema, Corpus};
use scaletot_pipeline::evaluation::report::search_page;
use scaletot_pipeline::evaluation::results::{SearchTree, TreeQuestion};
use scaletot_pipeline::tasks::{Population, Task};
use scaletot_profile::Verbaliser;
use scaletot_search::{Budget, Strategy};
use scaletot_teacher::{Calibration, Prompter, Reasoner, Teacher};
use serde::de::DeserializeOwned;

use super::Inspected;
use super::report::Report;

/// The search about a user of a corpus, drawn for the terminal, and as a page.
///
/// # Errors
/// If the task's users, the teacher or the chain schema are not those of the corpus, or the teacher cannot answer.
pub(crate) fn tree(
    path: &Path,
    schema: &ChainSchema,
    corpus: &Corpus,
    user: &str,
    (task, population): (&Task, &Population),
    teacher: Box<dyn Teacher>,
) -> Result<(Inspected, String)> {
    let header = corpus.header();
    let profiles = population.dataset.table();
    ensure!(
        profiles.schema().hash() == header.profile_schema,
        "task `{}` has another profile schema than the corpus {}",
        task.name,
        path.display()
    );
    ensure!(
        teacher.model() == header.teacher,
        "{} was made with the teacher `{}`, and this one is `{}`: name the other with --teacher",
        path.display(),
        header.teacher,
        teacher.model()
    );
    let row = (0..profiles.len())
        .find(|&row| profiles.id(row).to_string() == user)
        .with_context(|| format!("user {user} is not among the users of task `{}`", task.name))?;
    let settings = &header.settings;
    let prompter =
        Prompter::new(profiles.schema(), schema.clone(), Verbaliser::fit(profiles, task.level_config())?)?;
    let mut reasoner = Reasoner::builder(teacher, prompter)
        .with_strategy(setting::<Strategy>(settings, "strategy")?)
        .with_budget(setting::<Budget>(settings, "budget")?)
        .with_min_populated(setting::<usize>(settings, "min_populated")?)
        .with_calibration(setting::<Calibration>(settings, "calibration")?);
    if let Some(bar) = setting::<Option<f64>>(settings, "score_bar")? {
        reasoner = reasoner.with_score_bar(bar);
    }
    let Some(tree) = SearchTree::of(&reasoner.build()?, profiles, row, header.seed)? else {
        bail!("user {user} is abstained on before any search");
    };
    let inspected = Inspected { report: report(&tree), json: serde_json::to_value(&tree)? };
    Ok((inspected, search_page(&tree)))
}

/// A setting that the corpus was made under.
fn setting<T: DeserializeOwned>(settings: &serde_json::Value, name: &str) -> Result<T> {
    let value = settings.get(name).cloned().unwrap_or_default();
    serde_json::from_value(value)
        .with_context(|| format!("the corpus's header has no `{name}` of this version"))
}

fn report(tree: &SearchTree) -> Report {
    let mut report = Report::new(format!("Search about user {}: {}", tree.user, tree.verdict));
    report.line(&tree.profile);
    report.heading(format!(
        "{} questions, {} chains, {} rounds; it stopped: {}",
        tree.questions.len(),
        tree.chains.len(),
        tree.rounds.len(),
        tree.stop
    ));
    report.line("* is the chosen chain, h the normalised entropy of a state, J a chain's score");
    let mut lines = Vec::new();
    for root in tree.questions.iter().filter(|question| parent(tree, question).is_none()) {
        draw(tree, root, "", &mut lines);
    }
    report.drawing(lines);
    report.heading("Rounds");
    for (at, round) in tree.rounds.iter().enumerate() {
        let tried: Vec<&str> =
            round.tried.iter().map(|&value| value_name(tree, round.state, value)).collect();
        let result = match (round.replaced, round.gain) {
            (true, Some(gain)) => format!("chosen, a gain of {gain:.3}"),
            (true, None) => "chosen, the first complete chain".to_owned(),
            (false, Some(gain)) => format!("not chosen, a gain of {gain:.3}"),
            (false, None) => "not chosen, no other chain was completed".to_owned(),
        };
        let state = state_name(tree, round.state);
        report.line(format!(
            "  {}. branched {state} (h {:.3}), tried {}: {result}",
            at + 1,
            round.entropy,
            tried.join(", ")
        ));
    }
    report
}

fn state_name(tree: &SearchTree, state: usize) -> &str {
    tree.states.get(state).map_or("?", |(name, _)| name)
}

fn value_name(tree: &SearchTree, state: usize, value: usize) -> &str {
    tree.states.get(state).and_then(|(_, values)| values.get(value)).map_or("?", String::as_str)
}

/// The question before it, if it was asked.
fn parent<'a>(tree: &'a SearchTree, question: &TreeQuestion) -> Option<&'a TreeQuestion> {
    let (_, before) = question.path.split_last()?;
    tree.questions.iter().find(|other| other.path == before)
}

/// A question, its values, and what was asked after each.
fn draw(tree: &SearchTree, question: &TreeQuestion, indent: &str, lines: &mut Vec<String>) {
    lines.push(format!("{indent}{} (h {:.3})", state_name(tree, question.state), question.entropy));
    let chosen = tree
        .chosen
        .and_then(|at| tree.chains.get(at))
        .map(|chain| chain.values.as_slice())
        .unwrap_or_default();
    let mut values: Vec<usize> = (0..question.distribution.len()).collect();
    values.sort_by(|&a, &b| question.distribution[b].total_cmp(&question.distribution[a]));
    for (at, &value) in values.iter().enumerate() {
        let is_last = at + 1 == values.len();
        let path: Vec<usize> = question.path.iter().copied().chain([value]).collect();
        let mark = if chosen.starts_with(&path) { " *" } else { "" };
        let share = match question.pruned.contains(&value) {
            true => "ruled out".to_owned(),
            false => format!("{:.1} %", 100.0 * question.distribution[value]),
        };
        let score = tree.chains.iter().find(|chain| chain.values == path);
        let score = score.map_or_else(String::new, |chain| match chain.round {
            0 => format!("  J {:.3}, the draft", chain.score),
            round => format!("  J {:.3}, round {round}", chain.score),
        });
        let (branch, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        lines.push(format!(
            "{indent}{branch}{} {share}{mark}{score}",
            value_name(tree, question.state, value)
        ));
        if let Some(next) = tree.questions.iter().find(|other| other.path == path) {
            draw(tree, next, &format!("{indent}{below}"), lines);
        }
    }
}
