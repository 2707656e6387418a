//! What a teacher was paid for is not asked for again, however a run ends.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use scaletot_chain::ChainSchema;
use scaletot_core::Progress;
use scaletot_pipeline::{Pipeline, PipelineConfig, Stage, causes, is_stop};
use scaletot_profile::{Dataset, DatasetSpec, ProfileSchema};
use scaletot_teacher::{Error, Fault, LabelAnswer, Question, Result, Rules, Teacher};

use super::kill::{End, child};
use super::shop::{CHAIN, PROFILE, RULES, figures, write_inputs};

/// How long nothing is answered before a run is stopped or killed: the other workers go on with what they may.
const PATIENCE: Duration = Duration::from_millis(150);

#[derive(Default)]
struct Shared {
    /// The stage that has begun last, and how many questions were asked since.
    stage: std::sync::Mutex<String>,
    asked: AtomicUsize,
    stop: AtomicBool,
    /// The user about whom nothing is answered, where there is one.
    refused: OnceLock<usize>,
}

/// A model that is asked by prompt, and writes down each answer that it gives in a file that outlives its process. One question it never answers.
struct Costly {
    bills: PathBuf,
    silent: Option<(Stage, usize)>,
    /// Whether it refuses all questions about the first user that it is asked about.
    refuses: bool,
    shared: Arc<Shared>,
}

impl Teacher for Costly {
    fn model(&self) -> &str {
        "costly"
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let number = self.shared.asked.fetch_add(1, Ordering::SeqCst);
        let silent = self.silent.is_some_and(|(stage, at)| {
            at == number && self.shared.stage.lock().unwrap().starts_with(stage.name())
        });
        if silent {
            std::thread::sleep(PATIENCE);
            fs::write(self.bills.with_extension("silent"), "").unwrap();
            self.shared.stop.store(true, Ordering::SeqCst);
            while !question.stopped() {
                std::thread::sleep(Duration::from_millis(5));
            }
            return Err(Error::Stopped);
        }
        if self.refuses && *self.shared.refused.get_or_init(|| question.row) == question.row {
            let fault = Fault::Refused { status: 400, message: "not about this one".to_owned() };
            return Err(Error::Server { model: "costly".to_owned(), fault });
        }
        let key = question.key(self.model());
        let mut bills = OpenOptions::new().create(true).append(true).open(&self.bills).unwrap();
        bills.write_all(format!("{key}\n").as_bytes()).unwrap();
        let weights = key.bytes()[..question.labels.len()].iter().map(|byte| 1.0 + f64::from(*byte));
        let sum: f64 = weights.clone().sum::<f64>() / 0.7;
        Ok(LabelAnswer::new(weights.map(|weight| (weight / sum).ln()).collect(), 7))
    }
}

/// Hears which stage begins, and, of those who listen, the wish to stop.
struct Listener(Arc<Shared>, bool);

impl Progress for Listener {
    fn note(&self, line: &str) {
        if Stage::ALL.iter().any(|stage| line.starts_with(stage.name())) {
            *self.0.stage.lock().unwrap() = line.to_owned();
            self.0.asked.store(0, Ordering::SeqCst);
        }
    }

    fn stopped(&self) -> bool {
        self.1 && self.0.stop.load(Ordering::SeqCst)
    }
}

fn pipeline(dir: &Path, out: &str, teacher: impl Teacher + 'static) -> Pipeline {
    let (schema, chain) =
        (ProfileSchema::from_toml(PROFILE).unwrap(), ChainSchema::from_toml(CHAIN).unwrap());
    let spec = DatasetSpec::new().with_outcome("ltv").with_segment("tier");
    let dataset = Dataset::read(dir.join("users.csv"), &schema, &spec).unwrap();
    let mut config = PipelineConfig::default();
    (config.coverage, config.calibration_users) = (0.4, 20);
    Pipeline::builder(dataset, chain)
        .with_teacher(teacher)
        .with_config(config)
        .with_workers(3.try_into().unwrap())
        .with_out(dir.join(out))
        .build()
        .unwrap()
}

/// The stages that ask, of which one may meet a question that is not answered.
fn ask(dir: &Path, out: &str, silent: Option<(Stage, usize)>, stops: bool) -> scaletot_pipeline::Result<()> {
    let shared = Arc::new(Shared::default());
    let bills = dir.join(format!("{out}.bills"));
    let pipeline = pipeline(dir, out, Costly { bills, silent, refuses: false, shared: Arc::clone(&shared) });
    let listener = Listener(shared, stops);
    let calibration = pipeline.calibrate(&listener)?;
    pipeline.reason(&calibration, &listener)?;
    Ok(())
}

/// How often each answer was paid for.
fn bills(dir: &Path, out: &str) -> BTreeMap<String, usize> {
    let mut bills = BTreeMap::new();
    for line in fs::read_to_string(dir.join(format!("{out}.bills"))).unwrap_or_default().lines() {
        *bills.entry(line.to_owned()).or_default() += 1;
    }
    bills
}

