//! From what a file's cell holds to a field's value.

use std::borrow::Cow;

use crate::error::{quoted, shortened};
use crate::field::{Domain, Field, FieldKind, Range};
use crate::io::MISSING_NUMBERS;

/// One value that is there; a missing one is `None` of `Option<Value>`.
///
/// Closed on purpose: these are the forms in which columns are stored, and a further kind of field would be stored in one of them. A caller
/// that matches has handled every value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Of a categorical or ordinal field: the code of its value in the field's [`Domain`](crate::Domain).
    Code(u32),
    /// Of a numeric field: a finite number.
    Number(f64),
    /// Of a boolean field.
    Flag(bool),
    /// Of a multi-valued field: the codes of its values, increasing, none twice; may be empty.
    Codes(&'a [u32]),
}

/// What a cell of a file holds, whatever the file's format.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(not(feature = "arrow"), allow(dead_code, reason = "CSV has texts alone"))]
pub(crate) enum Raw<'a> {
    Null,
    Text(&'a str),
    /// Wide enough for signed and unsigned 64-bit columns.
    Int(i128),
    Float(f64),
    Flag(bool),
    /// The texts of a list's items; items that are null are left out.
    List(Vec<Cow<'a, str>>),
}

/// One checked value on its way into a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Missing,
    Code(u32),
    Number(f64),
    Flag(bool),
    /// Increasing, without repeats.
    Codes(Vec<u32>),
}

/// A cell that does not hold what its column takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mismatch {
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Mismatch {
    pub(crate) fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { expected: expected.into(), found: found.into() }
    }

    /// With the beginning of the text that was found, in quotes.
    pub(crate) fn text(expected: impl Into<String>, found: &str) -> Self {
        Self { expected: expected.into(), found: format!("{:?}", shortened(found)) }
    }
}

impl<'a> Raw<'a> {
    /// The cell's one text form, blanks at its ends removed: that of a whole number has no fraction, so that a column of
    /// integers that became floats on the way (because some are missing) still reads as integers. `None` of a list.
    pub(crate) fn as_text(&self) -> Option<Cow<'a, str>> {
        Some(match self {
            Self::Null => Cow::Borrowed(""),
            Self::Text(text) => Cow::Borrowed(text.trim()),
            Self::Int(int) => Cow::Owned(int.to_string()),
            Self::Float(float) => Cow::Owned((float + 0.0).to_string()),
            Self::Flag(flag) => Cow::Borrowed(flag_text(*flag)),
            Self::List(_) => return None,
        })
    }

    /// Whether the cell is null, NaN, empty or one of the `tokens` for missing.
    pub(crate) fn is_missing(&self, tokens: &[String]) -> bool {
        match self {
            Self::Null => true,
            // What pandas writes for whatever is missing.
            Self::Float(float) if float.is_nan() => true,
            Self::Text(text) => is_token(text.trim(), tokens),
            Self::List(_) => false,
            // Only numbers that mean "missing", such as -999, need their text.
            _ => !tokens.is_empty() && self.as_text().is_some_and(|text| is_token(&text, tokens)),
        }
    }

    /// Whether it is what programs write in the place of a number that is not known.
    pub(crate) fn is_no_number(&self) -> bool {
        let is_nan = |text: &str| text.parse().is_ok_and(f64::is_nan);
        matches!(self, Self::Text(text) if MISSING_NUMBERS.contains(&text.trim()) || is_nan(text.trim()))
    }

    /// The finite number in the cell.
    pub(crate) fn number(&self) -> Result<f64, Mismatch> {
        const EXPECTED: &str = "a finite number";
        match self {
            Self::Int(int) => Ok(*int as f64),
            Self::Float(float) if float.is_finite() => Ok(float + 0.0),
            Self::Float(float) => Err(Mismatch::new(EXPECTED, float.to_string())),
            Self::Text(text) => match text.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(number + 0.0),
                _ => {
                    let Mismatch { expected, mut found } = Mismatch::text(EXPECTED, text);
                    if text.contains(',') && text.replace([',', '.', ' '], "").trim().parse::<f64>().is_ok() {
                        found.push_str("; write numbers with a decimal point, and nothing between thousands");
                    }
                    Err(Mismatch { expected, found })
                }
            },
            other => Err(other.mismatch(EXPECTED)),
        }
    }

    /// The yes or no in the cell.
    pub(crate) fn flag(&self) -> Result<bool, Mismatch> {
        const EXPECTED: &str = "true or false (or yes/no, t/f, y/n, 1/0)";
        const TRUE: [&str; 5] = ["true", "yes", "t", "y", "1"];
        const FALSE: [&str; 5] = ["false", "no", "f", "n", "0"];
        let Some(text) = self.as_text() else { return Err(self.mismatch(EXPECTED)) };
        let is = |words: [&str; 5]| words.iter().any(|word| word.eq_ignore_ascii_case(&text));
        match (is(TRUE), is(FALSE)) {
            (true, _) => Ok(true),
            (_, true) => Ok(false),
            _ => Err(self.mismatch(EXPECTED)),
        }
    }

    /// The error that this cell is not what was `expected`.
    pub(crate) fn mismatch(&self, expected: &str) -> Mismatch {
        match (self, self.as_text()) {
            (Self::Text(text), _) => Mismatch::text(expected, text),
            (Self::Null, _) => Mismatch::new(expected, "nothing"),
            (_, Some(text)) => Mismatch::new(expected, text),
            (_, None) => Mismatch::new(expected, "a list"),
        }
    }
}

