//! What teacher, student and encoder infer about users, in one form.

use crate::error::Result;
use scaletot_chain::{ChainRecord, Signals};
use scaletot_core::Progress;
use scaletot_encoder::FrozenEncoder;

use super::parallel;
use super::study::Study;
use crate::signals::of_scores;

/// What the encoder serves for everybody.
pub(super) fn encoder_signals(encoder: &FrozenEncoder, study: &Study) -> Result<Signals> {
    of_scores(&encoder.score(study.dataset.table())?)
}

/// The teacher's posteriors of `rows`, uniform where there is none, and the chosen chains, empty where there is none.
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
    let (posteriors, chains): (Vec<Vec<Vec<f64>>>, Vec<Vec<u16>>) = records?.into_iter().unzip();
    let sizes = study.chain.domain_sizes();
    let mut marginals = Vec::with_capacity(rows.len() * sizes.iter().sum::<usize>());
    for posterior in &posteriors {
        for (k, &size) in sizes.iter().enumerate() {
            let known = |v: usize| posterior.get(k).and_then(|p| p.get(v)).map(|&p| p as f32);
            marginals.extend((0..size).map(|v| known(v).unwrap_or(1.0 / size as f32)));
        }
    }
    Ok((Signals::new(rows.to_vec(), sizes, marginals, [0, 0], Vec::new())?, chains))
}

/// The most probable value of each state, the highest of equally probable ones; empty without signals.
pub(super) fn most_probable(signals: &Signals, row: usize) -> Vec<u16> {
    let Some(entry) = signals.index_of(row) else { return Vec::new() };
    let best = |k: usize| {
        let marginal = signals.marginal(entry, k).iter();
        (0..).zip(marginal).max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(value, _)| value)
    };
    (0..signals.domain_sizes().len()).map(best).collect()
}

/// Share of states of `rows` whose most probable value is the true one.
pub(super) fn accuracy(signals: &Signals, rows: &[usize], truth: impl Fn(usize) -> Vec<u16>) -> f64 {
    let (mut right, mut all) = (0.0, 0.0);
    for &row in rows {
        for (best, value) in most_probable(signals, row).into_iter().zip(truth(row)) {
            right += f64::from(u8::from(best == value));
            all += 1.0;
        }
    }
    right / f64::max(all, 1.0)
}