/// The same files, and nothing paid for twice.
fn assert_as_undisturbed(dir: &Path, out: &str) {
    for name in ["calibration.json", "corpus.jsonl"] {
        let [one, other] = [out, "whole"].map(|out| fs::read(dir.join(out).join(name)).unwrap());
        assert!(one == other, "{name}");
    }
    let [one, other] = [out, "whole"].map(|out| figures(&dir.join(out).join("stages.json")));
    assert_eq!(one, other);
    let [one, other] = [out, "whole"].map(|out| {
        let text = fs::read_to_string(dir.join(out).join("answers.jsonl")).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    });
    assert_eq!(one, other);
    assert_eq!(bills(dir, out), bills(dir, "whole"));
    assert!(bills(dir, out).values().all(|paid| *paid == 1));
}

/// In calibration and in reasoning; while users wait for a slow one before them.
const SILENCES: [(Stage, usize); 4] =
    [(Stage::Calibrate, 2), (Stage::Calibrate, 40), (Stage::Reason, 1), (Stage::Reason, 25)];

#[test]
fn a_run_stopped_while_it_asks_pays_for_no_answer_twice() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    ask(dir, "whole", None, false).unwrap();
    assert!(bills(dir, "whole").len() > 100, "{}", bills(dir, "whole").len());
    for (stage, at) in SILENCES {
        let out = format!("{} {at}", stage.name());
        let error = ask(dir, &out, Some((stage, at)), true).unwrap_err();
        assert!(is_stop(&error), "{}", causes(&error));
        let paid = bills(dir, &out).len();
        assert!(paid > at, "the others went on");
        ask(dir, &out, None, false).unwrap();
        assert_as_undisturbed(dir, &out);
    }
}

/// A run in a process of its own, which the next test kills; nothing if it is run as a test.
#[test]
fn asking_child() {
    let Some(place) = std::env::var_os(super::kill::PLACE).map(PathBuf::from) else { return };
    let out = place.file_name().unwrap().to_str().unwrap();
    let (stage, at) = SILENCES[out.strip_prefix("killed ").unwrap().parse::<usize>().unwrap()];
    ask(place.parent().unwrap(), out, Some((stage, at)), false).unwrap();
}

#[test]
fn a_run_killed_while_it_asks_pays_for_no_answer_twice() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    ask(dir, "whole", None, false).unwrap();
    for (number, (_, at)) in SILENCES.into_iter().enumerate() {
        let out = format!("killed {number}");
        let (place, silent) = (dir.join(&out), dir.join(format!("{out}.silent")));
        let began = Instant::now();
        let end = child("paid::asking_child", &place, |_| {
            silent.exists() || began.elapsed() > Duration::from_secs(30)
        });
        assert!(end == End::Killed && silent.exists());
        assert!(bills(dir, &out).len() > at);
        ask(dir, &out, None, false).unwrap();
        assert_as_undisturbed(dir, &out);
    }
}

#[test]
fn a_calibration_that_misses_users_is_not_done_and_is_fitted_again_with_what_was_reasoned_by_it() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    ask(dir, "whole", None, false).unwrap();
    let costly = Costly { bills: dir.join("out.bills"), silent: None, refuses: true, shared: Arc::default() };
    let refusing = pipeline(dir, "out", costly);
    let calibration = refusing.calibrate(&()).unwrap();
    assert_eq!((calibration.report.failed(), calibration.value.failed()), (1, 1));
    let corpus = refusing.reason(&calibration, &()).unwrap();
    assert!(corpus.report.failed() <= 1);
    drop(refusing);
    let paid = bills(dir, "out").len();
    ask(dir, "out", None, false).unwrap();
    for name in ["calibration.json", "corpus.jsonl"] {
        assert!(
            fs::read(dir.join("out").join(name)).unwrap() == fs::read(dir.join("whole").join(name)).unwrap()
        );
    }
    assert!(bills(dir, "out").values().all(|times| *times == 1));
    assert!(bills(dir, "out").len() < paid + 20, "the others were not asked about again");
}

#[test]
fn kept_answers_are_those_that_a_model_computed_and_a_fresh_start_removes_them() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    write_inputs(dir);
    // Rules cost nothing.
    let schema = ProfileSchema::from_toml(PROFILE).unwrap();
    let rules = Rules::from_toml(RULES, &schema, &ChainSchema::from_toml(CHAIN).unwrap()).unwrap();
    pipeline(dir, "rules", rules).calibrate(&()).unwrap();
    assert!(!dir.join("rules/answers.jsonl").exists());

    ask(dir, "out", None, false).unwrap();
    let answers = dir.join("out/answers.jsonl");
    assert!(answers.exists());
    let costly =
        || Costly { bills: dir.join("out.bills"), silent: None, refuses: false, shared: Arc::default() };
    pipeline(dir, "out", costly()).start_over().unwrap();
    assert!(!answers.exists());
    ask(dir, "out", None, false).unwrap();
    assert!(bills(dir, "out").values().all(|paid| *paid == 2));

    // Somebody else's is left alone.
    fs::create_dir(dir.join("foreign")).unwrap();
    fs::write(dir.join("foreign/answers.jsonl"), "mine").unwrap();
    let foreign = pipeline(dir, "foreign", costly());
    for refused in [foreign.calibrate(&()).map(drop), foreign.start_over()] {
        let message = causes(&refused.unwrap_err());
        assert!(message.contains("answers.jsonl is there, but no run"), "{message}");
    }
    assert_eq!(fs::read(dir.join("foreign/answers.jsonl")).unwrap(), b"mine");
}
