//! Whole drafts: they load, and they answer.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use scaletot_chain::ChainSchema;
use scaletot_profile::{ProfileSchema, ReadOptions, Verbaliser, read_csv_from};
use scaletot_teacher::{Prompter, Reasoner, Rules};

use super::*;
use crate::tasks::Task;

/// A table with something awkward in every column.
fn awkward() -> String {
    let mut csv = "user id,age band,\"say \"\"hi\"\"\",inc{}ome,member,interests,joined,notes,const,spend_30d,ltv_90d\n".to_owned();
    for i in 0..60 {
        let age = ["18-34", "35-54", "55+", "NA"][i % 4];
        let income = if i % 5 == 0 { "-999".to_owned() } else { format!("{}", 1000 + 37 * (i % 29)) };
        let town = ["a\"b", "c\\d", "Ünï – 1", ""][i % 4];
        let interests = ["garden;books", "sports", ""][i % 3];
        let member = ["yes", "no"][i % 2];
        writeln!(
            csv,
            "u{i:03},{age},\"{}\",{income},{member},{interests},2024-01-{:02},note number {i},x,{},{}",
            town.replace('"', "\"\""),
            i % 28 + 1,
            i % 7,
            i % 5
        )
        .unwrap();
    }
    csv
}

fn draft_of(csv: &str, options: &DraftOptions) -> Result<Draft> {
    Draft::of(&RawTable::from_csv(csv.as_bytes())?, options)
}

/// The draft's files parse, fit the table, and its rules answer about every user.
fn check(csv: &str, draft: &Draft) {
    let schema = ProfileSchema::from_toml(draft.profile_schema())
        .unwrap_or_else(|error| panic!("{error}\n{}", draft.profile_schema()));
    let chain = ChainSchema::from_toml(draft.chain_schema()).unwrap();
    let rules = Rules::from_toml(draft.rules(), &schema, &chain)
        .unwrap_or_else(|error| panic!("{error}\n{}", draft.rules()));
    let task = Task::from_toml(draft.task(), Path::new(""))
        .unwrap_or_else(|error| panic!("{error}\n{}", draft.task()));
    assert_eq!((task.outcome.as_str(), task.source.numbered), (draft.outcome(), draft.id().is_none()));
    let mut read = ReadOptions::new().with_number(&task.outcome);
    if task.source.numbered {
        read = read.with_numbered_ids();
    }
    let loaded = read_csv_from(csv.as_bytes(), "table", &schema, &read).unwrap();
    let verbaliser = Verbaliser::fit(&loaded.profiles, task.level_config()).unwrap();
    let prompter = Prompter::new(&schema, chain, verbaliser).unwrap();
    let reasoner = Reasoner::builder(rules, prompter).build().unwrap();
    for row in 0..loaded.profiles.len() {
        reasoner.reason(&loaded.profiles, row, 0).unwrap();
    }
}

#[test]
fn an_awkward_table_gives_files_that_load() {
    let csv = awkward();
    let options = DraftOptions::new("my \"shop\"").with_subject("An owner").with_table("a\\b.csv");
    let draft = draft_of(&csv, &options).unwrap();
    check(&csv, &draft);
    assert_eq!((draft.id(), draft.outcome()), (Some("user id"), "ltv_90d"));
    let fields: Vec<&str> = draft.fields().map(|field| field.name.as_str()).collect();
    assert_eq!(fields, ["age band", "say \"hi\"", "inc{}ome", "member", "interests"]);
    let left: Vec<&str> = draft
        .columns()
        .iter()
        .filter(|(_, found)| matches!(found, ColumnUse::LeftOut { .. }))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(left, ["joined", "notes", "const", "spend_30d"]);
    assert!(draft.task().contains("leaks = [\"spend_30d\"]"), "{}", draft.task());
    assert!(draft.chain_schema().contains("this owner's spending capacity is"));

    let other =
        draft_of(&csv, &options.with_outcome("spend_30d").with_segment("age band").with_excluded("member"))
            .unwrap();
    check(&csv, &other);
    assert!(
        other.task().contains("segment = \"age band\"") && other.fields().all(|field| field.name != "member")
    );
}

