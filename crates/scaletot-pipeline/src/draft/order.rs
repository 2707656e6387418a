//! The order of values, where their texts tell it: ranges, known scales, and numbers in front.

/// Words from least to most; those of one inner list mean the same, so that a column with two of them is on no scale.
const SCALES: &[&[&[&str]]] = &[
    &[
        &["none", "no"],
        &["very low", "lowest"],
        &["low", "lower"],
        &["medium low"],
        &["medium", "moderate", "mid", "middle", "average", "normal", "med"],
        &["medium high"],
        &["high", "higher"],
        &["very high", "highest"],
    ],
    &[
        &["extra small", "xs", "xxs"],
        &["small", "s"],
        &["medium", "m"],
        &["large", "l", "big"],
        &["extra large", "xl", "very large"],
        &["xxl", "2xl"],
        &["xxxl", "3xl"],
    ],
    &[
        &["never"],
        &["almost never"],
        &["rarely", "seldom"],
        &["occasionally", "sometimes"],
        &["often", "frequently"],
        &["very often", "usually"],
        &["always"],
    ],
    &[
        &["yearly", "annually"],
        &["quarterly"],
        &["monthly"],
        &["fortnightly", "biweekly"],
        &["weekly"],
        &["daily"],
    ],
    &[&["very poor", "very bad"], &["poor", "bad"], &["fair"], &["good"], &["very good"], &["excellent"]],
    &[
        &["strongly disagree"],
        &["disagree"],
        &["neutral", "neither", "neither agree nor disagree"],
        &["agree"],
        &["strongly agree"],
    ],
    &[&["very dissatisfied"], &["dissatisfied"], &["neutral"], &["satisfied"], &["very satisfied"]],
    &[
        &["free", "freemium", "trial"],
        &["basic", "starter", "lite", "light"],
        &["standard", "regular", "classic"],
        &["plus"],
        &["premium", "pro", "professional", "advanced"],
        &["business"],
        &["enterprise", "ultimate", "vip"],
    ],
    &[&["bronze"], &["silver"], &["gold"], &["platinum"], &["diamond"]],
    &[&["beginner", "novice"], &["intermediate"], &["advanced"], &["expert"]],
    &[&["junior"], &["mid", "middle"], &["senior"], &["lead", "principal"]],
    &[
        &["child"],
        &["teen", "teenager"],
        &["young adult", "young"],
        &["adult", "middle aged"],
        &["senior", "old"],
    ],
    &[
        &["none", "no formal"],
        &["primary", "elementary", "primary school"],
        &["secondary", "high school", "secondary school"],
        &["some college", "vocational", "associate"],
        &["tertiary", "bachelor", "bachelors", "undergraduate", "college"],
        &["master", "masters", "graduate", "postgraduate"],
        &["doctorate", "phd", "doctoral"],
    ],
    &[&["zero"], &["one"], &["two"], &["three"], &["four"], &["five"], &["six"], &["seven"], &["eight"]],
    &[&["first"], &["second"], &["third"], &["fourth"], &["fifth"], &["sixth"]],
    &[
        &["inactive"],
        &["low active", "low activity"],
        &["middle active", "medium activity"],
        &["high active"],
        &["full active"],
    ],
];

/// The values from least to most, if their texts tell an order.
pub(super) fn ordered(values: &[String]) -> Option<Vec<String>> {
    if values.len() < 2 {
        return None;
    }
    by_scale(values).or_else(|| by_range(values)).or_else(|| by_number_in_front(values))
}

/// Whether the values are ranges of numbers.
pub(super) fn are_ranges(values: &[String]) -> bool {
    by_range(values).is_some()
}

