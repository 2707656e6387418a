//! Marks for missing values.

use std::collections::BTreeMap;

/// Texts that mean "missing" in whatever column they stand, in lower case.
const MARKS: [&str; 22] = [
    "na",
    "n/a",
    "n.a.",
    "#n/a",
    "nan",
    "null",
    "nil",
    "-",
    "--",
    ".",
    "?",
    "unknown",
    "missing",
    "not available",
    "not known",
    "unspecified",
    "not specified",
    "undefined",
    "(blank)",
    "blank",
    "none/unknown",
    "not provided",
];
/// Texts that may be a value of their own beside words, and mean "missing" beside numbers.
const MARKS_OF_NUMBERS: [&str; 6] = ["none", "inf", "-inf", "infinity", "+inf", "no answer"];
/// Numbers that mean "missing" where they lie apart from all others.
const SENTINELS: [f64; 6] = [-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0];
const LARGE_SENTINELS: [f64; 4] = [999.0, 9_999.0, 99_999.0, 999_999.0];
/// A negative number of at most this that is alone among numbers of at least 0 is no measurement.
const FAR_BELOW: f64 = -9.0;
/// By how much a large sentinel lies above every other number.
const APART: f64 = 3.0;

/// The marks for missing among a column's distinct values, as they are written there.
pub(super) fn marks(counts: &BTreeMap<&str, usize>) -> Vec<String> {
    let lower = |value: &str| value.to_lowercase();
    let mut marks: Vec<String> = counts
        .keys()
        .filter(|value| MARKS.contains(&lower(value).as_str()))
        .map(ToString::to_string)
        .collect();
    let rest = || counts.keys().filter(|value| !marks.iter().any(|mark| mark == *value));
    let of_numbers = |value: &&&str| MARKS_OF_NUMBERS.contains(&lower(value).as_str());
    let others: Vec<&&str> = rest().filter(|value| !of_numbers(value)).collect();
    let numbers: Option<Vec<(f64, &str)>> = others
        .iter()
        .map(|value| {
            value.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| (number, **value))
        })
        .collect();
    let Some(numbers) = numbers.filter(|numbers| !numbers.is_empty()) else { return marks };
    let beside: Vec<String> = rest().filter(of_numbers).map(ToString::to_string).collect();
    marks.extend(beside);
    marks.extend(sentinels(&numbers, counts));
    marks
}

/// Numbers that stand for "missing": a negative one where all others are at least 0, and a row of nines far above all others.
fn sentinels(numbers: &[(f64, &str)], counts: &BTreeMap<&str, usize>) -> Vec<String> {
    let mut found = Vec::new();
    let others = |is: &dyn Fn(f64) -> bool| -> Vec<f64> {
        numbers.iter().map(|(number, _)| *number).filter(|&number| !is(number)).collect()
    };
    let negative = |number: f64| SENTINELS.contains(&number);
    let rest = others(&negative);
    if rest.len() > 1 && rest.iter().all(|&number| number >= 0.0) {
        found.extend(
            numbers.iter().filter(|(number, _)| negative(*number)).map(|(_, text)| (*text).to_owned()),
        );
    }
    // The one negative number, and far below: -124 beside 0 and 1.
    let below: Vec<&(f64, &str)> = numbers.iter().filter(|(number, _)| *number < 0.0).collect();
    if let [(number, text)] = below.as_slice()
        && *number <= FAR_BELOW
        && numbers.len() > 2
        && counts.get(text).is_some_and(|&count| count > 1)
        && !found.iter().any(|mark| mark == text)
    {
        found.push((*text).to_owned());
    }
    let large = |number: f64| LARGE_SENTINELS.contains(&number);
    let rest = others(&large);
    let top = rest.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let apart = |number: f64| rest.len() > 1 && number > APART * top.max(1.0);
    // One such number may be an honest extreme.
    let again = |text: &str| counts.get(text).is_some_and(|&count| count > 1);
    found.extend(
        numbers
            .iter()
            .filter(|(number, text)| large(*number) && apart(*number) && again(text))
            .map(|(_, text)| (*text).to_owned()),
    );
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(values: &[&str]) -> Vec<String> {
        let mut counts = BTreeMap::new();
        values.iter().for_each(|value| *counts.entry(*value).or_insert(0) += 1);
        marks(&counts)
    }

    #[test]
    fn texts_that_mean_missing_are_found_as_they_are_written() {
        assert_eq!(found(&["NA", "web", "Unknown", "n/a"]), ["NA", "Unknown", "n/a"]);
        assert_eq!(found(&["none", "basic"]), [""; 0], "beside words it is a value");
        assert_eq!(found(&["none", "12", "13"]), ["none"]);
    }

    #[test]
    fn numbers_that_mean_missing_lie_apart() {
        assert_eq!(found(&["-999", "12", "0", "40"]), ["-999"]);
        assert_eq!(found(&["-1", "-5", "3"]), [""; 0], "where others are negative, so may this one be");
        assert_eq!(found(&["9999", "9999", "31", "62"]), ["9999"]);
        assert_eq!(found(&["9999", "31", "62"]), [""; 0], "once is not a mark");
        assert_eq!(found(&["9999", "9999", "8000", "62"]), [""; 0]);
        assert_eq!(found(&["-124", "-124", "0", "1"]), ["-124"]);
        assert_eq!(found(&["-124", "0", "1"]), [""; 0], "once is not a mark");
        assert_eq!(found(&["-999", "-999"]), [""; 0], "there is nothing else");
    }
}
