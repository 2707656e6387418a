//! A student's directory.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use scaletot_pipeline::options::DeviceChoice;
use scaletot_student::Student;
use serde_json::json;

use super::Inspected;
use super::report::Report;
use crate::format::count;

/// The student, loaded whole, so that its files are checked.
pub(crate) fn student(path: &Path) -> Result<Inspected> {
    let student = Student::load(path, &DeviceChoice::Flex.device()?)?;
    let (shape, profile, chain) = (student.shape(), student.profile_schema(), student.chain_schema());
    let mut report = Report::new(format!("{}: a student", path.display()));
    report.line(format!(
        "{} parameters; its files are those it was saved with",
        count(student.num_params() as u64)
    ));
    report.heading("Schemas");
    report.line(format!("profile schema {}, {} fields", profile.name(), profile.fields().len()));
    report.line(format!("chain schema {}", chain.name()));
    let rows = chain.states().iter().map(|state| vec![state.name().to_owned(), state.values().join(", ")]);
    report.table(["state", "values"], rows.collect(), false);
    let sizes = [
        ("tokens", shape.vocab_size),
        ("width", shape.d_model),
        ("layers", shape.n_layers),
        ("attention heads", shape.n_heads),
        ("key and value heads", shape.n_kv_heads),
        ("width of the feed-forward layer", shape.d_ff),
    ];
    let rows = sizes.iter().map(|(name, size)| vec![(*name).to_owned(), count(*size as u64)]);
    report.table(["decoder", "size"], rows.collect(), true);
    let json = json!({
        "kind": "student",
        "parameters": student.num_params(),
        "decoder": BTreeMap::from(sizes),
        "profile_schema": **profile,
        "chain_schema": **chain,
    });
    Ok(Inspected { report, json })
}
