use proptest::prelude::*;
use scaletot_teacher::{Error, Prompter, Question, Rules, Teacher};

use crate::common::{chain_schema, profile_schema, prompter, table};

const RULES: &str = r#"
name = "expert"

[[rule]]
state = "need"
add = { low = 0.5 }

[[rule]]
state = "need"
when = { age = ["35-54", "55+"] }
add = { high = 1.0 }
note = "families eat more"

[[rule]]
state = "need"
when = { income = { at_least = 1500, below = 3000 }, owner = true }
add = { high = 0.25, low = -0.5 }

[[rule]]
state = "need"
when = { pets = "dog" }
add = { moderate = 2 }

[[rule]]
state = "need"
when = { age = { missing = true } }
add = { moderate = 0.125 }

[[rule]]
state = "capacity"
after = { need = ["moderate", "high"] }
add = { high = 3.0 }
"#;

fn rules(text: &str) -> Result<Rules, Error> {
    Rules::from_toml(text, &profile_schema(), &chain_schema())
}

/// What a rule set answers about a user with these cells.
fn ask(rules: &Rules, cells: [&str; 4], state: usize, path: &[u16]) -> (Vec<f64>, Vec<String>) {
    let mut users = scaletot_profile::TableBuilder::new(profile_schema());
    users.push_text(1, &cells).unwrap();
    let table = users.finish();
    let prompter = prompter(&table);
    let question = prompter.question(&table, 0, state, path);
    let answer = rules.answer(&question).unwrap();
    assert!((answer.covered_mass() - 1.0).abs() < 1e-12);
    (answer.log_probs, answer.evidence.unwrap())
}

/// Log-odds of each value against the first.
fn odds(log_probs: &[f64]) -> Vec<f64> {
    log_probs.iter().map(|lp| lp - log_probs[0]).collect()
}

fn close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12)
}

#[test]
fn rules_that_hold_add_up() {
    let rules = rules(RULES).unwrap();
    assert_eq!(rules.len(), 6);
    // Only the base rate: low at +0.5.
    let (answer, evidence) = ask(&rules, ["18-34", "", "", ""], 0, &[]);
    assert!(close(&odds(&answer), &[0.0, -0.5, -0.5]));
    assert!(evidence.is_empty());
    // Age, income and owner: low 0.5 − 0.5, high 1 + 0.25.
    let (answer, evidence) = ask(&rules, ["55+", "1500", "yes", "cat"], 0, &[]);
    assert!(close(&odds(&answer), &[0.0, 0.0, 1.25]));
    assert_eq!(evidence, ["age", "income", "owner"]);
    // The upper end of a range is outside of it; a dog is among the pets; age is missing, which is no evidence.
    let (answer, evidence) = ask(&rules, ["", "3000", "yes", "cat|dog"], 0, &[]);
    assert!(close(&odds(&answer), &[0.0, 1.625, -0.5]));
    assert_eq!(evidence, ["pets"]);
    // Earlier states.
    let (answer, _) = ask(&rules, ["55+", "", "", ""], 1, &[0]);
    assert!(close(&odds(&answer), &[0.0, 0.0, 0.0]));
    let (answer, _) = ask(&rules, ["55+", "", "", ""], 1, &[1]);
    assert!(close(&odds(&answer), &[0.0, 0.0, 3.0]));
}

#[test]
fn explains_itself() {
    let rules = rules(RULES).unwrap();
    let table = table(10);
    let held: Vec<_> = rules.explain(&table, 1, 0, &[]).map(|held| (held.rule, held.note)).collect();
    assert_eq!(held, [(1, None), (2, Some("families eat more")), (4, None)]);
    assert!(rules.model().starts_with("rules:expert:"));
    let changed = self::rules(&RULES.replace("3.0", "3.5")).unwrap();
    assert_ne!(changed.model(), rules.model(), "other rules are another model");
}

#[test]
fn refuses_questions_of_other_schemas() {
    let rules = rules(RULES).unwrap();
    let table = table(3);
    let other = scaletot_chain::ChainSchema::builder("other")
        .with_state(scaletot_chain::StateDef::ordinal("need", ["low", "high"]))
        .build()
        .unwrap();
    let question = Question::new(&other, 0, &[], &table, 0);
    assert!(matches!(rules.answer(&question), Err(Error::Answer { .. })));
}

