//! The arm in question beside the strongest that knows the profile alone, at every number of labels.

use comfy_table::{Table, presets};
use scaletot_eval::Metric;

use super::fold_result::REASONING;
use super::results::{ArmInfo, CurvePoint, Labels, Results};
use crate::pipeline::summary::{align_numbers, shown, signed};
use crate::pipeline::{SCALETOT, SERVED};

/// Metrics that the curves are told by.
const METRICS: [Metric; 2] = [Metric::Spearman, Metric::NormalisedGini];

/// What the method brings over the strongest arm that knows the profile alone: a row per metric and number of labels, and what they rest on.
#[must_use]
pub fn headline(results: &Results) -> String {
    let ours = |metric: Metric| {
        let mut points: Vec<&CurvePoint> =
            results.curves.iter().filter(|p| p.arm == SCALETOT && p.metric == metric).collect();
        points.sort_by_key(|point| point.labels);
        points
    };
    let points: Vec<&CurvePoint> = METRICS.into_iter().flat_map(ours).collect();
    let Some(first) = points.first() else {
        return format!("No metric of the arm `{SCALETOT}` is defined on the test users.");
    };
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["metric", "labels", SCALETOT, "strongest, profile alone", "difference", "shown"]);
    let mut verdicts = Vec::new();
    for point in &points {
        let strongest = strongest(results, point.labels, point.metric);
        let paired = strongest.and_then(|strongest| point.against(&strongest.arm));
        verdicts.extend(paired.map(|paired| paired.verdict));
        let nothing = || "\u{2013}".to_owned();
        table.add_row([
            point.metric.name().to_owned(),
            labels(point.labels),
            format!("{:.3}", point.mean),
            strongest.map_or_else(nothing, |strongest| format!("{:.3} ({})", strongest.mean, strongest.arm)),
            paired.map_or_else(nothing, |paired| signed(&paired.interval)),
            paired.map_or_else(nothing, |paired| shown(paired.verdict).to_owned()),
        ]);
    }
    align_numbers(&mut table);
    let reading = match verdicts.iter().filter(|verdict| verdict.is_shown()).count() {
        0 => "No difference is shown".to_owned(),
        shown => format!("A difference is shown by {shown} of {} comparisons", verdicts.len()),
    };
    let folds = points.iter().map(|point| point.folds).max().unwrap_or(0);
    let mut text = format!(
        "{table}\n{reading}: means over {folds} folds, paired bootstrap of {} replicates, {:.0} % intervals.",
        first.interval.replicates,
        100.0 * first.interval.level
    );
    // What users get is what is served of it.
    let served = METRICS.into_iter().filter_map(|metric| {
        let point = point(results, SERVED, Labels::All, metric)?;
        Some(format!("{} {:.3}", metric.name(), point.mean))
    });
    let served: Vec<String> = served.collect();
    if !served.is_empty() {
        text.push_str(&format!("\nServed by the artifact, with all labels: {}.", served.join(", ")));
    }
    text
}

/// One arm at one number of labels by one metric.
pub(super) fn point<'a>(
    results: &'a Results,
    arm: &str,
    labels: Labels,
    metric: Metric,
) -> Option<&'a CurvePoint> {
    results.curves.iter().find(|p| p.arm == arm && p.labels == labels && p.metric == metric)
}

/// Arms that know the profile alone.
fn baselines(results: &Results) -> impl Iterator<Item = &ArmInfo> {
    results.arms.iter().filter(|arm| !REASONING.contains(&arm.name.as_str()))
}

/// The baseline with the best mean at a number of labels by a metric.
pub(super) fn strongest(results: &Results, labels: Labels, metric: Metric) -> Option<&CurvePoint> {
    let points = baselines(results).filter_map(|arm| point(results, &arm.name, labels, metric));
    points.max_by(|a, b| {
        let order = a.mean.total_cmp(&b.mean);
        if metric.higher_is_better() { order } else { order.reverse() }
    })
}

/// A number of labels for a table.
pub(super) fn labels(labels: Labels) -> String {
    match labels {
        Labels::Count(count) => count.to_string(),
        Labels::All => "all".to_owned(),
    }
}

#[cfg(all(test, feature = "report"))]
mod tests {
    use super::*;
    use crate::evaluation::report::sample;

    #[test]
    fn every_number_of_labels_has_a_row_with_its_strongest_baseline() {
        let mut results = sample::results();
        let text = headline(&results);
        let rows: Vec<&str> = text.lines().skip(2).filter(|line| line.starts_with('|')).collect();
        let sizes =
            results.curves.iter().filter(|p| p.arm == SCALETOT && METRICS.contains(&p.metric)).count();
        assert_eq!(rows.len(), sizes, "{text}");
        for (metric, row) in METRICS.into_iter().flat_map(|m| rows.iter().map(move |row| (m, row))) {
            if row.contains(metric.name()) && row.contains(" all ") {
                let strongest = strongest(&results, Labels::All, metric).unwrap();
                assert!(row.contains(&format!("{:.3} ({})", strongest.mean, strongest.arm)), "{row}");
                assert!(["better", "worse", "nothing"].iter().any(|word| row.contains(word)), "{row}");
            }
        }
        assert!(text.contains("paired bootstrap of"), "{text}");
        assert!(!text.contains("Served by the artifact"), "{text}");
        let mut served = point(&results, SCALETOT, Labels::All, Metric::Spearman).unwrap().clone();
        (served.arm, served.mean) = (SERVED.to_owned(), 0.125);
        results.curves.push(served);
        let text = headline(&results);
        assert!(text.ends_with("\nServed by the artifact, with all labels: Spearman 0.125."), "{text}");
        results.curves.clear();
        assert!(headline(&results).starts_with("No metric"));
    }
}
