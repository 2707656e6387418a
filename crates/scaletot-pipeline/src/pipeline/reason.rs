//! Calibration, the coverage plan and the search: from profiles to a corpus of chains.

use std::path::PathBuf;

use crate::error::{Context, Result, ensure};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use scaletot_chain::{Corpus, CorpusWriter, Verdict};
use scaletot_profile::{Segments, Verbaliser};
use scaletot_search::{Budget, RefineConfig, Strategy};
use scaletot_teacher::{
    Calibration, Coverage, CoveragePlan, LedgerSnapshot, Prompter, Reasoner, Recorder, Teacher,
};

use super::Run;
use crate::options::TeacherChoice;
use crate::stages::{StageReport, write_json};
use crate::teachers;

/// Levels that a number is put into words by.
const LEVELS: usize = 5;
/// Unlabelled users that the teacher's prior is averaged over.
const CALIBRATION_USERS: usize = 200;
/// Hard bound on the questions of one user's search.
const MAX_QUERIES: u64 = 64;

impl Run<'_> {
    fn prompter(&self) -> Result<Prompter> {
        let verbaliser = Verbaliser::fit(&self.input.profiles, LEVELS)?;
        Ok(Prompter::new(&self.input.schema, self.input.chain.clone(), verbaliser)?)
    }

    /// Asks whoever was asked for; after a recording, the recorded answers, so that nothing is computed twice.
    fn reasoner(&self) -> Result<Reasoner<'static>> {
        let recorded = self.options.record.clone().map(TeacherChoice::Replay);
        let choice = recorded.as_ref().unwrap_or(&self.options.teacher);
        self.reasoner_of(teachers::open(choice, &self.input.schema, &self.input.chain)?.teacher)
    }

    fn reasoner_of<'t>(&self, teacher: impl Teacher + 't) -> Result<Reasoner<'t>> {
        let reasoner = Reasoner::builder(teacher, self.prompter()?)
            .with_strategy(Strategy::Refine(RefineConfig::default()))
            .with_budget(Budget::default().with_queries(MAX_QUERIES))
            .with_min_populated(self.options.min_populated)
            .build()?;
        Ok(reasoner)
    }

    fn calibration_path(&self) -> PathBuf {
        self.path(super::CALIBRATION)
    }

    /// Asks every question that a search about any eligible user may ask and writes the answers for replay.
    pub(super) fn record(&mut self) -> Result<StageReport> {
        let path = self.options.record.as_ref().context("no file to record to")?;
        let teacher = teachers::open(&self.options.teacher, &self.input.schema, &self.input.chain)?.teacher;
        let recorder = Recorder::open(teacher, path)?;
        let reasoner = self.reasoner_of(&recorder)?;
        (self.say)(&format!("  {}", reasoner.count_prompts(&self.input.profiles, &self.input.eligible)?));
        let summary = reasoner.record_all(
            &self.input.profiles,
            &self.input.eligible,
            &recorder,
            self.options.workers.get(),
            self.progress,
        )?;
        drop(reasoner);
        recorder.finish()?;
        let mut report = StageReport {
            users: summary.users as u64,
            calls: summary.asked as u64,
            ..StageReport::default()
        };
        report.figures.insert("distinct prompts".to_owned(), summary.prompts as f64);
        Ok(report)
    }

    /// The teacher's mean prediction per state over unlabelled training users.
    pub(super) fn calibrate(&mut self) -> Result<StageReport> {
        let reasoner = self.reasoner()?;
        let mut rows = self.input.train.clone();
        rows.shuffle(&mut ChaCha8Rng::seed_from_u64(self.options.seed));
        rows.truncate(CALIBRATION_USERS);
        rows.sort_unstable();
        let calibration = reasoner.fit_calibration(&self.input.profiles, &rows, self.progress)?;
        write_json(&self.calibration_path(), &calibration)?;
        Ok(with_ledger(rows.len() as u64, &reasoner.ledger().snapshot()))
    }

    /// Reasons about the covered users, all of them training users, and appends to the corpus.
    pub(super) fn reason(&mut self) -> Result<StageReport> {
        let mut reasoner = self.reasoner()?;
        let text = std::fs::read_to_string(self.calibration_path()).context("the calibration")?;
        let calibration: Calibration = serde_json::from_str(&text).context("the calibration")?;
        reasoner.set_calibration(calibration)?;

        let rows = self.covered()?;
        let header = reasoner.header(&self.input.profiles, self.options.seed)?;
        let path = self.corpus_path();
        let mut writer = if path.exists() {
            let (writer, done, failed) = CorpusWriter::resume_without_failed(&path, &header)?;
            (self.say)(&format!("  taken up: {} users are in the corpus already", done.len()));
            if failed > 0 {
                (self.say)(&format!("  taken up again: {failed} users about whom the teacher failed"));
            }
            writer
        } else {
            CorpusWriter::create(&path, &header)?
        };
        let summary = reasoner.run(
            &self.input.profiles,
            &rows,
            &mut writer,
            self.options.workers.get(),
            self.progress,
        )?;
        writer.sync()?;

        if summary.stopped {
            return Ok(StageReport::default());
        }
        let corpus = Corpus::read(&path, &self.input.chain)?;
        let records = corpus.records();
        // Questions and tokens are in the records, whoever wrote them; a call counts in the run that made it.
        let questions: u64 = records.iter().map(|record| record.cost.queries).sum();
        let mut report = StageReport {
            users: records.len() as u64,
            calls: summary.ledger.calls,
            cache_hits: questions.saturating_sub(summary.ledger.calls),
            tokens: records.iter().map(|record| record.cost.tokens).sum(),
            ..StageReport::default()
        };
        let count =
            |test: fn(&Verdict) -> bool| records.iter().filter(|record| test(&record.verdict)).count() as f64;
        let accepted = records.iter().filter(|record| record.verdict.is_accepted());
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let before: Vec<f64> = accepted.clone().map(|record| mean(&record.entropy_before)).collect();
        let after: Vec<f64> =
            accepted.filter_map(|record| record.best.as_ref()).map(|chain| chain.mean_entropy()).collect();
        report.figures.extend([
            ("accepted".to_owned(), count(Verdict::is_accepted)),
            ("rejected".to_owned(), count(|v| matches!(v, Verdict::Rejected { .. }))),
            ("abstained".to_owned(), count(|v| matches!(v, Verdict::Abstained { .. }))),
            ("failed".to_owned(), count(|v| matches!(v, Verdict::Failed { .. }))),
            ("mean entropy of the draft".to_owned(), mean(&before)),
            ("mean entropy of the chosen chain".to_owned(), mean(&after)),
            (
                "queries per user".to_owned(),
                mean(&records.iter().map(|r| r.cost.queries as f64).collect::<Vec<_>>()),
            ),
        ]);
        ensure!(!after.is_empty(), "no chain was accepted; {} holds each user's reason", path.display());
        Ok(report)
    }

    /// The rows that the teacher reasons about: a share of the population, stratified by segment, no held-out user among them.
    pub(super) fn covered(&self) -> Result<Vec<usize>> {
        let input = &self.input;
        let candidates = input.profiles.select(&input.train)?;
        let labels: Vec<Option<String>> = input
            .train
            .iter()
            .map(|&row| input.segments.names().get(input.segments.of(row)).cloned())
            .collect();
        let wanted = (self.options.coverage * input.profiles.len() as f64).round().max(1.0) as usize;
        let covered = CoveragePlan::new(Coverage::Count(wanted))?
            .with_min_populated(self.options.min_populated)
            .stratified(&candidates, &Segments::from_labels(&labels), self.options.seed)?;
        let found = covered.rows().len();
        if found < wanted {
            (self.say)(&format!("  coverage: {wanted} users wanted, {found} training users have a profile"));
        }
        Ok(covered.rows().iter().map(|&i| input.train[i]).collect())
    }
}

fn with_ledger(users: u64, ledger: &LedgerSnapshot) -> StageReport {
    StageReport {
        users,
        calls: ledger.calls,
        cache_hits: ledger.cache_hits,
        tokens: ledger.tokens + ledger.tokens_saved,
        ..StageReport::default()
    }
}
