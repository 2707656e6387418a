//! Whether a network can be held: what was read from a file may ask for any size.

use scaletot_core::config::ConfigError;

use super::fold::table_rows;
use super::{BLOCK, LANES, PARTS_OF_VALUE};
use crate::error::Result;
use crate::shape::NetworkShape;

/// Bytes that an encoder may take: 1 GiB. Counted are the weights' file with the tensors that are read from it, folded tables, dense layers,
/// a value head's tables, counts and distances of values, and the memory of a pass.
pub(crate) const MAX_BYTES: u64 = 1 << 30;

/// Whether an encoder stays within [`MAX_BYTES`]. `numeric`: which fields are numbers in bins; `units`: hidden units of a value head, if there
/// is one.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) where it does not: with its largest part.
pub(crate) fn affordable(shape: &NetworkShape, numeric: &[bool], units: Option<usize>) -> Result<()> {
    let parts = parts(shape, numeric, units);
    let all: f64 = parts.iter().map(|(_, bytes)| bytes).sum();
    if all <= MAX_BYTES as f64 {
        return Ok(());
    }
    let largest = parts.into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b));
    let (what, bytes) = largest.map_or_else(Default::default, |(what, bytes)| (what, mebibytes(bytes)));
    let expected = format!(
        "an encoder that takes at most {} of memory: fewer values of a field, or narrower layers",
        mebibytes(MAX_BYTES as f64)
    );
    let found = format!("{}, of which {bytes} are {what}", mebibytes(all));
    Err(ConfigError::new("hidden", expected, found).into())
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.0} MiB", bytes / f64::from(1 << 20))
}

/// Bytes by what they are for. In floating point, where nothing overflows.
fn parts(shape: &NetworkShape, numeric: &[bool], units: Option<usize>) -> Vec<(String, f64)> {
    let padded = |width: usize| (width.max(1) as f64 / LANES as f64).ceil() * LANES as f64;
    let product = |inputs: usize, outputs: usize| padded(inputs) * padded(outputs);
    let heads = PARTS_OF_VALUE + shape.served().iter().sum::<usize>();
    let tensors: f64 =
        shape.tensors().iter().map(|(_, dims)| dims.iter().map(|&n| n as f64).product::<f64>()).sum();
    // What is looked up, and the layers after that.
    let mut widths = vec![];
    let (first, crossed) = match shape.cross_layers {
        0 => (shape.hidden.first().copied().unwrap_or(heads), 0.0),
        _ => (shape.embedded(), padded(shape.embedded())),
    };
    widths.push(first);
    widths.extend(shape.hidden.iter().skip(usize::from(shape.cross_layers == 0)));
    if shape.cross_layers > 0 || !shape.hidden.is_empty() {
        widths.push(heads);
    }
    let dense: f64 = widths.windows(2).map(|pair| product(pair[0], pair[1])).sum();
    let crosses = shape.cross_layers.saturating_sub(1) as f64 * product(first, first);
    let rows = || shape.widths.iter().zip(numeric);
    let table: f64 = rows().map(|(&rows, &numeric)| table_rows(rows, numeric) as f64).sum();
    let codes: f64 = shape.widths.iter().map(|&rows| rows as f64).sum();
    let widest = widths.iter().map(|&width| padded(width)).fold(2.0 * crossed, f64::max);
    let lanes = units.map_or(0.0, |units| if units == 0 { 1.0 } else { padded(units + 1) });
    let of = |what: &str, bytes: f64| (what.to_owned(), bytes);
    vec![
        // The file, and what is read from it.
        of("weights", 8.0 * tensors),
        of(
            &format!("lookup tables of {table} rows by {} columns", padded(first) + crossed),
            4.0 * table * (padded(first) + crossed),
        ),
        of("dense layers", 4.0 * (dense + crosses)),
        // As numbers of 64 bits in the description, and of 32 bits as they are looked up.
        of(
            "a value head's tables",
            codes * (8.0 * units.map_or(0.0, |units| units as f64 + 1.0) + 4.0 * lanes),
        ),
        // A name and a place in its domain, a count, a surprise and its variance.
        of("values of fields, with their counts", 96.0 * codes),
        of(
            "activations of a block of users",
            4.0 * BLOCK as f64 * (2.0 * widest + 2.0 * crossed + heads as f64),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Heads, tiny};

    #[test]
    fn every_part_of_an_encoder_counts() {
        let fine = NetworkShape { cross_layers: 0, ..tiny(Heads::new(true, vec![2, 3], 4)) };
        let numeric = [false, true, false];
        affordable(&fine, &numeric, Some(15)).unwrap();
        let refused = |shape: NetworkShape, units: Option<usize>| {
            affordable(&shape, &numeric, units).unwrap_err().to_string()
        };
        let widths = |codes: usize| NetworkShape { widths: vec![codes, 4, 5], ..fine.clone() };
        // A million codes are fine, but not times a wide layer, nor with many hidden units.
        affordable(&widths(1_000_000), &numeric, Some(0)).unwrap();
        assert!(
            refused(NetworkShape { hidden: vec![600], ..widths(1_000_000) }, None).contains("lookup tables")
        );
        assert!(refused(widths(1_000_000), Some(200)).contains("value head's tables"));
        assert!(refused(widths(1 << 24), None).contains("values of fields"));
        assert!(
            refused(NetworkShape { hidden: vec![1 << 20], ..fine.clone() }, None).contains("activations")
        );
        assert!(
            refused(NetworkShape { hidden: vec![1 << 14, 1 << 14], ..fine.clone() }, None)
                .contains("weights")
        );
        assert!(
            refused(NetworkShape { hidden: vec![1 << 20; 16], ..fine.clone() }, None).contains("weights")
        );
        let crossed = NetworkShape { embed_dim: usize::MAX >> 8, cross_layers: 16, ..fine.clone() };
        assert!(refused(crossed, None).contains("MiB"));
        assert!(refused(NetworkShape { rep_dim: 1 << 28, ..fine.clone() }, None).contains("activations"));
    }
}
