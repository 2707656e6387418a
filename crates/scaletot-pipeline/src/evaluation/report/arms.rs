//! All arms with all labels, and what labels change.

use crate::error::Result;
use maud::{Markup, html};
use scaletot_eval::Metric;

use super::super::results::{CurvePoint, Labels};
use super::chart::{Frame, Legend, Line, Lines, Mark, Row, Rows, Scale, WIDTH, spread};
use super::parts::{breakable, difference, estimate, figure, head, marked, table, verdict};
use super::theme::Style;
use super::view::{DRAWN, SCALETOT, View};
use super::words;

/// The arms with all labels: dots with intervals, and every metric with its paired difference.
pub(super) fn all_labels(view: &View<'_>) -> Result<Option<Markup>> {
    let metrics = view.metrics();
    if metrics.is_empty() {
        return Ok(None);
    }
    let mut charts = Vec::new();
    for metric in DRAWN.into_iter().filter(|metric| metrics.contains(metric)) {
        charts.push(dots(view, metric)?);
    }
    Ok(Some(html! {
        p { "Mean over folds with its interval; the dashed line marks the strongest baseline." }
        div.grid { @for chart in &charts { (chart) } }
        dl.arms {
            @for arm in &view.results.arms { div { dt { code { (breakable(&arm.name)) } } dd { (marked(&arm.description)) } } }
        }
        (metrics_table(view, &metrics))
    }))
}

fn with_all_labels<'a>(view: &View<'a>, metric: Metric) -> Vec<&'a CurvePoint> {
    view.results.arms.iter().filter_map(|arm| view.point(&arm.name, Labels::All, metric)).collect()
}

fn dots(view: &View<'_>, metric: Metric) -> Result<Markup> {
    let points = with_all_labels(view, metric);
    let name = words::metric(metric);
    let rows = points
        .iter()
        .map(|point| Row {
            name: point.arm.clone(),
            text: words::fixed(point.mean, 3),
            marks: vec![Mark {
                value: point.mean,
                interval: Some((point.interval.low, point.interval.high)),
                style: view.style(&point.arm),
            }],
            strong: view.is_strong(&point.arm),
        })
        .collect();
    let ends = points.iter().flat_map(|point| [point.interval.low, point.interval.high, point.mean]);
    let told: Vec<String> = points
        .iter()
        .map(|p| format!("{} {} ({})", p.arm, words::fixed(p.mean, 3), words::ends(&p.interval, 3)))
        .collect();
    let chart = Rows {
        frame: Frame {
            id: format!("arms-{}", slug(metric)),
            title: format!("{name} of every arm with all labels"),
            description: format!("{}.", words::list(&told)),
        },
        x: Scale::around(ends, &name),
        rows,
        bars: false,
        reference: view.strongest(Labels::All, metric).map(|p| (p.mean, p.arm.clone())),
    };
    let figures: Vec<Vec<String>> = points
        .iter()
        .map(|p| {
            vec![
                p.arm.clone(),
                words::fixed(p.mean, 3),
                words::ends(&p.interval, 3),
                words::fixed(p.deviation, 3),
            ]
        })
        .collect();
    let figures = table(&chart.frame.title, &["arm", "mean", "95 % interval", "s.d. over folds"], &figures);
    Ok(figure(&name, "all labels", &chart.draw()?, &figures))
}

