//! Schemas and tables that the tests share.

use std::sync::Arc;

use proptest::prelude::*;
use scaletot_profile::{
    Attributes, FieldSpec, ProfileSchema, ProfileTable, TableBuilder, UnknownPolicy, UserIds, Value,
};

/// One field of every kind, with values that are hard on CSV.
pub(crate) fn all_kinds() -> ProfileSchema {
    ProfileSchema::builder("all kinds")
        .with_subject("A customer")
        .with_id_column("customer")
        .with_field(
            FieldSpec::ordinal("age", ["18-34", "35-54", "55+"])
                .with_phrase("aged {}")
                .with_missing(["NA", "-"]),
        )
        .with_field(
            FieldSpec::categorical("city", ["Bath, UK", "a \"quoted\" one", "two\nlines", "Zürich", "1"])
                .with_unknown(UnknownPolicy::Bucket)
                .with_phrase("from {}")
                .with_word("unknown", "elsewhere"),
        )
        .with_field(
            FieldSpec::numeric("income").with_min(-1e300).with_unit("EUR").with_phrase("with a {} income"),
        )
        .with_field(
            FieldSpec::boolean("owner")
                .with_phrase("who owns the home")
                .with_word("false", "who rents the home"),
        )
        .with_field(
            FieldSpec::multi("tags", ["a", "b", "c d"]).with_separator(";").with_phrase("who likes {}"),
        )
        .build()
        .unwrap()
}

type Row = (Option<u32>, Option<u32>, Option<f64>, Option<bool>, Option<Vec<u32>>);

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![-1e6..1e6f64, Just(0.0), Just(-0.0), Just(1e300), Just(5e-324), Just(0.1 + 0.2), Just(-1e300)]
}

fn rows(max: usize) -> impl Strategy<Value = Vec<Row>> {
    let row = (
        prop::option::of(0..3u32),
        prop::option::of(0..6u32),
        prop::option::of(number()),
        prop::option::of(any::<bool>()),
        prop::option::of(prop::collection::vec(0..3u32, 0..4)),
    );
    prop::collection::vec(row, 0..max)
}

/// Ids that stay what they are in a file without types: integers, or texts of which one at least is no integer.
fn ids(n: usize) -> impl Strategy<Value = UserIds> {
    let ints =
        prop::collection::hash_set(any::<i64>(), n).prop_map(|ids| UserIds::Int(ids.into_iter().collect()));
    let texts = prop::collection::hash_set("[a-z0-9 ,\"ü\n]{0,6}x", n)
        .prop_map(|ids| UserIds::Text(ids.into_iter().collect()));
    let zeros = prop::collection::hash_set(0..100_000u32, n)
        .prop_map(|ids| UserIds::Text(ids.into_iter().map(|id| format!("0{id}")).collect()));
    prop_oneof![ints, texts, zeros].prop_map(move |ids| if n == 0 { UserIds::default() } else { ids })
}

pub(crate) fn build(schema: &Arc<ProfileSchema>, ids: &UserIds, rows: &[Row]) -> ProfileTable {
    let mut builder = TableBuilder::new(Arc::clone(schema));
    for (id, (age, city, income, owner, tags)) in ids.iter().zip(rows) {
        let values = [
            age.map(Value::Code),
            city.map(Value::Code),
            income.map(Value::Number),
            owner.map(Value::Flag),
            tags.as_deref().map(Value::Codes),
        ];
        builder.push_values(id, &values).unwrap();
    }
    builder.finish()
}

/// A table of up to `max` rows with attributes of every type.
pub(crate) fn tables(max: usize) -> impl Strategy<Value = (ProfileTable, Attributes)> {
    rows(max).prop_flat_map(|rows| {
        let n = rows.len();
        let texts = prop::collection::vec(prop::option::of("[ a-z,\"\n\rü]{0,5}[a-z]"), n);
        let numbers = prop::collection::vec(prop::option::of(number()), n);
        let flags = prop::collection::vec(prop::option::of(any::<bool>()), n);
        (Just(rows), ids(n), numbers, texts, flags).prop_map(|(rows, ids, numbers, texts, flags)| {
            let table = build(&Arc::new(all_kinds()), &ids, &rows);
            let mut attributes = Attributes::new();
            attributes.insert_number("spend", numbers).unwrap();
            attributes.insert_text("tier", texts).unwrap();
            attributes.insert_flag("active", flags).unwrap();
            (table, attributes)
        })
    })
}
