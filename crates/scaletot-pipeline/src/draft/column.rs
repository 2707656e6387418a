//! What a column is: a field of a profile and of which kind, or why it is none.

use std::collections::BTreeMap;

use scaletot_core::text::printable;
use scaletot_profile::UNKNOWN;

use super::MAX_SHOWN;
use super::missing::marks;
use super::names::{self, Hint, has};
use super::order::{are_ranges, ordered};
use super::phrase::{Rendering, Shape, rendering};
use super::table::{Declared, LIST_SEPARATOR, RawColumn};

/// Distinct values without an order that a drafted schema lists at most; the others of a column are counted as one.
const MAX_VALUES: usize = 40;
/// A column of texts with more distinct values than this, and than half of its rows, tells users apart and nothing else.
const MANY: usize = 50;
/// Whole numbers with at most so many distinct values, from 0 or 1 on without a gap, are rendered as they are.
const MAX_COUNTS: usize = 8;
/// Longest value that is a category, in words; longer ones are free text.
const MAX_WORDS: usize = 8;
/// What stands between several values in a cell. The first two hardly ever stand for anything else.
const SEPARATORS: [char; 3] = ['|', ';', ','];

/// The kind of a drafted field.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FieldKind {
    /// One of the values, which have no order.
    Categorical,
    /// One of the values, from least to most.
    Ordinal,
    /// A number.
    Numeric {
        /// A third of the known numbers are below; above the least of them.
        lower: f64,
        /// A third of the known numbers are above, or at it; above the least of them.
        upper: f64,
    },
    /// Yes or no.
    Boolean,
    /// Several of the values, with the separator between them.
    Multi {
        /// The separator; `None` for lists that the file has as such.
        separator: Option<char>,
    },
}

/// A column that is drafted as a field of the profile.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FieldDraft {
    /// The column.
    pub name: String,
    /// Its kind.
    pub kind: FieldKind,
    /// Its values, in order where they have one, else by frequency; none of numbers and flags.
    pub values: Vec<String>,
    /// Distinct values, missing marks aside.
    pub distinct: usize,
    /// Share of users of whom it is not known, in `[0, 1]`.
    pub missing_share: f64,
    /// Cell texts that mean "missing", besides the empty one.
    pub missing_marks: Vec<String>,
    /// The phrase that it is rendered by.
    pub phrase: String,
    /// Words for single values.
    pub words: Vec<(String, String)>,
}

/// What a column is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ColumnUse {
    /// A field of the profile.
    Field(FieldDraft),
    /// The user id.
    Id,
    /// The outcome.
    Outcome,
    /// Not of the profile; why.
    LeftOut {
        /// The reason, in words.
        reason: String,
        /// Whether the column gives the outcome away.
        is_leak: bool,
    },
}

impl ColumnUse {
    pub(super) fn left_out(reason: impl Into<String>) -> Self {
        Self::LeftOut { reason: reason.into(), is_leak: false }
    }
}

/// Says what a column is that is neither the id nor the outcome.
pub(super) fn classify(column: &RawColumn) -> ColumnUse {
    let name = column.name.as_str();
    if name.trim().is_empty() {
        return ColumnUse::left_out("it has no name: a row index, perhaps");
    }
    if name.trim() != name || name.contains(char::is_control) {
        return ColumnUse::left_out(
            "its name has blanks at its ends or control characters: rename the column",
        );
    }
    match column.declared {
        Declared::Date => return ColumnUse::left_out(DATE),
        Declared::Other => return ColumnUse::left_out("its type cannot be read as a field"),
        Declared::Ambiguous => {
            return ColumnUse::left_out("another column has the same name: rename one of them");
        }
        _ => {}
    }
    let words = names::words(name);
    match names::hint(&words) {
        Hint::None => {}
        Hint::Past => {
            return ColumnUse::left_out(
                "behaviour by its name, and no static profile: add it as a field if it is known of every user to be served",
            );
        }
        Hint::Loss | Hint::Event | Hint::Value | Hint::ValueWithin | Hint::Target => {
            let reason = "an outcome by its name".to_owned();
            return ColumnUse::LeftOut { reason, is_leak: true };
        }
    }
    Column::of(column, words).classify()
}

