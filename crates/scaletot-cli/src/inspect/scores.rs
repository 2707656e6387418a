//! Scores of users, or any other table in Parquet.

use std::path::Path;

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type};
use arrow_array::{Array, RecordBatch};
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use scaletot_profile::{ParquetPreview, PreviewColumn, ReadOptions};
use serde_json::{Map, Value, json};

use super::report::Report;
use super::{Inspected, fixed};
use crate::format::{count, of, percent};

/// Rows that are shown.
const SHOWN: usize = 5;
/// Columns that are shown of them; further ones are listed.
const WIDE: usize = 12;
/// The column that is summed up.
const VALUE: &str = "value";

/// The file: its columns, its first rows, and what the scores are like. It is read batch by batch.
pub(crate) fn scores(path: &Path) -> Result<Inspected> {
    let failed = || format!("cannot read {}", path.display());
    let table = ParquetPreview::open(path, &ReadOptions::new())?;
    let rows = table.rows();
    let groups = table.row_groups();
    let types: Vec<[String; 2]> = table
        .columns()
        .map(|column| {
            let kind = column.data_type().map_or_else(|| "unknown".to_owned(), ToString::to_string);
            [column.name().to_owned(), kind]
        })
        .collect();
    let mut report = Report::new(format!("{}: a table in Parquet", path.display()));
    let groups = of(groups as u64, "row group");
    report.line(format!("{} in {groups}", of(rows as u64, "row")));
    report.heading("Columns");
    report.table(["column", "type"], types.iter().map(|row| row.to_vec()).collect(), false);
    let first = first_rows(&table)?;
    let mut json = json!({
        "kind": "scores",
        "rows": rows,
        "columns": types.iter().map(|[name, kind]| json!({ "name": name, "type": kind })).collect::<Vec<_>>(),
        "first_rows": first.json(),
    });
    let mut of_value = table.columns().filter(|column| column.name() == VALUE);
    let first_of_value = of_value.next().and_then(PreviewColumn::data_type);
    let has_value = first_of_value.is_some_and(|data_type| data_type.is_numeric());
    // Of two columns of that name neither is summed up.
    if has_value && of_value.next().is_none() {
        let mut values = Spread::default();
        for batch in table.clone().with_columns(|name| name == VALUE)?.batches() {
            values.add(&batch?).with_context(failed)?;
        }
        report.heading("Value");
        report.line(values.line());
        json["value"] = values.json();
    }
    report.heading("The first rows");
    let width = first.names.len().min(WIDE);
    let rows = std::iter::once(&first.names).chain(&first.rows).map(|row| row[..width].to_vec());
    report.rows(rows.collect());
    Ok(Inspected { report, json })
}

/// Rows as text.
struct Rows {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    fn json(&self) -> Vec<Value> {
        let object = |row: &Vec<String>| {
            let cells = self.names.iter().cloned().zip(row.iter().cloned().map(Value::from));
            Value::Object(cells.collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }
}

/// The columns that can be read.
fn first_rows(table: &ParquetPreview) -> Result<Rows> {
    let names = table.columns().filter(|column| column.is_read()).map(|column| column.name().to_owned());
    let names = names.collect();
    let mut rows = Vec::new();
    for batch in table.batches() {
        let batch = batch?;
        let batch = batch.slice(0, batch.num_rows().min(SHOWN - rows.len()));
        let options = FormatOptions::default().with_null("\u{2013}");
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<_, _>>()?;
        rows.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|column| cell(column, row)).collect()),
        );
        if rows.len() == SHOWN {
            break;
        }
    }
    Ok(Rows { names, rows })
}

/// A cell's text, with three decimals where it is a number with more, and short where it is a list.
fn cell(column: &ArrayFormatter<'_>, row: usize) -> String {
    const MAX_CHARS: usize = 24;
    let text = column.value(row).to_string();
    match text.parse::<f64>() {
        Ok(number) if text.contains('.') => fixed(number),
        _ if text.chars().count() > MAX_CHARS => {
            text.chars().take(MAX_CHARS).chain("\u{2026}".chars()).collect()
        }
        _ => text,
    }
}

/// What a column of numbers is like.
#[derive(Debug, Default)]
struct Spread {
    known: u64,
    missing: u64,
    zero: u64,
    sum: f64,
    ends: Option<(f64, f64)>,
}

impl Spread {
    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = batch.column_by_name(VALUE).context("no column of values")?;
        let numbers = cast(column, &Float64Type::DATA_TYPE)?;
        let numbers = numbers.as_primitive::<Float64Type>();
        self.missing += numbers.null_count() as u64;
        for number in numbers.iter().flatten() {
            self.known += 1;
            self.zero += u64::from(number == 0.0);
            self.sum += number;
            let (low, high) = self.ends.unwrap_or((number, number));
            self.ends = Some((low.min(number), high.max(number)));
        }
        Ok(())
    }

    fn mean(&self) -> Option<f64> {
        (self.known > 0).then(|| self.sum / self.known as f64)
    }

    fn line(&self) -> String {
        let rows = (self.known + self.missing).max(1) as f64;
        let missing =
            format!("{} without one ({})", count(self.missing), percent(self.missing as f64 / rows));
        match (self.mean(), self.ends) {
            (Some(mean), Some((low, high))) => format!(
                "{} rows with a value, {missing}; mean {}, from {} to {}; {} are 0",
                count(self.known),
                fixed(mean),
                fixed(low),
                fixed(high),
                count(self.zero)
            ),
            _ => format!("no row has a value, {missing}"),
        }
    }

    fn json(&self) -> Value {
        let (low, high) = self.ends.unzip();
        json!({
            "known": self.known, "missing": self.missing, "zero": self.zero, "mean": self.mean(), "least": low, "most": high,
        })
    }
}
