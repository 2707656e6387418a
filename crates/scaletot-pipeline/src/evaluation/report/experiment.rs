//! The simulated randomised test: what treating the users that an arm picks would have brought.

use crate::error::Result;
use maud::{Markup, html};
use scaletot_eval::Interval;

use super::super::results::{ExperimentResults, PolicyResult, QiniResult};
use super::chart::{Frame, Legend, Line, Lines, Mark, Row, Rows, Scale, WIDTH};
use super::parts::{breakable, difference, estimate, figure, head, table, verdict};
use super::view::View;
use super::words;

/// Policies and Qini curves.
pub(super) fn experiment(view: &View<'_>) -> Result<Option<Markup>> {
    let Some(experiment) = &view.results.experiment else { return Ok(None) };
    if experiment.policies.is_empty() && experiment.qini.is_empty() {
        return Ok(None);
    }
    let mut charts = Vec::new();
    for (at, outcome) in outcomes(experiment).into_iter().enumerate() {
        let curves: Vec<&QiniResult> =
            experiment.qini.iter().filter(|qini| qini.outcome == outcome).collect();
        if !curves.is_empty() {
            charts.push(qini_chart(view, outcome, at, &curves)?);
            charts.push(coefficients(view, outcome, at, &curves)?);
        }
    }
    let [treated, others] = experiment.users;
    let unknown: Vec<String> = experiment
        .unknown
        .iter()
        .filter(|(_, users)| *users > 0)
        .map(|(outcome, users)| format!("{outcome} of {}", words::count(*users as u64)))
        .collect();
    Ok(Some(html! {
        p {
            "Treatment: " (experiment.treatment) ". " (words::count(treated as u64)) " users were treated and "
            (words::count(others as u64)) " were not, by lot. Treating only the users that an arm ranks \
                highest is "
            strong { "simulated" } " from them by inverse propensities; nobody was treated because of a \
                prediction."
            @if !unknown.is_empty() {
                " Not known, and left out of both arms, is " (words::list(&unknown)) "."
            }
        }
        @if !charts.is_empty() {
            p.quiet { "A Qini curve says what treating the top share brings per customer, treated or not, \
                over treating nobody. The coefficient is the area between the curve and a straight line to \
                its end; arms were not trained to predict what a treatment changes." }
            div.grid { @for chart in &charts { (chart) } }
        }
        @if !experiment.policies.is_empty() { (policies(experiment)) }
    }))
}

fn outcomes(experiment: &ExperimentResults) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    let all =
        experiment.qini.iter().map(|q| &q.outcome).chain(experiment.policies.iter().map(|p| &p.outcome));
    for name in all {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

/// Decimals that suit all of some intervals.
fn decimals<'a>(intervals: impl Iterator<Item = &'a Interval>) -> usize {
    let largest = intervals.flat_map(|i| [i.low.abs(), i.high.abs()]).fold(0.0, f64::max);
    match largest {
        size if size >= 10.0 => 2,
        size if size >= 0.1 => 3,
        size if size >= 0.01 => 4,
        _ => 5,
    }
}

fn qini_chart(view: &View<'_>, outcome: &str, at: usize, curves: &[&QiniResult]) -> Result<Markup> {
    let lines: Vec<Line> = curves
        .iter()
        .map(|qini| Line {
            name: qini.arm.clone(),
            style: view.style(&qini.arm),
            points: qini.points.clone(),
            intervals: Vec::new(),
            band: false,
            marked: false,
            strong: view.is_strong(&qini.arm),
        })
        .collect();
    let end = curves.iter().filter_map(|qini| qini.points.last()).map(|point| point.1).next().unwrap_or(0.0);
    let digits = decimals(curves.iter().map(|qini| &qini.coefficient)) + 1;
    let told: Vec<String> = curves
        .iter()
        .map(|q| format!("{} {}", q.arm, words::fixed(q.coefficient.estimate, digits)))
        .collect();
    let values = lines.iter().flat_map(|line| &line.points).map(|point| point.1).chain([0.0]);
    let chart = Lines {
        frame: Frame {
            id: format!("qini-{at}"),
            title: format!("Qini curves: incremental {outcome} per customer by share treated"),
            description: format!("Qini coefficients: {}.", words::list(&told)),
        },
        size: (WIDTH, 320),
        x: Scale::shares(1.0, "share treated, highest predictions first"),
        y: Scale::around(values, ""),
        lines,
        reference: Some([(0.0, 0.0), (1.0, end)]),
        legend: Legend::Corner,
    };
    let rows: Vec<Vec<String>> = curves
        .iter()
        .flat_map(|qini| {
            let step = qini.points.len().div_ceil(10).max(1);
            qini.points.iter().step_by(step).map(|(share, value)| {
                vec![qini.arm.clone(), words::percent(*share, 0), words::fixed(*value, digits)]
            })
        })
        .collect();
    let figures = table(&chart.frame.title, &["arm", "share", "incremental"], &rows);
    Ok(figure(outcome, "incremental per customer", &chart.draw()?, &figures))
}

