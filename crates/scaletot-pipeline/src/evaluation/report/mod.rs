//! The report of an evaluation: one HTML page that needs nothing else, for a phone, a desk and paper.
//!
//! The page says first what the figures show and what they do not, then gives every figure as a chart and as a table. It
//! loads nothing and runs no script.

mod arms;
mod chart;
mod cost;
mod experiment;
mod headline;
mod notes;
mod parts;
mod planted;
#[cfg(test)]
pub(crate) mod sample;
mod search;
mod signals;
#[cfg(test)]
mod tests;
mod theme;
mod transfer;
mod value;
mod view;
mod words;

use std::path::Path;

use crate::error::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use scaletot_core::files::write_bytes;

use super::results::{Results, SearchTree};
use parts::Section;
use view::View;

/// Rules of the page; those for the colours of charts are made from the colours themselves.
const STYLE: &str = include_str!("style.css");

pub use super::REPORT;

/// Writes the page into a directory.
///
/// # Errors
/// If a chart cannot be drawn, or the file cannot be written.
pub fn write(results: &Results, directory: &Path) -> Result<()> {
    Ok(write_bytes(directory.join(REPORT), &render(results)?)?)
}

/// The whole page.
///
/// Sections that the results hold nothing for are left out; the page says which.
///
/// # Errors
/// If a chart cannot be drawn.
pub fn render(results: &Results) -> Result<String> {
    let view = View { results };
    let sections = sections(&view)?;
    let absent: Vec<&str> = sections.iter().filter(|s| s.body.is_none()).map(|s| s.title).collect();
    let title = format!("ScaleToT evaluation: {}", results.task.name);
    let page = html! {
        (DOCTYPE)
        html lang="en-GB" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(dark_charts())) }
            }
            body {
                (headline::markup(&view))
                (contents(&sections, &absent))
                main {
                    @for section in &sections {
                        @if let Some(body) = &section.body {
                            section id=(section.id) { h2 { (section.title) } (body) }
                        }
                    }
                    section id="limits" { h2 { "Limits" } (notes::limits(&view, &absent)) }
                    section id="run" { h2 { "The run" } (notes::run(&view)) }
                }
            }
        }
    };
    Ok(page.into_string())
}

/// A page with one search, whole: every question, every chain, every round.
#[must_use]
pub fn search_page(search: &SearchTree) -> String {
    let title = format!("Search about user {}", search.user);
    let page = html! {
        (DOCTYPE)
        html lang="en-GB" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { header { h1 { (title) } } main { (search::user(search, true)) } }
        }
    };
    page.into_string()
}

fn sections(view: &View<'_>) -> Result<Vec<Section>> {
    [
        Section::new("arms", "All arms", arms::all_labels(view)),
        Section::new("labels", "What labels change", arms::label_curves(view)),
        Section::new("gains", "Where the value is", value::gains(view)),
        Section::new("calibration", "Calibration", value::calibration(view)),
        Section::new("coverage", "Coverage", signals::coverage(view)),
        Section::new("entropy", "Refinement and entropy", signals::entropy(view)),
        Section::new("transfer", "From student to encoder", transfer::transfer(view)),
        Section::new("ledger", "What reasoning costs", cost::ledger(view)),
        Section::new("experiment", "Simulated randomised test", experiment::experiment(view)),
        Section::new("planted", "Planted world", planted::planted(view)),
        Section::new("searches", "Searches to browse", search::searches(view)),
    ]
    .into_iter()
    .collect()
}

fn contents(sections: &[Section], absent: &[&str]) -> Markup {
    let present = sections.iter().filter(|section| section.body.is_some()).map(|s| (s.id, s.title));
    html! {
        nav aria-label="Contents" {
            ul {
                @for (id, title) in present.chain([("limits", "Limits"), ("run", "The run")]) {
                    li { a href=(format!("#{id}")) { (title) } }
                }
            }
            @if !absent.is_empty() { p.quiet { "Not part of this run: " (words::list(absent)) "." } }
        }
    }
}

fn dark_charts() -> String {
    format!("@media screen and (prefers-color-scheme: dark) {{{}}}", theme::dark_rules())
}
