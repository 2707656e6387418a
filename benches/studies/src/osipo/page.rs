//! The results in Markdown: for the terminal, and for a page whose prose is left alone.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use scaletot_core::files::write_bytes;
use scaletot_eval::{Direction, Verdict};

use super::arms::{ARMS, Arm, OSIPO, SFT, SFT_LONGER};
use super::measure::{Measure, Recovered};
use super::paired::Mean;
use super::results::{Budget, SeedResult, StudyResults};
use super::world::{REASONED, STUDENT_AFTER_SFT, TEACHER, TEST};

const BEGIN: &str = "<!-- results -->";
const END: &str = "<!-- /results -->";
/// The only column of words beside the first ones.
const WHAT: &str = "what it is";

/// Writes the results into a page, between its two marks.
///
/// # Errors
/// If the page cannot be read or written, or lacks a mark.
pub fn insert(page: &Path, results: &StudyResults) -> Result<()> {
    Ok(write_bytes(page, with(page, &render(results))?)?)
}

/// Whether results could be written into a page: known before a run, and not hours after its start.
///
/// # Errors
/// If the page cannot be read or lacks a mark.
pub fn check(page: &Path) -> Result<()> {
    with(page, "").map(|_| ())
}

fn with(page: &Path, results: &str) -> Result<String> {
    let text = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    replaced(&text, results)
        .with_context(|| format!("{}: expected a line {BEGIN} and a line {END} after it", page.display()))
}

fn replaced(page: &str, results: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{results}\n{END}{after}"))
}

/// All results.
#[must_use]
pub fn render(results: &StudyResults) -> String {
    let others = [SFT, SFT_LONGER].map(|other| {
        format!("### Minus `{other}`\n\n{}", against(results, |arm| Some(other).filter(|_| arm.name != SFT)))
    });
    let parts = [
        header(results),
        recovery(results),
        headline(results),
        arms(results),
        figures(results),
        others.join("\n"),
        format!("### Minus the arm that differs in one part\n\n{}", against(results, |arm| arm.beside)),
        sentences(results),
        every_seed(results),
    ];
    parts.join("\n")
}

fn header(results: &StudyResults) -> String {
    let seeds: Vec<String> = results.seeds.iter().map(|seed| seed.seed.to_string()).collect();
    let mut commits: Vec<&str> =
        results.seeds.iter().flat_map(|seed| &seed.arms).filter_map(|arm| arm.commit.as_deref()).collect();
    commits.sort_unstable();
    commits.dedup();
    let settings: Vec<String> = ["users", "noise", "field-errors", "labels", "coverage", "device"]
        .iter()
        .filter_map(|name| Some(format!("{name} {}", results.settings.get(*name)?)))
        .collect();
    let of_world = |of: fn(&SeedResult) -> usize| range(results.seeds.iter().map(of));
    let arms = |seed: &SeedResult| seed.arms.iter().map(|arm| arm.seconds).sum::<f64>();
    let seconds: f64 = results.seeds.iter().map(|seed| seed.seconds + arms(seed)).sum();
    format!(
        "`osipo_study {}`, {}, commit {}, {}; {:.0} min in all. Seeds {}; {}. Of each world {} users are reasoned about, \
         the chains of {} accepted, the outcomes of {} known to OSIPO; {} users are tested.\n",
        results.command,
        results.date,
        commits.join(" and "),
        results.machine,
        seconds / 60.0,
        seeds.join(", "),
        settings.join(", "),
        of_world(|seed| seed.reasoned),
        of_world(|seed| seed.accepted),
        of_world(|seed| seed.labelled),
        of_world(|seed| seed.test),
    )
}

