//! What must hold for any page.

use scaletot_eval::Metric;

use super::super::results::{ArmInfo, Labels, Results};
use super::view::{STUDENT, View};
use super::{headline, render, sample};

fn page(results: &Results) -> String {
    render(results).unwrap()
}

/// Sets the paired differences of an arm to a baseline at every number of labels.
fn differ(results: &mut Results, arm: &str, baseline: &str, difference: impl Fn(Labels) -> (f64, f64)) {
    for point in results.curves.iter_mut().filter(|point| point.arm == arm) {
        for paired in point.against.iter_mut().filter(|paired| paired.baseline == baseline) {
            let (value, half) = difference(point.labels);
            *paired = sample::paired(baseline, point.metric, value, half);
        }
    }
}

/// Gives the paired difference of an arm to every baseline, by every metric and at every number of labels.
fn with_differences(arm: &str, difference: impl Fn(Labels) -> (f64, f64)) -> Results {
    let mut results = sample::results();
    for baseline in ["profile", "stack"] {
        differ(&mut results, arm, baseline, &difference);
    }
    results
}

fn sentence(results: &Results) -> String {
    headline::sentence(&View { results })
}

#[test]
fn the_headline_says_where_a_difference_is_shown_and_where_not() {
    let mixed = with_differences("scaletot", |labels| match labels {
        Labels::Count(50 | 200) => (0.05, 0.02),
        Labels::All => (-0.03, 0.01),
        Labels::Count(_) => (0.01, 0.02),
    });
    let words = "By Spearman, scaletot is shown to be better than the strongest profile-only baseline with 50 and 200 labels; \
                 scaletot is shown to be worse than the strongest profile-only baseline with all labels; no difference is \
                 shown with 500, 1,000 and 2,000 labels.";
    assert_eq!(sentence(&mixed), words);
    assert!(page(&mixed).contains(&format!("<h1>{words}</h1>")));
}

#[test]
fn the_headline_claims_nothing_that_is_not_shown() {
    let none = with_differences("scaletot", |_| (0.01, 0.02));
    assert_eq!(
        sentence(&none),
        "By Spearman, no difference between scaletot and the strongest profile-only baseline is shown with 50, 200, 500, \
         1,000, 2,000 and all labels."
    );
    let worse = with_differences("scaletot", |_| (-0.05, 0.02));
    assert!(sentence(&worse).starts_with("By Spearman, scaletot is shown to be worse than the strongest"));
    assert!(!sentence(&worse).contains("better"));
    let mut bare = sample::results();
    bare.curves.clear();
    assert!(sentence(&bare).starts_with("Nothing is shown"));
}

#[test]
fn the_strongest_baseline_is_named_and_knows_the_profile_alone() {
    let mut results = sample::results();
    // What is served knows the signals, however strong it is.
    let served: Vec<_> = results.curves.iter().filter(|point| point.arm == "teacher").cloned().collect();
    results.curves.extend(served.into_iter().map(|mut point| {
        point.arm = "served".to_owned();
        point
    }));
    results.curves.retain(|point| point.labels != Labels::Count(0));
    results
        .arms
        .push(ArmInfo { name: "served".to_owned(), description: "`scaletot` as it is served".to_owned() });
    let line = headline::strongest_baseline(&View { results: &results }).unwrap();
    assert!(line.starts_with("The strongest baseline with all labels is stack: "), "{line}");
    assert!(page(&results).contains("<dd><code>scaletot</code> as it is served</dd>"));
}

