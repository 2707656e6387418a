//! Schemas: what is refused and how, files, identity.

use crate::common;
use proptest::prelude::*;
use scaletot_chain::{ChainSchema, Constraint, Error, StateDef, StateKind};
use scaletot_core::causes;

const SHOPPER: &str = r#"
name = "shopper"

[[state]]
name = "channel"
kind = "categorical"
values = ["shop", "web"]

[[state]]
name = "need"
kind = "ordinal"
description = "how much the household needs"
cue = "this household's need is"
values = ["low", "high"]

[[state]]
name = "spend"
kind = "ordinal"
values = ["low", "moderate", "very high"]
depends_on = ["channel", "need"]

[[constraint]]
when = { need = "low", channel = "shop" }
state = "spend"
forbid = ["very high", "moderate"]

[[constraint]]
when = { channel = "web" }
state = "spend"
forbid = ["very high"]
"#;

fn shopper() -> ChainSchema {
    ChainSchema::from_toml(SHOPPER).unwrap()
}

/// The message for `SHOPPER` with one text in it replaced.
fn refusal(from: &str, to: &str) -> String {
    assert_eq!(SHOPPER.matches(from).count(), 1, "{from}");
    causes(&ChainSchema::from_toml(&SHOPPER.replace(from, to)).unwrap_err())
}

#[test]
fn a_file_reads_as_it_is_written() {
    let schema = shopper();
    assert_eq!((schema.name(), schema.len(), schema.outcome_state()), ("shopper", 3, 2));
    let [channel, need, spend] = schema.states() else { panic!() };
    assert_eq!(
        (channel.kind(), channel.ordinal(), channel.description()),
        (StateKind::Categorical, false, "")
    );
    assert_eq!(channel.cue(), "this user's channel is");
    assert_eq!((need.name(), need.cue()), ("need", "this household's need is"));
    assert_eq!((need.code_of("high"), need.code_of("huge")), (Some(1), None));
    assert_eq!((need.value(1), need.value(2)), (Some("high"), None));
    assert_eq!(spend.values(), ["low", "moderate", "very high"]);
    assert_eq!(spend.depends_on(), [0, 1]);
    assert_eq!(schema.constraints()[0].forbid(), ["very high", "moderate"]);
    assert_eq!(schema.allowed(2, &[0, 0]), [true, false, false]);
    assert_eq!(schema.allowed(2, &[1, 1]), [true, true, false]);
    assert_eq!(schema.describe(&[1, 0, 9]), "channel = web, need = low, spend = #9");
}

