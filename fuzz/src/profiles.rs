//! Profiles with a field of each kind.

use scaletot_profile::{FieldSpec, ProfileSchema, ProfileTable, ReadOptions, TableBuilder};

/// A field of each kind.
#[must_use]
pub fn schema() -> ProfileSchema {
    ProfileSchema::builder("shop")
        .with_field(FieldSpec::ordinal("age", ["1", "2", "3"]))
        .with_field(FieldSpec::numeric("income").with_min(0.0))
        .with_field(FieldSpec::boolean("member"))
        .with_field(FieldSpec::multi("likes", ["food", "toys"]))
        .with_field(FieldSpec::categorical("home", ["rent", "own"]).with_missing(["NA"]))
        .build()
        .expect("a valid schema")
}

/// A further column of each type.
#[must_use]
pub fn options() -> ReadOptions {
    ReadOptions::new().with_number("spend").with_text("tier").with_flag("active").with_missing(["NA"])
}

/// Profiles of which some cells, and of one all, are missing.
#[must_use]
pub fn table() -> ProfileTable {
    let mut table = TableBuilder::new(schema());
    table.push_text(0, &["", "", "", "", ""]).expect("a valid row");
    for id in 1..24i64 {
        let age = ["1", "2", "3", ""][id as usize % 4];
        let income = if id % 5 == 0 { String::new() } else { (id * id % 17).to_string() };
        let member = ["yes", "no", ""][id as usize % 3];
        let likes = ["food", "food|toys", "", "toys", "food"][id as usize % 5];
        let home = ["own", "rent", "rent", "NA"][id as usize / 2 % 4];
        table.push_text(id, &[age, &income, member, likes, home]).expect("a valid row");
    }
    table.finish()
}
