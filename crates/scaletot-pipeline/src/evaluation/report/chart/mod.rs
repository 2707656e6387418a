//! Charts as inline SVG, drawn by `plotters`.
//!
//! A chart is narrow, about the width of a phone, so that its text stays legible there; wide screens show several side by
//! side. It is drawn on a grid of a quarter of its unit, because the backend rounds to whole pixels.

mod lines;
mod rows;
mod scale;

use crate::error::Result;
use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub(super) use lines::{Legend, Line, Lines};
pub(super) use rows::{Mark, Row, Rows};
pub(super) use scale::{Scale, spread};

use super::theme::{GRID, MUTED, Shape, Style, TEXT};

/// Width of a chart in its own units.
pub(super) const WIDTH: u32 = 380;
/// Steps of the backend's grid per unit.
const UNIT: i32 = 4;
/// Font size.
const FONT: f64 = 13.0;
/// Width of a letter, about.
const LETTER: f64 = 7.6;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Scale, Scale>>;

/// What every chart has.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// Key of the chart, unique on the page.
    pub(super) id: String,
    /// What is drawn.
    pub(super) title: String,
    /// The same for who cannot see it, with the main figures.
    pub(super) description: String,
}

/// Room around the plotting area.
#[derive(Debug, Clone, Copy)]
struct Margins {
    top: i32,
    right: i32,
    bottom: i32,
    left: i32,
}

/// Draws on an empty canvas and wraps what comes out so that it scales and can be read aloud.
fn svg(
    frame: &Frame,
    (width, height): (u32, u32),
    draw: impl FnOnce(&Canvas<'_>) -> Result<()>,
) -> Result<Markup> {
    let size = (width * UNIT as u32, height * UNIT as u32);
    let mut buffer = String::new();
    {
        let canvas = SVGBackend::with_string(&mut buffer, size).into_drawing_area();
        draw(&canvas)?;
        canvas.present()?;
    }
    // The outer element is replaced: in HTML it needs no name space, and a fixed size would not fit a phone.
    let start = buffer.find('>').map_or(0, |at| at + 1);
    let end = buffer.rfind("</svg>").unwrap_or(buffer.len());
    let drawing = buffer.get(start..end).unwrap_or_default();
    let (title, description) = (format!("{}-title", frame.id), format!("{}-description", frame.id));
    let view_box = format!("0 0 {} {}", size.0, size.1);
    Ok(html! {
        svg viewBox=(view_box) role="img" aria-labelledby=(format!("{title} {description}")) {
            title id=(title) { (frame.title) }
            desc id=(description) { (frame.description) }
            (PreEscaped(drawing))
        }
    })
}

/// Axes, grid and tick labels.
fn plot<'a, 'b>(
    canvas: &'a Canvas<'b>,
    (x, y): (&Scale, &Scale),
    margins: Margins,
    horizontal_grid: bool,
) -> Result<Plot<'a, 'b>> {
    let width =
        f64::from(canvas.dim_in_pixel().0) / f64::from(UNIT) - f64::from(margins.left + margins.right);
    let mut plot = ChartBuilder::on(canvas)
        .margin_top(margins.top * UNIT)
        .margin_right(margins.right * UNIT)
        .margin_bottom(2 * UNIT)
        .x_label_area_size(margins.bottom * UNIT)
        .y_label_area_size(margins.left * UNIT)
        .build_cartesian_2d(x.clone().fitted(width, LETTER), y.clone())?;
    let mut mesh = plot.configure_mesh();
    if horizontal_grid {
        mesh.disable_x_mesh();
    } else {
        mesh.disable_y_mesh();
    }
    mesh.bold_line_style(GRID.colour().stroke_width(UNIT as u32))
        .axis_style(MUTED.colour().stroke_width(UNIT as u32))
        .label_style(text(FONT, MUTED.colour()))
        .axis_desc_style(text(FONT, MUTED.colour()))
        .set_all_tick_mark_size(3 * UNIT)
        .x_desc(x.title.clone())
        .draw()?;
    Ok(plot)
}

/// A text style; the backend takes sizes of another measure.
fn text(size: f64, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size * f64::from(UNIT) * 1.24).into_font().color(&colour)
}

/// Writes at a point, given in steps of the grid.
fn write(canvas: &Canvas<'_>, words: &str, at: (i32, i32), side: HPos, strong: bool) -> Result<()> {
    let colour = if strong { TEXT } else { MUTED };
    canvas.draw(&Text::new(words, at, text(FONT, colour.colour()).pos(Pos::new(side, VPos::Center))))?;
    Ok(())
}

/// The width of a text, about, in units.
fn width_of(words: &str) -> i32 {
    (words.chars().count() as f64 * LETTER).ceil() as i32
}

/// Cuts a text that is too long for its place.
fn clip(words: &str, width: i32) -> String {
    let letters = (f64::from(width) / LETTER) as usize;
    if words.chars().count() <= letters {
        return words.to_owned();
    }
    let head: String = words.chars().take(letters.saturating_sub(1)).collect();
    format!("{head}…")
}

/// Draws a marker around a point, given in steps of the grid.
fn marker(canvas: &Canvas<'_>, (x, y): (i32, i32), style: Style) -> Result<()> {
    const RADIUS: i32 = 4 * UNIT + 2;
    let colour = style.ink.colour();
    let filled = colour.filled();
    let stroked = colour.stroke_width(2 * UNIT as u32);
    let (r, s, wide) = (RADIUS, RADIUS * 7 / 8, RADIUS * 5 / 4);
    match style.shape {
        Shape::Circle => canvas.draw(&Circle::new((x, y), r, filled))?,
        Shape::Ring => canvas.draw(&Circle::new((x, y), r - UNIT, stroked))?,
        Shape::Square => canvas.draw(&Rectangle::new([(x - s, y - s), (x + s, y + s)], filled))?,
        Shape::Up => {
            canvas.draw(&Polygon::new([(x, y - wide), (x + wide, y + r), (x - wide, y + r)], filled))?;
        }
        Shape::Down => {
            canvas.draw(&Polygon::new([(x, y + wide), (x + wide, y - r), (x - wide, y - r)], filled))?;
        }
        Shape::Diamond => {
            canvas
                .draw(&Polygon::new([(x, y - wide), (x + wide, y), (x, y + wide), (x - wide, y)], filled))?;
        }
        Shape::Cross => {
            canvas.draw(&PathElement::new([(x - s, y - s), (x + s, y + s)], stroked))?;
            canvas.draw(&PathElement::new([(x - s, y + s), (x + s, y - s)], stroked))?;
        }
        Shape::Frame => {
            let corners = [(x - s, y - s), (x + s, y - s), (x + s, y + s), (x - s, y + s), (x - s, y - s)];
            canvas.draw(&PathElement::new(corners, stroked))?;
        }
    }
    Ok(())
}