fn by_scale(values: &[String]) -> Option<Vec<String>> {
    let plain = |value: &String| -> String {
        let words = value.to_lowercase().replace(['_', '-', '.'], " ");
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    SCALES.iter().find_map(|scale| {
        let rank = |value: &String| scale.iter().position(|words| words.contains(&plain(value).as_str()));
        sorted_by(values, rank)
    })
}

/// Sorts by a rank that every value must have, each its own.
fn sorted_by<K: PartialOrd>(values: &[String], rank: impl Fn(&String) -> Option<K>) -> Option<Vec<String>> {
    let mut ranked: Vec<(K, &String)> =
        values.iter().map(|value| Some((rank(value)?, value))).collect::<Option<_>>()?;
    ranked.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
    let distinct = ranked.windows(2).all(|pair| pair[0].0 != pair[1].0);
    distinct.then(|| ranked.into_iter().map(|(_, value)| value.clone()).collect())
}

fn by_range(values: &[String]) -> Option<Vec<String>> {
    let ranges: Vec<(Span, &String)> =
        values.iter().map(|value| Some((Span::parse(value)?, value))).collect::<Option<_>>()?;
    // Single numbers alone are numbers, and no ranges.
    if ranges.iter().all(|(span, _)| span.low == span.high) {
        return None;
    }
    let mut ranges = ranges;
    ranges.sort_by(|(a, _), (b, _)| a.low.total_cmp(&b.low).then(a.high.total_cmp(&b.high)));
    let apart = ranges.windows(2).all(|pair| pair[0].0.high <= pair[1].0.low && pair[0].0 != pair[1].0);
    apart.then(|| ranges.into_iter().map(|(_, value)| value.clone()).collect())
}

fn by_number_in_front(values: &[String]) -> Option<Vec<String>> {
    sorted_by(values, |value| enumerated(value).map(|(number, _)| number))
}

/// `2) high` or `2. high` or `2 - high`: the number, and the rest.
pub(super) fn enumerated(value: &str) -> Option<(u32, &str)> {
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = value[digits..].trim_start();
    let rest = rest.strip_prefix([')', '.', ':']).or_else(|| rest.strip_prefix("- "))?;
    let is_text = rest.starts_with(' ') || rest.trim_start().starts_with(char::is_alphabetic);
    (is_text && !rest.trim().is_empty()).then_some(())?;
    Some((value[..digits].parse().ok()?, rest.trim()))
}

/// A range of numbers; open ends are infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Span {
    /// `18-24`, `$100 - $200`, `(10,50]`, `65+`, `under 25`, `15-24K`, `6 to 12 months` and alike.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let text = value.to_lowercase();
        let text = text.trim();
        let text = enumerated(text).map_or(text, |(_, rest)| rest);
        let (numbers, marks) = numbers_and_marks(text)?;
        let open_below =
            ["<", "<=", "≤", "under", "below", "less than", "up to", "less", "at most", "max", "lt"];
        let open_above = [
            ">",
            ">=",
            "≥",
            "over",
            "above",
            "more than",
            "at least",
            "+",
            "and over",
            "and more",
            "or more",
            "and above",
            "and older",
            "or older",
            "plus",
            "and up",
            "min",
            "gt",
        ];
        let between = [
            "-",
            "–",
            "—",
            "to",
            "..",
            "until",
            "and",
            "[ , ]",
            "( , ]",
            "[ , )",
            "( , )",
            ",",
            "~",
            "_",
            "between and",
        ];
        let marks = marks.as_str();
        match numbers.as_slice() {
            [number] if marks.is_empty() => Some(Self { low: *number, high: *number }),
            [number] if open_below.contains(&marks) => Some(Self { low: f64::NEG_INFINITY, high: *number }),
            [number] if open_above.contains(&marks) => Some(Self { low: *number, high: f64::INFINITY }),
            [low, high] if between.contains(&marks) && low < high => Some(Self { low: *low, high: *high }),
            _ => None,
        }
    }
}

/// Units that may stand in a range without being part of it.
const UNITS: [&str; 30] = [
    "years", "year", "yrs", "yr", "old", "months", "month", "mths", "weeks", "week", "days", "day", "hours",
    "hour", "minutes", "min", "km", "miles", "usd", "eur", "gbp", "dollars", "euros", "people", "persons",
    "person", "kids", "children", "orders", "times",
];