fn coefficients(view: &View<'_>, outcome: &str, at: usize, curves: &[&QiniResult]) -> Result<Markup> {
    let digits = decimals(curves.iter().map(|qini| &qini.coefficient)) + 1;
    let rows = curves
        .iter()
        .map(|qini| Row {
            name: qini.arm.clone(),
            text: words::fixed(qini.coefficient.estimate, digits),
            marks: vec![Mark {
                value: qini.coefficient.estimate,
                interval: Some((qini.coefficient.low, qini.coefficient.high)),
                style: view.style(&qini.arm),
            }],
            strong: view.is_strong(&qini.arm),
        })
        .collect();
    let told: Vec<String> = curves
        .iter()
        .map(|q| {
            format!(
                "{} {} ({})",
                q.arm,
                words::fixed(q.coefficient.estimate, digits),
                words::ends(&q.coefficient, digits)
            )
        })
        .collect();
    let chart = Rows {
        frame: Frame {
            id: format!("qini-coefficient-{at}"),
            title: format!("Qini coefficient by arm: {outcome}"),
            description: format!("{}. The dashed line is 0, ranking by lot.", words::list(&told)),
        },
        x: Scale::around(
            curves.iter().flat_map(|q| [q.coefficient.low, q.coefficient.high, 0.0]),
            "Qini coefficient",
        ),
        rows,
        bars: false,
        reference: Some((0.0, "by lot".to_owned())),
    };
    let rows: Vec<Vec<String>> = curves
        .iter()
        .map(|q| {
            vec![
                q.arm.clone(),
                words::fixed(q.coefficient.estimate, digits),
                words::ends(&q.coefficient, digits),
            ]
        })
        .collect();
    let figures = table(&chart.frame.title, &["arm", "coefficient", "95 % interval"], &rows);
    Ok(figure(outcome, "Qini coefficient", &chart.draw()?, &figures))
}

fn policies(experiment: &ExperimentResults) -> Markup {
    html! {
        h3 { "Treating the top share" }
        p.quiet { "Incremental outcome per customer, treated or not, over treating nobody." }
        div.scroll role="region" tabindex="0" aria-label="Incremental outcome per customer by policy" {
            table.metrics {
                (head(&["ranked by", "per customer", "minus profile", "verdict"]))
                @for (outcome, share) in groups(&experiment.policies) {
                    @let group = group(&experiment.policies, outcome, share);
                    @let digits = decimals(group.iter().map(|policy| &policy.incremental));
                    tbody {
                        tr.group {
                            th colspan="4" scope="rowgroup" { (outcome) ", top " (words::short_percent(share)) " treated" }
                        }
                        @for policy in group {
                            tr {
                                th scope="row" { (breakable(&policy.arm)) }
                                td { (estimate(&policy.incremental, digits)) }
                                @match &policy.against_profile {
                                    Some(against) => {
                                        td { (difference(against, digits)) }
                                        td { (verdict(against.verdict(true))) }
                                    }
                                    None => { td { "–" } td {} }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn group<'a>(policies: &'a [PolicyResult], outcome: &str, share: f64) -> Vec<&'a PolicyResult> {
    policies.iter().filter(|policy| policy.outcome == outcome && policy.share == share).collect()
}

fn groups(policies: &[PolicyResult]) -> Vec<(&str, f64)> {
    let mut groups: Vec<(&str, f64)> = Vec::new();
    for policy in policies {
        if !groups.contains(&(policy.outcome.as_str(), policy.share)) {
            groups.push((&policy.outcome, policy.share));
        }
    }
    groups
}
