//! Colours and markers, the same for an arm wherever it is drawn.
//!
//! The series colours are those of Okabe and Ito, told apart with the common forms of colour blindness; every arm has a
//! marker of its own shape besides. A chart is drawn in the light colours; the style sheet exchanges each for its dark
//! counterpart where the reader's system asks for that.

use std::fmt::Write;

use plotters::style::RGBColor;

/// A colour on a light and on a dark ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ink {
    light: RGBColor,
    dark: RGBColor,
}

impl Ink {
    const fn new(light: (u8, u8, u8), dark: (u8, u8, u8)) -> Self {
        Self { light: RGBColor(light.0, light.1, light.2), dark: RGBColor(dark.0, dark.1, dark.2) }
    }

    /// The colour to draw with.
    pub(super) fn colour(self) -> RGBColor {
        self.light
    }
}

/// Text.
pub(super) const TEXT: Ink = Ink::new((28, 32, 36), (230, 232, 234));
/// Axes, tick labels, reference lines.
pub(super) const MUTED: Ink = Ink::new((86, 96, 106), (163, 172, 182));
/// Grid lines.
pub(super) const GRID: Ink = Ink::new((228, 231, 235), (48, 54, 61));

const SERIES: [Ink; 8] = [
    Ink::new((0, 114, 178), (86, 170, 235)),
    Ink::new((213, 94, 0), (250, 140, 60)),
    Ink::new((0, 158, 115), (45, 200, 150)),
    Ink::new((204, 121, 167), (230, 155, 200)),
    Ink::new((230, 159, 0), (240, 185, 60)),
    Ink::new((90, 90, 96), (190, 190, 196)),
    Ink::new((86, 180, 233), (150, 215, 255)),
    Ink::new((120, 80, 40), (200, 160, 120)),
];

/// Shape of a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Square,
    Up,
    Diamond,
    Down,
    Cross,
    Ring,
    Frame,
}

const SHAPES: [Shape; 8] = [
    Shape::Circle,
    Shape::Square,
    Shape::Up,
    Shape::Diamond,
    Shape::Down,
    Shape::Cross,
    Shape::Ring,
    Shape::Frame,
];

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) ink: Ink,
    pub(super) shape: Shape,
}

impl Style {
    /// The style of this rank. Past the eighth, colours come again with other shapes, but for those of the first two.
    pub(super) fn of_rank(rank: usize) -> Self {
        let beyond = rank.saturating_sub(SERIES.len());
        let again = if rank < SERIES.len() { rank } else { 2 + beyond % (SERIES.len() - 2) };
        Self { ink: SERIES[again], shape: SHAPES[rank % SHAPES.len()] }
    }

    /// A ring in the colour of the axes, for what stands behind another mark.
    pub(super) fn muted() -> Self {
        Self { ink: MUTED, shape: Shape::Ring }
    }
}

/// Rules that exchange the colours of charts for the dark ones.
pub(super) fn dark_rules() -> String {
    let mut css = String::new();
    for ink in [TEXT, MUTED, GRID].into_iter().chain(SERIES) {
        let (light, dark) = (hex(ink.light), hex(ink.dark));
        for attribute in ["fill", "stroke"] {
            // Writing into a string does not fail.
            let _ = write!(css, ".chart [{attribute}=\"{light}\"]{{{attribute}:{dark}}}");
        }
    }
    css
}

/// As the backend writes it, since the rules match its attributes.
fn hex(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_styles_differ() {
        let styles: Vec<Style> = (0..16).map(Style::of_rank).collect();
        for (at, style) in styles.iter().enumerate() {
            assert!(!styles[..at].contains(style), "style {at} comes twice");
        }
    }

    #[test]
    fn light_colours_are_distinct_so_that_rules_do_not_clash() {
        let all: Vec<Ink> = [TEXT, MUTED, GRID].into_iter().chain(SERIES).collect();
        for (at, ink) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|other| other.light != ink.light));
        }
    }
}
