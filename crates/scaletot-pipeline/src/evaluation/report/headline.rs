//! The first sentences: what was shown and what was not, computed from the figures and never more than they say.

use maud::{Markup, html};
use scaletot_eval::{Direction, Interval, Metric, Verdict};

use super::super::results::{CurvePoint, Labels, Paired};
use super::view::{PROFILE, SCALETOT, STACK, View};
use super::words;

/// What the paired intervals by Spearman show about the arm in question, at every number of labels.
pub(super) fn sentence(view: &View<'_>) -> String {
    match shown(view, PROFILE, |point| point.against(PROFILE)) {
        Some(parts) => format!("By Spearman, {parts}."),
        None => format!(
            "Nothing is shown: this run holds no paired comparison of {SCALETOT} with {PROFILE} by Spearman."
        ),
    }
}

/// The same against the linear model: profile and signals differ there, and the kind of model does not.
pub(super) fn against_stack(view: &View<'_>) -> Option<String> {
    let parts = shown(view, STACK, |point| point.against(STACK))?;
    Some(format!("Against the same kind of model on the profile alone: {parts}."))
}

/// The same against whichever baseline has the best mean at each number of labels, the models of other libraries among them.
pub(super) fn against_strongest(view: &View<'_>) -> Option<String> {
    let strongest = |point: &'_ CurvePoint| {
        view.baselines()
            .filter_map(|arm| view.point(&arm.name, point.labels, point.metric))
            .max_by(|a, b| a.mean.total_cmp(&b.mean))
            .map(|best| best.arm.clone())
    };
    let parts = shown(view, "the strongest baseline", |point| point.against(&strongest(point)?))?;
    Some(format!("Against the strongest baseline at each number of labels: {parts}."))
}

