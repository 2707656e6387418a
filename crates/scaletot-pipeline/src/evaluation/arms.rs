//! Every arm on one fold: predictions for its test users at every draw of labels, measured and resampled.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Result;
use scaletot_chain::Signals;
use scaletot_teacher::Reasoner;

use super::fold::{FoldWork, Learnt, Reasoned, TEACHER_SECONDS};
use super::fold_result::{EntropySums, FoldResult, TeacherSums};
use super::folds::{Draw, draws};
use super::parallel;
use super::peers;
use super::resample::{Measuring, Scores, Size};
use super::searches::searches;
use super::signals::accuracy;
use super::values::DrawFit;
use crate::pipeline::record::StageReport;
use crate::pipeline::warnings::of_answers;

/// One draw and the signals that were learned with its labels at most.
struct Job<'a> {
    draw: Draw,
    learnt: &'a Learnt,
}

/// An arm's predictions for the test users.
type Predicted = BTreeMap<&'static str, Vec<f64>>;

impl FoldWork<'_> {
    /// The training users with a known outcome.
    fn labelled(&self) -> Vec<usize> {
        let rows = self.fold.train.iter().copied();
        rows.filter(|&row| self.study.dataset.outcome(row).is_some()).collect()
    }

    /// Everything that follows from the fold's chains; `reason` is what the teacher did for them.
    pub(super) fn run(
        &self,
        reasoner: &Reasoner<'_>,
        reason: &StageReport,
        dir: &Path,
    ) -> Result<FoldResult> {
        let study = self.study;
        let labelled = self.labelled();
        let reasoned = self.reasoned(dir)?;
        let sft = self.sft(&reasoned)?;
        let base = self.distil(&sft, &reasoned)?;
        let all: Vec<usize> = labelled.iter().chain(&self.fold.test).copied().collect();
        let (teacher, chains) = self.teacher(reasoner, &all)?;

        let draws = draws(
            self.fold,
            &labelled,
            self.options.label_sizes(),
            self.options.draws,
            self.options.source.seed,
        );
        peers::export(study, self.fold, &draws, dir)?;
        let single = |draw: &Draw| draws.iter().filter(|other| other.labels == draw.labels).count() == 1;
        let mut aligned: Vec<Option<Learnt>> = Vec::new();
        for draw in &draws {
            // Drawn many times means few labels: far too few among the reasoned users to learn a preference from.
            let learnt =
                if single(draw) && !draw.rows.is_empty() { self.align(&sft, &reasoned, draw)? } else { None };
            aligned.push(learnt);
        }
        let jobs: Vec<Job<'_>> = draws
            .iter()
            .zip(&aligned)
            .map(|(draw, learnt)| Job { draw: draw.clone(), learnt: learnt.as_ref().unwrap_or(&base) })
            .collect();
        let train = study.dataset.select(&self.fold.train)?;
        let what = format!("arms, fold {} of repeat {}", self.fold.fold + 1, self.fold.repeat + 1);
        self.progress.start(&what, jobs.len() as u64);
        let predicted = parallel::map(self.options.workers.get(), &jobs, self.progress, |job| {
            let fit = self.fit(&job.draw, &train)?;
            Ok((self.predict(job, &fit, &teacher)?, fit))
        });
        self.progress.finish();
        let (predicted, fits): (Vec<Predicted>, Vec<DrawFit>) = predicted?.into_iter().unzip();

        let outcomes: Vec<f64> =
            self.fold.test.iter().filter_map(|&row| study.dataset.outcome(row)).collect();
        let sizes = sizes(&draws);
        let first = jobs.iter().zip(&fits).filter(|(job, _)| job.draw.draw == 0);
        let fits: Vec<_> = first.map(|(job, fit)| (job.draw.labels, fit)).collect();
        let coverage = self.coverage_curve(reasoned.rows.len(), &base, &fits, &outcomes, dir)?;
        let with_all: Vec<(String, Vec<f64>)> = predicted
            .last()
            .into_iter()
            .flatten()
            .map(|(arm, scores)| ((*arm).to_owned(), scores.clone()))
            .collect();
        let mut arms: BTreeMap<String, Scores> = BTreeMap::new();
        for (job, predicted) in jobs.iter().zip(predicted) {
            for (arm, scores) in predicted {
                arms.entry(arm.to_owned()).or_default().insert((job.draw.labels, job.draw.draw), scores);
            }
        }
        let measuring = Measuring {
            options: self.options,
            repeat: self.fold.repeat,
            fold: self.fold.fold,
            sizes: &sizes,
            test: &self.fold.test,
            outcomes: &outcomes,
            progress: self.progress,
        };
        let warnings = of_answers(reasoned.corpus.records(), &study.chain);
        warnings.iter().for_each(|warning| self.progress.note(&format!("warning: {warning}")));
        Ok(FoldResult {
            warnings,
            repeat: self.fold.repeat,
            fold: self.fold.fold,
            replicates: measuring.replicates(&arms)?,
            cells: arms.iter().flat_map(|(arm, scores)| measuring.cells(arm, scores)).collect(),
            sizes,
            coverage,
            test: self.fold.test.clone(),
            predictions: with_all,
            outcomes,
            accuracy: self.accuracy(&teacher, &all, &chains, &base),
            transfer: jobs.last().map_or(&base, |job| job.learnt).transfer.clone(),
            entropy: entropy(&reasoned, study.chain.len()),
            searches: match (self.fold.repeat, self.fold.fold) {
                (0, 0) => searches(reasoner, study, &telling(&reasoned)?, self.seed(0))?,
                _ => Vec::new(),
            },
            encoder_seconds_per_million: base.encoder_seconds * 1e6 / study.dataset.len() as f64,
            teacher: TeacherSums {
                users: reasoned.corpus.len() as u64,
                questions: reasoned
                    .corpus
                    .records()
                    .iter()
                    .map(|record| record.cost.queries)
                    .fold(0, u64::saturating_add),
                tokens: reasoned
                    .corpus
                    .records()
                    .iter()
                    .map(|record| record.cost.tokens)
                    .fold(0, u64::saturating_add),
                calls: reason.calls,
                seconds: reason.figures.get(TEACHER_SECONDS).copied().unwrap_or(0.0),
            },
        })
    }

    /// Every arm's predictions at one draw. Without labels only the reasoning arms can rank.
    fn predict(&self, job: &Job<'_>, fit: &DrawFit, teacher: &Signals) -> Result<Predicted> {
        let (student, encoder) = (&job.learnt.student, &job.learnt.encoder);
        let mut predicted: Predicted = self.without_signals(fit)?.into_iter().collect();
        for (arm, signals) in [("scaletot", encoder), ("student", student), ("teacher", teacher)] {
            predicted.insert(arm, self.with_signals(fit, signals)?);
        }
        predicted.insert("served", self.served(fit, job.learnt)?);
        Ok(predicted)
    }

    fn accuracy(
        &self,
        teacher: &Signals,
        asked: &[usize],
        chains: &[Vec<u16>],
        learnt: &Learnt,
    ) -> Vec<(String, f64)> {
        let Some(planted) = &self.study.planted else { return Vec::new() };
        let truth = |row: usize| planted.truth(row);
        let test = &self.fold.test;
        let (mut right, mut all) = (0.0, 0.0);
        for (&row, chain) in asked.iter().zip(chains).filter(|(row, _)| test.binary_search(row).is_ok()) {
            for (answered, is) in chain.iter().zip(truth(row)) {
                right += f64::from(u8::from(*answered == is));
                all += 1.0;
            }
        }
        vec![
            ("teacher".to_owned(), right / f64::max(all, 1.0)),
            ("teacher, posterior".to_owned(), accuracy(teacher, test, truth)),
            ("student".to_owned(), accuracy(&learnt.student, test, truth)),
            ("encoder".to_owned(), accuracy(&learnt.encoder, test, truth)),
        ]
    }
}

