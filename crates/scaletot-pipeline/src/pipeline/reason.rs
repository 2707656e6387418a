//! Calibration, the coverage plan and the search: from profiles to a corpus of chains.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use scaletot_chain::{ChainSchema, Corpus, CorpusWriter, Verdict};
use scaletot_core::Progress;
use scaletot_core::files::write_json;
use scaletot_profile::{ProfileTable, Segments, Verbaliser};
use scaletot_search::Budget;
use scaletot_teacher::{
    Calibration, Coverage, CoveragePlan, DiskCached, LedgerSnapshot, Prompter, Reasoner, Teacher,
};

use super::record::{FAILED, Inputs, StageReport, is_there};
use super::{ANSWERS, Done, Pipeline, PipelineConfig, Stage, read_json, settings};
use crate::error::{Error, Result, ensure};

impl Pipeline {
    /// A reasoner over this run's users, uncalibrated: for previews, estimates and single users.
    ///
    /// # Errors
    /// If the schemas do not fit each other.
    pub fn reasoner(&self) -> Result<Reasoner<'_>> {
        reasoner(&*self.teacher, self.dataset.table(), &self.chain, &self.config)
    }

    /// The same for stages, which keep every answer that the teacher computes.
    fn asking(&self) -> Result<Reasoner<'_>> {
        let teacher = DiskCached::open(&*self.teacher, self.path(ANSWERS))?;
        reasoner(teacher, self.dataset.table(), &self.chain, &self.config)
    }

    /// What every answer of the teacher depends on.
    fn asked(&self) -> Result<Inputs> {
        Ok(self.inputs([
            ("teacher", self.teacher.model().to_owned()),
            ("levels", settings(&self.config.level_config())?),
            ("min_populated", self.config.min_populated.to_string()),
            ("held_out", self.config.held_out.to_string()),
            ("strategy", settings(&self.config.strategy)?),
            ("max_queries", self.config.max_queries.to_string()),
        ]))
    }

    /// The teacher's mean prediction per state over unlabelled training users. Where it failed about some of them, up to
    /// [`max_failed_share`](PipelineConfig::max_failed_share), the stage does not count as done, and the next run asks about them again.
    ///
    /// # Errors
    /// If the teacher answers nobody or fails about more users, or a file cannot be written; [`Error::Stopped`].
    pub fn calibrate(&self, progress: &dyn Progress) -> Result<Done<Calibration>> {
        let mut inputs = self.asked()?;
        inputs.insert("calibration_users".to_owned(), self.config.calibration_users.to_string());
        // Before anybody is asked, and anything of an earlier run is touched.
        self.check_foreign()?;
        self.stages.check_paid(&Stage::Reason.files(), &self.reason_inputs()?, Some("calibration"))?;
        // The corpus was reasoned with it, and a server would not give the same once more.
        self.stages.check_intact(&Stage::Calibrate.files())?;
        let path = self.path("calibration.json");
        let load = || read_json(&path);
        self.stage(Stage::Calibrate, inputs, progress, load, || {
            let reasoner = self.asking()?;
            let mut rows = self.split.train.clone();
            rows.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed));
            rows.truncate(self.config.calibration_users);
            rows.sort_unstable();
            let calibration =
                reasoner.fit_calibration(self.dataset.table(), &rows, self.workers.get(), progress)?;
            write_json(&path, &calibration)?;
            let mut report = with_ledger(rows.len(), &reasoner.ledger().snapshot());
            if calibration.failed() > 0 {
                report.figures.insert(FAILED.to_owned(), calibration.failed() as f64);
            }
            Ok((calibration, report))
        })
    }

    fn reason_inputs(&self) -> Result<Inputs> {
        let mut inputs = self.asked()?;
        inputs.insert("coverage".to_owned(), self.config.coverage.to_string());
        Ok(inputs)
    }

    /// Reasons about the covered users, all of them training users, and appends to the corpus.
    ///
    /// Killed, it resumes with the users who are not in the corpus yet. Where the teacher failed about some users, up to
    /// [`max_failed_share`](PipelineConfig::max_failed_share), it gives the corpus without them and does not count as done: the next run asks about them again.
    ///
    /// # Errors
    /// If the corpus in the output directory was reasoned with other inputs or is not what was written (it is left as it is), the teacher failed
    /// about more users, no chain is accepted, or a file cannot be written; [`Error::Stopped`].
    pub fn reason(&self, calibration: &Done<Calibration>, progress: &dyn Progress) -> Result<Done<Corpus>> {
        let mut inputs = self.reason_inputs()?;
        inputs.insert("calibration".to_owned(), calibration.hash.short());
        let path = self.path("corpus.jsonl");
        let load = || Ok(Corpus::read(&path, &self.chain)?);
        // The calibration alone can differ from the corpus's, as all else was compared before it was fitted: the teacher had failed about some of its
        // users. Where the answers are kept, to reason with a better one costs what it asks beyond them.
        let mut files = Stage::Reason.files();
        files.paid = !is_there(&self.path(ANSWERS));
        self.stages.run(&files, inputs, progress, load, || {
            let mut reasoner = self.asking()?;
            reasoner.set_calibration(calibration.value.clone())?;
            let rows = self.covered(progress)?;
            let table = self.dataset.table();
            let header = reasoner.header(table, self.seed)?;
            let mut writer = if path.exists() {
                let (writer, done, repaired) = CorpusWriter::resume_without_failed(&path, &header)?;
                progress.note(&format!(
                    "  {} users are in the corpus already; {} about whom the teacher failed and {} whose lines are damaged are asked about again",
                    done.len(),
                    repaired.failed,
                    repaired.damaged.len()
                ));
                writer
            } else {
                CorpusWriter::create(&path, &header)?
            };
            let summary = reasoner.run(table, &rows, &mut writer, self.workers.get(), progress)?;
            writer.sync()?;
            if summary.stopped {
                return Err(Error::Stopped);
            }
            let corpus = Corpus::read(&path, &self.chain)?;
            let report = report(&corpus, &summary.ledger);
            ensure!(
                corpus.records().iter().any(|record| record.verdict.is_accepted()),
                "no chain was accepted; {} holds each user's reason",
                path.display()
            );
            Ok((corpus, report))
        })
    }

    /// The rows that the teacher reasons about: a share of the population, stratified by segment, no held-out user among them.
    ///
    /// # Errors
    /// If the plan cannot be made.
    pub fn covered(&self, progress: &dyn Progress) -> Result<Vec<usize>> {
        let train = &self.split.train;
        let candidates = self.dataset.table().select(train)?;
        let segments = self.dataset.segments();
        let labels: Vec<Option<String>> =
            train.iter().map(|&row| segments.names().get(segments.of(row)).cloned()).collect();
        let wanted = (self.config.coverage * self.dataset.len() as f64).round().max(1.0) as usize;
        let covered = CoveragePlan::new(Coverage::Count(wanted))?
            .with_min_populated(self.config.min_populated)
            .stratified(&candidates, &Segments::from_labels(&labels), self.seed)?;
        let found = covered.rows().len();
        if found < wanted {
            progress
                .note(&format!("  coverage: {wanted} users wanted, {found} training users have a profile"));
        }
        Ok(covered.rows().iter().map(|&i| train[i]).collect())
    }
}

