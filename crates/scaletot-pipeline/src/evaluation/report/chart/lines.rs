//! Line charts, with intervals as bands or bars.

use crate::error::Result;
use maud::Markup;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::super::theme::{MUTED, Style};
use super::{Canvas, Frame, LETTER, Margins, Plot, Scale, UNIT, clip, marker, plot, svg, width_of, write};

/// Least distance of two labels of lines, in units.
const LABEL_GAP: i32 = 17;
/// Widest margin for labels of lines, in units.
const LABEL_MARGIN: i32 = 110;

/// A line.
#[derive(Debug, Clone)]
pub(in super::super) struct Line {
    pub(in super::super) name: String,
    pub(in super::super) style: Style,
    /// Ascending in x.
    pub(in super::super) points: Vec<(f64, f64)>,
    /// (x, low, high).
    pub(in super::super) intervals: Vec<(f64, f64, f64)>,
    /// Intervals as a band rather than as bars.
    pub(in super::super) band: bool,
    /// Whether every point has a marker; a line of many points has a few, to be told from the others.
    pub(in super::super) marked: bool,
    /// Whether it is one of those that the chart is about.
    pub(in super::super) strong: bool,
}

/// Where the names of lines stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Legend {
    /// At the ends of the lines.
    Ends,
    /// In the lower right corner, where a curve above the diagonal leaves room.
    Corner,
    /// Nowhere: there is one line, and the title says which.
    None,
}

/// A chart of lines.
#[derive(Debug, Clone)]
pub(in super::super) struct Lines {
    pub(in super::super) frame: Frame,
    /// Width and height.
    pub(in super::super) size: (u32, u32),
    pub(in super::super) x: Scale,
    pub(in super::super) y: Scale,
    pub(in super::super) lines: Vec<Line>,
    /// Dashed, without a name.
    pub(in super::super) reference: Option<[(f64, f64); 2]>,
    pub(in super::super) legend: Legend,
}

impl Lines {
    /// The chart.
    pub(in super::super) fn draw(&self) -> Result<Markup> {
        svg(&self.frame, self.size, |canvas| self.draw_on(canvas))
    }

    fn draw_on(&self, canvas: &Canvas<'_>) -> Result<()> {
        let names = self.lines.iter().map(|line| width_of(&line.name)).max().unwrap_or(0);
        let right = if self.legend == Legend::Ends { (names + 18).clamp(24, LABEL_MARGIN) } else { 24 };
        let left = (self.y.widest() as f64 * LETTER) as i32 + 12;
        let bottom = if self.x.title.is_empty() { 24 } else { 42 };
        let plot = plot(canvas, (&self.x, &self.y), Margins { top: 12, right, bottom, left }, true)?;
        if let Some(ends) = self.reference {
            let dashes = DashedPathElement::new(
                ends,
                5 * UNIT,
                4 * UNIT,
                MUTED.colour().stroke_width(UNIT as u32 * 5 / 4),
            );
            plot.plotting_area().draw(&dashes)?;
        }
        let drawn = || {
            self.lines.iter().filter(|line| !line.strong).chain(self.lines.iter().filter(|line| line.strong))
        };
        for line in drawn() {
            draw_intervals(canvas, &plot, line)?;
        }
        for (rank, line) in drawn().enumerate() {
            let width = if line.strong { 9 } else { 6 } * UNIT as u32 / 4;
            plot.plotting_area()
                .draw(&PathElement::new(line.points.clone(), line.style.ink.colour().stroke_width(width)))?;
            for point in marked(line, rank) {
                marker(canvas, plot.backend_coord(point), line.style)?;
            }
        }
        match self.legend {
            Legend::Ends => self.name_ends(canvas, &plot, right),
            Legend::Corner => self.name_in_corner(canvas, &plot),
            Legend::None => Ok(()),
        }
    }

