//! How much of the student arrives in the encoder, and how much of its gain.

use crate::error::Result;
use maud::{Markup, html};
use scaletot_eval::{Direction, Metric, Verdict};

use super::super::results::{Labels, Paired, Transfer, TransferGroup};
use super::chart::{Frame, Mark, Row, Rows, Scale};
use super::parts::{figure, head, table};
use super::theme::Style;
use super::view::{DRAWN, SCALETOT, STUDENT, View};
use super::words;

/// Agreement per state, likeness of representations, and retention.
pub(super) fn transfer(view: &View<'_>) -> Result<Option<Markup>> {
    if view.results.transfer.is_empty() {
        return Ok(None);
    }
    let agreement = agreement(view)?;
    let spread = |of: fn(&Transfer) -> f64| {
        Spread::of(view.results.transfer.iter().map(of)).map_or_else(|| "–".to_owned(), Spread::in_words)
    };
    let folds = words::plural(view.results.transfer.len(), "fold");
    Ok(Some(html! {
        p {
            "Student and encoder on the test users of " (folds) ". Ranges are from the lowest to the highest fold."
        }
        div.grid {
            @if let Some(chart) = &agreement { (chart) }
            dl.pairs {
                div { dt { "Cosine of representations" } dd { (spread(|fold| fold.cosine)) } }
                div { dt { "Centred kernel alignment (CKA)" } dd { (spread(|fold| fold.cka)) } }
            }
        }
        @for (name, groups) in groups(&view.results.transfer) {
            @if groups.len() > 1 {
                h3 { "By " (name) }
                (table(&format!("Agreement and cosine by {name}"), &[name, "users", "states agreed on", "cosine"], &groups))
            }
        }
        (retention_table(view))
    }))
}

/// The rows of the tables by populated fields and by segment: users of all folds, and the means over them.
fn groups(folds: &[Transfer]) -> [(&'static str, Vec<Vec<String>>); 2] {
    let rows = |of: fn(&Transfer) -> &[TransferGroup]| {
        // In the order in which groups come first.
        let mut sums: Vec<(&str, usize, f64, f64)> = Vec::new();
        for group in folds.iter().flat_map(of) {
            let at = sums.iter().position(|sum| sum.0 == group.name).unwrap_or_else(|| {
                sums.push((&group.name, 0, 0.0, 0.0));
                sums.len() - 1
            });
            let users = group.users as f64;
            let (_, all, agreement, cosine) = &mut sums[at];
            *all += group.users;
            *agreement += users * group.agreement;
            *cosine += users * group.cosine;
        }
        // Numbers of fields from few to many, whichever fold has them first; labels as they come.
        sums.sort_by_key(|sum| sum.0.parse::<usize>().unwrap_or(0));
        let row = |(name, users, agreement, cosine): (&str, usize, f64, f64)| {
            let mean = |sum: f64| sum / users.max(1) as f64;
            vec![
                name.to_owned(),
                words::count(users as u64),
                words::percent(mean(agreement), 1),
                words::fixed(mean(cosine), 3),
            ]
        };
        sums.into_iter().map(row).collect()
    };
    [("populated fields", rows(|fold| &fold.by_populated)), ("user segment", rows(|fold| &fold.by_segment))]
}

/// Mean, lowest and highest of some folds.
#[derive(Debug, Clone, Copy)]
struct Spread {
    mean: f64,
    low: f64,
    high: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let count = values.clone().count();
        (count > 0).then(|| Self {
            mean: values.clone().sum::<f64>() / count as f64,
            low: values.clone().fold(f64::INFINITY, f64::min),
            high: values.fold(f64::NEG_INFINITY, f64::max),
        })
    }

    fn in_words(self) -> String {
        let Self { mean, low, high } = self;
        format!("{} ({} to {})", words::fixed(mean, 3), words::fixed(low, 3), words::fixed(high, 3))
    }
}

fn agreement(view: &View<'_>) -> Result<Option<Markup>> {
    let folds = &view.results.transfer;
    let states = folds.iter().map(|fold| fold.agreement.len()).max().unwrap_or(0);
    let spreads: Vec<(String, Spread)> = (0..states)
        .filter_map(|at| {
            let spread = Spread::of(folds.iter().filter_map(|fold| fold.agreement.get(at)).copied())?;
            Some((view.state(at), spread))
        })
        .collect();
    if spreads.is_empty() {
        return Ok(None);
    }
    let rows = spreads
        .iter()
        .map(|(state, s)| Row {
            name: state.clone(),
            text: words::percent(s.mean, 1),
            marks: vec![Mark { value: s.mean, interval: Some((s.low, s.high)), style: Style::of_rank(0) }],
            strong: true,
        })
        .collect();
    let told: Vec<String> =
        spreads.iter().map(|(state, s)| format!("{state} {}", words::percent(s.mean, 1))).collect();
    let chart = Rows {
        frame: Frame {
            id: "agreement".to_owned(),
            title: "Share of users on whose most probable value student and encoder agree, by state"
                .to_owned(),
            description: format!("{}.", words::list(&told)),
        },
        x: Scale::around(spreads.iter().flat_map(|(_, s)| [s.low, s.high]), "share of users").in_percent(),
        rows,
        bars: false,
        reference: None,
    };
    let rows: Vec<Vec<String>> = spreads
        .iter()
        .map(|(state, s)| {
            vec![
                state.clone(),
                words::percent(s.mean, 1),
                words::percent(s.low, 1),
                words::percent(s.high, 1),
            ]
        })
        .collect();
    let figures = table(&chart.frame.title, &["state", "mean", "lowest fold", "highest fold"], &rows);
    Ok(Some(figure("Agreement by state", "most probable value", &chart.draw()?, &figures)))
}

