//! The scales of a plan in small integers.

use ndarray::{Array1, Array2};

/// Steps of an activation.
pub(super) const STEPS: f64 = 127.0;
/// Parts of a step that tables are stored in, as a power of 2.
pub(super) const PARTS: u32 = 6;

/// What a table's unit and an activation's step of each unit of the first layer are worth.
pub(super) struct Scales {
    pub(super) units: Vec<f64>,
}

impl Scales {
    pub(super) fn new(tables: &[Array2<f64>], numeric: &[bool], bias: &Array1<f32>) -> Self {
        let units = bias.iter().enumerate().map(|(unit, bias)| {
            // The largest sum, and the largest in size on the way to any.
            let (mut most, mut reach) = (f64::from(*bias), f64::from(*bias).abs());
            for (table, &numeric) in tables.iter().zip(numeric) {
                let column = table.column(unit);
                let ends: Vec<f64> = if numeric {
                    column
                        .iter()
                        .step_by(2)
                        .zip(column.iter().skip(1).step_by(2))
                        .flat_map(|(a, b)| [*a, a + b])
                        .collect()
                } else {
                    // An empty set adds nothing.
                    column.iter().copied().chain([0.0]).collect()
                };
                most += ends.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                reach += column.iter().fold(0.0, |reach, value| f64::max(reach, value.abs()));
                reach += if numeric {
                    ends.iter().fold(0.0, |reach, value| f64::max(reach, value.abs()))
                } else {
                    0.0
                };
            }
            let room = f64::from(i16::MAX) - f64::from(1 << PARTS) - 2.0 * tables.len() as f64;
            // Never 0: a unit that no profile can raise above 0 has any scale.
            f64::max(most / STEPS / f64::from(1 << PARTS), reach / room).max(1e-30)
        });
        Self { units: units.collect() }
    }

    pub(super) fn step(&self, unit: usize) -> f64 {
        self.units.get(unit).map_or(0.0, |unit| unit * f64::from(1 << PARTS))
    }
}
