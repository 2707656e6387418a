//! Schemas: round trips, hashes, and what is refused.

use proptest::prelude::*;
use scaletot_core::causes;
use scaletot_profile::{Error, FieldKind, FieldSpec, ProfileSchema, UnknownPolicy};

const TOML: &str = r#"
name = "shop"
subject = "A customer"
id = "customer"

[[field]]
name = "age"
kind = "ordinal"
values = ["18-34", "35-54", "55+"]
phrase = "aged {}"
missing = ["NA"]
words = { "55+" = "55 or older" }

[[field]]
name = "city"
kind = "categorical"
values = ["Bath", "Ulm"]
unknown = "bucket"

[[field]]
name = "income"
kind = "numeric"
description = "What the household earns"
min = 0
max = 1e7
unit = "EUR a year"

[[field]]
name = "owner"
kind = "boolean"

[[field]]
name = "tags"
kind = "multi"
values = ["a", "b"]
separator = ";"
"#;

/// This literal is what artifacts and corpora out in the world hold: if it changes, they no longer load.
#[test]
fn the_hash_is_pinned() {
    let schema = ProfileSchema::from_toml(TOML).unwrap();
    assert_eq!(schema.hash().to_string(), "a0cb6ed81cb70736b83e8f0239af8fb7eea5c68727d32c3dd8ab8282c3b79ead");
    assert_eq!(
        schema.wording_hash().to_string(),
        "5809aed82abb0322a5569a21db7152b9a9f8eb0db756be57d18d2062c81bdae2"
    );
}

#[test]
fn the_hash_does_not_depend_on_the_order_of_keys_or_the_format() {
    let json = r#"{
        "field": [
            {"words": {"55+": "55 or older"}, "values": ["18-34", "35-54", "55+"], "kind": "ordinal", "name": "age",
             "missing": ["NA"], "phrase": "aged {}"},
            {"unknown": "bucket", "name": "city", "values": ["Bath", "Ulm"], "kind": "categorical"},
            {"unit": "EUR a year", "max": 10000000, "min": -0.0, "kind": "numeric", "name": "income",
             "description": "What the household earns"},
            {"kind": "boolean", "name": "owner"},
            {"separator": ";", "values": ["a", "b"], "kind": "multi", "name": "tags"}
        ],
        "id": "customer", "name": "shop", "subject": "A customer"
    }"#;
    let (a, b) = (ProfileSchema::from_toml(TOML).unwrap(), ProfileSchema::from_json(json).unwrap());
    assert_eq!(a, b);
    assert_eq!((a.hash(), a.wording_hash()), (b.hash(), b.wording_hash()));
}

