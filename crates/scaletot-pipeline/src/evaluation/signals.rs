//! What teacher, student and encoder say about users, in one form.

use crate::error::{Context, Result};
use ndarray::{Array2, Axis, concatenate};
use scaletot_chain::ChainRecord;
use scaletot_core::Progress;
use scaletot_encoder::{FrozenEncoder, Scores};
use scaletot_student::Student;

use super::parallel;
use super::study::Study;
use crate::features::signal_features;

/// Users whom the student reads at a time.
const BATCH: usize = 256;

/// State posteriors of every row of the table, and what else goes with them. Rows that were not asked about hold uniform posteriors
/// and zeros.
pub(super) struct Signals {
    /// Per state `[N, |V_k|]`.
    pub(super) posteriors: Vec<Array2<f32>>,
    /// Columns for the downstream model, `[N, S]`.
    pub(super) features: Array2<f64>,
    /// The student's own, of the rows that were asked about; `None` for others.
    student: Option<scaletot_chain::Signals>,
}

impl Signals {
    /// The student's signals of `rows`, which the encoder learns or is compared with.
    pub(super) fn student(&self, rows: &[usize]) -> Result<scaletot_chain::Signals> {
        Ok(self.student.as_ref().context("these are no student's signals")?.select(rows)?)
    }

    /// The expected level of the last state, in [0, 1]: all that ranks users without any label.
    pub(super) fn level(&self, rows: &[usize]) -> Vec<f64> {
        let Some(last) = self.posteriors.last() else { return vec![0.0; rows.len()] };
        let top = (last.ncols().max(2) - 1) as f64;
        rows.iter()
            .map(|&row| {
                last.row(row).iter().enumerate().map(|(v, &p)| v as f64 * f64::from(p)).sum::<f64>() / top
            })
            .collect()
    }

    /// The likeliest value of each state.
    pub(super) fn likeliest(&self, row: usize) -> Vec<u16> {
        let best = |posterior: &Array2<f32>| {
            (0..).zip(posterior.row(row)).max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(value, _)| value)
        };
        self.posteriors.iter().map(best).collect()
    }

    /// Share of states of `rows` whose likeliest value is the true one.
    pub(super) fn accuracy(&self, rows: &[usize], truth: impl Fn(usize) -> Vec<u16>) -> f64 {
        let (mut right, mut all) = (0.0, 0.0);
        for &row in rows {
            for (best, value) in self.likeliest(row).into_iter().zip(truth(row)) {
                right += f64::from(u8::from(best == value));
                all += 1.0;
            }
        }
        right / f64::max(all, 1.0)
    }
}

/// The student's own chains, posteriors and representations of `rows`.
pub(super) fn student_signals(student: &Student, study: &Study, rows: &[usize]) -> Result<Signals> {
    let signals = student.infer(&study.profiles, rows, BATCH)?.into_signals();
    let (n, [states, dim]) = (rows.len(), signals.representation_shape());
    let of_state = |(k, &size): (usize, &usize)| {
        Array2::from_shape_fn((n, size), |(i, value)| signals.marginal(i, k)[value])
    };
    let marginals: Vec<Array2<f32>> = signals.domain_sizes().iter().enumerate().map(of_state).collect();
    let posteriors = spread(study, rows, &marginals);
    // The last state's representation has seen all earlier ones.
    let mut last = Array2::zeros((study.profiles.len(), dim));
    for (i, &row) in rows.iter().enumerate() {
        let representation = &signals.representation(i)[(states - 1) * dim..];
        last.row_mut(row).iter_mut().zip(representation).for_each(|(to, &x)| *to = f64::from(x));
    }
    let features = beside(&posteriors, Some(&last))?;
    Ok(Signals { posteriors, features, student: Some(signals) })
}

/// What the encoder serves for everybody.
pub(super) fn encoder_signals(encoder: &FrozenEncoder, study: &Study) -> Result<Signals> {
    let scores: Scores = encoder.score(&study.profiles)?;
    let features = signal_features(&scores);
    Ok(Signals { posteriors: scores.posteriors, features, student: None })
}

/// The teacher's posteriors of `rows`, and the chosen chains (empty where there is none).
pub(super) fn teacher_signals(
    study: &Study,
    rows: &[usize],
    workers: usize,
    progress: &dyn Progress,
    reason: impl Fn(usize) -> Result<ChainRecord> + Sync,
) -> Result<(Signals, Vec<Vec<u16>>)> {
    progress.start("the teacher's own chains", rows.len() as u64);
    let records = parallel::map(workers, rows, progress, |&row| {
        let record = reason(row)?;
        let chain = record.best.as_ref().map(|best| best.values().to_vec()).unwrap_or_default();
        Ok((record.posterior, chain))
    });
    progress.finish();
    let records = records?;
    let sizes = study.chain.domain_sizes();
    let said: Vec<Array2<f32>> = sizes
        .iter()
        .enumerate()
        .map(|(k, &size)| {
            Array2::from_shape_fn((rows.len(), size), |(i, v)| {
                records[i].0.get(k).and_then(|p| p.get(v)).map_or(1.0 / size as f32, |&p| p as f32)
            })
        })
        .collect();
    let posteriors = spread(study, rows, &said);
    let features = beside(&posteriors, None)?;
    let chains = records.into_iter().map(|(_, chain)| chain).collect();
    Ok((Signals { posteriors, features, student: None }, chains))
}

/// Rows of `said` at their places in the table, uniform elsewhere.
fn spread(study: &Study, rows: &[usize], said: &[Array2<f32>]) -> Vec<Array2<f32>> {
    said.iter()
        .map(|said| {
            let size = said.ncols();
            let mut all = Array2::from_elem((study.profiles.len(), size), 1.0 / size as f32);
            for (i, &row) in rows.iter().enumerate() {
                all.row_mut(row).assign(&said.row(i));
            }
            all
        })
        .collect()
}

fn beside(posteriors: &[Array2<f32>], further: Option<&Array2<f64>>) -> Result<Array2<f64>> {
    let mut columns: Vec<Array2<f64>> = posteriors.iter().map(|p| p.mapv(f64::from)).collect();
    columns.extend(further.cloned());
    let views: Vec<_> = columns.iter().map(|column| column.view()).collect();
    Ok(concatenate(Axis(1), &views)?)
}
