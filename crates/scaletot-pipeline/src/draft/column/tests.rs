//! Tricky columns.

use super::*;

fn column(name: &str, values: &[&str]) -> RawColumn {
    let cell = |value: &&str| (!value.is_empty()).then(|| (*value).to_owned());
    RawColumn { name: name.to_owned(), declared: Declared::Text, cells: values.iter().map(cell).collect() }
}

/// Each value often enough to be a category.
fn repeated(name: &str, values: &[&str]) -> RawColumn {
    column(name, &values.repeat(12))
}

fn field(column: &RawColumn) -> FieldDraft {
    match classify(column) {
        ColumnUse::Field(field) => field,
        other => panic!("{}: {other:?}", column.name),
    }
}

fn reason(column: &RawColumn) -> String {
    match classify(column) {
        ColumnUse::LeftOut { reason, .. } => reason,
        other => panic!("{}: {other:?}", column.name),
    }
}

#[test]
fn kinds_are_told_by_values_and_names() {
    for (name, values, kind) in [
        ("member", &["yes", "no", "NA"][..], "boolean"),
        ("flag", &["0", "1"], "boolean"),
        ("optin", &["Y", "N", "y"], "boolean"),
        ("gender", &["M", "F"], "categorical"),
        ("age_band", &["18-24", "25-34", "65+"], "ordinal"),
        ("tier", &["gold", "silver"], "ordinal"),
        ("kids", &["0", "1", "2", "3"], "ordinal"),
        ("rating", &["1", "2", "3", "4", "5"], "ordinal"),
        ("income", &["1200.5", "800", "-999"], "numeric"),
        ("temperature", &["-3", "0", "12"], "numeric"),
        ("zip", &["01234", "99999", "10115"], "categorical"),
        ("region_code", &["1", "2", "7"], "categorical"),
        ("interests", &["garden;books", "sports", "books"], "multi"),
        ("tags", &["a|b", "b", "c|a"], "multi"),
        ("genres", &["rock, pop", "pop", "rock", "jazz, rock", "jazz", "pop, jazz"], "multi"),
        ("home", &["Paris, France", "Rome, Italy"], "categorical"),
        ("follows", &["(0,10]", "(10,50]", "0"], "ordinal"),
    ] {
        let found = match field(&repeated(name, values)).kind {
            FieldKind::Categorical => "categorical",
            FieldKind::Ordinal => "ordinal",
            FieldKind::Numeric { .. } => "numeric",
            FieldKind::Boolean => "boolean",
            FieldKind::Multi { .. } => "multi",
        };
        assert_eq!(found, kind, "{name}");
    }
}

#[test]
fn columns_that_are_no_profile_are_left_out_with_the_reason() {
    let rows: Vec<String> = (0..60).map(|row| format!("name {row}")).collect();
    let names: Vec<&str> = rows.iter().map(String::as_str).collect();
    let ids: Vec<String> = (1000..1060).map(|row| row.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let long = "a review that goes on for longer than a category would ever do";
    for (column, expected) in [
        (repeated("country", &["DE"]), "constant: every known value is \"DE\""),
        (repeated("country", &["NA"]), "it has no value"),
        (column("full_name", &names), "every row has a value of its own"),
        (column("row", &ids), "every row has a number of its own"),
        (repeated("joined", &["2024-01-31", "2023-12-01T10:00:00"]), "a date"),
        (repeated("joined", &["31.01.2024", "01.12.2023"]), "a date"),
        (repeated("signup_date", &["20240131", "20231201"]), "a date"),
        (repeated("review", &[long, "good"]), "free text"),
        (repeated("price", &["$1,200", "$800"]), "numbers with marks"),
        (repeated("tags", &["[\"a\"]", "[\"b\",\"c\"]"]), "lists written as JSON"),
        (repeated("", &["a", "b"]), "it has no name"),
        (repeated(" a", &["a", "b"]), "its name has blanks"),
        (repeated("spend_prior_90d", &["1", "2"]), "behaviour by its name"),
    ] {
        let found = reason(&column);
        assert!(found.starts_with(expected), "{}: {found}", column.name);
    }
    let leak = classify(&repeated("ltv_90d", &["1", "2"]));
    assert!(matches!(leak, ColumnUse::LeftOut { is_leak: true, .. }), "{leak:?}");
}

#[test]
fn a_float_column_with_a_value_of_its_own_for_each_row_is_a_number() {
    let rows: Vec<String> = (0..60).map(|row| format!("{}.25", 7 * row % 60)).collect();
    let income = field(&column("income", &rows.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(income.kind, FieldKind::Numeric { lower: 20.25, upper: 40.25 });
}

#[test]
fn many_categories_are_cut_to_the_frequent_ones() {
    let rows: Vec<String> = (0..600).map(|row| format!("town {}", row * 7 % 113 % 55)).collect();
    let town = field(&column("town", &rows.iter().map(String::as_str).collect::<Vec<_>>()));
    assert!(town.values.len() == MAX_VALUES && town.distinct > MAX_VALUES);
    let of = |value: &str| rows.iter().filter(|row| *row == value).count();
    assert!(of(&town.values[0]) >= of(&town.values[MAX_VALUES - 1]));
}

#[test]
fn marks_and_shares_are_those_of_the_column() {
    let income = field(&repeated("income", &["1200", "800", "-999", "", "n/a"]));
    assert_eq!(income.missing_marks, ["n/a", "-999"]);
    assert!((income.missing_share - 0.6).abs() < 1e-12 && income.distinct == 2);
    let list = RawColumn {
        name: "likes".to_owned(),
        declared: Declared::List,
        cells: vec![Some(format!("a{LIST_SEPARATOR}b")), Some("b".to_owned()), None],
    };
    assert_eq!(field(&list).values, ["b", "a"]);
}

#[test]
fn dates_are_told_from_other_numbers_with_marks() {
    for text in ["2024-03-01", "1/12/2023", "01.03.24", "2024-03-01 10:00"] {
        assert!(is_date(text), "{text}");
    }
    for text in ["18-24", "1.5", "192.168.0.1", "2024", "555-1234-99", "33-44-5555"] {
        assert!(!is_date(text), "{text}");
    }
}

#[test]
fn nobody_is_asked_for_below_the_least_number() {
    let thirds = |values: &[&str]| match field(&repeated("visits", values)).kind {
        FieldKind::Numeric { lower, upper } => [lower, upper],
        other => panic!("{other:?}"),
    };
    // More than a third of the rows have the least number; then more than two thirds.
    assert_eq!(thirds(&["0", "0", "2", "5", "9"]), [2.0, 5.0]);
    assert_eq!(thirds(&["0", "0", "0", "0", "2", "9", "0"]), [2.0, 2.0]);
    assert_eq!(thirds(&["1", "2", "5", "7", "9", "11"]), [5.0, 9.0]);
    assert!(reason(&repeated("visits", &["7", "7.0"])).contains("constant"));
}
