//! Numbers and lists as words: thousands are separated, a minus is a minus, and nothing is said to be equal.

use scaletot_eval::{Direction, Interval, Metric, Verdict};

use super::super::results::Labels;

/// A whole number with separated thousands.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with fixed decimals and separated thousands; what rounds to 0 has no sign.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    let plain = format!("{:.decimals$}", value.abs());
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    let sign = if value < 0.0 && plain.bytes().any(|b| (b'1'..=b'9').contains(&b)) { "\u{2212}" } else { "" };
    format!("{sign}{whole}{rest}")
}

/// As [`fixed`], with a plus before what is above 0.
pub(super) fn signed(value: f64, decimals: usize) -> String {
    let text = fixed(value, decimals);
    let positive = !text.starts_with('\u{2212}') && text.bytes().any(|b| (b'1'..=b'9').contains(&b));
    if positive { format!("+{text}") } else { text }
}

/// A share as a percentage.
pub(super) fn percent(share: f64, decimals: usize) -> String {
    format!("{}\u{a0}%", fixed(100.0 * share, decimals))
}

/// A share with as few decimals as it needs, up to two.
pub(super) fn short_percent(share: f64) -> String {
    let percent = 100.0 * share;
    let decimals = (0..2_usize).find(|&d| (percent - round(percent, d as i32)).abs() < 1e-6).unwrap_or(2);
    self::percent(share, decimals)
}

fn round(value: f64, decimals: i32) -> f64 {
    let unit = 10_f64.powi(decimals);
    (value * unit).round() / unit
}

/// The ends of an interval.
pub(super) fn ends(interval: &Interval, decimals: usize) -> String {
    format!("{} to {}", fixed(interval.low, decimals), fixed(interval.high, decimals))
}

/// The ends of the interval of a difference.
pub(super) fn signed_ends(interval: &Interval, decimals: usize) -> String {
    format!("{} to {}", signed(interval.low, decimals), signed(interval.high, decimals))
}

/// An amount in the outcome's unit: small ones with more decimals.
pub(super) fn amount(value: f64) -> String {
    fixed(value, amount_decimals(value))
}

/// Decimals that an amount of this size needs.
pub(super) fn amount_decimals(value: f64) -> usize {
    match value.abs() {
        size if size >= 1_000.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 4,
    }
}

/// A time in the unit that suits it.
pub(super) fn duration(seconds: f64) -> String {
    const UNITS: [(f64, &str); 5] = [
        (31_557_600.0, "years"),
        (86_400.0, "days"),
        (3_600.0, "hours"),
        (60.0, "minutes"),
        (1.0, "seconds"),
    ];
    let (size, name) = UNITS.into_iter().find(|(size, _)| seconds >= 2.0 * size).unwrap_or((1.0, "seconds"));
    let value = seconds / size;
    let decimals = if value >= 100.0 { 0 } else { usize::from(value >= 10.0 || seconds >= 2.0) };
    format!("{} {name}", fixed(value, if seconds < 2.0 { 2 } else { decimals }))
}

/// `a, b and c`.
pub(super) fn list<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [head @ .., last] => {
            let head: Vec<&str> = head.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", head.join(", "), last.as_ref())
        }
    }
}

/// A number of labels for the head of a row.
pub(super) fn labels(labels: Labels) -> String {
    match labels {
        Labels::Count(n) => count(n as u64),
        Labels::All => "all".to_owned(),
    }
}

/// A number of labels for the tick of an axis.
pub(super) fn labels_tick(labels: Labels) -> String {
    match labels {
        Labels::Count(n) if n >= 1_000 && n.is_multiple_of(100) => {
            format!("{}k", round(n as f64 / 1_000.0, 1))
        }
        other => self::labels(other),
    }
}

/// `50, 200 and all labels`.
pub(super) fn label_sizes(sizes: &[Labels]) -> String {
    match sizes {
        [Labels::Count(1)] => "1 label".to_owned(),
        [Labels::Count(0)] => "no labels".to_owned(),
        _ => format!("{} labels", list(&sizes.iter().map(|&size| labels(size)).collect::<Vec<_>>())),
    }
}

/// A verdict as a table says it.
pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Shown(Direction::Better) => "shown better",
        Verdict::Shown(Direction::Worse) => "shown worse",
        Verdict::NoDifferenceShown => "no difference shown",
        Verdict::TooLittleData => "too little data to show one",
    }
}

/// The metric's name at the start of a line.
pub(super) fn metric(metric: Metric) -> String {
    let name = metric.name();
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `1 question`, `2 questions`.
pub(super) fn plural(n: usize, one: &str) -> String {
    format!("{} {one}{}", count(n as u64), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_out() {
        assert_eq!(
            [count(0), count(999), count(1_000), count(12_345_678)],
            ["0", "999", "1,000", "12,345,678"]
        );
        assert_eq!(
            [fixed(-0.0004, 3), fixed(-1234.5, 1), fixed(0.25, 2)],
            ["0.000", "\u{2212}1,234.5", "0.25"]
        );
        assert_eq!(
            [signed(0.02, 2), signed(-0.02, 2), signed(0.0004, 3)],
            ["+0.02", "\u{2212}0.02", "0.000"]
        );
        assert_eq!(
            [short_percent(0.0732), short_percent(0.2), short_percent(1.0)].map(|t| t.replace('\u{a0}', " ")),
            ["7.32 %", "20 %", "100 %"]
        );
    }

    #[test]
    fn times_take_the_unit_that_suits() {
        assert_eq!(
            [duration(0.82), duration(45.0), duration(90.0), duration(7_200.0)],
            ["0.82 seconds", "45.0 seconds", "90.0 seconds", "2.0 hours"]
        );
        assert_eq!(duration(31_557_600.0 * 123.4), "123 years");
    }

    #[test]
    fn lists_and_labels_read_as_english() {
        assert_eq!(list::<&str>(&[]), "");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(
            label_sizes(&[Labels::Count(50), Labels::Count(2_000), Labels::All]),
            "50, 2,000 and all labels"
        );
        assert_eq!(
            [Labels::Count(500), Labels::Count(2_000), Labels::Count(1_500)].map(labels_tick),
            ["500", "2k", "1.5k"]
        );
        assert_eq!(plural(1, "chain"), "1 chain");
    }
}
