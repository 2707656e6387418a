//! The scales of a plan in small integers.

use ndarray::Array1;

use super::fold::Fold;

/// Steps of an activation.
pub(super) const STEPS: f64 = 127.0;
/// Parts of a step that tables are stored in, as a power of 2.
pub(super) const PARTS: u32 = 6;

/// What a table's unit and an activation's step of each unit of the first layer are worth.
pub(super) struct Scales {
    pub(super) units: Vec<f64>,
}

impl Scales {
    pub(super) fn new(fold: &Fold<'_>, bias: &Array1<f32>) -> Self {
        // The largest sum, and the largest in size on the way to any.
        let mut most: Vec<f64> = bias.iter().map(|bias| f64::from(*bias)).collect();
        let mut reach: Vec<f64> = most.iter().map(|bias| bias.abs()).collect();
        fold.each(
            |_, _| {},
            |extent, _| {
                for (at, (most, reach)) in most.iter_mut().zip(&mut reach).enumerate() {
                    *most += extent.high[at];
                    *reach += extent.size[at];
                    *reach += extent.ends[at];
                }
            },
        );
        let room = f64::from(i16::MAX) - f64::from(1 << PARTS) - 2.0 * fold.widths.len() as f64;
        // Never 0: a unit that no profile can raise above 0 has any scale.
        let unit = |(most, reach): (f64, f64)| {
            f64::max(most / STEPS / f64::from(1 << PARTS), reach / room).max(1e-30)
        };
        let units = most.into_iter().zip(reach).map(unit);
        Self { units: units.collect() }
    }

    pub(super) fn step(&self, unit: usize) -> f64 {
        self.units.get(unit).map_or(0.0, |unit| unit * f64::from(1 << PARTS))
    }
}