const DATE: &str = "a date: a span of time says more, such as an age or the months since it";

/// A column with its distinct values counted.
struct Column<'a> {
    raw: &'a RawColumn,
    words: Vec<String>,
    counts: BTreeMap<&'a str, usize>,
    marks: Vec<String>,
    known: usize,
}

impl<'a> Column<'a> {
    fn of(raw: &'a RawColumn, words: Vec<String>) -> Self {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        raw.cells.iter().flatten().for_each(|cell| *counts.entry(cell).or_insert(0) += 1);
        let marks = if raw.declared == Declared::List { Vec::new() } else { marks(&counts) };
        for mark in &marks {
            counts.remove(mark.as_str());
        }
        let known = counts.values().sum();
        Self { raw, words, counts, marks, known }
    }

    fn classify(self) -> ColumnUse {
        let distinct = self.counts.len();
        if distinct == 0 {
            return ColumnUse::left_out("it has no value");
        }
        if self.raw.declared == Declared::List {
            return self.multi(None);
        }
        if let Some(only) = self.counts.keys().next().filter(|_| distinct == 1) {
            return ColumnUse::left_out(format!(
                "constant: every known value is {:?}",
                printable(only, MAX_SHOWN)
            ));
        }
        if self.share(is_date) > 0.95 {
            return ColumnUse::left_out(DATE);
        }
        if self.is_flag() {
            return self.field(FieldKind::Boolean, Shape::Flag, Vec::new());
        }
        if let Some(numbers) = self.numbers() {
            return self.number(numbers);
        }
        if self.share(is_decorated) > 0.95 {
            return ColumnUse::left_out(
                "numbers with marks, such as \"$1,200\" or \"12 %\": write plain numbers",
            );
        }
        self.text()
    }

    /// The share of rows with a known value that passes.
    fn share(&self, test: impl Fn(&str) -> bool) -> f64 {
        let passing: usize =
            self.counts.iter().filter(|(value, _)| test(value)).map(|(_, count)| count).sum();
        passing as f64 / self.known.max(1) as f64
    }

    fn is_flag(&self) -> bool {
        const TRUE: [&str; 5] = ["true", "yes", "t", "y", "1"];
        const FALSE: [&str; 5] = ["false", "no", "f", "n", "0"];
        let side = |words: &[&str]| {
            self.counts
                .keys()
                .filter(|value| words.iter().any(|word| word.eq_ignore_ascii_case(value)))
                .count()
        };
        let (yes, no) = (side(&TRUE), side(&FALSE));
        // "f" is not a no where "m" is its other value; that one is on neither side.
        yes > 0 && no > 0 && yes + no == self.counts.len()
    }

    /// Distinct numbers, ascending, if all values are.
    fn numbers(&self) -> Option<Vec<f64>> {
        let parse = |value: &&str| value.parse::<f64>().ok().filter(|number| number.is_finite());
        let mut numbers: Vec<f64> = self.counts.keys().map(parse).collect::<Option<_>>()?;
        numbers.sort_by(f64::total_cmp);
        numbers.dedup();
        Some(numbers)
    }

