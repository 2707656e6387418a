//! What a distillation learns from.

use scaletot_chain::{ChainSchema, Signals};
use scaletot_profile::Dataset;

use crate::error::{Error, Result};

/// Profiles, outcomes and the student's signals to train an encoder on.
///
/// ```
/// # use scaletot_chain::{ChainSchema, Signals, StateDef};
/// # use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, TableBuilder};
/// use scaletot_encoder::DistillData;
/// # let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35+"])).build()?;
/// # let mut table = TableBuilder::new(schema);
/// # [["18-34"], ["35+"], [""]].iter().zip(0i64..).try_for_each(|(cells, id)| table.push_text(id, cells))?;
/// # let dataset = Dataset::from(table.finish());
/// # let chain = ChainSchema::builder("spend").with_state(StateDef::ordinal("budget", ["low", "high"])).build()?;
/// // The student has read the users in rows 0 and 2; nothing is learned from the one in row 1.
/// let signals = Signals::new(vec![0, 2], vec![2], vec![0.9, 0.1, 0.5, 0.5], [1, 3], vec![0.0; 6])?;
/// let data = DistillData::new(&dataset, &chain).with_signals(&signals)?.with_rows(&[0, 2])?;
/// # let _ = data;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct DistillData<'a> {
    dataset: &'a Dataset,
    chain: &'a ChainSchema,
    signals: Option<&'a Signals>,
    rows: Option<&'a [usize]>,
}

impl<'a> DistillData<'a> {
    /// The outcomes of all users and no signals: the *profile-only* network, which signals have to beat. The chain schema is what the
    /// encoder's states are named by.
    #[must_use]
    pub fn new(dataset: &'a Dataset, chain: &'a ChainSchema) -> Self {
        Self { dataset, chain, signals: None, rows: None }
    }

    /// With the student's signals of some or all of the users.
    ///
    /// # Errors
    /// [`Error::Chain`] for signals of another chain schema; [`Error::Shape`] for representations that are not one vector per state, as a
    /// student's are, or for a row that the dataset does not have.
    pub fn with_signals(mut self, signals: &'a Signals) -> Result<Self> {
        signals.check(self.chain)?;
        let [vectors, dim] = signals.representation_shape();
        if vectors != self.chain.len() || dim == 0 {
            let expected = format!("[{}, d > 0]", self.chain.len());
            return Err(Error::shape(
                "shape of a student's representation",
                expected,
                format!("[{vectors}, {dim}]"),
            ));
        }
        self.check("row of the signals", signals.rows())?;
        self.signals = Some(signals);
        Ok(self)
    }

    /// Trained on these rows alone, in any order: neither outcomes nor signals of other users are read.
    ///
    /// # Errors
    /// [`Error::Shape`] for a row that the dataset does not have.
    pub fn with_rows(mut self, rows: &'a [usize]) -> Result<Self> {
        self.check("training row", rows)?;
        self.rows = Some(rows);
        Ok(self)
    }

    fn check(&self, what: &str, rows: &[usize]) -> Result<()> {
        match rows.iter().find(|&&row| row >= self.dataset.len()) {
            Some(row) => Err(Error::shape(what, format!("less than {}", self.dataset.len()), row)),
            None => Ok(()),
        }
    }

    pub(super) fn dataset(&self) -> &'a Dataset {
        self.dataset
    }

    pub(super) fn chain(&self) -> &'a ChainSchema {
        self.chain
    }

    pub(super) fn signals(&self) -> Option<&'a Signals> {
        self.signals
    }

    /// By row of the dataset, whether it is trained on.
    pub(super) fn trained_on(&self) -> Vec<bool> {
        let mut trained_on = vec![self.rows.is_none(); self.dataset.len()];
        self.rows.unwrap_or_default().iter().for_each(|&row| trained_on[row] = true);
        trained_on
    }
}