#[test]
fn a_table_without_ids_is_numbered() {
    let mut csv = "town,size,revenue\n".to_owned();
    (0..30).for_each(|i| writeln!(csv, "{},{},{}", ["Ulm", "Bath"][i % 2], i % 4, i % 3).unwrap());
    let csv = csv.replace("town,", "member,");
    let draft = draft_of(&csv, &DraftOptions::new("shop")).unwrap();
    assert_eq!((draft.id(), draft.outcome()), (None, "revenue"));
    assert_eq!(draft.why_numbered(), Some("no column has a value of its own in every row"));
    check(&csv, &draft);

    // One id that stands twice, or is missing, is the most probable mistake of a table.
    let mut csv = "customer_id,size,revenue\n".to_owned();
    (0..30).for_each(|i| writeln!(csv, "c{},{},{}", i % 29, i % 4, i % 3).unwrap());
    let twice = draft_of(&csv, &DraftOptions::new("shop")).unwrap();
    let why = "column `customer_id` is an id by its name, but `c0` is in rows 1 and 30";
    assert_eq!((twice.id(), twice.why_numbered()), (None, Some(why)));
    assert!(twice.task().contains(why) && twice.profile_schema().contains(why), "{}", twice.task());
    let empty = draft_of(&csv.replace("c4,0,1", ",0,1"), &DraftOptions::new("shop")).unwrap();
    assert!(empty.why_numbered().unwrap().ends_with("but row 5 has none"), "{:?}", empty.why_numbered());
}

#[test]
fn a_value_that_comes_up_later_is_counted_as_unknown() {
    let mut csv = "id,town,kids,tags,ltv\n".to_owned();
    (0..30).for_each(|i| {
        let (town, tags) = (["Ulm", "Bath"][i % 2], ["a;b", "b;unknown"][i % 2]);
        writeln!(csv, "u{i},{town},{},{tags},{}", i % 4, i % 3).unwrap();
    });
    let draft = draft_of(&csv, &DraftOptions::new("shop")).unwrap();
    check(&csv, &draft);
    let schema = ProfileSchema::from_toml(draft.profile_schema()).unwrap();
    let later = "id,town,kids,tags\nu1,Rome,9,c;a\n";
    let read = read_csv_from(later.as_bytes(), "later", &schema, &ReadOptions::new()).unwrap();
    assert_eq!(read.profiles.populated(0), 3);
}

#[test]
fn tables_of_other_programs_are_drafted_for() {
    let mut csv = "\u{feff}id;town;kids;ltv\n".to_owned();
    (0..30).for_each(|i| {
        let (town, ltv) = (["Ulm", "Bath", "NA"][i % 3], ["NA", "0", "3"][i % 3]);
        writeln!(csv, "u{i};{town};{};{ltv}", i % 4).unwrap();
    });
    let draft = draft_of(&csv, &DraftOptions::new("shop").with_segment("town")).unwrap();
    check(&csv, &draft);
    assert_eq!((draft.id(), draft.outcome()), (Some("id"), "ltv"));
    let task = Task::from_toml(draft.task(), Path::new("")).unwrap();
    assert_eq!(task.missing, ["NA"]);
}

#[test]
fn what_is_measured_with_the_outcome_is_a_leak() {
    let mut csv = "id,town,visits_30d,spend_30d\n".to_owned();
    (0..30).for_each(|i| writeln!(csv, "u{i},{},{},{}", ["Ulm", "Bath"][i % 2], i % 12, i % 3).unwrap());
    let draft = draft_of(&csv, &DraftOptions::new("shop")).unwrap();
    check(&csv, &draft);
    assert_eq!(draft.outcome(), "spend_30d");
    assert!(draft.task().contains("leaks = [\"visits_30d\"]"), "{}", draft.task());
}