fn metrics_table(view: &View<'_>, metrics: &[Metric]) -> Markup {
    html! {
        div.scroll role="region" tabindex="0" aria-label="All metrics of all arms with all labels" {
            table.metrics {
                (head(&["arm", "mean", "minus the strongest baseline", "verdict"]))
                @for &metric in metrics {
                    tbody {
                        tr.group { th colspan="4" scope="rowgroup" {
                            (words::metric(metric))
                            @if let Some(strongest) = view.strongest(Labels::All, metric) {
                                span.quiet { ", strongest baseline " (breakable(&strongest.arm)) }
                            }
                            @if !metric.higher_is_better() { span.quiet { " (less is better)" } }
                        } }
                        @for point in with_all_labels(view, metric) {
                            tr.strong[view.is_strong(&point.arm)] {
                                th scope="row" { (breakable(&point.arm)) }
                                td { (estimate(&point.interval, 3)) }
                                @match view.against_strongest(point) {
                                    Some(paired) => {
                                        td { (difference(&paired.interval, 3)) }
                                        td { (verdict(paired.verdict)) }
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

/// What labels change: curves of all arms, and the paired difference to the strongest baseline.
pub(super) fn label_curves(view: &View<'_>) -> Result<Option<Markup>> {
    let sizes = view.sizes();
    if sizes.len() < 2 {
        return Ok(None);
    }
    let mut charts = Vec::new();
    for metric in DRAWN {
        if view.results.curves.iter().any(|point| point.metric == metric) {
            charts.push(curves(view, metric, &sizes)?);
        }
    }
    for metric in DRAWN {
        if let Some(chart) = differences(view, metric, &sizes)? {
            charts.push(chart);
        }
    }
    let all = sizes.iter().find(|(labels, _)| *labels == Labels::All).map(|(_, count)| *count);
    Ok(Some(html! {
        p {
            "The label axis is near-logarithmic."
            @if sizes.iter().any(|(labels, _)| *labels == Labels::Count(0)) {
                " It begins at 0, where only arms that reason have anything to say."
            }
            @if let Some(count) = all { " “all” stands for " (words::fixed(count, 0)) " labels." }
            " Bands are the intervals of " code { (SCALETOT) }
            @if let Some(rival) = view.rival() { " and of " code { (rival) } ", the strongest baseline with all labels" }
            "."
        }
        div.grid { @for chart in &charts { (chart) } }
        (paired_table(view, &sizes))
    }))
}

/// Where a number of labels stands on the axis.
struct LabelAxis {
    places: Vec<(Labels, f64)>,
}

impl LabelAxis {
    fn new(sizes: &[(Labels, f64)]) -> Self {
        let counts: Vec<f64> = sizes.iter().map(|(_, count)| *count).collect();
        Self { places: sizes.iter().map(|(labels, _)| *labels).zip(spread(&counts)).collect() }
    }

    fn scale(&self) -> Scale {
        let ticks = self.places.iter().map(|&(labels, at)| (at, words::labels_tick(labels))).collect();
        let (first, last) =
            (self.places.first().map_or(0.0, |p| p.1), self.places.last().map_or(1.0, |p| p.1));
        let room = 0.04 * (last - first);
        Scale::new(first - room, last + room, ticks, "labelled training users")
    }

    fn place(&self, labels: Labels) -> Option<f64> {
        self.places.iter().find(|place| place.0 == labels).map(|place| place.1)
    }
}

fn curves(view: &View<'_>, metric: Metric, sizes: &[(Labels, f64)]) -> Result<Markup> {
    let axis = LabelAxis::new(sizes);
    let name = words::metric(metric);
    let mut lines = Vec::new();
    let mut seen = Vec::new();
    for arm in &view.results.arms {
        let points = view.curve(&arm.name, metric);
        let strong = view.is_strong(&arm.name);
        let placed: Vec<(f64, &CurvePoint)> =
            points.iter().filter_map(|point| Some((axis.place(point.labels)?, *point))).collect();
        if placed.is_empty() {
            continue;
        }
        seen.extend(placed.iter().map(|(_, point)| point.mean));
        let bands = || placed.iter().filter(|_| strong).map(|(x, p)| (*x, p.interval.low, p.interval.high));
        seen.extend(bands().flat_map(|(_, low, high)| [low, high]));
        lines.push(Line {
            name: arm.name.clone(),
            style: view.style(&arm.name),
            points: placed.iter().map(|(x, point)| (*x, point.mean)).collect(),
            intervals: bands().collect(),
            band: true,
            marked: true,
            strong,
        });
    }
    // What nobody can beat who sees the profile alone, where it is known.
    let oracle = view.results.planted.iter().flat_map(|planted| &planted.oracle);
    if let Some(&(_, value)) = oracle.into_iter().find(|(of, _)| *of == metric) {
        seen.push(value);
        lines.push(Line {
            name: "oracle".to_owned(),
            style: view.style("oracle"),
            points: axis.places.iter().map(|&(_, x)| (x, value)).collect(),
            intervals: Vec::new(),
            band: false,
            marked: false,
            strong: false,
        });
    }
    let told: Vec<String> = [Some(SCALETOT), view.rival()]
        .into_iter()
        .flatten()
        .filter_map(|arm| told_curve(view, arm, metric))
        .collect();
    let chart = Lines {
        frame: Frame {
            id: format!("labels-{}", slug(metric)),
            title: format!("{name} of every arm by number of labels"),
            description: told.join(" "),
        },
        size: (WIDTH, 300),
        x: axis.scale(),
        y: Scale::around(seen, ""),
        lines,
        reference: None,
        legend: Legend::Ends,
    };
    let arms = &view.results.arms;
    let head: Vec<&str> = std::iter::once("labels").chain(arms.iter().map(|arm| arm.name.as_str())).collect();
    let rows: Vec<Vec<String>> = sizes
        .iter()
        .map(|(labels, _)| {
            let cell =
                |arm| view.point(arm, *labels, metric).map_or("–".to_owned(), |p| words::fixed(p.mean, 3));
            std::iter::once(words::labels(*labels)).chain(arms.iter().map(|arm| cell(&arm.name))).collect()
        })
        .collect();
    Ok(figure(&name, "by number of labels", &chart.draw()?, &table(&chart.frame.title, &head, &rows)))
}

fn told_curve(view: &View<'_>, arm: &str, metric: Metric) -> Option<String> {
    let points = view.curve(arm, metric);
    let (first, last) = (points.first()?, points.last()?);
    let at = |p: &CurvePoint| format!("{} with {}", words::fixed(p.mean, 3), words::label_sizes(&[p.labels]));
    Some(format!("{arm}: {}, {}.", at(first), at(last)))
}

fn differences(view: &View<'_>, metric: Metric, sizes: &[(Labels, f64)]) -> Result<Option<Markup>> {
    // Only where both have a figure: an axis from 0 would leave a gap that says nothing.
    let points = view.curve(SCALETOT, metric);
    let compared: Vec<(Labels, f64)> = sizes
        .iter()
        .copied()
        .filter(|(labels, _)| {
            points.iter().any(|p| p.labels == *labels && view.against_strongest(p).is_some())
        })
        .collect();
    let axis = LabelAxis::new(&compared);
    let paired: Vec<_> = points
        .iter()
        .filter_map(|point| Some((point.labels, axis.place(point.labels)?, view.against_strongest(point)?)))
        .collect();
    if paired.len() < 2 {
        return Ok(None);
    }
    let name = words::metric(metric);
    let told: Vec<String> = paired
        .iter()
        .map(|(labels, _, p)| {
            format!("{} with {}", words::signed(p.difference, 3), words::label_sizes(&[*labels]))
        })
        .collect();
    let scale = axis.scale();
    let chart = Lines {
        frame: Frame {
            id: format!("difference-{}", slug(metric)),
            title: format!(
                "Paired difference of {SCALETOT} and the strongest baseline in {} by number of labels",
                metric.name()
            ),
            description: format!("{}. Bars are 95 % intervals; the dashed line is 0.", words::list(&told)),
        },
        size: (WIDTH, 240),
        y: Scale::around(paired.iter().flat_map(|(_, _, p)| [p.interval.low, p.interval.high, 0.0]), ""),
        lines: vec![Line {
            name: SCALETOT.to_owned(),
            style: Style::of_rank(0),
            points: paired.iter().map(|(_, x, p)| (*x, p.difference)).collect(),
            intervals: paired.iter().map(|(_, x, p)| (*x, p.interval.low, p.interval.high)).collect(),
            band: false,
            marked: true,
            strong: false,
        }],
        reference: Some(scale.across(0.0)),
        x: scale,
        legend: Legend::None,
    };
    let rows: Vec<Vec<String>> = paired
        .iter()
        .map(|(labels, _, p)| {
            vec![
                words::labels(*labels),
                p.baseline.clone(),
                words::signed(p.difference, 3),
                words::signed_ends(&p.interval, 3),
                words::signed(p.error, 3).replace('+', ""),
                words::verdict(p.verdict).to_owned(),
            ]
        })
        .collect();
    let head = ["labels", "strongest", "difference", "95 % interval", "standard error", "verdict"];
    let about = format!("{SCALETOT} minus the strongest baseline, paired");
    Ok(Some(figure(&name, &about, &chart.draw()?, &table(&chart.frame.title, &head, &rows))))
}

fn paired_table(view: &View<'_>, sizes: &[(Labels, f64)]) -> Markup {
    html! {
        div.scroll role="region" tabindex="0" aria-label="scaletot and the strongest baseline by number of labels" {
            table.paired {
                (head(&["labels", SCALETOT, "strongest baseline", "difference", "verdict"]))
                @for metric in DRAWN {
                    tbody {
                        tr.group { th colspan="5" scope="rowgroup" { (words::metric(metric)) } }
                        @for &(labels, _) in sizes {
                            @if let Some(ours) = view.point(SCALETOT, labels, metric) {
                                tr {
                                    th scope="row" { (words::labels(labels)) }
                                    td { (estimate(&ours.interval, 3)) }
                                    @match view.strongest(labels, metric) {
                                        Some(theirs) => {
                                            td { span.quiet { (breakable(&theirs.arm)) } " " (estimate(&theirs.interval, 3)) }
                                        }
                                        None => { td { "–" } }
                                    }
                                    @match view.against_strongest(ours) {
                                        Some(paired) => {
                                            td { (difference(&paired.interval, 3)) }
                                            td { (verdict(paired.verdict)) }
                                        }
                                        None => { td { "–" } td { span.verdict { "no counterpart" } } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The metric's name as part of a key.
pub(super) fn slug(metric: Metric) -> String {
    metric.name().to_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")
}
