//! Datasets from tables in files.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use scaletot_core::config::ConfigError;

use super::builder::{check_outcomes, check_unit};
use super::{ArmSpec, Dataset, DatasetSpec};
use crate::attributes::Attributes;
use crate::cell;
use crate::error::{Error, Result, quoted};
use crate::io::{Loaded, read};
use crate::schema::ProfileSchema;
use crate::segments::Segments;
use crate::table::ProfileTable;

impl Dataset {
    /// Reads a dataset from a `.csv` or `.parquet` file; see [`DatasetSpec`] for an example, and [`read`](crate::read).
    ///
    /// # Errors
    /// [`Error::Config`] if the specification contradicts itself or the schema, or the arm's column has labels but nobody of the control or of
    /// the treated; [`Error::Cell`] for an outcome that is negative or above 1e30, and for the largest one if all are below 0.01; and the errors of
    /// [`read`](crate::read).
    pub fn read(path: impl AsRef<Path>, schema: &ProfileSchema, spec: &DatasetSpec) -> Result<Self> {
        let path = path.as_ref();
        let loaded = read(path, schema, &spec.read_options(schema)?)?;
        Self::from_loaded(loaded, spec).map_err(|error| match error {
            Error::Cell { mut place, column, expected, found } => {
                place.file = Some(Arc::from(path));
                Error::Cell { place, column, expected, found }
            }
            other => other,
        })
    }

    /// The dataset of a table that was read with [`DatasetSpec::read_options`], from whatever source. Further attributes are left out.
    ///
    /// ```
    /// # #[cfg(feature = "csv")] {
    /// use scaletot_profile::{Dataset, DatasetSpec, FieldSpec, ProfileSchema, read_csv_from};
    ///
    /// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::numeric("income")).build()?;
    /// let spec = DatasetSpec::new().with_outcome("spend");
    /// let table = "id,income,spend\n7,1200,3.5\n8,900,\n";
    /// let loaded = read_csv_from(table.as_bytes(), "in memory", &schema, &spec.read_options(&schema)?)?;
    /// let dataset = Dataset::from_loaded(loaded, &spec)?;
    /// assert_eq!(dataset.outcomes(), [Some(3.5), None]);
    /// # }
    /// # Ok::<(), scaletot_profile::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] as [`Self::read`], and if a column of `spec` was not read; [`Error::Cell`] for outcomes, as [`Self::read`].
    pub fn from_loaded(loaded: Loaded, spec: &DatasetSpec) -> Result<Self> {
        let Loaded { profiles, attributes, .. } = loaded;
        // Columns were checked when the options were made; that table may be another one.
        spec.read_options(profiles.schema())?;
        let number = |column: &str| {
            let values = attributes.number(column);
            values.map(<[_]>::to_vec).ok_or_else(|| not_read(&attributes, column, "numbers"))
        };
        let text =
            |column: &str| attributes.text(column).ok_or_else(|| not_read(&attributes, column, "texts"));
        let mut builder = Self::builder(Arc::new(profiles));
        if let Some(column) = spec.outcome() {
            let outcomes = number(column)?;
            check_outcomes(&outcomes, column)?;
            check_unit(&outcomes, column)?;
            builder = builder.with_outcomes(outcomes);
        }
        if let Some(column) = spec.segment() {
            let segments = match field_texts(builder.table(), column) {
                Some(labels) => Segments::from_column(&labels),
                None => Segments::from_column(text(column)?),
            };
            builder = builder.with_segments(segments);
        }
        if let Some(column) = spec.group() {
            builder = builder.with_groups(numbered(text(column)?));
        }
        if let Some(arm) = spec.arm() {
            builder = builder.with_arm(treated(text(arm.column())?, arm)?);
        }
        builder.build()
    }
}

fn not_read(attributes: &Attributes, column: &str, wanted_as: &str) -> Error {
    let there: Vec<&str> = attributes.names().collect();
    ConfigError::new(
        "loaded",
        format!("a table read with the specification's options, which has {column:?} as {wanted_as}"),
        quoted(&there),
    )
    .into()
}

/// The texts of a profile field, if that is a field's name.
fn field_texts(table: &ProfileTable, name: &str) -> Option<Vec<Option<String>>> {
    let index = table.schema().field_index(name)?;
    let field = &table.schema().fields()[index];
    let text = |row: usize| cell::text(field, table.value(row, index)).map(Into::into);
    Some((0..table.len()).map(text).collect())
}

/// A number for each label, counted from 0 in the order of first appearance; one of its own for each row without a label.
fn numbered(labels: &[Option<String>]) -> Vec<usize> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut next = 0;
    let mut groups = Vec::with_capacity(labels.len());
    for label in labels {
        let group = match label {
            Some(label) => *seen.entry(label).or_insert(next),
            None => next,
        };
        next = next.max(group + 1);
        groups.push(group);
    }
    groups
}

/// Who was treated. A control or treatment that nobody has is most likely written in another way in the table.
fn treated(labels: &[Option<String>], spec: &ArmSpec) -> Result<Vec<Option<bool>>> {
    let arm = |label: &Option<String>| label.as_deref().and_then(|label| spec.is_treated(label));
    let arm: Vec<Option<bool>> = labels.iter().map(arm).collect();
    let there: BTreeSet<&str> = labels.iter().flatten().map(String::as_str).collect();
    for (wanted, field, label) in
        [(false, "arm.control", quoted(&[&spec.control()])), (true, "arm.treated", quoted(spec.treated()))]
    {
        if !there.is_empty() && !arm.contains(&Some(wanted)) {
            let whom = if wanted && spec.treated().is_empty() {
                "another label than the control's".to_owned()
            } else {
                label
            };
            return Err(ConfigError::new(
                field,
                format!("{whom} in column {:?}", spec.column()),
                quoted(&there.into_iter().collect::<Vec<_>>()),
            )
            .into());
        }
    }
    Ok(arm)
}
