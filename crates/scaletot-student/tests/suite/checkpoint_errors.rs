//! Checkpoints of which no student can be made, and saved students that do not fit.

use std::fs;
use std::path::Path;

use crate::common::checkpoint::{USERS, checkpoint, edit_json, pretrained, rows, saved, student, student_of};
use crate::common::{batches_of, chain_schema, quick, records, sft, sign, table};
use burn::tensor::Device;
use scaletot_chain::{ChainSchema, StateDef};
use scaletot_core::causes;
use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder, Verbaliser};
use scaletot_student::{Error, Pretrained, Student};
use serde_json::{Value, json};

#[test]
fn what_does_not_fit_is_named() {
    let all = table(USERS, 1);
    for gone in [Value::Null, json!(99), json!([]), json!("x")] {
        let dir = checkpoint("llama", |dir| edit_json(dir.join("config.json"), |c| c["eos_token_id"] = gone));
        let error = student_of(dir.path(), &all).unwrap_err();
        assert!(matches!(&error, Error::Config(error) if error.field == "eos_token_id"), "{error}");
    }
    let missing = checkpoint("llama", |dir| fs::remove_file(dir.join("tokenizer.json")).unwrap());
    let missing = Pretrained::from_pretrained(missing.path(), &Device::default()).unwrap_err();
    assert!(matches!(&missing, Error::File(file) if file.path.ends_with("tokenizer.json")), "{missing}");
    // More words than the embedding has rows.
    let more = checkpoint("llama", |dir| {
        edit_json(dir.join("tokenizer.json"), |t| t["model"]["vocab"]["more"] = json!(40));
    });
    let more = student_of(more.path(), &all).unwrap_err();
    assert!(
        matches!(more, Error::Shape { what: "tokens of the checkpoint", expected: 40, found: 41 }),
        "{more}"
    );
    // The tokens of the chain, but no embedding for them.
    let words = saved(&student("llama", &all));
    let without = checkpoint("llama", |dir| {
        fs::copy(words.path().join("tokenizer.json"), dir.join("tokenizer.json")).unwrap();
    });
    let without = student_of(without.path(), &all).unwrap_err();
    assert!(
        matches!(without, Error::Shape { what: "tokens of the checkpoint", expected: 40, found: 51 }),
        "{without}"
    );
    // Words whose ids leave a gap, into which new ones would fall.
    let gap = checkpoint("llama", |dir| {
        edit_json(dir.join("tokenizer.json"), |t| {
            t["model"]["vocab"].as_object_mut().unwrap().remove("none");
            t["model"]["vocab"]["much"] = json!(39);
        });
    });
    let gap = student_of(gap.path(), &all).unwrap_err().to_string();
    assert!(gap.contains("token `<think>`: expected an id of its own, found 39, which is `much`"), "{gap}");
    // Some of the tokens are there, from another chain.
    let other =
        ChainSchema::builder("c").with_state(StateDef::ordinal("taste", ["mild", "cool"])).build().unwrap();
    let verbaliser = Verbaliser::fit(&all, 4).unwrap();
    let dir = saved(&student("qwen3", &all));
    let error_of = |chain: &ChainSchema, verbaliser: &Verbaliser| {
        Student::from_pretrained(&pretrained(dir.path()), verbaliser, all.schema(), chain).unwrap_err()
    };
    let between = error_of(&other, &verbaliser);
    assert!(between.to_string().contains("token `<state:taste=mild>`: expected id 42"), "{between}");
    let schema = ProfileSchema::builder("t").with_field(FieldSpec::boolean("b")).build().unwrap();
    let elsewhere = Verbaliser::fit(&TableBuilder::new(schema).finish(), 4).unwrap();
    let elsewhere = error_of(&chain_schema(), &elsewhere);
    assert!(matches!(elsewhere, Error::SchemaMismatch { what: "verbaliser", .. }), "{elsewhere}");
}

