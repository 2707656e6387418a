//! The transfer report of an encoder.

use ndarray::{Array2, Axis, Slice};
use scaletot_chain::Signals;
use scaletot_core::config::ConfigError;
use scaletot_profile::Dataset;

use super::FrozenEncoder;
use crate::error::{Error, Result};
use crate::transfer::{Sample, TransferReport, grouped};

impl FrozenEncoder {
    /// How well the encoder reproduces the student on the users whom the `signals` are of, over all of them, by the number of their
    /// populated fields and, where the dataset has several, by segment. Users who are abstained on are left out.
    ///
    /// # Errors
    /// As [`FrozenEncoder::score_rows`]; [`Error::Chain`] for signals of another chain schema; [`Error::Shape`] without signal heads, for
    /// representations of another shape than the training student's, or when every user is abstained on; [`Error::Config`] where states or
    /// representation are not selected.
    pub fn transfer_report(&self, dataset: &Dataset, signals: &Signals) -> Result<TransferReport> {
        signals.check(self.chain_schema())?;
        let heads = self.heads();
        let (expected, found) = ([heads.states.len(), heads.student_dim], signals.representation_shape());
        if expected != found {
            let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
            return Err(Error::shape("shape of the student's representations", expected, found));
        }
        let selection = self.selection();
        if !(selection.states && selection.representation) {
            let expected = "states and representation, which are compared";
            return Err(ConfigError::new("selection", expected, format!("{selection:?}")).into());
        }
        let (table, rows) = (dataset.table(), signals.rows());
        let scores = self.score_rows(table, rows)?;
        let scored: Vec<usize> = (0..rows.len()).filter(|&index| !scores.abstained[index]).collect();
        let representation = scores.representation.select(Axis(0), &scored);
        let encoder = Sample {
            marginals: scores.posteriors.iter().map(|marginal| marginal.select(Axis(0), &scored)).collect(),
            projected: self.projected(&representation)?,
            representation,
        };
        let states = self.chain_schema().states().iter().map(|state| state.name().to_owned()).collect();
        let student = self.sample(signals, &scored)?;
        let (mut report, users) = TransferReport::compare(states, &student, &encoder)?;
        report.abstained = rows.len() - scored.len();
        let populated = scored.iter().map(|&index| table.populated(rows[index]));
        report.by_populated = grouped(populated.zip(&users));
        let segments = dataset.segments();
        if segments.len() > 1 {
            let names = scored.iter().map(|&index| segments.name_of(rows[index]));
            report.by_segment = grouped(names.zip(&users));
        }
        Ok(report)
    }

    /// The student's signals of some of their users, relative to the mean representation of the training users.
    fn sample(&self, signals: &Signals, indices: &[usize]) -> Result<Sample> {
        let matrix = |values: &[f32], width: usize| {
            let all = Array2::from_shape_vec((signals.len(), width), values.to_vec());
            let all = all.map_err(|error| Error::shape("numbers of the signals", "a matrix", error))?;
            Ok::<_, Error>(all.select(Axis(0), indices))
        };
        let all = matrix(signals.marginal_values(), signals.marginal_width())?;
        let mut first = 0;
        let marginals = signals.domain_sizes().iter().map(|&size| {
            first += size;
            all.slice_axis(Axis(1), Slice::from(first - size..first)).to_owned()
        });
        let representation = matrix(signals.representation_values(), signals.representation_width())?;
        let representation = representation - self.network().centre();
        Ok(Sample { marginals: marginals.collect(), projected: representation.clone(), representation })
    }
}