#[test]
fn the_strongest_baseline_may_be_another_at_each_number_of_labels() {
    let mut results = sample::results();
    // `stack` is the stronger one with all labels only.
    for point in results.curves.iter_mut().filter(|point| ["profile", "stack"].contains(&point.arm.as_str()))
    {
        let strong = (point.arm == "stack") == (point.labels == Labels::All);
        point.mean = if strong { 0.3 } else { 0.2 };
    }
    for arm in ["scaletot", STUDENT] {
        differ(&mut results, arm, "profile", |_| (0.05, 0.01));
        differ(&mut results, arm, "stack", |_| (-0.05, 0.01));
    }
    let line = sentence(&results);
    assert!(
        line.contains("baseline with 50, 200, 500, 1,000 and 2,000 labels; scaletot is shown to be worse"),
        "{line}"
    );
    assert!(line.ends_with("baseline with all labels."), "{line}");
    let page = page(&results);
    assert!(
        page.contains("+0.050 with 50 labels (95 % interval +0.040 to +0.060; the strongest is profile)")
    );
    assert!(page.contains("(95 % interval \u{2212}0.060 to \u{2212}0.040; the strongest is stack)"));
    // With all labels the student gains nothing over `stack`, whatever it gains over `profile`.
    assert!(page.contains("undefined: student gains nothing"));
}

#[test]
fn the_same_kind_of_model_has_a_sentence_of_its_own() {
    let mut results = sample::results();
    differ(
        &mut results,
        "scaletot",
        "stack",
        |labels| {
            if labels == Labels::All { (0.0, 0.01) } else { (0.05, 0.01) }
        },
    );
    let line = headline::against_stack(&View { results: &results }).unwrap();
    assert_eq!(
        line,
        "Against the same kind of model on the profile alone: scaletot is shown to be better than stack with 50, 200, 500, \
         1,000 and 2,000 labels; no difference is shown with all labels."
    );
    for point in &mut results.curves {
        point.against.retain(|paired| paired.baseline != "stack");
    }
    assert!(headline::against_stack(&View { results: &results }).is_none());
}

/// Names in back-ticks are set as names.
#[test]
fn no_back_tick_is_visible() {
    let mut results = sample::results();
    results.task.title = "A table with `odd` names".to_owned();
    results.notes.push("The outcome is `spend`.".to_owned());
    results.arms[0].description = "as `ridge`, with signals".to_owned();
    let page = page(&results);
    assert!(!page.contains('`'));
    assert!(page.contains("The outcome is <code>spend</code>."));
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = page(&sample::results());
    for loading in ["http://", "https://", "<script", "<link", "<img", "@import", "url(", " src="] {
        assert!(!page.contains(loading), "{loading}");
    }
}

#[test]
fn text_is_escaped_wherever_it_comes_from() {
    let evil = "<script>alert(\"1\")</script>";
    let mut results = sample::results();
    results.searches[0].questions[0].prompt = evil.to_owned();
    results.searches[0].profile = evil.to_owned();
    results.task.title = evil.to_owned();
    results.notes.push(evil.to_owned());
    results.run.command = evil.to_owned();
    for point in results.curves.iter_mut().filter(|point| point.arm == "stack") {
        point.arm = evil.to_owned();
    }
    results.arms[2].name = evil.to_owned();
    let page = page(&results);
    assert!(!page.contains("<script"));
    assert!(page.matches("&lt;script&gt;").count() > 6);
}

#[test]
fn sections_without_data_are_left_out_and_named() {
    let mut results = sample::results();
    results.coverage.clear();
    results.experiment = None;
    results.planted = None;
    results.entropy = None;
    results.searches.clear();
    let page = page(&results);
    for id in ["coverage", "experiment", "planted", "entropy", "searches"] {
        assert!(!page.contains(&format!("<section id=\"{id}\"")), "{id}");
        assert!(!page.contains(&format!("href=\"#{id}\"")), "{id}");
    }
    assert!(page.contains(
        "Not part of this run: Coverage, Refinement and entropy, Simulated randomised test, Planted world \
            and Searches to browse."
    ));
}

#[test]
fn results_without_any_figure_still_give_a_page() {
    let mut results = sample::results();
    results.arms.clear();
    results.curves.clear();
    results.deciles.clear();
    results.gains.clear();
    results.transfer.clear();
    results.coverage.clear();
    results.searches.clear();
    (results.experiment, results.planted, results.entropy) = (None, None, None);
    results.ledger.reasoned = 0;
    let page = page(&results);
    assert!(page.contains("Nothing is shown") && !page.contains("<svg"));
}