fn is_token(text: &str, tokens: &[String]) -> bool {
    text.is_empty() || tokens.iter().any(|token| token == text)
}

/// Reads a cell as the field's value.
pub(crate) fn read(field: &Field, raw: Raw<'_>) -> Result<Cell, Mismatch> {
    if raw.is_missing(field.missing()) {
        return Ok(Cell::Missing);
    }
    match field.kind() {
        FieldKind::Categorical(domain) | FieldKind::Ordinal(domain) => match raw.as_text() {
            Some(text) => code_of(domain, &text).map(Cell::Code),
            None => Err(raw.mismatch("one value")),
        },
        FieldKind::Numeric(_) if raw.is_no_number() => Ok(Cell::Missing),
        FieldKind::Numeric(range) => raw.number().and_then(|number| in_range(*range, number)),
        FieldKind::Boolean => raw.flag().map(Cell::Flag),
        FieldKind::Multi(multi) => {
            let codes = match (&raw, raw.as_text()) {
                (Raw::List(items), _) => codes_of(multi.domain(), items.iter().map(|item| &**item)),
                (_, Some(text)) => codes_of(multi.domain(), text.split(multi.separator())),
                (_, None) => Err(raw.mismatch("a list of values")),
            };
            codes.map(Cell::Codes)
        }
    }
}

fn code_of(domain: &Domain, text: &str) -> Result<u32, Mismatch> {
    domain.code_of(text).ok_or_else(|| {
        let Mismatch { expected, found } =
            Mismatch::text(format!("one of {}", quoted(domain.values())), text);
        Mismatch { expected, found: format!("{found}; unknown = \"bucket\" in the profile schema takes it") }
    })
}

/// Empty parts are skipped, so that a separator alone writes the empty list, which is not a missing one.
fn codes_of<'a>(domain: &Domain, parts: impl Iterator<Item = &'a str>) -> Result<Vec<u32>, Mismatch> {
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    let mut codes = parts.map(|part| code_of(domain, part)).collect::<Result<Vec<_>, _>>()?;
    codes.sort_unstable();
    codes.dedup();
    Ok(codes)
}

/// The number as a cell, if it is in the range.
pub(crate) fn in_range(range: Range, number: f64) -> Result<Cell, Mismatch> {
    if range.contains(number) {
        // Adding zero makes -0.0 the same as 0.0.
        return Ok(Cell::Number(number + 0.0));
    }
    let expected = match (range.min(), range.max()) {
        (Some(min), Some(max)) => format!("a finite number in {min} ..= {max}"),
        (Some(min), None) => format!("a finite number of at least {min}"),
        (None, Some(max)) => format!("a finite number of at most {max}"),
        (None, None) => "a finite number".to_owned(),
    };
    Err(Mismatch::new(expected, number.to_string()))
}

/// A value as the text that reads back as it.
pub(crate) fn text<'a>(field: &'a Field, value: Option<Value<'a>>) -> Option<Cow<'a, str>> {
    match (field.kind(), value?) {
        (FieldKind::Multi(multi), Value::Codes(codes)) => {
            let labels: Vec<&str> = codes.iter().filter_map(|&code| multi.domain().label(code)).collect();
            let list =
                if labels.is_empty() { multi.separator().to_owned() } else { labels.join(multi.separator()) };
            Some(Cow::Owned(list))
        }
        (kind, Value::Code(code)) => kind.domain()?.label(code).map(Cow::Borrowed),
        (_, Value::Number(number)) => Some(Cow::Owned(number.to_string())),
        (_, Value::Flag(flag)) => Some(Cow::Borrowed(flag_text(flag))),
        (_, Value::Codes(_)) => None,
    }
}