#[test]
fn every_mistake_is_found_and_placed() {
    let rule = |body: &str| {
        format!("name = \"x\"\n[[rule]]\nstate = \"need\"\nadd = {{ low = 1 }}\n[[rule]]\n{body}")
    };
    for (body, place, message) in [
        ("state = \"ned\"\nadd = { low = 1 }", "rule 2 (state `ned`), state", "among [need, capacity"),
        (
            "state = \"need\"\nadd = { lo = 1 }",
            "rule 2 (state `need`), add.lo",
            "[low, moderate, high], found `lo`",
        ),
        ("state = \"need\"\nadd = {}", "add", "at least one value"),
        ("state = \"need\"\nadd = { low = inf }", "add.low", "within ±30, found inf"),
        ("state = \"need\"\nadd = { low = nan }", "add.low", "found NaN"),
        (
            "state = \"need\"\nwhen = { aeg = \"55+\" }\nadd = { low = 1 }",
            "when.aeg",
            "[age, income, owner, pets]",
        ),
        ("state = \"need\"\nwhen = { age = \"60+\" }\nadd = { low = 1 }", "when.age", "found `60+`"),
        ("state = \"need\"\nwhen = { age = [] }\nadd = { low = 1 }", "when.age", "at least one value"),
        (
            "state = \"need\"\nwhen = { age = true }\nadd = { low = 1 }",
            "when.age",
            "expected a value or a list",
        ),
        (
            "state = \"need\"\nwhen = { pets = \"cow\" }\nadd = { low = 1 }",
            "when.pets",
            "[cat, dog], found `cow`",
        ),
        ("state = \"need\"\nwhen = { income = \"5\" }\nadd = { low = 1 }", "when.income", "expected a range"),
        ("state = \"need\"\nwhen = { income = {} }\nadd = { low = 1 }", "when.income", "found neither"),
        (
            "state = \"need\"\nwhen = { income = { at_least = 5, below = 5 } }\nadd = { low = 1 }",
            "when.income",
            "found 5 and 5",
        ),
        (
            "state = \"need\"\nwhen = { income = { missing = true, below = 5 } }\nadd = { low = 1 }",
            "when.income",
            "found both",
        ),
        (
            "state = \"need\"\nwhen = { owner = { below = 5 } }\nadd = { low = 1 }",
            "when.owner",
            "expected true or false",
        ),
        // spend does not depend on the channel, need on nothing.
        (
            "state = \"spend\"\nafter = { channel = \"web\" }\nadd = { low = 1 }",
            "after.channel",
            "[need, capacity]",
        ),
        ("state = \"need\"\nafter = { need = \"low\" }\nadd = { low = 1 }", "after.need", "among []"),
        (
            "state = \"capacity\"\nafter = { need = \"none\" }\nadd = { low = 1 }",
            "after.need",
            "found `none`",
        ),
        ("state = \"need\"\nadd = { low = 1 }\nif = 3", "text", "unknown field `if`"),
        (
            "state = \"need\"\nwhen = { income = { over = 3 } }\nadd = { low = 1 }",
            "text",
            "{ missing = true }",
        ),
        ("state = \"need\"", "text", "missing field `add`"),
    ] {
        match rules(&rule(body)) {
            Err(Error::Rules { location, message: found }) => {
                assert!(location.contains(place), "{body}: at {location}, not {place}");
                assert!(found.contains(message), "{body}: {found}, not {message}");
            }
            Err(Error::Syntax { what, source }) => {
                assert!(what.contains(place), "{body}: in {what}, not {place}");
                assert!(source.to_string().contains(message), "{body}: {source}, not {message}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
    assert!(rules("name = \" \"").is_err());
    let error = Rules::load("no/such/file.toml", &profile_schema(), &chain_schema()).unwrap_err();
    assert!(error.to_string().contains("no/such/file.toml"), "{error}");
}

#[test]
fn a_rules_file_is_named_in_its_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    std::fs::write(&path, "name = \"x\"\n[[rule]]\nstate = \"need\"\nadd = { best = 1 }").unwrap();
    let error = Rules::load(&path, &profile_schema(), &chain_schema()).unwrap_err();
    assert!(error.to_string().contains("bad.toml, rule 1 (state `need`), add.best"), "{error}");
    std::fs::write(&path, RULES).unwrap();
    assert_eq!(Rules::load(&path, &profile_schema(), &chain_schema()).unwrap(), rules(RULES).unwrap());
}

proptest! {
    /// The algebra: two rules with one condition are one rule with the sum, and a constant over all values is nothing.
    #[test]
    fn sums_and_constants(a in -5.0..5.0_f64, b in -5.0..5.0_f64, c in -5.0..5.0_f64) {
        let when = "state = \"need\"\nwhen = { age = \"55+\" }\n";
        let two = rules(&format!("name = \"x\"\n[[rule]]\n{when}add = {{ high = {a} }}\n[[rule]]\n{when}add = {{ high = {b} }}"));
        let sum = a + b;
        let one = rules(&format!(
            "name = \"x\"\n[[rule]]\n{when}add = {{ high = {sum} }}\n\
             [[rule]]\nstate = \"need\"\nadd = {{ low = {c}, moderate = {c}, high = {c} }}"
        ));
        let cells = ["55+", "", "", ""];
        let (two, _) = ask(&two.unwrap(), cells, 0, &[]);
        let (one, _) = ask(&one.unwrap(), cells, 0, &[]);
        prop_assert!(two.iter().zip(&one).all(|(a, b)| (a - b).abs() < 1e-9), "{two:?} {one:?}");
    }
}

/// Rules look at the typed profile: users who read the same in words may get different answers.
#[test]
fn answers_are_not_mixed_up_by_equal_prompts() {
    let text =
        "name = \"x\"\n[[rule]]\nstate = \"need\"\nwhen = { income = { below = 100 } }\nadd = { low = 5 }";
    let rules = rules(text).unwrap();
    let mut users = scaletot_profile::TableBuilder::new(profile_schema());
    for (id, income) in [(1, "99"), (2, "101"), (3, "9000"), (4, "9001"), (5, "9002"), (6, "9003")] {
        users.push_text(id, &["", income, "", ""]).unwrap();
    }
    let table = users.finish();
    let verbaliser = scaletot_profile::Verbaliser::fit(&table, 2).unwrap();
    let prompter = Prompter::new(table.schema(), chain_schema(), verbaliser).unwrap();
    assert_eq!(prompter.prompt(&table, 0, 0, &[]), prompter.prompt(&table, 1, 0, &[]));
    let reasoner = scaletot_teacher::Reasoner::builder(rules, prompter).build().unwrap();
    let chain = |row| reasoner.reason(&table, row, 1).unwrap();
    assert_eq!(chain(0).best.unwrap().steps()[0].value, 0);
    assert!(chain(1).best.is_none(), "no rule held, so there is no evidence");
}