/// At which numbers of labels the arm in question is shown better or worse than a rival, and at which nothing is shown.
fn shown(view: &View<'_>, rival: &str, paired: impl Fn(&CurvePoint) -> Option<&Paired>) -> Option<String> {
    let points: Vec<(&CurvePoint, Verdict)> = view
        .curve(SCALETOT, Metric::Spearman)
        .into_iter()
        .filter_map(|point| paired(point).map(|paired| (point, paired.verdict)))
        .collect();
    let with = |verdict: Verdict| -> Vec<Labels> {
        points.iter().filter(|(_, v)| *v == verdict).map(|(point, _)| point.labels).collect()
    };
    let mut parts = Vec::new();
    for (direction, word) in [(Direction::Better, "better"), (Direction::Worse, "worse")] {
        let sizes = with(Verdict::Shown(direction));
        if !sizes.is_empty() {
            parts.push(format!(
                "{SCALETOT} is shown to be {word} than {rival} with {}",
                words::label_sizes(&sizes)
            ));
        }
    }
    let open = with(Verdict::NoDifferenceShown);
    if !open.is_empty() {
        let between =
            if parts.is_empty() { format!(" between {SCALETOT} and {rival}") } else { String::new() };
        parts.push(format!("no difference{between} is shown with {}", words::label_sizes(&open)));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// How large the differences are at either end of the range of labels.
fn sizes_of_differences(view: &View<'_>) -> Option<String> {
    let points: Vec<(Labels, Interval)> = view
        .curve(SCALETOT, Metric::Spearman)
        .into_iter()
        .filter_map(|point| point.against(PROFILE).map(|paired| (point.labels, paired.interval)))
        .collect();
    let of = |(labels, interval): &(Labels, Interval)| {
        format!(
            "{} with {} (95 % interval {})",
            words::signed(interval.estimate, 3),
            words::label_sizes(&[*labels]),
            words::signed_ends(interval, 3)
        )
    };
    match points.as_slice() {
        [] => None,
        [one] => Some(format!("The paired difference in Spearman is {}.", of(one))),
        [first, .., last] => {
            Some(format!("The paired difference in Spearman is {} and {}.", of(first), of(last)))
        }
    }
}

/// What the arm knows where its rival cannot be trained at all.
fn without_labels(view: &View<'_>) -> Option<String> {
    let point = view.point(SCALETOT, Labels::Count(0), Metric::Spearman)?;
    if view.point(PROFILE, Labels::Count(0), Metric::Spearman).is_some() {
        return None;
    }
    let reading = if point.interval.low > 0.0 {
        "shown to rank better than chance"
    } else if point.interval.high < 0.0 {
        "shown to rank worse than chance"
    } else {
        "not shown to rank other than by chance"
    };
    Some(format!(
        "Without any label, where {PROFILE} cannot be trained, {SCALETOT} is {reading}: {} ({}).",
        words::fixed(point.mean, 3),
        words::ends(&point.interval, 3)
    ))
}

/// The strongest baseline with all labels, and what is known of it against the arm in question.
pub(super) fn strongest_baseline(view: &View<'_>) -> Option<String> {
    let all = |arm: &str| view.point(arm, Labels::All, Metric::Spearman);
    let best = view.baselines().filter_map(|arm| all(&arm.name)).max_by(|a, b| a.mean.total_cmp(&b.mean))?;
    let baseline = format!(
        "The strongest baseline with all labels is {}: Spearman {} ({})",
        best.arm,
        words::fixed(best.mean, 3),
        words::ends(&best.interval, 3)
    );
    let Some(ours) = all(SCALETOT) else { return Some(format!("{baseline}.")) };
    let other = format!("{SCALETOT} has {} ({})", words::fixed(ours.mean, 3), words::ends(&ours.interval, 3));
    Some(format!("{baseline}; {other}."))
}

/// The head of the page.
pub(super) fn markup(view: &View<'_>) -> Markup {
    let task = &view.results.task;
    let lead: Vec<String> = [
        sizes_of_differences(view),
        without_labels(view),
        against_stack(view),
        against_strongest(view),
        strongest_baseline(view),
    ]
    .into_iter()
    .flatten()
    .collect();
    let facts: [(String, &str); 5] = [
        (words::count(task.users as u64), "users"),
        (words::count(task.labelled as u64), "with a known outcome"),
        (words::percent(task.zero_share, 1), "of them with outcome 0"),
        (words::count(task.fields.len() as u64), "profile fields"),
        (words::count(task.states.len() as u64), "states in the chain"),
    ];
    html! {
        header {
            p.kicker { "ScaleToT · evaluation · " (task.name) }
            h1 { (sentence(view)) }
            @for line in &lead { p.lead { (line) } }
            p.task {
                (task.title) " "
                span.quiet {
                    "Outcome: " (task.outcome) ", in " (task.unit) "; mean " (words::amount(task.mean_outcome))
                    ". Source: " (task.source) "."
                }
            }
            dl.facts { @for (value, name) in &facts { div { dt { (name) } dd { (value) } } } }
            details.quiet {
                summary { "Fields and states" }
                p { "Fields: " (words::list(&task.fields)) "." }
                p { "States, the outcome-linked one last: " (words::list(&task.states)) "." }
                p {
                    (words::count(task.with_profile as u64)) " users have enough populated fields to be served; folds are "
                    "made of the " (words::count(task.labelled as u64)) " of them whose outcome is known."
                }
            }
            (reading(view))
        }
    }
}

fn reading(view: &View<'_>) -> Markup {
    let run = &view.results.run;
    let count = view.results.curves.iter().map(|point| point.folds).max().unwrap_or(run.folds * run.repeats);
    // A planted world runs one fold of each of several worlds, which is no whole cross-validation.
    let protocol = if count == run.folds * run.repeats {
        format!(" ({}-fold cross-validation, {})", run.folds, words::plural(run.repeats, "repeat"))
    } else {
        String::new()
    };
    let folds = format!(
        "Unless a section says otherwise, a figure is the mean over {} of held-out users{protocol}, and an \
         interval is a 95 % bootstrap interval.",
        words::plural(count, "fold")
    );
    let shown = "“Shown” means that the 95 % interval of the paired difference, on the same users, folds and draws \
                 of labels, excludes 0. “No difference shown” does not mean that there is none.";
    let overlap = "Two arms whose own intervals overlap may still differ: read the paired difference. No interval is \
                   corrected for the number of comparisons on the page.";
    let labels = format!(
        "“Labels” are labelled training users. The teacher reasons about {} of all users, chosen from the training \
         folds, whatever the number of labels.",
        words::short_percent(run.coverage)
    );
    html! {
        div.reading {
            h2 { "How to read this page" }
            ul { @for line in [folds.as_str(), shown, overlap, labels.as_str()] { li { (line) } } }
        }
    }
}