/// Users about whom the teacher failed.
pub(crate) fn failed(corpus: &Corpus) -> usize {
    corpus.records().iter().filter(|record| matches!(record.verdict, Verdict::Failed { .. })).count()
}

/// Questions and tokens are in the records, whoever wrote them; a call counts in the run that made it.
fn report(corpus: &Corpus, ledger: &LedgerSnapshot) -> StageReport {
    let records = corpus.records();
    let questions: u64 = records.iter().map(|record| record.cost.queries).fold(0, u64::saturating_add);
    let mut report = StageReport::of_users(records.len());
    report.calls = ledger.calls;
    report.cache_hits = questions.saturating_sub(ledger.calls);
    report.tokens = records.iter().map(|record| record.cost.tokens).fold(0, u64::saturating_add);
    let count =
        |test: fn(&Verdict) -> bool| records.iter().filter(|record| test(&record.verdict)).count() as f64;
    let accepted = records.iter().filter(|record| record.verdict.is_accepted());
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let before: Vec<f64> = accepted.clone().map(|record| mean(&record.entropy_before)).collect();
    let after: Vec<f64> =
        accepted.filter_map(|record| record.best.as_ref()).map(|chain| chain.mean_entropy()).collect();
    let queries: Vec<f64> = records.iter().map(|record| record.cost.queries as f64).collect();
    let masses: Vec<f64> = records
        .iter()
        .filter_map(|record| record.best.as_ref())
        .flat_map(|chain| chain.steps().iter().map(|step| step.covered_mass))
        .collect();
    report.figures.extend([
        ("accepted".to_owned(), count(Verdict::is_accepted)),
        ("rejected".to_owned(), count(|v| matches!(v, Verdict::Rejected { .. }))),
        ("abstained".to_owned(), count(|v| matches!(v, Verdict::Abstained { .. }))),
        (FAILED.to_owned(), failed(corpus) as f64),
        ("mean entropy of the draft".to_owned(), mean(&before)),
        ("mean entropy of the chosen chain".to_owned(), mean(&after)),
        ("queries per user".to_owned(), mean(&queries)),
        ("mean probability on the labels".to_owned(), mean(&masses)),
    ]);
    report
}

fn with_ledger(users: usize, ledger: &LedgerSnapshot) -> StageReport {
    let mut report = StageReport::of_users(users);
    report.calls = ledger.calls;
    report.cache_hits = ledger.cache_hits;
    report.tokens = ledger.tokens + ledger.tokens_saved;
    report
}

/// A reasoner over the users of a table, uncalibrated.
pub(super) fn reasoner<'t>(
    teacher: impl Teacher + 't,
    table: &ProfileTable,
    chain: &ChainSchema,
    config: &PipelineConfig,
) -> Result<Reasoner<'t>> {
    let verbaliser = Verbaliser::fit(table, config.level_config())?;
    let prompter = Prompter::new(table.schema(), chain.clone(), verbaliser)?;
    let reasoner = Reasoner::builder(teacher, prompter)
        .with_strategy(config.strategy)
        .with_budget(Budget::default().with_queries(config.max_queries))
        .with_min_populated(config.min_populated)
        .with_max_failed_share(config.max_failed_share)
        .build()?;
    Ok(reasoner)
}