pub(crate) fn flag_text(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FieldSpec, ProfileSchema, UnknownPolicy};

    fn field(spec: FieldSpec) -> Field {
        ProfileSchema::builder("test").with_field(spec).build().unwrap().fields()[0].clone()
    }

    #[test]
    fn categories_come_as_text_integers_or_floats_that_were_integers() {
        let size = field(FieldSpec::ordinal("size", ["1", "2", "5+"]).with_missing(["NA", "-999"]));
        for raw in [Raw::Text(" 2 "), Raw::Int(2), Raw::Float(2.0)] {
            assert_eq!(read(&size, raw), Ok(Cell::Code(1)));
        }
        for raw in
            [Raw::Null, Raw::Text(""), Raw::Text("  "), Raw::Text("NA"), Raw::Int(-999), Raw::Float(-999.0)]
        {
            assert_eq!(read(&size, raw), Ok(Cell::Missing));
        }
        let error = read(&size, Raw::Float(2.5)).unwrap_err();
        assert_eq!(error.expected, r#"one of "1", "2", "5+""#);
        assert!(error.found.starts_with(r#""2.5"; unknown = "bucket""#), "{error:?}");
    }

    #[test]
    fn unknown_categories_are_an_error_or_a_bucket() {
        let strict = field(FieldSpec::categorical("city", ["Ulm", "Bath"]));
        assert!(read(&strict, Raw::Text("ulm")).is_err());
        let lenient =
            field(FieldSpec::categorical("city", ["Ulm", "Bath"]).with_unknown(UnknownPolicy::Bucket));
        assert_eq!(read(&lenient, Raw::Text("York")), Ok(Cell::Code(2)));
        assert_eq!(read(&lenient, Raw::Text("unknown")), Ok(Cell::Code(2)));
        assert_eq!(read(&lenient, Raw::Text("Bath")), Ok(Cell::Code(1)));
    }

    #[test]
    fn numbers_must_be_finite_and_in_range() {
        let income = field(FieldSpec::numeric("income").with_min(0.0).with_max(9.0).with_missing(["NaN"]));
        assert_eq!(read(&income, Raw::Text("-0")), Ok(Cell::Number(0.0)));
        assert_eq!(read(&income, Raw::Float(f64::NAN)), Ok(Cell::Missing));
        for raw in [
            Raw::Text("inf"),
            Raw::Text("1e999"),
            Raw::Float(f64::INFINITY),
            Raw::Text("1,5"),
            Raw::Flag(true),
        ] {
            assert_eq!(read(&income, raw).unwrap_err().expected, "a finite number");
        }
        assert_eq!(
            read(&income, Raw::Int(10)).unwrap_err(),
            Mismatch::new("a finite number in 0 ..= 9", "10")
        );
        let open = field(FieldSpec::numeric("x"));
        for raw in
            [Raw::Float(f64::NAN), Raw::Text("-nan"), Raw::Text("NAN"), Raw::Text(" NA "), Raw::Text("NULL")]
        {
            assert_eq!(
                read(&open, raw),
                Ok(Cell::Missing),
                "what other programs write for a number that is not known"
            );
        }
    }

    #[test]
    fn a_float_that_is_no_number_is_missing_in_every_field() {
        for spec in [
            FieldSpec::categorical("city", ["1", "2"]),
            FieldSpec::ordinal("size", ["1", "2"]),
            FieldSpec::boolean("owner"),
            FieldSpec::multi("tags", ["1", "2"]),
        ] {
            let field = field(spec);
            assert_eq!(read(&field, Raw::Float(f64::NAN)), Ok(Cell::Missing), "{}", field.name());
            // Of a text that is no number nothing is known but that no schema has it.
            assert!(read(&field, Raw::Text("NaN")).is_err(), "{}", field.name());
        }
    }

    #[test]
    fn flags_have_several_spellings() {
        let owner = field(FieldSpec::boolean("owner"));
        for raw in [Raw::Text("TRUE"), Raw::Text("y"), Raw::Int(1), Raw::Float(1.0), Raw::Flag(true)] {
            assert_eq!(read(&owner, raw), Ok(Cell::Flag(true)));
        }
        assert_eq!(read(&owner, Raw::Text("No")), Ok(Cell::Flag(false)));
        assert_eq!(read(&owner, Raw::Int(2)).unwrap_err().found, "2");
    }

    #[test]
    fn lists_are_sets_and_may_be_empty() {
        let tags = field(FieldSpec::multi("tags", ["a", "b", "c"]));
        assert_eq!(read(&tags, Raw::Text("c| a|c|")), Ok(Cell::Codes(vec![0, 2])));
        assert_eq!(read(&tags, Raw::Text("|")), Ok(Cell::Codes(vec![])));
        assert_eq!(read(&tags, Raw::List(vec![])), Ok(Cell::Codes(vec![])));
        assert_eq!(read(&tags, Raw::List(vec!["b".into()])), Ok(Cell::Codes(vec![1])));
        assert_eq!(read(&tags, Raw::Null), Ok(Cell::Missing));
        assert!(read(&tags, Raw::Text("a|x")).unwrap_err().found.starts_with(r#""x";"#));
    }

    #[test]
    fn long_cells_are_cut_in_messages() {
        let found = Mismatch::text("less", &"ä".repeat(500)).found;
        assert_eq!(found.chars().count(), 63);
    }
}
