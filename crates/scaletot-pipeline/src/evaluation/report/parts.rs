//! Pieces of the page that every section is made of.

use crate::error::Result;
use maud::{Markup, html};
use scaletot_eval::{Direction, Interval, Verdict};

use super::words;

/// A section of the page.
#[derive(Debug, Clone)]
pub(super) struct Section {
    /// Anchor.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// `None` where the results hold nothing for it.
    pub(super) body: Option<Markup>,
}

impl Section {
    pub(super) fn new(id: &'static str, title: &'static str, body: Result<Option<Markup>>) -> Result<Self> {
        Ok(Self { id, title, body: body? })
    }
}

/// A chart with its heading and the same figures as a table.
pub(super) fn figure(title: &str, about: &str, chart: &Markup, figures: &Markup) -> Markup {
    html! {
        figure.chart {
            figcaption { strong { (title) } @if !about.is_empty() { span.about { (about) } } }
            (chart)
            details.figures { summary { "Figures as a table" } (figures) }
        }
    }
}

/// A table whose first column names the row and whose other columns hold figures.
pub(super) fn table(caption: &str, head: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        div.scroll role="region" tabindex="0" aria-label=(caption) {
            table {
                (self::head(head))
                tbody {
                    @for row in rows {
                        tr {
                            @for (at, cell) in row.iter().enumerate() {
                                @if at == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The head of a table that a section fills itself.
pub(super) fn head(cells: &[&str]) -> Markup {
    html! { thead { tr { @for cell in cells { th scope="col" { (cell) } } } } }
}

/// An estimate with the ends of its interval in smaller print.
pub(super) fn estimate(interval: &Interval, decimals: usize) -> Markup {
    html! { (words::fixed(interval.estimate, decimals)) " " span.ends { (words::ends(interval, decimals)) } }
}

/// A difference with the ends of its interval in smaller print.
pub(super) fn difference(interval: &Interval, decimals: usize) -> Markup {
    html! {
        (words::signed(interval.estimate, decimals)) " "
        span.ends { (words::signed_ends(interval, decimals)) }
    }
}

/// Text whose back-ticks mark names.
pub(super) fn marked(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// A name that may be broken after its separators.
pub(super) fn breakable(name: &str) -> Markup {
    html! { @for part in name.split_inclusive(['_', '+', '-', '.']) { (part) wbr; } }
}

/// A verdict in words; a difference that is shown stands out.
pub(super) fn verdict(verdict: Verdict) -> Markup {
    let class = match verdict {
        Verdict::Shown(Direction::Better) => "verdict better",
        Verdict::Shown(Direction::Worse) => "verdict worse",
        Verdict::NoDifferenceShown | Verdict::TooLittleData => "verdict",
    };
    html! { span class=(class) { (words::verdict(verdict)) } }
}