/// How much of the student's gain over the strongest baseline the encoder keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Retention {
    /// This share: above 1 if the encoder gains more, below 0 if it loses.
    Share(f64),
    /// The student gains nothing: there is nothing to keep.
    NoGain,
    /// The student's gain is within noise, so that a share of it would be noise, too.
    NotShown,
}

impl Retention {
    /// From the paired differences of both to the same baseline.
    pub(super) fn new(metric: Metric, student: &Paired, encoder: &Paired) -> Self {
        let sense = if metric.higher_is_better() { 1.0 } else { -1.0 };
        if sense * student.difference <= 0.0 {
            Self::NoGain
        } else if student.verdict == Verdict::Shown(Direction::Better) {
            Self::Share(encoder.difference / student.difference)
        } else {
            Self::NotShown
        }
    }

    pub(super) fn in_words(self) -> String {
        match self {
            Self::Share(share) => words::percent(share, 0),
            Self::NoGain => "undefined: student gains nothing".to_owned(),
            Self::NotShown => "undefined: gain within noise".to_owned(),
        }
    }
}

fn retention_table(view: &View<'_>) -> Markup {
    let mut rows: Vec<(Metric, Labels, &Paired, &Paired)> = Vec::new();
    for metric in view.metrics() {
        for point in view.curve(STUDENT, metric) {
            let drawn = DRAWN.contains(&metric) || point.labels == Labels::All;
            let encoder = view.point(SCALETOT, point.labels, metric).and_then(|p| view.against_strongest(p));
            if let (true, Some(student), Some(encoder)) = (drawn, view.against_strongest(point), encoder) {
                rows.push((metric, point.labels, student, encoder));
            }
        }
    }
    html! {
        h3 { "Retention" }
        @if rows.is_empty() {
            p {
                "Not stated: this run holds no paired differences of both " code { (STUDENT) } " and "
                code { (SCALETOT) } " to the strongest baseline."
            }
        } @else {
            p {
                "Of what " code { (STUDENT) } " gains over the strongest baseline, the share that " code { (SCALETOT) } " keeps. It is "
                "stated only where the student’s gain itself is shown; it is a ratio of two estimates and has no interval here."
            }
            div.scroll role="region" tabindex="0" aria-label="Retention by metric and number of labels" {
                table.retention {
                    (head(&["labels", STUDENT, SCALETOT, "kept"]))
                    @for metric in view.metrics() {
                        @let of_metric: Vec<_> = rows.iter().filter(|row| row.0 == metric).collect();
                        @if !of_metric.is_empty() {
                            tbody {
                                tr.group { th colspan="4" scope="rowgroup" { (words::metric(metric)) } }
                                @for (_, labels, student, encoder) in of_metric {
                                    @let kept = Retention::new(metric, student, encoder);
                                    tr {
                                        th scope="row" { (words::labels(*labels)) }
                                        td { (words::signed(student.difference, 3)) }
                                        td { (words::signed(encoder.difference, 3)) }
                                        td.quiet[!matches!(kept, Retention::Share(_))] { (kept.in_words()) }
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

#[cfg(test)]
mod tests {
    use scaletot_eval::Interval;

    use super::*;

    fn paired(metric: Metric, difference: f64, half: f64) -> Paired {
        let (low, high) = (difference - half, difference + half);
        let (level, replicates, undefined, informative) = (0.95, 2_000, 0, Some(400));
        let interval =
            Interval { estimate: difference, low, high, level, replicates, undefined, informative };
        Paired {
            baseline: "ridge".to_owned(),
            difference,
            error: half / 2.0,
            interval,
            verdict: interval.verdict(metric.higher_is_better()),
        }
    }

    #[test]
    fn retention_is_stated_only_of_a_gain_that_is_shown() {
        let of = |metric, student: (f64, f64), encoder: f64| {
            Retention::new(metric, &paired(metric, student.0, student.1), &paired(metric, encoder, 0.01))
        };
        assert_eq!(of(Metric::Spearman, (0.04, 0.01), 0.03), Retention::Share(0.75));
        assert_eq!(of(Metric::Spearman, (0.04, 0.05), 0.03), Retention::NotShown);
        assert_eq!(of(Metric::Spearman, (-0.04, 0.01), 0.03), Retention::NoGain);
        assert_eq!(of(Metric::Spearman, (0.0, 0.0), 0.03), Retention::NoGain);
        // Less error is the gain.
        assert_eq!(of(Metric::CalibrationError, (-0.04, 0.01), -0.02), Retention::Share(0.5));
        assert_eq!(of(Metric::CalibrationError, (0.04, 0.01), -0.02), Retention::NoGain);
    }

    #[test]
    fn undefined_retention_is_said_in_words() {
        assert_eq!(Retention::NoGain.in_words(), "undefined: student gains nothing");
        assert!(Retention::NotShown.in_words().contains("within noise"));
    }
}
