//! What only a planted world can tell: how often states are right, and how far anybody could get.

use crate::error::Result;
use maud::{Markup, html};
use scaletot_eval::planted::FieldErrors;

use super::super::results::{Labels, PlantedResults};
use super::chart::{Frame, Mark, Row, Rows, Scale};
use super::parts::{figure, table};
use super::theme::Style;
use super::view::{SCALETOT, View};
use super::words;

/// State accuracy, the oracle and refinement.
pub(super) fn planted(view: &View<'_>) -> Result<Option<Markup>> {
    let Some(planted) = &view.results.planted else { return Ok(None) };
    let accuracy = accuracy(planted)?;
    Ok(Some(html! {
        p {
            "The table was drawn from a world whose hidden states are known. The main run’s teacher has \
                noise "
            (words::fixed(planted.noise, 2)) (fields(planted.field_errors)) ". Nobody who sees only the profile can be right more often \
                than "
            strong { (words::percent(planted.bayes, 1)) } " of the time: profiles leave that much open."
        }
        div.grid { @if let Some(chart) = &accuracy { (chart) } (oracle(view, planted)) }
        (refinement(planted))
    }))
}

/// What the teacher gets wrong about fields, as the end of a sentence.
fn fields(errors: FieldErrors) -> &'static str {
    match errors {
        FieldErrors::None => "",
        FieldErrors::Hard => " and ignores or misreads two thirds of the profile fields, alike for all users",
        _ => " and weighs profile fields wrongly, alike for all users, and misreads a few",
    }
}

fn accuracy(planted: &PlantedResults) -> Result<Option<Markup>> {
    if planted.accuracy.is_empty() {
        return Ok(None);
    }
    let rows = planted
        .accuracy
        .iter()
        .map(|(name, share)| Row {
            name: name.clone(),
            text: words::percent(*share, 1),
            marks: vec![Mark { value: *share, interval: None, style: Style::of_rank(0) }],
            strong: true,
        })
        .collect();
    let told: Vec<String> = planted
        .accuracy
        .iter()
        .map(|(name, share)| format!("{name} {}", words::percent(*share, 1)))
        .collect();
    let values = planted.accuracy.iter().map(|(_, share)| *share).chain([planted.bayes]);
    let chart = Rows {
        frame: Frame {
            id: "state-accuracy".to_owned(),
            title: "Share of states that are right, on test users".to_owned(),
            description: format!("{}. Limit: {}.", words::list(&told), words::percent(planted.bayes, 1)),
        },
        x: Scale::from_zero(values, "share of states that are right").in_percent(),
        rows,
        bars: true,
        reference: Some((planted.bayes, format!("limit {}", words::percent(planted.bayes, 1)))),
    };
    let rows: Vec<Vec<String>> = planted
        .accuracy
        .iter()
        .map(|(name, share)| {
            vec![name.clone(), words::percent(*share, 1), words::percent(share / planted.bayes.max(1e-9), 0)]
        })
        .collect();
    let figures = table(&chart.frame.title, &["who", "right", "of the limit"], &rows);
    Ok(Some(figure("State accuracy", "test users, mean over folds", &chart.draw()?, &figures)))
}

fn oracle(view: &View<'_>, planted: &PlantedResults) -> Markup {
    let rows: Vec<Vec<String>> = planted
        .oracle
        .iter()
        .map(|(metric, value)| {
            let arm = |name| {
                view.point(name, Labels::All, *metric)
                    .map_or_else(|| "–".to_owned(), |p| words::fixed(p.mean, 3))
            };
            let strongest = view
                .strongest(Labels::All, *metric)
                .map_or_else(|| "–".to_owned(), |p| format!("{} ({})", words::fixed(p.mean, 3), p.arm));
            vec![words::metric(*metric), words::fixed(*value, 3), arm(SCALETOT), strongest]
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            div {
                h3 { "How far ranking can get" }
                p { "The oracle ranks by the posterior mean of the true score, given the profile; arms \
                    with all labels." }
                (table("Oracle and arms with all labels", &["metric", "oracle", SCALETOT, "strongest baseline"], &rows))
            }
        }
    }
}

fn refinement(planted: &PlantedResults) -> Markup {
    let rows: Vec<Vec<String>> = planted
        .refinement
        .iter()
        .map(|point| {
            vec![
                words::fixed(point.noise, 2),
                words::percent(point.missing, 0),
                words::percent(point.greedy, 1),
                words::percent(point.refined, 1),
                words::signed(100.0 * (point.refined - point.greedy), 1),
                format!(
                    "{}\u{a0}→\u{a0}{}",
                    words::fixed(point.greedy_questions, 1),
                    words::fixed(point.refined_questions, 1)
                ),
            ]
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            h3 { "What refinement changes" }
            p { "State accuracy of the teacher’s chains by noise of its answers and share of missing \
                cells, and what the change costs in questions per user. Single estimates, without intervals." }
            (table(
                "Refinement by noise and sparsity",
                &["noise", "missing", "greedy", "refined", "change, points", "questions"],
                &rows,
            ))
        }
    }
}