/// Nothing is cut: fields would be lost without a word.
#[test]
fn a_text_that_is_too_long_is_an_error() {
    let all = table(USERS, 1);
    let dir = checkpoint("llama", |dir| {
        edit_json(dir.join("config.json"), |c| c["max_position_embeddings"] = json!(30));
    });
    let student = student_of(dir.path(), &all).unwrap();
    let lengths: Vec<usize> = rows()
        .iter()
        .map(|&row| match student.tokenizer().encode_profile(&all, row) {
            Ok(ids) => ids.len() - 1,
            Err(Error::TooLong { row: which, most: 22, found }) => {
                assert_eq!(which, row);
                found
            }
            Err(other) => panic!("{other}"),
        })
        .collect();
    let long = lengths.iter().position(|len| *len > 22).unwrap();
    let short: Vec<usize> = rows().into_iter().filter(|&row| lengths[row] <= 22).collect();
    assert!(!short.is_empty());
    student.infer(&all, &short, &batches_of(8)).unwrap();
    let error = student.infer(&all, &[long], &batches_of(8)).unwrap_err().to_string();
    assert!(error.contains(&format!("row {long}: expected a text of at most 22 tokens")), "{error}");
    let error = sft(&student, &all, &records(&all), &quick(), 1, &()).unwrap_err();
    assert!(matches!(error, Error::TooLong { most: 22, .. }), "{error}");
}

#[test]
fn a_saved_student_that_does_not_fit_is_refused() {
    let all = table(USERS, 1);
    let broken = |edit: &dyn Fn(&Path)| {
        let dir = saved(&student("llama", &all));
        edit(dir.path());
        Student::load(dir.path(), &Device::default()).unwrap_err()
    };
    let replace = |dir: &Path, name: &str, from: &str, to: &str| {
        let text = fs::read_to_string(dir.join(name)).unwrap();
        assert!(text.contains(from));
        fs::write(dir.join(name), text.replace(from, to)).unwrap();
    };
    let error = broken(&|dir| {
        replace(dir, "chain_schema.json", "\"warm\"", "\"mild\"");
        sign(dir, |_| {});
    });
    assert!(matches!(error, Error::SchemaMismatch { what: "chain_schema.json", .. }), "{error}");
    for name in ["tokenizer.json", "model.safetensors", "profile_schema.json"] {
        let error = broken(&|dir| fs::write(dir.join(name), "{}").unwrap());
        assert!(matches!(&error, Error::Corrupt { path, .. } if path.ends_with(name)), "{error}");
        let error = broken(&|dir| fs::remove_file(dir.join(name)).unwrap());
        assert!(matches!(&error, Error::File(file) if file.path.ends_with(name)), "{error}");
    }
    let error = broken(&|dir| {
        replace(dir, "tokenizer.json", "<state:need>", "<state:wish>");
        sign(dir, |_| {});
    });
    assert!(matches!(&error, Error::Corrupt { path, .. } if path.ends_with("tokenizer.json")), "{error}");
    assert!(causes(&error).contains("token `<state:need>`: expected id 44"), "{error}");
    let error = broken(&|dir| {
        edit_json(dir.join("tokenizer.json"), |tokenizer| tokenizer["added_tokens"] = json!([]));
        sign(dir, |_| {});
    });
    assert!(error.to_string().contains("expected all tokens of the chain, found 11 too few"), "{error}");
    let error = broken(&|dir| edit_json(dir.join("config.json"), |c| c["scaletot"]["format"] = json!(3)));
    assert!(matches!(error, Error::Format { expected: 2, found: 3, .. }), "{error}");
    let error = broken(&|dir| edit_json(dir.join("config.json"), |c| c["rope_theta"] = json!(50)));
    assert!(causes(&error).contains("expected sha256"), "{error}");
    let error = broken(&|dir| sign(dir, |c| c["vocab_size"] = json!(50)));
    assert!(causes(&error).contains("embed_tokens"), "{error}");
    let error = broken(&|dir| sign(dir, |config| *config = config["scaletot"].clone()));
    assert!(error.to_string().contains("a checkpoint's keys beside a verbaliser"), "{error}");
    // A checkpoint is no student yet.
    let plain = checkpoint("llama", |_| ());
    let plain = Student::load(plain.path(), &Device::default()).unwrap_err().to_string();
    assert!(plain.contains("expected a saved student, found a checkpoint"), "{plain}");
}