/// Every change of meaning changes the hash; changes of reading and wording do not.
#[test]
fn the_hash_is_of_the_meaning() {
    let hash = |toml: &str| ProfileSchema::from_toml(toml).unwrap().hash();
    let original = hash(TOML);
    for (from, to) in [
        (r#""18-34", "35-54""#, r#""35-54", "18-34""#),
        (r#""ordinal""#, r#""categorical""#),
        (r#"unknown = "bucket""#, ""),
        (r#""Bath""#, r#""York""#),
        ("min = 0", "min = 1"),
        ("max = 1e7", ""),
        ("EUR a year", "USD a year"),
        (r#"name = "owner""#, r#"name = "holder""#),
        (r#"values = ["a", "b"]"#, r#"values = ["a", "b", "c"]"#),
    ] {
        assert!(TOML.contains(from));
        assert_ne!(hash(&TOML.replace(from, to)), original, "{from} -> {to}");
    }
    for (from, to) in [
        (r#"name = "shop""#, r#"name = "store""#),
        (r#"id = "customer""#, r#"id = "user""#),
        ("A customer", "A household"),
        ("aged {}", "{} years old"),
        (r#"missing = ["NA"]"#, r#"missing = ["n/a"]"#),
        (r#"separator = ";""#, r#"separator = "/""#),
        ("55 or older", "over 54"),
        ("What the household earns", "Income"),
    ] {
        assert!(TOML.contains(from));
        assert_eq!(hash(&TOML.replace(from, to)), original, "{from} -> {to}");
    }
    let wording = |toml: &str| ProfileSchema::from_toml(toml).unwrap().wording_hash();
    for (from, to) in [("A customer", "A household"), ("aged {}", "{} years old"), ("55 or older", "over 54")]
    {
        assert_ne!(wording(&TOML.replace(from, to)), wording(TOML), "{from} -> {to}");
    }
}

#[test]
fn the_parts_are_what_the_file_says() {
    let schema = ProfileSchema::from_toml(TOML).unwrap();
    assert_eq!((schema.name(), schema.subject(), schema.id_column()), ("shop", "A customer", "customer"));
    assert_eq!(schema.field_index("owner"), Some(3));
    assert_eq!(schema.field_index("nothing"), None);
    let FieldKind::Categorical(city) = schema.fields()[1].kind() else { panic!("city is categorical") };
    assert_eq!((city.cardinality(), city.code_of("Ulm"), city.code_of("York")), (3, Some(1), Some(2)));
    assert_eq!((city.label(1), city.label(2), city.label(3)), (Some("Ulm"), Some("unknown"), None));
    let FieldKind::Ordinal(age) = schema.fields()[0].kind() else { panic!("age is ordinal") };
    assert_eq!((age.cardinality(), age.code_of("55+"), age.code_of("56")), (3, Some(2), None));
    assert_eq!(schema.fields()[2].unit(), Some("EUR a year"));
    assert_eq!(
        ProfileSchema::from_toml("name=\"a\"\nid=\"b\"\n[[field]]\nname=\"c\"\nkind=\"boolean\"")
            .unwrap()
            .subject(),
        "A user"
    );
}

#[test]
fn contradictions_are_refused() {
    let message = |toml: &str| causes(&ProfileSchema::from_toml(toml).unwrap_err());
    for (from, to, says) in [
        (r#"name = "shop""#, r#"name = " ""#, "the schema needs a name"),
        (r#"id = "customer""#, r#"id = "age""#, "field \"age\": this is the id column's name"),
        (r#"name = "city""#, r#"name = "age""#, "field \"age\": the name occurs twice"),
        (r#"name = "city""#, r#"name = " city""#, "without blanks"),
        (r#"["Bath", "Ulm"]"#, "[]", "at least one value"),
        (r#"["Bath", "Ulm"]"#, r#"["Bath", "Bath"]"#, "\"Bath\" is listed twice"),
        (r#"["Bath", "Ulm"]"#, r#"["Bath", "unknown"]"#, "the bucket's own name"),
        (r#"["Bath", "Ulm"]"#, r#"["Bath", " Ulm"]"#, "without blanks at their ends"),
        (r#"["a", "b"]"#, r#"["a;", "b"]"#, "contains the separator"),
        (r#"separator = ";""#, r#"separator = """#, "`separator` must not be empty"),
        ("min = 0", "min = 1e8", "`min` must not exceed `max`"),
        ("min = 0", "min = nan", "must be finite"),
        ("min = 0", "values = [\"x\"]", "`values` does not apply"),
        (r#"kind = "boolean""#, "kind = \"boolean\"\nmin = 0", "`min` does not apply"),
        ("aged {}", "aged", "must hold one {}"),
        ("aged {}", "{} to {}", "found 2"),
        (r#"{ "55+" = "#, r#"{ "56+" = "#, "which is not among the values"),
        (r#"missing = ["NA"]"#, r#"missing = ["55+"]"#, "both a value and a token for missing"),
        (
            r#"kind = "boolean""#,
            "kind = \"boolean\"\nwords = { yes = \"x\" }",
            "this kind of field takes \"false\", \"true\"",
        ),
    ] {
        assert!(TOML.contains(from), "{from}");
        let message = message(&TOML.replace(from, to));
        assert!(message.contains(says), "{from} -> {to}: {message}");
        assert!(message.contains("profile schema"), "{message}");
    }
    assert!(message("name = \"a\"\nid = \"b\"").contains("at least one field"));
    let message = message(&TOML.replace("phrase", "phrased"));
    assert!(message.contains("unknown field `phrased`") && message.contains("line"), "{message}");
    assert!(
        ProfileSchema::from_json("{").unwrap_err().to_string().contains("expected a profile schema in JSON")
    );
}

#[test]
fn files_load_and_save_by_extension() {
    let dir = tempfile::tempdir().unwrap();
    let schema = ProfileSchema::from_toml(TOML).unwrap();
    for name in ["a.toml", "a.json", "A.TOML"] {
        let path = dir.path().join(name);
        schema.save(&path).unwrap();
        assert_eq!(ProfileSchema::load(&path).unwrap(), schema);
    }
    assert!(schema.save(dir.path().join("a.yaml")).unwrap_err().to_string().contains(".toml or .json"));
    let path = dir.path().join("bad.toml");
    std::fs::write(&path, "name = 3").unwrap();
    assert!(
        ProfileSchema::load(&path)
            .unwrap_err()
            .to_string()
            .contains("bad.toml: expected a profile schema in TOML")
    );
    assert!(
        ProfileSchema::load(dir.path().join("none.toml")).unwrap_err().to_string().contains("cannot open")
    );
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 äß\"'\\\\=#\\[\\]{}\n\t,.+-]{0,8}[a-z]"
}

fn spec(index: usize) -> impl Strategy<Value = FieldSpec> {
    let values = prop::collection::btree_set("[a-z][a-zA-Z0-9äß \"'\\\\=#\n+,.-]{0,8}[a-z]", 1..5);
    let name = text().prop_map(move |text| format!("{index}{}", text.replace(['\n', '\t'], "_")));
    let texts =
        (prop::option::of(text()), prop::option::of(text()), prop::collection::vec("[A-Z]{2,3}", 0..3));
    (name, 0..5u8, values, texts, any::<bool>(), prop::option::of(-1e9..1e9f64)).prop_map(
        |(name, kind, values, (description, phrase, missing), flag, bound)| {
            let word = values.iter().next().cloned().unwrap();
            let mut spec = match kind {
                0 => FieldSpec::categorical(name, values).with_word(word, "a, \"b\""),
                1 => FieldSpec::ordinal(name, values),
                2 => FieldSpec::multi(name, values).with_separator(";;"),
                3 => FieldSpec::numeric(name).with_unit("m/s").with_word("very low", "hardly any"),
                _ => FieldSpec::boolean(name).with_word("true", "yes!"),
            };
            if kind < 3 && flag {
                spec = spec.with_unknown(UnknownPolicy::Bucket);
            }
            if let Some(bound) = bound.filter(|_| kind == 3) {
                spec = if flag { spec.with_min(bound) } else { spec.with_max(bound) };
            }
            if let Some(description) = description {
                spec = spec.with_description(description);
            }
            if let Some(phrase) = phrase {
                spec = spec.with_phrase(format!("{} {{}}", phrase.replace("{}", "")));
            }
            spec.with_missing(missing)
        },
    )
}

fn schemas() -> impl Strategy<Value = ProfileSchema> {
    let fields = (1..6usize).prop_flat_map(|n| (0..n).map(spec).collect::<Vec<_>>());
    (text(), text(), fields).prop_map(|(name, subject, fields)| {
        let builder = ProfileSchema::builder(name).with_subject(subject).with_id_column("the id");
        fields.into_iter().fold(builder, |builder, field| builder.with_field(field)).build().unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn schemas_read_back_from_toml_and_json(schema in schemas()) {
        let toml = ProfileSchema::from_toml(&schema.to_toml().unwrap()).unwrap();
        let json = ProfileSchema::from_json(&schema.to_json().unwrap()).unwrap();
        prop_assert_eq!(&toml, &schema);
        prop_assert_eq!(&json, &schema);
        prop_assert_eq!((toml.hash(), toml.wording_hash()), (schema.hash(), schema.wording_hash()));
    }
}

/// Whatever is done once for each value is done in about the same time for each.
#[test]
fn a_field_may_have_hundreds_of_thousands_of_values() {
    let values = 100_000u32;
    let names = || (0..values).map(|value| format!("v{value}"));
    let field = FieldSpec::categorical("c", names()).with_missing((0..1000).map(|token| format!("m{token}")));
    let schema = ProfileSchema::builder("large").with_field(field).build().unwrap();
    let text = schema.to_json().unwrap();
    let back = ProfileSchema::from_json(&text).unwrap();
    assert_eq!((back.hash(), back.wording_hash()), (schema.hash(), schema.wording_hash()));
    let domain = schema.fields()[0].kind().domain().unwrap();
    assert!((0..values).zip(names()).all(|(code, value)| domain.code_of(&value) == Some(code)));
    let twice = names().chain(["v7".to_owned()]);
    let error = ProfileSchema::builder("large").with_field(FieldSpec::categorical("c", twice)).build();
    assert!(error.unwrap_err().to_string().contains(r#"the value "v7" is listed twice"#));
}

#[test]
fn thousands_of_fields_are_told_apart() {
    let fields = 20_000;
    let all = (0..fields).fold(ProfileSchema::builder("wide"), |schema, field| {
        schema.with_field(FieldSpec::numeric(format!("f{field}")))
    });
    assert_eq!(all.clone().build().unwrap().fields().len(), fields);
    let error = all.with_field(FieldSpec::boolean("f9")).build().unwrap_err().to_string();
    assert!(error.contains(r#"field "f9": the name occurs twice"#), "{error}");
}

#[test]
fn a_parsers_message_is_cut() {
    for error in [
        ProfileSchema::from_toml(&format!("name = \"{}", "x".repeat(1 << 20))).unwrap_err(),
        ProfileSchema::from_json(&format!("{{\"{}\": 1}}", "x".repeat(1 << 20))).unwrap_err(),
    ] {
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(matches!(error, Error::Syntax { .. }) && source.len() < 2100, "{}", source.len());
    }
}
