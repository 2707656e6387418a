//! A value model's directory.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::report::Report;
use super::{Inspected, fixed, read_json};

/// The form that is read.
const FORMAT: u64 = 1;

/// What the model is made of.
pub(crate) fn value_model(path: &Path) -> Result<Inspected> {
    let file = path.join("value-model.json");
    let value = read_json(&file)?;
    let format = value.get("format").and_then(Value::as_u64);
    ensure!(
        format == Some(FORMAT),
        "{}: expected a value model of format {FORMAT}, found {}",
        file.display(),
        format.map_or_else(|| "none".to_owned(), |format| format.to_string())
    );
    let mut report = Report::new(format!("{}: a value model", path.display()));
    report.line(match value.get("signals").is_some_and(|signals| !signals.is_null()) {
        true => "reads a user's profile and the encoder's signals (states and representation)",
        false => "reads a user's profile alone",
    });
    let models = value.get("models").and_then(Value::as_array).cloned().unwrap_or_default();
    let summary: Vec<Value> = models.iter().map(part).collect();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or("–").to_owned();
    let rows = summary.iter().map(|part| {
        let weight = part.get("weight").and_then(Value::as_f64).map_or_else(String::new, fixed);
        vec![text(part, "model"), text(part, "inputs"), weight]
    });
    report.heading("Models, of which the prediction of ln(1 + outcome) is a weighted sum");
    report.table(["model", "reads", "weight"], rows.collect(), false);
    if let Some(largest) = value.get("largest_outcome").and_then(Value::as_f64) {
        report.line(format!("no value is above the largest outcome of the training, {largest}"));
    }
    let json = json!({
        "kind": "value model",
        "models": summary,
        "link": value.get("link"),
        "largest_outcome": value.get("largest_outcome"),
        "profile_schema": value.get("profile_schema"),
        "chain_schema": value.get("chain_schema"),
    });
    Ok(Inspected { report, json })
}

/// One model without its numbers.
fn part(model: &Value) -> Value {
    // The kind is the key that the model stands under, or all that there is of it.
    let found = model.get("model").and_then(Value::as_object).and_then(|kinds| kinds.iter().next());
    let name = found.map(|(kind, _)| kind.as_str()).or_else(|| model.get("model")?.as_str());
    json!({
        "model": name.map(|kind| kind.replace('_', " ")),
        "inputs": found.and_then(|(_, inner)| inner.get("inputs")?.as_str()).map(|inputs| inputs.replace('_', " ")),
        "weight": model.get("weight"),
    })
}