    fn number(self, numbers: Vec<f64>) -> ColumnUse {
        const CODES: [&str; 17] = [
            "zip", "zipcode", "postal", "postcode", "plz", "code", "cd", "id", "key", "type", "class",
            "category", "cluster", "segment", "region", "channel", "store",
        ];
        let leading_zeros =
            self.counts.keys().any(|value| value.len() > 1 && value.starts_with('0') && !value.contains('.'));
        let whole = numbers.iter().all(|number| number.fract() == 0.0);
        let distinct = numbers.len();
        if let [only] = numbers[..] {
            return ColumnUse::left_out(format!("constant: every known value is {only}"));
        }
        let is_id = has(&self.words, &["id", "key", "index", "uuid"]);
        let consecutive = numbers[distinct - 1] - numbers[0] == (distinct - 1) as f64;
        if whole && distinct == self.known && distinct > 2 * MAX_COUNTS && (is_id || consecutive) {
            return ColumnUse::left_out("every row has a number of its own: an id, perhaps");
        }
        if whole
            && numbers.iter().all(|&number| is_date_number(number))
            && has(&self.words, &["date", "day", "dt", "since"])
        {
            return ColumnUse::left_out(DATE);
        }
        if leading_zeros || (whole && has(&self.words, &CODES)) {
            return self.text();
        }
        let counts_up = whole && distinct <= MAX_COUNTS && matches!(numbers[0], 0.0 | 1.0) && consecutive;
        if counts_up {
            let mut values: Vec<&str> = self.counts.keys().copied().collect();
            let number = |value: &str| value.parse::<f64>().unwrap_or(f64::INFINITY);
            values.sort_by(|a, b| number(a).total_cmp(&number(b)));
            let values = values.into_iter().map(str::to_owned).collect();
            return self.field(FieldKind::Ordinal, Shape::Level, values);
        }
        let [lower, upper] = self.thirds();
        self.field(FieldKind::Numeric { lower, upper }, Shape::Number, Vec::new())
    }

    /// The numbers that a third and two thirds of the rows are below. Nobody is below the least number, which many rows of a count share:
    /// the next one stands for it.
    fn thirds(&self) -> [f64; 2] {
        let mut counted: Vec<(f64, usize)> =
            self.counts.iter().filter_map(|(value, count)| Some((value.parse().ok()?, *count))).collect();
        counted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let least = counted.first().map_or(0.0, |(number, _)| *number);
        let next = counted.iter().map(|(number, _)| *number).find(|number| *number > least).unwrap_or(least);
        [1, 2].map(|third| {
            let mut below = 0;
            let at = counted.iter().find(|(_, count)| {
                below += count;
                3 * below > third * self.known
            });
            at.or(counted.last()).map_or(0.0, |(number, _)| number.max(next))
        })
    }

    fn text(self) -> ColumnUse {
        let distinct = self.counts.len();
        let values: Vec<String> = self.counts.keys().map(ToString::to_string).collect();
        if let Some(ordered) = ordered(&values) {
            let shape = if are_ranges(&values) { Shape::Level } else { Shape::Value };
            return self.field(FieldKind::Ordinal, shape, ordered);
        }
        if self.share(|value| value.starts_with(['[', '{']) && value.ends_with([']', '}'])) > 0.95 {
            return ColumnUse::left_out("lists written as JSON: write their values with | between them");
        }
        if let Some(separator) = self.separator() {
            return self.multi(Some(separator));
        }
        let long = self.share(|value| value.split_whitespace().count() > MAX_WORDS);
        if long > 0.2 {
            return ColumnUse::left_out("free text: most values are sentences");
        }
        if distinct > MAX_COUNTS && distinct == self.known {
            return ColumnUse::left_out("every row has a value of its own");
        }
        if distinct > MANY && 2 * distinct > self.known {
            return ColumnUse::left_out(format!(
                "{distinct} different values in {} rows: hardly any two users share one",
                self.known
            ));
        }
        let values = by_frequency(self.counts.iter().map(|(value, count)| (*value, *count)));
        self.field(FieldKind::Categorical, Shape::Value, values)
    }

    /// What stands between several values, if cells hold several.
    fn separator(&self) -> Option<char> {
        SEPARATORS.into_iter().find(|&separator| {
            let share = self.share(|value| value.contains(separator));
            if share == 0.0 {
                return false;
            }
            let parts = self.parts(separator);
            let few = parts.len() <= MAX_VALUES
                && parts.keys().all(|part| part.split_whitespace().count() <= MAX_WORDS);
            // A comma stands in names, too ("Paris, France"): its parts must come up again beside others.
            few && (separator != ',' || (share > 0.2 && parts.len() < self.counts.len()))
        })
    }

