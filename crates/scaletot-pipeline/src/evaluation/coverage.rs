//! The coverage curve: how the method does when more or fewer users are reasoned about.

use std::path::Path;

use crate::error::Result;
use scaletot_eval::Metric;

use super::fold::{FoldWork, Learnt};
use super::fold_result::{CoverageCell, FoldResult};
use super::resample::{METRICS, defined};
use super::results::{CoveragePoint, Labels};
use super::summarise::mean;
use super::values::DrawFit;

/// The directory of the chains of a further share, below the fold's.
pub(super) fn directory(coverage: f64) -> String {
    format!("coverage-{coverage}")
}

impl FoldWork<'_> {
    /// Learns, distils and fits once more from the chains of every further share, with what was fitted at the first draw of each number of labels.
    /// Every point is of the student after SFT, the one of the run's own share too: OSIPO's part would depend on the labels.
    pub(super) fn coverage_curve(
        &self,
        own: usize,
        base: &Learnt,
        fits: &[(Labels, &DrawFit)],
        truth: &[f64],
        dir: &Path,
    ) -> Result<Vec<CoverageCell>> {
        let further = &self.options.coverage_curve;
        if self.fold.repeat > 0 || further.is_empty() {
            return Ok(Vec::new());
        }
        let mut cells = self.cells(self.options.coverage, own, base, fits, truth)?;
        for &coverage in further {
            let dir = dir.join(directory(coverage));
            let reasoned = self.reasoned(&dir)?;
            let learnt = self.distil(&self.sft(&reasoned)?, &reasoned)?;
            cells.extend(self.cells(coverage, reasoned.rows.len(), &learnt, fits, truth)?);
        }
        Ok(cells)
    }

    fn cells(
        &self,
        coverage: f64,
        reasoned: usize,
        learnt: &Learnt,
        fits: &[(Labels, &DrawFit)],
        truth: &[f64],
    ) -> Result<Vec<CoverageCell>> {
        let reasoned = reasoned as f64 / self.study.users as f64;
        let cell = |&(labels, fit): &(Labels, &DrawFit)| {
            let scores = self.with_signals(fit, &learnt.encoder)?;
            let of = |metric: Metric| Some((metric, metric.compute(truth, &scores).ok()?));
            Ok(CoverageCell { coverage, reasoned, labels, metrics: defined(labels).filter_map(of).collect() })
        };
        fits.iter().map(cell).collect()
    }
}

/// The curve, mean over folds; nothing where no further share was asked for.
pub(super) fn points(folds: &[FoldResult]) -> Vec<CoveragePoint> {
    let cells: Vec<&CoverageCell> = folds.iter().flat_map(|fold| &fold.coverage).collect();
    let mut asked: Vec<(f64, Labels)> = cells.iter().map(|cell| (cell.coverage, cell.labels)).collect();
    asked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    asked.dedup();
    let point = |(coverage, labels): (f64, Labels)| {
        let same: Vec<&&CoverageCell> =
            cells.iter().filter(|cell| cell.coverage == coverage && cell.labels == labels).collect();
        let of = |metric: Metric| {
            let figure =
                |cell: &&&CoverageCell| cell.metrics.iter().find(|(name, _)| *name == metric).copied();
            let values: Vec<f64> = same.iter().filter_map(figure).map(|(_, value)| value).collect();
            (!values.is_empty()).then(|| (metric, mean(&values)))
        };
        CoveragePoint {
            coverage: mean(&same.iter().map(|cell| cell.reasoned).collect::<Vec<_>>()),
            metrics: METRICS.into_iter().filter_map(of).collect(),
            labels,
        }
    };
    asked.into_iter().map(point).collect()
}
