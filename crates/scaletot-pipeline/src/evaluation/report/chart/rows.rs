//! Charts with one named row per thing: dots with intervals, pairs of dots, bars.

use crate::error::Result;
use maud::Markup;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::super::theme::{MUTED, Style};
use super::{Canvas, Frame, Margins, Scale, UNIT, WIDTH, clip, marker, plot, svg, width_of, write};

/// Height of a row, in units.
const ROW: i32 = 28;
/// Widest margin for names, in units.
const NAMES: i32 = 140;

/// A mark on a row.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Mark {
    pub(in super::super) value: f64,
    /// Ends of its interval.
    pub(in super::super) interval: Option<(f64, f64)>,
    pub(in super::super) style: Style,
}

/// A row.
#[derive(Debug, Clone)]
pub(in super::super) struct Row {
    pub(in super::super) name: String,
    /// The value in words, at the right end.
    pub(in super::super) text: String,
    /// Later ones over earlier ones.
    pub(in super::super) marks: Vec<Mark>,
    /// Whether it is one of those that the chart is about.
    pub(in super::super) strong: bool,
}

/// A chart of rows.
#[derive(Debug, Clone)]
pub(in super::super) struct Rows {
    pub(in super::super) frame: Frame,
    pub(in super::super) x: Scale,
    pub(in super::super) rows: Vec<Row>,
    /// A bar from the left end to the last mark, in place of marks.
    pub(in super::super) bars: bool,
    /// A dashed line over all rows, with its name.
    pub(in super::super) reference: Option<(f64, String)>,
}

impl Rows {
    /// The chart.
    pub(in super::super) fn draw(&self) -> Result<Markup> {
        let height = self.margins().top + self.margins().bottom + ROW * self.rows.len().max(1) as i32;
        svg(&self.frame, (WIDTH, height.unsigned_abs()), |canvas| self.draw_on(canvas))
    }

    fn margins(&self) -> Margins {
        let names = self.rows.iter().map(|row| width_of(&row.name)).max().unwrap_or(0);
        let texts = self.rows.iter().map(|row| width_of(&row.text)).max().unwrap_or(0);
        let top = if self.reference.is_some() { 26 } else { 8 };
        Margins { top, right: texts + 14, bottom: 42, left: names.min(NAMES) + 12 }
    }

    fn draw_on(&self, canvas: &Canvas<'_>) -> Result<()> {
        let count = self.rows.len().max(1) as f64;
        let y = Scale::new(0.0, count, Vec::new(), "");
        let margins = self.margins();
        let plot = plot(canvas, (&self.x, &y), margins, false)?;
        if let Some((value, name)) = &self.reference {
            let ends = [(*value, 0.0), (*value, count)];
            let style = MUTED.colour().stroke_width(UNIT as u32 * 3 / 2);
            plot.plotting_area().draw(&DashedPathElement::new(ends, 5 * UNIT, 4 * UNIT, style))?;
            let (x, top) = plot.backend_coord(&(*value, count));
            let half = width_of(name) * UNIT / 2;
            let x = x.clamp(half, (WIDTH as i32 * UNIT - half).max(half));
            write(canvas, name, (x, top - 12 * UNIT), HPos::Center, false)?;
        }
        for (at, row) in self.rows.iter().enumerate() {
            let middle = count - at as f64 - 0.5;
            let place = |value: f64| plot.backend_coord(&(value, middle));
            let (left, y) = place(self.x.low);
            let (right, _) = place(self.x.high);
            let name = clip(&row.name, margins.left - 8);
            write(canvas, &name, (left - 10 * UNIT, y), HPos::Right, row.strong)?;
            write(canvas, &row.text, (right + (margins.right - 4) * UNIT, y), HPos::Right, row.strong)?;
            if self.bars {
                if let Some(mark) = row.marks.last() {
                    let half = 8 * UNIT;
                    let bar = [(left + UNIT, y - half), (place(mark.value).0, y + half)];
                    canvas.draw(&Rectangle::new(bar, mark.style.ink.colour().filled()))?;
                }
                continue;
            }
            if let [first, .., last] = row.marks.as_slice() {
                let style = MUTED.colour().stroke_width(2 * UNIT as u32);
                canvas.draw(&PathElement::new([place(first.value), place(last.value)], style))?;
            }
            for mark in &row.marks {
                draw_mark(canvas, mark, place)?;
            }
        }
        Ok(())
    }
}

fn draw_mark(canvas: &Canvas<'_>, mark: &Mark, place: impl Fn(f64) -> (i32, i32)) -> Result<()> {
    if let Some((low, high)) = mark.interval {
        let style = mark.style.ink.colour().stroke_width(2 * UNIT as u32);
        let ends = [place(low), place(high)];
        canvas.draw(&PathElement::new(ends, style))?;
        for (x, y) in ends {
            canvas.draw(&PathElement::new([(x, y - 4 * UNIT), (x, y + 4 * UNIT)], style))?;
        }
    }
    marker(canvas, place(mark.value), mark.style)
}
