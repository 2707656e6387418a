//! Limits of the run, how it was made, and where its figures are.

use maud::{Markup, html};

use super::parts::marked;
use super::view::View;
use super::words;

/// Notes of the run, and what always holds.
pub(super) fn limits(view: &View<'_>, absent: &[&str]) -> Markup {
    html! {
        ul.notes {
            @for note in &view.results.notes { li { (marked(note)) } }
            li { "One table and one teacher: what holds here need not hold for other users or other models." }
            @if !absent.is_empty() { li { "Not part of this run: " (words::list(absent)) "." } }
        }
    }
}

/// What was run, and where the figures are.
pub(super) fn run(view: &View<'_>) -> Markup {
    let run = &view.results.run;
    let rows: [(&str, String); 9] = [
        ("Version", run.version.clone()),
        ("Commit", run.commit.clone().unwrap_or_else(|| "not known".to_owned())),
        ("Date", run.date.clone()),
        ("Machine", run.machine.clone()),
        ("Backend", run.device.clone()),
        ("Teacher", run.teacher.clone()),
        ("Seed", run.seed.to_string()),
        ("Wall time", words::duration(run.seconds)),
        ("Figures per fold", words::count(view.results.cells.len() as u64)),
    ];
    html! {
        pre.command { "scaletot " (run.command) }
        dl.pairs { @for (name, value) in &rows { div { dt { (name) } dd { (value) } } } }
        p {
            "Every figure on this page, and those of each fold, are in " code { "results.json" }
            " beside it (format\u{a0}" (view.results.format) ")."
        }
    }
}