#[test]
fn every_chart_is_labelled_and_has_its_table() {
    let page = page(&sample::results());
    let charts: Vec<&str> = page.split("<svg ").skip(1).collect();
    assert!(charts.len() > 15, "{}", charts.len());
    let mut seen = Vec::new();
    for chart in charts {
        let (head, rest) = chart.split_once('>').unwrap();
        assert!(head.contains("role=\"img\"") && head.contains("viewBox="), "{head}");
        let (_, labels) = head.split_once("aria-labelledby=\"").unwrap();
        for id in labels.split('"').next().unwrap().split(' ') {
            let (_, text) = rest.split_once(&format!(" id=\"{id}\">")).unwrap();
            assert!(!text.starts_with('<'), "{id} is empty");
            assert!(!seen.contains(&id), "{id} comes twice");
            seen.push(id);
        }
    }
    assert_eq!(page.matches("<svg ").count(), page.matches("Figures as a table").count());
}

#[test]
fn retention_is_undefined_where_the_student_gains_nothing() {
    let results = with_differences(STUDENT, |labels| match labels {
        Labels::Count(50) => (0.08, 0.01),
        Labels::Count(_) => (0.01, 0.02),
        Labels::All => (-0.02, 0.01),
    });
    let page = page(&results);
    assert!(page.contains("undefined: student gains nothing"));
    assert!(page.contains("undefined: gain within noise"));
}

#[test]
fn verdicts_are_in_words() {
    let page = page(&with_differences("scaletot", |labels| match labels {
        Labels::Count(50) => (0.08, 0.01),
        Labels::Count(_) => (0.01, 0.02),
        Labels::All => (-0.02, 0.01),
    }));
    for words in ["shown better", "shown worse", "no difference shown"] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn searches_tell_what_was_branched_why_and_what_came_of_it() {
    let page = page(&sample::results());
    assert!(page.contains(
        "Branched spending_capacity, whose entropy 0.951 was the largest of the open states; tried high \
            and low; the best \
         branch gains +0.107 and was chosen."
    ));
    assert!(page.contains("backtracked to the chain before"));
    assert!(page.contains("ruled out"));
    // Every question stands once, under its parent.
    assert_eq!(page.matches("<details class=\"question\"").count(), 14);
}

#[test]
fn a_chart_by_a_metric_that_was_not_measured_is_left_out() {
    let mut results = sample::results();
    results.curves.retain(|point| point.metric == Metric::Spearman);
    let page = page(&results);
    assert!(page.contains("id=\"arms-spearman-title\"") && !page.contains("arms-normalised-gini"));
}

/// `docs/results-json.md` names every field and every metric that a file can hold.
#[test]
fn the_form_of_the_results_is_documented() {
    fn keys(value: &serde_json::Value, found: &mut std::collections::BTreeSet<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                found.extend(fields.keys().cloned());
                fields.values().for_each(|value| keys(value, found));
            }
            serde_json::Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }
    let page = include_str!("../../../../../docs/results-json.md");
    let mut found = std::collections::BTreeSet::new();
    keys(&serde_json::to_value(sample::results()).unwrap(), &mut found);
    for metric in super::super::resample::METRICS {
        found.insert(serde_json::to_value(metric).unwrap().as_str().unwrap().to_owned());
    }
    assert!(found.len() > 80, "{}", found.len());
    // `count` and `shown` are in `{"count": 200}` and `{"shown": "better"}`.
    let missing: Vec<&String> = found
        .iter()
        .filter(|key| !page.contains(&format!("`{key}`")) && !page.contains(&format!("\"{key}\"")))
        .collect();
    assert!(missing.is_empty(), "docs/results-json.md does not name {missing:?}");
}

#[test]
fn a_quick_run_is_called_one_beside_its_numbers_of_users() {
    let mut results = sample::results();
    let head = |results: &Results| {
        let page = page(results);
        page[..page.find("<dl class=\"facts\">").unwrap()].to_owned()
    };
    assert!(!head(&results).contains("quick"));
    results.notes.push("A quick run: a random sample of 10,000 users of 30,000 takes part.".to_owned());
    assert!(head(&results).contains("a random sample of 10,000 users of 30,000 takes part"));
    assert!(page(&results).contains("scaletot evaluate --task"), "the command as it was typed");
}
