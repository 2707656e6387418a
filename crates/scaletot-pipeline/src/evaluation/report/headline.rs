//! The first sentences: what was shown and what was not, computed from the figures and never more than they say.

use maud::{Markup, html};
use scaletot_eval::{Direction, Metric, Verdict};

use super::super::assemble::QUICK_NOTE;
use super::super::results::{CurvePoint, Labels, Paired};
use super::parts::marked;
use super::view::{SCALETOT, STACK, View};
use super::words;

/// How the strongest baseline is called where it may be another at each number of labels.
const STRONGEST: &str = "the strongest profile-only baseline";

/// What the paired intervals by Spearman show about the arm in question, at every number of labels, against whichever baseline has the
/// best mean there, the models of other libraries among them.
pub(super) fn sentence(view: &View<'_>) -> String {
    match shown(view, STRONGEST, |point| view.against_strongest(point)) {
        Some(parts) => format!("By Spearman, {parts}."),
        None => format!(
            "Nothing is shown: this run holds no paired comparison of {SCALETOT} with a profile-only baseline by Spearman."
        ),
    }
}

/// The same against the same kind of model: profile and signals differ there, and the kind of model does not.
pub(super) fn against_stack(view: &View<'_>) -> Option<String> {
    let parts = shown(view, STACK, |point| point.against(STACK))?;
    Some(format!("Against the same kind of model on the profile alone: {parts}."))
}

/// At which numbers of labels the arm in question is shown better or worse than a rival, and at which nothing is shown.
fn shown<'a>(
    view: &View<'a>,
    rival: &str,
    paired: impl Fn(&'a CurvePoint) -> Option<&'a Paired>,
) -> Option<String> {
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
    let nothing = [
        (Verdict::NoDifferenceShown, "is shown"),
        (Verdict::TooLittleData, "can be shown, for lack of data,"),
    ];
    for (verdict, shown) in nothing {
        let sizes = with(verdict);
        if !sizes.is_empty() {
            let between =
                if parts.is_empty() { format!(" between {SCALETOT} and {rival}") } else { String::new() };
            parts.push(format!("no difference{between} {shown} with {}", words::label_sizes(&sizes)));
        }
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// How large the differences are at either end of the range of labels.
fn sizes_of_differences(view: &View<'_>) -> Option<String> {
    let points: Vec<(Labels, &Paired)> = view
        .curve(SCALETOT, Metric::Spearman)
        .into_iter()
        .filter_map(|point| view.against_strongest(point).map(|paired| (point.labels, paired)))
        .collect();
    let of = |(labels, paired): &(Labels, &Paired)| {
        format!(
            "{} with {} (95 % interval {}; the strongest is {})",
            words::signed(paired.interval.estimate, 3),
            words::label_sizes(&[*labels]),
            words::signed_ends(&paired.interval, 3),
            paired.baseline
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
    if view.strongest(Labels::Count(0), Metric::Spearman).is_some() {
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
        "Without any label, where no baseline can be trained, {SCALETOT} is {reading}: {} ({}).",
        words::fixed(point.mean, 3),
        words::ends(&point.interval, 3)
    ))
}

/// The strongest baseline with all labels, and what is known of it against the arm in question.
pub(super) fn strongest_baseline(view: &View<'_>) -> Option<String> {
    let best = view.strongest(Labels::All, Metric::Spearman)?;
    let baseline = format!(
        "The strongest baseline with all labels is {}: Spearman {} ({})",
        best.arm,
        words::fixed(best.mean, 3),
        words::ends(&best.interval, 3)
    );
    let Some(ours) = view.point(SCALETOT, Labels::All, Metric::Spearman) else {
        return Some(format!("{baseline}."));
    };
    let other = format!("{SCALETOT} has {} ({})", words::fixed(ours.mean, 3), words::ends(&ours.interval, 3));
    Some(format!("{baseline}; {other}."))
}

/// The head of the page.
pub(super) fn markup(view: &View<'_>) -> Markup {
    let task = &view.results.task;
    let lead: Vec<String> =
        [sizes_of_differences(view), without_labels(view), strongest_baseline(view), against_stack(view)]
            .into_iter()
            .flatten()
            .collect();
    let facts: [(String, &str); 5] = [
        (words::count(task.users as u64), "users"),
        (words::count(task.labelled as u64), "take part, their outcome known"),
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
                (marked(&task.title)) " "
                span.quiet {
                    "Outcome: " (task.outcome) ", in " (task.unit) "; mean " (words::amount(task.mean_outcome))
                    ". Source: " (marked(&task.source)) "."
                }
            }
            // Or the numbers of users below would be taken for those of the table.
            @for note in view.results.notes.iter().filter(|note| note.starts_with(QUICK_NOTE)) { p.task { (note) } }
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
    let strongest = "The strongest baseline is the arm on the profile alone with the best mean by the metric at the number of \
                     labels. It is chosen on the very users that it is measured on, which favours it a little.";
    let labels = format!(
        "“Labels” are labelled training users. The teacher reasons about {} of all users, chosen from the training \
         folds, whatever the number of labels.",
        words::short_percent(run.coverage)
    );
    html! {
        div.reading {
            h2 { "How to read this page" }
            ul { @for line in [folds.as_str(), strongest, shown, overlap, labels.as_str()] { li { (line) } } }
        }
    }
}