#[test]
fn bad_states_are_refused() {
    assert_eq!(
        refusal(r#"name = "need""#, r#"name = "channel""#),
        "states 1 and 2 are both named `channel`: a state's name must be unique"
    );
    assert_eq!(
        refusal(r#"values = ["shop", "web"]"#, r#"values = ["shop", "web", "shop"]"#),
        "state `channel`: value `shop` is listed twice"
    );
    assert_eq!(
        refusal(r#"values = ["shop", "web"]"#, "values = []"),
        "state `channel`: expected at least 1 value(s), found 0"
    );
    assert_eq!(
        refusal(
            r#""very high"]
depends_on"#,
            r#""very high "]
depends_on"#
        ),
        r#"value 3 of state `spend` "very high ": must not begin or end with white space"#
    );
    assert_eq!(refusal(r#"name = "need""#, r#"name = """#), r#"name of state 2 "": must not be empty"#);
    assert_eq!(
        refusal(r#"name = "need""#, r#"name = "ne\ned""#),
        r#"name of state 2 "ne\ned": must not contain control characters"#
    );
    assert_eq!(
        refusal("need is\"", "need is \""),
        r#"cue of state `need` "this household's need is ": must not begin or end with white space"#
    );
    assert_eq!(
        refusal("the household needs", "the household\\u0000needs"),
        r#"description of state `need` "how much the household\0needs": must not contain control characters"#
    );
    assert_eq!(refusal(r#""shopper""#, r#""""#), r#"name of the chain schema "": must not be empty"#);
    assert_eq!(
        ChainSchema::from_toml("name = \"s\"").unwrap_err().to_string(),
        "chain schema `s`: expected at least one state, found none"
    );
}

#[test]
fn the_outcome_state_must_be_ordinal_with_two_values() {
    let build = |last| ChainSchema::builder("s").with_state(last).build().unwrap_err().to_string();
    assert_eq!(
        build(StateDef::categorical("a", ["x", "y"])),
        "state `a` is the last one and so linked to the outcome: expected kind \"ordinal\", found \"categorical\""
    );
    assert_eq!(build(StateDef::ordinal("a", ["x"])), "state `a`: expected at least 2 value(s), found 1");
    // Any other state may be without a choice.
    let single = StateDef::categorical("a", ["x"]);
    let schema = ChainSchema::builder("s")
        .with_state(single)
        .with_state(StateDef::ordinal("b", ["x", "y"]))
        .build()
        .unwrap();
    assert_eq!(schema.legal_count(), 2);
}

#[test]
fn bad_dependencies_are_refused() {
    let depends = |to: &str| refusal(r#"depends_on = ["channel", "need"]"#, &format!("depends_on = {to}"));
    assert_eq!(
        depends(r#"["chanel"]"#),
        "state `spend` depends on `chanel`, which is not a state of this schema; earlier states: channel, need"
    );
    assert_eq!(depends(r#"["spend"]"#), "state `spend` depends on `spend`, which does not come before it");
    assert_eq!(depends(r#"["need", "need"]"#), "state `spend` lists its dependency `need` twice");
    let cue = "cue = \"this household's need is\"";
    assert_eq!(
        refusal(cue, &format!("{cue}\ndepends_on = [\"spend\"]")),
        "state `need` depends on `spend`, which does not come before it"
    );
}

#[test]
fn bad_constraints_are_refused() {
    let second =
        |to: &str| refusal("when = { channel = \"web\" }\nstate = \"spend\"\nforbid = [\"very high\"]", to);
    let constraint = |when: &str, state: &str, forbid: &str| {
        second(&format!("when = {{{when}}}\nstate = \"{state}\"\nforbid = [{forbid}]"))
    };
    assert_eq!(constraint("", "spend", r#""low""#), "constraint 2: `when` is empty");
    assert_eq!(constraint(r#"need = "low""#, "spend", ""), "constraint 2: `forbid` is empty");
    assert_eq!(
        constraint(r#"ned = "low""#, "spend", r#""low""#),
        "constraint 2: `ned` is not a state of this schema; states: channel, need, spend"
    );
    assert_eq!(
        constraint(r#"need = "low""#, "spent", r#""low""#),
        "constraint 2: `spent` is not a state of this schema; states: channel, need, spend"
    );
    assert_eq!(
        constraint(r#"need = "lo""#, "spend", r#""low""#),
        "constraint 2: `lo` is not a value of state `need`; values: low, high"
    );
    assert_eq!(
        constraint(r#"need = "low""#, "spend", r#""huge""#),
        "constraint 2: `huge` is not a value of state `spend`; values: low, moderate, very high"
    );
    assert_eq!(
        constraint(r#"spend = "low""#, "need", r#""low""#),
        "constraint 2: its condition is on `spend`, which does not come before `need`"
    );
    assert_eq!(
        constraint(r#"need = "low""#, "need", r#""high""#),
        "constraint 2: its condition is on `need`, which does not come before `need`"
    );
    assert_eq!(
        constraint(r#"need = "low""#, "spend", r#""low", "low""#),
        "constraint 2: `low` of state `spend` is forbidden twice"
    );
    assert_eq!(
        constraint(r#"channel = "web""#, "need", r#""low", "high""#),
        "the constraints leave state `need` without a value after channel = web; forbid one of those values instead"
    );
}

#[test]
fn unknown_keys_and_wrong_shapes_are_refused_with_their_place() {
    let message = refusal(r#"depends_on = ["channel", "need"]"#, r#"depend_on = ["need"]"#);
    assert!(message.starts_with("not a chain schema in TOML: ") && message.contains("line 20"), "{message}");
    assert!(message.contains("unknown field `depend_on`"), "{message}");
    let message = refusal("kind = \"categorical\"", "kind = \"nominal\"");
    assert!(message.contains("line 6") && message.contains("`categorical`"), "{message}");
    let message = causes(&ChainSchema::from_json("{\"name\": \"s\",\n \"state\": 3}").unwrap_err());
    assert!(message.starts_with("not a chain schema in JSON: ") && message.contains("line 2"), "{message}");
}

#[test]
fn serde_checks_too() {
    let json = shopper().to_json().unwrap();
    let read: ChainSchema = serde_json::from_str(&json).unwrap();
    assert_eq!(read, shopper());
    let error = serde_json::from_str::<ChainSchema>(&json.replace("\"web\"", "\"shop\"")).unwrap_err();
    assert!(error.to_string().contains("state `channel`: value `shop` is listed twice"), "{error}");
}

#[test]
fn the_hash_is_pinned() {
    // SHA-256 of the canonical form, computed once outside this crate. If this fails, hashes in users' corpora and
    // artifacts have silently changed their meaning.
    assert_eq!(
        shopper().hash().to_string(),
        "1ff47aad504ed90de0d49834655d7f0d5be5dea549a7d4a06ac3050a6de89114"
    );
}

#[test]
fn the_hash_ignores_what_has_no_meaning() {
    let reordered = r#"
[[constraint]]
forbid = ["very high"]
state = "spend"
when = { channel = "web" }

[[state]]
values = ["shop", "web"]
cue = "this user's channel is"
kind = "categorical"
depends_on = []
name = "channel"

[[state]]
cue = "this household's need is"
values = ["low", "high"]
description = "how much the household needs"
kind = "ordinal"
name = "need"

[[state]]
depends_on = ["need", "channel"]
values = ["low", "moderate", "very high"]
name = "spend"
kind = "ordinal"

[[constraint]]
state = "spend"
forbid = ["moderate", "very high"]
when = { channel = "shop", need = "low" }
"#;
    // TOML wants top-level keys before tables.
    let reordered = format!("name = \"shopper\"\n{reordered}");
    assert_eq!(ChainSchema::from_toml(&reordered).unwrap().hash(), shopper().hash());
}

#[test]
fn the_hash_sees_every_part() {
    let changes = [
        ("\"shopper\"", "\"buyer\""),
        ("how much the household needs", "what the household needs"),
        ("this household's need is", "the need of this household is"),
        (r#"["low", "high"]"#, r#"["low", "high", "huge"]"#),
        (r#"["shop", "web"]"#, r#"["web", "shop"]"#),
        ("kind = \"categorical\"", "kind = \"ordinal\""),
        (r#"depends_on = ["channel", "need"]"#, r#"depends_on = ["channel"]"#),
        ("when = { channel = \"web\" }", "when = { channel = \"shop\" }"),
        (r#"forbid = ["very high"]"#, r#"forbid = ["low"]"#),
    ];
    let mut hashes = vec![shopper().hash()];
    for (from, to) in changes {
        assert_eq!(SHOPPER.matches(from).count(), 1, "{from}");
        hashes.push(ChainSchema::from_toml(&SHOPPER.replace(from, to)).unwrap().hash());
    }
    let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
    assert_eq!(distinct.len(), hashes.len());
}

#[test]
fn files_are_saved_and_loaded_by_extension() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.toml", "a.json", "a.JSON"] {
        let path = folder.path().join(name);
        shopper().save(&path).unwrap();
        shopper().save(&path).unwrap();
        assert_eq!(ChainSchema::load(&path).unwrap(), shopper());
    }
    let error = ChainSchema::load(folder.path().join("a.yaml")).unwrap_err();
    assert!(
        error.to_string().ends_with("a.yaml: expected a chain schema file ending in .toml or .json"),
        "{error}"
    );
    let error = ChainSchema::load(folder.path().join("none.toml")).unwrap_err();
    assert!(matches!(&error, Error::Io { action: "open", .. }), "{error}");
    let bad = folder.path().join("bad.toml");
    std::fs::write(&bad, SHOPPER.replace("\"web\"]", "\"shop\"]")).unwrap();
    let error = ChainSchema::load(&bad).unwrap_err();
    let message = causes(&error);
    assert!(message.ends_with("bad.toml: state `channel`: value `shop` is listed twice"), "{message}");
    assert!(shopper().save(folder.path().join("no/such/folder.toml")).is_err());
}

#[test]
fn a_schema_can_be_extended() {
    let schema = shopper()
        .into_builder()
        .with_state(StateDef::ordinal("value", ["low", "high"]).with_depends_on(["spend"]))
        .with_constraint(Constraint::new([("spend", "low")], "value", ["high"]))
        .build()
        .unwrap();
    assert_eq!(schema.len(), 4);
    assert_eq!(schema.allowed(3, &[1, 1, 0]), [true, false]);
    assert_eq!(shopper().into_builder().build().unwrap(), shopper());
}

#[test]
fn expected_level_is_the_mean_code_over_the_top_code() {
    let schema = shopper();
    assert_eq!(schema.expected_level(&[1.0, 0.0, 0.0]), 0.0);
    assert_eq!(schema.expected_level(&[0.0, 0.0, 1.0]), 1.0);
    assert_eq!(schema.expected_level(&[2.0, 2.0, 4.0]), (0.25 + 2.0 * 0.5) / 2.0);
    for bad in [
        &[][..],
        &[0.5, 0.5],
        &[0.0; 3],
        &[-1.0, 1.0, 1.0],
        &[f64::NAN, 0.0, 1.0],
        &[f64::INFINITY, 0.0, 1.0],
    ] {
        assert!(schema.expected_level(bad).is_nan(), "{bad:?}");
    }
}

#[test]
fn types_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + std::fmt::Debug>() {}
    shared::<ChainSchema>();
    shared::<scaletot_chain::ChainRecord>();
    shared::<scaletot_chain::CorpusHeader>();
    fn sent<T: Send + Sync>() {}
    sent::<scaletot_chain::CorpusWriter>();
    sent::<Error>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn schemas_come_back_from_text(schema in common::schema()) {
        for read in [
            ChainSchema::from_toml(&schema.to_toml().unwrap()).unwrap(),
            ChainSchema::from_json(&schema.to_json().unwrap()).unwrap(),
        ] {
            prop_assert_eq!(&read, &schema);
            prop_assert_eq!(read.hash(), schema.hash());
        }
    }

    #[test]
    fn expected_level_lies_in_the_unit_interval(schema in common::schema(), numbers in common::numbers()) {
        let size = schema.domain_size(schema.outcome_state());
        let level = schema.expected_level(&numbers[..size]);
        prop_assert!((0.0..=1.0).contains(&level));
    }

    #[test]
    fn any_text_survives_in_names_and_cues(text in "\\PC{1,12}") {
        prop_assume!(text.trim() == text && !text.chars().any(char::is_control));
        let schema = ChainSchema::builder(text.clone())
            .with_state(StateDef::ordinal(text.clone(), ["a".to_owned(), format!("b{text}")]).with_cue(text.clone()))
            .build()
            .unwrap();
        prop_assert_eq!(&ChainSchema::from_toml(&schema.to_toml().unwrap()).unwrap(), &schema);
        prop_assert_eq!(&ChainSchema::from_json(&schema.to_json().unwrap()).unwrap(), &schema);
    }
}
