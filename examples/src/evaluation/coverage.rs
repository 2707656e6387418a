//! The coverage curve: how the method does when more or fewer users are reasoned about.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use ndarray::Array2;
use scaletot::eval::Metric;
use scaletot::teacher::Reasoner;
use serde::{Deserialize, Serialize};

use super::arms::{Fitted, FoldResult};
use super::fold::{Learnt, Work};
use super::resample::{METRICS, defined};
use super::results::{CoveragePoint, Labels};
use super::summarise::mean;

/// The arm on one fold at one share of reasoned users and one number of labels.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CoverageCell {
    coverage: f64,
    labels: Labels,
    metrics: Vec<(Metric, f64)>,
}

impl Work<'_> {
    /// Reasons, learns, distils and fits once more at every further share, with what was fitted at the first draw of each number of labels. Every point is
    /// of the student after SFT, the one of the run's own share too: OSIPO's part would depend on the labels.
    pub(super) fn coverage_curve(
        &self,
        reasoner: &Reasoner<'_>,
        base: &Learnt,
        profile: &Array2<f64>,
        fits: &[(Labels, Option<&Fitted>)],
        truth: &[f64],
        dir: &Path,
    ) -> Result<Vec<CoverageCell>> {
        let further = &self.options.coverage_curve;
        if self.fold.repeat > 0 || further.is_empty() {
            return Ok(Vec::new());
        }
        let mut cells = self.cells(self.options.coverage, base, profile, fits, truth)?;
        for &coverage in further {
            let dir = dir.join(format!("coverage-{coverage}"));
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
            let reasoned = self.reason(reasoner, coverage, &dir)?;
            let learnt = self.distil(&self.sft(&reasoned)?, &reasoned)?;
            cells.extend(self.cells(coverage, &learnt, profile, fits, truth)?);
        }
        Ok(cells)
    }

    fn cells(
        &self,
        coverage: f64,
        learnt: &Learnt,
        profile: &Array2<f64>,
        fits: &[(Labels, Option<&Fitted>)],
        truth: &[f64],
    ) -> Result<Vec<CoverageCell>> {
        let cell = |&(labels, fitted): &(Labels, Option<&Fitted>)| {
            let scores = self.with_signals(fitted, profile, &learnt.encoder)?;
            let of = |metric: Metric| Some((metric, metric.compute(truth, &scores).ok()?));
            Ok(CoverageCell { coverage, labels, metrics: defined(labels).filter_map(of).collect() })
        };
        fits.iter().map(cell).collect()
    }
}

/// The curve, mean over folds; nothing where no further share was asked for.
pub(super) fn points(folds: &[FoldResult]) -> Vec<CoveragePoint> {
    let cells: Vec<&CoverageCell> = folds.iter().flat_map(|fold| &fold.coverage).collect();
    let mut points: Vec<CoveragePoint> = Vec::new();
    for at in &cells {
        if points.iter().any(|point| point.coverage == at.coverage && point.labels == at.labels) {
            continue;
        }
        let of = |metric: Metric| {
            let same = cells.iter().filter(|cell| cell.coverage == at.coverage && cell.labels == at.labels);
            let figure =
                |cell: &&&CoverageCell| cell.metrics.iter().find(|(name, _)| *name == metric).copied();
            let values: Vec<f64> = same.filter_map(|cell| figure(&cell)).map(|(_, value)| value).collect();
            (!values.is_empty()).then(|| (metric, mean(&values)))
        };
        let metrics = METRICS.into_iter().filter_map(of).collect();
        points.push(CoveragePoint { coverage: at.coverage, metrics, labels: at.labels });
    }
    points.sort_by(|a, b| a.coverage.total_cmp(&b.coverage).then(a.labels.cmp(&b.labels)));
    points
}
