//! What is told of a thing: once for the terminal and once for a browser.

use std::fmt::Write as _;

use crate::format::columns;

/// A title, and parts under headings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    title: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Heading(String),
    Line(String),
    /// Rows of cells; the first is the header.
    Table {
        rows: Vec<Vec<String>>,
        numbers: bool,
    },
    /// Lines whose blanks count.
    Drawing(Vec<String>),
}

impl Report {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), parts: Vec::new() }
    }

    pub(crate) fn heading(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Heading(text.into()));
    }

    pub(crate) fn line(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Line(text.into()));
    }

    /// A table whose first row is its header; `numbers` aligns all but the first column to the right. Without rows it is left out.
    pub(crate) fn table<const N: usize>(&mut self, header: [&str; N], rows: Vec<Vec<String>>, numbers: bool) {
        if rows.is_empty() {
            return;
        }
        let header = header.map(str::to_owned).into();
        self.parts.push(Part::Table { rows: [vec![header], rows].concat(), numbers });
    }

    /// A table of any width whose first row is its header, numbers to the right. Without further rows it is left out.
    pub(crate) fn rows(&mut self, rows: Vec<Vec<String>>) {
        if rows.len() > 1 {
            self.parts.push(Part::Table { rows, numbers: true });
        }
    }

    pub(crate) fn drawing(&mut self, lines: Vec<String>) {
        self.parts.push(Part::Drawing(lines));
    }

    /// For the terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = self.title.clone();
        for part in &self.parts {
            _ = match part {
                Part::Heading(heading) => write!(text, "\n\n{heading}"),
                Part::Line(line) => write!(text, "\n{line}"),
                Part::Table { rows, numbers } => write!(text, "\n{}", columns(rows, *numbers)),
                Part::Drawing(lines) => write!(text, "\n{}", lines.join("\n")),
            };
        }
        text
    }

    /// A page that needs nothing else.
    pub(crate) fn html(&self) -> String {
        const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}\
                             table{border-collapse:collapse;margin:.5rem 0}th,td{padding:.2rem .8rem;border-bottom:1px solid #8884;text-align:left}\
                             .numbers td:not(:first-child),.numbers th:not(:first-child){text-align:right;font-variant-numeric:tabular-nums}\
                             pre{overflow-x:auto}";
        let title = escape(&self.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en-GB\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, \
             initial-scale=1\"><title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>\n"
        );
        for part in &self.parts {
            _ = match part {
                Part::Heading(heading) => writeln!(html, "<h2>{}</h2>", marked(heading)),
                Part::Line(line) => writeln!(html, "<p>{}</p>", marked(line)),
                Part::Drawing(lines) => writeln!(html, "<pre>{}</pre>", escape(&lines.join("\n"))),
                Part::Table { rows, numbers } => {
                    let class = if *numbers { " class=\"numbers\"" } else { "" };
                    _ = write!(html, "<table{class}>");
                    for (at, row) in rows.iter().enumerate() {
                        let tag = if at == 0 { "th" } else { "td" };
                        let cells: String =
                            row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
                        _ = write!(html, "<tr>{cells}</tr>");
                    }
                    writeln!(html, "</table>")
                }
            };
        }
        html.push_str("</body></html>\n");
        html
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A text whose parts between back-ticks are code.
fn marked(text: &str) -> String {
    let parts: Vec<String> = text.split('`').map(escape).collect();
    // One without its fellow is a back-tick.
    if parts.len().is_multiple_of(2) {
        return parts.join("`");
    }
    let marked = parts.iter().enumerate().map(|(at, part)| match at % 2 {
        0 => part.clone(),
        _ => format!("<code>{part}</code>"),
    });
    marked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_hold_everything() {
        let mut report = Report::new("A <corpus>");
        report.heading("Users");
        report.line("3 users");
        report.line("column `a<b`");
        report.table(["verdict", "users"], vec![vec!["accepted".to_owned(), "3".to_owned()]], true);
        report.table(["nothing"], vec![], true);
        assert_eq!(
            report.text(),
            "A <corpus>\n\nUsers\n3 users\ncolumn `a<b`\n  verdict   users\n  accepted      3"
        );
        let html = report.html();
        assert!(
            html.contains("<h1>A &lt;corpus&gt;</h1>")
                && html.contains("column <code>a&lt;b</code>")
                && !html.contains('`')
                && html.contains("<td>accepted</td><td>3</td>"),
            "{html}"
        );
    }
}
