//! A dataset's hash.

use scaletot_core::{ContentHash, ContentHasher};

use super::Dataset;
use crate::id::UserIds;
use crate::table::FieldValues;

impl Dataset {
    /// The hash of everything in it: schema, ids, values, outcomes, segments, groups and arm, in row order. Equal datasets have equal
    /// hashes, wherever they came from; a stage that was computed from one knows by it whether its input is still the same.
    ///
    /// ```
    /// use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};
    ///
    /// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::numeric("age")).build()?;
    /// let mut users = TableBuilder::new(schema);
    /// users.push_text(1, &["34"])?;
    /// let table = users.finish();
    /// let hash = |outcome| -> Result<_, scaletot_profile::Error> {
    ///     Ok(Dataset::builder(table.clone()).with_outcomes(vec![outcome]).build()?.content_hash())
    /// };
    /// assert_eq!(hash(Some(2.5))?, hash(Some(2.5))?);
    /// assert_ne!(hash(Some(2.5))?, hash(None)?);
    /// # Ok::<(), scaletot_profile::Error>(())
    /// ```
    #[must_use]
    pub fn content_hash(&self) -> ContentHash {
        let mut hasher = ContentHasher::new();
        let table = self.table();
        hasher.update_part(table.schema().hash().as_bytes());
        hasher.update_part(table.schema().wording_hash().as_bytes());
        hasher.update_part((table.len() as u64).to_le_bytes());
        match table.ids() {
            UserIds::Int(ids) => ids.iter().for_each(|id| hasher.update(id.to_le_bytes())),
            UserIds::Text(ids) => ids.iter().for_each(|id| hasher.update_part(id)),
        }
        for field in 0..table.schema().fields().len() {
            if let Some(values) = table.column(field) {
                update_values(&mut hasher, &values);
            }
        }
        for outcome in self.outcomes() {
            // No outcome is negative.
            hasher.update(outcome.unwrap_or(-1.0).to_bits().to_le_bytes());
        }
        self.segments().names().iter().for_each(|name| hasher.update_part(name));
        (0..table.len()).for_each(|row| hasher.update((self.segments().of(row) as u64).to_le_bytes()));
        for &group in self.groups().unwrap_or_default() {
            hasher.update((group as u64).to_le_bytes());
        }
        hasher.update_part([u8::from(self.groups().is_some()), u8::from(self.arm().is_some())]);
        for arm in self.arm().unwrap_or_default() {
            hasher.update([arm.map_or(2, u8::from)]);
        }
        hasher.finish()
    }
}

fn update_values(hasher: &mut ContentHasher, values: &FieldValues<'_>) {
    match values {
        FieldValues::Numbers(numbers) => {
            numbers.iter().for_each(|x| hasher.update(x.to_bits().to_le_bytes()));
        }
        FieldValues::Codes(codes) => codes.iter().for_each(|code| hasher.update(code.to_le_bytes())),
        FieldValues::Flags(flags) => {
            flags.iter().for_each(|flag| hasher.update([flag.map_or(2, u8::from)]));
        }
        FieldValues::Sets { codes, ends, present } => {
            codes.iter().for_each(|code| hasher.update(code.to_le_bytes()));
            ends.iter().for_each(|&end| hasher.update((end as u64).to_le_bytes()));
            present.iter().for_each(|&present| hasher.update([u8::from(present)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FieldSpec, ProfileSchema, Segments, TableBuilder};

    fn dataset(cells: [&str; 4]) -> Dataset {
        let schema = ProfileSchema::builder("t")
            .with_field(FieldSpec::numeric("n"))
            .with_field(FieldSpec::categorical("c", ["x", "y"]))
            .with_field(FieldSpec::boolean("b"))
            .with_field(FieldSpec::multi("m", ["p", "q"]))
            .build()
            .unwrap();
        let mut builder = TableBuilder::new(schema);
        builder.push_text("a", &cells).unwrap();
        builder.push_text("b", &["1", "x", "true", "p|q"]).unwrap();
        Dataset::from(builder.finish())
    }

    #[test]
    fn every_part_counts() {
        let base = ["2", "y", "false", "p"];
        let of = |cells| dataset(cells).content_hash();
        assert_eq!(of(base), of(base));
        for (field, cell) in ["3", "x", "", ""].into_iter().enumerate() {
            let mut other = base;
            other[field] = cell;
            assert_ne!(of(base), of(other), "field {field}");
        }
        let table = dataset(base).table().clone();
        let builder = || Dataset::builder(table.clone());
        let plain = builder().build().unwrap().content_hash();
        let segments = Segments::from_labels(&[Some("u".to_owned()), Some("v".to_owned())]);
        for changed in [
            builder().with_outcomes(vec![Some(0.0), None]),
            builder().with_segments(segments),
            builder().with_groups(vec![0, 0]),
            builder().with_arm(vec![None, None]),
        ] {
            assert_ne!(changed.build().unwrap().content_hash(), plain);
        }
    }
}
