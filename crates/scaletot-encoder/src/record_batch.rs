//! Scores as Arrow columns.

use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder};
use arrow_array::{ArrayRef, BooleanArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use ndarray::Array2;
use scaletot_chain::ChainSchema;
use scaletot_core::config::ConfigError;
use scaletot_profile::UserIds;

use crate::error::{Error, Result};
use crate::scores::Scores;

impl Scores {
    /// The scores as a record batch: the ids, then those of `value`, `p_positive`, `mu`, `sigma` (32-bit floats) that are there, `abstained`, and of
    /// the states and the representation, where they are there, lists of fixed size of 32-bit floats: `state.NAME` and `representation`. All
    /// but the ids and `abstained` are null where the encoder abstained.
    ///
    /// ```
    /// # use scaletot_chain::{ChainSchema, StateDef};
    /// # use scaletot_encoder::{EncoderConfig, FrozenEncoder, Heads};
    /// # use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
    /// # let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
    /// # let mut table = TableBuilder::new(schema);
    /// # [["18-34"], [""]].iter().zip(1i64..).try_for_each(|(cells, id)| table.push_text(id, cells))?;
    /// # let table = table.finish();
    /// # let chain = ChainSchema::builder("spend").with_state(StateDef::ordinal("budget", ["low", "high"])).build()?;
    /// let encoder = // …
    /// #     FrozenEncoder::with_random_weights(&EncoderConfig::default(), &table, &chain, Heads::new(true, vec![2], 4), 7)?;
    /// let batch = encoder.score(&table)?.to_record_batch("user", table.ids(), encoder.chain_schema())?;
    /// let names: Vec<&str> = batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    /// assert_eq!(names, ["user", "value", "p_positive", "mu", "sigma", "abstained", "state.budget", "representation"]);
    /// // Nothing is known of the second user.
    /// assert_eq!((batch.num_rows(), batch.column(1).null_count()), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of ids than profiles, or a chain schema with other states; [`Error::Config`] for an `id_column` that
    /// is a score's name.
    pub fn to_record_batch(
        &self,
        id_column: &str,
        ids: &UserIds,
        chain: &ChainSchema,
    ) -> Result<RecordBatch> {
        if ids.len() != self.len() {
            return Err(Error::shape("ids of the scores", self.len(), ids.len()));
        }
        let sizes: Vec<usize> = self.posteriors.iter().map(Array2::ncols).collect();
        if !(sizes.is_empty() || sizes == chain.domain_sizes()) {
            let (expected, found) = (format!("{sizes:?}"), format!("{:?}", chain.domain_sizes()));
            return Err(Error::shape("sizes of the chain schema's states", expected, found));
        }
        let mut columns: Vec<(String, ArrayRef)> = vec![];
        let numbers = [
            ("value", &self.value),
            ("p_positive", &self.p_positive),
            ("mu", &self.mu),
            ("sigma", &self.sigma),
        ];
        for (name, column) in numbers.into_iter().filter(|(_, column)| column.len() == self.len()) {
            let known = column.iter().map(|x| (!x.is_nan()).then_some(*x));
            columns.push((name.to_owned(), Arc::new(known.collect::<Float32Array>())));
        }
        columns.push(("abstained".to_owned(), Arc::new(BooleanArray::from(self.abstained.clone()))));
        for (state, marginal) in chain.states().iter().zip(&self.posteriors) {
            columns.push((format!("state.{}", state.name()), self.lists(marginal)));
        }
        if self.representation.ncols() > 0 {
            columns.push(("representation".to_owned(), self.lists(&self.representation)));
        }
        if columns.iter().any(|(name, _)| name == id_column) {
            let expected = "a name that no column of scores has";
            return Err(ConfigError::new("id_column", expected, id_column).into());
        }
        let id: ArrayRef = match ids {
            UserIds::Int(ids) => Arc::new(Int64Array::from(ids.clone())),
            UserIds::Text(ids) => Arc::new(StringArray::from_iter_values(ids)),
        };
        let mut fields = vec![Field::new(id_column, id.data_type().clone(), false)];
        fields.extend(
            columns
                .iter()
                .map(|(name, column)| Field::new(name, column.data_type().clone(), name != "abstained")),
        );
        let columns = std::iter::once(id).chain(columns.into_iter().map(|(_, column)| column));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.collect())
            .map_err(|error| Error::shape("columns of scores", "a record batch", error))
    }

    /// A matrix's rows as lists, null where the encoder abstained.
    fn lists(&self, matrix: &Array2<f32>) -> ArrayRef {
        let size = i32::try_from(matrix.ncols()).unwrap_or(i32::MAX);
        let mut lists = FixedSizeListBuilder::new(Float32Builder::new(), size);
        for (row, &abstained) in matrix.outer_iter().zip(&self.abstained) {
            row.iter().for_each(|&x| lists.values().append_value(x));
            lists.append(!abstained);
        }
        Arc::new(lists.finish())
    }
}