/// Teacher and student, by the same users.
fn recovery(results: &StudyResults) -> String {
    let of = |who: &str, users: &str, value: fn(&Recovered) -> f64| -> Vec<f64> {
        let found = |seed: &SeedResult| {
            seed.recovery
                .iter()
                .find(|entry| entry.who == who && entry.users == users)
                .map(|e| value(&e.right))
        };
        results.seeds.iter().filter_map(found).collect()
    };
    let mut rows = Vec::new();
    let mut sentences = String::new();
    for users in [REASONED, TEST] {
        for who in [TEACHER, STUDENT_AFTER_SFT] {
            let [states, last] =
                [|r: &Recovered| r.states, |r: &Recovered| r.last].map(|v| level(&of(who, users, v)));
            rows.push(vec![format!("{who}, {users}"), states, last]);
        }
        let (teacher, student) =
            (of(TEACHER, users, |r| r.states), of(STUDENT_AFTER_SFT, users, |r| r.states));
        let differences: Vec<f64> = student.iter().zip(&teacher).map(|(s, t)| s - t).collect();
        if let Some(mean) = Mean::of(&differences) {
            sentences += &format!(
                "- States of {users}, student minus teacher: {} – {}.\n",
                signed(mean),
                match mean.verdict() {
                    Verdict::Shown(Direction::Better) =>
                        "the student is right more often, beyond the interval",
                    Verdict::Shown(Direction::Worse) =>
                        "the student is right less often, beyond the interval",
                    Verdict::NoDifferenceShown | Verdict::TooLittleData => "no difference shown",
                }
            );
        }
    }
    let bayes: Vec<f64> = results.seeds.iter().map(|seed| seed.bayes).collect();
    rows.push(vec!["limit: who knows the posterior".to_owned(), level(&bayes), String::new()]);
    let header = ["", "states right", "last state right"].map(str::to_owned);
    format!("### States: the student after SFT against its teacher\n\n{}\n{sentences}", table(&header, &rows))
}

/// OSIPO against SFT, measure by measure.
fn headline(results: &StudyResults) -> String {
    let short = compared(results, OSIPO, SFT_LONGER)
        .map_or_else(String::new, |sentence| format!("**`{OSIPO}`: {sentence}.**\n\n"));
    let mut text = format!("### Outcomes: `{OSIPO}` against SFT\n\n{short}");
    for measure in Measure::ALL {
        let comparisons: Vec<String> = [SFT, SFT_LONGER]
            .iter()
            .filter_map(|other| {
                let mean = Mean::of(&results.differences(OSIPO, other, measure))?;
                Some(format!("minus `{other}` {}, {}", signed(mean), in_words(mean.verdict())))
            })
            .collect();
        if !comparisons.is_empty() {
            text += &format!("- {}: {}.\n", measure.name(), comparisons.join("; "));
        }
    }
    text
}

/// What each arm is, and what its training took.
fn arms(results: &StudyResults) -> String {
    let header = ["arm", WHAT, "steps", "epochs", "kept", "unchanged", "users", "chains", "seconds"];
    let rows: Vec<Vec<String>> = ran(results)
        .map(|arm| {
            let of = |value: fn(&Budget) -> usize| {
                let found = |seed: &SeedResult| Some(value(&seed.arm(arm.name)?.budget));
                range(results.seeds.iter().filter_map(found))
            };
            let found: Vec<_> = results.seeds.iter().filter_map(|seed| seed.arm(arm.name)).collect();
            let trained = found.iter().filter(|result| result.budget.epochs > 0);
            let stayed = trained.filter(|result| result.budget.kept == 0).count();
            let seconds = found.iter().map(|result| result.seconds).sum::<f64>() / found.len().max(1) as f64;
            vec![
                format!("`{}`", arm.name),
                arm.what.to_owned(),
                of(|budget| budget.steps),
                of(|budget| budget.epochs),
                of(|budget| budget.kept),
                format!("{stayed} of {}", found.len()),
                of(|budget| budget.users),
                of(|budget| budget.chains),
                format!("{seconds:.0}"),
            ]
        })
        .collect();
    format!(
        "### Arms\n\nMeans of seconds; least and most of the other numbers. \"Unchanged\" says on how many worlds no epoch was better than the \
         student after SFT, which then is the arm's.\n\n{}",
        table(&header.map(str::to_owned), &rows)
    )
}