/// The numbers of a text, in order, and what else stands in it without currency signs and units.
fn numbers_and_marks(text: &str) -> Option<(Vec<f64>, String)> {
    let letters: Vec<char> = text.chars().collect();
    // In `[10,100)` the comma stands between two numbers, and not between thousands.
    let groups = !text.contains(['[', ']', '(']);
    let mut numbers: Vec<(f64, bool)> = Vec::new();
    let mut marks = String::new();
    let mut at = 0;
    while at < letters.len() {
        let c = letters[at];
        if c.is_ascii_digit() {
            let (number, end) = number_at(&letters, at, groups)?;
            let (factor, end) = factor_at(&letters, end);
            numbers.push((number * factor, factor > 1.0));
            at = end;
            marks.push(' ');
        } else {
            let skipped = matches!(c, '$' | '€' | '£' | '¥' | '%');
            marks.push(if skipped { ' ' } else { c });
            at += 1;
        }
    }
    // `15-24K` is fifteen to twenty-four thousand.
    if let [(first, false), (second, true)] = numbers.as_slice() {
        let factor = if *second >= 1e6 { 1e6 } else { 1e3 };
        if first * factor < *second {
            numbers[0].0 *= factor;
        }
    }
    let words: Vec<&str> = marks.split_whitespace().filter(|word| !UNITS.contains(word)).collect();
    Some((numbers.into_iter().map(|(number, _)| number).collect(), words.join(" ")))
}

/// The number that begins at `at`, and where it ends; with `groups`, commas before groups of three digits belong to it.
fn number_at(letters: &[char], at: usize, groups: bool) -> Option<(f64, usize)> {
    let digit = |i: usize| letters.get(i).is_some_and(char::is_ascii_digit);
    let mut text = String::new();
    let mut end = at;
    let grouped = |end: usize| {
        groups
            && matches!(letters.get(end), Some(',' | '\''))
            && (1..=3).all(|i| digit(end + i))
            && !digit(end + 4)
    };
    let mut fraction = false;
    while end < letters.len() {
        if digit(end) {
            text.push(letters[end]);
        } else if grouped(end) && !fraction {
            // A separator between thousands.
        } else if letters[end] == '.' && digit(end + 1) && !fraction {
            fraction = true;
            text.push('.');
        } else {
            break;
        }
        end += 1;
    }
    Some((text.parse().ok()?, end))
}

/// `k` for thousands or `m` for millions after a number, if no word begins with it.
fn factor_at(letters: &[char], at: usize) -> (f64, usize) {
    let ends = letters.get(at + 1).is_none_or(|c| !c.is_alphanumeric());
    match letters.get(at) {
        Some('k') if ends => (1e3, at + 1),
        Some('m') if ends => (1e6, at + 1),
        _ => (1.0, at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(values: &[&str]) -> Option<Vec<String>> {
        ordered(&values.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn ranges_are_sorted_by_their_numbers() {
        for values in [
            vec!["under 18", "18-24", "25-34", "65+"],
            vec!["<25", "25 to 34", ">=35"],
            vec!["0", "1", "2", "3+"],
            vec!["Under 15K", "15-24K", "25-34K", "100-124K", "250K+"],
            vec!["0", "[1,10)", "[10,100)", "[100,1k)", "[1k,5k)"],
            vec!["(0,10]", "(10,50]", "(50,100]", "500+"],
            vec!["1) $0 - $100", "2) $100 - $200", "7) $1,000 +"],
            vec!["less than 1 year", "1-5 years", "more than 5 years"],
            vec!["0.5-1.5", "1.5-2.5"],
            vec!["1,000-4,999", "5,000-9,999", "10,000+"],
        ] {
            let mut shuffled = values.clone();
            shuffled.reverse();
            shuffled.swap(0, values.len() / 2);
            assert_eq!(order(&shuffled).unwrap_or_default(), values);
        }
    }

    #[test]
    fn scales_and_numbers_in_front_are_known() {
        assert_eq!(order(&["high", "Low", "medium"]).unwrap(), ["Low", "medium", "high"]);
        assert_eq!(order(&["gold", "bronze", "silver"]).unwrap(), ["bronze", "silver", "gold"]);
        assert_eq!(order(&["often", "never", "very_often"]).unwrap(), ["never", "often", "very_often"]);
        assert_eq!(order(&["2. settled", "1. new", "10. old"]).unwrap(), ["1. new", "2. settled", "10. old"]);
        assert_eq!(order(&["premium", "free", "basic"]).unwrap(), ["free", "basic", "premium"]);
    }

    #[test]
    fn other_texts_have_no_order() {
        for values in [
            vec!["web", "store"],
            vec!["1", "2", "3"],
            vec!["18-30", "25-40"],
            vec!["medium", "moderate"],
            vec!["low", "web"],
            vec!["2020-01-02", "2021-03-04"],
            vec!["10-5", "5-1"],
            vec!["A-1", "B-2"],
            vec!["only one"],
        ] {
            assert_eq!(order(&values), None, "{values:?}");
        }
    }
}
