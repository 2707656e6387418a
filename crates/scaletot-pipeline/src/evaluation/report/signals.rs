//! The signals on their way: how many users are reasoned about, and what refinement does to the teacher's answers.

use crate::error::Result;
use maud::{Markup, html};
use scaletot_eval::Metric;

use super::super::results::{CoveragePoint, Labels};
use super::arms::slug;
use super::chart::{Frame, Legend, Line, Lines, Mark, Row, Rows, Scale, WIDTH, spread};
use super::parts::{figure, table};
use super::theme::Style;
use super::view::{DRAWN, SCALETOT, View};
use super::words;

/// The coverage curve.
pub(super) fn coverage(view: &View<'_>) -> Result<Option<Markup>> {
    let mut points: Vec<&CoveragePoint> = view.results.coverage.iter().collect();
    points.sort_by(|a, b| a.coverage.total_cmp(&b.coverage));
    let mut shares: Vec<f64> = points.iter().map(|point| point.coverage).collect();
    shares.dedup();
    if shares.is_empty() {
        return Ok(None);
    }
    let one_size = points.windows(2).all(|pair| pair[0].labels == pair[1].labels);
    let mut charts = Vec::new();
    for metric in DRAWN {
        charts.extend(coverage_chart(view, metric, &points, &shares)?);
    }
    Ok(Some(html! {
        p {
            code { (SCALETOT) } " on the same task with other shares of the training users reasoned about. "
            @if one_size { "The dashed line is the strongest baseline at the same number of labels. " }
            "Means over folds, without intervals: read the direction, not single steps."
        }
        div.grid { @for chart in &charts { (chart) } }
    }))
}

fn coverage_chart(
    view: &View<'_>,
    metric: Metric,
    points: &[&CoveragePoint],
    shares: &[f64],
) -> Result<Option<Markup>> {
    let places = spread(shares);
    let place = |share: f64| shares.iter().position(|s| *s == share).and_then(|at| places.get(at).copied());
    let value =
        |point: &CoveragePoint| point.metrics.iter().find(|(m, _)| *m == metric).map(|(_, value)| *value);
    let mut sizes: Vec<Labels> = points.iter().map(|point| point.labels).collect();
    sizes.sort();
    sizes.dedup();
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for (rank, &labels) in sizes.iter().enumerate() {
        let of_size: Vec<(f64, f64, f64)> = points
            .iter()
            .filter(|point| point.labels == labels)
            .filter_map(|point| Some((point.coverage, place(point.coverage)?, value(point)?)))
            .collect();
        for (share, _, value) in &of_size {
            rows.push(vec![words::short_percent(*share), words::labels(labels), words::fixed(*value, 3)]);
        }
        if !of_size.is_empty() {
            lines.push(Line {
                name: words::label_sizes(&[labels]),
                style: Style::of_rank(if rank == 0 { 0 } else { rank + 1 }),
                points: of_size.iter().map(|(_, x, value)| (*x, *value)).collect(),
                intervals: Vec::new(),
                band: false,
                marked: true,
                strong: sizes.len() == 1,
            });
        }
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let strongest = match sizes.as_slice() {
        [one] => view.strongest(*one, metric).map(|point| point.mean),
        _ => None,
    };
    let ticks = shares.iter().zip(&places).map(|(share, at)| (*at, words::short_percent(*share))).collect();
    let (first, last) = (places.first().copied().unwrap_or(0.0), places.last().copied().unwrap_or(1.0));
    let room = 0.05 * (last - first).max(1e-6);
    let x = Scale::new(first - room, last + room, ticks, "training users reasoned about");
    let seen = lines.iter().flat_map(|line| &line.points).map(|point| point.1).chain(strongest);
    let told: Vec<String> =
        rows.iter().map(|row| format!("{} at {} with {} labels", row[2], row[0], row[1])).collect();
    let name = words::metric(metric);
    let chart = Lines {
        frame: Frame {
            id: format!("coverage-{}", slug(metric)),
            title: format!("{name} of {SCALETOT} by share of users reasoned about"),
            description: format!("{}.", words::list(&told)),
        },
        size: (WIDTH, 240),
        y: Scale::around(seen, ""),
        reference: strongest.map(|level| x.across(level)),
        x,
        legend: if sizes.len() > 1 { Legend::Ends } else { Legend::None },
        lines,
    };
    let about = match sizes.as_slice() {
        [one] => words::label_sizes(&[*one]),
        _ => String::new(),
    };
    let head = ["reasoned about", "labels", metric.name()];
    Ok(Some(figure(&name, &about, &chart.draw()?, &table(&chart.frame.title, &head, &rows))))
}

/// Entropy of the teacher's answers before and after refinement.
pub(super) fn entropy(view: &View<'_>) -> Result<Option<Markup>> {
    let Some(entropy) = &view.results.entropy else { return Ok(None) };
    let states: Vec<(&String, f64, f64)> = entropy
        .states
        .iter()
        .zip(&entropy.before)
        .zip(&entropy.after)
        .map(|((state, before), after)| (state, *before, *after))
        .collect();
    if states.is_empty() {
        return Ok(None);
    }
    let rows = states
        .iter()
        .map(|(state, before, after)| Row {
            name: (*state).clone(),
            text: words::signed(after - before, 3),
            marks: vec![
                Mark { value: *before, interval: None, style: Style::muted() },
                Mark { value: *after, interval: None, style: Style::of_rank(0) },
            ],
            strong: true,
        })
        .collect();
    let told: Vec<String> = states
        .iter()
        .map(|(state, before, after)| {
            format!("{state} {} to {}", words::fixed(*before, 3), words::fixed(*after, 3))
        })
        .collect();
    let chart = Rows {
        frame: Frame {
            id: "entropy".to_owned(),
            title: "Normalised entropy of the teacher's answers before and after refinement, by state"
                .to_owned(),
            description: format!("{}.", words::list(&told)),
        },
        x: Scale::around(
            states.iter().flat_map(|(_, before, after)| [*before, *after]),
            "mean normalised entropy",
        ),
        rows,
        bars: false,
        reference: None,
    };
    let rows: Vec<Vec<String>> = states
        .iter()
        .map(|(state, before, after)| {
            vec![
                (*state).clone(),
                words::fixed(*before, 3),
                words::fixed(*after, 3),
                words::signed(after - before, 3),
            ]
        })
        .collect();
    let figures = table(&chart.frame.title, &["state", "before", "after", "change"], &rows);
    Ok(Some(html! {
        p {
            "Mean over all users reasoned about: 0 is certain, 1 is uniform. Refinement changed the chain of "
            strong { (words::percent(entropy.changed, 1)) } " of them."
        }
        div.grid {
            (figure("Entropy by state", "ring: greedy draft; dot: chosen chain", &chart.draw()?, &figures))
        }
        p.quiet { "Less entropy means that the teacher is surer of the chosen chain, not that the chain is \
            right." }
    }))
}
