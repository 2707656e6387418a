//! User segments from a column of whatever kind.

use std::collections::BTreeSet;

use scaletot_profile::{Result, Segments};

/// Numeric segment columns with more distinct values than this are cut into tertiles; others are taken as labels.
const MAX_LABELS: usize = 12;

/// The segments of a column that was read as texts: tertiles of a number with many distinct values, else one segment per label.
///
/// # Errors
/// If the quantiles cannot be taken, which no column is known to bring about.
pub fn segments(labels: &[Option<String>]) -> Result<Segments> {
    let numbers: Option<Vec<Option<f64>>> = labels
        .iter()
        .map(|label| match label {
            None => Some(None),
            Some(text) => text.trim().parse::<f64>().ok().map(Some),
        })
        .collect();
    let distinct: BTreeSet<&String> = labels.iter().flatten().collect();
    match numbers {
        Some(numbers) if distinct.len() > MAX_LABELS => Segments::from_quantiles(&numbers, 3),
        _ => Ok(Segments::from_labels(labels)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_many_values_is_cut_and_labels_are_kept() {
        let activity: Vec<Option<String>> = (0..90).map(|i| Some(format!("{i}.5"))).collect();
        assert_eq!(segments(&activity).unwrap().len(), 3);
        let tiers: Vec<Option<String>> = (0..90).map(|i| Some(["a", "b"][i % 2].to_owned())).collect();
        assert_eq!(segments(&tiers).unwrap().names(), ["a", "b"]);
    }
}