#[test]
fn what_cannot_be_drafted_is_refused_with_a_next_step() {
    let refused = |csv: &str, options: &DraftOptions| draft_of(csv, options).unwrap_err().to_string();
    let options = DraftOptions::new("shop");
    let none = refused("id,town,size\n1,Ulm,3\n2,Bath,4\n", &options);
    assert!(none.contains("no column looks like an outcome") && none.contains("`size`"), "{none}");
    let column = refused("id,ltv\n1,2\n", &options.clone().with_id("user"));
    assert!(column.contains("id: there is no column `user`; the columns are `id`, `ltv`"), "{column}");
    let negative = refused("id,town,ltv\n1,Ulm,-3\n2,Bath,4\n", &options.clone().with_outcome("ltv"));
    assert!(negative.contains("found \"-3\""), "{negative}");
    let text = refused("id,town,Outcome\n1,Ulm,yes\n2,Bath,no\n", &options);
    assert!(text.contains("`Outcome` is an outcome by its name, but row 1 has \"yes\""), "{text}");
    let minus = refused("id,town,sales,ltv\n1,Ulm,3,4\n2,Bath,4,-3\n3,Ulm,1,2\n", &options);
    assert!(minus.contains("`ltv` is an outcome by its name, but row 2 has \"-3\""), "{minus}");
    let fields = refused("id,town,ltv\n1,Ulm,3\n2,Ulm,4\n", &options);
    assert!(fields.contains("`town` (constant: every known value is \"Ulm\")"), "{fields}");
    assert!(refused("id,ltv\n", &options).contains("expected a table with rows"));
    let twice = refused("id,a,a,ltv\n1,2,3,1\n2,3,4,0\n", &options);
    assert!(twice.contains("`a` (another column has the same name: rename one of them)"), "{twice}");
    let twice = refused("id,a,a,ltv\n1,2,3,1\n2,3,4,0\n", &options.clone().with_segment("a"));
    assert!(twice.contains("segment: there are several columns `a`"), "{twice}");
    assert!(refused("id,ltv\n\"1\"x,2\n", &options).contains("after a closing quote"));
    assert!(draft_of("id,a\n1,2,3\n", &options).is_err(), "a row with too many cells");
    assert!(refused("id,ltv\n1,2\n", &DraftOptions::new("")).contains("`name`"));
}

proptest! {
    /// Whatever a column holds, what is drafted for it fits it.
    #[test]
    fn any_column_gives_a_schema_that_reads_it(
        name in "[a-zA-Z_\\{\\}\"# .é-]{1,12}",
        values in prop::collection::vec("[a-c0-2 ;|,<>+\\-\\[\\]\\.\"\\\\#=é]{0,5}", 2..9),
    ) {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record(["id", name.as_str(), "town", "ltv"]).unwrap();
        for i in 0..27 {
            let value = &values[i % values.len()];
            table.write_record([&format!("u{i}"), value, ["Ulm", "Bath"][i % 2], "1"]).unwrap();
        }
        let csv = String::from_utf8(table.into_inner().unwrap()).unwrap();
        prop_assume!(!["id", "town", "ltv"].contains(&name.as_str()));
        let options = DraftOptions::new("shop").with_id("id").with_outcome("ltv");
        check(&csv, &draft_of(&csv, &options).unwrap());
    }
}

#[test]
fn counts_that_are_mostly_zero_have_rules_that_fire() {
    let mut csv = "user,visits,ltv\n".to_owned();
    for i in 0..60 {
        writeln!(csv, "u{i:03},{},{}", if i % 4 == 0 { i + 3 } else { 0 }, i % 5).unwrap();
    }
    let draft = draft_of(&csv, &DraftOptions::new("shop")).unwrap();
    check(&csv, &draft);
    let rules = draft.rules();
    assert!(
        rules.contains("visits = { below = 3 }") && rules.contains("visits = { at_least = 3 }"),
        "{rules}"
    );
    assert!(draft.profile_schema().contains("`rendered = false`"), "{}", draft.profile_schema());
}