    /// Names at the right margin, moved apart where lines end close to one another.
    fn name_ends(&self, canvas: &Canvas<'_>, plot: &Plot<'_, '_>, margin: i32) -> Result<()> {
        let edge = plot.backend_coord(&(self.x.high, self.y.low));
        let top = plot.backend_coord(&(self.x.high, self.y.high)).1;
        let mut ends: Vec<(&Line, (i32, i32))> = self
            .lines
            .iter()
            .filter_map(|line| line.points.last().map(|point| (line, plot.backend_coord(point))))
            .collect();
        ends.sort_by_key(|(_, at)| at.1);
        let wanted: Vec<i32> = ends.iter().map(|(_, at)| at.1).collect();
        let rows = apart(&wanted, LABEL_GAP * UNIT, (top, edge.1));
        for ((line, at), y) in ends.into_iter().zip(rows) {
            let x = edge.0 + 10 * UNIT;
            let thread = line.style.ink.colour().mix(0.6).stroke_width(UNIT as u32);
            canvas.draw(&PathElement::new([at, (edge.0, at.1), (x - 2 * UNIT, y)], thread))?;
            write(canvas, &clip(&line.name, margin - 10), (x, y), HPos::Left, line.strong)?;
        }
        Ok(())
    }

    fn name_in_corner(&self, canvas: &Canvas<'_>, plot: &Plot<'_, '_>) -> Result<()> {
        let (right, bottom) = plot.backend_coord(&(self.x.high, self.y.low));
        let widest = self.lines.iter().map(|line| width_of(&line.name)).max().unwrap_or(0).min(LABEL_MARGIN);
        let x = right - (widest + 8) * UNIT;
        for (at, line) in self.lines.iter().rev().enumerate() {
            let y = bottom - (14 + at as i32 * LABEL_GAP) * UNIT;
            let style = line.style.ink.colour().stroke_width(2 * UNIT as u32);
            canvas.draw(&PathElement::new([(x - 26 * UNIT, y), (x - 6 * UNIT, y)], style))?;
            marker(canvas, (x - 16 * UNIT, y), line.style)?;
            write(canvas, &clip(&line.name, LABEL_MARGIN), (x, y), HPos::Left, line.strong)?;
        }
        Ok(())
    }
}

/// Points that get a marker; those of lines that nearly coincide do not fall on one another.
fn marked(line: &Line, rank: usize) -> impl Iterator<Item = &(f64, f64)> {
    let step = if line.marked { 1 } else { line.points.len().div_ceil(5).max(1) };
    let first = if line.marked { 0 } else { 1 + (rank * 2 + 1) % step };
    line.points.iter().skip(first).step_by(step)
}

fn draw_intervals(canvas: &Canvas<'_>, plot: &Plot<'_, '_>, line: &Line) -> Result<()> {
    let colour = line.style.ink.colour();
    if line.band && line.intervals.len() > 1 {
        let upper = line.intervals.iter().map(|&(x, _, high)| (x, high));
        let lower = line.intervals.iter().rev().map(|&(x, low, _)| (x, low));
        let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
        plot.plotting_area().draw(&Polygon::new(outline, colour.mix(0.16).filled()))?;
        return Ok(());
    }
    for &(x, low, high) in &line.intervals {
        let (low, high) = (plot.backend_coord(&(x, low)), plot.backend_coord(&(x, high)));
        let style = colour.stroke_width(2 * UNIT as u32);
        canvas.draw(&PathElement::new([low, high], style))?;
        for (x, y) in [low, high] {
            canvas.draw(&PathElement::new([(x - 4 * UNIT, y), (x + 4 * UNIT, y)], style))?;
        }
    }
    Ok(())
}

/// Moves ascending positions at least `gap` apart, as little as that needs, and into the range if there is room.
fn apart(wanted: &[i32], gap: i32, (low, high): (i32, i32)) -> Vec<i32> {
    let mut rows: Vec<i32> = Vec::with_capacity(wanted.len());
    for &want in wanted {
        let least = rows.last().map_or(low, |last| last + gap);
        rows.push(want.max(least));
    }
    let mut most = high;
    for row in rows.iter_mut().rev() {
        *row = (*row).min(most);
        most = *row - gap;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::apart;

    #[test]
    fn labels_keep_their_distance_and_their_order() {
        assert_eq!(apart(&[10, 11, 12], 5, (0, 100)), [10, 15, 20]);
        assert_eq!(apart(&[90, 95, 99], 10, (0, 100)), [80, 90, 100]);
        assert_eq!(apart(&[10, 50], 5, (0, 100)), [10, 50]);
        assert_eq!(apart(&[], 5, (0, 100)), Vec::<i32>::new());
    }
}