/// How often every number of labels was drawn.
fn sizes(draws: &[Draw]) -> Vec<Size> {
    let mut sizes: Vec<Size> = Vec::new();
    for draw in draws {
        match sizes.last_mut().filter(|size| size.labels == draw.labels) {
            Some(size) => size.draws += 1,
            None => sizes.push(Size { labels: draw.labels, draws: 1, rows: draw.rows.len() }),
        }
    }
    sizes
}

/// A few users whose searches are worth a look: those with the most rounds, and the first two.
fn telling(reasoned: &Reasoned) -> Result<Vec<usize>> {
    let joined = reasoned.joined()?;
    let mut order: Vec<_> = joined.iter().filter(|(_, record)| record.best.is_some()).collect();
    let first: Vec<usize> = order.iter().map(|(row, _)| *row).take(2).collect();
    order.sort_by_key(|(_, record)| std::cmp::Reverse(record.cost.rounds));
    let mut chosen: Vec<usize> = order.into_iter().map(|(row, _)| row).take(2).chain(first).collect();
    let mut seen = std::collections::HashSet::new();
    chosen.retain(|row| seen.insert(*row));
    Ok(chosen)
}

fn entropy(reasoned: &Reasoned, states: usize) -> EntropySums {
    let mut sums =
        EntropySums { before: vec![0.0; states], after: vec![0.0; states], ..EntropySums::default() };
    for record in reasoned.corpus.records() {
        let Some(best) = record.best.as_ref().filter(|_| record.entropy_before.len() == states) else {
            continue;
        };
        sums.users += 1;
        // The draft is the chain of the most probable values, one after the other.
        let draft = best.steps().iter().all(|step| {
            let top = step.distribution.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            step.distribution.get(usize::from(step.value)).is_some_and(|&p| p >= top)
        });
        sums.changed += usize::from(!draft);
        for (k, step) in best.steps().iter().enumerate() {
            sums.before[k] += record.entropy_before[k];
            sums.after[k] += step.entropy;
        }
    }
    sums
}