    /// The parts of all cells, and how many rows have each; [`UNKNOWN`] is the name of what takes all that are not listed.
    fn parts(&self, separator: char) -> BTreeMap<&'a str, usize> {
        let mut parts = BTreeMap::new();
        for (value, count) in &self.counts {
            for part in
                value.split(separator).map(str::trim).filter(|part| !part.is_empty() && *part != UNKNOWN)
            {
                *parts.entry(part).or_insert(0) += count;
            }
        }
        parts
    }

    fn multi(self, separator: Option<char>) -> ColumnUse {
        let parts = self.parts(separator.unwrap_or(LIST_SEPARATOR));
        if parts.is_empty() {
            return ColumnUse::left_out("its lists are empty");
        }
        let values = by_frequency(parts.into_iter());
        self.field(FieldKind::Multi { separator }, Shape::Several, values)
    }

    fn field(self, kind: FieldKind, shape: Shape, mut values: Vec<String>) -> ColumnUse {
        if kind != FieldKind::Ordinal {
            values.truncate(MAX_VALUES);
        }
        if values.len() > 5 * MAX_VALUES {
            return ColumnUse::left_out(format!("{} different values", values.len()));
        }
        let Rendering { phrase, words } = rendering(&self.words, shape, &values);
        let rows = self.raw.cells.len().max(1);
        // A mark that is also a part of longer cells is a value.
        let missing_marks = self.marks.into_iter().filter(|mark| !values.contains(mark)).collect();
        ColumnUse::Field(FieldDraft {
            name: self.raw.name.clone(),
            distinct: if matches!(kind, FieldKind::Multi { .. }) { values.len() } else { self.counts.len() },
            kind,
            values,
            missing_share: 1.0 - self.known as f64 / rows as f64,
            missing_marks,
            phrase,
            words,
        })
    }
}

/// Values by how many rows have them, the most first.
fn by_frequency<'a>(counts: impl Iterator<Item = (&'a str, usize)>) -> Vec<String> {
    let mut counts: Vec<(&str, usize)> = counts.collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    counts.into_iter().map(|(value, _)| value.to_owned()).collect()
}

/// `2024-03-01`, `01.03.2024`, `3/1/2024`, with or without a time after it.
fn is_date(text: &str) -> bool {
    let day = text.split(['T', ' ']).next().unwrap_or_default();
    let Some(mark) = day.chars().find(|c| !c.is_ascii_digit()).filter(|c| ['-', '/', '.'].contains(c)) else {
        return false;
    };
    let parts: Vec<&str> = day.split(mark).collect();
    let number =
        |part: &str| part.chars().all(|c| c.is_ascii_digit()).then(|| part.parse::<u32>().ok()).flatten();
    match parts.as_slice() {
        [a, b, c] => {
            let (Some(first), Some(second), Some(third)) = (number(a), number(b), number(c)) else {
                return false;
            };
            let (year, rest) = if a.len() == 4 { (first, [second, third]) } else { (third, [first, second]) };
            (a.len() == 4 || c.len() == 4 || c.len() == 2)
                && (year < 100 || (1800..2200).contains(&year))
                && rest.iter().all(|part| (1..=31).contains(part))
                && rest.iter().any(|part| *part <= 12)
        }
        _ => false,
    }
}

/// `20240301`.
fn is_date_number(number: f64) -> bool {
    (18_000_101.0..=21_991_231.0).contains(&number)
        && (1.0..=12.0).contains(&((number / 100.0).floor() % 100.0))
        && (1.0..=31.0).contains(&(number % 100.0))
}

/// A number with a currency sign, separators of thousands or a percent sign.
fn is_decorated(text: &str) -> bool {
    let is_mark = |c: char| matches!(c, '$' | '€' | '£' | '¥' | ',' | '%' | ' ' | '\u{a0}');
    text.contains(is_mark) && text.replace(is_mark, "").parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests;
