//! Students of the tiny checkpoints among the fixtures.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use scaletot_profile::{ProfileTable, Verbaliser};
use scaletot_student::{Error, Pretrained, Student};
use serde_json::{Value, json};

use super::chain_schema;

pub(crate) const USERS: usize = 40;

const WORDS: &str = "<pad> <s> </s> <unk> A user whose colour is red green blue grey income very low high moderate size s m l \
    member yes no tags a b c and , . taste warm cool need spend some much none";

/// A directory with a fixture of that name, in which `edit` may change files. The words of most fixtures say nothing; they get
/// those that profiles are said in, as many as the embedding has rows.
pub(crate) fn checkpoint(name: &str, edit: impl FnOnce(&Path)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pretrained").join(name);
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(from.join(file), dir.path().join(file)).unwrap();
    }
    if name != "qwen3_text" {
        let path = dir.path().join("tokenizer.json");
        let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let words: serde_json::Map<_, _> =
            WORDS.split(' ').zip(0..).map(|(w, id)| (w.into(), json!(id))).collect();
        tokenizer["model"]["vocab"] = words.into();
        tokenizer["model"]["unk_token"] = json!("<unk>");
        fs::write(path, tokenizer.to_string()).unwrap();
    }
    edit(dir.path());
    dir
}

pub(crate) fn edit_json(path: PathBuf, edit: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

pub(crate) fn pretrained(dir: &Path) -> Pretrained {
    Pretrained::from_pretrained(dir, &Device::default()).unwrap()
}

pub(crate) fn student_of(dir: &Path, table: &ProfileTable) -> Result<Student, Error> {
    let verbaliser = Verbaliser::fit(table, 4).unwrap();
    Student::from_pretrained(&pretrained(dir), &verbaliser, table.schema(), &chain_schema())
}

pub(crate) fn student(name: &str, table: &ProfileTable) -> Student {
    student_of(checkpoint(name, |_| ()).path(), table).unwrap()
}

pub(crate) fn rows() -> Vec<usize> {
    (0..USERS).collect()
}

pub(crate) fn saved(student: &Student) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    student.save(dir.path()).unwrap();
    dir
}