/// Means over worlds.
fn figures(results: &StudyResults) -> String {
    let row = |arm: &Arm| {
        let cells = Measure::ALL.iter().map(|&measure| level(&results.values(arm.name, measure)));
        [format!("`{}`", arm.name)].into_iter().chain(cells).collect()
    };
    format!(
        "### Means over worlds\n\n{}",
        table(&measures("arm"), &ran(results).map(row).collect::<Vec<_>>())
    )
}

/// Differences to another arm of the same world.
fn against(results: &StudyResults, other: impl Fn(&Arm) -> Option<&'static str>) -> String {
    let rows: Vec<Vec<String>> = ran(results)
        .filter_map(|arm| Some((arm, other(arm).filter(|other| *other != arm.name)?)))
        .map(|(arm, other)| {
            let cells = Measure::ALL.iter().map(|&measure| {
                let mean = Mean::of(&results.differences(arm.name, other, measure));
                mean.map_or_else(String::new, |mean| match mean.verdict().is_shown() {
                    true => format!("**{}**", signed(mean)),
                    false => signed(mean),
                })
            });
            [format!("`{}` − `{other}`", arm.name)].into_iter().chain(cells).collect()
        })
        .collect();
    table(&measures("arms"), &rows)
}

/// One item per arm: gain, loss, or neither, against each arm that it is compared with.
fn sentences(results: &StudyResults) -> String {
    let mut text = "### In words\n\n".to_owned();
    for arm in ran(results).filter(|arm| arm.name != SFT) {
        let mut others = vec![SFT, SFT_LONGER];
        others.extend(arm.beside.filter(|beside| *beside != SFT));
        let comparisons: Vec<String> = others
            .into_iter()
            .filter(|other| *other != arm.name)
            .filter_map(|other| compared(results, arm.name, other))
            .collect();
        text += &format!("- `{}`: {}.\n", arm.name, comparisons.join("; "));
    }
    text
}

fn compared(results: &StudyResults, arm: &str, other: &str) -> Option<String> {
    let all = Measure::ALL.map(|measure| (measure, results.differences(arm, other, measure)));
    let means: Vec<(Measure, Mean)> =
        all.iter().filter_map(|(measure, found)| Some((*measure, Mean::of(found)?))).collect();
    if means.is_empty() {
        return None;
    }
    if all.iter().flat_map(|(_, differences)| differences).all(|&difference| difference == 0.0) {
        return Some(format!("the same figures as `{other}`, to the last digit"));
    }
    let those = |verdict: Verdict| -> Vec<String> {
        let shown = means.iter().filter(|(_, mean)| mean.verdict() == verdict);
        shown.map(|(measure, mean)| format!("{} ({:+.4})", measure.name(), mean.mean)).collect()
    };
    let mut parts = Vec::new();
    for (what, direction) in [("a gain beyond its interval", Direction::Better), ("a loss", Direction::Worse)]
    {
        let found = those(Verdict::Shown(direction));
        if !found.is_empty() {
            parts.push(format!("{what} in {}", found.join(", ")));
        }
    }
    let nothing = those(Verdict::NoDifferenceShown).len();
    match (parts.is_empty(), nothing) {
        (true, _) => parts.push("no difference shown in any figure".to_owned()),
        (false, 0) => {}
        (false, n) => parts.push(format!("nothing shown in the other {n}")),
    }
    Some(format!("against `{other}` {}", parts.join(", ")))
}

/// Every figure.
fn every_seed(results: &StudyResults) -> String {
    let mut text = "### Every world\n".to_owned();
    for measure in Measure::ALL {
        let mut header = vec![measure.name().to_owned()];
        header.extend(results.seeds.iter().map(|seed| format!("seed {}", seed.seed)));
        let rows: Vec<Vec<String>> = ran(results)
            .map(|arm| {
                let cells = results.seeds.iter().map(|seed| {
                    let found = seed.arm(arm.name).and_then(|result| result.measures.get(&measure));
                    found.map_or_else(String::new, |value| format!("{value:.4}"))
                });
                [format!("`{}`", arm.name)].into_iter().chain(cells).collect()
            })
            .collect();
        text += &format!("\n{}", table(&header, &rows));
    }
    text
}

