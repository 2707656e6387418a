//! A teacher that fails about some users while a run reasons.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use scaletot_chain::{ChainSchema, Corpus, Verdict};
use scaletot_core::Progress;
use scaletot_pipeline::{Pipeline, Stage, Summary, causes};
use scaletot_profile::{Dataset, DatasetSpec, ProfileSchema};
use scaletot_teacher::{Error, LabelAnswer, PromptKey, Question, Rules, Teacher};

use super::shop::{CHAIN, PROFILE, RULES, case, write_inputs};

/// What teacher and test share: users about whom it fails once the search has begun, and those it was asked about since.
#[derive(Default)]
struct Outage {
    failing: BTreeSet<usize>,
    searching: bool,
    asked: BTreeSet<usize>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Outage>>);

struct Flaky(Rules, Shared);

impl Teacher for Flaky {
    fn model(&self) -> &str {
        self.0.model()
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer, Error> {
        let mut outage = self.1.0.lock().unwrap();
        if outage.searching {
            outage.asked.insert(question.row);
            if outage.failing.contains(&question.row) {
                return Err(Error::Answer {
                    model: "flaky".to_owned(),
                    state: question.state_name().to_owned(),
                    message: "the line is dead".to_owned(),
                });
            }
        }
        self.0.answer(question)
    }

    fn cache_key(&self, question: &Question<'_>) -> Option<PromptKey> {
        self.0.cache_key(question)
    }
}

/// Hears that the search begins, and keeps what is noted.
struct Listener(Shared, Mutex<Vec<String>>);

impl Progress for Listener {
    fn note(&self, line: &str) {
        self.0.0.lock().unwrap().searching |= line == "reason" || line.starts_with("reason: r");
        self.1.lock().unwrap().push(line.to_owned());
    }
}

struct Run {
    summary: Result<Summary, String>,
    notes: Vec<String>,
    asked: BTreeSet<usize>,
}

/// A run whose teacher fails about these of the covered users, by their numbers.
fn run(dir: &Path, failing: impl Fn(usize) -> bool) -> Run {
    let schema = ProfileSchema::from_toml(PROFILE).unwrap();
    let chain = ChainSchema::from_toml(CHAIN).unwrap();
    let spec = DatasetSpec::new().with_outcome("ltv").with_segment("tier");
    let dataset = Dataset::read(dir.join("users.csv"), &schema, &spec).unwrap();
    let shared = Shared::default();
    let teacher = Flaky(Rules::from_toml(RULES, &schema, &chain).unwrap(), shared.clone());
    let pipeline = Pipeline::builder(dataset, chain)
        .with_teacher(teacher)
        .with_config(case(dir).config)
        .with_seed(1)
        .with_out(dir.join("out"))
        .build()
        .unwrap();
    let covered = pipeline.covered(&()).unwrap();
    shared.0.lock().unwrap().failing =
        covered.iter().enumerate().filter(|(number, _)| failing(*number)).map(|(_, row)| *row).collect();
    let listener = Listener(shared.clone(), Mutex::default());
    let summary = pipeline.run(&listener).map_err(|error| causes(&error));
    let asked = shared.0.lock().unwrap().asked.clone();
    Run { summary, notes: listener.1.into_inner().unwrap(), asked }
}

fn failed(dir: &Path) -> usize {
    let chain = ChainSchema::from_toml(CHAIN).unwrap();
    let corpus = Corpus::read(dir.join("out/corpus.jsonl"), &chain).unwrap();
    corpus.records().iter().filter(|record| matches!(record.verdict, Verdict::Failed { .. })).count()
}

fn not_run_again(notes: &[String]) -> usize {
    notes.iter().filter(|line| line.contains("not run again")).count()
}

#[test]
fn a_stage_with_failed_users_is_not_done_and_the_next_run_asks_about_them_again() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    let first = run(dir, |number| number == 7);
    let summary = first.summary.unwrap();
    let reason = summary.stages.iter().find(|stage| stage.name == Stage::Reason.name()).unwrap();
    assert_eq!((reason.report.failed(), failed(dir)), (1, 1));
    let student = fs::read(dir.join("out/student/model.safetensors")).unwrap();

    // Well again, it is asked about the one user, and what was learned without them is learned again.
    let second = run(dir, |_| false);
    assert_eq!(second.summary.unwrap().stages[1].report.failed(), 0);
    assert_eq!((second.asked.len(), failed(dir)), (1, 0));
    let about = |part: &str| second.notes.iter().any(|line| line.contains(part));
    assert!(about("reason: resumed, for 1 users about whom the teacher failed"), "{:?}", second.notes);
    assert!(about("student: SFT: runs again (corpus: "), "{:?}", second.notes);
    assert_ne!(fs::read(dir.join("out/student/model.safetensors")).unwrap(), student);
    let third = run(dir, |_| true);
    assert_eq!((not_run_again(&third.notes), third.asked.len()), (Stage::ALL.len(), 0));
}

#[test]
fn a_teacher_that_fails_about_too_many_users_ends_the_run_before_anything_is_learned() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    let first = run(dir, |number| number % 4 == 1);
    let message = first.summary.unwrap_err();
    for part in ["expected at most 5.0 % of the users to fail", "the line is dead", "what was done is kept"] {
        assert!(message.contains(part), "{message}");
    }
    let many = failed(dir);
    assert!(many > 5 && !dir.join("out/student-sft").exists());
    // Those who were answered about are not asked about again.
    let second = run(dir, |_| false);
    assert_eq!((second.summary.unwrap().stages[1].report.failed(), second.asked.len()), (0, many));
}

#[test]
fn of_a_damaged_corpus_the_damaged_answers_alone_are_asked_for_again() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    run(dir, |_| false).summary.unwrap();
    let corpus = dir.join("out/corpus.jsonl");
    let good = fs::read(&corpus).unwrap();
    let lines: Vec<usize> = (0..good.len()).filter(|&at| good[at] == b'\n').collect();
    let mut bad = good.clone();
    bad[lines[4] + 60] ^= 1;
    bad.truncate(lines[lines.len() - 2] + 30);
    fs::write(&corpus, &bad).unwrap();
    let again = run(dir, |_| false);
    again.summary.unwrap();
    assert_eq!((again.asked.len(), failed(dir)), (2, 0), "{:?}", again.notes);
    assert!(again.notes.iter().any(|line| line.contains("is not what the stage wrote")), "{:?}", again.notes);
    assert_eq!(fs::read(&corpus).unwrap().len(), good.len());
}