/// The arms that were run on some world.
fn ran(results: &StudyResults) -> impl Iterator<Item = &'static Arm> {
    ARMS.iter().filter(|arm| results.seeds.iter().any(|seed| seed.arm(arm.name).is_some()))
}

fn measures(first: &str) -> Vec<String> {
    [first].into_iter().chain(Measure::ALL.map(Measure::name)).map(str::to_owned).collect()
}

fn in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Shown(Direction::Better) => "a gain beyond its interval",
        Verdict::Shown(Direction::Worse) => "a loss",
        Verdict::NoDifferenceShown | Verdict::TooLittleData => "no difference shown",
    }
}

/// A mean figure.
fn level(values: &[f64]) -> String {
    Mean::of(values).map_or_else(String::new, |mean| format!("{:.4}", mean.mean))
}

/// A mean difference with half its interval.
fn signed(mean: Mean) -> String {
    match mean.half {
        Some(half) => format!("{:+.4} ± {half:.4}", mean.mean),
        None => format!("{:+.4}", mean.mean),
    }
}

/// One number, or the smallest and the largest.
fn range(values: impl Iterator<Item = usize> + Clone) -> String {
    match (values.clone().min(), values.max()) {
        (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
        (Some(only), _) => only.to_string(),
        _ => "–".to_owned(),
    }
}

/// Numbers to the right, the first column and what an arm is to the left.
fn table(header: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<String> = header
        .iter()
        .enumerate()
        .map(|(column, name)| if column == 0 || name == WHAT { "---" } else { "---:" }.to_owned())
        .collect();
    rows.iter().fold(line(header) + &line(&rule), |text, row| text + &line(row))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::results::ArmResult;
    use super::*;

    /// Two worlds: `osipo` gains in Spearman by about as much on both, loses states on one, and its twin is the same.
    fn results() -> StudyResults {
        let arm = |name: &str, spearman: f64, states: f64| ArmResult {
            arm: name.to_owned(),
            measures: BTreeMap::from([(Measure::Spearman, spearman), (Measure::States, states)]),
            ..ArmResult::default()
        };
        let world = |seed: u64, gain: f64, loss: f64| SeedResult {
            seed,
            arms: vec![
                arm(SFT, 0.2, 0.6),
                arm(OSIPO, 0.2 + gain, 0.6 - loss),
                arm("user-segments=none", 0.2 + gain, 0.6 - loss),
            ],
            ..SeedResult::default()
        };
        StudyResults {
            format: super::super::results::FORMAT,
            settings: BTreeMap::new(),
            command: String::new(),
            machine: String::new(),
            date: String::new(),
            seeds: vec![world(1, 0.1, 0.0), world(2, 0.102, 0.1)],
        }
    }

    #[test]
    fn gains_and_their_absence_are_said() {
        let page = render(&results());
        assert!(page.contains("- `osipo`: against `sft` a gain beyond its interval in Spearman (+0.1010), nothing shown in the other 1.\n"), "{page}");
        assert!(page.contains("the same figures as `osipo`, to the last digit"), "{page}");
        assert!(
            page.contains("- Spearman: minus `sft` +0.1010 ± 0.0127, a gain beyond its interval.\n"),
            "{page}"
        );
        assert!(page.contains("**+0.1010 ± 0.0127**"), "{page}");
        assert!(!page.contains("`margin`"), "an arm that was not run:\n{page}");
    }

    #[test]
    fn prose_is_left_alone() {
        let page = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nEnd.\n");
        let new = replaced(&page, "new\n").unwrap();
        assert_eq!(new, format!("# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nEnd.\n"));
        assert_eq!(replaced(&new, "new\n").unwrap(), new);
        assert_eq!(replaced("no marks", "new"), None);
    }

    #[test]
    fn the_page_has_its_marks() {
        assert!(replaced(include_str!("../../../../docs/osipo.md"), "").is_some());
    }
}
